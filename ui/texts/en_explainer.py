"""English: the explainer tab, all but the words of its cards."""

# ruff: noqa: E501  (one pair a line)

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "tab.explainer": "Explainer",
        "explain.title": "What each setting does",
        "explain.lead": "Every strip is one recipe with one setting moved, made here by the model. Move it, look, then use it.",
        "explain.cards": "Settings",
        "explain.low": "Low",
        "explain.high": "High",
        "explain.none": "No effect",
        "explain.usual": "Usual",
        "explain.help.ask": "About {name}",
        "explain.help.move": "See it move",
        # strips
        "explain.model": "Shown on",
        "explain.every": "Make all strips",
        "explain.make": "Make these pictures",
        "explain.stop": "Stop",
        "explain.wait": "Waiting in the queue",
        "explain.took": "Made in {seconds} s, {calls} model calls.",
        "explain.cost": "{seconds} s, {calls} model calls",
        "explain.values": "{title}: values",
        "explain.cell": "{title}: {label}",
        "explain.cell.wait": "{title}: {label}, not made yet",
        "explain.compare": "Compare with the one before",
        "explain.divider": "Divider between {a} and {b}",
        "explain.source": "It starts from this",
        "explain.use.text2image": "Use it in Text to image",
        "explain.use.lora": "Use it in LoRA",
        "explain.use.split": "Use it in Split",
        "explain.grid": "Two settings at once",
        "explain.grid.lead": "Most settings lean on each other: a high CFG wants more steps. Choose any two.",
        "explain.grid.x": "Across",
        "explain.grid.y": "Down",
        # values that are no numbers
        "explain.cell.own": "its own",
        "explain.cell.tiles": "its own, in tiles",
        "explain.cell.unguided": "no guidance",
        "explain.cell.by_cfg": "CFG, two passes a step",
        "explain.cell.learnt": "learnt, one pass a step",
        "explain.cell.without": "{value}, without",
        "explain.cell.with": "{value}, with LCM",
        "explain.cell.left.keep": "handed on as it is",
        "explain.cell.clean.keep": "cleaned first",
        "explain.cell.clean.add": "cleaned, new noise",
        "explain.cell.left.add": "noise on noise",
        "explain.cell.empty": "no noise at all",
        # why a strip is of another model than the chosen one
        "explain.why.clip_skip": "{model} always takes its reading of the prompt from the same layer: clip skip has no effect on it. Shown on {shown}.",
        "explain.why.shift": "{model} has a noise table of its own: shift has no effect on it. Shown on {shown}.",
        "explain.why.guidance": "{model} was not taught guidance: the number has no effect on it. Shown is what stands in its place.",
        "explain.why.embedding": "{model} has no place for embeddings: their names are read as words. Shown on {shown}.",
        "explain.why.demo": "The file that this needs is made for {shown}, so it is shown on that.",
        # what is to be known of a strip
        "explain.note.layers": "The text encoder of this model has {layers} layers, so the run can stop at as many places.",
        "explain.note.cfg": "{model} was taught to do without CFG: at its own 1 the negative prompt has no effect, and a higher one doubles the time.",
        "explain.note.guidance": "A model that learnt guidance needs half the calls of one that is guided from outside.",
        "explain.note.vae": "Tiles are unpacked one by one to save memory, and blended: look along the middle. Another VAE in models/vae stands here too.",
        "explain.note.lcm": "Compare the times: without and with the LoRA.",
        "explain.note.lcm.none": "The sampler alone, on a model that was not trained for it: soft, because each step throws the old noise away.",
        "explain.note.noise": "The run is cut at step {middle}: what is handed over there, and whether noise is added, is all that differs.",
        "explain.note.denoise": "At the right end nothing is left of the drawing but a trace.",
    }
)
