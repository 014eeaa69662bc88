"""What the core knows, as values for our widgets: plain dicts of text and numbers."""

import base64
from collections.abc import Iterable
from typing import Any

from core.images.gallery import Gallery, Item
from core.jobs import Frame, JobView
from core.recipe import SEEDS
from ui.served import Served
from ui.texts import Texts

Value = dict[str, Any]


def jpeg(data: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}" if data else ""


def picture(item: Item, served: Served) -> Value:
    """A finished picture. Seeds are text: the browser's numbers end at 2^53. flow: its model is one, so it can begin blind."""
    partial = "stopped_at_step" in item.made_with
    return {
        "id": item.id, "kind": "partial" if partial else "done", "src": served.url(item.path), "name": item.path.name,
        "seed": str(item.seed), "width": item.width, "height": item.height, "prompt": item.prompt, "model": item.model,
        "created": item.created, "flow": item.recipe.shift is not None, "recipe": item.recipe.model_dump_json(indent=2, exclude_none=True),
    }  # fmt: skip


def thumbnail(item: Item, gallery: Gallery, served: Served) -> Value:
    """A tile; `series`: how many pictures it stands for."""
    return {
        "id": item.id, "thumb": served.url(gallery.thumbnail(item)), "prompt": item.prompt, "seed": str(item.seed),
        "series": len(gallery.series(item)),
    }  # fmt: skip


def history(items: Iterable[Item], gallery: Gallery, served: Served) -> list[Value]:
    return [picture(item, served) | thumbnail(item, gallery, served) for item in items]


def still(frame: Frame) -> Value:
    """A step of the film; `key` and `start` go on from there."""
    return {
        "image": frame.image, "step": frame.step, "start": frame.start, "key": frame.key, "src": jpeg(frame.jpeg)
    }  # fmt: skip


def run(view: JobView, served: Served) -> Value:
    """A job as the stage shows it: one picture an image, in whatever state."""
    recipe = view.resolved or view.recipe
    done = {item.seed: picture(item, served) for item in view.items}
    pictures: list[Value] = []
    for image in range(recipe.batch):
        seed = (recipe.seed + image) % SEEDS
        preview = view.previews[image] if image < len(view.previews) else b""
        waiting = {
            "id": "", "kind": "preview" if preview else "wait", "src": jpeg(preview), "name": "", "seed": str(seed),
            "width": recipe.width or 1, "height": recipe.height or 1, "recipe": "",
        }  # fmt: skip
        if seed in done or not view.finished:
            pictures.append(done.get(seed, waiting))
    film = [still(frame) for frame in view.film]
    return {
        "id": view.id,
        "state": view.state,
        "step": view.step,
        "steps": view.steps,
        "pictures": pictures,
        "film": film,
    }


def share(view: JobView) -> float:
    """Of the whole job, 0 to 1."""
    if not view.steps or view.phase in ("", "loading", "encoding"):
        return 0.0
    if view.work.endless:
        return min(1.0, view.step / view.steps)
    return min(1.0, (view.image + view.step / view.steps) / max(view.images, 1))


def sentence(view: JobView, texts: Texts) -> str:
    """The state line."""
    match view.state:
        case "queued":
            return texts("run.queued", ahead=view.position - 1) if view.position > 1 else texts("run.next")
        case "running":
            return " · ".join(_running(view, texts))
        case "failed":
            return texts("run.failed")
        case "stopped":
            return texts("run.stopped" if view.items else "run.stopped.empty")
        case "done":
            if view.work.endless:
                return texts("run.stopped")
            seed = texts("run.seed", seed=view.recipe.seed)
            return seed if view.seconds is None else f"{texts('run.done', seconds=short(view.seconds))} · {seed}"


def bar(view: JobView, texts: Texts) -> Value:
    """The line beside Generate."""
    return {
        "state": view.state,
        "text": sentence(view, texts),
        "share": round(share(view), 3),
        "error": texts.error(view.error) if view.error else "",
        "note": texts.sentences(texts.template(note.template, note.values) for note in view.notes),
    }


def said(text: str, *, state: str = "idle", error: str = "") -> Value:
    """The line beside Generate where no job speaks."""
    return {"state": state, "text": text, "share": 0, "error": error, "note": ""}


def _running(view: JobView, texts: Texts) -> list[str]:
    parts: list[str] = []
    if view.work.endless:
        parts.append(texts("run.endless", image=view.image + 1))
    elif view.images > 1 and view.phase in ("sampling", "decoding"):
        parts.append(texts("run.image", image=view.image + 1, images=view.images))
    match view.phase:
        case "loading":
            parts.append(texts("run.loading", what=view.what, percent=round(view.share * 100)))
        case "encoding":
            parts.append(texts("run.encoding"))
        case "sampling":
            if view.cost is None:
                parts.append(texts("run.step", step=view.step, steps=view.steps))
        case "decoding":
            parts.append(texts("run.decoding"))
        case "looking":
            parts.append(texts("run.looking"))
        case _:
            parts.append(texts("run.next"))
    if view.cost is not None:
        parts.append(texts("run.steps", ran=view.ran, steps=view.cost.steps))
    if view.seconds_left >= 0.05:
        parts.append(_left(view.seconds_left, texts))
    return parts


def _left(seconds: float, texts: Texts) -> str:
    if seconds > 90:
        return texts("run.left.minutes", minutes=round(seconds / 60))
    return texts("run.left", seconds=short(seconds))


def short(seconds: float) -> str:
    """Seconds as the eye reads them."""
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"
