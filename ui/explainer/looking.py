"""What happens in the panels that look inside: numbers are computed at once, looks into the model are filed and watched."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import gradio as gr

from core.errors import UserError
from core.images.preview import jpeg_data
from core.inside.curves import calls, curves, evaluations
from core.inside.encoders import encoders_of
from core.inside.looks import LOOKS
from core.inside.tokens import readings
from core.jobs import Work
from core.loras import names_of
from core.prompt.tags import every_tag
from core.recipe import Recipe, parse
from core.sampling import SAMPLERS, SCHEDULES, make_sigmas
from ui import form, session, texts, views
from ui.bindings import whole_number
from ui.context import Context
from ui.events import text
from ui.explainer import seeing
from ui.served import uploaded

STEPS = (1, 100)  # of a plot
MOST_TEXT = 4000  # characters
PROMPT = "a red apple on a blue background"  # what a newcomer sees
BREATH = 5.0  # seconds after which an unchanged job is told again


class Looking:
    """Handlers of the panels. Their jobs are apart from their owner's others, so that no other tab shows them."""

    def __init__(self, context: Context) -> None:
        self._context = context

    # --- at once -------------------------------------------------------------------------------------------------------

    def sigmas(self, kept: Any, event: gr.EventData, request: gr.Request) -> views.Value:
        """The plot of the schedules, for what was chosen, or for what stands in the form."""
        words, asked = self._words(request), self._asked(kept, event)
        steps = asked["steps"] if isinstance(asked["steps"], int) else 20
        try:
            recipe = Recipe(
                stepwise=1, model=asked["model"], steps=min(max(steps, STEPS[0]), STEPS[1]), sampler=asked["sampler"] or None,
                scheduler=asked["scheduler"] or None,
            )  # fmt: skip
            plan = self._context.pipe.plan(recipe)
            told, sampling = plan.recipe, plan.steps[0].leg.model_sampling
            assert told.steps and told.sampler and told.scheduler  # resolved
            every = curves(told.steps, sampling, told.sampler)
            counted = calls(told.steps, told.scheduler, sampling)
            sigmas = make_sigmas(told.scheduler, told.steps, sampling, told.sampler)
            marks = evaluations(told.sampler, sigmas, sampling)
        except UserError as error:
            return self._options() | {"error": words.error(error), **_plain(asked)}
        return self._options() | seeing.sigmas(told, sampling.is_flow, every, marks, counted, words)

    def tokens(self, kept: Any, event: gr.EventData, request: gr.Request) -> views.Value:
        """What the text encoders get of a prompt."""
        words, asked = self._words(request), self._asked(kept, event)
        weighting = asked["weighting"] if asked["weighting"] in ("comfyui", "a1111") else "comfyui"
        told = {"model": asked["model"], "prompt": asked["prompt"], "weighting": weighting, "error": ""}
        try:
            recipe = self._context.pipe.resolve(Recipe(stepwise=1, model=asked["model"]))
            steps = asked["steps"] if isinstance(asked["steps"], int) else recipe.steps or 20
            entry = self._context.pipe.library.model(asked["model"])
            encoders = encoders_of(entry, self._context.pipe.library.embeddings())
            found = readings(asked["prompt"], weighting, min(max(steps, 1), STEPS[1]), encoders, self._triggers(asked))
        except UserError as error:
            return self._options() | told | {"error": words.error(error)}
        return self._options() | told | seeing.tokens(found, words)

    def begin(self, kept: Any, event: gr.EventData, request: gr.Request) -> views.Value:
        """What a look can be asked of."""
        asked = self._asked(kept, event)
        return self._options() | {"model": asked["model"], "prompt": asked["prompt"], "kind": "", "error": ""}

    def chosen(self, event: gr.EventData, request: gr.Request) -> views.Value:
        """A picture for the VAE, from the visitor's disk."""
        try:
            return self._given(self._context.pipe.inputs.add(uploaded(text(event, "path"))))
        except UserError as error:
            return self._options() | {"error": self._words(request).error(error)}

    def latest(self, kept: Any, request: gr.Request) -> views.Value:
        """A picture for the VAE: the last one that this visitor made."""
        words, gallery = self._words(request), self._context.gallery
        found = gallery.list(self._context.sees(session.owner(kept, request)), limit=1)
        if not found:
            return self._options() | {"error": words("inside.vae.no_latest")}
        try:
            return self._given(self._context.pipe.inputs.add(found[0].path))
        except UserError as error:
            return self._options() | {"error": words.error(error)}

    # --- through the queue ---------------------------------------------------------------------------------------------

    def look(self, kept: Any, event: gr.EventData, request: gr.Request) -> Iterator[views.Value]:
        """Files a look and tells what it shows, as it comes."""
        words, kind = self._words(request), text(event, "kind")
        try:
            recipe = self._recipe(event)
            id = self._context.jobs.file(Work(recipe=recipe, look=kind, name="inside"), _owner(kept, request))
        except UserError as error:
            yield seeing.looked(kind, None, words) | {"error": words.error(error)}
            return
        since = -1
        while True:
            view = self._context.jobs.watch(id, since, BREATH)
            since = view.version
            yield seeing.looked(kind, view, words)
            if view.finished:
                return

    def stop(self, kept: Any, event: gr.EventData, request: gr.Request) -> None:
        """Ends a look of one's own."""
        with suppress(UserError):
            self._context.jobs.cancel(text(event, "job"), _owner(kept, request))

    def _recipe(self, event: gr.EventData) -> Recipe:
        """What a look is asked of: the model's own settings but for what was chosen. Raises RecipeError."""
        told: dict[str, Any] = {
            "stepwise": 1, "model": text(event, "model"), "prompt": text(event, "prompt"), "seed": whole_number(text(event, "seed") or "1"),
        }  # fmt: skip
        if vae := text(event, "vae"):
            told["vae"] = vae
        if image := text(event, "image"):
            told["init"] = {"image": image}
        if text(event, "kind") not in LOOKS:
            raise UserError("There is no such look inside.")
        return parse(told)

    # --- what both need ------------------------------------------------------------------------------------------------

    def _given(self, digest: str) -> views.Value:
        picture = self._context.pipe.inputs.open(digest)
        return self._options() | {"image": digest, "preview": views.jpeg(jpeg_data(picture)), "error": ""}

    def _options(self) -> views.Value:
        """What can be chosen. Always the same places, so that no value lacks what another one had."""
        vaes = [
            entry.id for entry in self._context.pipe.library.scan() if entry.kind == "vae" and entry.problem is None
        ]
        return {
            "models": [name for name, _ in form.model_choices(self._context)], "vaes": vaes, "samplers": list(SAMPLERS),
            "schedulers": list(SCHEDULES),
        }  # fmt: skip

    def _asked(self, kept: Any, event: gr.EventData) -> dict[str, Any]:
        """What was chosen in a panel; what it leaves open stands in the text2image form."""
        before = session.kept(kept)["form"] or form.first_values(self._context)
        models = [name for name, _ in form.model_choices(self._context)]
        model = text(event, "model") or before.get("model")
        steps = text(event, "steps")
        prompt = text(event, "prompt", MOST_TEXT) if text(event, "typed") else before.get("prompt") or PROMPT
        return {
            "model": model if model in models else next(iter(models), "demo"),
            "steps": int(steps) if steps.isdecimal() and len(steps) < 6 else before.get("steps"),
            "prompt": str(prompt)[:MOST_TEXT], "loras": before.get("loras"),
            **{name: text(event, name) or before.get(name) for name in ("sampler", "scheduler", "weighting")},
        }  # fmt: skip

    def _triggers(self, asked: Mapping[str, Any]) -> list[str]:
        """The trigger words of the LoRAs in the form and in the prompt's tags."""
        names = [tag.name for tag in every_tag(asked["prompt"], "comfyui")]
        with suppress(ValueError, UserError):
            names += names_of(parse({"stepwise": 1, "loras": json.loads(asked["loras"] or "[]")}))
        found: list[str] = []
        for name in names:
            with suppress(UserError):
                found += self._context.pipe.loras.get(name).trigger_words
        return found

    def _words(self, request: gr.Request) -> texts.Texts:
        return texts.of(session.language(request, self._context.language))


def _owner(kept: Any, request: gr.Request) -> str:
    return f"inside:{session.owner(kept, request)}"


def _plain(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {name: asked[name] for name in ("model", "steps", "sampler", "scheduler")}
