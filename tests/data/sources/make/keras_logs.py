"""Keras: CSVLogger."""

import os

os.environ["KERAS_BACKEND"] = "torch"
import keras
import numpy as np
from common import Record

record = Record("keras_csv")
keras.utils.set_random_seed(0)
x = np.random.default_rng(0).random((100, 4), dtype="float32")
model = keras.Sequential([keras.layers.Dense(8, activation="relu"), keras.layers.Dense(2, activation="softmax")])
model.compile(optimizer=keras.optimizers.SGD(0.5), loss="sparse_categorical_crossentropy", metrics=["accuracy"])


class Note(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        for name, value in logs.items():
            record.note(name, epoch, float(value))


csv = keras.callbacks.CSVLogger(os.path.join(record.folder, "training.csv"))
model.fit(x, (x[:, 0] > x[:, 1]).astype(int), epochs=8, validation_split=0.3, verbose=0, callbacks=[csv, Note()])
record.done()
