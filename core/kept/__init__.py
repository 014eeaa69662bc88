"""Runs kept on the disk: they survive a restart, and one that was killed goes on where it was."""

from core.kept.index import KeptRun, NewRun, RunStep
from core.kept.runs import KeptRuns

__all__ = ["KeptRun", "KeptRuns", "NewRun", "RunStep"]
