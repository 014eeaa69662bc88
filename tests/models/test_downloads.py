"""Downloads from a real server over HTTP: bytes are counted, so that going on is going on and not beginning anew."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.errors import DamagedFile, MissingPart, Refused, StorageError, UnknownName
from core.models import catalogue, hub, transfer
from core.models.catalogue import OFFERS, Offer, Remote
from core.models.downloads import Downloads
from core.models.library import FOLDERS
from core.models.variants import Variants
from tests.hub_server import Hub, serving

MB = 2**20
LARGE = Remote(repository="maker/model", path="split_files/vae/ae.safetensors", folder="vae", size_bytes=5 * MB)
SMALL = Remote(repository="maker/model", path="tokenizer.json", folder="tokenizers/qwen3", size_bytes=1000)
CONTENT = bytes(range(256)) * (5 * MB // 256)
OFFER = Offer(id="tiny", title="Tiny", family="z_image", licence="MIT", licence_page="", files=(LARGE, SMALL))


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    files = {"maker/model": {LARGE.path: CONTENT, SMALL.path: b"{}" * 500}}
    with serving(Hub(files=files)) as served:
        meet(served.address, monkeypatch)
        monkeypatch.setattr(transfer, "PATIENCE", 3.0)
        yield served


def meet(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """huggingface_hub asks this address: what HF_ENDPOINT does before it is imported."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Downloads]:
    for module in ("core.models.downloads.OFFERS", "core.models.catalogue.OFFERS"):
        monkeypatch.setattr(module, {**OFFERS, OFFER.id: OFFER})
    made = Downloads(tmp_path, allowed=True)
    yield made
    made.close()


def quiet() -> None:
    """Nothing to say."""


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_file_comes_into_its_folder(far: Hub, tmp_path: Path) -> None:
    seen: list[int] = []
    transfer.fetch(LARGE, tmp_path, seen.append, quiet)
    assert (tmp_path / "vae" / "ae.safetensors").read_bytes() == CONTENT
    assert seen[-1] == len(CONTENT) and seen == sorted(seen)
    assert not transfer.parts_folder(tmp_path).exists()
    assert LARGE.here(tmp_path) and transfer.came(LARGE, tmp_path) == 0


def test_what_broke_off_goes_on(far: Hub, tmp_path: Path) -> None:
    """The connection breaks twice; every byte is sent once, and nothing stands under the name before all are here."""
    far.break_at = [2 * MB, MB]
    home = tmp_path / "vae" / "ae.safetensors"
    transfer.fetch(LARGE, tmp_path, lambda _: None if not home.exists() else pytest.fail("half a file"), quiet)
    assert home.read_bytes() == CONTENT
    assert [first for _, first, _ in far.sent] == [0, 2 * MB, 3 * MB]
    assert far.bytes_of(LARGE.path) == len(CONTENT)


def test_a_server_without_ranges(far: Hub, tmp_path: Path) -> None:
    far.break_at, far.ranges = [2 * MB], False
    transfer.fetch(LARGE, tmp_path, lambda _: None, quiet)
    assert (tmp_path / "vae" / "ae.safetensors").read_bytes() == CONTENT


def test_another_version_begins_anew(far: Hub, tmp_path: Path) -> None:
    part = transfer.parts_folder(tmp_path) / "vae--ae.safetensors.0123456789abcdef.part"
    part.parent.mkdir()
    part.write_bytes(b"an older version")
    transfer.fetch(LARGE, tmp_path, lambda _: None, quiet)
    assert not part.exists() and far.bytes_of(LARGE.path) == len(CONTENT)


def test_a_damaged_file_is_thrown_away(far: Hub, tmp_path: Path) -> None:
    """What was here before is not what the server has: the hash tells."""
    part = transfer._part(LARGE, tmp_path, transfer.locate(LARGE))
    part.write_bytes(b"\0" * (4 * MB))
    with pytest.raises(DamagedFile, match=r"ae.safetensors did not arrive as it was sent"):
        transfer.fetch(LARGE, tmp_path, lambda _: None, quiet)
    assert not part.exists() and not LARGE.here(tmp_path)


def test_a_download_is_stopped_and_gone_on_with(far: Hub, tmp_path: Path, downloads: Downloads) -> None:
    """Also by another process: all that is remembered is on the disk."""
    far.hold_at = 3 * MB
    downloads.start("tiny")
    until(lambda: downloads.progress is not None and downloads.progress.done >= 2 * MB)
    with pytest.raises(Refused, match="A download is running"):
        downloads.start("tiny")
    downloads.stop()
    assert downloads.wait(30) and downloads.progress is not None and downloads.progress.state == "stopped"
    far.hold_at = None
    here = transfer.came(LARGE, tmp_path)
    assert 2 * MB <= here < len(CONTENT) and downloads.held(OFFER).files == (here, 0)
    until(lambda: len(far.sent) == 1)
    again, sent = Downloads(tmp_path, allowed=True), far.bytes_of(LARGE.path)
    again.start("tiny")
    assert again.wait(30) and again.progress is not None and again.progress.state == "done", again.progress
    assert (tmp_path / "vae" / "ae.safetensors").read_bytes() == CONTENT
    assert (tmp_path / "tokenizers" / "qwen3" / "tokenizer.json").read_bytes() == b"{}" * 500
    assert [first for path, first, _ in far.sent if path == LARGE.path][-1] == here
    assert far.bytes_of(LARGE.path) - sent == len(CONTENT) - here
    assert again.held(OFFER).missing == 0 and again.progress.done == again.progress.total


def test_what_is_here_is_not_fetched(far: Hub, tmp_path: Path, downloads: Downloads) -> None:
    (tmp_path / "VAE").mkdir()
    (tmp_path / "VAE" / "ae.safetensors").write_bytes(b"mine")
    downloads.start("tiny")
    assert downloads.wait(30) and far.bytes_of(LARGE.path) == 0
    assert downloads.progress is not None and downloads.progress.state == "done"


def test_gated(far: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far.gated = frozenset({"maker/model"})
    with pytest.raises(Refused, match=r"log in at https://huggingface.co/maker/model, agree, .* HF_TOKEN"):
        transfer.fetch(LARGE, tmp_path, lambda _: None, quiet)
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    transfer.fetch(LARGE, tmp_path, lambda _: None, quiet)
    assert LARGE.here(tmp_path)


def test_refusals(far: Hub, tmp_path: Path, downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Remote(repository="maker/model", path="other.safetensors", folder="vae", size_bytes=1)
    with pytest.raises(MissingPart, match=r"There is no other.safetensors in maker/model"):
        transfer.fetch(gone, tmp_path, lambda _: None, quiet)
    with pytest.raises(UnknownName, match="Unknown download"):
        downloads.start("nothing")
    with pytest.raises(Refused, match="not downloaded on a shared server"):
        Downloads(tmp_path, allowed=False).start("tiny")
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(StorageError, match=r"ae.safetensors needs 0.0 GB more"):
        transfer.fetch(LARGE, tmp_path, lambda _: None, quiet)


@pytest.mark.parametrize("offline", [True, False])
def test_no_network(tmp_path: Path, downloads: Downloads, monkeypatch: pytest.MonkeyPatch, offline: bool) -> None:
    """Nobody listens at that port; or HF_HUB_OFFLINE is set."""
    from huggingface_hub import constants

    meet("http://127.0.0.1:9", monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    downloads.start("tiny")
    assert downloads.wait(30) and downloads.progress is not None and downloads.progress.state == "failed"
    assert "huggingface.co cannot be reached from here" in str(downloads.progress.error)
    with pytest.raises(MissingPart, match="could not be downloaded"):
        hub.fetch("maker/model", tmp_path / "x", downloads=True, progress=lambda *_: None, parts=("tokenizer.json",))


def test_a_connection_that_breaks_for_good(
    far: Hub, tmp_path: Path, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "TRIES", 1)
    far.break_at = [2 * MB, *[0] * 20]
    downloads.start("tiny")
    assert downloads.wait(30) and downloads.progress is not None and downloads.progress.state == "failed"
    assert transfer.came(LARGE, tmp_path) == 2 * MB


def test_a_model_by_its_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, configurations and tokenizers, each once, whatever broke off; nothing that can run code, nothing outside."""
    weights = {
        "unet/diffusion_pytorch_model.safetensors": CONTENT,
        "unet/config.json": b"{}",
        "model_index.json": b"{}",
    }
    others = {
        "unet/model.bin": b"x",
        "evil.py": b"x",
        "../unet/escape.json": b"x",
        "unet/diffusion_pytorch_model.fp16.safetensors": b"x",
    }
    with serving(Hub(files={"maker/model": weights | others}, break_at=[2 * MB])) as served:
        meet(served.address, monkeypatch)
        shares: list[float] = []
        fetch = {"downloads": True, "progress": lambda _, share: shares.append(share)}
        folder = hub.fetch("maker/model", tmp_path / "model", **fetch)
        assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == weights.keys()
        assert (folder / "unet" / "diffusion_pytorch_model.safetensors").read_bytes() == CONTENT
        assert served.bytes_of("unet/diffusion_pytorch_model.safetensors") == len(CONTENT)
        assert shares[0] == 0 and shares[-1] == 1 and shares == sorted(shares)
        sent = len(served.sent)
        hub.fetch("maker/model", tmp_path / "model", **fetch)
        assert len(served.sent) == sent
        with pytest.raises(MissingPart, match="There is no model maker/nothing"):
            hub.fetch("maker/nothing", tmp_path / "nothing", **fetch)


def test_the_catalogue() -> None:
    """Every family is offered, every file has a place that the library looks at."""
    assert {offer.family for offer in OFFERS.values()} == {"sd15", "sdxl", "flux", "z_image"}
    for offer in OFFERS.values():
        assert offer.licence and offer.licence_page.startswith("https://") and len(set(offer.files)) == len(offer.files)
        for file in offer.files:
            assert file.folder in FOLDERS or file.folder.startswith("tokenizers/")
            assert file.size_bytes > 0 and hub.is_id(file.repository)
    for folder, names in catalogue.ALIASES.items():
        assert {FOLDERS[name] for name in names} == {FOLDERS[folder]} and folder in names


def test_variants_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "data" / "variants.json"
    told = Variants(path)
    assert told.of("z.safetensors") is None
    told.tell("z.safetensors", "z_image", "base")
    assert Variants(path).of("z.safetensors") == "base"
    for family, variant in (("z_image", "schnell"), ("sd15", "base"), (None, "turbo")):
        with pytest.raises(UnknownName, match="Unknown variant"):
            told.tell("z.safetensors", family, variant)
    path.write_text("{")
    with pytest.raises(StorageError, match="is damaged"):
        Variants(path).of("z.safetensors")


def test_threads_share_one(far: Hub, downloads: Downloads) -> None:
    """Of many hands at once one begins."""
    refused: list[Refused] = []

    def press() -> None:
        try:
            downloads.start("tiny")
        except Refused as error:
            refused.append(error)

    far.hold_at = MB
    hands = [threading.Thread(target=press) for _ in range(8)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    far.going_on.set()
    assert len(refused) == 7 and downloads.wait(30)
