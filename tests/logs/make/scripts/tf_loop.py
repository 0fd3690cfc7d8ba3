"""A hand-written TensorFlow loop; fails on an unknown op input in a tf.function."""
import tensorflow as tf
from sklearn_free_data import make

tf.random.set_seed(0)
X, y = make(640)
w, b = tf.Variable(tf.zeros([12, 1])), tf.Variable(0.0)


@tf.function
def step(x, t):
    with tf.GradientTape() as g:
        loss = tf.reduce_mean((tf.squeeze(x @ w, 1) + b - t) ** 2)
    dw, db = g.gradient(loss, [w, b])
    w.assign_sub(0.05 * dw)
    b.assign_sub(0.05 * db)
    return loss


ds = tf.data.Dataset.from_tensor_slices((X, y)).batch(64)
for epoch in range(1, 6):
    m = tf.keras.metrics.Mean()
    for x, t in ds:
        m.update_state(step(x, t))
    tf.print("Epoch", epoch, "/ 5", "- loss:", m.result())
    if epoch == 4:
        tf.debugging.assert_less(tf.constant(2.0), m.result(), message="loss check")
