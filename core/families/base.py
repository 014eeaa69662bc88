"""What the pipeline knows of any model: the records and the one protocol that every family fills.

Shapes: B images, C latent channels, h x w latent size, T tokens, D width of the text encoder.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from core.models.embedding import Embedding
from core.models.memory import Memory
from core.models.patch import Key, Patch
from core.models.residency import Residency
from core.sampling.model_sampling import ModelSampling


@dataclass(frozen=True, kw_only=True)
class LatentFormat:
    """Between the VAE's own units and the sampler's, where a clean latent has about unit variance."""

    channels: int
    scale: float
    shift: float = 0.0
    downscale: int = 8  # pixels per latent cell, each way

    def to_sampler(self, latent: Tensor) -> Tensor:
        """VAE units -> sampler units."""
        return (latent - self.shift) * self.scale if self.shift else latent * self.scale

    def to_vae(self, x: Tensor) -> Tensor:
        """Sampler units -> VAE units."""
        return x / self.scale + self.shift if self.shift else x / self.scale


@dataclass(frozen=True, kw_only=True)
class Conditioning:
    """An encoded prompt, as the denoiser takes it."""

    context: Tensor  # [B, T, D]
    pooled: Tensor | None = None  # [B, P]
    extra: Mapping[str, Tensor] = field(default_factory=dict)  # per family, e.g. SDXL's time_ids [B, 6]

    def zeroed(self) -> "Conditioning":
        """All zeros, same length, pooled too (ComfyUI's ConditioningZeroOut); `extra` stays."""
        pooled = None if self.pooled is None else torch.zeros_like(self.pooled)
        return replace(self, context=torch.zeros_like(self.context), pooled=pooled)

    @cached_property
    def digest(self) -> bytes:
        """A hash of all bytes, for step keys and caches."""
        hasher = hashlib.sha256()
        tensors = {"context": self.context, "pooled": self.pooled, **self.extra}
        for name, tensor in tensors.items():
            if tensor is not None:
                flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
                hasher.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
                hasher.update(flat.numpy().tobytes())
        return hasher.digest()


def join(parts: Sequence[Conditioning]) -> Conditioning:
    """Conditionings of equal length as one batch."""
    first = parts[0]
    pooled = None if first.pooled is None else torch.cat([part.pooled for part in parts if part.pooled is not None])
    extra = {name: torch.cat([part.extra[name] for part in parts]) for name in first.extra}
    return Conditioning(context=torch.cat([part.context for part in parts]), pooled=pooled, extra=extra)


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """What null means for this family in a recipe."""

    width: int
    height: int
    steps: int
    sampler: str
    scheduler: str
    cfg: float
    clip_skip: int | None = None  # None: clip skip has no effect here
    shift: float | None = None  # None: this family has no flow shift
    guidance: float | None = None  # None: no distilled guidance
    mu: tuple[float, float] | None = None  # of a shift e^mu that grows with the picture: at 256 and at 4096 patches

    def shift_at(self, width: int, height: int) -> float | None:
        """The shift at a size in pixels, of which 16 x 16 are a patch."""
        if self.mu is None:
            return self.shift
        low, high = self.mu
        return math.exp(low + (high - low) * (width * height / 256 - 256) / (4096 - 256))


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What is known of a model before it is loaded."""

    family: "Family"
    defaults: Defaults
    latent_format: LatentFormat
    prediction: str | None


@dataclass(frozen=True, kw_only=True)
class TextRequest:
    """One prompt to encode: the text and all that changes how it is read."""

    text: str
    weighting: str = "comfyui"  # or "a1111"
    choices: tuple[int, ...] = ()  # the branches of its edits, in the order in which they are read
    clip_skip: int | None = None
    width: int = 512
    height: int = 512
    guidance: float | None = None
    patches: tuple[Patch, ...] = ()  # on the text encoders, and no others
    embeddings: tuple[Embedding, ...] = ()  # textual inversions that the text names


Progress = Callable[[str, float], None]
"""Called while loading with what is being done (English, a few words) and the share done, 0 to 1."""


class LoadedModel(Protocol):
    """A model in memory. The pipeline talks to nothing else."""

    @property
    def content_id(self) -> str:
        """Identity of the denoiser's weights, for step keys: content hash, until it is known path, size and mtime."""
        ...

    @property
    def family(self) -> "Family": ...

    @property
    def defaults(self) -> Defaults:
        """The family's, with this model's own size where its config tells one (the demo: 128 x 128)."""
        ...

    @property
    def latent_format(self) -> LatentFormat: ...

    @property
    def prediction(self) -> str | None:
        """eps, v, v_zsnr or lcm: what the file itself says; a recipe may override it. None: a flow, nothing to choose."""
        ...

    @property
    def components(self) -> Mapping[str, nn.Module]:
        """What patches may change: "denoiser", "text_encoder", and in some families "text_encoder_2"."""
        ...

    @property
    def memory(self) -> Memory:
        """Where the components are."""
        ...

    @property
    def residency(self) -> Residency:
        """Which components stay in memory, and why."""
        ...

    @property
    def storage(self) -> str:
        """How the denoiser's weights are kept, where that changes bits, for step keys: "" or "fp8"."""
        ...

    def hashes(self) -> dict[str, str]:
        """model_hash and vae_hash: SHA-256 of the files, waited for if they are still being computed."""
        ...

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> torch.dtype:
        """Of the denoiser's weights."""
        ...

    def encode_text(self, request: TextRequest) -> Conditioning:
        """One prompt -> Conditioning of batch 1, on the model's device; cached by encoder and request."""
        ...

    def patch(self, patches: Sequence[Patch]) -> None:
        """Puts exactly these patches on the denoiser; nothing is done when they are on already."""
        ...

    def patch_key(self, patches: Sequence[Patch]) -> Key:
        """Names those of the patches that change the denoiser, for step keys."""
        ...

    def forward(self, x: Tensor, timestep: Tensor, cond: Conditioning) -> Tensor:
        """The bare network: x [B, C, h, w] float32 net input, timestep [B] float32 -> raw output [B, C, h, w] float32."""
        ...

    def encode_image(self, image: Image.Image) -> Tensor:
        """RGB image of the run's size -> latent [1, C, h, w] float32 in VAE units; the posterior's mode, no randomness."""
        ...

    def decode(self, latent: Tensor, tiled: bool = False) -> Tensor:
        """Latent [B, C, h, w] in VAE units -> pixels [B, 3, H, W] float32 in 0..1, on the CPU."""
        ...


class Family(Protocol):
    """One architecture: a record in `core.families.FAMILIES`."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def multiple(self) -> int:
        """Width and height must be multiples of this many pixels."""
        ...

    @property
    def has_weights(self) -> bool:
        """Whether brackets and numbers in a prompt change anything."""
        ...

    @property
    def has_embeddings(self) -> bool:
        """Whether a prompt can name textual inversions; where it cannot, their names are words."""
        ...

    def model_sampling(self, prediction: str | None, shift: float | None, width: int, height: int) -> ModelSampling:
        """What sigma means for this family."""
        ...
