"""`python app.py import`: the recipe on stdout or in a file, what was lost on stderr, and a run of what came out."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app import main
from core.recipe import parse
from tests.importing.files import a1111_picture, png, two

INFOTEXT = (
    "a red rabbit\nNegative prompt: blurry\nSteps: 3, Sampler: Euler, Schedule type: Uniform, CFG scale: 4, Seed: 7, Size: 64x64, "
    "Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, Hires upscale: 2, Version: v1.10.1"
)
Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Here:
    """The command line in this process: exit status, stdout and stderr."""

    def call(*words: str | Path) -> tuple[int, str, str]:
        status = main(["--models", str(models), "--data", str(tmp_path / "data"), "--device", "cpu", *map(str, words)])
        return (status, *capsys.readouterr())

    return call


def test_a_picture_of_comfyui_runs_as_it_is(here: Here, tmp_path: Path) -> None:
    picture, recipe, out = tmp_path / "a.png", tmp_path / "recipe.json", tmp_path / "out"
    picture.write_bytes(png(prompt=json.dumps(two()), workflow="{}"))
    assert here("import", picture, "-o", recipe) == (0, "", "")
    status, printed, said = here("import", picture)
    assert (status, printed, said) == (0, recipe.read_text(), "") and "null" not in printed
    status, printed, _ = here("generate", recipe, "--out", out, "--json")
    assert status == 0 and json.loads(printed)["model_calls"] == 4
    made = Path(json.loads(printed)["file"])
    again = here("import", made)
    assert again[0] == 0 and again[2] == ""
    assert parse(json.loads(again[1])).key == json.loads(printed)["recipe_key"]  # our own picture: exact


def test_a_picture_of_a1111_with_another_model(here: Here, tmp_path: Path) -> None:
    picture, recipe = tmp_path / "a.jpg", tmp_path / "recipe.json"
    picture.write_bytes(a1111_picture("JPEG", INFOTEXT))
    status, printed, said = here("import", picture, "-o", recipe)
    assert (status, printed) == (0, "")
    assert [line.split(" ")[0] for line in said.splitlines()] == ["A1111", "Model", "Hires"]
    status, _, said = here("generate", recipe, "--out", tmp_path)
    assert status == 1 and "v1-5-pruned-emaonly" in said
    assert here("generate", recipe, "--out", tmp_path, "--set", "model=demo")[0] == 0


@pytest.mark.parametrize(("name", "sentence"), [("none.png", "cannot be read"), ("bad.json", "damaged"), ("", "cannot be read")])
def test_what_cannot_be_read_is_told(here: Here, tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "bad.json").write_text("[[[[")
    status, printed, said = here("import", tmp_path / name)
    assert (status, printed) == (1, "") and sentence in said and len(said.splitlines()) == 1


def test_bad_usage(here: Here) -> None:
    with pytest.raises(SystemExit) as caught:
        here("import")
    assert caught.value.code == 2
