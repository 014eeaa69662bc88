"""What happens in the models tab: looking at what is here, saying what a file cannot tell, getting more."""

from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from core.errors import UserError
from core.families import FAMILIES, VARIANTS
from core.models.catalogue import OFFERS, Offer
from core.models.checkpoint import FAMILY_TITLES
from core.models.downloads import Progress
from core.models.library import MODEL_KINDS, Entry
from core.models.residency import CHOICES as LEVELS
from core.models.variants import CHOICES
from ui import form, session, texts
from ui.context import Context
from ui.events import text
from ui.views import Value

PACE = 0.3  # seconds between two looks at a download


class Storeroom:
    """Handlers of the models tab. forms: those that follow when a model is said to be another variant."""

    def __init__(self, context: Context, forms: Sequence[form.Form] = ()) -> None:
        self._context, self._forms = context, forms
        self._downloads, self._library = context.pipe.downloads, context.pipe.library

    def look(self, request: gr.Request) -> Value:
        """What is in the models folder now."""
        return self._table(self._words(request))

    def tell(self, event: gr.EventData, request: gr.Request, *values: Any) -> list[Any]:
        """A model is said to be another variant. Outputs: the table, then the forms, which follow if they use it."""
        words, name, error = self._words(request), text(event, "name"), ""
        before = form.model_of(self._context, name)
        try:
            if not self._context.guarded:
                self._library.variants.tell(name, self._library.model(name).family, text(event, "variant"))
        except UserError as refused:
            error = words.error(refused)
        updates: list[Any] = [self._table(words) | {"error": error}]
        for one in self._forms:
            mine, values = dict(zip(one.names, values, strict=False)), values[len(one.names) :]
            updates += self._followed(one, mine, before) if mine["model"] == name else [gr.skip()] * len(one.names)
        return updates

    def force(self, event: gr.EventData, request: gr.Request) -> Value:
        """A memory level is asked for, or auto: from the next picture on."""
        words, error = self._words(request), ""
        try:
            if not self._context.guarded:
                self._context.pipe.memory = text(event, "level")
        except UserError as refused:
            error = words.error(refused)
        return self._table(words) | {"error": error}

    def get(self, event: gr.EventData, request: gr.Request) -> Value:
        """Begins a download, or goes on with it."""
        words, error = self._words(request), ""
        try:
            self._downloads.start(text(event, "id"))
        except UserError as refused:
            error = words.error(refused)
        return self._offers(words, self._downloads.progress, error)

    def stop(self) -> None:
        """Ends the download that runs; what came is kept."""
        if self._downloads.allowed:
            self._downloads.stop()

    def watch(self, request: gr.Request) -> Iterator[Value]:
        """What can be got; as long as a download runs, how far it is."""
        words = self._words(request)
        while (known := self._downloads.progress) is not None and not known.finished:
            yield self._offers(words, known)
            self._downloads.wait(PACE)
        yield self._offers(words, known)

    def _followed(self, one: form.Form, values: dict[str, Any], before: form.Model) -> list[Any]:
        now = form.model_of(self._context, str(values["model"]))
        return list(form.updates(self._context, one, form.other_model(values, before, now)))

    def _table(self, words: texts.Texts) -> Value:
        residency = self._context.pipe.residency
        memory = ""
        if residency is not None:
            why = " ".join(words.template(said.template, said.values) for said in residency.sentences)
            memory = words("models.memory", level=residency.level, why=why)
        folder = "models/" if self._context.guarded else str(self._library.root)
        rows = [self._row(entry, words) for entry in self._library.scan()]
        return {
            "models": rows, "memory": memory, "level": self._context.pipe.memory, "levels": list(LEVELS), "folder": folder,
            "writable": not self._context.guarded, "error": "",
        }  # fmt: skip

    def _row(self, entry: Entry, words: texts.Texts) -> Value:
        choices = CHOICES.get(entry.family or "", ()) if entry.kind in MODEL_KINDS else ()
        return {
            "name": entry.id, "kind": entry.kind, "family": family_title(entry), "bytes": entry.size_bytes,
            "problem": "" if entry.problem is None else words.error(entry.problem), "missing": list(entry.missing),
            "variants": list(choices), "variant": entry.details.get("variant", ""), "parts": self._parts(entry),
        }  # fmt: skip

    def _parts(self, entry: Entry) -> list[dict[str, str]]:
        """Which files were picked for a denoiser's other components; "" is its own file."""
        root = self._library.root.resolve()
        return [
            {"part": name, "file": "" if part.path == entry.path else part.path.relative_to(root).as_posix()}
            for name, part in entry.parts.items()
            if name != "denoiser"
        ]

    def _offers(self, words: texts.Texts, progress: Progress | None, error: str = "") -> Value:
        """Always of the same shape: two watchers of one page tell it by turns."""
        shown = progress or Progress(offer="")
        failed = "" if shown.error is None else words.error(shown.error)
        return {
            "offers": [self._offer(offer) for offer in OFFERS.values()],
            "progress": {
                "offer": shown.offer, "state": shown.state if progress else "", "file": shown.file, "done": shown.done,
                "total": shown.total, "speed": round(shown.speed), "error": error or failed,
            },
            "closed": "" if self._downloads.allowed else words("models.guarded"),
        }  # fmt: skip

    def _offer(self, offer: Offer) -> Value:
        held = self._downloads.held(offer)
        files = [
            {
                "name": file.name, "folder": file.folder, "bytes": file.size_bytes, "page": file.page, "here": here,
                "gated": file.gated,
            }
            for file, here in zip(offer.files, held.files, strict=True)
        ]  # fmt: skip
        return {
            "id": offer.id, "title": offer.title, "licence": offer.licence, "licence_page": offer.licence_page,
            "files": files, "missing": held.missing,
        }  # fmt: skip

    def _words(self, request: gr.Request) -> texts.Texts:
        return texts.of(session.language(request, self._context.language))


def family_title(entry: Entry) -> str:
    """As people call it, the variant included."""
    family = entry.family or ""
    record = VARIANTS.get((family, entry.details.get("variant", ""))) or FAMILIES.get(family)
    return record.title if record else FAMILY_TITLES.get(family, family)
