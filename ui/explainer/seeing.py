"""What was found inside, as values for the panels: numbers, small pictures, and the sentences that say the same in words."""

import base64
import math
from collections.abc import Iterable, Sequence

from core.inside.codec import Losses
from core.inside.curves import Calls, Curve, Evaluation, between
from core.inside.layers import Layers
from core.inside.pair import Pair
from core.inside.tokens import Read, Reading
from core.inside.trace import Arrows, Stand, Trace
from core.jobs import JobView
from core.recipe import Recipe
from ui import views
from ui.texts import Texts
from ui.views import Value


def sigmas(
    recipe: Recipe,
    flow: bool,
    every: Iterable[Curve],
    marks: Sequence[Evaluation],
    counted: Iterable[Calls],
    words: Texts,
) -> Value:
    """The plot's numbers, and what it says."""
    rows = [_curve(one, words) for one in every]
    chosen = next(row for row in rows if row["name"] == recipe.scheduler)
    levels = chosen["sigmas"]
    count = [_calls(one, words) for one in counted]
    off = between(tuple(marks), levels)
    said = words(
        "inside.sigmas.said", scheduler=recipe.scheduler, steps=len(levels) - 1, first=short(levels[0]), last=short(levels[-2]),
        half=short(levels[len(levels) // 2]),
    )  # fmt: skip
    key = "inside.sigmas.calls.between" if off else "inside.sigmas.calls"
    asked = words(key, sampler=recipe.sampler, calls=len(marks), steps=len(levels) - 1, between=off)
    return {
        "model": recipe.model, "steps": recipe.steps, "sampler": recipe.sampler, "scheduler": recipe.scheduler, "flow": flow,
        "curves": rows, "marks": [[one.step, one.sigma] for one in marks], "calls": count, "said": f"{said} {asked}", "error": "",
    }  # fmt: skip


def _curve(one: Curve, words: Texts) -> Value:
    return {"name": one.name, "sigmas": list(one.sigmas), "error": words.error(one.error) if one.error else ""}


def _calls(one: Calls, words: Texts) -> Value:
    error = words.error(one.error) if one.error else ""
    return {"sampler": one.sampler, "calls": one.calls, "between": one.between, "error": error}


def tokens(found: Iterable[Reading], words: Texts) -> Value:
    return {"readings": [_reading(one, words) for one in found]}


def _reading(one: Reading, words: Texts) -> Value:
    return {
        "steps": stretch(one.steps), "reads": [_read(read, words) for read in one.reads], "loras": list(one.loras),
    }  # fmt: skip


def _read(read: Read, words: Texts) -> Value:
    said = [words("inside.tokens.said", title=read.title, tokens=read.tokens, windows=len(read.rows))]
    if read.most is not None:
        key = "inside.tokens.too_long" if read.too_long else "inside.tokens.most"
        said.append(words(key, most=read.most, over=read.too_long))
    if read.unused:
        said.append(words("inside.tokens.unused", count=read.unused))
    rows = [
        {
            "room": row.room, "padding": row.padding, "broken": row.broken,
            "chips": [[chip.text, round(chip.weight, 4), chip.kind, chip.joined, chip.trigger] for chip in row.chips],
        }
        for row in read.rows
    ]  # fmt: skip
    return {"title": read.title, "rows": rows, "said": " ".join(said), "unused": read.unused, "most": read.most}


def looked(kind: str, view: JobView | None, words: Texts) -> Value:
    """A look as it stands. Always the same places."""
    shown = {"kind": kind, "job": "", "running": False, "said": "", "share": 0.0, "seen": None, "error": ""}
    if view is None:
        return shown
    match view.seen:
        case Trace():
            seen = _trace(view.seen, words)
        case Losses():
            seen = _losses(view.seen, words)
        case Layers():
            seen = _layers(view.seen, words)
        case Pair():
            seen = _pair(view.seen, words)
        case None:
            seen = None
    return shown | {
        "job": view.id, "running": not view.finished, "said": "" if view.finished else views.sentence(view, words), "seen": seen,
        "share": views.share(view), "error": words.error(view.error) if view.error else "",
    }  # fmt: skip


def _trace(found: Trace, words: Texts) -> Value:
    recipe = found.recipe
    cfg = recipe.cfg if isinstance(recipe.cfg, int | float) else 1.0
    return {
        "steps": found.steps, "cfg": cfg, "sampler": recipe.sampler, "scheduler": recipe.scheduler, "prompt": recipe.prompt,
        "seed": str(recipe.seed), "stands": [_stand(one, cfg, words) for one in found.stands],
    }  # fmt: skip


def _stand(one: Stand, cfg: float, words: Texts) -> Value:
    arrows = one.arrows
    tries = [
        {"cfg": scale, "src": views.jpeg(data), "said": _sum(arrows, scale, words) if arrows else ""}
        for scale, data in one.tries
    ]
    return {
        "step": one.step, "sigma": short(one.sigma), "latent": views.jpeg(one.latent), "estimate": views.jpeg(one.estimate),
        "arrows": None if arrows is None else {"along": arrows.along, "across": arrows.across, "gap": arrows.gap}, "tries": tries,
    }  # fmt: skip


def _sum(arrows: Arrows, cfg: float, words: Texts) -> str:
    return words(
        "inside.arrows.said", cfg=f"{cfg:g}", negative=short(arrows.length(0)), positive=short(arrows.length(1)),
        gap=short(arrows.gap), result=short(arrows.length(cfg)), moved=short(abs(cfg) * arrows.gap),
    )  # fmt: skip


def _losses(found: Losses, words: Texts) -> Value:
    rows = [
        {
            "name": one.name, "decoded": png(one.decoded), "difference": png(one.difference), "factor": one.factor,
            "said": words(
                "inside.vae.said", psnr=words("inside.vae.none") if math.isinf(one.psnr) else f"{one.psnr:.1f} dB",
                mean=f"{one.mean:.1f}", worst=one.worst, numbers=one.numbers, of=one.of, times=f"{one.of / one.numbers:.0f}",
            ),
        }
        for one in found.losses
    ]  # fmt: skip
    return {"original": png(found.original), "width": found.width, "height": found.height, "losses": rows}


def _layers(found: Layers, words: Texts) -> Value:
    rows = [
        {
            "skip": one.skip, "likeness": [round(value, 4) for value in one.likeness],
            "lengths": [round(value, 2) for value in one.lengths],
            "said": words("inside.layers.said", skip=one.skip, mean=f"{_mean(one.likeness):.3f}", least=f"{min(one.likeness):.3f}"),
        }
        for one in found.layers
    ]  # fmt: skip
    return {"layers": rows, "own": found.own}


def _pair(found: Pair, words: Texts) -> Value:
    runs = [
        {
            "way": run.way, "src": views.jpeg(run.picture), "same": run.difference == 0.0,
            "title": words(f"inside.pair.{run.way}", seed=run.seed, own=found.seed),
            "said": words("inside.pair.same") if run.difference == 0.0 else words("inside.pair.differs", most=f"{run.difference:.1e}"),
        }
        for run in found.runs
    ]  # fmt: skip
    return {"seed": str(found.seed), "runs": runs}


def stretch(steps: Sequence[int]) -> str:
    """Steps as people write them: 0–4, 10."""
    parts: list[list[int]] = []
    for step in steps:
        if parts and step == parts[-1][1] + 1:
            parts[-1][1] = step
        else:
            parts.append([step, step])
    shown = [f"{first}–{last}" if first != last else f"{first}" for first, last in parts]
    return ", ".join(shown) if len(shown) <= 8 else f"{', '.join(shown[:7])} …"


def short(value: float) -> str:
    """Three figures."""
    return f"{value:.3g}"


def png(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
