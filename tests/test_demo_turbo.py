"""demo-turbo: recognised as Turbo, small, exact under cuts and in batches; and its training's own forward pass."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from core import Pipeline
from core.prompt.qwen import AFTER, BEFORE
from core.recipe import Recipe, parse
from core.sampling import SAMPLERS
from training import turbo, turbo_guide, turbo_net, turbo_text
from training.scenes import COLOURS, OBJECTS, SIDE
from training.text import encode
from training.unet import signal_shares

FOLDER = Path(__file__).parents[1] / "models" / "demo-turbo"
DEMO = FOLDER.with_name("demo")
BASE = {"stepwise": 1, "model": FOLDER.name, "prompt": "a red rabbit on a blue background", "seed": 3, "steps": 4}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """Keeps no steps: every picture is made anew."""
    made = Pipeline(models=FOLDER.parent, device="cpu", data=tmp_path_factory.mktemp("data"), trajectory_bytes=0)
    yield made
    made.close()


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    """Small, and random everywhere: a branch that starts closed would hide what is wrong in it."""
    torch.manual_seed(0)
    made = turbo_net.build(width=64, layers=2, heads=2)
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(mean=1.0 if weight.ndim == 1 else 0.0, std=0.1)
    return made.eval()


def recipe(**fields: object) -> Recipe:
    return parse(BASE | fields)


def test_it_is_turbo_at_the_size_of_its_vae(pipeline: Pipeline) -> None:
    found = pipeline.library.model(FOLDER.name)
    assert (found.family, found.details["variant"]) == ("z_image", "turbo")
    whole = pipeline.resolve(parse({"stepwise": 1, "model": FOLDER.name}))
    assert (whole.width, whole.height, whole.steps, whole.cfg, whole.shift) == (SIDE, SIDE, 9, 1.0, 3.0)
    assert (whole.sampler, whole.scheduler) == ("res_multistep", "simple")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_cut_that_changes_nothing_changes_no_bit(pipeline: Pipeline, sampler: str) -> None:
    whole = pipeline.generate(recipe(sampler=sampler)).latents
    cut = pipeline.generate(recipe(sampler=sampler, segments=[{"end": 2}, {}])).latents
    assert torch.equal(whole, cut) and whole.isfinite().all()


def test_a_picture_of_a_batch_is_the_picture_alone(pipeline: Pipeline) -> None:
    together = pipeline.generate(recipe(batch=3)).latents
    for n in range(3):
        assert torch.equal(pipeline.generate(recipe(seed=BASE["seed"] + n)).latents[0], together[n])


def test_what_the_prompt_says_is_seen(pipeline: Pipeline) -> None:
    """Of the background, which no judge is needed for: its corners are blue or red as they are told."""
    for seed in range(3):
        red, blue = (
            torch.tensor(list(pipeline.generate(recipe(prompt=words, seed=seed, steps=9)).images[0].getpixel((4, 4))))
            for words in ("a small white cat on a red background", "a small white cat on a blue background")
        )
        assert red[0] > red[2] + 40 and blue[2] > blue[0] + 40


def test_the_files_are_small_and_name_no_machine() -> None:
    files = {file: file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()}
    assert files and max(files.values()) < 10 * 2**20 and sum(files.values()) < 30 * 2**20
    assert not [file for file in files if file.suffix in (".json", ".md") and "/work/" in file.read_text()]


def test_every_word_of_the_captions_is_one_token() -> None:
    words = turbo_text.read_tokenizer(FOLDER / "tokenizer")
    spoken = [f" {word}" for name in (*OBJECTS, *COLOURS) for word in name.split()]
    assert not [word for word in spoken if len(words.tokenize(word)) != 1]
    turn = [{"role": "user", "content": "a cat"}]
    assert words.apply_chat_template(turn, tokenize=False, add_generation_prompt=True) == f"{BEFORE}a cat{AFTER}"


def test_captions_are_read_in_training_as_in_the_app(pipeline: Pipeline) -> None:
    """Padded to 32 and without the last layer there, neither here: the states are the same."""
    from core.families import load
    from core.families.base import TextRequest

    model = load(pipeline.library.model(FOLDER.name), device=torch.device("cpu"))
    read = turbo.Reader(FOLDER / "tokenizer", FOLDER / "text_encoder", dtype=torch.float32)
    captions = ["a red rabbit", "", "a small blue ice cream on the left with a gray background"]
    states, said = read(captions)
    for n, words in enumerate(captions):
        wanted = model.encode_text(TextRequest(text=words, width=SIDE, height=SIDE)).context[0]
        torch.testing.assert_close(states[n, said[n]], wanted, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_forward_pass_of_training_is_the_stock_one(net: torch.nn.Module) -> None:
    torch.manual_seed(1)
    x, time, states = torch.randn(3, 4, 16, 8), torch.rand(3), torch.randn(3, 32, turbo_text.WIDTH)
    lengths = torch.tensor([9, 20, 32])
    said = torch.arange(32)[None] < lengths[:, None]
    captions = [row[:length] for row, length in zip(states, lengths, strict=True)]
    wanted = torch.stack(net(list(x[:, :, None].unbind()), time, captions, return_dict=False)[0])[:, :, 0]
    made = turbo_net.forward(net, x, time, states, said)
    assert wanted.std() > 0.1
    torch.testing.assert_close(made, wanted, atol=1e-4, rtol=1e-4)


def test_sigmas_are_the_schedules_and_early_ones_noisier() -> None:
    torch.manual_seed(2)
    late, early = turbo.draw_sigmas(4000), turbo.draw_sigmas(4000, early=True)
    u = late / (3 - 2 * late)  # shift 3, undone
    torch.testing.assert_close(u.sort().values, (torch.arange(4000) + 0.5) / 4000, atol=2e-4, rtol=0)
    assert early.mean() > late.mean() + 0.1 and early.min() >= 0 and early.max() <= 1


@torch.no_grad()
def test_what_the_student_learns_is_the_demo_models_guided_answer_as_a_flow() -> None:
    """Against diffusers' own UNet in float32; and where the demo knows no level, what the data show."""
    torch.manual_seed(3)
    clean, noise, sigmas = torch.randn(3, 4, 16, 16), torch.randn(3, 4, 16, 16), torch.tensor([0.3, 0.8, 0.97])
    captions = ["a red car", "a small cat on the left", "a blue key"]
    x, shown = turbo.mixed(clean, noise, sigmas), clean - noise
    taught = turbo_guide.Guide(DEMO).lesson(x, sigmas, captions, shown)
    assert torch.equal(taught[2], shown[2])
    unet = UNet2DConditionModel.from_pretrained(DEMO / "unet", torch_dtype=torch.float32)
    tokens = CLIPTokenizer.from_pretrained(DEMO / "tokenizer")
    text = CLIPTextModel.from_pretrained(DEMO / "text_encoder", dtype=torch.float32)
    table = signal_shares()  # share of the clean picture in the variance
    for n, sigma in enumerate(sigmas[:2]):
        step = ((1 - table).sqrt() / table.sqrt() - sigma / (1 - sigma)).abs().argmin()
        seen = table[step].sqrt() * x[n : n + 1] / (1 - sigma)
        within, without = (unet(seen, step, text(encode(tokens, [words]))[0]).sample for words in (captions[n], ""))
        made = without + turbo_guide.GUIDANCE * (within - without)
        wanted = x[n : n + 1] / (1 - sigma) - sigma / (1 - sigma) * made - made
        assert (taught[n] - wanted).std() < 0.06 * wanted.std()
        assert (within - without).std() > 0.02


@torch.no_grad()
def test_more_layers_are_the_same_function_at_first(net: torch.nn.Module) -> None:
    torch.manual_seed(4)
    deep = turbo_net.grown(net, 5)
    x, time, states = torch.randn(2, 4, 16, 16), torch.rand(2), torch.randn(2, 32, turbo_text.WIDTH)
    said = torch.ones(2, 32, dtype=torch.bool)
    before, after = (turbo_net.forward(one, x, time, states, said) for one in (net, deep))
    assert len(deep.layers) == 5 and 0 < (after - before).std() < 0.1 * before.std()
