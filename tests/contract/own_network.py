"""A network of one's own, as a user would write it; read by ``test_models.py`` through its path."""

import torch


class Net(torch.nn.Module):
    sample_rate = 4000

    def __init__(self):
        super().__init__()
        self.front = torch.nn.Conv1d(1, 6, 9, 4)
        self.norm = torch.nn.BatchNorm1d(6)
        self.act = torch.nn.ReLU(inplace=True)

    def forward(self, x):
        return self.act(self.norm(self.front(x)))


def build(width=6):
    torch.manual_seed(0)
    return Net()


def broken():
    return "not a network"
