"""English: the explainer tab, all but the words of its cards."""



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
    }
)
