"""Stepwise: parse arguments, build the pipeline and the page, serve. Or a command without a page: see --help."""

import argparse
import os
import sys
from pathlib import Path

from core import cli
from core.errors import StorageError, UserError
from core.models.residency import CHOICES
from core.prompt.server import ChatServer

HERE = Path(__file__).resolve().parent
KEPT_GIB = 2.0  # disk space for kept runs, when serving
WEAK = 12  # characters; Gradio locks nobody out after wrong guesses, so a password must be long


def parser() -> argparse.ArgumentParser:
    """Every option of every command."""
    top = argparse.ArgumentParser(
        prog="app.py", description="A text-to-image studio in which every denoising step is yours."
    )
    top.add_argument("--models", type=Path, default=HERE / "models", metavar="DIR", help="where the weights are")
    top.add_argument(
        "--data",
        type=Path,
        default=HERE / "data",
        metavar="DIR",
        help="where inputs, kept runs, the queue and caches are",
    )
    top.add_argument(
        "--keep", type=float, default=None, metavar="GIB",
        help="disk space for kept runs, 0 keeps none (2 when serving, 0 for a command)",
    )  # fmt: skip
    top.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    top.add_argument(
        "--memory", default="auto", choices=CHOICES,
        help="what to save memory by: auto picks the first that fits; stream takes time, fp8 changes pictures a little",
    )  # fmt: skip
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    serving = top.add_argument_group("serving")
    serving.add_argument("--outputs", type=Path, default=HERE / "outputs", metavar="DIR", help="where pictures go")
    serving.add_argument("--port", type=int, default=None, help="7860, or the next free one")
    serving.add_argument("--listen", action="store_true", help="let other machines in (guarded; needs --auth-file)")
    serving.add_argument("--share", action="store_true", help="make a public link (guarded; needs --auth-file)")
    serving.add_argument("--auth-file", type=Path, metavar="F", help="lines of user:password")
    serving.add_argument(
        "--enrich-url", default="", metavar="URL",
        help="an OpenAI-compatible server that enriches prompts for every model, e.g. http://127.0.0.1:11434/v1 (Ollama); "
        "a key that it wants is taken from STEPWISE_ENRICH_KEY",
    )  # fmt: skip
    serving.add_argument("--enrich-model", default="", metavar="NAME", help="which of its models writes, e.g. qwen3:4b")
    serving.add_argument("--language", default="", metavar="CODE", help="en, ja, ru or zh; else the browser's")
    cli.add_commands(top)
    return top


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    top = parser()
    arguments = top.parse_args(argv)
    if "run" in arguments:
        return cli.run(arguments)
    if (arguments.listen or arguments.share) and arguments.auth_file is None:
        top.error("--listen and --share open this machine to others: give --auth-file F with lines of user:password.")
    if bool(arguments.enrich_url) != bool(arguments.enrich_model):
        top.error("--enrich-url and --enrich-model belong together: name the server and which of its models writes.")
    try:
        serve(arguments)
    except UserError as error:
        if arguments.debug:
            raise
        print(error, file=sys.stderr)
        return cli.FAILED
    return cli.DONE


def serve(arguments: argparse.Namespace) -> None:
    """Builds the owners, serves the page until Ctrl+C, and leaves the queue to be found again."""
    # Before gradio is imported: it asks the network at import otherwise.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import ui
    from core.images.gallery import Gallery
    from core.jobs import Jobs, Limits, PipelineWorker
    from core.pipeline import Pipeline
    from core.strips import Strips

    writer = writer_of(arguments)
    on_space = "SPACE_ID" in os.environ
    guarded = arguments.listen or arguments.share or on_space
    accounts = read_accounts(arguments.auth_file) if arguments.auth_file else None
    limits = Limits.guarded() if guarded else Limits()
    pipe = Pipeline(
        models=arguments.models, device=arguments.device, data=arguments.data, downloads=not guarded,
        kept_bytes=round((KEPT_GIB if arguments.keep is None else arguments.keep) * 2**30), memory=arguments.memory,
        writer=writer,
    )  # fmt: skip
    gallery = Gallery(arguments.outputs)
    gallery.sync()  # pictures made by the command line, or put there by hand
    strips = Strips(arguments.data / "strips", pipe)
    jobs = Jobs(PipelineWorker(pipe), gallery, arguments.data / "jobs.sqlite", limits, strips)
    context = ui.Context(
        pipe=pipe, jobs=jobs, gallery=gallery, strips=strips, language=arguments.language, guarded=guarded, limits=limits,
        presets=HERE / "presets", private=(arguments.models, arguments.data),
    )  # fmt: skip
    pipe.prepare()
    try:
        ui.build(context).queue(**ui.queue_options(context)).launch(
            server_name="0.0.0.0" if arguments.listen or on_space else "127.0.0.1",
            server_port=arguments.port, share=arguments.share, auth=accounts, **ui.launch_options(context),
        )  # fmt: skip
    finally:
        jobs.close()
        pipe.close()


def writer_of(arguments: argparse.Namespace) -> ChatServer | None:
    """The server that enriches prompts, if one is named: here and nowhere else. Raises ModelError for what is no address."""
    if not arguments.enrich_url:
        return None
    key = os.environ.get("STEPWISE_ENRICH_KEY", "")
    return ChatServer(url=arguments.enrich_url, model=arguments.enrich_model, key=key)


def read_accounts(path: Path) -> list[tuple[str, str]]:
    """Users and passwords from lines of user:password; # begins a comment. Raises StorageError or UserError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError("The accounts in {file} cannot be read: check the file.", file=path) from error
    accounts: list[tuple[str, str]] = []
    for number, line in enumerate(lines, start=1):
        user, colon, password = line.partition(":")
        if not line.strip() or line.startswith("#"):
            continue
        if not (user and colon and password):
            raise UserError("Line {number} of {file} is no user:password.", number=number, file=path)
        if len(password) < WEAK:
            print(f"The password of {user} is short: take {WEAK} characters or more.", file=sys.stderr)
        accounts.append((user, password))
    if not accounts:
        raise UserError("{file} names no user: write lines of user:password.", file=path)
    return accounts


if __name__ == "__main__":
    sys.exit(main())
