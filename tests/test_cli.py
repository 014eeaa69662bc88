"""The command line as people use it: a process, its exit status, and what stands on stdout and stderr."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from app import main
from core.cli import assignment
from core.errors import RecipeError
from core.recipe import assign

ROOT = Path(__file__).parents[1]
RECIPE = {"stepwise": 1, "prompt": "a red apple", "steps": 4, "seed": 5, "batch": 2}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps(RECIPE))
    return file


def run(models: Path, tmp_path: Path, *words: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    common = ["--models", str(models), "--data", str(tmp_path / "data"), "--device", "cpu"]
    command = [sys.executable, str(ROOT / "app.py"), *common, *map(str, words)]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)


def test_generate(models: Path, tmp_path: Path, recipe: Path) -> None:
    out, latents = tmp_path / "out", tmp_path / "latents.safetensors"
    changes = ["--set", "segments.0.end=3", "--set", "prompt=a blue car"]
    done = run(models, tmp_path, "generate", recipe, "--out", out, "--latents", latents, "--json", *changes)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["seed"] for row in rows] == [5, 6]
    assert all(row["model_calls"] == 3 and row["reused_steps"] == 0 and len(row["recipe_key"]) == 64 for row in rows)
    assert sorted(map(Path, (row["file"] for row in rows))) == sorted(out.glob("*.png"))
    with Image.open(rows[0]["file"]) as picture:
        carried = json.loads(picture.text["stepwise"])["recipe"]
    assert carried["prompt"] == "a blue car" and carried["batch"] == 1
    tensors = load_file(latents)
    assert (
        set(tensors) == {"latents"}
        and tensors["latents"].shape == (2, 4, 16, 16)
        and tensors["latents"].dtype == torch.float32
    )
    again = run(
        models,
        tmp_path,
        "generate",
        "-",
        "--out",
        out,
        "--latents",
        latents,
        "--set",
        "batch=1",
        text=json.dumps(carried),
    )
    assert again.returncode == 0, again.stderr
    assert torch.equal(load_file(latents)["latents"], tensors["latents"][:1])


def test_models(models: Path, tmp_path: Path) -> None:
    done = run(models, tmp_path, "models", "--json")
    rows = {row["id"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert rows["demo"]["family"] == "sd15" and rows["demo"]["problem"] is None
    assert "demo" in run(models, tmp_path, "models").stdout


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["--set", "steps=0"], 1, "steps must be at least 1, not 0."),
        (["--set", "sampler=eulr"], 1, "Unknown sampler 'eulr': choose one of "),
        (["--set", "cfg=NaN"], 1, "cfg must be a number, not nan."),
        (["--set", "seed=18446744073709551616"], 1, "seed must be below"),
        (["--set", "width=100"], 1, "width must be a multiple of 8, not 100: take 96."),
        (["--set", "segments.3.end=1"], 1, "segments.3"),
        (["--set", "nonsense"], 2, "no path=value"),
        (["--init", "/nowhere/x.png"], 1, "x.png cannot be read"),
        (["--colour"], 2, "unrecognized"),
    ],
)
def test_refusals(models: Path, tmp_path: Path, recipe: Path, words: list[str], status: int, sentence: str) -> None:
    done = run(models, tmp_path, "generate", recipe, *words)
    assert done.returncode == status
    assert sentence in done.stderr and "Traceback" not in done.stderr and done.stdout == ""


def test_a_missing_or_broken_recipe_file(models: Path, tmp_path: Path) -> None:
    missing = run(models, tmp_path, "generate", tmp_path / "none.json")
    assert missing.returncode == 1 and "cannot be read" in missing.stderr
    broken = run(models, tmp_path, "generate", "-", text="{")
    assert broken.returncode == 1 and "holds no JSON" in broken.stderr
    assert "Traceback" in run(models, tmp_path, "--debug", "generate", "-", text="{").stderr


@pytest.mark.parametrize("flag", ["--listen", "--share"])
def test_the_door_stays_shut_without_a_lock(models: Path, tmp_path: Path, flag: str) -> None:
    done = run(models, tmp_path, flag)
    assert done.returncode == 2 and "--auth-file" in done.stderr
    accounts = tmp_path / "accounts"
    accounts.write_text("nobody\n")
    done = run(models, tmp_path, flag, "--auth-file", accounts)
    assert done.returncode == 1 and "Line 1" in done.stderr and "Traceback" not in done.stderr


def test_set_reaches_every_place_and_no_other() -> None:
    data = {"segments": [{"end": 1}, {"end": 2}]}
    assign(data, *assignment("segments.1.end=7"))
    assign(data, *assignment("init.denoise=0.5"))
    assign(data, *assignment("prompt=1.5 apples"))
    assign(data, *assignment("segments.2.end=9"))
    assign(data, *assignment("loras.0.name=x"))
    assert data == {"segments": [{"end": 1}, {"end": 7}, {"end": 9}], "loras": [{"name": "x"}], "init": {"denoise": 0.5},
                    "prompt": "1.5 apples"}  # fmt: skip
    for path in ("segments.4.end=1", "segments.x=1", "prompt.x=1"):
        with pytest.raises(RecipeError):
            assign(data, *assignment(path))


def test_sweep(models: Path, tmp_path: Path, recipe: Path) -> None:
    out, film = tmp_path / "out", tmp_path / "film.webp"
    done = run(models, tmp_path, "sweep", recipe, "--axis", "segments.0.end=0:4", "--set", "x=1")
    assert done.returncode == 2  # a sweep has axes, no --set
    recipe.write_text(json.dumps({**RECIPE, "batch": 1, "segments": [{"end": 2}, {"end": 4, "prompt": "a car"}]}))
    done = run(
        models, tmp_path, "sweep", recipe, "--axis", "segments.0.end=0:4", "--animate", film, "--out", out, "--json"
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(row["segments.0.end"] for row in rows) == [0, 1, 2, 3, 4]
    assert sum(row["model_calls"] for row in rows) == 4 + 4 + 3 + 2 + 1
    assert len(list(out.glob("*.png"))) == 6 and len(list(out.glob("*-grid.png"))) == 1 and film.is_file()


@pytest.fixture
def here(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command line in this process: exit status, stdout and stderr."""

    def call(*words: str | Path) -> tuple[int, str, str]:
        status = main(["--models", str(models), "--data", str(tmp_path / "data"), "--device", "cpu", *map(str, words)])
        return (status, *capsys.readouterr())

    return call


def test_kept_runs_are_listed_continued_and_deleted(
    here: Callable[..., tuple[int, str, str]], tmp_path: Path, recipe: Path
) -> None:
    rest = [
        "generate",
        recipe,
        "--set",
        "batch=1",
        "--set",
        "width=64",
        "--set",
        "height=64",
        "--out",
        tmp_path / "out",
        "--json",
    ]
    assert here("--keep", "0.1", *rest)[0] == 0
    (row,) = [json.loads(line) for line in here("kept", "--json")[1].splitlines()]
    assert row["kept_steps"] == 4 and row["bytes"] > 0 and row["recipe"]["prompt"] == "a red apple"
    init = json.dumps({"trajectory": row["steps"][2]["key"], "start": row["steps"][2]["start"]})
    _, out, _ = here("--keep", "0.1", *rest, "--set", f"init={init}", "--set", "prompt=a blue car")
    assert json.loads(out)["model_calls"] == 1
    again = json.loads(here("--keep", "0.1", *rest)[1])
    assert (again["model_calls"], again["reused_steps"]) == (0, 4)
    for line in here("kept", "--json")[1].splitlines():
        assert here("kept", "--delete", json.loads(line)["id"])[0] == 0
    assert here("kept")[:2] == (0, "")
    status, _, said = here(*rest, "--set", f"init={init}")
    assert status == 1 and "is gone" in said


def test_a_latent_for_comfyui_and_from_it(
    here: Callable[..., tuple[int, str, str]], tmp_path: Path, recipe: Path
) -> None:
    file, out = tmp_path / "half.latent", tmp_path / "out"
    assert here("generate", recipe, "--out", out, "--latent", file, "--set", "batch=1")[0] == 0
    assert load_file(file)["latent_tensor"].shape == (1, 4, 16, 16)
    status, said, _ = here("generate", recipe, "--out", out, "--init", file, "--set", "init.denoise=0.5", "--json")
    assert status == 0 and len(said.splitlines()) == 2
