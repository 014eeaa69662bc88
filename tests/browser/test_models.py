"""The models tab, and the promise that it is there for: three files of ComfyUI's in their folders, one choice, one press."""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from safetensors.torch import save, save_file

from tests import tiny_models
from tests.browser.conftest import served
from tests.browser.hands import generate, open_drawer, open_tab
from tests.hub_server import Hub, serving

NewPage = Callable[..., Page]
Ready = Callable[[Page], Page]
TURBO, BASE = "z_image_turbo_bf16.safetensors", "z_image_bf16.safetensors"
FLUX = "tiny-flux"
MB = 2**20


def comfy_files(root: Path) -> tuple[Mapping[str, torch.Tensor], Any]:
    """Z-Image Turbo as ComfyUI's page tells people to keep it, very small: three files. Returns the first, and Qwen3's tokenizer,
    which is in none of them."""
    from diffusers import ZImageTransformer2DModel

    torch.manual_seed(0)
    words = tiny_models.chat_tokenizer()
    transformer = tiny_models.noisy(
        ZImageTransformer2DModel(
            in_channels=16, dim=128, n_layers=1, n_refiner_layers=1, n_heads=1, n_kv_heads=1, cap_feat_dim=16,
            axes_dims=[32, 48, 48], axes_lens=[1536, 512, 512],
        )
    )  # fmt: skip
    blocks = {"block_out_channels": [32] * 4, "norm_num_groups": 32, "layers_per_block": 1}
    vae = tiny_models.flow_vae(
        **blocks, down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4
    )
    for folder in ("diffusion_models", "text_encoders", "vae"):
        (root / folder).mkdir(parents=True)
    files = {
        f"diffusion_models/{TURBO}": tiny_models.comfy_z_image(transformer),
        "text_encoders/qwen_3_4b.safetensors": tiny_models.under("model.", tiny_models.qwen3(words).state_dict()),
        "vae/ae.safetensors": tiny_models.ldm_vae(vae),
    }
    half = {name: {key: tensor.bfloat16() for key, tensor in tiny_models.dense(state).items()} for name, state in files.items()}
    for name, state in half.items():
        save_file(state, root / name)
    return half[f"diffusion_models/{TURBO}"], words


@pytest.fixture(scope="module")
def root(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the demo in it, and a very small Flux.1 dev."""
    folder = tmp_path_factory.mktemp("comfy")
    shutil.copytree(models / "demo", folder / "demo")
    tiny_models.flux(folder / FLUX)
    return folder


@pytest.fixture(scope="module")
def hub(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """It has the tokenizer, and the base model: Turbo's weights, and 6 MB more that nothing reads."""
    weights, words = comfy_files(root)
    folder = tmp_path_factory.mktemp("words")
    words.save_pretrained(folder)
    base = save({**weights, "norm_final.weight": torch.rand(3 * MB).bfloat16()})
    files = {
        "Qwen/Qwen3-4B": {"tokenizer.json": (folder / "tokenizer.json").read_bytes()},
        "Comfy-Org/z_image": {f"split_files/diffusion_models/{BASE}": base},
    }
    with serving(Hub(files=files)) as running:
        yield running


@pytest.fixture(scope="module")
def address(root: Path, hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("studio")
    online = {"HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(folder / "hub")}
    with served(root, folder, **online) as address:
        yield address


def value(page: Page, control: str) -> str:
    return page.locator(f"#{control} :is(input:not([type=range]), select)").first.input_value()


def barriers(page: Page) -> list[tuple[str, str]]:
    """What axe finds."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [(one["id"], node["html"][:160]) for one in found for node in one["nodes"]]


def test_three_files_one_choice_one_press(new_page: NewPage, root: Path) -> None:
    """The person has the three files in their folders, selects Z-Image Turbo and presses Generate, and nothing else."""
    assert not (root / "tokenizers").exists()
    page = new_page()
    page.locator("#model select").select_option(TURBO)
    expect(page.locator("#steps input[type=number]")).to_have_value("9")
    generate(page)
    page.wait_for_function("document.querySelector('.sw-picture img').naturalWidth === 1024")
    page.locator("#stage").get_by_role("button", name="Settings", exact=True).click()
    said = page.locator("#stage .sw-settings pre")
    for field in ('"cfg": 1.0', '"shift": 3.0', '"sampler": "res_multistep"', '"scheduler": "simple"', '"steps": 9'):
        expect(said).to_contain_text(field)


def test_sizes_are_a_ratio_and_megapixels(new_page: NewPage) -> None:
    """0.1 to 2.5, rounded as the family needs; a model that is smaller than that has its own. Here and in Variety."""
    page = new_page()
    page.locator("#model select").select_option(TURBO)
    _sizes(page, "size")
    open_tab(page, "Variety")
    page.locator("#variety-model select").select_option(TURBO)
    open_drawer(page, "variety-sampling")
    _sizes(page, "variety-size")
    open_tab(page, "Text to image")
    page.locator("#model select").select_option(FLUX)
    page.locator("#size").get_by_label("Megapixels").select_option(label="0.004 MP")  # offered once the server knows the model
    page.locator("#size").get_by_label("Aspect ratio").select_option("1:1")
    expect(page.locator("#size").get_by_label("Width in pixels")).to_have_value("64")


def _sizes(page: Page, control: str) -> None:
    """Of Z-Image: multiples of 16 around 1024 x 1024."""
    size = page.locator(f"#{control}")
    width, height = size.get_by_label("Width in pixels"), size.get_by_label("Height in pixels")
    expect(width).to_have_value("1024")
    listed = size.get_by_label("Megapixels").locator("option").all_inner_texts()
    assert listed == [f"{mp} MP" for mp in ("0.1", "0.25", "0.5", "0.75", "1", "1.25", "1.5", "2", "2.5")]
    for ratio, area, wide, high in (("16:9", "2.5 MP", 2160, 1216), ("1:1", "0.1 MP", 320, 320), ("2:3", "1 MP", 832, 1248)):
        size.get_by_label("Aspect ratio").select_option(ratio)
        size.get_by_label("Megapixels").select_option(label=area)
        expect(width).to_have_value(str(wide))
        expect(height).to_have_value(str(high))
        expect(size.get_by_label("Megapixels").locator("option:checked")).to_have_text(area)


def test_flux_makes_a_picture(new_page: NewPage) -> None:
    """Its guidance is told, its shift grows with the picture, and at cfg 1 the negative is closed."""
    page = new_page()
    page.locator("#model select").select_option(FLUX)
    page.locator("#prompt textarea").fill("a red apple")  # while the server still looks at the model
    expect(page.locator("#steps input[type=number]")).to_have_value("20")
    expect(page.locator("#prompt textarea")).to_have_value("a red apple")
    expect(page.locator("#drawer-negative > button")).to_contain_text("off at CFG 1")
    open_drawer(page, "sampling")
    expect(page.locator("#guidance input")).to_have_attribute("placeholder", "3.5")
    page.locator("#guidance input").fill("2")
    page.locator("#steps input[type=number]").fill("3")
    generate(page)
    page.wait_for_function("document.querySelector('.sw-picture img').naturalWidth === 32")
    page.locator("#stage").get_by_role("button", name="Settings", exact=True).click()
    for field in (f'"model": "{FLUX}"', '"prompt": "a red apple"', '"guidance": 2.0', '"cfg": 1.0', '"steps": 3'):
        expect(page.locator("#stage .sw-settings pre")).to_contain_text(field)


def test_what_a_family_is_told(new_page: NewPage) -> None:
    """The demo has neither guidance nor shift, Turbo has a shift of its own; what it lacks is closed with the reason."""
    page = new_page()
    open_drawer(page, "sampling")
    for name, reason in (("shift", "no flow shift"), ("guidance", "not told a guidance")):
        expect(page.locator(f"#{name} input")).to_be_disabled()
        expect(page.locator(f"#{name} .sw-hint")).to_contain_text(reason)
    page.locator("#model select").select_option(TURBO)
    expect(page.locator("#shift input")).to_be_enabled()
    expect(page.locator("#shift input")).to_have_attribute("placeholder", "3")
    expect(page.locator("#guidance input")).to_be_disabled()
    expect(page.locator("#prediction select")).to_be_disabled()
    expect(page.locator("#drawer-negative > button")).to_contain_text("off at CFG 1")
    page.locator("#shift input").fill("6")
    open_tab(page, "Split")
    page.locator("#split-model select").select_option(TURBO)
    expect(page.locator("#split-steps input[type=number]")).to_have_value("9")
    open_drawer(page, "split-sampling")
    expect(page.locator("#split-shift input")).to_have_attribute("placeholder", "3")
    expect(page.locator("#split-guidance input")).to_be_disabled()
    open_tab(page, "Text to image")
    page.locator("#model select").select_option("demo")
    expect(page.locator("#shift input")).to_be_disabled()
    assert value(page, "shift") == ""  # a run of the demo with it would be refused


def test_turbo_or_base_is_said_by_a_person(new_page: NewPage, ready: Ready) -> None:
    """The file cannot tell. The form follows, and so does the next page."""
    page = new_page(color_scheme="dark")
    page.locator("#model select").select_option(TURBO)
    expect(page.locator("#steps input[type=number]")).to_have_value("9")
    open_tab(page, "Models")
    row = page.locator(f'[data-model="{TURBO}"]')
    expect(row).to_contain_text("text_encoders/qwen_3_4b.safetensors")
    expect(row).to_contain_text("vae/ae.safetensors")
    expect(page.locator("[data-offer]")).to_have_count(7)
    page.locator("[data-offer] summary").first.click()
    assert not barriers(page)
    row.locator("select").select_option("base")
    expect(row).not_to_contain_text("Z-Image Turbo")
    open_tab(page, "Text to image")
    expect(page.locator("#steps input[type=number]")).to_have_value("30")
    expect(page.locator("#cfg input[type=number]")).to_have_value("4")
    page.reload()
    ready(page)
    open_tab(page, "Models")
    expect(page.locator(f'[data-model="{TURBO}"] select')).to_have_value("base")
    page.locator(f'[data-model="{TURBO}"] select').select_option("turbo")
    expect(page.locator(f'[data-model="{TURBO}"]')).to_contain_text("Z-Image Turbo")


def test_a_download_that_is_left_alone_and_gone_on_with(new_page: NewPage, ready: Ready, hub: Hub, root: Path) -> None:
    """It is the server's: a reload finds it. Stopped, it goes on where it was: the hub counts the bytes."""
    page = new_page()
    hub.hold_at = 3 * MB
    open_tab(page, "Models")
    offer = page.locator('[data-offer="z-image"]')
    offer.get_by_role("button", name=re.compile("Download")).click()
    expect(offer.get_by_role("status")).to_contain_text(BASE)
    expect(page.locator('[data-offer="sd15"]').get_by_role("button")).to_be_disabled()
    page.reload()
    ready(page)
    open_tab(page, "Models")
    expect(offer.get_by_role("status")).to_contain_text(BASE)
    assert not (root / "diffusion_models" / BASE).exists()
    offer.get_by_role("button", name="Stop").click()
    expect(offer.get_by_role("status")).to_contain_text("Stopped")
    hub.hold_at = None
    offer.get_by_role("button", name=re.compile("Go on")).click()
    expect(offer.get_by_role("status")).to_contain_text("Complete")
    expect(page.locator(f'[data-model="{BASE}"]')).to_contain_text("Ready")
    path = f"split_files/diffusion_models/{BASE}"
    answers = [(first, count) for name, first, count in hub.sent if name == path]
    size = len(hub.files["Comfy-Org/z_image"][path])
    assert answers[-1][0] >= MB and sum(answers[-1]) == size, answers
    assert (root / "diffusion_models" / BASE).read_bytes() == hub.files["Comfy-Org/z_image"][path]
    open_tab(page, "Text to image")
    page.locator("#model select").select_option(BASE)
    expect(page.locator("#steps input[type=number]")).to_have_value("30")


def test_what_the_hub_refuses_is_said(new_page: NewPage, hub: Hub) -> None:
    hub.gated = frozenset({"stabilityai/stable-diffusion-xl-base-1.0"})
    page = new_page()
    open_tab(page, "Models")
    page.locator('[data-offer="sdxl"]').get_by_role("button").click()
    expect(page.locator("#offers [role=alert]")).to_contain_text("log in at https://huggingface.co/stabilityai")
    page.locator('[data-offer="sd15"]').get_by_role("button").click()
    expect(page.locator("#offers [role=alert]")).to_contain_text("There is no v1-5-pruned-emaonly-fp16.safetensors in Comfy-Org")
    assert not barriers(page)
