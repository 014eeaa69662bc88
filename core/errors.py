"""Every error of Stepwise in one tree.

StepwiseError
├── UserError                 the user can mend it: one plain sentence, what is wrong and what to do
│   ├── RecipeError           a recipe that cannot be run as written
│   ├── UnknownName           a name outside a known set; lists the set
│   ├── ModelError            a model, or a part of one, that cannot be found or used
│   │   ├── MissingPart       a file that is needed and absent; says where to put it
│   │   └── DamagedFile       a file that is truncated, not what it claims, or unsafe
│   ├── ImageError            an input picture that cannot be read or is too large
│   ├── MetadataError         a picture without a recipe, or with a broken one
│   ├── StorageError          the disk refused (full, read-only)
│   ├── OutOfMemory           nothing smaller is left to try
│   └── Refused               not allowed here (guarded mode, limits, another owner's job)
└── Stopped                   somebody pressed stop; no error, but it ends a run

Anything else that is raised is a bug and shows itself as one.
"""

from collections.abc import Iterable


class StepwiseError(Exception):
    """The root: nothing of ours raises outside this tree on purpose."""


class UserError(StepwiseError):
    """Something that the user can mend. `str(error)` is one English sentence that says what to do.

    `template` is that sentence with `{names}` for the `values`: another language translates the template
    (`ui/texts`), so an error is raised once and read in four languages. User text goes into values only.
    """

    def __init__(self, template: str, **values: object) -> None:
        self.template, self.values = template, values
        super().__init__(template.format(**values))


class RecipeError(UserError):
    """A recipe that cannot be run as written."""


class UnknownName(UserError):
    """A name outside a known set."""

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        self.known = tuple(known)
        choices = ", ".join(self.known) or "none are there"
        super().__init__(
            "Unknown {kind} {name!r}: choose one of {choices}.", kind=kind, name=str(name)[:80], choices=choices
        )


class ModelError(UserError):
    """A model, or a part of one, that cannot be found or used."""


class MissingPart(ModelError):
    """A file that is needed and absent. The message names the file and the folder to put it in."""


class DamagedFile(ModelError):
    """A file that is truncated, is not what it claims to be, or is unsafe to open."""


class ImageError(UserError):
    """An input picture that cannot be read, or is too large."""


class MetadataError(UserError):
    """A picture that carries no recipe, or a broken one."""


class StorageError(UserError):
    """The disk refused a write: full, read-only or gone."""


class OutOfMemory(UserError):
    """Memory ran out and nothing smaller is left to try."""


class Refused(UserError):
    """Not allowed here: guarded mode, a limit, or another owner's job."""


class Stopped(StepwiseError):
    """Somebody pressed stop."""
