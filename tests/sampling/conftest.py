"""What the sampling tests share: one thread, because the tensors are tiny, and a quiet Brownian tree."""

import warnings
from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def quiet_tree() -> Iterator[None]:
    """torchsde warns that float32 ends of its interval are not equal to their own first six digits."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Should have t")
        yield
