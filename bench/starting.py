"""From nothing to the first picture, in fresh processes."""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def seconds(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - began


def best(rounds: int, *command: str) -> float:
    """The fastest of a few: what the machine can do when it is left alone."""
    return min(seconds(*command) for _ in range(rounds))


def start(models: Path, out: Path, rounds: int) -> dict[str, float]:
    """Seconds for an import, and from the command line to a PNG on the disk."""
    preset = str(ROOT / "presets" / "1-red-rabbit.json")
    common = ("app.py", "--models", str(models), "--data", str(out / "data"), "generate", preset, "--out", str(out))
    return {
        "python alone": best(rounds, "-c", "pass"),
        "import torch": best(rounds, "-c", "import torch"),
        "import core.pipeline": best(rounds, "-c", "import core.pipeline"),
        "import gradio": best(rounds, "-c", "import gradio"),
        "command line to first picture": best(rounds, *common),
    }
