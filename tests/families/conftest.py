"""A folder of models for each test file, a pipeline on it, and no gradients."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from core import Pipeline


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def pipeline(root: Path, pipe: Any, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """On the folder that the file's own `pipe` was written to."""
    return Pipeline(models=root, device="cpu", data=tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    """Without gradients, and on one thread: models this small only wait for a second one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(threads)
