"""English: what families are told in place of cfg, and the models tab."""

# ruff: noqa: E501  (one pair a line)

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "lacks.model.offer": "{file} is not here: download {title} in the Models tab.",
        "lacks.model.put": "{file} is not here: put it into {folder}.",
        "lacks.lora.page": "The LoRA {name} is not here: get it from {page} and put it into {folder}.",
        "lacks.lora.put": "The LoRA {name} is not here: put it into {folder}, or choose another one.",
        "guidance": "Guidance",
        "guidance.hint": "Told to the model as a number, at no cost. CFG above 1 costs a second pass. Empty: the model's own.",
        "guidance.reason": "This model is not told a guidance: CFG does that.",
        "shift": "Shift",
        "shift.hint": "Higher: longer at much noise, where the layout is made. Empty: the model's own, for this size.",
        "shift.reason": "This model has no flow shift.",
        "prediction.reason": "A flow model: there is nothing to choose.",
        # models: what is here
        "models.memory": "In memory now, {level}: {why}",
        "models.level": "Memory level",
        "models.level.auto": "automatic: the first that fits",
        "models.level.resident": "all of it on the device",
        "models.level.swap": "its parts take turns",
        "models.level.stream": "block by block",
        "models.level.fp8": "8 bits, which changes pictures a little",
        "models.level.hint": "For all models, from the next picture on.",
        "models.level.guarded": "Whoever runs this server decides that.",
        "models.variant": "Variant of {name}",
        "models.variant.turbo": "Turbo",
        "models.variant.base": "base",
        "models.variant.hint": "The file does not tell Turbo from base. Steps, CFG and shift follow what you say.",
        "models.part.text_encoder": "text encoder",
        "models.part.text_encoder_2": "second text encoder",
        "models.part.vae": "VAE",
        "models.part.inside": "in the same file",
        "models.part.missing": "missing: {file}",
        "models.where.parts.path": "diffusion_models/, text_encoders/",
        "models.where.parts": "denoisers, and the text encoders that they need",
        # models: what can be had
        "models.offers": "Models to get",
        "models.offers.hint": "Files as their makers publish them on huggingface.co, each into its folder. A download that breaks off goes on where it was.",
        "models.offers.licence": "Licence: {licence}",
        "models.offers.gated": "Its makers ask for your consent: log in on its page and agree, then start this program with your access token in HF_TOKEN.",
        "models.offers.files": "{n} files, {size}: {here} here",
        "models.offers.here": "Here",
        "models.offers.get": "Download {size}",
        "models.offers.resume": "Go on, {size} to come",
        "models.offers.stop": "Stop",
        "models.offers.file.here": "here",
        "models.offers.file.part": "{size} of it here",
        "models.offers.busy": "One download at a time.",
        "models.offers.progress": "{file}: {done} of {total}",
        "models.offers.speed": "{size} a second",
        "models.offers.checking": "{file}: being checked",
        "models.offers.stopped": "Stopped. What came is kept.",
        "models.offers.done": "Complete. It can be chosen in every tab.",
        "word.variant": "variant",
        "word.download": "download",
    }
)
