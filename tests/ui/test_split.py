"""What the split tab says of a plan, and how segments travel between recipe, timeline and inspector."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import RecipeError
from core.pipeline import Pipeline
from core.recipe import Recipe, parse
from ui import texts
from ui.bindings import pack, unpack
from ui.components.fields import Timeline
from ui.form import complete
from ui.opening import presets_of, read_presets
from ui.split import view
from ui.split.fields import INSPECTED, SPLIT, inspected, read_segments, segments_value
from ui.split.saying import changes_nothing, excerpt, say

PRESETS = Path(__file__).parents[2] / "presets"
EN = texts.of("en")


@pytest.fixture(scope="module")
def pipe(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(models=models, data=tmp_path_factory.mktemp("data"))


def recipe(*segments: dict[str, Any], **fields: Any) -> Recipe:
    data = {"stepwise": 1, "prompt": "a red apple", "seed": 7, "steps": 20, "cfg": 5.0, "sampler": "euler", **fields}
    return parse(data | {"segments": list(segments)})


def said(pipe: Pipeline, *segments: dict[str, Any], **fields: Any) -> str:
    found = say(view.course(pipe, recipe(*segments, **fields)), EN)
    return "\n".join([found.text, *found.warnings])


# --- the sentence -----------------------------------------------------------------------------------------------------


def test_apple_to_rabbit(pipe: Pipeline) -> None:
    assert said(pipe, {"end": 10}, {"prompt": "a red rabbit"}) == (
        "Steps 0–9 follow “a red apple”, 10–19 follow “a red rabbit”. Noise and memory are carried over."
    )


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "euler_ancestral", "uni_pc"])
def test_a_cut_that_changes_nothing_is_said_to(pipe: Pipeline, sampler: str) -> None:
    found = view.course(pipe, recipe({"end": 3}, {"end": 10}, {}, sampler=sampler))
    assert changes_nothing(found.plan, found.uncut)
    assert "3, 10 changes nothing" in say(found, EN).text


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "a rabbit"},
        {"cfg": 4.0},
        {"sampler": "heun"},
        {"negative": "x"},
        {"border": "restart"},
        {"conditioning": "zero"},
    ],
)
def test_a_cut_that_changes_something_is_not(pipe: Pipeline, change: dict[str, Any]) -> None:
    found = view.course(pipe, recipe({"end": 10}, change))
    assert not changes_nothing(found.plan, found.uncut)


def test_what_else_changes_is_named(pipe: Pipeline) -> None:
    found = said(pipe, {"end": 4}, {"cfg": 3.5, "sampler": "dpmpp_2m", "negative": "blue"})
    assert "From step 4 on: CFG 3.5, dpmpp_2m, negative “blue”." in found
    assert "memory begins anew" in found


def test_a_restart_says_what_is_lost(pipe: Pipeline) -> None:
    found = said(pipe, {"end": 10}, {"border": "restart", "noise_seed": 5})
    assert "At step 10 a new sampler begins" in found
    assert "seed 5" in found
    assert "carried" not in found


def test_edits_within_a_prompt_are_told_by_their_steps(pipe: Pipeline) -> None:
    found = said(pipe, prompt="a [apple:rabbit:12]")
    assert "Steps 0–11 follow “a apple”, 12–19 follow “a rabbit”." in found


def test_many_changes_are_counted(pipe: Pipeline) -> None:
    assert "and 16 more changes" in said(pipe, prompt="[a|b]")


def test_weights_stay_as_written(pipe: Pipeline) -> None:
    assert "“a (big:1.3) apple”" in said(pipe, {"end": 5}, {"prompt": "a (big:1.3) [apple:rabbit:2]"}).replace(
        "rabbit", "apple"
    )


# --- nonsense ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([{"add_noise": False}], "adds no noise"),
        ([{"end": 10}, {"add_noise": True}], "still noisy"),
        ([{"end": 10}, {"end": 20, "leftover_noise": True}], None),
        ([{"end": 12, "leftover_noise": True}], "noise left over"),
        ([{"end": 12}], "step 11 of 20 jumps"),
        ([{"end": 8}, {"start": 12}], "Steps 8–11 are left out"),
        ([{"end": 12}, {"start": 8}], "Steps 8–11 are run twice"),
        ([{"end": 10, "leftover_noise": False}, {}], "gets a clean picture"),
        ([{"end": 10}, {"end": 10}, {}], "Segment 2 has no steps"),
        ([{"end": 10}, {}], None),
        ([{"end": 20}, {"start": 6, "add_noise": True}], None),
    ],
)
def test_nonsense_is_named(pipe: Pipeline, segments: list[dict[str, Any]], expected: str | None) -> None:
    found = say(view.course(pipe, recipe(*segments)), EN)
    own = [warning for warning in found.warnings if "so it restarts" not in warning]
    if expected is None:
        assert not own
    else:
        assert any(expected in warning for warning in own), own


def test_what_the_plan_notes_is_said_too(pipe: Pipeline) -> None:
    assert "Segment 2 adds noise, so it restarts there as in ComfyUI." in said(pipe, {"end": 10}, {"add_noise": True})


def test_steps_of_another_schedule_are_no_gap(pipe: Pipeline) -> None:
    found = said(pipe, {"end": 10}, {"start": 15, "steps": 30, "border": "restart"})
    assert "At step 15 a new sampler begins" in found
    assert "left out" not in found


def test_every_language_can_say_it(pipe: Pipeline) -> None:
    course = view.course(pipe, recipe({"end": 12}, {"start": 8, "cfg": 2.0, "add_noise": True}))
    for language in texts.LANGUAGES:
        assert say(course, texts.of(language)).text


# --- the timeline's view ----------------------------------------------------------------------------------------------


def test_the_view_lays_segments_out(pipe: Pipeline) -> None:
    seen = view.timeline(view.course(pipe, recipe({"end": 6}, {"start": 12, "border": "restart"})), EN)
    assert [(part["start"], part["end"], part["done"], part["count"]) for part in seen["segments"]] == [
        (0, 6, 0, 6),
        (12, 20, 6, 8),
    ]
    assert seen["steps"] == 20
    assert seen["total"] == 14


def test_a_schedule_of_another_length_is_known(pipe: Pipeline) -> None:
    """ddim_uniform makes seven steps of six."""
    seen = view.timeline(view.course(pipe, recipe(steps=6, scheduler="ddim_uniform")), EN)
    assert seen["steps"] == 7
    assert not seen["warnings"]


def test_marks_stand_where_the_prompt_changes(pipe: Pipeline) -> None:
    seen = view.timeline(view.course(pipe, recipe({"end": 10, "prompt": "[a:b:4]"}, {"prompt": "[x:y:0.75]"})), EN)
    assert [(tick["segment"], tick["step"], tick["text"]) for tick in seen["ticks"]] == [(0, 4, "“b”"), (1, 15, "“y”")]


# --- the inspector ----------------------------------------------------------------------------------------------------


def test_what_is_left_alone_shows_what_it_inherits(pipe: Pipeline) -> None:
    cut = recipe({"end": 10}, {"cfg": 3.0}, negative="grey")
    shown = view.inspector(cut, view.course(pipe, cut), 1, {"cfg": 3.0}, EN, fill=True)
    assert shown.keys() == set(INSPECTED)
    assert [shown[name]["ghost"] for name in ("prompt", "negative", "start", "end", "sampler")] == [
        "a red apple",
        "grey",
        "10",
        "20",
        "euler",
    ]
    assert [shown[name]["value"] for name in ("cfg", "start", "prompt", "border")] == [3.0, None, "", "continue"]


def test_what_has_no_effect_says_why(pipe: Pipeline) -> None:
    cut = recipe({"end": 10}, {"cfg": 1.0})
    shown = view.inspector(cut, view.course(pipe, cut), 1, {"cfg": 1.0}, EN, fill=False)
    off = {name for name, props in shown.items() if props["reason"]}
    assert off == {"noise_seed", "steps", "scheduler", "shift", "guidance", "leftover_noise", "negative"}
    assert all(props["reason"] in texts.WORDS["en"] for props in shown.values() if props["reason"])
    assert not any("value" in props for props in shown.values())


def test_a_schedule_is_shown_as_carried(pipe: Pipeline) -> None:
    own = {"cfg": {"0": 7.0, "5": 2.5}}
    cut = recipe(own)
    shown = view.inspector(cut, view.course(pipe, cut), 0, own, EN, fill=True)
    assert shown["cfg"] | {"reason": ""} == {"reason": "", "ghost": "0: 7, 5: 2.5", "value": None}


# --- there and back ---------------------------------------------------------------------------------------------------

SEGMENT = st.fixed_dictionaries(
    {},
    optional={
        "end": st.integers(50, 90), "start": st.integers(0, 50),
        "prompt": st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20),
        "cfg": st.one_of(st.floats(0, 100), st.dictionaries(st.integers(0, 90).map(str), st.floats(0, 100), min_size=1, max_size=3)),
        "conditioning": st.sampled_from(["prompt", "zero", "empty"]), "border": st.sampled_from(["continue", "restart"]),
        "noise_seed": st.integers(0, 2**64 - 1), "add_noise": st.booleans(), "leftover_noise": st.booleans(),
        "loras": st.just([{"name": "a", "model": {"0": 0.0, "6": 1.0}}]), "sampler": st.just("heun"), "clip_skip": st.integers(1, 4),
    },
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(SEGMENT, max_size=5), st.integers(0, 2**64 - 1))
def test_recipe_to_form_and_back(segments: list[dict[str, Any]], seed: int) -> None:
    """Through the browser, whose numbers end at 2^53 and whose floats may come back whole."""
    cut = recipe(*segments, seed=seed, batch=2, weighting="a1111")
    filled = unpack(cut, SPLIT)
    filled["segments"] = Timeline.clean(None, json.loads(json.dumps(filled["segments"])))
    numbers = [n for n in json.loads(filled["segments"]["segments"]) if not isinstance(n.get("noise_seed", ""), str)]
    assert not numbers
    names = (*(binding.control for binding in SPLIT), "carried")
    assert pack([filled[name] for name in names], SPLIT) == cut


@pytest.mark.parametrize("text", ["", "{", "7", '{"end": 1}', '["end"]', "[" * 5000])
def test_what_is_no_list_of_segments_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="segments"):
        read_segments(text)


@pytest.mark.parametrize(
    "hostile",
    [None, 3, "[]", {}, {"segments": 5, "chosen": "x"}, {"segments": "[]", "chosen": True}, {"segments": "[]", "chosen": -4},
     {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}],
)  # fmt: skip
def test_a_timeline_lets_nothing_else_through(hostile: object) -> None:
    assert Timeline.clean(None, hostile) == {"segments": "[]", "chosen": 0, "edited": ""}


def test_a_segment_that_does_not_fit_is_refused_in_words() -> None:
    value = {"segments": '[{"end": "x"}, {"hue": 3}]', "chosen": 0, "edited": ""}
    filled = unpack(recipe(), SPLIT) | {"segments": value}
    with pytest.raises(RecipeError, match=r"segments\.0\.end"):
        pack([filled[name] for name in (*(binding.control for binding in SPLIT), "carried")], SPLIT)


def test_what_is_the_models_own_anyway_is_not_carried(pipe: Pipeline) -> None:
    """A picture carries everything resolved; only what is unlike the model needs a note."""
    context: Any = SimpleNamespace(pipe=pipe)
    made = pipe.resolve(recipe({"end": 10}, {}, batch=3))
    assert json.loads(complete(context, made, SPLIT)["carried"]) == {"batch": 3}


def test_flags_have_three_states() -> None:
    assert [inspected(segment)["add_noise"] for segment in ({}, {"add_noise": True}, {"add_noise": False})] == [
        "",
        "yes",
        "no",
    ]


def test_an_excerpt_is_one_short_line() -> None:
    assert excerpt("a\n  b") == "a b"
    assert len(excerpt("x" * 500)) == 60


# --- presets ----------------------------------------------------------------------------------------------------------


def test_each_tab_has_its_own_presets() -> None:
    presets = read_presets(PRESETS)
    split, plain = presets_of(presets, "split"), presets_of(presets, "text2image")
    assert not set(split) & set(plain)
    assert all(presets[name].segments for name in split)
    assert not any(presets[name].segments for name in plain)
    assert {name for name in split if name.endswith("-sd15")} == {
        f"{name}-sd15" for name in split if not name.endswith("-sd15")
    }


@pytest.mark.parametrize(
    "name", [file.stem for file in sorted(PRESETS.glob("split-*.json")) if not file.stem.endswith("-sd15")]
)
def test_presets_for_the_demo_model_have_a_plan(pipe: Pipeline, name: str) -> None:
    found = read_presets(PRESETS)[name]
    without = [segment.model_copy(update={"loras": None}) for segment in found.segments]  # a LoRA may not be here
    assert say(view.course(pipe, found.model_copy(update={"segments": tuple(without)})), EN).text


def test_segments_value_is_what_the_binding_reads() -> None:
    cut = recipe({"end": 3, "noise_seed": 2**64 - 1}, {})
    assert segments_value(cut.segments) == unpack(cut, SPLIT)["segments"]
