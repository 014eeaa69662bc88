"""What the tests of importing share: the demo models as the library, and files as other programs write them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.importing import Imported, Shelf, read
from core.pipeline import Pipeline

Read = Callable[[Path | bytes], Imported]


@pytest.fixture(scope="session")
def pipe(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    pipe = Pipeline(models=models, device="cpu", data=tmp_path_factory.mktemp("data"), trajectory_bytes=0)
    yield pipe
    pipe.close()


@pytest.fixture(scope="session")
def reading(pipe: Pipeline) -> Read:
    """The reader, on a shelf with the demo models."""
    shelf = Shelf(pipe.library, pipe.loras, pipe.hashes)
    return lambda source: read(source, shelf)
