"""What the machine's own memory has left, so that a model that cannot fit is refused before it is read, not killed while it is."""

from collections.abc import Iterator
from pathlib import Path

MEMINFO, GROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def spare_bytes(meminfo: Path = MEMINFO, group: Path = GROUP) -> int | None:
    """Bytes that a program may still take, swap included, within its control group; None where the system does not tell."""
    found = [count for count in (_of_machine(meminfo), _of_group(group)) if count is not None]
    return min(found, default=None)


def _of_machine(meminfo: Path) -> int | None:
    """Linux: proc_meminfo(5)."""
    told = dict(_pairs(meminfo))
    return (told["MemAvailable"] + told.get("SwapFree", 0)) * 1024 if "MemAvailable" in told else None


def _of_group(group: Path) -> int | None:
    """Control groups, version 2: what the limit leaves, with the files that are only cached counted as free."""
    try:
        most, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return None
    if not most.isdecimal() or not used.isdecimal():
        return None  # "max": no limit
    told = dict(_pairs(group / "memory.stat"))
    return max(0, int(most) - int(used) + told.get("inactive_file", 0) + told.get("active_file", 0))


def _pairs(file: Path) -> Iterator[tuple[str, int]]:
    """Lines of a name and a number."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        words = line.replace(":", " ").split()
        if len(words) >= 2 and words[1].isdecimal():
            yield words[0], int(words[1])
