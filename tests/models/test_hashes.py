"""Hashes: right, kept, renewed when a file changes, and never a reason to fail."""

import hashlib
from pathlib import Path

import pytest

from core.models.hashes import Hashes


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "a.safetensors").write_bytes(b"x" * 5_000_000)
    return tmp_path / "a.safetensors"


def test_a_file(file: Path, tmp_path: Path) -> None:
    hashes = Hashes(tmp_path / "data" / "hashes.sqlite")
    hashes.start(file)
    assert hashes.wait(file) == hashlib.sha256(file.read_bytes()).hexdigest() == hashes.known(file)
    file.write_bytes(b"y")
    assert hashes.wait(file) == hashlib.sha256(b"y").hexdigest()
    hashes.close()


def test_it_is_kept(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Hashes(tmp_path / "hashes.sqlite")
    wanted = first.wait(file)
    first.close()
    monkeypatch.setattr("core.models.hashes.file_hash", lambda path: "computed again")
    second = Hashes(tmp_path / "hashes.sqlite")
    assert second.wait(file) == wanted
    second.close()


def test_a_folder_is_its_weights(tmp_path: Path) -> None:
    for name in ("unet", "vae"):
        (tmp_path / "m" / name).mkdir(parents=True)
        (tmp_path / "m" / name / "w.safetensors").write_bytes(name.encode())
    hashes = Hashes(tmp_path / "hashes.sqlite")
    before = hashes.wait(tmp_path / "m")
    (tmp_path / "m" / "README.md").write_text("no weights")
    assert hashes.wait(tmp_path / "m") == before
    (tmp_path / "m" / "vae" / "w.safetensors").write_bytes(b"other")
    assert hashes.wait(tmp_path / "m") != before
    hashes.close()


def test_a_cache_that_cannot_be_kept(file: Path, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where a folder should be")
    hashes = Hashes(tmp_path / "blocked" / "hashes.sqlite")
    assert hashes.wait(file) == hashlib.sha256(file.read_bytes()).hexdigest()
    hashes.close()
