"""The command line: `generate`, `sweep`, `models`, `import`, `convert` and `kept`, on the same core as the browser.

Exit 0 done, 1 failed (one sentence on stderr), 2 bad usage. With --json nothing but one object a line goes to stdout.
"""

import argparse
import json
import os
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO

import torch
from PIL.Image import Image
from safetensors.torch import save as save_tensors

from core import importing
from core import recipe as recipes
from core import sweep as sweeps
from core.errors import RecipeError, StepwiseError, StorageError
from core.events import ImageDone, Loading, Planned, StepDone
from core.images import files, latent, png, sheets
from core.images.pixels import encoded
from core.kept import KeptRuns
from core.lora_library import LoraItem
from core.models.convert import convert
from core.pipeline import Pipeline

DONE, FAILED = 0, 1
MOST_LISTED = 100_000  # kept runs


def add_commands(top: argparse.ArgumentParser) -> None:
    """Adds the commands to the parser of app.py."""
    commands = top.add_subparsers(title="commands", metavar="")
    generate = commands.add_parser(
        "generate", help="make the pictures of a recipe", description="Make the pictures of a recipe."
    )
    generate.add_argument("recipe", metavar="RECIPE.json", help="a recipe, or - for standard input")
    generate.add_argument("--set", action="append", default=[], type=assignment, metavar="PATH=VALUE",
                          help="change a field, e.g. segments.0.end=12 (the value is JSON, or else text)")  # fmt: skip
    generate.add_argument(
        "--init", type=Path, metavar="IMAGE", help="start from this picture or .latent (with --set init.denoise=0.6)"
    )
    generate.add_argument("--out", type=Path, default=Path("outputs"), metavar="DIR", help="where the pictures go")
    generate.add_argument(
        "--latents", type=Path, metavar="FILE", help="also write the tensor `latents` to a safetensors file"
    )
    generate.add_argument(
        "--latent", type=Path, metavar="FILE", help="also write a .latent file, as ComfyUI loads it (VAE units)"
    )
    generate.add_argument("--json", action="store_true", help="print one JSON object a line for each picture")
    generate.set_defaults(run=run_generate)
    sweep = commands.add_parser(
        "sweep",
        help="one recipe over one or more axes",
        description="Make a recipe at every place of one or more axes.",
    )
    sweep.add_argument("recipe", metavar="RECIPE.json", help="a recipe, or - for standard input")
    sweep.add_argument("--axis", action="append", required=True, metavar="PATH=VALUES",
                       help="e.g. segments.0.end=0:20 (the end included), cfg=1:8:0.5, sampler=euler|heun")  # fmt: skip
    sweep.add_argument(
        "--animate", type=Path, metavar="FILE", help="also write a .webp, .gif or .mp4 through all pictures"
    )
    sweep.add_argument("--out", type=Path, default=Path("outputs"), metavar="DIR", help="where pictures and grid go")
    sweep.add_argument("--json", action="store_true", help="print one JSON object a line for each picture")
    sweep.set_defaults(run=run_sweep)
    models = commands.add_parser(
        "models", help="what was found in models/", description="What was found, and why something cannot be used."
    )
    models.add_argument("--json", action="store_true", help="print one JSON object a line for each file or folder")
    models.set_defaults(run=run_models)
    other = commands.add_parser(
        "import", help="a recipe from a picture or workflow of ComfyUI, A1111 or ours",
        description="Read the recipe in a picture or a JSON file. What could not be carried over is said line by line.",
    )  # fmt: skip
    other.add_argument("file", type=Path, metavar="FILE", help="a PNG, WebP or JPEG picture, or JSON")
    other.add_argument(
        "-o", type=Path, dest="recipe", metavar="RECIPE.json", help="where the recipe goes; else to stdout"
    )
    other.set_defaults(run=run_import)
    pickle = commands.add_parser(
        "convert", help="a .safetensors file from a pickle (.ckpt, .pt, .pth, .bin)",
        description="Write the tensors of a pickle that you trust as a .safetensors file beside it. The app itself opens none.",
    )  # fmt: skip
    pickle.add_argument("file", type=Path, metavar="FILE", help="a checkpoint, VAE, LoRA or embedding")
    pickle.add_argument("-o", type=Path, dest="target", metavar="FILE", help="where it goes; else beside the pickle")
    pickle.set_defaults(run=run_convert)
    kept = commands.add_parser(
        "kept", help="the runs kept on the disk", description="List the runs that are kept on the disk, or delete one."
    )
    kept.add_argument("--delete", metavar="ID", help="delete this run, with the states that no other needs")
    kept.add_argument("--json", action="store_true", help="print one JSON object a line for each run")
    kept.set_defaults(run=run_kept)


def run(arguments: argparse.Namespace) -> int:
    """Runs a command. Returns the exit status."""
    try:
        return arguments.run(arguments, sys.stdout)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
    except StepwiseError as error:
        if arguments.debug:
            raise
        print(error, file=sys.stderr)
    except BrokenPipeError:
        # The reader went away (`| head`): nothing more to say, and nothing to flush at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED


def run_generate(arguments: argparse.Namespace, out: TextIO) -> int:
    """Makes the pictures of a recipe and says what they cost."""
    done: list[ImageDone] = []
    with _pipeline(arguments) as pipe:
        data = read_recipe(arguments.recipe)
        if arguments.init is not None:
            data["init"] = {**(data.get("init") or {}), "image": pipe.inputs.add(arguments.init)}
        for path, value in arguments.set:
            recipes.assign(data, path, value)
        for event in _shown(pipe, recipes.parse(data)):
            done.append(event)
            _report(event, _saved(event, arguments.out), arguments.json, out)
    if arguments.latents is not None:
        files.write(arguments.latents, save_tensors({"latents": torch.cat([event.latent for event in done])}))
    if arguments.latent is not None:
        files.write(arguments.latent, latent.write(torch.cat([event.vae_latent for event in done])))
    return DONE


def run_sweep(arguments: argparse.Namespace, out: TextIO) -> int:
    """Makes every picture of a sweep over one trajectory store, then the grid and the animation."""
    axes = [sweeps.axis(text) for text in arguments.axis]
    pictures: dict[sheets.Place, Image] = {}
    captions: dict[sheets.Place, str] = {}
    with _pipeline(arguments) as pipe:
        for variant in sweeps.variants(read_recipe(arguments.recipe), axes):
            for event in _shown(pipe, variant.recipe):
                place = (*variant.place, event.image)
                pictures[place], captions[place] = event.picture, sweeps.caption(variant.values)
                _report(event, _saved(event, arguments.out), arguments.json, out, variant.values)
    sheet = arguments.out / f"{datetime.now():%Y%m%d-%H%M%S-%f}-grid.png"
    files.write(sheet, encoded(sheets.grid(pictures, captions), "PNG"))
    if arguments.animate is not None:
        sheets.animate(pictures, arguments.animate, captions)
    if not arguments.json:
        print(sheet, file=out)
    return DONE


@contextmanager
def _pipeline(arguments: argparse.Namespace) -> Generator[Pipeline, None, None]:
    """The pipeline of a command. What it keeps is on the disk when the command ends."""
    pipe = Pipeline(
        models=arguments.models, device=arguments.device, data=arguments.data, kept_bytes=round((arguments.keep or 0) * 2**30),
        memory=arguments.memory,
    )  # fmt: skip
    try:
        yield pipe
    finally:
        pipe.close()


def run_kept(arguments: argparse.Namespace, out: TextIO) -> int:
    """Lists the kept runs, newest first, or deletes one."""
    kept = KeptRuns(arguments.data / "kept", limit=0)
    try:
        if arguments.delete is not None:
            kept.delete(arguments.delete)
            return DONE
        for run in kept.runs(limit=MOST_LISTED):
            here = sum(step.nbytes > 0 for step in run.steps)
            if arguments.json:
                row = {"id": run.id, "created": run.created, "used": run.used, "bytes": run.nbytes, "kept_steps": here,
                       "recipe": run.recipe.model_dump(mode="json", exclude_none=True),
                       "steps": [asdict(step) for step in run.steps]}  # fmt: skip
                print(json.dumps(row, ensure_ascii=False), file=out)
            else:
                size, when = f"{run.nbytes / 2**20:.1f} MiB", datetime.fromtimestamp(run.created)
                print(f"{run.id}  {when:%Y-%m-%d %H:%M}  {here:4} of {len(run.steps):4} steps  {size:>10}  "
                      f"{run.recipe.prompt[:60]}", file=out)  # fmt: skip
    finally:
        kept.close()
    return DONE


def _saved(event: ImageDone, folder: Path) -> Path:
    file = folder / f"{datetime.now():%Y%m%d-%H%M%S-%f}-{event.recipe.seed}.png"
    png.save(event.picture, file, event.recipe, event.made_with)
    return file


def _report(
    event: ImageDone, file: Path, as_json: bool, out: TextIO, values: Mapping[str, object] = MappingProxyType({})
) -> None:
    """One line about a picture: for a machine, or for a person."""
    if as_json:
        row = {
            **values,
            "file": str(file),
            "seed": event.recipe.seed,
            "recipe_key": event.recipe.key,
            "seconds": round(event.stats.seconds, 4),
            "model_calls": event.stats.model_calls,
            "reused_steps": event.stats.reused_steps,
        }
        print(json.dumps(row, ensure_ascii=False), file=out, flush=True)
        return
    where = "".join(f"  {name} {value}" for name, value in values.items())
    print(f"{file}{where}  seed {event.recipe.seed}  {event.stats.seconds:.2f} s", file=out, flush=True)


def _shown(pipe: Pipeline, recipe: recipes.Recipe) -> Iterator[ImageDone]:
    """The finished pictures; what happens on the way goes to stderr, the counter only to a terminal."""
    counter = sys.stderr.isatty()
    for event in pipe.run(recipe):
        match event:
            case ImageDone():
                if counter:
                    print("\r\033[K", end="", file=sys.stderr, flush=True)
                yield event
            case Planned():
                for note in event.notes:
                    print(note, file=sys.stderr)
            case Loading() if counter:
                print(f"\r\033[K{event.what} {event.share:.0%}", end="", file=sys.stderr, flush=True)
            case StepDone() if counter:
                print(f"\r\033[Kpicture {event.image + 1} of {event.images}, step {event.step} of {event.steps}, "
                      f"{event.seconds_left:.1f} s left", end="", file=sys.stderr, flush=True)  # fmt: skip
            case _:
                pass


def run_models(arguments: argparse.Namespace, out: TextIO) -> int:
    """Lists what the library found."""
    pipe = Pipeline(models=arguments.models, device=arguments.device, data=arguments.data)
    for entry in pipe.library.scan():
        problem = "" if entry.problem is None else str(entry.problem)
        if arguments.json:
            row = {"id": entry.id, "kind": entry.kind, "family": entry.family, "bytes": entry.size_bytes,
                   "missing": list(entry.missing), "problem": problem or None}  # fmt: skip
            print(json.dumps(row, ensure_ascii=False), file=out)
        else:
            size = f"{entry.size_bytes / 2**20:.1f} MiB"
            print(f"{entry.id:40} {entry.kind:10} {entry.family or '?':8} {size:>12}  {problem or 'ready'}", file=out)
    for item in pipe.loras.every():
        _print_lora(item, arguments.json, out)
    return DONE


def run_import(arguments: argparse.Namespace, out: TextIO) -> int:
    """Writes the recipe that a file holds, and says on stderr what it could not carry over."""
    pipe = Pipeline(models=arguments.models, device=arguments.device, data=arguments.data)
    found = importing.read(arguments.file, importing.Shelf(pipe.library, pipe.loras, pipe.hashes))
    for note in found.notes:
        print(note, file=sys.stderr)
    text = found.recipe.model_dump_json(indent=2, exclude_none=True, exclude_unset=True) + "\n"
    if arguments.recipe is None:
        out.write(text)
    else:
        files.write(arguments.recipe, text.encode())
    return DONE


def run_convert(arguments: argparse.Namespace, out: TextIO) -> int:
    """Turns a pickle into a safetensors file, and says where that is."""
    print(convert(arguments.file, arguments.target), file=out)
    return DONE


def _print_lora(item: LoraItem, as_json: bool, out: TextIO) -> None:
    problem = "" if item.problem is None else str(item.problem)
    if as_json:
        row = {"id": item.name, "kind": "lora", "family": item.family, "bytes": item.size_bytes, "missing": [],
               "problem": problem or None, "rank": item.rank, "trigger_words": list(item.trigger_words),
               "embeddings": list(item.embeddings)}  # fmt: skip
        print(json.dumps(row, ensure_ascii=False), file=out)
        return
    size, words = f"{item.size_bytes / 2**20:.1f} MiB", ", ".join(item.trigger_words)
    said = problem or (f"trigger words: {words}" if words else "ready")
    print(f"{item.name:40} {'lora':10} {item.family or '?':8} {size:>12}  {said}", file=out)


def read_recipe(name: str) -> dict[str, Any]:
    """The JSON object in a file, or on standard input for `-`. Raises RecipeError or StorageError."""
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        data = json.loads(text)
    except OSError as error:
        raise StorageError("{file} cannot be read: {reason}.", file=name, reason=error.strerror) from error
    except (ValueError, RecursionError) as error:
        raise RecipeError("{file} holds no JSON: check the file.", file=name) from error
    if not isinstance(data, dict):
        raise RecipeError("{file} holds no recipe: a recipe is a JSON object.", file=name)
    return data


def assignment(text: str) -> tuple[Sequence[str], object]:
    """`segments.0.end=12` -> (("segments", "0", "end"), 12). Raises ArgumentTypeError."""
    path, equals, value = text.partition("=")
    if not equals or not all(path.split(".")):
        raise argparse.ArgumentTypeError(f"{text!r} is no path=value")
    try:
        return path.split("."), json.loads(value)
    except ValueError:
        return path.split("."), value
