import jax
import jax.numpy as jnp

w = jnp.zeros(8)
key = jax.random.PRNGKey(0)
X = jax.random.normal(key, (256, 8))
y = X @ jnp.arange(8.0)
loss_fn = jax.jit(lambda w: jnp.mean((X @ w - y) ** 2))
grad = jax.jit(jax.grad(loss_fn))
for epoch in range(1, 31):
    w = w - 0.1 * grad(w)
    if epoch % 3 == 0:
        print(f"[{epoch:>3}/30] mse {loss_fn(w):.5f}", flush=True)
    if epoch == 21:
        hess = jnp.zeros((600_000, 600_000))
        print(hess.sum())
