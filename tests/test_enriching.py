"""Prompts in more words, by the text encoder in memory: the tokens of transformers' own Qwen3ForCausalLM, on every level of memory."""

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import app
from core import Pipeline, Recipe
from core.errors import ModelError, Stopped
from core.events import Writing, Written
from core.families.writing import why_not
from core.images.gallery import Gallery
from core.jobs import Jobs, JobView, PipelineWorker, Work
from core.models.library import Library
from core.models.memory import Memory
from core.models.residency import LEVELS
from core.prompt.answer import ENDS, Answer, Drawing, asked, chosen
from core.prompt.enrich import brief, shown
from tests import tiny_models
from tests.chat_server import Handler, all_words, serving

PROMPT = 'a neon sign that reads "OPEN 24H", rain'
MOST = 48  # tokens that are compared


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    tiny_models.z_image(root / "tiny", writes=True)
    return root


@pytest.fixture(scope="module")
def reference(folder: Path) -> Any:
    from transformers import Qwen3ForCausalLM

    return Qwen3ForCausalLM.from_pretrained(folder / "tiny" / "text_encoder", dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def words(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder / "tiny" / "tokenizer")


def recipe(prompt: str = PROMPT, model: str = "tiny") -> Recipe:
    return Recipe(stepwise=1, model=model, prompt=prompt)


def pipeline(folder: Path, tmp_path: Path, **options: Any) -> Pipeline:
    return Pipeline(models=folder, data=tmp_path / "data", device="cpu", **options)


def written(pipe: Pipeline, wording: int = 1, most: int = MOST, **changes: Any) -> str:
    """What stands there after so many tokens."""
    for event in pipe.enrich(recipe(**changes), wording):
        if isinstance(event, Writing) and event.tokens == most:
            return event.text
    raise AssertionError("it ended before")


def by_transformers(reference: Any, words: Any, text: str = PROMPT, most: int = MOST) -> list[int]:
    """Greedy, from the chat as the tokenizer's own template puts it, with thinking off."""
    turns = [{"role": "system", "content": brief(text).instruction}, {"role": "user", "content": text}]
    chat = words.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    ids = words(chat, return_tensors="pt", add_special_tokens=False)["input_ids"]
    ends = words.convert_tokens_to_ids(list(ENDS))
    out = reference.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=most, eos_token_id=ends
    )
    return [token for token in out[0, ids.shape[1] :].tolist() if token not in ends]


def ours(pipe: Pipeline, text: str = PROMPT, most: int = MOST) -> list[int]:
    list(zip(pipe.enrich(recipe(text)), range(3), strict=False))  # the model comes into memory
    model: Any = pipe._main
    encoder = model.encoders[0]
    answer = Answer(encoder.model, encoder.tokenizer, asked(encoder.tokenizer, brief(text).instruction, text))
    ends = answer.ends()
    while len(answer.written) < most and (token := int(answer.logits().argmax())) not in ends:
        answer.written.append(token)
    return answer.written


@pytest.mark.parametrize("text", [PROMPT, "赤いりんご", "a"])
def test_tokens_are_those_of_transformers(folder: Path, tmp_path: Path, reference: Any, words: Any, text: str) -> None:
    wanted = by_transformers(reference, words, text)
    assert ours(pipeline(folder, tmp_path), text) == wanted
    assert len(wanted) > 8 and len(set(wanted)) > 3


def test_they_are_with_a_file_in_pieces(folder: Path, tmp_path: Path, reference: Any, words: Any) -> None:
    shutil.copytree(folder / "tiny", tmp_path / "models" / "tiny")
    encoder = tmp_path / "models" / "tiny" / "text_encoder"
    (encoder / "model.safetensors").unlink()
    reference.save_pretrained(encoder, max_shard_size="20KB")
    assert len(list(encoder.glob("*.safetensors"))) > 1
    assert ours(pipeline(tmp_path / "models", tmp_path)) == by_transformers(reference, words)


def test_every_level_of_memory_writes_the_same_and_leaves_nothing_behind(
    folder: Path, tmp_path: Path, reference: Any, words: Any
) -> None:
    wanted = shown(words.decode(by_transformers(reference, words, most=24), skip_special_tokens=True).rstrip("\ufffd"))
    for level in LEVELS:
        pipe = pipeline(folder, tmp_path, memory=level)
        assert written(pipe, most=24) == wanted, level
        model: Any = pipe._main
        assert model.residency.level == level
        assert (model.memory.nbytes > 0) is (level == "resident")


def test_memory_that_runs_out_costs_no_token(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of a forward pass: what was remembered is half filled then, and is made again."""
    wanted = written(pipeline(folder, tmp_path))
    pipe = pipeline(folder, tmp_path)
    model: Any = None
    lowered: list[str] = []
    monkeypatch.setattr(Memory, "lower", lambda self, name: lowered.append(name) or True)
    for event in pipe.enrich(recipe()):
        if isinstance(event, Writing) and event.tokens == 5:
            model = pipe._main
            fail_once(model.encoders[0].model.layers[1].mlp)
        if isinstance(event, Writing) and event.tokens == MOST:
            assert event.text == wanted and lowered == ["text_encoder"]
            return
    raise AssertionError


def fail_once(layer: Any) -> None:
    def fail(*_: object) -> None:
        hook.remove()
        raise torch.OutOfMemoryError

    hook = layer.register_forward_pre_hook(fail)


def test_a_wording_of_its_own_is_the_same_again(folder: Path, tmp_path: Path) -> None:
    pipe = pipeline(folder, tmp_path)
    first, second, third = (written(pipe, wording, most=12) for wording in (1, 2, 3))
    assert len({first, second, third}) == 3
    assert written(pipe, 2, most=12) == second


@pytest.mark.parametrize("top_p", [0.3, 0.8, 1.0])
def test_drawn_tokens_are_among_the_likely_ones(top_p: float) -> None:
    """The set of transformers' own TopPLogitsWarper."""
    from transformers import TopPLogitsWarper

    logits, dice = torch.randn(50, generator=torch.Generator().manual_seed(1)) * 3, torch.Generator().manual_seed(2)
    kept = TopPLogitsWarper(top_p)(torch.zeros(1, 1, dtype=torch.long), logits[None] / 0.7)[0].isfinite()
    drawing = Drawing(temperature=0.7, top_p=top_p)
    drawn = {chosen(logits, drawing, dice) for _ in range(3000)}
    assert all(kept[token] for token in drawn)
    likely: Tensor = (logits / 0.7).softmax(0)
    assert {k for k in range(50) if kept[k] and likely[k] > 0.01} <= drawn


def test_stopped_it_is_what_there_was(folder: Path, tmp_path: Path) -> None:
    """Within one token; and the quotes of the prompt stand in it."""
    pipe, wish = pipeline(folder, tmp_path), list[str]()
    seen: list[Any] = []
    with pytest.raises(Stopped):
        for event in pipe.enrich(recipe(), stop=lambda: "now" if wish else None):
            seen.append(event)
            if isinstance(event, Writing) and event.tokens == 7:
                wish.append("now")
    *_, last, made = seen
    assert isinstance(last, Writing) and last.tokens == 7
    assert isinstance(made, Written) and '"OPEN 24H"' in made.text


def test_a_picture_after_it_is_the_same_as_before(folder: Path, tmp_path: Path) -> None:
    wanted = Recipe(stepwise=1, model="tiny", prompt="a red apple", seed=3, steps=2, width=32, height=32)
    before, pipe = pipeline(folder, tmp_path).generate(wanted), pipeline(folder, tmp_path, memory="swap")
    written(pipe, most=3)
    assert torch.equal(pipe.generate(wanted).latents, before.latents)


# ------------------------------------------------------------------ which models can


def test_the_demo_models_cannot(models: Path, tmp_path: Path) -> None:
    library = Library(models)
    assert why_not(library.model("demo")) == "encoder" and why_not(library.model("demo-turbo")) == "untaught"
    pipe = pipeline(models, tmp_path)
    for name, sentence in (("demo", "read and cannot write"), ("demo-turbo", "never to write")):
        with pytest.raises(ModelError, match=sentence):
            list(pipe.enrich(recipe(model=name)))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"architectures": ["Qwen3Model"]}, "untaught"),
        ({"architectures": ["Qwen3Model"], "vocab_size": 151_936}, ""),  # saved again, as an encoder
        ({"tie_word_embeddings": False}, "untied"),
    ],
)
def test_a_configuration_tells(folder: Path, tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    shutil.copytree(folder / "tiny", tmp_path / "tiny")
    config = tmp_path / "tiny" / "text_encoder" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changes))
    assert why_not(Library(tmp_path).model("tiny")) == why


# ------------------------------------------------------------------ a server


def test_a_server_writes_for_every_model_and_none_is_loaded(models: Path, tmp_path: Path) -> None:
    with serving(all_words) as (house, server):
        pipe = pipeline(models, tmp_path, writer=server)
        assert pipe.enricher.why_not("demo") == "" and pipe.enricher.why_not("demo-turbo") == ""
        events = list(pipe.enrich(recipe("a <lora:pixel-art:0.8> red apple", model="demo")))
    assert [event.text for event in events if isinstance(event, Writing)] == ["A", "A 赤い", "A 赤い apple"]
    assert isinstance(events[-1], Written) and events[-1].text == "A 赤い apple <lora:pixel-art:0.8>"
    assert pipe.residency is None
    assert house.asked[0][2]["messages"][1]["content"] == "a red apple"


def test_a_silent_server_is_stopped_as_a_job(models: Path, tmp_path: Path) -> None:
    told = threading.Event()

    def silent(handler: Handler) -> None:
        handler.head()
        handler.piece("A red")
        told.wait(20)

    with serving(silent) as (_, server):
        worker = PipelineWorker(pipeline(models, tmp_path, writer=server))
        jobs = Jobs(worker, Gallery(tmp_path / "outputs"), tmp_path / "jobs.sqlite")
        id = jobs.file(Work(recipe=recipe("a red apple", model="demo"), wording=1, name="enrich"), "me")
        last = followed(jobs, id, lambda view: jobs.cancel(id, "me") if view.text else None)[-1]
        assert (last.state, last.text) == ("stopped", "A red")
        told.set()
        jobs.close()


def test_a_server_that_is_not_there_is_a_sentence_of_the_job(models: Path, tmp_path: Path) -> None:
    with serving(all_words) as (_, server):
        pass
    worker = PipelineWorker(pipeline(models, tmp_path, writer=server))
    jobs = Jobs(worker, Gallery(tmp_path / "outputs"), tmp_path / "jobs.sqlite")
    last = followed(jobs, jobs.file(Work(recipe=recipe("an apple", model="demo"), wording=1), "me"))[-1]
    assert last.state == "failed" and last.error is not None and "Nobody answers" in str(last.error)
    jobs.close()


def test_the_owner_names_it_at_the_start(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("STEPWISE_ENRICH_KEY", "secret")
    given = app.parser().parse_args(["--enrich-url", "http://127.0.0.1:11434/v1", "--enrich-model", "qwen3:4b"])
    server = app.writer_of(given)
    assert server is not None and (server.model, server.key) == ("qwen3:4b", "secret")
    assert app.writer_of(app.parser().parse_args([])) is None
    with pytest.raises(SystemExit):
        app.main(["--enrich-model", "qwen3:4b"])
    assert "belong together" in capsys.readouterr().err


# ------------------------------------------------------------------ as a job


@pytest.fixture
def jobs(folder: Path, tmp_path: Path) -> Iterator[Jobs]:
    made = Jobs(PipelineWorker(pipeline(folder, tmp_path)), Gallery(tmp_path / "outputs"), tmp_path / "jobs.sqlite")
    yield made
    made.close()


def followed(jobs: Jobs, id: str, act: Any = None) -> list[JobView]:
    seen = [jobs.get(id)]
    while not seen[-1].finished:
        seen.append(jobs.watch(id, seen[-1].version, 30))
        if act is not None:
            act(seen[-1])
    return seen


def test_it_waits_its_turn_and_tells_how_far_it_is(jobs: Jobs, tmp_path: Path) -> None:
    picture = Recipe(stepwise=1, model="tiny", prompt="a red apple", seed=3, steps=3, width=32, height=32)
    first = jobs.submit(picture, "me")
    id = jobs.file(Work(recipe=recipe(), wording=1, name="enrich"), "me")
    seen = followed(jobs, id)
    assert jobs.get(first).state == "done" and seen[-1].state == "done" and not seen[-1].items
    tokens = [view.tokens for view in seen if view.phase == "writing"]
    assert tokens == sorted(tokens) and tokens[-1] > 10
    assert '"OPEN 24H"' in seen[-1].text and seen[-1].notes
    assert len(list((tmp_path / "outputs").rglob("*.png"))) == 1


def test_a_job_that_writes_is_stopped_and_keeps_its_words(jobs: Jobs) -> None:
    done = threading.Event()

    def stop(view: JobView) -> None:
        if view.tokens >= 2 and not done.is_set():
            done.set()
            jobs.cancel(view.id, "me")

    id = jobs.file(Work(recipe=recipe(), wording=1, name="enrich"), "me")
    last = followed(jobs, id, stop)[-1]
    assert last.state in {"stopped", "done"} and last.text


def test_it_comes_back_after_a_restart(folder: Path, tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "outputs")
    first = Jobs(PipelineWorker(pipeline(folder, tmp_path)), gallery, tmp_path / "jobs.sqlite")
    id = first.file(Work(recipe=recipe(), wording=2, name="enrich"), "me")
    first.close()
    second = Jobs(PipelineWorker(pipeline(folder, tmp_path)), gallery, tmp_path / "jobs.sqlite")
    try:
        assert second.get(id).work.wording == 2
        assert followed(second, id)[-1].state == "done"
    finally:
        second.close()
