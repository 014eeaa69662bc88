"""GroupNorm (+ SiLU) for training in bfloat16 on a CPU, as one pass of C: the stock backward takes a third of a step.

Only the modules' forward changes while training; names and shapes of the weights stay those of diffusers.
"""

import ctypes
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SOURCE = Path(__file__).with_name("groupnorm.c")
FLAGS = ("-O3", "-march=native", "-ffast-math", "-fopenmp-simd", "-fPIC")


@cache
def library() -> ctypes.CDLL:
    """Compile once into training/work and load."""
    built = SOURCE.parent / "work" / "groupnorm.so"
    if not built.exists() or built.stat().st_mtime < SOURCE.stat().st_mtime:
        built.parent.mkdir(exist_ok=True)
        half = built.with_suffix(".o")
        subprocess.run(["cc", *FLAGS, "-c", str(SOURCE), "-o", str(half)], check=True)
        # Linked without -ffast-math: with it, loading the library would switch subnormal numbers off in the whole process.
        subprocess.run(["cc", "-shared", str(half), "-o", str(built), "-lm", "-lmvec"], check=True)
    code = ctypes.CDLL(str(built))
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    code.forward.argtypes = [pointer] * 6 + [integer] * 4 + [ctypes.c_float, integer]
    code.backward.argtypes = [pointer] * 9 + [integer] * 5
    return code


class FusedNorm(torch.autograd.Function):
    """x [N, C, H, W] -> the same shape in bfloat16, channels last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, silu: bool) -> Tensor:
        x = as_rows(x)
        sizes = (x.shape[0], x[0, 0].numel(), x.shape[1], groups)
        w, b = weight.float().contiguous(), bias.float().contiguous()
        y, mean, rstd = torch.empty_like(x), torch.empty(sizes[0] * groups), torch.empty(sizes[0] * groups)
        library().forward(*(t.data_ptr() for t in (x, y, w, b, mean, rstd)), *sizes, eps, silu)
        ctx.save_for_backward(x, w, b, mean, rstd)
        ctx.sizes, ctx.silu, ctx.dtype = sizes, silu, weight.dtype
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, w, b, mean, rstd = ctx.saved_tensors
        dy = as_rows(dy)
        dx, dw, db = torch.empty_like(dy), torch.zeros_like(w), torch.zeros_like(b)
        library().backward(*(t.data_ptr() for t in (x, dy, dx, w, b, mean, rstd, dw, db)), *ctx.sizes, ctx.silu)
        return dx, dw.to(ctx.dtype), db.to(ctx.dtype), None, None, None


def as_rows(x: Tensor) -> Tensor:
    layout = torch.channels_last if x.ndim == 4 else torch.contiguous_format
    return x.to(torch.bfloat16).contiguous(memory_format=layout)


class FastNorm(nn.Module):
    """Stands in for an nn.GroupNorm and shares its parameters."""

    def __init__(self, norm: nn.GroupNorm, silu: bool) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        self.groups, self.eps, self.silu = norm.num_groups, norm.eps, silu

    def forward(self, x: Tensor) -> Tensor:
        return FusedNorm.apply(x, self.weight, self.bias, self.groups, self.eps, self.silu)


class SiluLinear(nn.Module):
    """The time projection of a ResnetBlock2D with the SiLU that its block no longer applies."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.silu(x), self.weight, self.bias)


def speed_up(model: nn.Module) -> nn.Module:
    """Replace every GroupNorm of a diffusers UNet or VAE, fusing the SiLU where the block applies one behind it."""
    for module in list(model.modules()):
        if type(module).__name__ == "ResnetBlock2D":
            module.norm1, module.norm2 = FastNorm(module.norm1, True), FastNorm(module.norm2, True)
            module.nonlinearity = nn.Identity()
            if module.time_emb_proj is not None:
                module.time_emb_proj = SiluLinear(module.time_emb_proj)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.GroupNorm):
                last = name == "conv_norm_out"
                setattr(module, name, FastNorm(child, silu=last))
                if last:
                    module.conv_act = nn.Identity()
    return model
