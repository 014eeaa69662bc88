"""What a safetensors file of a model, or of a part of one, is: from its header alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from core.errors import ModelError
from core.models.companions import NEEDS, Inside, needs_of, parts_inside
from core.models.tensors import Header, main_dtype


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a file is."""

    kind: str  # checkpoint, denoiser, text_encoder, vae, lora, embedding, unknown
    family: str | None = None
    prediction: str | None = None  # eps, v, v_zsnr; None where the file does not say
    dtype: str = ""  # of most weights
    error: ModelError | None = None  # why it cannot be used
    variant: str | None = None  # of the family, where the file tells
    inside: Mapping[str, Inside] = field(default_factory=dict[str, Inside])  # the components that it holds
    needs: Mapping[str, int] = field(default_factory=dict[str, int])  # those that it needs, and how wide they are


FAMILY_TITLES = {
    "sd15": "SD1.5", "sd2": "SD2", "sdxl": "SDXL", "sd3": "SD3", "flux": "Flux.1", "flux2": "Flux.2", "chroma": "Chroma",
    "lumina2": "Lumina 2", "z_image": "Z-Image", "qwen_image": "Qwen-Image", "wan": "Wan", "hunyuan": "Hunyuan",
}  # fmt: skip
FOREIGN = {  # family -> how a tensor's name begins that no family of ours has
    "flux2": "double_stream_modulation_img.", "chroma": "distilled_guidance_layer.", "hunyuan": "double_blocks.0.img_attn_qkv.",
    "qwen_image": "transformer_blocks.0.img_mod.", "sd3": "joint_blocks.0.", "wan": "blocks.0.cross_attn.",
}  # fmt: skip
QUANTISED = {  # method -> how a tensor's name ends, or what is in it
    "bitsandbytes": (".quant_state.bitsandbytes__", ".absmax", ".quant_map"),
    "SVDQuant, GPTQ or AWQ": (".qweight", ".wscales", ".qzeros"),
}
UNET = "model.diffusion_model."
CHANNELS = 16  # of the latents of Z-Image and Flux.1; what else goes into a denoiser is a picture to edit


def identify(header: Header) -> Found:
    """What the file with this header is, LoRAs apart (`core.models.lora`)."""
    found = _identified(header)
    for method, marks in QUANTISED.items():
        if any(mark in name for name in header.tensors for mark in marks):
            error = ModelError(
                "This file is quantised by {method}, which cannot be read here: get a bf16, fp8 or GGUF one.", method=method
            )
            return replace(found, error=error)
    return found


def _identified(header: Header) -> Found:
    dtype = main_dtype(header.tensors.values())
    prefix = UNET if header.has(UNET) else ""
    if header.shape(prefix + "input_blocks.0.0.weight"):
        return _unet_checkpoint(header, prefix, dtype)
    prefix = prefix or ("transformer." if header.has("transformer.") else "")
    family = _transformer_family(header, prefix)
    if family is not None and family in NEEDS:
        return _transformer(header, family, prefix, dtype)
    if family:
        error = ModelError(
            "{family} models cannot be loaded yet: choose one of SD1.5, SDXL, Flux.1 or Z-Image.", family=FAMILY_TITLES[family]
        )
        return Found(kind="checkpoint", family=family, dtype=dtype, error=error)
    return _part(header, dtype)


def _transformer(header: Header, family: str, prefix: str, dtype: str) -> Found:
    """A denoiser alone, or with its other components in one file."""
    inside, needs = parts_inside(header), needs_of(family, header, prefix)
    kind = "checkpoint" if needs.keys() <= inside.keys() else "denoiser"
    denoiser, error, variant = Inside(prefix=prefix, width=0), None, None
    if family == "flux":
        variant = "dev" if header.has(prefix + "guidance_in.") else "schnell"
    if needs["vae"] not in {0, CHANNELS}:
        error = ModelError(
            "This is an inpainting or editing model ({channels} input channels), which is not there yet.",
            channels=needs["vae"],
        )
    return Found(
        kind=kind, family=family, dtype=dtype, error=error, variant=variant, inside={**inside, "denoiser": denoiser}, needs=needs
    )


def _part(header: Header, dtype: str) -> Found:
    inside = parts_inside(header)
    if "vae" in inside:
        return Found(kind="vae", dtype=dtype, inside=inside)
    if inside or header.has("text_model.", "model.layers.0.self_attn", "encoder.layers.0."):
        return Found(kind="text_encoder", dtype=dtype, inside=inside)
    if architecture := header.metadata.get("general.architecture"):
        error = ModelError(
            "This is a GGUF file of {architecture}, which no model here can use: those of Z-Image, Flux.1, Qwen3 and T5 can be read.",
            architecture=architecture[:40],
        )
        return Found(kind="unknown", dtype=dtype, error=error)
    if _is_embedding(header):
        return Found(kind="embedding", dtype=dtype)
    if header.has("single_transformer_blocks.0."):
        error = ModelError("This is Flux.1's transformer out of a diffusers folder: put the whole folder into the models folder.")
        return Found(kind="denoiser", family="flux", dtype=dtype, error=error)
    if header.has("down_blocks.0.") and header.shape("conv_in.weight"):
        error = ModelError("This is a UNet alone, without text encoders and VAE: loading parts is not there yet.")
        return Found(kind="denoiser", dtype=dtype, error=error)
    error = ModelError("What this file holds is not known: it is no model, VAE, LoRA or embedding of a known kind.")
    return Found(kind="unknown", dtype=dtype, error=error)


def _is_embedding(header: Header) -> bool:
    """A1111's and SDXL's names, or diffusers': one tensor, named by its token, of one vector or a few as wide as a word's."""
    if "emb_params" in header.tensors or {"clip_l", "clip_g"} & header.tensors.keys():
        return True
    shapes = [info.shape for info in header.tensors.values()]
    return len(shapes) == 1 and len(shapes[0]) in {1, 2} and shapes[0][-1] >= 64 and math.prod(shapes[0][:-1]) <= 75


def _unet_checkpoint(header: Header, prefix: str, dtype: str) -> Found:
    family, error = "sd15", None
    if header.has("conditioner.embedders.1."):
        family = "sdxl"
    elif header.has("conditioner.embedders.0."):
        family = "sdxl"
        error = ModelError("This is the SDXL refiner, which cannot be used as a model of its own.")
    elif header.has("cond_stage_model.model."):
        family = "sd2"
        error = ModelError("{family} checkpoints cannot be loaded; SD1.5 and SDXL can.", family="SD2")
    elif not header.has("cond_stage_model."):
        family = "sdxl" if header.shape(prefix + "label_emb.0.0.weight") else "sd15"
        error = ModelError("This is a UNet alone, without text encoders and VAE: loading parts is not there yet.")
    channels = header.shape(prefix + "input_blocks.0.0.weight")[1:2]
    if error is None and channels != (4,):
        error = ModelError(
            "This is an inpainting or editing model ({channels} input channels), which is not there yet.",
            channels=channels[0],
        )
    if error is None and _is_scaled_fp8(header):
        error = ModelError("Checkpoints with scaled fp8 weights cannot be loaded yet: use an fp16 one.")
    if error is None and "edm_vpred.sigma_max" in header.tensors:
        error = ModelError("This checkpoint was trained with EDM noise levels, which are not there yet.")
    kind = "checkpoint" if header.has("cond_stage_model.", "conditioner.") else "denoiser"
    return Found(kind=kind, family=family, prediction=_prediction(header), dtype=dtype, error=error)


def _is_scaled_fp8(header: Header) -> bool:
    return any(
        name == "scaled_fp8" or name.endswith((".scale_weight", ".weight_scale", ".comfy_quant"))
        for name in header.tensors
    )


def _prediction(header: Header) -> str | None:
    """ComfyUI's marker keys `v_pred` and `ztsnr`, else the metadata of the modelspec (stability.ai, v1)."""
    said = header.metadata.get("modelspec.prediction_type", "").lower()
    if "v_pred" in header.tensors or said in {"v", "v_prediction", "v-prediction"}:
        return "v_zsnr" if "ztsnr" in header.tensors else "v"
    return "eps" if said == "epsilon" else None


def _transformer_family(header: Header, prefix: str) -> str | None:
    foreign = (family for family, mark in FOREIGN.items() if header.has(prefix + mark))
    if family := next(foreign, None):
        return family
    if header.shape(prefix + "double_blocks.0.img_attn.qkv.weight"):
        return "flux"
    if header.shape(prefix + "cap_embedder.1.weight"):
        # Lumina 2 is its elder sister: narrower, and with nothing to pad captions with.
        ours = header.shape(prefix + "cap_pad_token") or header.shape(prefix + "cap_embedder.1.weight")[:1] == (3840,)
        return "z_image" if ours else "lumina2"
    return None
