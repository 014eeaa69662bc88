"""What has to be said about a plan, a run or an import."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Note:
    """Something to say about a plan: an English sentence with `{names}`, and the values for them."""

    template: str
    values: dict[str, object]

    def __str__(self) -> str:
        return self.template.format(**self.values)
