"""Keras' TensorBoard callback under TensorFlow 2: a folder each for training and validation, with the same tags."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
import keras
import numpy as np
from common import Record, keep_only

record = Record("keras_tensorboard")
keras.utils.set_random_seed(0)
x = np.random.default_rng(0).random((100, 4), dtype="float32")
model = keras.Sequential([keras.layers.Dense(8, activation="relu"), keras.layers.Dense(2, activation="softmax")])
model.compile(optimizer=keras.optimizers.SGD(0.5), loss="sparse_categorical_crossentropy", metrics=["accuracy"])


class Note(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        for name, value in logs.items():
            split = "val/" if name.startswith("val_") else "train/"
            record.note(split + name.removeprefix("val_"), epoch, float(value))


board = keras.callbacks.TensorBoard(os.path.join(record.folder, "logs"), write_graph=False, histogram_freq=3)
model.fit(x, (x[:, 0] > x[:, 1]).astype(int), epochs=7, validation_split=0.3, verbose=0, callbacks=[board, Note()])
keep_only(record.folder, "tfevents")
for here, _, files in os.walk(record.folder):  # TensorFlow asks the system itself for the name of the host
    for name in files:
        first, mark, last = name.partition(f".{os.uname().nodename}.")
        if mark:
            os.rename(os.path.join(here, name), os.path.join(here, f"{first}.host.{last}"))
record.done(float32=True)
