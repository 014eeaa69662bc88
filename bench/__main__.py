"""`python -m bench`: every claim of speed, measured now, on this machine."""

import argparse
import tempfile
from pathlib import Path

import torch

from bench.against_diffusers import compare
from bench.editing import edit, keep
from bench.loading import load
from bench.starting import ROOT, start
from bench.strips import strips
from bench.sweeping import sweep
from bench.switching import switch
from bench.variety import pin, vary


def show(title: str, rows: dict[str, float]) -> None:
    print(f"\n{title}")
    for name, value in rows.items():
        print(f"  {name:45} {value:10.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--large", metavar="ID", help="also this model of SD1.5's size, e.g. one made by bench/full_size_sd15.py"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(min(2, torch.get_num_threads()))
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        rows = compare(arguments.models, "demo", arguments.rounds, here)
        show(f"demo model, 20 steps of euler at cfg 5, {torch.get_num_threads()} threads", rows)
        if arguments.large:
            rows = compare(arguments.models, arguments.large, 2, here, width=256, height=256)
            show(f"{arguments.large}, 256 x 256", rows)
        show("a border swept over 20 steps, demo model", sweep(arguments.models, "demo", 3, here))
        show("the last quarter edited, demo model", edit(arguments.models, "demo", arguments.rounds, here))
        show("runs kept on the disk, demo model", keep(arguments.models, "demo", arguments.rounds, here))
        show("a LoRA switched in a UNet of SD1.5's size, 16 x 16 cells", switch(3, 16))
        show("other prompts on a pinned start, demo-turbo", pin(arguments.models, "demo-turbo", arguments.rounds, here))
        show("how far seeds lie apart and whether they follow the prompt, demo-turbo", vary(arguments.models, "demo-turbo", here))
        show("the explainer's strips, through the queue, for a first and a second visitor", strips(arguments.models, here))
        show("memory while a file of full width and few layers is loaded", load(here))
        show("seconds to start", start(arguments.models, here, 3))


if __name__ == "__main__":
    main()
