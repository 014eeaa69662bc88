"""The models that people get: whose files they are, under which licence, and where each belongs in ComfyUI's layout.

Repositories, names and sizes as their pages on huggingface.co tell them; a size that has changed there is told when a download begins.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

HUB = "https://huggingface.co"
ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "checkpoints": ("checkpoints", "Stable-diffusion"),
        "diffusion_models": ("diffusion_models", "unet"),
        "text_encoders": ("text_encoders", "clip", "text_encoder"),
        "vae": ("vae", "VAE"),
    }
)
"""Folders that mean the same: a file in any of them is there."""


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A file on the hub, and where it goes."""

    repository: str
    path: str  # in the repository
    folder: str  # below models/
    size_bytes: int
    gated: bool = False  # its makers want to be asked first

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def page(self) -> str:
        return f"{HUB}/{self.repository}"

    def home(self, root: Path) -> Path:
        return root / self.folder / self.name

    def here(self, root: Path) -> bool:
        """Whether it is in its folder, or in another of the same meaning."""
        return any((root / folder / self.name).is_file() for folder in ALIASES.get(self.folder, (self.folder,)))


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A model: all files that it needs."""

    id: str
    title: str
    family: str
    licence: str
    licence_page: str
    files: tuple[Remote, ...]


CLIP_WORDS = tuple(
    Remote(repository="openai/clip-vit-large-patch14", path=path, folder="tokenizers/clip", size_bytes=size)
    for path, size in (("vocab.json", 961_143), ("merges.txt", 524_619))
)
T5_WORDS = Remote(
    repository="google-t5/t5-base", path="tokenizer.json", folder="tokenizers/t5", size_bytes=1_389_353
)  # fmt: skip
QWEN_WORDS = Remote(
    repository="Qwen/Qwen3-4B", path="tokenizer.json", folder="tokenizers/qwen3", size_bytes=11_422_654
)  # fmt: skip
QWEN = Remote(
    repository="Comfy-Org/z_image_turbo", path="split_files/text_encoders/qwen_3_4b.safetensors", folder="text_encoders",
    size_bytes=8_044_982_048,
)  # fmt: skip
AE = Remote(
    repository="Comfy-Org/z_image_turbo", path="split_files/vae/ae.safetensors", folder="vae", size_bytes=335_304_388
)  # fmt: skip
CLIP_L = Remote(
    repository="comfyanonymous/flux_text_encoders", path="clip_l.safetensors", folder="text_encoders", size_bytes=246_144_152
)  # fmt: skip
T5_XXL = Remote(
    repository="comfyanonymous/flux_text_encoders", path="t5xxl_fp16.safetensors", folder="text_encoders",
    size_bytes=9_787_841_024,
)  # fmt: skip
DEV_LICENCE = f"{HUB}/black-forest-labs/FLUX.1-dev/blob/main/LICENSE.md"

LORA_PAGES: Mapping[str, str] = MappingProxyType(
    {"FLUX-dev-lora-add_details": f"{HUB}/Shakker-Labs/FLUX.1-dev-LoRA-add-details"}
)
"""Where LoRAs that presets name are kept by their makers."""


def offering(model: str) -> Offer | None:
    """What to download for a model of that file name: the first offer that has it."""
    return next((offer for offer in OFFERS.values() if any(file.name == model for file in offer.files)), None)


OFFERS: Mapping[str, Offer] = MappingProxyType(
    {
        offer.id: offer
        for offer in (
            Offer(
                id="sd15", title="Stable Diffusion 1.5", family="sd15", licence="CreativeML Open RAIL-M",
                licence_page=f"{HUB}/spaces/CompVis/stable-diffusion-license",
                files=(
                    Remote(
                        repository="Comfy-Org/stable-diffusion-v1-5-archive", path="v1-5-pruned-emaonly-fp16.safetensors",
                        folder="checkpoints", size_bytes=2_132_696_762,
                    ),
                    *CLIP_WORDS,
                ),
            ),
            Offer(
                id="sdxl", title="Stable Diffusion XL 1.0", family="sdxl", licence="CreativeML Open RAIL++-M",
                licence_page=f"{HUB}/stabilityai/stable-diffusion-xl-base-1.0/blob/main/LICENSE.md",
                files=(
                    Remote(
                        repository="stabilityai/stable-diffusion-xl-base-1.0", path="sd_xl_base_1.0.safetensors",
                        folder="checkpoints", size_bytes=6_938_078_334,
                    ),
                    *CLIP_WORDS,
                ),
            ),
            Offer(
                id="flux-schnell", title="Flux.1 schnell, fp8", family="flux", licence="Apache-2.0",
                licence_page=f"{HUB}/black-forest-labs/FLUX.1-schnell",
                files=(
                    Remote(
                        repository="Comfy-Org/flux1-schnell", path="flux1-schnell-fp8.safetensors", folder="checkpoints",
                        size_bytes=17_236_328_572,
                    ),
                    *CLIP_WORDS, T5_WORDS,
                ),
            ),
            Offer(
                id="flux-dev-fp8", title="Flux.1 dev, fp8", family="flux", licence="FLUX.1 [dev] Non-Commercial",
                licence_page=DEV_LICENCE,
                files=(
                    Remote(
                        repository="Comfy-Org/flux1-dev", path="flux1-dev-fp8.safetensors", folder="checkpoints",
                        size_bytes=17_246_524_772,
                    ),
                    *CLIP_WORDS, T5_WORDS,
                ),
            ),
            Offer(
                id="flux-dev", title="Flux.1 dev", family="flux", licence="FLUX.1 [dev] Non-Commercial",
                licence_page=DEV_LICENCE,
                files=(
                    Remote(
                        repository="black-forest-labs/FLUX.1-dev", path="flux1-dev.safetensors", folder="diffusion_models",
                        size_bytes=23_802_932_552, gated=True,
                    ),
                    CLIP_L, T5_XXL, AE, *CLIP_WORDS, T5_WORDS,
                ),
            ),
            Offer(
                id="z-image-turbo", title="Z-Image Turbo", family="z_image", licence="Apache-2.0",
                licence_page=f"{HUB}/Tongyi-MAI/Z-Image-Turbo",
                files=(
                    Remote(
                        repository="Comfy-Org/z_image_turbo",
                        path="split_files/diffusion_models/z_image_turbo_bf16.safetensors", folder="diffusion_models",
                        size_bytes=12_309_866_400,
                    ),
                    QWEN, AE, QWEN_WORDS,
                ),
            ),
            Offer(
                id="z-image", title="Z-Image (base)", family="z_image", licence="Apache-2.0",
                licence_page=f"{HUB}/Tongyi-MAI/Z-Image",
                files=(
                    Remote(
                        repository="Comfy-Org/z_image", path="split_files/diffusion_models/z_image_bf16.safetensors",
                        folder="diffusion_models", size_bytes=12_309_866_400,
                    ),
                    QWEN, AE, QWEN_WORDS,
                ),
            ),
        )
    }
)  # fmt: skip
