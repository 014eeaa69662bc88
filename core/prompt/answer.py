"""What a language model answers, token by token: the Qwen3 that encodes prompts, with its table of embeddings as its last layer.

logits = norm(hidden) · embedding^T        hidden [1, D], embedding [V, D]: the two are one matrix in Qwen3 up to 4B
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

ENDS = ("<|im_end|>", "<|endoftext|>")
TURN = "<|im_start|>{role}\n{text}<|im_end|>\n"
NO_THOUGHT = "<think>\n\n</think>\n\n"  # as Qwen3's template has it where thinking is off


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How a token is chosen: the likeliest, or drawn from the fewest likely ones that have `top_p` of the probability."""

    temperature: float = 0.0  # 0: the likeliest
    top_p: float = 1.0
    seed: int = 0
    most: int = 400  # tokens


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A text as far as it is written."""

    text: str
    tokens: int
    cut: bool = False  # it ended because it may not have more tokens


class Answer:
    """An answer in the making. Its tokens are its state: what the model remembers of them can be made again."""

    def __init__(self, model: Any, tokenizer: Any, asked: Sequence[int]) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._asked, self.written = list(asked), list[int]()
        self._remembered: Any = None  # keys and values of the first `_fed` tokens
        self._fed = 0

    def logits(self) -> Tensor:
        """[V] float32, of the token that comes next. May run out of memory; then it can be asked again."""
        from transformers import DynamicCache

        tokens = [*self._asked, *self.written]
        remembered, fed = (self._remembered, self._fed) if self._remembered is not None else (DynamicCache(), 0)
        self._remembered = None  # what fails on the way leaves it half filled
        with torch.inference_mode():
            out = self._model(
                input_ids=torch.tensor([tokens[fed:]], device=self._model.device),
                past_key_values=remembered,
                use_cache=True,
            )
            found = functional.linear(out.last_hidden_state[:, -1], self._model.embed_tokens.weight)[0].float()
        self._remembered, self._fed = remembered, len(tokens)
        return found

    @property
    def text(self) -> str:
        """What is written; without a letter of which only some bytes are there."""
        said: str = self._tokenizer.decode(self.written, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return said.rstrip("\ufffd")

    def ends(self) -> frozenset[int]:
        """The tokens that end it."""
        known = self._tokenizer.get_vocab()
        return frozenset(known[end] for end in ENDS if end in known)


def asked(tokenizer: Any, instruction: str, text: str) -> list[int]:
    """The tokens of a chat in which the model is instructed, told the text, and about to answer without thinking aloud."""
    turns = TURN.format(role="system", text=instruction) + TURN.format(role="user", text=text)
    chat = f"{turns}<|im_start|>assistant\n{NO_THOUGHT}"
    return tokenizer(chat, add_special_tokens=False, verbose=False)["input_ids"]


def drafts(answer: Answer, logits: Callable[[Answer], Tensor], drawing: Drawing) -> Iterator[Draft]:
    """The text after each token, until the model ends it or it has as many tokens as it may. `logits`: asks the answer for them."""
    ends, dice = answer.ends(), torch.Generator().manual_seed(drawing.seed)
    while len(answer.written) < drawing.most:
        token = chosen(logits(answer), drawing, dice)
        if token in ends:
            return
        answer.written.append(token)
        count = len(answer.written)
        yield Draft(text=answer.text, tokens=count, cut=count == drawing.most)


def chosen(logits: Tensor, drawing: Drawing, dice: torch.Generator) -> int:
    """One token. logits [V] float32."""
    if not drawing.temperature:
        return int(logits.argmax())
    odds, order = (logits.cpu() / drawing.temperature).softmax(0).sort(descending=True)
    odds = odds * (odds.cumsum(0) - odds < drawing.top_p)  # the likeliest always stays
    return int(order[torch.multinomial(odds, 1, generator=dice)])
