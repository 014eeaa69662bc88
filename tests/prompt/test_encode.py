"""Windows and weights of CLIP prompts, against formulas and tables written here."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.errors import RecipeError
from core.prompt.encode import ClipEncoder, windows
from core.prompt.weights import Piece, chunks
from tests import tiny_models

START, END = 1000, 1001


class Letters:
    """A tokenizer of one token a letter, its code; blanks are none."""

    bos_token_id, eos_token_id, pad_token_id = START, END, 0

    def __call__(self, text: str, **_: object) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) for letter in text if letter != " "]}


def rows(text: str, weighting: str = "comfyui") -> list[str]:
    """The windows' tokens as text: ^ start, $ end, _ padding."""
    names = {START: "^", END: "$", 0: "_"}
    found = windows(Letters(), chunks(text, weighting), weighting)
    assert all(len(window.ids) == 77 == len(window.weights) for window in found)
    return ["".join(names.get(token) or chr(token) for token in window.ids) for window in found]


def window(text: str) -> str:
    return ("^" + text + "$").ljust(77, "_")


@pytest.mark.parametrize("weighting", ["comfyui", "a1111"])
def test_an_empty_prompt_is_one_window(weighting: str) -> None:
    assert rows("", weighting) == [window("")] == rows("   ", weighting)


def test_75_tokens_fit_76_do_not() -> None:
    assert rows("a" * 75) == [window("a" * 75)]
    assert rows("a" * 76) == [window("a" * 75), window("a")]
    assert rows("a" * 151) == [window("a" * 75), window("a" * 75), window("a")]


def test_comfyui_keeps_short_pieces_whole() -> None:
    """A weighted piece below 8 tokens that does not fit moves on; one of 8 is split."""
    assert rows("a" * 70 + "(bbbbbbb:1.2)") == [window("a" * 70), window("b" * 7)]
    assert rows("a" * 70 + "(bbbbbbbb:1.2)") == [window("a" * 70 + "b" * 5), window("b" * 3)]
    assert rows("a" * 70 + "(bbbbb:1.2)c") == [window("a" * 70 + "b" * 5), window("c")]


def test_a1111_goes_back_to_a_near_comma() -> None:
    assert rows("a" * 70 + "," + "b" * 6, "a1111") == [window("a" * 70 + ","), window("b" * 6)]
    assert rows("a" * 50 + "," + "b" * 30, "a1111") == [window("a" * 50 + "," + "b" * 24), window("b" * 6)]
    assert rows("a" * 74 + "," + "b", "a1111") == [window("a" * 74 + ","), window("b")]


@pytest.mark.parametrize("weighting", ["comfyui", "a1111"])
def test_break_begins_a_window(weighting: str) -> None:
    assert rows("a BREAK b", weighting) == [window("a"), window("b")]
    assert rows("BREAK", weighting) == [window(""), window("")]


def test_weights_lie_on_their_tokens() -> None:
    (found,) = windows(Letters(), [(Piece("ab", 1.0), Piece("c", 1.3))], "comfyui")
    assert found.weights[:5] == (1.0, 1.0, 1.0, 1.3, 1.0) and set(found.weights[5:]) == {1.0}


# ------------------------------------------------------------------ through a real CLIP


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> ClipEncoder:
    torch.manual_seed(0)
    words = tiny_models.read_tokenizer(tmp_path_factory.mktemp("words"))
    return ClipEncoder(tiny_models.clip(words, 16, 4), words)


def hidden(encoder: ClipEncoder, ids: list[int], skip: int, norm: bool) -> Tensor:
    """One window through transformers, as its documentation says."""
    model: Any = encoder.model
    out = model(input_ids=torch.tensor([ids]), output_hidden_states=True)
    if skip == 1:
        return out.last_hidden_state if norm else out.hidden_states[-1]
    return model.final_layer_norm(out.hidden_states[-skip]) if norm else out.hidden_states[-skip]


def padded(encoder: ClipEncoder, *texts: str) -> list[int]:
    words = encoder.tokenizer
    ids = [token for text in texts for token in words(text, add_special_tokens=False)["input_ids"]]
    return ([words.bos_token_id, *ids, words.eos_token_id] + [words.pad_token_id] * 77)[:77]


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("skip", [1, 2, 4])
def test_clip_skip(encoder: ClipEncoder, skip: int, norm: bool) -> None:
    found = encoder.encode("a red apple", "comfyui", skip, final_norm=norm)
    assert torch.equal(found.hidden, hidden(encoder, padded(encoder, "a red apple"), skip, norm))


def test_too_much_clip_skip(encoder: ClipEncoder) -> None:
    with pytest.raises(RecipeError, match="Clip skip 5 is too much: this model's text encoder has 4 layers"):
        encoder.encode("a", "comfyui", 5, final_norm=True)


def test_comfyui_weights_are_a_way_from_the_empty_prompt(encoder: ClipEncoder) -> None:
    found = encoder.encode("a (red:1.4) apple", "comfyui", 1, final_norm=True).hidden
    z = hidden(encoder, padded(encoder, "a ", "red", " apple"), 1, True)
    empty = hidden(encoder, padded(encoder), 1, True)
    wanted = z.clone()
    at = 1 + len(encoder.tokenizer("a", add_special_tokens=False)["input_ids"])
    count = len(encoder.tokenizer("red", add_special_tokens=False)["input_ids"])
    for token in range(at, at + count):
        wanted[0, token] = empty[0, token] + 1.4 * (z[0, token] - empty[0, token])
    assert torch.allclose(found, wanted, atol=1e-6) and not torch.allclose(found, z, atol=1e-3)


def test_a1111_weights_restore_the_mean(encoder: ClipEncoder) -> None:
    found = encoder.encode("a (red:1.4) [apple]", "a1111", 2, final_norm=True).hidden
    z = hidden(encoder, padded(encoder, "a ", "red", " ", "apple"), 2, True)
    factor = torch.ones(1, 77, 1)
    place = 1
    for text, weight in (("a", 1.0), ("red", 1.4), ("apple", 1 / 1.1)):
        count = len(encoder.tokenizer(text, add_special_tokens=False)["input_ids"])
        factor[:, place : place + count] = weight
        place += count
    wanted = z * factor
    wanted *= z.mean() / wanted.mean()
    assert torch.allclose(found, wanted, atol=1e-6)
    assert found.mean().item() == pytest.approx(z.mean().item(), rel=1e-4)


def test_weight_one_changes_no_bit(encoder: ClipEncoder) -> None:
    plain = encoder.encode("a red apple", "a1111", 1, final_norm=True).hidden
    assert torch.equal(encoder.encode("a (red:1.0) apple", "a1111", 1, final_norm=True).hidden, plain)


def test_long_prompts_are_windows_side_by_side(encoder: ClipEncoder) -> None:
    text = "apple " * 100
    found = encoder.encode(text, "comfyui", 1, final_norm=True)
    ids = encoder.tokenizer(text, add_special_tokens=False)["input_ids"]
    words = encoder.tokenizer
    assert found.hidden.shape == (1, 154, 16)
    for k in range(2):
        row = [words.bos_token_id, *ids[75 * k : 75 * k + 75], words.eos_token_id]
        row += [words.pad_token_id] * (77 - len(row))
        assert torch.equal(found.hidden[:, 77 * k : 77 * k + 77], hidden(encoder, row, 1, True))


def test_the_tokenizer_is_clips(tmp_path: Path) -> None:
    """The tiny one behaves as the real one does: lower case, word ends, bytes for what it does not know."""
    words = tiny_models.read_tokenizer(tmp_path)
    tokens = words.convert_ids_to_tokens(words("A Red apple, é", add_special_tokens=False)["input_ids"])
    assert tokens[:4] == ["a</w>", "red</w>", "apple</w>", ",</w>"]
