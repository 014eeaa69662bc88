"""The demo model's training: what a caption says holds, what is held out is never drawn, and the parts fit together."""

import random
from collections import Counter
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import CLIPTokenizer

from training import judge, lcm, lora, scenes, text, tokenizer, unet, vae
from training.engine import Masters, Schedule
from training.evaluate import held_out_captions
from training.groupnorm import FastNorm
from training.scenes import BACKGROUNDS, COLOURS, MENTIONS, OBJECTS, PLACES, SIDE, SIZES, Scene, Studio

SCENE = Scene(thing="cat", colour="blue", background="pink", place="left", size="small", pose=7)
ALL_NAMES = [frozenset(names) for count in range(5) for names in combinations(MENTIONS, count)]


@pytest.fixture(scope="module")
def studio() -> Studio:
    """Needs the font (Debian: fonts-noto-color-emoji); a few glyphs are enough here."""
    return Studio(things=("cat", "apple", "star", "robot"))


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    return tokenizer.build(tmp_path_factory.mktemp("tokenizer"))


def words_of(sentence: str) -> set[str]:
    return set(sentence.replace(",", " ").replace("-", " ").split())


@pytest.mark.parametrize("names", ALL_NAMES, ids=lambda names: "+".join(sorted(names)) or "nothing")
def test_a_caption_says_what_it_is_told_to_and_nothing_else(names: frozenset[str]) -> None:
    marks = {"colour": {"blue"}, "background": {"pink", "background"}, "place": {"left"}, "size": {"small", "tiny"}}
    others = (set(COLOURS) | set(BACKGROUNDS) | set(PLACES) | set(SIZES) | {"large"}) - {
        "blue",
        "pink",
        "left",
        "small",
    }
    for seed in range(60):
        said = words_of(scenes.caption(random.Random(seed), SCENE, names))
        assert "cat" in said and not said & others
        assert all(bool(said & marks[name]) == (name in names) for name in marks)


def test_held_out_triples_are_never_drawn_for_training() -> None:
    held = set(scenes.held_out_triples())
    rng = random.Random(0)
    drawn = [scenes.draw_scene(rng) for _ in range(30_000)]
    assert 150 < len(held) < 300
    assert not held & {(scene.thing, scene.colour, scene.background) for scene in drawn}
    assert all(scene.colour != scene.background for scene in drawn)


def test_what_a_caption_leaves_open_is_drawn_freely() -> None:
    rng = random.Random(1)
    rabbits = [scene for scene in (scenes.draw_scene(rng) for _ in range(40_000)) if scene.thing == "rabbit"]
    for name, count in (("colour", 12), ("background", 11), ("place", 5), ("size", 3)):
        shares = Counter(getattr(scene, name) for scene in rabbits)
        assert len(shares) == count and min(shares.values()) > 0.03 * len(rabbits)


def test_the_evaluation_asks_for_held_out_triples_only() -> None:
    drawn, captions = held_out_captions(200)
    triples = [(scene.thing, scene.colour, scene.background) for scene in drawn]
    assert len(set(triples)) == len(triples) == 200 and set(triples) <= set(scenes.held_out_triples())
    for (thing, colour, background), words in zip(triples, captions, strict=True):
        assert f"{colour} {thing}" in words and f"{background} background" in words


def test_a_scene_always_gives_the_same_picture(studio: Studio) -> None:
    again = Studio(things=("cat",)).render(SCENE)
    assert np.array_equal(studio.render(SCENE), again) and again.shape == (SIDE, SIDE, 3)
    assert not np.array_equal(again, studio.render(Scene(**vars(SCENE) | {"pose": 8})))


@pytest.mark.parametrize(("place", "size"), product(PLACES, SIZES))
def test_things_stand_where_and_as_large_as_the_scene_says(studio: Studio, place: str, size: str) -> None:
    centres, lengths = [], []
    for pose in range(12):
        picture = studio.render(Scene(**vars(SCENE) | {"thing": "apple", "place": place, "size": size, "pose": pose}))
        rows, columns = np.nonzero(np.abs(picture.astype(int) - picture[0, 0]).max(-1) > 40)
        centres.append((columns.mean() - SIDE / 2, rows.mean() - SIDE / 2))
        lengths.append((rows.max() - rows.min()) / SIDE)
    way = np.sign(np.round(np.mean(centres, 0) / 8)) if size != "big" else np.array(PLACES[place])
    assert tuple(way) == PLACES[place]
    assert np.mean(lengths) == pytest.approx(SIZES[size], abs=0.1)


def test_every_word_of_the_vocabulary_is_one_token(tokens: CLIPTokenizer) -> None:
    spoken = " ".join([*OBJECTS, *COLOURS, *BACKGROUNDS, *PLACES, *SIZES, tokenizer.OTHER_WORDS]).split()
    split = {word: tokens.tokenize(word) for word in spoken}
    assert {word for word, parts in split.items() if len(parts) != 1} == set()
    assert tokens("a zebra, naïve 🦓").input_ids.count(tokens.unk_token_id) <= 1  # bytes: nothing is unknown
    ids = tokens("", padding="max_length").input_ids
    assert len(ids) == 77 and ids[0] == tokens.bos_token_id and set(ids[1:]) == {tokens.eos_token_id}


def test_labels_tell_said_from_unsaid() -> None:
    sizes = [len(answers) for answers in text.ANSWERS.values()]
    assert text.labels(SCENE, frozenset())[1:] == sizes[1:]
    assert text.labels(SCENE, frozenset({"colour", "size"})) == [0, 4, sizes[2], sizes[3], 0]


@pytest.mark.parametrize("silu", [False, True])
def test_the_fast_norm_agrees_with_torch(silu: bool) -> None:
    torch.manual_seed(0)
    norm = nn.GroupNorm(8, 32)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(4, 32, 6, 6).bfloat16().float().requires_grad_()
    slope = torch.randn_like(x).bfloat16().float()
    expected = nn.functional.silu(norm(x)) if silu else norm(x)
    wanted = torch.autograd.grad(expected, (x, norm.weight, norm.bias), slope)
    made = FastNorm(norm, silu)(x)
    found = torch.autograd.grad(made, (x, norm.weight, norm.bias), slope.bfloat16())
    torch.testing.assert_close(made.float(), expected, atol=0.05, rtol=0.01)  # bfloat16 has 8 bits
    for got, want in zip(found, wanted, strict=True):
        torch.testing.assert_close(got.float(), want, atol=0.1, rtol=0.02)


def test_standardising_the_vae_moves_the_scale_into_its_convolutions() -> None:
    torch.manual_seed(0)
    model = vae.build()
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1

    def latents_and_first() -> tuple[torch.Tensor, torch.Tensor]:
        latents = model.encode(pictures).latent_dist.mode()
        return latents, model.decoder.conv_in(latents)

    with torch.no_grad():
        model.encoder.conv_out.bias.normal_()
        _, before = latents_and_first()
        vae.standardise(model, pictures)
        latents, after = latents_and_first()
    assert (latents * vae.SCALING).mean((0, 2, 3)).abs().max() < 1e-3
    torch.testing.assert_close((latents * vae.SCALING).std((0, 2, 3)), torch.ones(4), atol=1e-3, rtol=0)
    inside = (..., slice(1, -1), slice(1, -1))  # zero padding shifts the border: the decoder's training mends that
    torch.testing.assert_close(after[inside], before[inside], atol=1e-4, rtol=0)


def test_loss_weights_are_v_predictions_up_to_snr_5() -> None:
    shares = unet.signal_shares()
    weights, snr = unet.loss_weights(shares), shares / (1 - shares)
    middle = (snr < 5) & (weights < unet.HEAVIEST)
    torch.testing.assert_close(weights[middle], (1 + 1 / snr)[middle])
    assert weights.max() == unet.HEAVIEST and unet.draw_steps(64).unique().numel() == 64


def test_masters_learn_and_resume() -> None:
    torch.manual_seed(0)
    x = torch.randn(256, 4)
    y = x @ torch.tensor([1.0, -2.0, 0.5, 3.0])
    model = nn.Linear(4, 1)
    masters = Masters(model, decay=0.0, smooth=0.5)
    schedule = Schedule(seconds=1, rate=0.05, warm_up=1)
    for step in range(300):
        ((model(x.bfloat16()).float().squeeze(1) - y) ** 2).mean().backward()
        done = masters.update(schedule, step / 300)
    twin, other = nn.Linear(4, 1), nn.Linear(4, 1)
    masters.smoothed(twin)
    torch.testing.assert_close(twin.weight[0], torch.tensor([1.0, -2.0, 0.5, 3.0]), atol=0.05, rtol=0)
    resumed = Masters(other)
    resumed.restore(masters.state())
    assert done == pytest.approx(299 / 300) and resumed.step == 300 and torch.equal(other.weight, model.weight)


def test_the_judge_learns_from_renders(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few seconds on four objects: far above chance on new renders, at chance on shuffled answers."""
    monkeypatch.setattr(judge, "draw_scene", small_scene)
    torch.set_num_threads(1)  # on a busy machine two threads wait for each other longer than they work
    seen = judge.train(studio, pool=500, steps=140)
    rng = random.Random(99)
    fresh = [small_scene(rng) for _ in range(200)]
    pictures = judge.as_batch([studio.render(scene) for scene in fresh])
    right = judge.score(seen, pictures, fresh)
    wrong = judge.score(seen, pictures, rng.sample(fresh, len(fresh)))
    assert right["thing"] > 0.6 and right["background"] > 0.6, right  # chance: 0.25 and 0.09
    assert wrong["thing"] < 0.45 and wrong["background"] < 0.25, wrong


def small_scene(rng: random.Random) -> Scene:
    drawn = scenes.place_scene(rng, rng.choice(("cat", "apple", "star", "robot")), rng.choice(tuple(COLOURS)), "white")
    return Scene(**vars(drawn) | {"background": rng.choice(tuple(BACKGROUNDS))})


def test_the_shipped_model_is_small_and_names_no_machine() -> None:
    folder = Path(__file__).parents[1] / "models" / "demo"
    files = {file: file.stat().st_size for file in folder.rglob("*") if file.is_file()}
    assert files and max(files.values()) < 10 * 2**20 and sum(files.values()) < 30 * 2**20
    assert not [file for file in files if file.suffix in (".json", ".md") and "/work/" in file.read_text()]


DEMO = Path(__file__).parents[1] / "models" / "demo"


@pytest.fixture(scope="module")
def ways() -> tuple[lcm.Teacher, lcm.Ways]:
    """Two ways of the demo model, from noise in eleven steps."""
    torch.set_num_threads(1)
    teacher, sigmas = lcm.Teacher(DEMO), lcm.levels(random.Random(2), 0)[::2]
    noise = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(5))
    start = lcm.NOISY.noise_scaling(sigmas[0], noise, torch.zeros_like(noise))
    return teacher, teacher.walk(start, sigmas, ["a big red rabbit on a blue background", "a yellow star"])


def test_levels_of_ways_go_down_from_all_noise_and_differ() -> None:
    ladders = [lcm.levels(random.Random(seed), 0) for seed in range(20)]
    for sigmas in ladders:
        assert sigmas[0] == pytest.approx(lcm.NOISY.sigma_max) and sigmas == sorted(sigmas, reverse=True)
        assert len(sigmas) == lcm.STEPS + 1 and len(set(sigmas)) == len(sigmas)
    assert len({sigma for sigmas in ladders for sigma in sigmas[1:]}) > 10 * lcm.STEPS
    assert lcm.levels(random.Random(3), 4) == lcm.levels(random.Random(3), 0)[4:]


def test_from_any_point_of_a_way_the_teacher_comes_to_its_end(ways: tuple[lcm.Teacher, lcm.Ways]) -> None:
    teacher, whole = ways
    sigma = whole.sigmas[4]
    x = whole.points[:, 4].float() * (1 + sigma**2).sqrt()
    rest = teacher.walk(x, whole.sigmas[4:].tolist(), ["a big red rabbit on a blue background", "a yellow star"])
    torch.testing.assert_close(rest.ends.float(), whole.ends.float(), atol=0.15, rtol=0)  # points are kept as float16
    assert whole.ends.float().std() > 0.5 and not torch.equal(whole.ends[0], whole.ends[1])


def test_a_consistency_model_leaves_a_finished_picture_as_it_is(ways: tuple[lcm.Teacher, lcm.Ways]) -> None:
    teacher, whole = ways
    least = torch.full((2,), lcm.NOISY.sigma_min)
    said = lcm.said_end(teacher.unet, whole.ends.float() / (1 + least[0] ** 2).sqrt(), least, whole.context)
    assert lcm.distance(said, whole.ends.float()) < 0.02


def test_the_student_begins_as_the_model_without_guidance_and_learns(ways: tuple[lcm.Teacher, lcm.Ways]) -> None:
    teacher, whole = ways
    student = lcm.read_unet(DEMO)
    changes = lora.low_rank(student, lcm.PARTS, 4)
    student.to(memory_format=torch.channels_last)
    weights = [p for change in changes.values() for p in change.parameters()]
    torch.manual_seed(0)
    points, sigmas, ends, context = whole.draw(16)
    first = lcm.said_end(student, points, sigmas, context)
    with torch.no_grad():
        torch.testing.assert_close(first, lcm.said_end(teacher.unet, points, sigmas, context), atol=0.2, rtol=0.02)
    optimizer, before = torch.optim.AdamW(weights, lr=2e-3), lcm.distance(first, ends).item()
    for _ in range(6):
        loss = lcm.distance(lcm.said_end(student, points, sigmas, context), ends)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.9 * before
    twin = [torch.zeros_like(p).requires_grad_() for p in weights]
    again = torch.optim.AdamW(twin, lr=0.0)
    lcm.restore(twin, again, lcm.kept_state(weights, optimizer, 6, 1.5))
    assert all(torch.equal(a, b) for a, b in zip(weights, twin, strict=True))
    assert len(again.state_dict()["state"]) == len(optimizer.state_dict()["state"]) > 0


def test_noisy_points_are_drawn_oftener(ways: tuple[lcm.Teacher, lcm.Ways]) -> None:
    torch.manual_seed(0)
    points, sigmas, ends, context = ways[1].draw(4000)
    assert points.shape == ends.shape == (4000, 4, 16, 16) and context.shape[0] == 4000
    middle = ways[1].sigmas.median()
    assert (sigmas > middle).sum() > 1.5 * (sigmas < middle).sum()
