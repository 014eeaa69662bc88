"""What a file is, told by its content: a picture with something written in it, or a text that is JSON or an infotext."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from core.errors import ImageError, MetadataError
from core.images import png
from core.images.files import contents
from core.importing import a1111, comfy
from core.importing.draft import Draft, Imported, from_json
from core.importing.graph import from_api
from core.importing.shelf import Shelf
from core.importing.workflow import from_workflow
from core.recipe import parse

PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF")
LETTERS = 4 * 2**20  # of a workflow with everything in it; most have a hundredth of that
INFOTEXT_LETTERS = png.METADATA_CHARACTERS
# Where other programs write their settings, which are not read here.
OTHERS: Mapping[str, str] = {"invokeai_metadata": "InvokeAI", "sd-metadata": "InvokeAI", "fooocus_scheme": "Fooocus",
                             "Dream": "InvokeAI", "Comment": "NovelAI", "parameters": "SwarmUI"}  # fmt: skip


def read(source: Path | bytes, shelf: Shelf) -> Imported:
    """The recipe in a PNG, WebP or JPEG picture or in a text, whoever wrote it. Raises ImageError, MetadataError, RecipeError."""
    data = contents(source)
    if data.startswith(PICTURES):
        return _picture(png.texts(data), shelf)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ImageError("This file is no PNG, WebP or JPEG picture, and no JSON: nothing can be read from it.") from error
    return _text(_bounded(text), shelf)


def _picture(texts: Mapping[str, str], shelf: Shelf) -> Imported:
    """Ours first, which loses nothing; then the graph that ran, the workflow as it stood on the screen, the infotext."""
    if "stepwise" in texts:
        recipe, made_with = png.ours(_bounded(texts["stepwise"]))
        return Imported(recipe=recipe, made_with=made_with, ours=True)
    for name in ("prompt", "workflow"):
        if texts.get(name, "").lstrip().startswith("{"):
            return _workflow(_json(_bounded(texts[name])), shelf)
    infotext = texts.get("parameters", "")
    if infotext and not infotext.lstrip().startswith("{"):
        return _infotext(_bounded(infotext, INFOTEXT_LETTERS), shelf)
    program = next((program for name, program in OTHERS.items() if name in texts), None)
    if program is not None:
        raise MetadataError("{program} made this picture: its settings cannot be read here, those of ComfyUI and A1111 can.",
                            program=program)  # fmt: skip
    raise MetadataError("This picture carries no recipe: it was not made here, or another program has removed it.")


def _text(text: str, shelf: Shelf) -> Imported:
    if len(text) <= INFOTEXT_LETTERS and not text.lstrip().startswith("{") and a1111.is_infotext(text):
        return _infotext(text, shelf)
    data = _json(text)
    if not isinstance(data, dict):
        raise MetadataError("This JSON is no recipe and no workflow: both are objects.")
    data = cast("dict[str, Any]", data)
    if "stepwise" in data:
        return Imported(recipe=parse(data), ours=True)
    if isinstance(data.get("recipe"), dict):  # as a picture of ours carries it
        recipe, made_with = png.ours(text)
        return Imported(recipe=recipe, made_with=made_with, ours=True)
    return _workflow(data, shelf)


def _workflow(data: object, shelf: Shelf) -> Imported:
    """Either form: nodes and links as on the screen, or the graph by ids, bare or wrapped as ComfyUI's server takes it."""
    draft = Draft()
    whole = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    if isinstance(whole.get("nodes"), list):
        graph = from_workflow(whole, draft)
    else:
        inner = next((whole[name] for name in ("prompt", "output") if isinstance(whole.get(name), dict)), whole)
        graph = from_api(inner, draft)
    if not graph.nodes:
        raise MetadataError("This JSON is no recipe and no workflow of ComfyUI: it has neither \"stepwise\" nor nodes.")
    comfy.read(graph, shelf)
    return draft.done()


def _infotext(text: str, shelf: Shelf) -> Imported:
    draft = Draft()
    a1111.read(text, shelf, draft)
    return draft.done()


def _json(text: str) -> object:
    try:
        return from_json(text)
    except ValueError as error:
        raise MetadataError("The JSON in this file is damaged and cannot be read.") from error


def _bounded(text: str, most: int = LETTERS) -> str:
    if len(text) > most:
        raise MetadataError("The text in this file is longer than {most} KB: no settings are, so it is not read.",
                            most=most // 1024)  # fmt: skip
    return text
