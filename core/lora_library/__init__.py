"""The LoRAs of the models folder: scanned beside the work, searched in SQLite, with what people write about them."""

from core.lora_library.item import LoraItem
from core.lora_library.library import LoraLibrary, LoraPage

__all__ = ["LoraItem", "LoraLibrary", "LoraPage"]
