"""A job as a watcher sees it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.errors import UserError
from core.images.gallery import Item
from core.inside.looks import Seen
from core.jobs.film import Frame
from core.jobs.store import Record, State
from core.jobs.work import Work
from core.jobs.worker import Phase
from core.note import Note
from core.pipeline import Wish
from core.recipe import Recipe
from core.tree import Cost

FINISHED: frozenset[State] = frozenset({"done", "stopped", "failed"})


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A job as a watcher sees it. Never changes: a newer view has another `version`."""

    id: str
    owner: str
    work: Work  # as filed
    cost: Cost | None = None  # of a sweep, as it was counted when it was filed
    resolved: Recipe | None = None  # the recipe in the making, once it is planned
    filed: float  # seconds since 1970
    version: int = 0
    state: State = "queued"
    position: int = 0  # in the queue: 1 is next; 0 once it runs
    phase: Phase = ""
    what: str = ""  # the thing being loaded
    share: float = 0.0  # of loading or encoding, 0 to 1
    image: int = 0  # counted over the whole job
    images: int = 1  # of an endless job up to the end of this round
    step: int = 0  # of this image
    steps: int = 0
    sigma: float = 0.0
    ran: int = 0  # steps really run, of all images
    calls: int = 0  # forward passes of the finished pictures
    seconds_left: float = 0.0  # of the whole job; 0 when unknown
    seconds: float | None = None  # that it ran, in the turns that have ended here
    previews: tuple[bytes, ...] = ()  # JPEG, one an image, empty until there is one
    film: tuple[Frame, ...] = ()  # stills of the steps, also after the end
    made: Mapping[int, Item] = field(default_factory=dict[int, Item])  # image -> finished picture, in the gallery
    handed: Mapping[int, Frame] = field(default_factory=dict[int, Frame])  # image -> how it stood at its first border
    starred: frozenset[int] = frozenset()  # images that are not to be swept away
    swept: frozenset[int] = frozenset()  # images that were made, and deleted
    seen: Seen | None = None  # of a look inside, as far as it has come; gone after a restart
    text: str = ""  # the prompt in more words, as far as it is written; gone after a restart
    tokens: int = 0  # of it
    notes: tuple[Note, ...] = ()
    stopping: Wish = None  # what was asked of it
    error: UserError | None = None  # why it failed; of an endless job also why it ended by itself

    @property
    def recipe(self) -> Recipe:
        """As filed; what the axes of a sweep vary."""
        return self.work.recipe

    @property
    def items(self) -> tuple[Item, ...]:
        """The finished pictures, in the order of making."""
        return tuple(self.made.values())

    @property
    def finished(self) -> bool:
        return self.state in FINISHED


def view_of(record: Record, made: Mapping[int, Item]) -> JobView:
    """A job as it is remembered."""
    slots = record.slots
    last = max(slots, default=-1)
    images = record.work.images if not record.work.endless else max(record.work.images, last + 1)
    return JobView(
        id=record.id, owner=record.owner, work=record.work, cost=record.cost, filed=record.filed, state=record.state,
        made=made, images=images, ran=sum(slot.ran for slot in slots.values()),
        calls=sum(slot.calls for slot in slots.values()), stopping=record.wish, error=record.error,
        handed={image: slot.handed for image, slot in slots.items() if slot.handed is not None and image in made},
        starred=frozenset(image for image, slot in slots.items() if slot.fate == "starred"),
        swept=frozenset(image for image, slot in slots.items() if slot.fate == "swept"),
    )  # fmt: skip
