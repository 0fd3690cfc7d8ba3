import sys

import numpy as np
import tensorflow as tf
from sklearn_free_data import make

tf.keras.utils.set_random_seed(1)
X, y = make(1200)
model = tf.keras.Sequential([tf.keras.Input((12,)), tf.keras.layers.Dense(16, "relu"), tf.keras.layers.Dense(1)])
model.compile("adam", loss="mse", metrics=["mae"])
cb = [tf.keras.callbacks.ReduceLROnPlateau(patience=1, factor=0.5, verbose=1, min_delta=0.05), tf.keras.callbacks.ModelCheckpoint("best.keras", save_best_only=True, verbose=1)]
model.fit(X[:1000], y[:1000], validation_split=0.2, epochs=6, batch_size=50, verbose=1, callbacks=cb)
if "--fail" in sys.argv:
    model.fit(X[:1000], np.tile(y[:1000, None], (1, 3))[:, :, None][:, :, [0, 0]], epochs=2, verbose=2)
