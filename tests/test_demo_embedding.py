"""The embedding that ships with the demo model: its name in a prompt means white on black, as seen in the pixels."""

from pathlib import Path

import numpy as np
import pytest

from core import Pipeline
from core.recipe import parse
from training import inversion

MODELS = Path(__file__).parents[1] / "models"


@pytest.mark.parametrize("name", [inversion.NAME, f"embedding:{inversion.NAME}"])
def test_its_name_turns_the_picture_dark(tmp_path: Path, name: str) -> None:
    base = {"stepwise": 1, "model": "demo", "seed": 301, "steps": 20, "cfg": 5.0, "width": 128, "height": 128}
    app = Pipeline(models=MODELS, data=tmp_path)
    made = [app.generate(parse(base | {"prompt": words})).images[0] for words in ("a rabbit", f"a rabbit, {name}")]
    plain, dark = (np.asarray(picture.convert("RGB"), float) for picture in made)
    border = np.r_[dark[:4].reshape(-1, 3), dark[:, :4].reshape(-1, 3)]
    assert border.mean() < 40 < np.abs(plain - dark).mean()
    assert dark.max(-1)[dark.mean(-1) > 128].mean() > 180  # a bright thing on it
