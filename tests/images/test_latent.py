"""ComfyUI's .latent files, in and out: the right factors, and no file that breaks anything."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from core import Pipeline, Result
from core.errors import ImageError, RecipeError
from core.events import ImageDone, StepDone
from core.families.base import LatentFormat
from core.images import latent
from core.images.inputs import InputStore
from core.keeping import kept_step
from core.recipe import parse
from core.sampling import SamplerState
from core.sampling.model_sampling import EpsDiscrete, Flow

APPLE = {"stepwise": 1, "prompt": "a red apple", "seed": 7, "steps": 6, "width": 64, "height": 64}
Z = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))


def comfyui(**tensors: torch.Tensor) -> bytes:
    """As SaveLatent writes it: with the graph in the metadata."""
    return save(tensors, metadata={"prompt": json.dumps({"3": {"class_type": "KSampler"}})})


def test_a_file_comes_back_exact_and_is_read_as_comfyui_reads_it() -> None:
    assert torch.equal(latent.read(latent.write(Z)), Z)
    assert set(load(latent.write(Z))) == {"latent_tensor", "latent_format_version_0"}
    assert torch.equal(latent.read(comfyui(latent_tensor=Z, latent_format_version_0=torch.tensor([]))), Z)
    old = latent.read(comfyui(latent_tensor=Z))  # before there were versions: SD1.5's sampler units
    assert torch.allclose(old * 0.18215, Z)
    half = latent.read(comfyui(latent_tensor=Z.half(), latent_format_version_0=torch.tensor([])))
    assert half.dtype == torch.float32 and torch.equal(half, Z.half().float())


def test_a_latent_is_an_input_by_its_content(tmp_path: Path) -> None:
    store = InputStore(tmp_path / "inputs")
    (tmp_path / "picture.png").write_bytes(comfyui(latent_tensor=Z, latent_format_version_0=torch.tensor([])))
    name = store.add(tmp_path / "picture.png")
    assert name == store.add(latent.write(Z)) and torch.equal(store.latent(name), Z)
    assert store.latent("a" * 64) is None
    with pytest.raises(ImageError, match="latent"):
        store.open(name)


def lying(shape: list[int], dtype: str = "F32", size: int = 16) -> bytes:
    header = json.dumps({"latent_tensor": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size)


@pytest.mark.parametrize(
    "data",
    [
        latent.write(Z)[:-7],
        latent.write(Z)[:40],
        latent.write(Z) + b"more",
        save({"samples": Z}),
        save({"latent_tensor": Z[0]}),
        save({"latent_tensor": Z.expand(3, 4, 8, 8).contiguous()}),
        save({"latent_tensor": torch.zeros(1, 4, 0, 8)}),
        save({"latent_tensor": torch.zeros(1, 1, 1, 600)}),
        save({"latent_tensor": torch.zeros(1, 200, 1, 1)}),
        save({"latent_tensor": torch.zeros(1, 4, 8, 8, dtype=torch.int64)}),
        save({"latent_tensor": torch.full((1, 4, 8, 8), float("nan"))}),
        save({"latent_tensor": torch.full((1, 4, 8, 8), float("inf"))}),
        lying([1, 4, 2**31, 2**31]),
        lying([2**62, 4, 8, 8]),
        lying([-1, 4, 8, 8]),
        lying([1, 4, 8, 8]),
        lying([1, 1, 2, 2], dtype="F8_E4M3", size=4),
        lying([1, 1, 2, 2], dtype="PICKLE"),
        struct.pack("<Q", 5) + b"{{{{{" + bytes(20),
        struct.pack("<Q", 2) + b"{}",
    ],
)
def test_a_hostile_file_is_a_sentence(tmp_path: Path, data: bytes) -> None:
    store = InputStore(tmp_path)
    try:
        name = store.add(data)
    except ImageError as error:
        assert str(error).endswith(".") and "\n" not in str(error)
        assert not [*tmp_path.iterdir()], "nothing of it is kept"
    else:  # eight bits a number, which torch reads as floating point
        assert torch.isfinite(store.latent(name)).all()


def test_a_latent_with_noise_left_has_its_level_undone() -> None:
    """facts: eps x / scale; flow x / (1 - sigma), then the format's own factor and shift."""
    x = torch.randn(1, 16, 4, 4)
    flow_form, eps_form = (
        LatentFormat(channels=16, scale=0.3611, shift=0.1159),
        LatentFormat(channels=16, scale=0.18215),
    )

    def kept(form: LatentFormat, model_sampling: Any, sigma: float) -> torch.Tensor:
        leg = SimpleNamespace(model_sampling=model_sampling, sigmas=(1.0, sigma))
        step: Any = SimpleNamespace(leg=leg, index=0, sampler="euler")
        denoiser: Any = SimpleNamespace(model=SimpleNamespace(latent_format=form))
        return kept_step(denoiser, step, SamplerState(x)).latent()

    assert torch.allclose(kept(flow_form, Flow(3.0), 0.913146), x / (1 - 0.913146) / 0.3611 + 0.1159, rtol=1e-5)
    assert torch.allclose(kept(eps_form, EpsDiscrete(), 7.0), x / 0.18215, rtol=1e-6)


@pytest.fixture(scope="module")
def pipe(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(models=models, device="cpu", data=tmp_path_factory.mktemp("latents"))


@pytest.fixture
def run(pipe: Pipeline) -> Callable[..., list[Any]]:
    return lambda **fields: list(pipe.run(parse({**APPLE, **fields})))


def test_a_run_in_two_halves_over_a_file_is_comfyui_s_restart(pipe: Pipeline, run: Callable[..., list[Any]]) -> None:
    first = [event for event in run(segments=[{"end": 3, "leftover_noise": True}]) if isinstance(event, ImageDone)]
    name = pipe.inputs.add(latent.write(first[0].vae_latent))
    second = [
        e for e in run(init={"image": name}, segments=[{"start": 3, "add_noise": False}]) if isinstance(e, ImageDone)
    ]
    whole = [event for event in run(segments=[{"end": 3}, {"border": "restart"}]) if isinstance(event, ImageDone)]
    assert torch.equal(second[0].latent, whole[0].latent)
    key = next(event.key for event in run() if isinstance(event, StepDone) and event.step == 3)
    step = pipe.trajectories.get(key)
    assert step is not None and torch.allclose(step.latent(), first[0].vae_latent, rtol=1e-6)


def test_a_finished_picture_s_latent_decodes_to_it(pipe: Pipeline, run: Callable[..., list[Any]]) -> None:
    (done,) = [event for event in run() if isinstance(event, ImageDone)]
    name = pipe.inputs.add(latent.write(done.vae_latent))
    result: Result = pipe.generate(parse({**APPLE, "init": {"image": name, "denoise": 0.05}, "steps": 1}))
    a, b = (torch.tensor(list(picture.tobytes()), dtype=torch.float32) for picture in (done.picture, result.images[0]))
    assert (a - b).abs().mean() < 20, "hardly any noise was added to it"


@pytest.mark.parametrize("given", [torch.zeros(1, 16, 8, 8), torch.zeros(1, 4, 8, 16)])
def test_what_does_not_fit_is_said(pipe: Pipeline, given: torch.Tensor) -> None:
    name = pipe.inputs.add(latent.write(given))
    with pytest.raises(RecipeError, match="starting latent"):
        pipe.generate(parse({**APPLE, "init": {"image": name}}))
