"""Memory while a single file of Z-Image or Flux.1 is loaded: full width, few layers, measured in a process of its own (Linux).

python -m bench.loading            writes, loads and removes files of 0.5 to 1 GB, one after the other
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from bench.starting import ROOT

FEW = {"z_image": {"n_layers": 1, "n_refiner_layers": 1}, "flux": {"num_layers": 1, "num_single_layers": 1}}


def load(here: Path) -> dict[str, float]:
    """The most memory that loading took, as a share of the model's own, for each layout."""
    found: dict[str, float] = {}
    for family in FEW:
        shapes = makers_shapes(family)
        for layout, write in LAYOUTS.items():
            path = write(shapes, here / f"{family}-{layout}")
            told = subprocess.run(
                [sys.executable, "-m", "bench.loading", family, str(path)],
                cwd=ROOT,
                check=True,
                capture_output=True,
                text=True,
            )
            path.unlink()
            measured = json.loads(told.stdout)
            found[f"{family}, {layout}: peak / the model's {measured['model'] / 1e9:.2f} GB"] = (
                measured["peak"] / measured["model"]
            )
            found[f"{family}, {layout}: seconds"] = measured["seconds"]
    return found


def makers_shapes(family: str) -> dict[str, tuple[int, ...]]:
    """Of the weights in such a file, by its makers' names."""
    import diffusers

    from core.families import FAMILIES, configs_of
    from core.models import dit_names
    from core.models.loader import made, read_json
    from core.models.weights import build

    record = FAMILIES[family]
    config = read_json(configs_of(record) / "transformer.json") | FEW[family]
    state = build(lambda: made(getattr(diffusers, record.denoiser.kind), config)).state_dict()
    place: Callable[[str, int], dit_names.Place] = {"z_image": dit_names.z_image_place, "flux": dit_names.flux_place}[
        family
    ]
    width = config.get("dim") or config["num_attention_heads"] * config["attention_head_dim"]
    shapes: dict[str, tuple[int, ...]] = {}
    for key, tensor in state.items():
        name, _ = place(key, width)
        before = shapes[name][0] if name in shapes else 0
        shapes[name] = (before + tensor.shape[0], *tensor.shape[1:])
    return shapes


def bf16(shapes: Mapping[str, tuple[int, ...]], path: Path) -> Path:
    save_file(
        {name: torch.full(shape, 0.01, dtype=torch.bfloat16) for name, shape in shapes.items()},
        path.with_suffix(".safetensors"),
    )
    return path.with_suffix(".safetensors")


def scaled_fp8(shapes: Mapping[str, tuple[int, ...]], path: Path) -> Path:
    state: dict[str, Tensor] = {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    for name, shape in shapes.items():
        matrix = len(shape) == 2 and name.endswith(".weight")
        state[name] = torch.full(shape, 0.5, dtype=torch.float8_e4m3fn if matrix else torch.bfloat16)
        if matrix:
            state[name.removesuffix("weight") + "scale_weight"] = torch.tensor(0.02)
    save_file(state, path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors")


def q8_0(shapes: Mapping[str, tuple[int, ...]], path: Path) -> Path:
    import gguf
    import numpy as np

    kinds, path = gguf.GGMLQuantizationType, path.with_suffix(".gguf")
    writer = gguf.GGUFWriter(path, "bench")
    for name, shape in shapes.items():
        if len(shape) == 2 and shape[1] % 32 == 0:
            blocks = np.full((shape[0], shape[1] // 32 * 34), 1, dtype=np.uint8)
            writer.add_tensor(name, blocks, raw_dtype=kinds.Q8_0)
        else:
            writer.add_tensor(name, np.full(shape, 0.01, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


LAYOUTS = {"bf16": bf16, "scaled fp8": scaled_fp8, "GGUF Q8_0": q8_0}


def measure(family: str, path: Path) -> dict[str, float]:
    """Bytes of the model and at the peak, imports left out, and seconds."""
    import diffusers
    import gguf.quants  # noqa: F401  # like diffusers' class: its import is not what is measured

    from core.families import FAMILIES, configs_of
    from core.models.companions import PartFile
    from core.models.parts import read_denoiser
    from core.models.weights import byte_size

    record = FAMILIES[family]
    getattr(diffusers, record.denoiser.kind)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before, began = resident("VmRSS"), time.perf_counter()
    net: Any = read_denoiser(PartFile(path=path), configs_of(record), record.denoiser, lambda _: torch.bfloat16)[0]
    return {"model": byte_size(net), "peak": resident("VmHWM") - before, "seconds": time.perf_counter() - began}


def resident(word: str) -> int:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[word].split()[0]) * 1024


def main() -> None:
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
        return
    with tempfile.TemporaryDirectory() as scratch:
        for name, value in load(Path(scratch)).items():
            print(f"{name:60} {value:8.3f}")


if __name__ == "__main__":
    main()
