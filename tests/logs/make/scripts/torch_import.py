import torch
from torch import nn

from models.unet import UNetPlusPlus

model = UNetPlusPlus()
