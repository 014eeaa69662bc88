"""What the panel is told of a text in the making, and where its button is closed."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from core.errors import ModelError
from core.images.gallery import Gallery
from core.jobs import Jobs, JobView, Limits, PipelineWorker, Work
from core.note import Note
from core.pipeline import Pipeline
from core.recipe import Recipe
from core.strips import Strips
from tests import tiny_models
from ui import enriching, form, texts
from ui.components.enrich_panels import Enrich
from ui.context import Context
from ui.texts import fields_of

KEYS = {"job", "state", "text", "line", "note", "error", "wording"}


def a_job(**fields: Any) -> JobView:
    work = Work(recipe=Recipe(stepwise=1, prompt="a red apple"), wording=2)
    return JobView(id="j", owner="me", work=work, filed=0.0, **fields)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"state": "queued", "position": 3}, "2"),
        ({"state": "running", "phase": "loading", "what": "Reading tiny", "share": 0.5}, "50"),
        ({"state": "running"}, "Reading the prompt"),
        ({"state": "running", "phase": "writing", "tokens": 7, "text": "A"}, "Writing: 7 tokens"),
        ({"state": "done", "tokens": 90, "text": "A red apple."}, "90 tokens written"),
        ({"state": "stopped", "tokens": 9, "text": "A red"}, "Stopped"),
        ({"state": "failed", "error": ModelError("Nothing was written.")}, ""),
    ],
)
def test_every_state_has_its_line_and_the_same_shape(fields: dict[str, Any], line: str) -> None:
    """The browser carries out what differs between two of them on the one that it holds."""
    for language in texts.LANGUAGES:
        assert enriching.told(a_job(**fields), texts.of(language)).keys() == KEYS
    told = enriching.told(a_job(**fields), texts.of("en"))
    assert line in told["line"] and told["wording"] == 2
    assert bool(told["error"]) is (fields["state"] == "failed")


def test_what_was_put_back_is_said_in_the_readers_language() -> None:
    template = "{quote} was not kept as you wrote it, and was put back: look where it stands."
    told = enriching.told(
        a_job(state="done", notes=(Note(template=template, values={"quote": '"{x}"'}),)), texts.of("ja")
    )
    assert told["note"].startswith('"{x}" が') and fields_of(template) == {"quote"}


def test_the_button_is_closed_where_nobody_can_write(models: Path, tmp_path: Path) -> None:
    for name in ("demo", "demo-turbo"):
        shutil.copytree(models / name, tmp_path / "models" / name)
    tiny_models.z_image(tmp_path / "models" / "tiny", writes=True)
    pipe, gallery = Pipeline(models=tmp_path / "models", data=tmp_path / "data"), Gallery(tmp_path / "out")
    jobs = Jobs(PipelineWorker(pipe), gallery, tmp_path / "jobs.sqlite")
    context = Context(
        pipe=pipe,
        jobs=jobs,
        gallery=gallery,
        strips=Strips(tmp_path / "strips", pipe),
        limits=Limits(),
        presets=tmp_path,
    )
    try:
        assert {name: closed(context, name) for name in ("demo", "demo-turbo", "tiny", "gone")} == {
            "demo": "encoder", "demo-turbo": "untaught", "tiny": "", "gone": "absent",
        }  # fmt: skip
    finally:
        jobs.close()
        pipe.close()


def closed(context: Context, model: str) -> str:
    """What the form tells its prompt of that model."""
    import gradio as gr

    from ui.tabs import text2image

    first = form.first_values(context)
    with gr.Blocks():
        tab = text2image.build(first, [])
    found = form.updates(context, tab.form, first | {"model": model}, fill=False)
    return found[tab.form.names.index("prompt")]["enrich"]


def test_what_a_browser_claims_that_the_panel_shows_is_of_no_interest() -> None:
    import gradio as gr

    with gr.Blocks():
        assert Enrich(elem_id="enrich").preprocess({"path": "/etc/passwd"}) is None
