import gymnasium as gym
from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
from tianshou.algorithm import DQN
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OffPolicyTrainerParams
from tianshou.utils.net.common import Net
import torch

torch.manual_seed(0)
env = gym.make("CartPole-v1")
train, test = DummyVectorEnv([lambda: gym.make("CartPole-v1")] * 4), DummyVectorEnv([lambda: gym.make("CartPole-v1")] * 4)
net = Net(state_shape=env.observation_space.shape, action_shape=env.action_space.n, hidden_sizes=[32, 32])
policy = DiscreteQLearningPolicy(model=net, action_space=env.action_space, eps_training=0.1, eps_inference=0.05)
algo = DQN(policy=policy, optim=AdamOptimizerFactory(lr=1e-3), gamma=0.9, n_step_return_horizon=3, target_update_freq=100)
tc = Collector(algo, train, VectorReplayBuffer(4000, 4), exploration_noise=True)
te = Collector(algo, test, exploration_noise=True)
result = algo.run_training(OffPolicyTrainerParams(training_collector=tc, test_collector=te, max_epochs=3, epoch_num_steps=600, collection_step_num_env_steps=8,
                                                  update_step_num_gradient_steps_per_sample=0.1, batch_size=32, test_step_num_episodes=8))
print("best reward:", result.best_reward)
