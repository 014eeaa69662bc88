"""LoRA files of every format that people have, and what they change in a model.

    file = read(path)                        the header: family, trigger words, rank
    file.check("sd15")                       refused here if it is another family's
    match = file.match({"unet": unet, "text_encoder": encoder})
    file.coverage(places)                    the counts of such a match, before any model is in memory
    new = match.deltas["unet"][name][0].apply(weight, strength)

names: what a tensor's name says · places: where its module is in a model · assemble: tensors to deltas · deltas: what they compute.
"""

from core.models.lora.deltas import Delta
from core.models.lora.file import Coverage, LoraFile, Match, read
from core.models.lora.places import Outline, Places, outline_of

__all__ = ["Coverage", "Delta", "LoraFile", "Match", "Outline", "Places", "outline_of", "read"]
