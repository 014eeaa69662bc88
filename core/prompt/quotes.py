"""Text in quotation marks is lettering in the picture: whoever rewrites a prompt has to keep it letter by letter."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

# Marks that open, and what closes them. An apostrophe opens after no letter and closes before none: don't, the dogs' bowl.
PAIRS = (
    ("“", "”"), ("„", "“"), ("„", "”"), ("”", "”"), ('"', '"'), ("「", "」"), ("『", "』"), ("«", "»"), ("»", "«"), ("‹", "›"),
)  # fmt: skip
SINGLE = (("'", "'"), ("‘", "’"), ("‚", "‘"))
LONGEST = 300  # letters between two marks
ALIKE = 0.6  # of 1: from here on one quote is taken for another, misspelt
MARKED = re.compile(
    "|".join(
        [f"{a}[^{a}{b}\n]{{1,{LONGEST}}}{b}" for a, b in PAIRS]
        + [rf"(?<!\w){a}(?!\s)[^\n]{{1,{LONGEST}}}?(?<!\s){b}(?!\w)" for a, b in SINGLE]
    )
)
SENTENCE = re.compile(r"[.!?。！？\n]+\s*|$")


@dataclass(frozen=True)
class Quote:
    """One of them, and the clause that it stands in."""

    source: str  # with its marks
    clause: str

    @property
    def letters(self) -> str:
        return self.source[1:-1]

    def stands_in(self, text: str) -> bool:
        """Letter by letter, between marks of whatever kind."""
        return any(f"{a}{self.letters}{b}" in text for a, b in (*PAIRS, *SINGLE))


def quotes(text: str) -> tuple[Quote, ...]:
    """All quotes of a text, each once, in order."""
    found: dict[str, Quote] = {}
    for match in MARKED.finditer(text):
        if any(letter.isalnum() for letter in match[0]):
            found.setdefault(match[0][1:-1], Quote(match[0], _clause(text, match.start(), match.end())))
    return tuple(found.values())


def put_back(text: str, wanted: Sequence[Quote]) -> tuple[str, tuple[Quote, ...]]:
    """The text with every quote letter by letter in it, and those that had to be put back.

    In place of a quote that is nearly the same, or of the same letters without marks; else its clause of the original follows at the end.
    """
    lost = tuple(quote for quote in wanted if not quote.stands_in(text))
    for quote in lost:
        if quote.stands_in(text):  # it came back in the clause of another
            continue
        at = _place(text, quote, wanted)
        text = f"{_ended(text)}{quote.clause}" if at is None else text[: at[0]] + quote.source + text[at[1] :]
    for quote in wanted:
        if not quote.stands_in(text):  # marks without partners have made a muddle
            text = f"{_ended(text)}{quote.source}"
    return text, lost


def _place(text: str, quote: Quote, wanted: Sequence[Quote]) -> tuple[int, int] | None:
    """Where in the text something stands for the quote."""
    letters = {other.letters for other in wanted}
    near = [
        (SequenceMatcher(None, found[0][1:-1].casefold(), quote.letters.casefold()).ratio(), found.span())
        for found in MARKED.finditer(text)
        if found[0][1:-1] not in letters
    ]
    best = max(near, default=(0.0, (0, 0)))
    if best[0] >= ALIKE:
        return best[1]
    taken = [found.span() for found in MARKED.finditer(text)]
    bare = re.finditer(rf"(?<!\w){re.escape(quote.letters)}(?!\w)", text, re.IGNORECASE)
    outside = (one.span() for one in bare if not any(a < one.end() and one.start() < b for a, b in taken))
    return next(outside, None) if len(quote.letters) > 2 else None  # a single letter is a word too


def _clause(text: str, start: int, end: int) -> str:
    """From the end of the sentence before to the end of this one."""
    ends = [
        (m.start(), m.end())
        for m in SENTENCE.finditer(text)
        if not any(_inside(m.start(), q) for q in MARKED.finditer(text))
    ]
    after = next((a for a, _ in ends if a >= end), len(text))
    before = max((b for _, b in ends if b <= start), default=0)
    return text[before:after].strip(" ,;")


def _inside(place: int, quote: re.Match[str]) -> bool:
    return quote.start() < place < quote.end()


def _ended(text: str) -> str:
    """The text up to where the next sentence begins."""
    text = text.rstrip()
    if not text:
        return ""
    wide = text[-1] >= "\u3000"
    return text + ("" if text[-1] in ".!?。！？…" else "。" if wide else ".") + ("" if wide else " ")
