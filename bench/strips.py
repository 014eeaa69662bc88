"""The explainer's strips, through the queue as a visitor's are: the first one's and the second one's."""

import time
from pathlib import Path

from core import Pipeline
from core.images.gallery import Gallery
from core.jobs import Jobs, Limits, PipelineWorker, Work
from core.strips import Strips
from ui.context import Context
from ui.explainer.recipes import STRIPS, Chosen

ENDED = 600.0  # seconds that a strip may take before this gives up


def strips(models: Path, data: Path) -> dict[str, float]:
    """Seconds and forward passes of every card's strip on the demo models, made for nobody yet, then for a second visitor."""
    pipe, gallery = Pipeline(models=models, device="cpu", data=data / "strips-data"), Gallery(data / "strips-pictures")
    shelf = Strips(data / "strips-data" / "strips", pipe)
    jobs = Jobs(PipelineWorker(pipe), gallery, data / "strips.sqlite", shelf=shelf)
    context = Context(pipe=pipe, jobs=jobs, gallery=gallery, strips=shelf, limits=Limits(), presets=data)
    rows: dict[str, float] = {}
    try:
        for name, make in STRIPS.items():
            recipes = [cell.recipe for cell in make(Chosen(context=context, name="demo")).cells]
            work = Work(recipe=recipes[0], others=tuple(recipes[1:]), name=name, shared=True)
            for visitor in ("first", "second"):
                seconds, calls = made(jobs, work, visitor)
                rows[f"{name}, {visitor} visitor, s"] = seconds
                rows[f"  forward passes, {name}, {visitor} visitor"] = calls
    finally:
        jobs.close()
        pipe.close()
        gallery.close()
    return rows


def made(jobs: Jobs, work: Work, visitor: str) -> tuple[float, int]:
    """Seconds on the clock, and forward passes."""
    began = time.perf_counter()
    view = jobs.get(jobs.file(work, visitor))
    while not view.finished:
        view = jobs.watch(view.id, view.version, ENDED)
    assert view.state == "done", view.error
    return time.perf_counter() - began, view.calls
