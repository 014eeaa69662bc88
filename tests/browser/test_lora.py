"""The LoRA tab in a real browser, with LoRAs for the demo model that peft and diffusers wrote."""

import io
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from safetensors.torch import load_file, save_file

from core.images import png
from core.images.compare import difference
from core.recipe import parse
from tests.browser.conftest import served
from tests.browser.hands import generate, let_it_unfold, open_tab

NewPage = Callable[..., Page]
LONG = 180_000  # milliseconds: two slow cores, maybe busy


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("loras")


@pytest.fixture(scope="module")
def address(models: Path, folder: Path) -> Iterator[str]:
    """A studio with a library: one fits, with words and a picture; two fit in part; one is for SDXL; one is cut off."""
    shutil.copytree(models / "demo", folder / "models" / "demo")
    ink = folder / "models" / "loras" / "style" / "ink.safetensors"
    ink.parent.mkdir(parents=True)
    for name, tensor in trained(models / "demo", ink.parent).items():
        assert "lora" in name and tensor.dim() == 2
    Image.new("RGB", (300, 200), "navy").save(ink.with_name("ink.preview.png"))
    xl = {"lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k.lora_down.weight": torch.ones(1, 2048)}
    save_file(xl, ink.with_name("paper.safetensors"))
    odd = {f"unet.nowhere.{k}.lora_{end}.weight": torch.ones(4, 4) for k in range(5) for end in "AB"}
    for name in ("half", "gone"):
        save_file(load_file(ink) | odd, ink.with_name(f"{name}.safetensors"))
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
    expect(page.locator('#lora-wall [data-name="style/torn"]')).to_be_visible(timeout=LONG)
    return page


def look_at(page: Page, name: str) -> None:
    page.locator(f'#lora-wall [data-name="{name}"]').click()
    expect(page.locator("#lora-wall .sw-detail .sw-prompt")).to_have_text(name, timeout=LONG)


def use(page: Page, name: str) -> None:
    look_at(page, name)
    page.locator("#lora-use").click()
    expect(page.locator("#lora-use")).to_have_text("In use", timeout=LONG)
    # Its row is drawn again when its facts come: a hand that is quicker holds what is gone.
    expect(row(page, name).locator(".sw-lora-cover")).to_be_visible(timeout=LONG)


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
    page.locator("#lora-wall").get_by_role("button", name="inkstyle", exact=True).click()
    prompt = page.locator("#lora-prompt textarea")
    expect(prompt).to_have_value(re.compile(r", inkstyle$"), timeout=LONG)
    page.locator("#lora-edit").click()
    page.locator("#lora-edit-words").fill("sumi, brush")
    page.locator("#lora-edit-notes").fill("0.7 is enough")
    page.locator("#lora-keep").click()
    expect(page.locator("#lora-wall .sw-chip")).to_have_text(["sumi", "brush"], timeout=LONG)
    page.reload(timeout=LONG)
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


# ------------------------------------------------------------------ the rows of those in use


def row(page: Page, name: str = "style/ink") -> Locator:
    return page.locator(f'#lora-loras .sw-lora-row[aria-label="{name}"]')


def test_a_row_says_how_much_of_it_fits(page: Page) -> None:
    use(page, "style/ink")
    expect(row(page).locator(".sw-lora-cover")).to_have_text(re.compile(r"^(\d+) of \1$"), timeout=LONG)
    expect(row(page).locator(".sw-lora-odd")).to_have_count(0)
    expect(row(page).get_by_role("spinbutton")).to_have_count(1)  # it does not act on the text encoder
    use(page, "style/half")
    odd = row(page, "style/half")
    expect(odd.locator(".sw-lora-cover")).to_have_class(re.compile("is-part"), timeout=LONG)
    expect(odd.locator(".sw-lora-odd")).to_have_text(
        "5 parts of it have no place in demo and do nothing: unet.nowhere.0, unet.nowhere.1, unet.nowhere.2 and 2 more."
    )
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert not [(one["id"], node["html"][:160]) for one in found for node in one["nodes"]]
    word = row(page).locator(".sw-chip").first
    said = word.inner_text()
    word.click()
    expect(page.locator("#lora-prompt textarea")).to_have_value(re.compile(rf", {said}$"), timeout=LONG)
    odd.get_by_role("button", name="Remove style/half").click()
    expect(odd).to_have_count(0)


# ------------------------------------------------------------------ from which step to which they act


def ends(page: Page) -> tuple[Locator, Locator]:
    """Of the one LoRA in use: where it begins and where it ends."""
    return page.get_by_role("slider", name="First step of"), page.get_by_role("slider", name="ends before step")


def says(page: Page, text: str) -> None:
    expect(row(page).locator(".sw-when .sw-hint")).to_have_text(text, timeout=LONG)


def made(page: Page) -> Mapping[str, Any]:
    """The first LoRA of the recipe that the form makes, from the picture."""
    generate(page, "lora-")
    return json.loads(page.locator("#lora-stage pre").text_content() or "")["loras"][0]


def test_the_bar_is_moved_by_keys_and_is_the_recipe_s_schedule(page: Page) -> None:
    use(page, "style/ink")
    says(page, "acts on all 20 steps")
    first, last = ends(page)
    first.press("PageUp")
    first.press("ArrowRight")
    expect(first).to_have_attribute("aria-valuetext", "acts from step 6 of 20 on")
    expect(first).to_be_focused()
    assert made(page)["model"] == {"0": 0.0, "6": 1.0}
    last.press("End")  # is there already
    last.press("PageDown")
    last.press("ArrowLeft")
    says(page, "acts on steps 6 to 13 of 20")
    row(page).get_by_role("spinbutton").fill("0.8")
    row(page).get_by_role("spinbutton").press("Tab")
    assert made(page)["model"] == {"0": 0.0, "6": 0.8, "14": 0.0}
    page.locator("#lora-steps input[type=number]").fill("10")
    says(page, "acts from step 6 of 10 on")  # its end stays at 14, should the run be longer again
    page.locator("#lora-steps input[type=number]").fill("6")
    says(page, "never acts: the run ends after 6 steps")
    page.locator("#lora-steps input[type=number]").fill("20")
    first.press("Home")
    last.press("End")
    says(page, "acts on all 20 steps")
    page.get_by_role("button", name="Use settings").locator(
        "visible=true"
    ).click()  # of the picture: the stretch is back
    says(page, "acts on steps 6 to 13 of 20")


def test_the_bar_is_dragged(page: Page) -> None:
    use(page, "style/ink")
    first, last = ends(page)
    track = page.locator(".sw-when-track")
    for handle, step in ((first, 5), (last, 12), (first, 30)):
        row(page).scroll_into_view_if_needed()
        box, held = track.bounding_box(), handle.bounding_box()
        assert box is not None and held is not None
        page.mouse.move(held["x"] + held["width"] / 2, held["y"] + held["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 60, steps=3)
        page.mouse.move(box["x"] + box["width"] * step / 20, box["y"] + 60, steps=3)
        page.mouse.up()
    says(page, "acts on step 11 of 20 alone")
    assert made(page)["model"] == {"0": 0.0, "11": 1.0, "12": 0.0}


def test_a_finger_drags_it_on_a_phone(new_page: NewPage) -> None:
    page = new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    open_tab(page, "LoRA")
    use(page, "style/ink")
    first, _ = ends(page)
    first.scroll_into_view_if_needed()
    box, held = page.locator(".sw-when-track").bounding_box(), first.bounding_box()
    assert box is not None and held is not None
    hands = page.context.new_cdp_session(page)
    y = held["y"] + held["height"] / 2
    for kind, x in (
        ("touchStart", held["x"] + 4),
        ("touchMove", box["x"] + 60),
        ("touchMove", box["x"] + box["width"] / 2),
        ("touchEnd", None),
    ):
        hands.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [] if x is None else [{"x": x, "y": y}]})
    says(page, "acts from step 10 of 20 on")


def test_another_schedule_is_left_alone(page: Page, tmp_path: Path) -> None:
    ramp = {"0": 0.2, "8": 0.6, "16": 1.0}
    recipe = parse(
        {
            "stepwise": 1,
            "model": "demo",
            "prompt": "a red apple",
            "seed": 3,
            "steps": 20,
            "loras": [{"name": "style/ink", "model": ramp}],
        }
    )
    png.save(Image.new("RGB", (128, 128)), tmp_path / "ramp.png", recipe, {})
    page.locator("#lora-open-picture-file").set_input_files(tmp_path / "ramp.png")
    expect(row(page)).to_contain_text("By a schedule of its own, which is left as it is.", timeout=LONG)
    expect(page.get_by_role("slider", name="First step of")).to_have_count(0)
    assert made(page)["model"] == ramp


# ------------------------------------------------------------------ without, with, and the difference


def pixels(page: Page, image: Locator) -> Image.Image:
    """A picture on the page as it was sent."""
    found = page.request.get(f"{page.url.split('?')[0]}{image.get_attribute('src')}")
    assert found.ok
    return Image.open(io.BytesIO(found.body())).convert("RGB")


def test_without_with_and_the_difference_by_one_click(page: Page) -> None:
    """What was just made is not made again, and the first steps, in which no LoRA acts, are shared."""
    expect(page.locator("#lora-pair")).to_be_disabled()
    use(page, "style/ink")
    page.locator("#lora-seed input").fill("4242")  # nobody has made it before
    first, _ = ends(page)
    for _ in range(6):
        first.press("ArrowRight")
    generate(page, "lora-")
    page.locator("#lora-pair").click()
    number = page.locator("#lora-difference")
    expect(number).to_have_attribute("data-rms", re.compile("0[.]"), timeout=LONG)
    expect(number).to_contain_text("2 pictures took 14 steps; single runs would have taken 40")
    expect(page.get_by_role("tab", name="LoRA")).to_have_attribute("aria-selected", "true")
    without, with_it = (pixels(page, page.locator(f"#lora-compared-{name}")) for name in ("without", "with"))
    assert float(number.get_attribute("data-rms") or 0) == pytest.approx(difference(without, with_it).rms, abs=1e-5)
    shown = page.locator("#lora-compared-difference")
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 128
    generate(page, "lora-")  # a newer picture: the three were of the one before
    expect(page.locator("#lora-compared-with")).to_be_hidden()


# ------------------------------------------------------------------ what is kept beside the library


def test_a_picture_made_here_becomes_the_thumbnail(page: Page) -> None:
    look_at(page, "style/half")
    expect(page.locator('#lora-wall [data-name="style/half"] img')).to_have_count(0)
    generate(page, "lora-")
    page.locator("#lora-depict").click()
    thumb = page.locator('#lora-wall [data-name="style/half"] img')
    expect(thumb).to_have_count(1, timeout=LONG)
    assert thumb.evaluate("image => image.decode().then(() => image.naturalWidth)") == 128


def test_a_file_that_has_vanished_is_a_sentence(page: Page, folder: Path) -> None:
    look_at(page, "style/gone")
    page.locator("#lora-edit").click()
    page.locator("#lora-edit-notes").fill("where is it")
    (folder / "models" / "loras" / "style" / "gone.safetensors").unlink()
    page.locator("#lora-keep").click()
    expect(page.locator("#lora-wall [role=status]")).to_have_text(
        "style/gone is gone: its file was moved or deleted.", timeout=LONG
    )
