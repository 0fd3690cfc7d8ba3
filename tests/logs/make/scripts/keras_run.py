"""Keras 3. --verbose 1|2; --fail: the label count does not fit; --csv; --nan."""
import argparse

import keras
import numpy as np
from sklearn.datasets import load_digits

ap = argparse.ArgumentParser()
ap.add_argument("--verbose", type=int, default=1)
ap.add_argument("--epochs", type=int, default=5)
ap.add_argument("--fail", action="store_true")
ap.add_argument("--nan", action="store_true")
ap.add_argument("--csv", action="store_true")
args = ap.parse_args()
keras.utils.set_random_seed(0)
X, y = load_digits(return_X_y=True)
X = (X / 16).astype("float32")
model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(32, "relu"), keras.layers.Dense(10, "softmax")])
model.compile(optimizer=keras.optimizers.Adam(1e-2 if not args.nan else 1e3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
callbacks = [keras.callbacks.CSVLogger("training.csv")] if args.csv else []
if args.nan:
    callbacks.append(keras.callbacks.TerminateOnNaN())
    X[640:, 3] = np.nan
callbacks.append(keras.callbacks.EarlyStopping(patience=3, verbose=1))


class Export(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 2 and args.fail:
            self.model.predict(X[:, :32], verbose=0)


callbacks.append(Export())
print(f"Using backend: {keras.backend.backend()}")
model.summary()
model.fit(X[:1280], y[:1280], validation_data=(X[1280:], y[1280:]) if not args.nan else None, epochs=args.epochs, batch_size=64,
          verbose=args.verbose, callbacks=callbacks, shuffle=not args.nan)
loss, acc = model.evaluate(X[1280:], y[1280:], verbose=args.verbose)
print(f"Test accuracy: {acc:.4f}")
