"""A loaded model of any family: what does not depend on its architecture."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from PIL import Image
from torch import Tensor, nn

from core.errors import OutOfMemory
from core.families.base import Conditioning, Defaults, LatentFormat, TextRequest
from core.models import float8, vae
from core.models.hashes import Hashes, stamp
from core.models.loader import DenoiserPart, Parts, TextPart
from core.models.memory import BitsChanged, Memory, NoRoom, is_out_of_memory
from core.models.patch import Key, Patch, Patched, key_of
from core.models.residency import Residency, Sentence
from core.sampling.model_sampling import ModelSampling

Done = TypeVar("Done")
CACHE_BYTES = 64 * 2**20  # of encoded prompts: SD1.5's usual one has 0.24 MB, SDXL's 0.63 MB


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is known of a family, or of a variant of it, without any model."""

    name: str
    title: str
    defaults: Defaults
    denoiser: DenoiserPart = field(default_factory=DenoiserPart)
    texts: tuple[TextPart, ...]
    working_bytes: int  # of a forward pass at the default size, besides the weights
    multiple: int = 8
    has_weights: bool = True
    has_embeddings: bool = False
    half: torch.dtype = torch.float16  # what its denoiser and text encoders are kept in where a file has neither half
    prediction: str | None = None  # what its files predict if they do not say; None: it cannot be chosen

    def model_sampling(self, prediction: str | None, shift: float | None, width: int, height: int) -> ModelSampling:
        raise NotImplementedError

    def allowed(self, dtype: torch.dtype) -> torch.dtype:
        """The dtype itself, or bfloat16 for a family that overflows in float16."""
        return self.half if dtype == torch.float16 else dtype

    def own_defaults(self, denoiser: Mapping[str, Any], vae: Mapping[str, Any]) -> Defaults:
        """The family's defaults at a model's own size, from the configurations of its denoiser and VAE."""
        raise NotImplementedError


class Model:
    """LoadedModel: its subclasses say how text becomes conditioning, and how the network is called."""

    readers: ClassVar[tuple[Callable[[Any, Any], Any], ...]]  # of text, one for each of the family's text encoders

    def __init__(
        self,
        family: Record,
        parts: Parts,
        device: torch.device,
        prediction: str | None,
        hashes: Hashes | None,
        files: tuple[Path, Path | None],
        residency: Residency,
    ) -> None:
        self.family = family
        self.device, self.prediction = device, prediction
        self._hashes, self._files = hashes, files
        self._waited: dict[str, str] = {}
        for path in files:
            if hashes is not None and path is not None:
                hashes.start(path)
        self._net: Any = parts.denoiser
        self._vae: Any = parts.vae
        self.dtype: torch.dtype = self._net.dtype
        self.encoders = tuple(
            read(*part) for read, *part in zip(self.readers, parts.encoders, parts.tokenizers, strict=True)
        )
        self.memory = Memory(turns_of(parts), device, residency, family.working_bytes)
        encoders = {text.name: encoder for text, encoder in zip(family.texts, parts.encoders, strict=True)}
        self.components: Mapping[str, nn.Module] = {"denoiser": parts.denoiser, **encoders}
        self._denoiser, self._encoders = Patched({"denoiser": parts.denoiser}, device), Patched(encoders, device)
        if residency.storage:
            self._round()
        self._tiled_from: int | None = None  # latent cells from which a decode in one piece does not fit
        self.latent_format = latent_format(self._vae.config)
        self.defaults = family.own_defaults(self._net.config, self._vae.config)
        self._texts: OrderedDict[tuple[object, ...], Conditioning] = OrderedDict()

    @property
    def content_id(self) -> str:
        """The file's hash, until it is known its path, size and time. The VAE has no part in the steps."""
        return (self._hashes and self._hashes.known(self._files[0])) or stamp(self._files[0])

    def hashes(self) -> dict[str, str]:
        """SHA-256 of model and VAE as they were read, waited for once."""
        if not self._waited and self._hashes is not None:
            files = zip(("model_hash", "vae_hash"), self._files, strict=True)
            self._waited = {name: self._hashes.wait(path) for name, path in files if path is not None}
        return self._waited

    @property
    def residency(self) -> Residency:
        return self.memory.residency

    def encode_text(self, request: TextRequest) -> Conditioning:
        """Cached by all that changes the text's own part; what else the request tells only adds to `extra`."""
        skip = request.clip_skip or self.defaults.clip_skip or 1
        request = replace(request, clip_skip=skip)
        key = (
            request.text, request.weighting, skip, request.choices, key_of(request.patches, self._encoders.components),
            tuple((one.name, one.content) for one in request.embeddings),
        )  # fmt: skip
        if key in self._texts:
            self._texts.move_to_end(key)
        else:
            self._texts[key] = self._with("text_encoder", partial(self._read_text, request))
            while sum(one.context.nbytes for one in self._texts.values()) > CACHE_BYTES and len(self._texts) > 1:
                self._texts.popitem(last=False)
        return self._completed(self._texts[key], request)

    def _read_text(self, request: TextRequest) -> Conditioning:
        self.memory.settle("text_encoder")
        self._encoders.set(request.patches)
        with self.memory.use("text_encoder"):
            return self._encode(request)

    def _encode(self, request: TextRequest) -> Conditioning:
        raise NotImplementedError

    def _completed(self, cond: Conditioning, request: TextRequest) -> Conditioning:
        """With what the request tells besides the text."""
        return cond

    @property
    def storage(self) -> str:
        """How the denoiser's weights are kept, where that changes bits: "" or "fp8"."""
        return self.memory.residency.storage

    def patch(self, patches: Sequence[Patch]) -> None:
        if self.patch_key(patches) != self._denoiser.key:
            self._with("denoiser", partial(self._patch, patches))

    def _patch(self, patches: Sequence[Patch]) -> None:
        self.memory.settle("denoiser")
        self._denoiser.set(patches)

    def patch_key(self, patches: Sequence[Patch]) -> Key:
        return key_of(patches, self._denoiser.components)

    def forward(self, x: Tensor, timestep: Tensor, cond: Conditioning) -> Tensor:
        return self._with("denoiser", partial(self._run, x, timestep, cond))

    def _run(self, x: Tensor, timestep: Tensor, cond: Conditioning) -> Tensor:
        self.memory.bring("denoiser")  # and it stays there until another component needs the room
        return self._forward(x, timestep, cond)

    def _with(self, name: str, work: Callable[[], Done]) -> Done:
        """Does work for which a component comes to the device; each time that memory runs out it is done again one level down."""
        while True:
            try:
                return work()
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                storage = self.storage
                if not self.memory.lower(name):
                    raise self.memory.too_large(name) if isinstance(error, NoRoom) else too_much(name) from error
            if self.storage != storage:  # outside of `except`: a traceback would hold on to the tensors of what failed
                self._round()
                raise BitsChanged

    def _round(self) -> None:
        """Keeps the denoiser's weights in 8 bits from now on: what is rounded are the clean ones, at home."""
        self._denoiser.set(())
        with torch.inference_mode(False):  # what is made in it could not be patched outside of it
            layers = float8.keep(self._net, self.dtype)
        self._denoiser.stand_ins = {("denoiser", name): layer for name, layer in layers.items()}

    def _forward(self, x: Tensor, timestep: Tensor, cond: Conditioning) -> Tensor:
        raise NotImplementedError

    def encode_image(self, image: Image.Image) -> Tensor:
        return self._with("vae", partial(self._coded, partial(vae.encode, self._vae, image)))

    def decode(self, latent: Tensor, tiled: bool = False) -> Tensor:
        """A decode that runs out of memory is done again in tiles, and so are later ones of that size."""
        cells = latent.shape[-2] * latent.shape[-1]
        if not tiled and (self._tiled_from is None or cells < self._tiled_from):
            try:
                return self._coded(partial(vae.decode, self._vae, latent))
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            self._tiled_from = cells
            self.memory.lower("vae")
            self.memory.say(Sentence("Decoding at this size ran out of memory, so it is done in tiles."))
        return self._with("vae", partial(self._coded, partial(vae.decode, self._vae, latent, tiled=True)))

    def _coded(self, work: Callable[[], Tensor]) -> Tensor:
        with self.memory.use("vae"):
            return work()


def turns_of(parts: Parts) -> dict[str, nn.Module]:
    """The components as they come to the device: the text encoders together."""
    return {"text_encoder": nn.ModuleList(parts.encoders), "denoiser": parts.denoiser, "vae": parts.vae}


def too_much(name: str) -> OutOfMemory:
    """That a component is on the device, and what it works on does not fit beside it."""
    if name == "denoiser":
        return OutOfMemory("Memory ran out while denoising: choose a smaller size or a smaller batch.")
    if name == "vae":
        return OutOfMemory("Memory ran out between latent and picture, even in tiles: choose a smaller size.")
    return OutOfMemory("Memory ran out while the prompt was read: close what else uses the GPU.")


def latent_format(config: Mapping[str, Any]) -> LatentFormat:
    """From the VAE's own configuration, never from the family. What it leaves out is diffusers' default."""
    return LatentFormat(
        channels=config.get("latent_channels", 4),
        scale=config.get("scaling_factor", 0.18215),
        shift=config.get("shift_factor") or 0.0,
        downscale=2 ** (len(config.get("block_out_channels", (64,))) - 1),
    )


def sized(defaults: Defaults, side: int | None) -> Defaults:
    """The same defaults at another size, `side` pixels each way, if one is told."""
    return defaults if side is None else replace(defaults, width=side, height=side)
