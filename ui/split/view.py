"""A plan as the timeline, the inspector and the table of nodes show it."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from core.pipeline import Pipeline
from core.plan import Plan, Prompt
from core.recipe import Recipe, Segment
from ui.form import ghost
from ui.split.fields import CHOICES, FLAGS, INSPECTED, inspected
from ui.split.saying import Course, excerpt, reading, say, told
from ui.texts import Texts

MOST_TICKS = 200  # marks where the prompt changes within a segment
Value = dict[str, Any]


def course(pipe: Pipeline, recipe: Recipe) -> Course:
    """What a recipe would do. Reads configurations, no weights. Raises UserError."""
    plan = pipe.plan(recipe)
    first = recipe.segments[:1]
    whole = tuple(segment.model_copy(update={"end": None, "leftover_noise": None}) for segment in first)
    uncut = pipe.plan(recipe.model_copy(update={"segments": whole}))
    return Course(plan=plan, uncut=uncut, tables=_tables(pipe, plan))


def _tables(pipe: Pipeline, plan: Plan) -> list[int]:
    """How many steps the schedule of each segment has; it is made for the first one of its leg."""
    tables: list[int] = []
    for segment in plan.recipe.segments or (Segment(),):
        if not tables or segment.border == "restart":
            own = {
                name: value for name in ("steps", "scheduler", "shift", "sampler") if (value := getattr(segment, name))
            }
            schedule = plan.recipe.model_copy(update={**own, "segments": (), "init": None})
            tables.append(len(pipe.plan(schedule).steps))
        else:
            tables.append(tables[-1])
    return tables


def timeline(course: Course, words: Texts) -> Value:
    """For the timeline: where segments lie, where a prompt changes within one, the sentence."""
    said = say(course, words)
    return {
        "steps": course.tables[0],
        "total": len(course.plan.steps),
        "segments": [_stretch(course, number, words) for number in range(len(course.segments))],
        "ticks": _ticks(course, words),
        "text": said.text,
        "warnings": list(said.warnings),
        "error": "",
    }


def refused(error: str) -> Value:
    """For the timeline when there is no plan: the sentence that says why."""
    return {"steps": None, "total": None, "segments": [], "ticks": [], "text": "", "warnings": [], "error": error}


def _stretch(course: Course, number: int, words: Texts) -> Value:
    segment, mine = course.segments[number], course.of(number)
    done = sum(step.segment < number for step in course.plan.steps)
    leg = mine[0].leg if mine else None
    return {
        "start": segment.start, "end": segment.end, "steps": course.tables[number], "done": done, "count": len(mine),
        "title": _title(mine[0].positive, words) if mine else "", "restart": segment.border == "restart",
        "add_noise": segment.add_noise, "leftover": segment.leftover_noise and (segment.end or 0) < course.tables[number],
        "seed": str(leg.noise_seed) if leg else "", "cfg": f"{mine[0].cfg:g}" if mine else "",
        "sampler": mine[0].sampler if mine else "",
        "scheduler": segment.scheduler or course.plan.recipe.scheduler,
    }  # fmt: skip


def _title(prompt: Prompt, words: Texts) -> str:
    """What stands on a segment: its prompt as it is, or what stands in for one."""
    return (excerpt(reading(prompt)) if not prompt.zero else "") or told(prompt, words)


def _ticks(course: Course, words: Texts) -> list[Value]:
    """Where the prompt that is read becomes another within a segment: edits and alternations."""
    changes = [
        {"segment": b.segment, "step": course.number(b), "text": told(b.positive, words)}
        for a, b in pairwise(course.plan.steps)
        if a.segment == b.segment and reading(a.positive) != reading(b.positive)
    ]
    return changes[:MOST_TICKS]


def inspector(
    recipe: Recipe, course: Course | None, chosen: int, segment: Mapping[str, Any], words: Texts, *, fill: bool
) -> dict[str, Value]:
    """Properties of the inspector's controls: what the segment leaves alone, and what has no effect with the reason."""
    props: dict[str, Value] = {name: {"reason": ""} for name in INSPECTED}
    for name, own in _inherited(recipe, course, chosen, words).items():
        props[name]["ghost"] = own
    for name, reason in _without_effect(recipe, course, chosen).items():
        props[name]["reason"] = reason
    if fill:
        for name, value in inspected(segment).items():
            props[name]["value"] = value
    if isinstance(schedule := segment.get("cfg"), Mapping):
        props["cfg"]["ghost"] = ", ".join(f"{step}: {value:g}" for step, value in list(schedule.items())[:6])
    return props


def _inherited(recipe: Recipe, course: Course | None, chosen: int, words: Texts) -> dict[str, str]:
    """What each field is when the segment leaves it alone, as text."""
    run = course.plan.recipe if course else recipe
    cfg = f"{run.cfg:g}" if isinstance(run.cfg, float | int) else words("split.scheduled")
    ghosts = {
        "prompt": excerpt(run.prompt, 200) or words("split.ghost.prompt"),
        "negative": excerpt(run.negative, 200) or words("split.ghost.negative"),
        "cfg": cfg, "sampler": run.sampler or "", "model": run.model, "scheduler": run.scheduler or "",
        "steps": str(run.steps or ""), "guidance": ghost(run.guidance), "shift": ghost(run.shift), "clip_skip": str(run.clip_skip or ""),
        "weighting": words(f"weighting.{run.weighting}"), "noise_seed": str(run.seed),
    }  # fmt: skip
    if course and chosen < len(course.segments):
        now = course.segments[chosen]
        ghosts |= {"start": str(now.start), "end": str(now.end)}
        ghosts |= {flag: words("split.yes" if getattr(now, flag) else "split.no") for flag in FLAGS}
    return ghosts


def _without_effect(recipe: Recipe, course: Course | None, chosen: int) -> dict[str, str]:
    """Fields that change nothing now, and the text that says why."""
    if course is None or chosen >= len(course.segments):
        return {}
    now, run, steps = course.segments[chosen], course.plan.recipe, course.of(chosen)
    off: dict[str, str] = {}
    if now.border != "restart":
        off |= dict.fromkeys(("steps", "scheduler", "shift"), "inspect.restart.only")
        if chosen:
            off["noise_seed"] = "inspect.noise_seed.carried"
    if now.end is not None and now.end >= course.tables[chosen]:
        off["leftover_noise"] = "inspect.leftover.end"
    if now.conditioning == "empty":
        off["prompt"] = "inspect.prompt.empty"
    if steps and not any(step.needs_negative for step in steps):
        off["negative"] = "inspect.negative.cfg"
    if run.shift is None:
        off["shift"] = "inspect.shift.none"
    if run.guidance is None:
        off["guidance"] = "guidance.reason"
    if run.clip_skip is None:
        off["clip_skip"] = "clip_skip.reason"
    return off


def choices(props: Mapping[str, Value], options: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, list[list[str]]]:
    """The lists of the inspector's choices, what is inherited first and named."""
    found: dict[str, list[list[str]]] = {}
    for name, listed in options.items():
        own = [list(option) for option in listed]
        found[name] = own if name in CHOICES else [["", f"={props[name].get('ghost', '')}"], *own]
    return found
