"""Files as ComfyUI and A1111 write them: chunks, EXIF and graphs in exactly their layouts."""

import json
from io import BytesIO
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

Graph = dict[str, dict[str, Any]]


def png(**texts: str) -> bytes:
    """A PNG with these chunks, made by add_text as both programs do."""
    info = PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    buffer = BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG", pnginfo=info, compress_level=4)
    return buffer.getvalue()


def comfyui_webp(prompt: object, workflow: object) -> bytes:
    """ComfyUI has no chunks in a WebP: EXIF's Model holds the graph that ran, Make the workflow."""
    exif = Image.Exif()
    exif[0x0110] = f"prompt:{json.dumps(prompt)}"
    exif[0x010F] = f"workflow:{json.dumps(workflow)}"
    buffer = BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "WEBP", exif=exif.tobytes(), lossless=True)
    return buffer.getvalue()


def a1111_picture(kind: str, infotext: str) -> bytes:
    """PNG: a chunk `parameters`. JPEG and WebP: EXIF's UserComment in UTF-16, big end first."""
    if kind == "PNG":
        return png(parameters=infotext)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + infotext.encode("utf-16-be")
    buffer = BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, kind, exif=exif)
    return buffer.getvalue()


def node(kind: str, **inputs: object) -> dict[str, Any]:
    """As in an API file; a link is [node id, slot]."""
    return {"inputs": inputs, "class_type": kind, "_meta": {"title": kind}}


def advanced(before: list[object], **changes: object) -> dict[str, Any]:
    """A KSampler (Advanced) with the values of the tutorial."""
    inputs: dict[str, object] = {
        "add_noise": "enable", "noise_seed": 1234, "steps": 4, "cfg": 5, "sampler_name": "euler", "scheduler": "normal",
        "start_at_step": 0, "end_at_step": 10000, "return_with_leftover_noise": "disable",
        "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": before,
    }  # fmt: skip
    return node("KSamplerAdvanced", **inputs | changes)


def workflow_of(*samplers: tuple[str, dict[str, Any]], **more: dict[str, Any]) -> Graph:
    """The tutorial's graph around these samplers; the last one's latent is decoded and saved."""
    graph = {
        "4": node("CheckpointLoaderSimple", ckpt_name="demo"),
        "5": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "6": node("CLIPTextEncode", text="a red apple", clip=["4", 1]),
        "7": node("CLIPTextEncode", text="text, watermark", clip=["4", 1]),
        "8": node("VAEDecode", samples=[samplers[-1][0], 0], vae=["4", 2]),
        "9": node("SaveImage", filename_prefix="ComfyUI", images=["8", 0]),
        "12": node("CLIPTextEncode", text="a red rabbit", clip=["4", 1]),
    }
    return graph | dict(samplers) | more


def two(first: dict[str, Any] | None = None, second: dict[str, Any] | None = None, **more: dict[str, Any]) -> Graph:
    """Two samplers: apple for two steps, then rabbit; the second takes over the latent with its noise."""
    head = {"end_at_step": 2, "return_with_leftover_noise": "enable"} | (first or {})
    tail = {"add_noise": "disable", "noise_seed": 0, "start_at_step": 2, "positive": ["12", 0]} | (second or {})
    return workflow_of(("10", advanced(["5", 0], **head)), ("11", advanced(["10", 0], **tail)), **more)
