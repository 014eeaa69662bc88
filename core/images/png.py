"""A picture and its recipe in one PNG, and back. What is read may come from anybody."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn, cast

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from core.errors import MetadataError, RecipeError
from core.images import infotext
from core.images.files import opened, write
from core.recipe import Recipe, parse

# In characters. Our own stays far below, but for segments by the hundred with a page of prompt each.
METADATA_CHARACTERS = 256 * 1024
USER_COMMENT = 0x9286  # EXIF, where JPEG and WebP keep the infotext
EXIF_FOLDER = 0x8769
EXIF_NAMES = ("stepwise", "prompt", "workflow")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a picture told about itself. `recipe` is None in a picture of another tool that has an infotext."""

    size: tuple[int, int]  # pixels, width and height
    recipe: Recipe | None = None
    made_with: Mapping[str, str] = field(default_factory=dict[str, str])
    infotext: str | None = None


def save(picture: Image.Image, path: Path, recipe: Recipe, made_with: Mapping[str, str]) -> None:
    """The picture as PNG with both chunks; whole or not at all. Raises StorageError."""
    buffer = BytesIO()
    # Level 4: half the time of PIL's default 6, files 2 % larger.
    picture.save(buffer, "PNG", pnginfo=_chunks(recipe, made_with), compress_level=4)
    write(path, buffer.getvalue())


def read(source: Path | bytes) -> Found:
    """Recipe and infotext of a picture. Raises ImageError, or MetadataError when there is neither."""
    with opened(source) as picture:
        texts, size = _texts(picture), picture.size
    if "stepwise" in texts:
        recipe, made_with = ours(texts["stepwise"])
        return Found(size=size, recipe=recipe, made_with=made_with, infotext=texts.get("parameters"))
    if "parameters" in texts:
        return Found(size=size, infotext=texts["parameters"])
    raise MetadataError("This picture carries no recipe: it was not made here, or another program has removed it.")


def texts(source: Path | bytes) -> dict[str, str]:
    """All that any program wrote into a picture, by name: PNG's chunks, and what EXIF holds. Raises ImageError."""
    with opened(source) as picture:
        found = {str(name): str(value) for name, value in picture.info.items() if isinstance(value, str)}
        # ComfyUI has no chunks in a WebP: it writes `prompt:{…}` and `workflow:{…}` into EXIF's Model, Make and so on.
        for value in picture.getexif().values():
            name, colon, text = value.partition(":") if isinstance(value, str) else ("", "", "")
            if colon and name in EXIF_NAMES:
                found.setdefault(name, text.rstrip("\0 "))
        return _comment(picture) | found


def _chunks(recipe: Recipe, made_with: Mapping[str, str]) -> PngInfo:
    envelope = {"recipe": recipe.model_dump(mode="json", exclude_none=True), "made_with": dict(made_with)}
    chunks = PngInfo()
    # iTXt for both: UTF-8, where tEXt is Latin-1. PIL and A1111 read either.
    chunks.add_itxt("stepwise", json.dumps(envelope, ensure_ascii=False))
    chunks.add_itxt("parameters", infotext.write(recipe, made_with))
    return chunks


def _texts(picture: Image.Image) -> dict[str, str]:
    """The text fields of interest, from the header: nothing is decoded for them."""
    texts = {name: picture.info[name] for name in ("stepwise", "parameters") if isinstance(picture.info.get(name), str)}
    texts = _comment(picture) | texts
    for text in texts.values():
        if len(text) > METADATA_CHARACTERS:
            raise MetadataError(
                "The text in this picture is longer than {most} KB: no recipe is, so it is not read.",
                most=METADATA_CHARACTERS // 1024,
            )
    return {name: str(text) for name, text in texts.items()}


def _comment(picture: Image.Image) -> dict[str, str]:
    """The infotext that JPEG and WebP keep in EXIF."""
    comment = picture.getexif().get_ifd(EXIF_FOLDER).get(USER_COMMENT) if picture.format != "PNG" else None
    return {"parameters": _user_comment(comment)} if isinstance(comment, bytes) and comment else {}


def _user_comment(comment: bytes) -> str:
    """EXIF UserComment: eight bytes name the encoding; A1111 writes UTF-16, big end first."""
    coding, text = comment[:8], comment[8:]
    if coding != b"UNICODE\0":
        return text.decode("utf-8", "replace").strip("\0 ")
    order = "utf-16" if text[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-16-be"
    return text.decode(order, "replace").strip("\0 ")


def ours(text: str) -> tuple[Recipe, dict[str, str]]:
    """The envelope of our chunk, which anybody may have written. Raises MetadataError."""
    try:
        envelope = _dict(json.loads(text, parse_constant=_no_number))
        recipe = parse(_dict(envelope["recipe"]))
        made_with = _dict(envelope.get("made_with", {}))
    except (ValueError, KeyError, RecursionError) as error:
        raise MetadataError("The recipe in this picture is damaged and cannot be read.") from error
    except RecipeError as error:
        raise MetadataError("The recipe in this picture cannot be used. {why}", why=error) from error
    return recipe, {name: value for name, value in made_with.items() if isinstance(value, str)}


def _dict(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return cast("dict[str, Any]", value)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")
