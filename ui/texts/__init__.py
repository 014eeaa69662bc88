"""Every word that the page says, by key and language. Nothing else in `ui` holds a label, a hint or an error.

Labels travel to the browser as keys (gr.I18n) and are put into words there; sentences that the server
composes (state of a run, errors) are put into words here.
"""

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import gradio as gr
from gradio.i18n import I18nData

from core.errors import UserError
from ui.texts import en, ja, ru, zh

DEFAULT = "en"
LANGUAGES: Mapping[str, str] = MappingProxyType({"en": "English", "ja": "日本語", "ru": "Русский", "zh": "简体中文"})
LOCALES: Mapping[str, str] = MappingProxyType({"zh": "zh-CN"})
"""Where a language alone does not tell Gradio its own words, or a browser the shapes of the characters."""
WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"en": en.WORDS, "ja": ja.WORDS, "ru": ru.WORDS, "zh": zh.WORDS}
)
ERRORS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"en": {}, "ja": ja.ERRORS, "ru": ru.ERRORS, "zh": zh.ERRORS}
)

RecipeFields = frozenset({"field", "kind"})
"""Values of errors that are themselves words: `ui.texts` translates them where it can."""


@dataclass(frozen=True)
class Texts:
    """The words of one language."""

    language: str

    def __call__(self, key: str, **values: object) -> str:
        return WORDS[self.language][key].format(**values)

    def template(self, template: str, values: Mapping[str, object]) -> str:
        """A sentence of the core, by its English template."""
        words = WORDS[self.language]
        named = {
            name: words.get(f"word.{value}", value) if name in RecipeFields else value for name, value in values.items()
        }
        return ERRORS[self.language].get(template, template).format(**named)

    def sentences(self, said: Iterable[str]) -> str:
        """One after the other; an ideographic full stop brings its own space."""
        return " ".join(said).replace("。 ", "。")

    def error(self, error: UserError) -> str:
        return self.template(error.template, error.values)


def of(language: str) -> Texts:
    """The words of that language, of English where it is not known."""
    return Texts(language if language in WORDS else DEFAULT)


def known(tag: str) -> str:
    """The language of a tag such as ja-JP or zh-Hant-TW (all of Chinese finds the simplified one); "" where it is not known."""
    language = tag.strip().split("-")[0].lower()
    return language if language in WORDS else ""


def locale(language: str) -> str:
    """The tag that the page itself has."""
    return LOCALES.get(language, language)


def preferred(accept: str) -> str:
    """The first language of an Accept-Language header that is known."""
    ranked: list[tuple[float, str]] = []
    for part in accept.split(",")[:20]:
        tag, _, quality = part.strip().partition(";q=")
        try:
            ranked.append((-float(quality or 1), known(tag)))
        except ValueError:
            continue
    ranked.sort(key=lambda entry: entry[0])
    return next((language for _, language in ranked if language), DEFAULT)


def label(key: str) -> I18nData:
    """A label of a Gradio component, put into words by the browser."""
    if key not in en.WORDS:
        raise KeyError(key)
    return I18nData(key)


def translations() -> gr.I18n:
    return gr.I18n(**{locale(language): dict(words) for language, words in WORDS.items()})


def for_browser(prefixes: Iterable[str]) -> dict[str, dict[str, str]]:
    """The words that our scripts need."""
    wanted = tuple(prefixes)
    return {
        language: {key: text for key, text in words.items() if key.startswith(wanted)}
        for language, words in WORDS.items()
    }


def fields_of(text: str) -> frozenset[str]:
    """The `{names}` in a text."""
    return frozenset(name for _, name, _, _ in string.Formatter().parse(text) if name)
