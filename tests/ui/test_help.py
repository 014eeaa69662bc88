"""The "?" beside each setting: every control that has a card names it, in every tab, and no control names another's."""

import gradio as gr
import pytest

from ui import texts
from ui.components.fields import CARD_OF, Number
from ui.explainer.cards import CARDS
from ui.split.fields import segments_value
from ui.tabs import lora, split, text2image, variety
from ui.web import head

FIRST = {
    "model": "demo", "prompt": "", "negative": "", "size": {"width": 128, "height": 128}, "steps": 20, "cfg": 5.0, "seed": "7",
    "sampler": "euler", "scheduler": "normal", "clip_skip": 1, "segments": segments_value({}), "blind": 3, "shift": 3.0, "batch": 4,
    "conditioning": "zero", "second": "", "border": "restart",
}  # fmt: skip
SETTINGS = {
    "text2image": {
        "steps": "steps", "cfg": "cfg", "seed": "seed", "sampler": "sampler", "scheduler": "scheduler", "prediction": "lcm",
        "guidance": "guidance", "shift": "shift", "vae": "vae", "clip_skip": "clip_skip", "denoise": "denoise",
    },
    "lora": {"loras": "lora", "steps": "steps", "cfg": "cfg", "seed": "seed", "sampler": "sampler"},
    "split": {
        "steps": "steps", "cfg": "cfg", "seed": "seed", "sampler": "sampler", "scheduler": "scheduler", "guidance": "guidance",
        "shift": "shift", "loras": "lora",
    },
    "variety": {
        "shift": "shift", "seed": "seed", "sampler": "sampler", "beside": "sampler", "scheduler": "scheduler", "steps": "steps",
        "cfg": "cfg",
    },
}  # fmt: skip
INSPECTOR = {
    "cfg": "cfg", "sampler": "sampler", "add_noise": "noise", "leftover_noise": "noise", "noise_seed": "seed", "steps": "steps",
    "scheduler": "scheduler", "shift": "shift", "loras": "lora", "clip_skip": "clip_skip", "guidance": "guidance",
}  # fmt: skip


@pytest.fixture(scope="module")
def tabs() -> dict[str, dict[str, str]]:
    """Tab -> control -> card."""
    with gr.Blocks():
        built = {
            "text2image": text2image.build(FIRST, []).form.controls, "lora": lora.build(FIRST, []).form.controls,
            "variety": variety.build(FIRST, []).form.controls,
        }  # fmt: skip
        bench = split.build(FIRST, [])
    built |= {"split": bench.form.controls, "inspector": bench.inspector}
    return {
        tab: {name: str(one.props.get("card", "")) for name, one in controls.items()} for tab, controls in built.items()
    }


@pytest.mark.parametrize("tab", [*SETTINGS, "inspector"])
def test_every_setting_has_its_card(tabs: dict[str, dict[str, str]], tab: str) -> None:
    wanted = INSPECTOR if tab == "inspector" else SETTINGS[tab]
    assert {name: card for name, card in tabs[tab].items() if card} == wanted


def test_every_card_that_is_named_is_there() -> None:
    assert set(CARD_OF.values()) <= set(CARDS)
    assert set(CARDS) - set(CARD_OF.values()) == {"embedding"}  # it is a word of the prompt, and no control's
    assert CARD_OF.keys() <= texts.WORDS["en"].keys()


def test_a_control_may_name_another_card_or_none() -> None:
    assert Number(elem_id="a", label_key="steps").props["card"] == "steps"
    assert Number(elem_id="b", label_key="steps", card="").props["card"] == ""
    assert Number(elem_id="c", label_key="size", card="vae").props["card"] == "vae"
    assert Number(elem_id="d", label_key="size").props["card"] == ""


def test_the_page_brings_the_words_and_numbers_of_the_cards() -> None:
    page = head()
    assert "stepwise.help = help" in page and ".sw-help-card" in page
    for words in texts.WORDS.values():
        assert words["explain.help.move"] in page and words["card.cfg.what"] in page
    assert "{sd15}" not in page
