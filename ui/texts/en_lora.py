"""English: the LoRA tab."""

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "tab.lora": "LoRA",
        "lora.chosen": "In use",
        "lora.search": "Search names, trigger words, base models",
        "lora.count": "{n} LoRAs",
        "lora.scanning": "Looking for files …",
        "lora.nothing": "No LoRA is here yet: put .safetensors files into {folder}",
        "lora.nothing.found": "Nothing has all these words.",
        "lora.before": "Before",
        "lora.after": "Next",
        "lora.detail": "The LoRA looked at",
        "lora.other": "Made for {its}: it does not fit {family}.",
        "lora.use": "Use",
        "lora.used": "In use",
        "lora.words": "Trigger words",
        "lora.words.hint": "A click writes the word into the prompt",
        "lora.word": "Write {word} into the prompt",
        "lora.words.none": "The file names none.",
        "lora.tags": "Training captions",
        "lora.base": "Trained on",
        "lora.rank": "Rank",
        "lora.text": "Acts on",
        "lora.text.both": "model and text encoder",
        "lora.text.model": "model",
        "lora.size": "Size",
        "lora.notes": "Notes",
        "lora.edit": "Edit",
        "lora.edit.words": "Trigger words, with commas",
        "lora.keep": "Keep",
        "lora.keep.hint": "Kept beside the library; the file is never changed",
        "lora.leave": "Leave as it was",
        "lora.pair": "Without and with",
        "lora.pair.hint": "Two pictures with the same seed: without these LoRAs, and with them. Compare shows the difference.",
        "lora.strength": "Sweep the strength",
        "lora.strength.hint": "Five pictures: the first LoRA at 0, a quarter, half, three quarters and all of its strength",
        "lora.start": "Sweep the first step",
        "lora.start.hint": "The LoRAs act from step 0, from a quarter of the run, from half … and never. What is shared is made once.",
        "loras.0.model": "Strength of the first LoRA",
        "lora.first": "Choose a LoRA first: press Use.",
    }
)
