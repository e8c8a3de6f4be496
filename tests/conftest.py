"""What every test stands on: no network, one thread, nothing left in the caller's folders."""

import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(autouse=True)
def _no_network(socket_disabled):
    """Sockets are refused; tests that serve pages on loopback ask for them with the marker."""


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    import torch

    torch.set_num_threads(1)
