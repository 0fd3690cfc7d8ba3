import sys

from stable_baselines3 import DQN, PPO
from stable_baselines3.common.callbacks import EvalCallback

if "--dqn" in sys.argv:
    import gymnasium as gym

    model = DQN("MlpPolicy", "CartPole-v1", verbose=1, seed=0, learning_starts=200, device="cpu", policy_kwargs={"net_arch": [32]})
    model.learn(3000, log_interval=20, callback=EvalCallback(gym.make("CartPole-v1"), eval_freq=1000, n_eval_episodes=5, log_path="logs"))
else:
    model = PPO("MlpPolicy", "CartPole-v1", verbose=1, seed=0, n_steps=512, device="cpu")
    model.learn(6000)
