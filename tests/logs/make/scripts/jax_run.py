"""flax.linen and optax; --nan: the printed loss of epoch 5 is nan once."""
import sys

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax.training import train_state
from sklearn.datasets import load_digits

X, y = load_digits(return_X_y=True)
X, y = jnp.asarray(X / 16), jnp.asarray(y)


class MLP(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(10)(nn.relu(nn.Dense(32)(x)))


model = MLP()
state = train_state.TrainState.create(apply_fn=model.apply, params=model.init(jax.random.PRNGKey(0), X[:1]), tx=optax.adam(5e-3))


@jax.jit
def step(state, x, y, scale):
    def lossf(p):
        out = state.apply_fn(p, x)
        return optax.softmax_cross_entropy_with_integer_labels(out, y).mean() + jnp.sqrt(scale), out

    (loss, out), grads = jax.value_and_grad(lossf, has_aux=True)(state.params)
    return state.apply_gradients(grads=grads), loss, (out.argmax(-1) == y).mean()


for epoch in range(1, 9):
    losses, accs = [], []
    for i in range(0, 1280, 128):
        state, l, a = step(state, X[i:i + 128], y[i:i + 128], jnp.float32(-1.0 if "--nan" in sys.argv and epoch == 5 else 0.0))
        losses.append(float(l))
        accs.append(float(a))
    out = model.apply(state.params, X[1280:])
    tl = float(optax.softmax_cross_entropy_with_integer_labels(out, y[1280:]).mean())
    ta = float((out.argmax(-1) == y[1280:]).mean())
    print("epoch:% 3d, train_loss: %.4f, train_accuracy: %.2f, test_loss: %.4f, test_accuracy: %.2f"
          % (epoch, sum(losses) / len(losses), sum(accs) / len(accs) * 100, tl, ta * 100))
