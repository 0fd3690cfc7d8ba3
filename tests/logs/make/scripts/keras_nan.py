import keras
import numpy as np

keras.utils.set_random_seed(0)
X = np.random.RandomState(0).randn(600, 6).astype("float32")
y = X[:, :1] * 2
model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(1)])
model.compile(keras.optimizers.SGD(3.0), "mse", metrics=["mae"])
model.fit(X, y, validation_split=0.2, epochs=6, batch_size=40, verbose=2)
print("saved model to model.keras")
