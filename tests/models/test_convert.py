"""Pickles become safetensors files when somebody asks for it, and run nothing."""

import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from app import main
from core import Pipeline
from core.errors import DamagedFile, ModelError
from core.models.convert import convert
from core.recipe import parse

VECTORS = torch.randn(2, 128, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kept", [dict, nn.ParameterDict])
def test_an_embedding_of_a1111_acts_as_its_safetensors_twin(models: Path, tmp_path: Path, kept: type) -> None:
    root = tmp_path / "models"
    (root / "embeddings").mkdir(parents=True)
    shutil.copytree(models / "demo", root / "demo", copy_function=os.link)
    save_file({"emb_params": VECTORS}, root / "embeddings" / "twin.safetensors")
    older = {"string_to_token": {"*": 265}, "string_to_param": kept({"*": nn.Parameter(VECTORS)}), "name": "older"}
    torch.save(older, root / "embeddings" / "older.pt")
    assert convert(root / "embeddings" / "older.pt") == root / "embeddings" / "older.safetensors"
    assert load_file(root / "embeddings" / "older.safetensors")["string_to_param.*"].equal(VECTORS)
    pipe = Pipeline(models=root, device="cpu", data=tmp_path / "data")
    recipe = {"stepwise": 1, "seed": 7, "steps": 2, "width": 64, "height": 64}
    twin, made, without = (
        pipe.generate(parse(recipe | {"prompt": f"a red apple {name}"})).latents
        for name in ("embedding:twin", "embedding:older", "")
    )
    assert made.equal(twin) and not made.equal(without)


def test_a_checkpoint_keeps_its_names_and_shared_weights(tmp_path: Path) -> None:
    weight = torch.arange(6.0).view(2, 3)
    state = {"model.a.weight": weight, "model.b.weight": weight, "model.half": weight.half().t()}
    torch.save({"state_dict": state, "global_step": 5, "epoch": 1}, tmp_path / "old.ckpt")
    made = load_file(convert(tmp_path / "old.ckpt", tmp_path / "new.safetensors"))
    assert made.keys() == state.keys() and all(made[name].equal(state[name]) for name in state)
    assert not list(tmp_path.glob(".*"))


class Trap:
    """What a hostile pickle does: a command on opening."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("bare", [False, True])
def test_code_in_a_pickle_is_never_run(tmp_path: Path, bare: bool) -> None:
    file, hostile = tmp_path / "trap.pt", {"weight": Trap(tmp_path / "caught")}
    if bare:
        file.write_bytes(pickle.dumps(hostile, protocol=2))
    else:
        torch.save(hostile, file)
    with pytest.raises(DamagedFile, match=r"^trap\.pt holds more than tensors, so it is not opened"):
        convert(file)
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_converted_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": torch.zeros(2000)}, tmp_path / "cut.bin")
    (tmp_path / "cut.bin").write_bytes((tmp_path / "cut.bin").read_bytes()[:3000])
    torch.save({"step": 3}, tmp_path / "none.pth")
    torch.save(torch.zeros(1), tmp_path / "there.pt")
    (tmp_path / "there.safetensors").write_bytes(b"mine")
    for name, kind, said in (
        ("cut.bin", DamagedFile, "cut.bin is damaged: download it again"),
        ("none.pth", DamagedFile, "none.pth holds no tensors"),
        ("there.pt", ModelError, "there.safetensors is there already"),
        ("away.pt", ModelError, "away.pt cannot be read: No such file"),
        ("there.safetensors", ModelError, "there.safetensors is no pickle file"),
    ):
        with pytest.raises(kind, match=said):
            convert(tmp_path / name)
    assert (tmp_path / "there.safetensors").read_bytes() == b"mine"
    assert main(["convert", str(tmp_path / "none.pth")]) == 1
    assert capsys.readouterr().err == "none.pth holds no tensors: there is nothing to convert.\n"
    assert main(["convert", str(tmp_path / "there.pt"), "-o", str(tmp_path / "out.safetensors")]) == 0
    assert load_file(tmp_path / "out.safetensors")["weight"].equal(torch.zeros(1))
