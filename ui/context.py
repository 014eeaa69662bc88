"""What the page is built from. Made once in app.py and handed down; nothing here is global."""

from dataclasses import dataclass
from pathlib import Path

from core.images.gallery import Gallery
from core.jobs import Jobs, Limits
from core.pipeline import Pipeline
from core.strips import Strips


@dataclass(frozen=True, kw_only=True)
class Context:
    """`guarded`: others can reach this server, so everybody sees only what is theirs."""

    pipe: Pipeline
    jobs: Jobs
    gallery: Gallery
    strips: Strips
    limits: Limits
    presets: Path
    language: str = ""  # "" follows the browser
    guarded: bool = False
    private: tuple[Path, ...] = ()  # folders that are never served

    def sees(self, owner: str) -> str | None:
        """Whose pictures this person sees: their own, or all of them at their own machine."""
        return owner if self.guarded else None
