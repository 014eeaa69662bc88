"""`python -m training`: everything from the font to models/demo with its embedding and its LoRAs, and models/demo-turbo.

A second call goes on where the first stopped.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

from training import (
    evaluate,
    export,
    inversion,
    judge,
    latents,
    lcm,
    lcm_evaluate,
    lora,
    text,
    tokenizer,
    turbo,
    unet,
    vae,
)
from training.engine import note

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Options:
    """Budgets in minutes of each of two cores."""

    vae_minutes: float
    decoder_minutes: float
    unet_minutes: float
    lcm_minutes: float
    turbo_minutes: float
    turbo_guided_minutes: float
    scenes: int
    workers: int
    batch: int
    target: Path


def read_options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument("--vae-minutes", type=float, default=12.5, help="both halves of the VAE")
    parser.add_argument("--decoder-minutes", type=float, default=24, help="the decoder alone")
    parser.add_argument("--unet-minutes", type=float, default=140)
    parser.add_argument("--lcm-minutes", type=float, default=20, help="the LCM LoRA, on one core")
    parser.add_argument("--turbo-minutes", type=float, default=60, help="demo-turbo's transformer, from the data")
    parser.add_argument("--turbo-guided-minutes", type=float, default=90, help="the same, from the demo model")
    parser.add_argument("--scenes", type=int, default=64_000, help="in the latent cache (2 KB each)")
    parser.add_argument("--workers", type=int, default=2, help="single-threaded processes, one per core")
    parser.add_argument("--batch", type=int, default=48, help="of the UNet, per worker")
    parser.add_argument("--target", type=Path, default=HERE.parent / "models" / "demo")
    return Options(**vars(parser.parse_args()))


def main(options: Options) -> None:
    judge.run()
    if not tokenizer.FOLDER.exists():
        tokenizer.build()
    trained_text = text.run()
    trained_vae = vae.run((options.vae_minutes, options.decoder_minutes), options.workers)
    latents.run(vae.FOLDER / "standard", options.scenes, options.workers)
    budget = unet.Budget(seconds=60 * options.unet_minutes, batch=options.batch, workers=options.workers)
    trained_unet = unet.run(budget)
    export.run(trained_unet, trained_text, trained_vae, options.target)
    inversion.run(
        options.target, options.target.parent / "embeddings" / f"{inversion.NAME}.safetensors", options.workers
    )
    style = lora.run(options.target, options.target.parent / "loras" / f"{lora.NAME}.safetensors")
    evaluate.lora_sheet(options.target, style.stem, lora.TRIGGER, HERE / "sheets" / "lora.webp")
    effort = lcm.Effort(seconds=60 * options.lcm_minutes, workers=options.workers)
    lcm.run(options.target, options.target.parent / "loras" / f"{lcm.NAME}.safetensors", effort)
    lcm_evaluate.run(options.target, HERE / "sheets" / "lcm.webp", HERE / "lcm_figures.json")
    figures = evaluate.run(options.target, HERE / "sheets", HERE / "figures.json")
    note(unet.FOLDER / "log.txt", f"figures: {figures['captions']}")
    turbo.run(
        turbo.Options(
            minutes=options.turbo_minutes,
            guided_minutes=options.turbo_guided_minutes,
            scenes=options.scenes,
            workers=options.workers,
            batch=options.batch,
            fresh=True,
            demo=options.target,
            target=options.target.with_name("demo-turbo"),
        )
    )


if __name__ == "__main__":
    main(read_options())
