"""The judge as the app reads it (`core/adherence/judge.py`): float16 weights, and in words what it knows.

python -m training.judge_export        trains it if it is not there, then writes models/judge
"""

import json
from pathlib import Path

from safetensors.torch import save_file

from training import judge as judging
from training.export import check_sizes
from training.scenes import BACKGROUNDS, COLOURS, OBJECTS, PLACE_WORDS, SIDE, SIZE_WORDS
from training.text import ANSWERS

TARGET = Path(__file__).parents[1] / "models" / "judge"
MODELS = ("demo", "demo-turbo")  # whose pictures it has been tried on
SPELLINGS = {"gray": ("grey",), "center": ("in the centre",)}  # beside those of the captions


def says() -> dict[str, dict[str, str]]:
    """Attribute -> phrase -> what it says, in the order of looking: a background's colour is not the object's."""
    colours = {word: colour for colour in COLOURS for word in (colour, *SPELLINGS.get(colour, ()))}
    return {
        "background": {f"{word} background": colour for word, colour in colours.items() if colour in BACKGROUNDS},
        "thing": {thing: thing for thing in OBJECTS},
        "place": {
            words: place for place, known in PLACE_WORDS.items() for words in (*known, *SPELLINGS.get(place, ()))
        },
        "size": {word.replace("-", " "): size for size, words in SIZE_WORDS.items() for word in words},
        "colour": colours,
    }


def run(target: Path = TARGET) -> Path:
    """README.md in `target` stays."""
    judge = judging.run()
    target.mkdir(parents=True, exist_ok=True)
    weights = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in judge.state_dict().items()
    }
    save_file(weights, target / "model.safetensors", {"format": "pt"})
    config = {
        "answers": ANSWERS, "says": says(), "unseen": {"place": {"size": "big"}}, "models": MODELS, "side": SIDE,
        "widths": judging.WIDTHS,
    }  # fmt: skip
    (target / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    check_sizes(target)
    return target


if __name__ == "__main__":
    print(run())
