"""What a plan will do, in a sentence or two, and what in it makes no sense. Facts come from the plan, words from ui/texts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from core.plan import Plan, Prompt, Step
from core.prompt.editing import decided
from core.prompt.grammar import Break, LoraTag, Text, Tree, Weighted, parse
from core.recipe import Segment
from ui.texts import Texts

MOST_TOLD = 5  # stretches of one prompt that a sentence names
EXCERPT = 60  # characters of a prompt in a sentence


@dataclass(frozen=True, kw_only=True)
class Saying:
    """`text` says what happens; each warning what is odd about it."""

    text: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Course:
    """A plan with what its sentences need: the same run without cuts, and how many steps each segment's schedule has."""

    plan: Plan
    uncut: Plan
    tables: Sequence[int]

    @property
    def segments(self) -> Sequence[Segment]:
        """Resolved; one where the recipe has none."""
        return self.plan.recipe.segments or (Segment(start=0, end=len(self.plan.steps)),)

    def of(self, segment: int) -> list[Step]:
        return [step for step in self.plan.steps if step.segment == segment]

    def number(self, step: Step) -> int:
        """Of a step in its segment's own schedule, as people count: start_at_step for the first."""
        mine = self.of(step.segment)
        end = self.segments[step.segment].end
        assert end is not None  # resolved
        return end - len(mine) + mine.index(step)


def reading(prompt: Prompt) -> str:
    """The prompt as it is read at a step: one branch of each edit, the weights left as they are written."""
    if not prompt.choices:
        return prompt.text
    return "".join(_written(decided(parse(prompt.text, prompt.weighting), iter(prompt.choices)))).strip()


def _written(tree: Tree) -> Iterator[str]:
    for node in tree:
        match node:
            case Text(text):
                yield text
            case Weighted(items, bracket, number):
                close = ")" if bracket == "(" else "]"
                yield f"{bracket}{''.join(_written(items))}{'' if number is None else f':{number:g}'}{close}"
            case Break():
                yield "BREAK"
            case LoraTag(source=source):
                yield source
            case _:
                raise TypeError("a tree is decided before it is written")


def excerpt(text: str, most: int = EXCERPT) -> str:
    """The text on one line, shortened."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def changes_nothing(plan: Plan, uncut: Plan) -> bool:
    """Whether a cut run takes the very steps of the uncut one, and so gives the same bits."""
    return [_bits(step) for step in plan.steps] == [_bits(step) for step in uncut.steps]


def _bits(step: Step) -> tuple[object, ...]:
    leg = step.leg
    whole = (leg.sigmas, leg.noise_seed, leg.add_noise, leg.first, leg.left_at)
    return (*(value for name, value in vars(step).items() if name not in ("leg", "segment")), whole)


def say(course: Course, words: Texts) -> Saying:
    """What will happen."""
    cut = len(course.segments) > 1
    if cut and changes_nothing(course.plan, course.uncut):
        text = words("say.identity", cuts=", ".join(str(s.end) for s in course.segments[:-1]))
        parts = [text, _follows(course, words), words("say.carried")]
    else:
        parts = [_follows(course, words), *_changes(course, words), *_borders(course, words)]
    notes = [words.template(note.template, note.values) for note in course.plan.notes]
    return Saying(text=words.sentences(parts), warnings=(*notes, *dict.fromkeys(_nonsense(course, words))))


def told(prompt: Prompt, words: Texts) -> str:
    """A prompt as a sentence quotes it."""
    if prompt.zero:
        return words("say.zero")
    text = excerpt(reading(prompt))
    return words("say.quoted", text=text) if text else words("say.empty")


def _follows(course: Course, words: Texts) -> str:
    """Which steps follow which prompt."""
    groups = [
        (prompt, list(steps)) for prompt, steps in groupby(course.plan.steps, lambda step: told(step.positive, words))
    ]
    if len(groups) == 1:
        return words("say.all", steps=len(course.plan.steps), prompt=groups[0][0])
    shown = groups if len(groups) <= MOST_TOLD else groups[: MOST_TOLD - 1]
    parts = [words("say.stretch", steps=_span(course, steps, words), prompt=prompt) for prompt, steps in shown]
    if len(shown) < len(groups):
        parts.append(words("say.more", changes=len(groups) - len(shown)))
    return words("say.follow", what=words("say.comma").join(parts))


def _span(course: Course, steps: Sequence[Step], words: Texts) -> str:
    first, last = course.number(steps[0]), course.number(steps[-1])
    return words("say.step", step=first) if len(steps) == 1 else words("say.steps", first=first, last=last)


def _changes(course: Course, words: Texts) -> Iterator[str]:
    """What besides the prompt is another at a border."""
    heads = [steps[0] for segment in range(len(course.segments)) if (steps := course.of(segment))]
    for before, step in pairwise(heads):
        named = list(_differences(before, step, words))
        if named:
            yield words("say.from", step=course.number(step), what=words("say.comma").join(named))


def _differences(before: Step, step: Step, words: Texts) -> Iterator[str]:
    if step.cfg != before.cfg:
        yield words("say.cfg", cfg=f"{step.cfg:g}")
    if step.sampler != before.sampler:
        yield words("say.sampler", sampler=step.sampler)
    if step.model != before.model:
        yield words("say.model", model=step.model)
    if step.loras != before.loras:
        named = words("say.comma").join(f"{name} {strength:g}" for name, strength in step.loras)
        yield words("say.loras", loras=named) if named else words("say.no_loras")
    if step.needs_negative and reading(step.negative) != reading(before.negative):
        yield words("say.negative", prompt=told(step.negative, words))
    if step.positive.clip_skip != before.positive.clip_skip:
        yield words("say.clip_skip", clip_skip=step.positive.clip_skip)
    if step.positive.weighting != before.positive.weighting:
        yield words("say.weighting", weighting=words(f"weighting.{step.positive.weighting}"))


def _borders(course: Course, words: Texts) -> Iterator[str]:
    """What is handed over."""
    carried = [a.leg is b.leg for a, b in pairwise(course.plan.steps) if a.segment != b.segment]
    if not carried:
        return
    if all(carried):
        yield words("say.carried")
    for a, b in pairwise(course.plan.steps):
        if a.segment == b.segment:
            continue
        if a.leg is not b.leg:
            noise = "say.restart.noise" if b.leg.add_noise else "say.restart"
            yield words(noise, step=course.number(b), seed=b.leg.noise_seed)
        elif a.sampler != b.sampler:
            yield words("say.forgets", step=course.number(b))


def _nonsense(course: Course, words: Texts) -> Iterator[str]:
    """What can be run and will disappoint."""
    segments, steps = course.segments, course.plan.steps
    first, last = steps[0], steps[-1]
    if not first.leg.add_noise and course.plan.recipe.init is None:
        yield words("say.no_noise")
    for number, (before, segment) in enumerate(pairwise(segments), start=2):
        yield from _at_border(number, before, segment, course, words)
    for number in range(len(segments)):
        if not course.of(number) and course.plan.recipe.init is None:
            yield words("say.no_steps", segment=number + 1)
    if last.leg.sigmas[-1] > 0:
        yield words("say.leftover", step=segments[last.segment].end)
    elif course.number(last) + 1 < course.tables[last.segment]:
        yield words("say.jumps", step=course.number(last), steps=course.tables[last.segment])


def _at_border(number: int, before: Segment, segment: Segment, course: Course, words: Texts) -> Iterator[str]:
    start, end = segment.start or 0, before.end or 0
    noisy = before.leftover_noise and end < course.tables[number - 2]
    if segment.border == "continue":
        return
    if segment.add_noise and noisy:
        yield words("say.noise_on_noise", segment=number)
    if not segment.add_noise and not noisy and course.of(number - 1):
        yield words("say.clean_already", segment=number)
    if course.tables[number - 1] != course.tables[number - 2]:
        return  # steps of two schedules: their numbers say nothing about a gap
    if start > end and noisy:
        yield words("say.gap", first=end, last=start - 1)
    if start < end and noisy and not segment.add_noise:
        yield words("say.overlap", first=start, last=end - 1)
