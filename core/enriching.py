"""A prompt is told in more words: by the text encoder of its model, which is in memory anyway, or by a server that the owner named."""

from collections.abc import Callable, Generator, Iterator, Mapping

from core.errors import ModelError, Stopped, UserError
from core.events import Loading, Writing, WritingEvent, Written
from core.families.writing import Why, Writes, check_writes, why_not
from core.holding import Held
from core.models.library import Library
from core.note import Note
from core.prompt.answer import Draft, Drawing
from core.prompt.enrich import Brief, Enriched, brief, finished, shown
from core.prompt.server import ChatServer
from core.recipe import Recipe

Load = Callable[[Recipe], Generator[Loading, None, Mapping[str, Held]]]
"""Brings the models of a recipe into memory."""


class Enricher:
    """Knows who writes. server: that one does, for all models; None: a model's own text encoder, where it can."""

    def __init__(self, library: Library, server: ChatServer | None = None) -> None:
        self._library, self._server = library, server

    def why_not(self, model: str) -> Why:
        """Why prompts for a model cannot be enriched; "" where they can. Loads nothing."""
        try:
            return "" if self._server is not None else why_not(self._library.model(model))
        except UserError:
            return "absent"

    def run(self, recipe: Recipe, wording: int, stop: Callable[[], bool], load: Load) -> Iterator[WritingEvent]:
        """The text as it grows, then as it can be used. Stopped, that is what there was, and Stopped is raised after it."""
        told, how = brief(recipe.prompt, recipe.weighting), drawing(wording)
        if self._server is not None:
            drafts = self._server.drafts(told.instruction, told.text, how, stop)
        else:
            drafts = (yield from self._own(recipe, load)).write(told.instruction, told.text, how)
        yield from _told(drafts, told, stop)

    def _own(self, recipe: Recipe, load: Load) -> Generator[Loading, None, Writes]:
        """The recipe's own model in memory; of a switch to others nothing is needed."""
        check_writes(self._library.model(recipe.model))
        held = yield from load(Recipe(stepwise=1, model=recipe.model, vae=recipe.vae))
        model = held[recipe.model].model
        assert isinstance(model, Writes)  # as its configuration says
        return model


def drawing(wording: int) -> Drawing:
    """How the wording of that number is written: the first takes the likeliest words, each later one draws its own."""
    return Drawing() if wording <= 1 else Drawing(temperature=0.7, top_p=0.8, seed=wording)


def _told(drafts: Iterator[Draft], told: Brief, stop: Callable[[], bool]) -> Iterator[Writing | Written]:
    last, stopped = Draft(text="", tokens=0), False
    try:
        for last in drafts:
            yield Writing(text=shown(last.text), tokens=last.tokens)
            if stop():
                raise Stopped
    except Stopped:
        stopped = True
    made = finished(last.text, told, cut=last.cut or stopped)
    if not made.text and not stopped:
        raise ModelError("Nothing was written: ask for another wording, or write the prompt in other words.")
    yield Written(text=made.text, notes=tuple(_notes(made)))
    if stopped:
        raise Stopped


def _notes(made: Enriched) -> Iterator[Note]:
    for quote in made.lost:
        yield Note(
            template="{quote} was not kept as you wrote it, and was put back: look where it stands.",
            values={"quote": quote.source},
        )
    if made.strays:
        yield Note(template="The text is in another language than your prompt: ask for another wording.", values={})
