"""Models that change in the middle of a run, against loops written by hand on the same networks."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from core import Pipeline, Result
from core.errors import RecipeError, UnknownName
from core.events import Planned, StepDone
from core.families import load
from core.families.base import Conditioning, LoadedModel, TextRequest
from core.models.library import Library
from core.recipe import parse
from core.sampling import make_sigmas, sample, starting_noise
from core.sampling.model_sampling import EpsDiscrete
from tests.tiny_models import sdxl

BASE = {
    "stepwise": 1, "prompt": "a red apple", "negative": "a dog", "seed": 7, "steps": 5, "cfg": 4.0, "width": 64, "height": 64,
    "sampler": "euler", "scheduler": "normal",
}  # fmt: skip
CPU = torch.device("cpu")
Make = Callable[..., Result]


@pytest.fixture(scope="module")
def two(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the demo, a twin of other weights (text encoder too), one that predicts v, and an SDXL."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("demo", "twin", "v"):
        shutil.copytree(models / "demo", folder / name, copy_function=os.link)
    torch.manual_seed(0)
    for part, file in (("unet", "diffusion_pytorch_model"), ("text_encoder", "model")):
        path = folder / "twin" / part / f"{file}.safetensors"
        weights = {
            name: w + 0.05 * w.std() * torch.randn_like(w) for name, w in load_file(path).items() if w.numel() > 1
        }
        rest = {name: w for name, w in load_file(path).items() if name not in weights}
        path.unlink()
        save_file(weights | rest, path, metadata={"format": "pt"})
    config = folder / "v" / "scheduler" / "scheduler_config.json"
    changed = json.loads(config.read_text()) | {"prediction_type": "v_prediction"}
    config.unlink()
    config.write_text(json.dumps(changed))
    sdxl(folder / "big")
    return folder


@pytest.fixture(scope="module")
def bare(two: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(models=two, device="cpu", trajectory_bytes=0, data=tmp_path_factory.mktemp("bare"))


@pytest.fixture
def keeping(two: Path, tmp_path: Path) -> Pipeline:
    return Pipeline(models=two, device="cpu", data=tmp_path)


def made(pipe: Pipeline, *segments: dict[str, Any], **fields: Any) -> Result:
    return pipe.generate(parse({**BASE, "segments": list(segments), **fields}))


def guided(model: LoadedModel) -> Callable[[Tensor, Tensor], Tensor]:
    """Denoised at cfg 4 by the formulas alone: the net sees x / sqrt(sigma^2 + 1), both halves in one pass."""
    words = [model.encode_text(TextRequest(text=text)).context for text in (BASE["negative"], BASE["prompt"])]

    def denoised(x: Tensor, sigma: Tensor) -> Tensor:
        net_input, s = x / (sigma**2 + 1).sqrt(), float(sigma[0])
        t = EpsDiscrete().timestep(s)
        eps = model.forward(
            torch.cat([net_input] * 2), torch.full((2,), float(t)), Conditioning(context=torch.cat(words))
        )
        negative, positive = (x - e * sigma for e in eps.chunk(2))
        return negative + 4.0 * (positive - negative)

    return denoised


@torch.inference_mode()
def by_hand(folder: Path, sampler: str, cut: int) -> Tensor:
    """`cut` steps of the demo, its history forgotten, the rest with the twin."""
    library = Library(folder)
    first, second = (guided(load(library.model(name), device=CPU)) for name in ("demo", "twin"))
    sigmas = make_sigmas("normal", 5, EpsDiscrete())
    shape = (1, 4, 64 // 8, 64 // 8)
    start = starting_noise([7], shape) * (1 + sigmas[0] ** 2).sqrt()
    half = sample(first, start, sigmas, sampler, model_sampling=EpsDiscrete(), stop=cut)
    return sample(second, None, sigmas, sampler, model_sampling=EpsDiscrete(), state=half.forget()).x


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m"])
def test_a_switch_is_two_loops_by_hand(bare: Pipeline, two: Path, sampler: str) -> None:
    result = made(bare, {"end": 3}, {"model": "twin"}, sampler=sampler)
    expected = by_hand(two, sampler, 3)
    assert torch.allclose(result.latents, expected, atol=1e-4)
    assert not torch.allclose(made(bare, sampler=sampler).latents, expected, atol=1e-2)


def test_a_model_named_again_is_no_change(bare: Pipeline) -> None:
    whole, cut = made(bare, sampler="dpmpp_2m"), made(bare, {"end": 2}, {"model": "demo"}, sampler="dpmpp_2m")
    assert torch.equal(whole.latents, cut.latents)
    assert torch.equal(made(bare, model="twin").latents, made(bare, {"model": "twin"}).latents)


def test_kept_steps_stand_in_and_a_run_goes_on_with_another_model(bare: Pipeline, keeping: Pipeline) -> None:
    switched = ({"end": 2}, {"end": 4, "model": "twin"}, {})
    fresh = made(bare, *switched, sampler="dpmpp_2m")
    plain = [event for event in keeping.run(parse({**BASE, "sampler": "dpmpp_2m"})) if isinstance(event, StepDone)]
    kept = made(keeping, *switched, sampler="dpmpp_2m")
    assert torch.equal(kept.latents, fresh.latents) and kept.stats.reused_steps == 2
    again = made(keeping, sampler="dpmpp_2m", model="twin", init={"trajectory": plain[1].key, "start": 2})
    assert torch.equal(again.latents, made(bare, {"end": 2}, {"model": "twin"}, sampler="dpmpp_2m").latents)


def test_a_switch_is_said_and_every_model_is_named(bare: Pipeline) -> None:
    events = list(bare.run(parse({**BASE, "segments": [{"end": 3}, {"model": "twin"}]})))
    planned = next(event for event in events if isinstance(event, Planned))
    assert [str(note) for note in planned.notes] == [
        "Segment 2 goes on with twin: what the sampler remembers of earlier steps is dropped there."
    ]
    hashes = json.loads(events[-1].made_with["model_hashes"])
    assert list(hashes) == ["demo", "twin"] and len(set(hashes.values())) == 2
    assert events[-1].made_with["model_hash"] == hashes["demo"]
    assert "model_hashes" not in made_with(bare)
    assert torch.equal(bare.generate(planned.recipe).latents, events[-1].latent)


def made_with(pipe: Pipeline) -> dict[str, str]:
    return list(pipe.run(parse({**BASE, "steps": 1})))[-1].made_with


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        ("big", RecipeError, "big (SDXL) works in other latents than demo (SD1.5)"),
        ("v", RecipeError, "v predicts v and demo eps"),
        ("nobody", UnknownName, "nobody"),
    ],
)
def test_models_that_do_not_go_together_are_refused_before_anything_is_read(
    bare: Pipeline, model: str, error: type[Exception], words: str
) -> None:
    recipe = parse({**BASE, "segments": [{"end": 3}, {"model": model}]})
    for refuse in (bare.resolve, bare.plan, lambda it: next(iter(bare.run(it)))):
        with pytest.raises(error) as caught:
            refuse(recipe)
        assert words in str(caught.value)


def test_companions_are_those_that_would_not_be_refused(bare: Pipeline) -> None:
    assert bare.companions("demo") == ("twin",) and bare.companions("big") == ()
