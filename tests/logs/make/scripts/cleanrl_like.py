"""A one-file policy gradient on CartPole; episode lines as one-file RL scripts print them."""
import time

import gymnasium as gym
import torch
from torch import nn
from torch.distributions import Categorical

torch.manual_seed(1)
env = gym.wrappers.RecordEpisodeStatistics(gym.make("CartPole-v1"))
net = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 2))
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
global_step, start = 0, time.time()
obs, _ = env.reset(seed=1)
while global_step < 6000:
    logps, rewards, done = [], [], False
    while not done:
        dist = Categorical(logits=net(torch.tensor(obs)))
        action = dist.sample()
        obs, r, term, trunc, info = env.step(action.item())
        logps.append(dist.log_prob(action))
        rewards.append(float(r))
        global_step += 1
        done = term or trunc
    print(f"global_step={global_step}, episodic_return={info['episode']['r']}", flush=True)
    ret, g = [], 0.0
    for r in reversed(rewards):
        g = r + 0.99 * g
        ret.insert(0, g)
    ret = torch.tensor(ret)
    ret = (ret - ret.mean()) / (ret.std() + 1e-8)
    opt.zero_grad()
    (-torch.stack(logps) * ret).sum().backward()
    opt.step()
    obs, _ = env.reset()
    if len(rewards) % 10 == 0:
        print("SPS:", int(global_step / (time.time() - start)), flush=True)
