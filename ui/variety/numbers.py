"""What the numbers of the variety tab say: how far seeds lie apart, whether the prompt is still followed, and what of it is a gain."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.adherence import Measure
from core.adherence.judge import Judge
from core.errors import UserError
from core.images.gallery import Item
from core.variety import COST, Stand, cost, verdict
from ui import views
from ui.texts import Texts
from ui.variety.measuring import Measuring


def between(
    measuring: Measuring, plain: Sequence[Item], blind: Sequence[Item], words: Texts, *, single: bool
) -> views.Value:
    """The number between two rows of the same seeds. single: there is one seed, so there will never be a number."""
    above, below = measuring.stand(plain), measuring.stand(blind)
    if above is None or below is None:
        text = words("variety.number.one" if single else "variety.number.wait")
        return {"lines": [_line(text)], "detail": "", "verdict": "", "hint": hint(measuring, plain, words)}
    found, times = verdict(above, below), below.apart / above.apart if above.apart > 1e-6 else 0.0
    lost = _points(cost(above, below) or 0.0)
    text = words("variety.number", plain=f"{above.apart:.2f}", blind=f"{below.apart:.2f}")
    lines = [_line(text, above.apart, below.apart), *_followed(measuring, above, below, [*plain, *blind], words)]
    seen = measuring.seen_apart(plain), measuring.seen_apart(blind)
    if seen[0] is not None and seen[1] is not None:
        lines.append(_line(words("variety.number.clip", plain=f"{seen[0]:.2f}", blind=f"{seen[1]:.2f}"), *seen))
    return {
        "lines": lines, "verdict": found, "hint": hint(measuring, plain, words),
        "detail": words(f"variety.verdict.{found}", times=f"{times:.1f}", points=lost) if times else "",
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What the cells of a plot are held against."""

    plain: Stand | None  # what a gain is paid from
    shift: float  # of that plain run
    most: float  # the largest distance


def cell(stand: Stand | None, scale: Scale, words: Texts, *, where: str, best: bool) -> views.Value:
    """A cell of the plot, in numbers and in words."""
    if stand is None:
        told = words("variety.grid.told.wait", cell=where)
        nothing = {"text": "", "share": 0, "followed": "", "level": 0, "best": False, "costs": ""}
        return {"title": where, "told": told, **nothing}
    told = words("variety.grid.told", cell=where, apart=f"{stand.apart:.2f}")
    points = "" if stand.followed is None else _points(stand.followed)
    if points:
        told = words("variety.grid.told.followed", told=told, points=points)
    lost = (cost(scale.plain, stand) or 0.0) if scale.plain is not None else 0.0
    costs = words("variety.grid.costs", points=_points(lost), shift=f"{scale.shift:g}") if lost > COST else ""
    if best or costs:
        told = words("variety.grid.told.best" if best else "variety.grid.told.costs", told=told, costs=costs)
    return {
        "title": where, "text": f"{stand.apart:.2f}", "share": stand.apart / scale.most, "followed": points,
        "level": (stand.followed or 0.0) / 100, "best": best, "costs": costs, "told": told,
    }  # fmt: skip


def hint(measuring: Measuring, items: Sequence[Item], words: Texts) -> str:
    """What the numbers are, and who says whether the prompt is followed, or why nobody does."""
    apart = words("variety.hint.apart")
    if not items:
        return apart
    voice = measuring.voice(items[0])
    if isinstance(voice, UserError):
        return f"{apart} {words('variety.silence', reason=words.error(voice))}"
    if isinstance(voice, str):
        return f"{apart} {words(f'variety.silence.{voice}')}"
    return f"{apart} {_speaker(voice, items[0], words)} {words('variety.hint.cost', points=_points(COST))}"


def _speaker(voice: Measure, item: Item, words: Texts) -> str:
    if isinstance(voice, Judge):
        return words("variety.hint.judge", named=", ".join(voice.named(item.recipe.prompt).values()))
    return words("variety.hint.clip", title=voice.title)


def _followed(
    measuring: Measuring, above: Stand, below: Stand, items: Sequence[Item], words: Texts
) -> list[views.Value]:
    if above.followed is None or below.followed is None:
        return [_line(words("variety.followed.wait"))] if measuring.waits(items) else []
    text = words("variety.followed", plain=_points(above.followed), blind=_points(below.followed))
    return [_line(text, above.followed / 100, below.followed / 100)]


def _line(text: str, plain: float | None = None, blind: float | None = None) -> views.Value:
    """A sentence, and its two numbers in 0..1 as bars."""
    return {"text": text, "bars": [] if plain is None or blind is None else [round(plain, 4), round(blind, 4)]}


def _points(points: float) -> str:
    """Whole where that says it; 5.4 is more than 5."""
    return f"{points:.1f}".removesuffix(".0")
