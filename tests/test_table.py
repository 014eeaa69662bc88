"""A run as a table: there and back gives the same plan, and what spreadsheets do to it does no harm."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import RecipeError
from core.families import FAMILIES
from core.families.base import Defaults
from core.plan import Plan, compile_plan, resolve
from core.recipe import Recipe, parse
from core.table import read, write

DEFAULTS = Defaults(width=128, height=128, steps=8, sampler="euler", scheduler="normal", cfg=5.0, clip_skip=1)
FAMILY = FAMILIES["sd15"]
APPLE = {"stepwise": 1, "prompt": "a red apple", "seed": 7, "steps": 8}


def plan(**fields: Any) -> Plan:
    return planned(parse({**APPLE, **fields}))


def planned(recipe: Recipe) -> Plan:
    return compile_plan(resolve(recipe, FAMILY, DEFAULTS, "eps"), FAMILY)


def steps(plan: Plan) -> list[object]:
    """All of a step that decides bits: legs by what is in them, for two plans never share one."""
    return [(replace(step, leg=plan.steps[0].leg, segment=0).__repr__(), repr(step.leg)) for step in plan.steps]


texts = st.one_of(
    st.sampled_from(
        [
            "",
            "a red apple",
            "a [cat:dog:4]",
            "=1+1",
            "'quoted'",
            '"said" he',
            "a\ttab",
            "two\nlines",
            "-0,5",
            "@x",
            " a ",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r<[]:|\\()"), max_size=12),
)
cfgs = st.one_of(st.floats(0, 100), st.dictionaries(st.integers(0, 9), st.floats(0, 100), min_size=1, max_size=3))
strengths = st.one_of(st.floats(-2, 2), st.dictionaries(st.integers(0, 9), st.floats(-2, 2), min_size=1, max_size=3))
loras = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["pixel-art", "sub/old style"]), "model": strengths, "text": strengths}
    ),
    max_size=3,
)
segments = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "end": st.integers(1, 8), "prompt": texts, "negative": texts, "cfg": cfgs, "loras": loras,
            "sampler": st.sampled_from(["euler", "dpmpp_2m", "euler_ancestral"]), "add_noise": st.booleans(),
            "border": st.sampled_from(["continue", "restart"]), "noise_seed": st.integers(0, 9),
            "leftover_noise": st.booleans(), "conditioning": st.sampled_from(["prompt", "zero", "empty"]),
        },
    ),
    max_size=4,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(segments=segments, prompt=texts, negative=texts, cfg=cfgs, loras=loras)
def test_there_and_back_is_the_same_plan(segments: list[dict[str, Any]], **fields: Any) -> None:
    try:
        before = plan(segments=segments, **fields)
    except RecipeError:
        return  # no recipe to begin with
    for table in (write(before), write(before).replace("\n", "\r\n"), "\ufeff" + write(before) + "\n\n"):
        back = read(table, before)
        assert steps(planned(back)) == steps(before)
    assert planned(back).recipe.segments == before.recipe.segments, "what nobody changed stays as it was written"


def test_columns_say_what_happens_at_each_step() -> None:
    table = write(plan(segments=[{"end": 6}, {"prompt": "a red rabbit", "sampler": "dpmpp_2m"}], cfg={0: 7.0, 4: 2.5},
                       loras=[{"name": "pixel-art", "model": {0: 0.0, 6: 1.0}, "text": 0.5}]))  # fmt: skip
    lines = [line.split("\t") for line in table.splitlines()]
    assert lines[0] == [
        "step",
        "sigma",
        "prompt",
        "negative",
        "cfg",
        "sampler",
        "lora pixel-art",
        "lora pixel-art:text",
    ]
    assert lines[1] == ["0", "14.6146", "a red apple", "", "7", "euler", "0", "0.5"]
    assert [lines[k + 1][2:7] for k in (3, 4, 6)] == [
        ["a red apple", "", "7", "euler", "0"], ["a red apple", "", "2.5", "euler", "0"], ["a red rabbit", "", "2.5", "dpmpp_2m", "1"],
    ]  # fmt: skip


def test_pasted_rows_become_segments_and_schedules() -> None:
    rows = [f"{'apple' if k < 3 else 'rabbit'}\t{8 - k},5\teuler" for k in range(8)]
    recipe = read("prompt\tcfg\tsampler\t\t\r\n" + "\t\t\r\n".join(rows), plan())
    assert [(s.start, s.end, s.prompt, s.cfg) for s in recipe.segments] == [
        (0, 3, "apple", {0: 8.5, 1: 7.5, 2: 6.5}), (3, 8, "rabbit", {3: 5.5, 4: 4.5, 5: 3.5, 6: 2.5, 7: 1.5}),
    ]  # fmt: skip
    whole = read("cfg\tprompt\n" + "3\tone prompt\n" * 8, plan())
    assert (whole.segments, whole.prompt, whole.cfg) == ((), "one prompt", 3.0)


def test_a_row_holds_until_the_next_step_named() -> None:
    recipe = read("step\tnegative\tlora pixel-art\n2\tblurry\t\n5\tblurry\t0.8\n", plan())
    assert recipe.negative == "blurry" and [(lora.name, lora.model, lora.text) for lora in recipe.loras] == [
        ("pixel-art", {0: 0.0, 5: 0.8}, {0: 0.0, 5: 0.8})
    ]


def test_equal_neighbours_become_one() -> None:
    cut = plan(segments=[{"end": 4}, {"prompt": "a rabbit"}])
    recipe = read("prompt\n" + "a red apple\n" * 8, cut)
    assert [(s.start, s.end) for s in recipe.segments] == [(0, 8)]
    restarted = plan(segments=[{"end": 4}, {"prompt": "a rabbit", "border": "restart"}])
    assert len(read("prompt\n" + "a red apple\n" * 8, restarted).segments) == 2, "a restart is a border in itself"


def test_a_split_restart_keeps_its_own_table_once() -> None:
    restart = plan(
        segments=[
            {"end": 4},
            {"border": "restart", "steps": 12, "scheduler": "karras", "noise_seed": 3, "add_noise": True},
        ]
    )
    numbers = [step.number for step in restart.steps]
    rows = "".join(f"{'a' if n < 6 else 'b'}\n" for n in numbers)
    recipe = read("prompt\n" + rows, restart)
    changed = planned(recipe)
    assert [step.sigma for step in changed.steps] == [step.sigma for step in restart.steps]
    assert [step.positive.text for step in changed.steps] == rows.split()


def test_going_on_from_a_kept_step_has_rows_for_what_is_left() -> None:
    onward = plan(init={"trajectory": "a" * 64, "start": 5}, segments=[{"end": 3}, {"prompt": "a rabbit"}])
    recipe = read(write(onward).replace("a rabbit", "a cat", 2), onward)
    assert [step.number for step in onward.steps] == [5, 6, 7]
    assert [step.positive.text for step in planned(recipe).steps] == ["a cat", "a cat", "a rabbit"]


def test_without_a_header_the_columns_are_our_own() -> None:
    before = plan()
    table = "".join(write(before).splitlines(keepends=True)[1:])
    assert steps(planned(read(table, before))) == steps(before)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("", "empty"),
        ("\n\t\t\n", "empty"),
        ("prompt\nonly one", "1 rows for 8 steps"),
        ("step\tcfg\n0\tmuch", "Row 2, column cfg: 'much' is no number"),
        ("step\tcfg\n0\t1.5.2", "Row 2, column cfg"),
        ("step\tcfg\n0\tnan", "Row 2, column cfg"),
        ("step\tcfg\n0\t1e999", "Row 2, column cfg"),
        ("step\tcfg\n0\t3\n\n4\t101", "Row 4, column cfg: '101' cannot stand there"),
        ("step\tlora x\n0\t-101", "Row 2, column lora x"),
        ("step\tsampler\n0\teulr", "Row 2, column sampler: there is no 'eulr'"),
        ("step\tcfg\n9\t3", "9 is no step of this run, whose steps are 0 to 7"),
        ("step\tcfg\n1.5\t3", "1.5 is no step"),
        ("step\tcfg\n0\t1\n\t3", "nothing is no step"),
        ("step\tcfg\n4\t3\n4\t2", "4 does not come after 4"),
        ("step\tcfg\n0\t3\t7", "Row 2 has 3 cells and the table 2 columns"),
        ("step\tcgf\n0\t3", "unknown column 'cgf'"),
        ("step\tcfg\tcfg\n0\t3\t3", "twice"),
        ("step\tprompt\n0\t" + "x" * 20_001, "Row 2, column prompt"),
        ("step\tprompt\n0\ta\x00b", "Row 2, column prompt"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(table: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(sentence)) as caught:
        read(table, plan())
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
