"""The gallery: files first, an index that can be lost, owners kept apart, several processes at once."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from core.errors import ImageError, Refused, StorageError
from core.images import png
from core.images.gallery import DRAFT_SECONDS, INDEX, Gallery, Item
from core.recipe import Recipe, parse

ROOT = Path(__file__).parents[2]
MADE_WITH = {"device": "cpu"}


def a_recipe(prompt: str = "a red rabbit", seed: int = 2**64 - 1, **fields: object) -> Recipe:
    return parse({"stepwise": 1, "prompt": prompt, "seed": seed, **fields})


def add(gallery: Gallery, prompt: str = "a red rabbit", owner: str = "me", **fields: object) -> Item:
    return gallery.add(Image.effect_noise((40, 24), 90).convert("RGB"), a_recipe(prompt, **fields), MADE_WITH, owner)


def test_a_picture_is_kept_with_all_that_made_it(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "out")
    item = add(gallery, segments=[{"end": 2}, {"cfg": {"3": 2.0}}])
    assert gallery.get(item.id) == item and gallery.list() == [item]
    assert (item.seed, item.width, item.height, item.owner, item.made_with) == (2**64 - 1, 40, 24, "me", MADE_WITH)
    assert png.read(item.path).recipe == item.recipe
    day, name = item.path.relative_to(gallery.folder).parts
    assert len(day) == 10 and name == f"0001-{2**64 - 1}-{item.id}.png"
    assert add(gallery, seed=5).path.name.startswith("0002-5-")


def test_names_hold_no_text_of_users(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    item = add(gallery, prompt="../../etc/passwd", owner="../me", model="../../x")
    assert item.path.is_relative_to(gallery.folder) and "passwd" not in str(item.path) and "me" not in item.path.name


def test_newest_first_page_by_page(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    items = [add(gallery, owner="me" if n % 2 else "you") for n in range(7)]
    newest = sorted(items, key=lambda item: item.id, reverse=True)
    first = gallery.list(limit=3)
    assert list(first) == newest[:3]
    gallery.delete(first[-1].id, None)  # a page ends at a picture that goes away: the next one still fits on
    assert list(gallery.list(limit=10, before=first[-1].id)) == newest[3:]
    mine = [item for item in newest if item.owner == "me" and item != first[-1]]
    assert list(gallery.list(owner="me")) == mine and gallery.count("me") == len(mine) and gallery.count() == 6
    assert gallery.list(limit=0) == [] and gallery.list(before="nonsense' OR 1") is not None


def test_search_reads_all_prompts_in_any_case_and_script(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    rabbit = add(gallery, "A Red RABBIT, 100%")
    fox = add(gallery, "КРАСНАЯ лиса", segments=[{"end": 3}, {"prompt": "a blue owl"}])
    assert gallery.list(search="rabbit red") == [rabbit]
    assert gallery.list(search="красная") == [fox] and gallery.list(search="OWL") == [fox]
    assert (
        gallery.list(search="0%") == [rabbit] and gallery.list(search="_") == [] and gallery.list(search="' OR 1") == []
    )
    assert len(gallery.list(search="  ")) == 2 and gallery.count(search="owl") == gallery.count("me", "owl") == 1


def test_only_the_owner_deletes(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    item = add(gallery)
    thumb = gallery.thumbnail(item)
    with pytest.raises(Refused):
        gallery.delete(item.id, "you")
    with pytest.raises(ImageError):
        gallery.get(item.id, owner="you")
    gallery.delete(item.id, "me")
    assert not item.path.exists() and not thumb.exists() and gallery.find(item.id) is None
    with pytest.raises(ImageError, match="may have been deleted"):
        gallery.delete(item.id, "me")


def test_thumbnails_are_small_and_come_back(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    item = gallery.add(Image.effect_noise((600, 300), 90).convert("RGB"), a_recipe(), {}, "me")
    path = gallery.thumbnail(item)
    assert path.exists() and Image.open(path).size == (256, 128) and Image.open(path).format == "WEBP"
    path.unlink()
    assert gallery.thumbnail(item).exists()


def test_files_that_others_took_away_or_damaged_do_not_close_the_gallery(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    items = [add(gallery) for _ in range(4)]
    items[2].path.unlink()
    gallery.thumbnail(items[1]).unlink()
    items[1].path.write_bytes(items[1].path.read_bytes()[:500])
    newest = sorted((items[0], items[1], items[3]), key=lambda item: item.id, reverse=True)
    assert list(gallery.list(limit=3)) == newest and gallery.count() == 3
    assert Image.open(gallery.thumbnail(items[1])).size == (40, 24)


def test_a_lost_index_is_made_again_from_the_pictures(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    items = [add(gallery, f"picture {n}") for n in range(3)]
    gallery.close()
    for file in tmp_path.glob(f"{INDEX}*"):
        file.unlink()
    again = Gallery(tmp_path)
    assert [(i.id, i.path, i.recipe, i.made_with) for i in again.list()] == [
        (i.id, i.path, i.recipe, i.made_with) for i in sorted(items, key=lambda item: item.id, reverse=True)
    ]
    assert again.sync() == (0, 0)


def test_sync_follows_the_files(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path)
    gone, stays = add(gallery), add(gallery)
    thumb = gallery.thumbnail(gone)
    gone.path.unlink()
    foreign = stays.path.parent / "holiday.png"
    Image.new("RGB", (8, 8)).save(foreign)
    (stays.path.parent / stays.path.name.replace("0002", "0003")).write_bytes(b"no picture")
    old, fresh = stays.path.parent / ".a.png.1.tmp", stays.path.parent / ".b.png.2.tmp"
    for draft in (old, fresh):
        draft.write_bytes(b"half")
    os.utime(old, (0, old.stat().st_mtime - 2 * DRAFT_SECONDS))
    assert gallery.sync() == (0, 1)
    assert gallery.list() == [stays] and not thumb.exists() and foreign.exists()
    assert not old.exists() and fresh.exists(), "another process may still be writing a fresh one"


def test_a_picture_whose_row_was_lost_finds_its_owner_again(tmp_path: Path) -> None:
    """Killed between file and row: `sync` finds the file without its owner, the job that is done again tells them."""
    gallery = Gallery(tmp_path)
    item = add(gallery)
    gallery.close()
    for file in tmp_path.glob(f"{INDEX}*"):
        file.unlink()
    again = Gallery(tmp_path)
    assert again.get(item.id).owner == ""
    written = item.path.stat().st_mtime_ns
    again.add(Image.new("RGB", (40, 24)), item.recipe, MADE_WITH, "me", item.id)
    assert again.get(item.id) == item and item.path.stat().st_mtime_ns == written and again.count() == 1


def test_a_damaged_or_newer_index_is_told(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_bytes(b"this is no database, it is a poem" * 100)
    with pytest.raises(StorageError, match="damaged"):
        Gallery(tmp_path)
    (tmp_path / INDEX).unlink()
    gallery = Gallery(tmp_path)
    with gallery._index.write() as index:
        index.execute("PRAGMA user_version = 99")
    gallery.close()
    with pytest.raises(StorageError, match="newer Stepwise"):
        Gallery(tmp_path)


WRITER = """
import sys
from pathlib import Path
from PIL import Image
from core.images.gallery import Gallery
from core.recipe import parse
gallery = Gallery(Path(sys.argv[1]))
for n in range(10):
    gallery.add(Image.new("RGB", (8, 8)), parse({"stepwise": 1, "seed": n}), {}, sys.argv[2])
"""


def test_processes_and_threads_write_at_once(tmp_path: Path) -> None:
    others = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name], cwd=ROOT) for name in "ab"]
    gallery = Gallery(tmp_path)
    threads = [threading.Thread(target=lambda: [add(gallery, owner="me") for _ in range(10)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait(60) for other in others] == [0, 0]
    assert [gallery.count(owner) for owner in ("a", "b", "me", None)] == [10, 10, 20, 40]
    assert gallery.sync() == (0, 0)
