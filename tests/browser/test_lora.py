"""The LoRA tab in a real browser, with LoRAs for the demo model that peft and diffusers wrote."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from playwright.sync_api import Page, expect
from safetensors.torch import load_file, save_file

from tests.browser.conftest import served
from tests.browser.hands import generate, let_it_unfold, open_tab

NewPage = Callable[..., Page]
LONG = 180_000  # milliseconds: two slow cores, maybe busy


@pytest.fixture(scope="module")
def address(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A studio with a library of three: one that fits, with words and a picture; one for SDXL; one that is cut off."""
    folder = tmp_path_factory.mktemp("loras")
    shutil.copytree(models / "demo", folder / "models" / "demo")
    ink = folder / "models" / "loras" / "style" / "ink.safetensors"
    ink.parent.mkdir(parents=True)
    for name, tensor in trained(models / "demo", ink.parent).items():
        assert "lora" in name and tensor.dim() == 2
    Image.new("RGB", (300, 200), "navy").save(ink.with_name("ink.preview.png"))
    xl = {"lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k.lora_down.weight": torch.ones(1, 2048)}
    save_file(xl, ink.with_name("paper.safetensors"))
    ink.with_name("torn.safetensors").write_bytes(ink.read_bytes()[:500])
    with served(folder / "models", folder) as here:
        yield here


def trained(demo: Path, folder: Path) -> dict[str, torch.Tensor]:
    """A LoRA as diffusers' trainers save it, its up matrices as if they had learned something; with a trigger phrase."""
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_pretrained(demo / "unet")
    unet.add_adapter(
        LoraConfig(r=4, lora_alpha=4, target_modules=["to_q", "to_k", "to_v", "to_out.0"], init_lora_weights=False)
    )
    StableDiffusionPipeline.save_lora_weights(
        folder, unet_lora_layers=get_peft_model_state_dict(unet), weight_name="draft.safetensors"
    )
    state = load_file(folder / "draft.safetensors")
    (folder / "draft.safetensors").unlink()
    words = {"10_inkstyle": {"inkstyle": 12, "a red apple": 7}}
    save_file(
        state, folder / "ink.safetensors", metadata={"ss_tag_frequency": json.dumps(words), "ss_sd_model_name": "demo"}
    )
    return state


@pytest.fixture
def page(new_page: NewPage) -> Page:
    page = new_page()
    open_tab(page, "LoRA")
    expect(page.locator("#lora-wall .sw-lora-tile")).to_have_count(3, timeout=LONG)
    return page


def look_at(page: Page, name: str) -> None:
    page.locator(f'#lora-wall [data-name="{name}"]').click()
    expect(page.locator("#lora-wall .sw-detail .sw-prompt")).to_have_text(name, timeout=LONG)


def use(page: Page, name: str) -> None:
    look_at(page, name)
    page.locator("#lora-use").click()
    expect(page.locator("#lora-use")).to_have_text("In use", timeout=LONG)
    expect(page.locator('#lora-loras [data-k="name0"]')).to_have_value(name, timeout=LONG)


def test_the_wall_is_searched_and_dims_what_does_not_fit(page: Page) -> None:
    wall = page.locator("#lora-wall")
    assert (
        wall.locator('[data-name="style/ink"] img').evaluate("image => image.decode().then(() => image.naturalWidth)")
        == 256
    )
    expect(wall.locator('[data-name="style/paper"]')).to_have_class(re.compile("is-off"))
    expect(wall.locator('[data-name="style/paper"] .sw-lora-reason')).to_have_text(
        "Made for SDXL: it does not fit SD1.5."
    )
    expect(wall.locator('[data-name="style/torn"] .sw-lora-reason')).to_contain_text("is truncated")
    page.locator("#lora-search").fill("inkstyle")
    expect(wall.locator(".sw-lora-tile")).to_have_count(1, timeout=LONG)
    page.locator("#lora-search").fill("nothing has this")
    expect(wall.locator(".sw-lora-tile")).to_have_count(0, timeout=LONG)
    expect(wall.locator(".sw-empty-text")).to_have_text("Nothing has all these words.")
    page.locator("#lora-search").fill("")
    look_at(page, "style/paper")
    expect(page.locator("#lora-use")).to_be_disabled()


def test_words_go_into_the_prompt_and_can_be_edited(page: Page) -> None:
    look_at(page, "style/ink")
    page.get_by_role("button", name="inkstyle", exact=True).click()
    prompt = page.locator("#lora-prompt textarea")
    expect(prompt).to_have_value(re.compile(r", inkstyle$"), timeout=LONG)
    page.locator("#lora-edit").click()
    page.locator("#lora-edit-words").fill("sumi, brush")
    page.locator("#lora-edit-notes").fill("0.7 is enough")
    page.locator("#lora-keep").click()
    expect(page.locator("#lora-wall .sw-chip")).to_have_text(["sumi", "brush"], timeout=LONG)
    page.reload()
    page.wait_for_function("window.stepwise?.kept")
    open_tab(page, "LoRA")
    look_at(page, "style/ink")
    expect(page.locator("#lora-wall .sw-chip")).to_have_text(["sumi", "brush"], timeout=LONG)
    expect(page.locator("#lora-wall .sw-detail")).to_contain_text("0.7 is enough")
    expect(prompt).to_have_value(re.compile(r", inkstyle$"), timeout=LONG)


def picture(page: Page) -> str:
    """Makes one; where it is."""
    generate(page, "lora-")
    return str(page.locator("#lora-stage img").first.get_attribute("src"))


def test_it_is_applied(page: Page) -> None:
    without = picture(page)
    use(page, "style/ink")
    assert picture(page) != without


def test_strength_sweep_by_one_click(page: Page) -> None:
    use(page, "style/ink")
    let_it_unfold(page)
    page.locator("#lora-strength").click()
    expect(page.get_by_role("tab", name="Split")).to_have_attribute("aria-selected", "true", timeout=LONG)
    expect(page.locator('.sw-cell[data-kind="done"]')).to_have_count(5, timeout=LONG)
    expect(page.locator("#sweep-said")).to_contain_text("5", timeout=LONG)
