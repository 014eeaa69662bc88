"""LoRAs in a run: against a model merged by hand, at any step, with and without kept steps, and without a trace."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from core import Pipeline, Result
from core.errors import ModelError, RecipeError, UnknownName
from core.events import Planned, StepDone
from core.pipeline import Wish
from core.recipe import parse

BASE = {
    "stepwise": 1, "prompt": "a red apple", "seed": 7, "steps": 5, "cfg": 4.0, "width": 64, "height": 64, "sampler": "euler",
}  # fmt: skip
ROOT = Path(__file__).parents[1]
RANK, ALPHA = 4, 2.0
SCALE = ALPHA / RANK


def factors(weights: dict[str, Tensor], seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """up and down for the attention's matrices, sized so that their effect is plain to see."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for name, w in sorted(weights.items()):
        if w.ndim == 2 and name.endswith(("to_q.weight", "to_v.weight", "q_proj.weight", "v_proj.weight")):
            up, down = (torch.randn(shape, generator=generator) for shape in ((w.shape[0], RANK), (RANK, w.shape[1])))
            found[name.removesuffix(".weight")] = (up * w.float().std(), down)
    return found


def kohya(path: Path, **parts: dict[str, tuple[Tensor, Tensor]]) -> None:
    """A file in kohya's layout: prefix, underscores, alpha."""
    tensors: dict[str, Tensor] = {}
    for prefix, modules in parts.items():
        for module, (up, down) in modules.items():
            key = f"{prefix}_{module.replace('.', '_')}"
            tensors |= {
                f"{key}.lora_up.weight": up,
                f"{key}.lora_down.weight": down,
                f"{key}.alpha": torch.tensor(ALPHA),
            }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


@pytest.fixture(scope="module")
def folder(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo, two LoRAs for it, and `merged`: the demo with 0.75 of the first in its UNet and -0.5 in its text encoder."""
    root = tmp_path_factory.mktemp("models")
    for name in ("demo", "merged"):
        shutil.copytree(models / "demo", root / name, copy_function=os.link)
    files = {"unet": "unet/diffusion_pytorch_model.safetensors", "text": "text_encoder/model.safetensors"}
    weights = {part: load_file(root / "demo" / file) for part, file in files.items()}
    for seed, name in ((1, "ink"), (2, "sub/pixel")):
        kohya(
            root / "loras" / f"{name}.safetensors",
            lora_unet=factors(weights["unet"], seed), lora_te=plain(factors(weights["text"], seed)),
        )  # fmt: skip
    for part, strength in (("unet", 0.75), ("text", -0.5)):
        merged = {name: w.float() if w.is_floating_point() else w for name, w in weights[part].items()}
        for module, (up, down) in factors(weights[part], 1).items():
            w = merged[f"{module}.weight"]
            merged[f"{module}.weight"] = w + strength * SCALE * (up @ down)
        (root / "merged" / files[part]).unlink()
        save_file(merged, root / "merged" / files[part], metadata={"format": "pt"})
    save_file({"lora_unet_no_such_module.lora_up.weight": torch.ones(4, 2), "lora_unet_no_such_module.lora_down.weight": torch.ones(2, 4)},
              root / "loras" / "nothing.safetensors")  # fmt: skip
    partly = load_file(root / "loras" / "ink.safetensors")
    partly |= {"lora_unet_x.lora_up.weight": torch.ones(4, 2), "lora_unet_x.lora_down.weight": torch.ones(2, 4)}
    save_file(partly, root / "loras" / "partly.safetensors")
    big = {
        f"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_{way}.weight": torch.ones(2, 2) for way in ("up", "down")
    }
    save_file(big, root / "loras" / "big.safetensors")
    return root


def plain(modules: dict[str, tuple[Tensor, Tensor]]) -> dict[str, tuple[Tensor, Tensor]]:
    """kohya names a text encoder's modules from `text_model` on, whatever transformers calls them."""
    return {name if name.startswith("text_model.") else f"text_model.{name}": pair for name, pair in modules.items()}


@pytest.fixture(scope="module")
def bare(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(models=folder, device="cpu", trajectory_bytes=0, data=tmp_path_factory.mktemp("bare"))


@pytest.fixture
def keeping(folder: Path, tmp_path: Path) -> Pipeline:
    return Pipeline(models=folder, device="cpu", data=tmp_path)


def made(pipe: Pipeline, *segments: dict[str, Any], **fields: Any) -> Result:
    return pipe.generate(parse({**BASE, "segments": list(segments), **fields}))


def lora(model: object = 1.0, text: object = None, name: str = "ink") -> dict[str, object]:
    return {"name": name, "model": model, "text": model if text is None else text}


def close(one: Result, other: Result) -> bool:
    return torch.allclose(one.latents, other.latents, atol=2e-4)


class Operations(TorchDispatchMode):
    """Counts what torch is asked to do, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[str(func)] += 1
        return func(*args, **(kwargs or {}))


def of_a_step(pipe: Pipeline, **fields: Any) -> Counter[str]:
    """The operations of the last of five steps: those of five less those of four. The first run is for loading and encoding."""
    counts: list[Counter[str]] = []
    for steps in (4, 4, 5):
        with Operations() as operations:
            made(pipe, steps=steps, **fields)
        counts.append(operations.counts)
    return counts[2] - counts[1]


def test_a_constant_lora_costs_nothing_in_a_step(bare: Pipeline) -> None:
    """The same operations on weights of the same shape, where an adapter beside them adds three a layer."""
    without, with_it = of_a_step(bare), of_a_step(bare, loras=[lora(0.8)])
    assert without.total() > 100
    assert with_it == without


def test_a_lora_is_the_model_merged_by_hand(bare: Pipeline) -> None:
    with_it = made(bare, loras=[lora(0.75, -0.5)])
    assert close(with_it, made(bare, model="merged"))
    assert not close(with_it, made(bare))
    assert not close(with_it, made(bare, loras=[lora(0.75, 0.0)]))  # the text encoder's part is no ornament


@pytest.mark.parametrize("level", ["resident", "swap"])
def test_it_leaves_not_one_bit_behind(folder: Path, tmp_path: Path, level: str) -> None:
    pipe = Pipeline(models=folder, device="cpu", trajectory_bytes=0, data=tmp_path, memory=level)
    first, patched, third = made(pipe), made(pipe, loras=[lora()]), made(pipe)
    assert pipe.residency is not None and pipe.residency.level == level
    assert torch.equal(first.latents, third.latents) and first.images[0].tobytes() == third.images[0].tobytes()
    assert not close(first, patched) and first.stats.model_calls == third.stats.model_calls


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_sde"])
def test_a_switch_in_the_middle_is_the_switch_to_the_merged_model(bare: Pipeline, sampler: str) -> None:
    switched = made(bare, {"end": 2}, {"loras": [lora(0.75, -0.5)]}, sampler=sampler)
    assert close(switched, made(bare, {"end": 2}, {"model": "merged"}, sampler=sampler))
    back = made(bare, {"end": 2}, {"end": 3, "loras": [lora(0.75, -0.5)]}, {}, sampler=sampler)
    assert close(back, made(bare, {"end": 2}, {"end": 3, "model": "merged"}, {}, sampler=sampler))
    assert not close(back, switched)


def test_a_schedule_is_the_segments_written_out(bare: Pipeline) -> None:
    schedule = {"0": 0.0, "2": 0.5, "3": -1.0}
    written = [{"end": 2, "loras": []}, {"end": 3, "loras": [lora(0.5)]}, {"loras": [lora(-1.0)]}]
    for sampler in ("euler", "dpmpp_2m"):  # a LoRA's change keeps the history
        one, other = made(bare, loras=[lora(schedule)], sampler=sampler), made(bare, *written, sampler=sampler)
        assert torch.equal(one.latents, other.latents)


def test_a_tag_is_an_entry_of_the_list(bare: Pipeline, keeping: Pipeline) -> None:
    listed = made(bare, loras=[lora(0.5, 0.25), lora(name="sub/pixel")], prompt="a red apple ")
    tagged = made(bare, loras=[lora(0.5, 0.25)], prompt="a red apple <lora:sub/pixel>")
    assert torch.equal(listed.latents, tagged.latents) and tagged.recipe.prompt.endswith("<lora:sub/pixel>")
    assert torch.equal(bare.generate(tagged.recipe).latents, tagged.latents)
    made(keeping, prompt="a red apple")
    absent = made(keeping, prompt="a red<lora:ink:0> apple", loras=[lora(0.0)])
    assert absent.stats.model_calls == 0 and torch.equal(absent.latents, made(bare).latents)
    edited = made(bare, prompt="a red apple[<lora:ink:0.5>::3]")
    assert torch.equal(edited.latents, made(bare, {"end": 3, "loras": [lora(0.5)]}, {}).latents)


def test_twice_is_the_sum_and_the_order_changes_no_more_than_rounding(bare: Pipeline) -> None:
    assert close(made(bare, loras=[lora(0.25), lora(0.5)]), made(bare, loras=[lora(0.75)]))
    ink, pixel = lora(0.5), lora(0.5, name="sub/pixel")
    one, other = made(bare, loras=[ink, pixel]), made(bare, loras=[pixel, ink])
    assert close(one, other) and not close(one, made(bare, loras=[ink]))
    assert torch.equal(one.latents, made(bare, loras=[ink, pixel]).latents)


def test_kept_steps_stand_in_for_patched_ones(bare: Pipeline, keeping: Pipeline) -> None:
    made(keeping)
    late: Callable[[Pipeline], Result] = lambda pipe: made(pipe, {"end": 3}, {"loras": [lora(1.0, 0.0)]})  # noqa: E731
    kept, fresh = late(keeping), late(bare)
    assert torch.equal(kept.latents, fresh.latents) and kept.stats.reused_steps == 3
    assert late(keeping).stats.model_calls == 0
    assert made(keeping, loras=[lora(0.0, 0.5)]).stats.reused_steps == 0  # the words' bytes are others


def test_a_stop_in_the_middle_of_patched_steps_leaves_no_trace(bare: Pipeline) -> None:
    before, done = made(bare), list[StepDone]()

    def stop() -> Wish:
        return "now" if len(done) == 2 else None

    for event in bare.run(parse({**BASE, "loras": [lora()]}), stop=stop):
        done += [event] if isinstance(event, StepDone) else []
    assert len(done) == 2 and torch.equal(made(bare).latents, before.latents)


def test_what_is_said_and_carried(bare: Pipeline) -> None:
    events = list(bare.run(parse({**BASE, "prompt": "a <lora:partly:0.5>", "loras": [lora()]})))
    notes = [str(note) for note in next(event for event in events if isinstance(event, Planned)).notes]
    assert notes[0].startswith("<lora:partly:0.5> in the prompt is LoRA partly: strength 0.5 on the model")
    assert "parts fit demo, the rest is left out" in notes[1] and len(notes) == 2
    hashes = json.loads(events[-1].made_with["lora_hashes"])
    assert list(hashes) == ["ink", "partly"] and all(len(value) == 64 for value in hashes.values())


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"loras": [{"name": "nobody"}]}, UnknownName, "nobody"),
        ({"loras": [{"name": "../demo/unet/diffusion_pytorch_model"}]}, UnknownName, "Unknown LoRA"),
        ({"prompt": "<lora:nobody:0>"}, UnknownName, "nobody"),
        ({"loras": [{"name": "big"}]}, ModelError, "SDXL"),
        ({"loras": [{"name": "nothing"}]}, ModelError, "nothing"),
        ({"negative": "<lora:ink>"}, RecipeError, "negative"),
    ],
)
def test_refusals(bare: Pipeline, fields: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        made(bare, **fields)
    assert made(bare, steps=1).images


def test_the_command_line(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "recipe.json"
    file.write_text(json.dumps({**BASE, "steps": 1, "loras": [lora()]}))

    def run(*changes: str) -> subprocess.CompletedProcess[str]:
        common = [
            "--models",
            folder,
            "--data",
            tmp_path / "data",
            "--device",
            "cpu",
            "generate",
            file,
            "--out",
            tmp_path / "out",
        ]
        sets = [word for change in changes for word in ("--set", change)]
        command = [sys.executable, str(ROOT / "app.py"), *map(str, common), *sets, "--json"]
        return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)

    done = run("prompt=a <lora:sub/pixel:0.5>", "segments.0.end=1", "segments.1.model=merged")
    assert done.returncode == 0, done.stderr
    assert "<lora:sub/pixel:0.5> in the prompt is LoRA sub/pixel" in done.stderr
    assert len(done.stdout.splitlines()) == 1 and json.loads(done.stdout)["model_calls"] == 1
    refused = run("loras.0.name=nobody")
    assert refused.returncode == 1 and refused.stderr.startswith("Unknown LoRA 'nobody'") and not refused.stdout
