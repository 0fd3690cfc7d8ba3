"""Stable-Baselines3: its csv, json and tensorboard outputs, and the monitor's CSV with a JSON first line."""

import os

import gymnasium
from common import Record
from stable_baselines3 import PPO
from stable_baselines3.common.logger import KVWriter, Logger, make_output_format
from stable_baselines3.common.monitor import Monitor

record = Record("sb3")


class Note(KVWriter):
    def write(self, key_values, key_excluded, step=0):
        for name, value in key_values.items():
            if (not name.startswith("time/") and isinstance(value, (int, float))) or hasattr(value, "item"):
                record.note(name, step, float(value))

    def close(self):
        pass


env = Monitor(gymnasium.make("CartPole-v1"), os.path.join(record.folder, "monitor.csv"))
outputs = [make_output_format(kind, record.folder) for kind in ("csv", "json", "tensorboard")]
model = PPO("MlpPolicy", env, n_steps=64, batch_size=32, n_epochs=2, seed=0, device="cpu")
model.set_logger(Logger(record.folder, [*outputs, Note()]))
model.learn(64 * 8)
model.logger.close()
env.close()
episodes = [[None, r] for r in env.get_episode_rewards()]
os.rename(os.path.join(record.folder, "progress.json"), os.path.join(record.folder, "progress.jsonl"))
record.done(monitor=episodes, float32=True)
