"""What all tests share: the demo model, and a pipeline on it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def two_threads() -> Iterator[None]:
    """As many as the smallest machine has: the same bits and the same speed everywhere. Beside another worker, one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else min(2, before))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder that holds the demo model; STEPWISE_TEST_MODELS names another one to test."""
    folder = Path(os.environ.get("STEPWISE_TEST_MODELS", ROOT / "models"))
    assert (folder / "demo" / "model_index.json").is_file(), f"the demo model is not in {folder}"
    return folder
