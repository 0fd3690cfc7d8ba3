import time

import jax
import jax.numpy as jnp
import optax

key = jax.random.PRNGKey(0)
w_true = jax.random.normal(key, (20,))
X = jax.random.normal(jax.random.PRNGKey(1), (4000, 20))
Y = X @ w_true + 0.5 * jax.random.normal(jax.random.PRNGKey(2), (4000,))
params = {"w": jnp.zeros(20), "b": jnp.zeros(())}
tx = optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(optax.warmup_cosine_decay_schedule(0.0, 0.2, 50, 500)))
opt = tx.init(params)
lossf = jax.jit(lambda p, x, y: jnp.mean((x @ p["w"] + p["b"] - y) ** 2))


@jax.jit
def update(p, o, x, y):
    loss, g = jax.value_and_grad(lossf)(p, x, y)
    u, o = tx.update(g, o)
    return optax.apply_updates(p, u), o, loss, optax.global_norm(g)


t = time.time()
for s in range(1, 501):
    idx = jax.random.randint(jax.random.PRNGKey(s), (64,), 0, 3600)
    params, opt, loss, norm = update(params, opt, X[idx], Y[idx])
    if s % 25 == 0:
        print(f"I1126 train.py:{60}] step {s:6d} | loss={float(loss):.3e} | gnorm={float(norm):8.4f} | {25 / (time.time() - t):,.1f} it/s")
        t = time.time()
    if s % 100 == 0:
        print(f"I1126 train.py:{64}] ---- eval @ step {s:,}: mse={float(lossf(params, X[3600:], Y[3600:])):.5f} ----")
