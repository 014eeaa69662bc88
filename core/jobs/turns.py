"""Whose turn is next: owners in turn, each owner's jobs as filed, patient ones after all others."""

from collections.abc import Iterable, Mapping

from core.jobs.view import JobView


def in_turn(views: Iterable[JobView], turns: Mapping[str, float]) -> list[JobView]:
    """What waits, in the order in which it will run. Round robin: whose last turn is longest ago is next."""
    lines: dict[str, list[JobView]] = {}
    for view in views:
        if view.state == "queued":
            lines.setdefault(view.owner, []).append(view)
    for line in lines.values():
        line.sort(key=lambda view: view.work.patience)  # stable: the others as filed
    order = sorted(lines, key=lambda owner: turns[owner])  # stable: among equals as filed
    rounds = max((len(line) for line in lines.values()), default=0)
    return [lines[owner][n] for n in range(rounds) for owner in order if n < len(lines[owner])]
