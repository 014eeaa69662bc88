"""Our own judge: a small CNN that reads object, colour, background, place and size off pictures of the demo models.

It knows renders of one thing on a plain background (`training/judge.py`) and nothing else, so it is asked about nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from core.adherence.measure import Asked, Reading, Silence
from core.adherence.words import Says, named
from core.errors import DamagedFile
from core.models.loader import read_json
from core.models.weights import Weights, build, fill, renamed

FOLDER = "judge"  # below models/
THING = "thing"  # what it must be told to look for
SUMMARY = 128  # numbers that all answers are read off


@dataclass(frozen=True, kw_only=True)
class World:
    """What the judge knows, from its config.json."""

    answers: Mapping[str, tuple[str, ...]]  # attribute -> what it may be, in the order of the weights
    says: Says
    unseen: Mapping[str, Mapping[str, str]]  # attribute -> what else hides it: the place of a big thing
    models: frozenset[str]
    side: int  # pixels of its pictures
    widths: tuple[int, ...]


class Network(nn.Module):
    """Pictures 0..255 at half their side (`halved`) -> one row of logits for each attribute."""

    def __init__(self, answers: Mapping[str, Sequence[str]], widths: Sequence[int], side: int) -> None:
        super().__init__()
        pairs = zip((3, *widths), widths, strict=False)
        self.body = nn.Sequential(*(_block(a, b) for a, b in pairs), nn.Flatten(), nn.Dropout(0.1))
        cells = (side >> (1 + len(widths))) ** 2
        self.summary = nn.Sequential(nn.Linear(widths[-1] * cells, SUMMARY), nn.ReLU())
        self.heads = nn.ModuleDict({name: nn.Linear(SUMMARY, len(known)) for name, known in answers.items()})

    def features(self, small: Tensor) -> Tensor:
        """What the answers are read off, [N, SUMMARY]."""
        return self.summary(self.body(small / 127.5 - 1))

    def forward(self, small: Tensor) -> dict[str, Tensor]:
        read = self.features(small)
        return {name: head(read) for name, head in self.heads.items()}


def halved(pictures: Tensor) -> Tensor:
    """[N, 3, side, side] -> float32 [N, 3, side / 2, side / 2]."""
    return F.avg_pool2d(pictures.float(), 2)


def _block(a: int, b: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())


class Judge:
    """Reads pictures of the models that it knows. Raises ModelError where its files are damaged."""

    name: Literal["judge"] = "judge"

    def __init__(self, folder: Path) -> None:
        self._folder, self.world = folder, read_world(folder)
        self._network: Network | None = None

    @property
    def title(self) -> str:
        return self._folder.name

    def named(self, prompt: str) -> dict[str, str]:
        """What a prompt names of what can be seen; nothing where it names no thing, or several."""
        found = named(prompt, self.world.says)
        if THING not in found:
            return {}
        hidden = {
            name
            for name, by in self.world.unseen.items()
            if any(found.get(other) == said for other, said in by.items())
        }
        return {name: found[name] for name in self.world.answers if name in found and name not in hidden}

    def silence(self, asked: Asked) -> Silence | None:
        if asked.model not in self.world.models:
            return "none"
        if (asked.width, asked.height) != (self.world.side, self.world.side):
            return "size"
        return None if self.named(asked.prompt) else "words"

    def read(self, picture: Image.Image, asked: Asked) -> Reading:
        """The share of what the prompt names that is seen."""
        seen, meant = self.answers(picture), self.named(asked.prompt)
        return Reading(points=100 * sum(seen[name] == said for name, said in meant.items()) / len(meant))

    @torch.inference_mode()
    def answers(self, picture: Image.Image) -> dict[str, str]:
        """What a picture shows: attribute -> one of its answers."""
        self._network = self._network or load(self._folder, self.world)
        pixels = torch.frombuffer(bytearray(picture.convert("RGB").tobytes()), dtype=torch.uint8)
        rows = self._network(halved(pixels.view(1, picture.height, picture.width, 3).permute(0, 3, 1, 2)))
        return {name: self.world.answers[name][int(row.argmax())] for name, row in rows.items()}

    def release(self) -> None:
        """Nothing: it has 2 MB."""


def load(folder: Path, world: World) -> Network:
    """Float32 on the CPU. Raises ModelError."""
    with Weights([folder / "model.safetensors"]) as weights:
        network = build(lambda: Network(world.answers, world.widths, world.side))
        return cast(Network, fill(network, renamed(weights, str), torch.float32, part="judge", file=weights.title))


def read_world(folder: Path) -> World:
    """Raises MissingPart, DamagedFile."""
    config: Any = read_json(folder / "config.json")
    try:
        return World(
            answers={str(name): tuple(map(str, known)) for name, known in config["answers"].items()},
            says={str(name): _texts(said) for name, said in config["says"].items()},
            unseen={str(name): _texts(by) for name, by in config["unseen"].items()},
            models=frozenset(map(str, config["models"])), side=int(config["side"]),
            widths=tuple(map(int, config["widths"])),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedFile("{name} in {folder} cannot be read.", name="config.json", folder=str(folder)) from error


def _texts(pairs: Any) -> dict[str, str]:
    return {str(name): str(said) for name, said in pairs.items()}
