"""Runs on every level of memory, on tiny models: the same bits, LoRAs without a trace, and memory that runs out in the middle."""

import hashlib
import json
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import app
from core import Pipeline, Result
from core.errors import ModelError, OutOfMemory, UnknownName
from core.events import ImageDone, StepDone
from core.images import png
from core.models.memory import Memory
from core.models.residency import LEVELS, Residency
from core.models.streaming import Straight, tensors_of
from core.models.weights import byte_size
from core.recipe import parse
from tests import tiny_models

BASE = {
    "stepwise": 1,
    "prompt": "a red apple",
    "seed": 7,
    "steps": 5,
    "cfg": 1.0,
    "sampler": "euler",
    "width": 64,
    "height": 64,
}
MODELS = ("sd", "z-turbo")
NETS = {"sd": "UNet2DConditionModel", "z-turbo": "ZImageTransformer2DModel"}
# How far a picture's latents in 8 bits may lie from those in float32, of their norm: 0.02 and 0.03 were seen.
NEAR = 0.08


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both models, and for each a LoRA of every kind: low rank, DoRA, LoHa, a whole difference, a bias."""
    root = tmp_path_factory.mktemp("models")
    nets = {"sd": tiny_models.sd15(root / "sd").unet, "z-turbo": tiny_models.z_image(root / "z-turbo").transformer}
    (root / "loras").mkdir()
    for name, net in nets.items():
        save_file(every_kind(net.state_dict()), root / "loras" / f"{name}.safetensors")
    return root


def every_kind(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """In kohya's layout, on the matrices of the attention and of what follows it."""
    made = torch.Generator().manual_seed(3)
    tensors: dict[str, Tensor] = {}
    names = sorted(name for name, w in weights.items() if w.ndim == 2 and ("attn" in name or "attention" in name))
    for n, name in enumerate(names):
        key, (out, inside) = "lora_unet_" + name.removesuffix(".weight").replace(".", "_"), weights[name].shape
        size = float(weights[name].std())
        pair = {
            "lora_up.weight": torch.randn(out, 2, generator=made) * size,
            "lora_down.weight": torch.randn(2, inside, generator=made),
        }
        kinds: list[dict[str, Tensor]] = [
            pair, {**pair, "dora_scale": weights[name].norm(dim=1, keepdim=True) * 1.2},
            {"hada_w1_a": pair["lora_up.weight"], "hada_w1_b": pair["lora_down.weight"],
             "hada_w2_a": torch.randn(out, 2, generator=made), "hada_w2_b": torch.randn(2, inside, generator=made)},
            {"diff": torch.randn(out, inside, generator=made) * size},
        ]  # fmt: skip
        tensors |= {f"{key}.{role}": tensor.contiguous() for role, tensor in kinds[n % 4].items()}
    for name in [
        name
        for name, w in weights.items()
        if w.ndim == 1 and name.endswith(("time_emb_proj.bias", "adaLN_modulation.0.bias"))
    ]:
        tensors["lora_unet_" + name.removesuffix(".bias").replace(".", "_") + ".diff_b"] = (
            torch.ones_like(weights[name]) * 0.1
        )
    return tensors


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small only wait for a second one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def as_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU goes down all levels, as a GPU does."""
    monkeypatch.setattr("core.models.residency.ladder", lambda device: LEVELS)


Open = Callable[..., Pipeline]


@pytest.fixture
def opened(folder: Path, tmp_path: Path) -> Open:
    def opened(memory: str = "auto", keep: int = 0, device: str = "cpu") -> Pipeline:
        return Pipeline(models=folder, device=device, trajectory_bytes=keep, data=tmp_path, memory=memory)

    return opened


def made(pipe: Pipeline, model: str, **fields: Any) -> Result:
    return pipe.generate(parse({**BASE, "model": model, **fields}))


def lora(model: str) -> list[dict[str, object]]:
    return [{"name": model, "model": 1.2, "text": 0.0}]


def loaded(pipe: Pipeline) -> Any:
    """The model that ran last."""
    return pipe._main


def net_of(pipe: Pipeline) -> nn.Module:
    return loaded(pipe)._net


def checksum(net: nn.Module) -> str:
    data = b"".join(t.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes() for t in net.parameters())
    return hashlib.sha256(data).hexdigest()


def distance(one: Result, other: Result) -> float:
    return float((one.latents - other.latents).norm() / other.latents.norm())


@pytest.mark.parametrize("model", MODELS)
def test_a_lora_leaves_nothing_behind_on_any_level(opened: Open, model: str) -> None:
    """run, LoRA run, run. All levels but the last give the same bits; 8 bits are near, with the LoRA and without."""
    first: dict[str, Result] = {}
    patched: dict[str, Result] = {}
    for level in LEVELS:
        pipe = opened(level)
        first[level] = made(pipe, model)
        clean = checksum(net_of(pipe))
        patched[level], third = made(pipe, model, loras=lora(model)), made(pipe, model)
        assert pipe.residency is not None and pipe.residency.level == level
        assert torch.equal(first[level].latents, third.latents)
        assert first[level].images[0].tobytes() == third.images[0].tobytes()
        made(pipe, model, loras=[{"name": model, "model": 0.0}])
        assert checksum(net_of(pipe)) == clean
    for level in ("swap", "stream"):
        assert torch.equal(first[level].latents, first["resident"].latents)
        assert torch.equal(patched[level].latents, patched["resident"].latents)
    assert 0 < distance(first["fp8"], first["resident"]) < NEAR
    assert 0 < distance(patched["fp8"], patched["resident"]) < NEAR
    assert distance(patched["resident"], first["resident"]) > 2 * NEAR  # the LoRA is no ornament


@pytest.mark.parametrize("level", ["stream", "fp8"])
def test_a_lora_in_the_middle_of_a_run(opened: Open, level: str) -> None:
    """On from step 2, off from step 4: as kept steps, and as two runs of which the second goes on."""
    pipe, model = opened(level, keep=2**20), "z-turbo"
    cut = [{"end": 2}, {"end": 4, "loras": lora(model)}, {}]
    whole = made(pipe, model, segments=cut)
    assert torch.equal(made(opened(level), model, segments=cut).latents, whole.latents)
    assert made(pipe, model, segments=cut).stats.model_calls == 0
    assert made(pipe, model).stats.reused_steps == 2


def test_kept_steps_are_shared_by_levels_that_change_no_bit(opened: Open) -> None:
    first, model = opened("resident", keep=2**20), "sd"
    made(first, model)
    for level, calls in (("swap", 0), ("stream", 0), ("fp8", 5)):
        other = opened(level, keep=2**20)
        other.trajectories = first.trajectories
        assert made(other, model).stats.model_calls == calls


def test_the_level_is_carried_and_what_differs_is_said(opened: Open) -> None:
    pipe = opened("fp8")
    (done,) = [event for event in pipe.run(parse({**BASE, "model": "sd", "steps": 1})) if isinstance(event, ImageDone)]
    assert done.made_with["memory"] == "fp8" and "rounded_from_step" not in done.made_with
    assert pipe.differs(done.made_with) == () and pipe.differs({"memory": "swap"}) == ("memory",)
    pipe.memory = "stream"  # holds from the next run on
    assert str(pipe.residency).startswith("The denoiser is kept in 8 bits")
    made(pipe, "sd", steps=1)
    assert str(pipe.residency).startswith("Text encoder and denoiser come to the device block by block")
    assert pipe.differs({"memory": "resident"}) == () and pipe.differs({"memory": "fp8"}) == ("memory",)
    with pytest.raises(UnknownName, match="memory level 'small'"):
        pipe.memory = "small"
    with pytest.raises(ModelError, match="8 bits"):
        Pipeline(models=pipe.library.root, device="mps", memory="fp8")


def test_the_command_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({**BASE, "model": "sd", "steps": 1}))
    where = ["--models", str(folder), "--data", str(tmp_path / "data"), "--device", "cpu"]
    words = ["generate", str(recipe), "--out", str(tmp_path / "out"), "--json"]
    assert app.main([*where, "--memory", "stream", *words]) == 0
    row = json.loads(capsys.readouterr().out)
    assert png.read(Path(row["file"])).made_with["memory"] == "stream"
    with pytest.raises(SystemExit) as refused:
        app.main([*where, "--memory", "small", *words])
    assert refused.value.code == 2


# ------------------------------------------------------------------ how much is there


class Ledger:
    """What is on the device, counted where it comes and goes: components that move, and copies that live."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.alive = self.peak = 0
        move, copy = Memory._move, Straight.copy
        self._whole: dict[int, int] = {}

        def moved(memory: Memory, name: str, device: torch.device) -> None:
            move(memory, name, device)
            part = memory._parts[name]
            self._count(-self._whole.pop(id(part), 0))
            if device.index is not None:  # the device of the run is cpu:0, home is cpu
                self._whole[id(part)] = byte_size(part)
                self._count(byte_size(part))

        def copied(lane: Straight, homes: Sequence[Tensor]) -> tuple[list[Tensor], Any]:
            copies, token = copy(lane, homes)
            for one in copies:
                self._count(one.nbytes)
                weakref.finalize(one.untyped_storage(), self._count, -one.nbytes)
            return copies, token

        monkeypatch.setattr(Memory, "_move", moved)
        monkeypatch.setattr(Straight, "copy", copied)

    def _count(self, nbytes: int) -> None:
        self.alive += nbytes
        self.peak = max(self.peak, self.alive)


@pytest.mark.usefixtures("as_a_gpu")
@pytest.mark.parametrize(("model", "ahead"), [("z-turbo", False), ("z-turbo", True), ("sd", True)])
def test_a_budget_chooses_a_level_and_is_kept(
    opened: Open, model: str, ahead: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Free bytes capped to just what each level needs; what is there at most is counted, and is as was said or less."""
    monkeypatch.setattr("core.models.memory.lane_to", lambda device: Straight(device, ahead))
    roomy = opened("resident")
    plain, whole = made(roomy, model), loaded(roomy)
    working, needs = whole.family.working_bytes, whole.memory._needs
    peaks: dict[str, int] = {}
    for level in LEVELS:
        needed = needs.at(Residency(level, whole=False))
        monkeypatch.setattr("core.families.free_bytes", lambda device, needed=needed: needed)
        with monkeypatch.context() as counting:
            ledger = Ledger(counting)
            pipe = opened(device="cpu:0")
            result = made(pipe, model)
            assert pipe.residency is not None and pipe.residency.level == level, str(pipe.residency)
            assert 0 < ledger.peak <= needed - working
            loaded(pipe).memory.release()
            assert ledger.alive == 0
        peaks[level] = ledger.peak
        assert torch.equal(result.latents, plain.latents) == (level != "fp8")
    assert sorted(peaks.values(), reverse=True) == list(peaks.values()), peaks
    assert peaks["stream"] < peaks["swap"] < peaks["resident"], peaks


@pytest.mark.usefixtures("as_a_gpu")
def test_room_that_is_left_is_used_until_it_runs_out(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a part of the blocks fits, it stays: more is there, within what is free. Memory runs out: they leave, and the level stays."""
    monkeypatch.setattr("core.models.memory.lane_to", lambda device: Straight(device, ahead=True))
    model, roomy = "sd", opened("resident")
    plain, whole = made(roomy, model), loaded(roomy)
    needs = whole.memory._needs
    least, free = needs.at(Residency("stream")), needs.at(Residency("swap")) - 1
    for place in ("core.families.free_bytes", "core.models.memory.free_bytes"):
        monkeypatch.setattr(place, lambda device: free)
    ledger, pipe = Ledger(monkeypatch), opened(device="cpu:0")
    assert torch.equal(made(pipe, model).latents, plain.latents)
    assert least - needs.working < ledger.peak <= free - needs.working
    with monkeypatch.context() as patch:
        scarce = Scarce(patch, model, 2)
        assert torch.equal(made(pipe, model).latents, plain.latents) and scarce.calls == 6
    assert pipe.residency is not None and pipe.residency.level == "stream" and "no block" in str(pipe.residency)
    ledger.peak = 0
    assert torch.equal(made(pipe, model).latents, plain.latents) and ledger.peak <= least - needs.working


def test_resident_puts_nothing_between_a_model_and_its_call(opened: Open) -> None:
    pipe = opened("resident")
    made(pipe, "z-turbo", loras=lora("z-turbo"))
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net_of(pipe).modules())
    assert not any("forward" in vars(part) for part in net_of(pipe).modules())


# ------------------------------------------------------------------ memory that runs out


class Scarce:
    """The network raises CUDA's own error at chosen calls, and counts them all."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: str, *full_at: int) -> None:
        import diffusers

        kind = getattr(diffusers, NETS[model])
        self.calls, forward = 0, kind.forward

        def scarce(net: nn.Module, *args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls in full_at:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return forward(net, *args, **kwargs)

        monkeypatch.setattr(kind, "forward", scarce)


@pytest.mark.usefixtures("as_a_gpu")
@pytest.mark.parametrize(
    ("model", "full_at", "level"),
    [("z-turbo", (3,), "swap"), ("z-turbo", (3, 4), "stream"), ("z-turbo", (1, 4), "stream"), ("sd", (2, 6), "stream")],
)
def test_one_level_down_and_on(
    opened: Open, model: str, full_at: tuple[int, ...], level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step is computed once, and the failed call again: five steps, one call more for each time. The bits are the same."""
    for loras in ([], lora(model)):
        plain = made(opened("resident"), model, loras=loras)
        with monkeypatch.context() as patch:
            scarce = Scarce(patch, model, *full_at)
            pipe = opened()
            found = made(pipe, model, loras=loras)
        assert scarce.calls == 5 + len(full_at) and found.stats.model_calls == 5
        assert pipe.residency is not None and pipe.residency.level == level
        assert "Memory ran out" in str(pipe.residency) and torch.equal(found.latents, plain.latents)
        assert torch.equal(made(pipe, model, loras=loras).latents, plain.latents)


@pytest.mark.usefixtures("as_a_gpu")
@pytest.mark.parametrize("loras", [False, True])
@pytest.mark.parametrize(("sampler", "calls"), [("euler", 8), ("heun", 13)])
def test_rounded_in_the_middle(
    opened: Open, sampler: str, calls: int, loras: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Down to 8 bits in step 3 of 5: what follows is a run in 8 bits that goes on from step 2's state, bit for bit.

    heun calls twice a step, and memory runs out at the second call: the first one does not count, it was another model's.
    """
    model, fields = "z-turbo", {"sampler": sampler, "loras": lora("z-turbo") if loras else []}
    keeping = opened("resident", keep=2**20)
    steps = [e for e in keeping.run(parse({**BASE, **fields, "model": model})) if isinstance(e, StepDone)]
    rounding = opened("fp8", keep=2**20)
    rounding.trajectories = keeping.trajectories
    wanted = made(rounding, model, **fields, init={"trajectory": steps[1].key, "start": 2})

    first = 3 if sampler == "euler" else 6
    scarce = Scarce(monkeypatch, model, first, first + 1, first + 2)
    pipe = opened(keep=2**20)
    events = list(pipe.run(parse({**BASE, **fields, "model": model})))
    keys, last = [event.key for event in events if isinstance(event, StepDone)], events[-1]
    assert isinstance(last, ImageDone) and torch.equal(last.latent, wanted.latents)
    assert last.made_with["memory"] == "fp8" and last.made_with["rounded_from_step"] == "2"
    assert scarce.calls == calls  # five steps, three failures, and what heun had of step 3
    assert keys[:2] == [step.key for step in steps[:2]] and not {*keys[2:]} & {step.key for step in steps}
    again = opened("resident", keep=2**20)
    again.trajectories = pipe.trajectories  # nothing stands there under another's name
    reused = made(again, model, **fields)
    assert reused.stats.reused_steps == 2 and torch.equal(reused.latents, made(opened(), model, **fields).latents)


@pytest.mark.usefixtures("as_a_gpu")
def test_nothing_left_to_try_loses_no_step(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every level fails in step 4: a sentence. The three steps before stand; another size of card goes on from them."""
    pipe, model, done = opened(keep=2**20), "sd", list[StepDone]()
    with monkeypatch.context() as patch:
        scarce = Scarce(patch, model, *range(4, 100))
        with pytest.raises(OutOfMemory, match="Memory ran out while denoising: choose a smaller size"):
            for event in pipe.run(parse({**BASE, "model": model})):
                done += [event] if isinstance(event, StepDone) else []
    assert len(done) == 3 and scarce.calls == 3 + 4  # resident, swap, stream, 8 bits in parts
    other = opened("resident", keep=2**20)
    other.trajectories = pipe.trajectories
    result = made(other, model)
    assert result.stats.model_calls == 2 and torch.equal(result.latents, made(opened(), model).latents)


@pytest.mark.usefixtures("as_a_gpu")
def test_a_block_that_has_no_room(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that runs out between two blocks is the same as in the network itself."""
    plain, copy, blocks = made(opened("fp8"), "z-turbo"), Straight.copy, list[int]()

    def full(lane: Straight, homes: Sequence[Tensor]) -> tuple[list[Tensor], Any]:
        blocks.append(len(homes))
        if len(blocks) == 9:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return copy(lane, homes)

    monkeypatch.setattr(Straight, "copy", full)
    pipe = opened("stream")
    found = made(pipe, "z-turbo")
    assert pipe.residency is not None and pipe.residency.level == "fp8" and len(blocks) > 9
    assert torch.equal(found.latents, plain.latents)  # it was in the first step, so all five are in 8 bits
    assert all(not tensor.is_inference() for tensor in tensors_of(net_of(pipe)))


@pytest.mark.usefixtures("as_a_gpu")
def test_a_text_encoder_without_room_goes_down_as_far_as_helps_it(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import CLIPTextModel

    plain, forward, calls = made(opened(), "sd"), CLIPTextModel.forward, list[int]()

    def scarce(often: int) -> Callable[..., Any]:
        def run(encoder: nn.Module, *args: Any, **kwargs: Any) -> Any:
            calls.append(1)
            if len(calls) <= often:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return forward(encoder, *args, **kwargs)

        return run

    monkeypatch.setattr(CLIPTextModel, "forward", scarce(2))
    pipe = opened()
    assert torch.equal(made(pipe, "sd").latents, plain.latents)
    assert pipe.residency is not None and pipe.residency.level == "stream"
    calls.clear()
    monkeypatch.setattr(CLIPTextModel, "forward", scarce(9))
    with pytest.raises(OutOfMemory, match="Memory ran out while the prompt was read"):
        made(opened(), "sd", prompt="another")
    assert len(calls) == 3
