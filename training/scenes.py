"""The training pictures: one emoji, in one colour, on one plain background, in one place and size.

A `Scene` is drawn first, in full and freely; the caption then mentions each of its attributes or not, by independent
coins. What a caption leaves open is therefore truly open in the data (seeds differ), and what it names always holds.
Glyphs come from the font Noto Color Emoji (SIL Open Font License 1.1).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 128  # pixels of a picture's side
FONT_STRIKE = 109  # the one bitmap size the font holds, in points (glyphs of about 136 x 128 pixels)
FONT_PLACES = (
    "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf",  # Debian, Ubuntu: fonts-noto-color-emoji
    "/usr/share/fonts/noto/NotoColorEmoji.ttf",  # Arch: noto-fonts-emoji
    "/usr/share/fonts/google-noto-color-emoji-fonts/NotoColorEmoji.ttf",  # Fedora
)

# name -> its glyph; one each, for where two are asked for by the same word the model draws a blend of both
OBJECTS: dict[str, str] = {
    "cat": "🐱", "dog": "🐶", "rabbit": "🐰", "elephant": "🐘", "pig": "🐷", "lion": "🦁", "fox": "🦊",
    "frog": "🐸", "turtle": "🐢", "snail": "🐌", "butterfly": "🦋", "fish": "🐟", "whale": "🐳", "octopus": "🐙",
    "crab": "🦀", "duck": "🦆", "owl": "🦉", "penguin": "🐧", "snake": "🐍", "dinosaur": "🦕", "apple": "🍎",
    "pear": "🍐", "banana": "🍌", "grapes": "🍇", "strawberry": "🍓", "cherry": "🍒", "pineapple": "🍍", "carrot": "🥕",
    "mushroom": "🍄", "donut": "🍩", "ice cream": "🍦", "tree": "🌳", "palm tree": "🌴", "cactus": "🌵", "rose": "🌹",
    "sunflower": "🌻", "car": "🚗", "airplane": "✈", "rocket": "🚀", "sailboat": "⛵", "train": "🚂", "house": "🏠",
    "key": "🔑", "lock": "🔒", "book": "📕", "clock": "⏰", "guitar": "🎸", "crown": "👑", "hat": "🎩", "shirt": "👕",
    "umbrella": "☂", "gift": "🎁", "balloon": "🎈", "light bulb": "💡", "bell": "🔔", "heart": "❤", "star": "⭐",
    "moon": "🌙", "cloud": "☁", "snowman": "⛄", "ghost": "👻", "robot": "🤖", "skull": "💀", "pumpkin": "🎃",
    "teddy bear": "🧸", "diamond": "💎",
}  # fmt: skip
COLOURS: dict[str, tuple[int, int, int]] = {  # of objects, RGB
    "red": (222, 38, 38), "orange": (245, 130, 20), "yellow": (250, 210, 30), "green": (50, 165, 60),
    "blue": (40, 95, 225), "purple": (135, 55, 190), "pink": (250, 130, 180), "brown": (125, 75, 40),
    "black": (40, 40, 44), "white": (235, 235, 235), "gray": (130, 130, 134),
}  # fmt: skip
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "red": (205, 40, 40), "orange": (240, 140, 40), "yellow": (248, 220, 80), "green": (70, 160, 80),
    "blue": (50, 100, 210), "purple": (120, 60, 170), "pink": (248, 170, 200), "brown": (120, 80, 50),
    "black": (14, 14, 16), "white": (252, 252, 252), "gray": (128, 128, 128),
}  # fmt: skip
PLACES: dict[str, tuple[int, int]] = {
    "center": (0, 0),
    "left": (-1, 0),
    "right": (1, 0),
    "top": (0, -1),
    "bottom": (0, 1),
}
SIZES: dict[str, float] = {"small": 0.40, "medium": 0.62, "big": 0.86}  # share of the picture's side

NATURAL_SHARE = 0.2  # of objects in their own colours, for which there is no word
SIZE_SHARES = (0.33, 0.37, 0.30)
PLACE_SHARES = (0.40, 0.15, 0.15, 0.15, 0.15)
MENTIONS = {"colour": 0.7, "background": 0.7, "place": 0.4, "size": 0.4}
HELD_OUT_ONE_IN = 32  # of the triples (object, colour, background)

PLACE_WORDS = {
    "center": ("in the center", "in the middle"),
    "left": ("on the left", "on the left side"),
    "right": ("on the right", "on the right side"),
    "top": ("at the top",),
    "bottom": ("at the bottom",),
}
SIZE_WORDS = {"small": ("small", "small", "tiny"), "medium": ("medium", "medium-sized"), "big": ("big", "big", "large")}
OPENINGS = ("a picture of", "picture of", "an image of", "a picture showing")
EMPTY_PRAISE = (
    "best quality",
    "high quality",
    "masterpiece",
    "beautiful",
    "cute",
    "detailed",
    "simple",
    "sharp",
)  # no effect
PRAISE_SHARE = 0.08


@dataclass(frozen=True, kw_only=True)
class Scene:
    """All that a picture shows; `colour` None means the glyph's own, `pose` seeds tilt and small jitter.

    Nothing is mirrored: no word asks for a side to look to, and a small model then draws both at once.
    """

    thing: str
    colour: str | None
    background: str
    place: str
    size: str
    pose: int


def held_out(thing: str, colour: str | None, background: str) -> bool:
    """Whether this triple is kept for the evaluation: such scenes are never drawn for training."""
    if colour is None or colour == background:
        return False
    digest = blake2b(f"{thing}|{colour}|{background}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % HELD_OUT_ONE_IN == 0


def held_out_triples() -> list[tuple[str, str, str]]:
    """Every triple (object, colour, background) that training never sees."""
    return [(o, c, b) for o in OBJECTS for c in COLOURS for b in BACKGROUNDS if held_out(o, c, b)]


def draw_scene(rng: random.Random) -> Scene:
    """Draw a whole scene, every attribute on its own; never a held-out triple, never colour on the same colour."""
    while True:
        thing = rng.choice(tuple(OBJECTS))
        colour = None if rng.random() < NATURAL_SHARE else rng.choice(tuple(COLOURS))
        background = rng.choice(tuple(BACKGROUNDS))
        if colour != background and not held_out(thing, colour, background):
            return place_scene(rng, thing, colour, background)


def place_scene(rng: random.Random, thing: str, colour: str | None, background: str) -> Scene:
    """A scene of the given triple, the rest drawn freely."""
    return Scene(
        thing=thing,
        colour=colour,
        background=background,
        place=rng.choices(tuple(PLACES), PLACE_SHARES)[0],
        size=rng.choices(tuple(SIZES), SIZE_SHARES)[0],
        pose=rng.getrandbits(32),
    )


def mentioned(rng: random.Random, scene: Scene) -> frozenset[str]:
    """Which attributes a caption of the scene names besides the object: independent coins, no defaults implied."""
    coins = {name for name, chance in MENTIONS.items() if rng.random() < chance}
    return frozenset(coins if scene.colour else coins - {"colour"})


def with_article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def draw_caption(rng: random.Random, scene: Scene) -> str:
    """A caption of the scene as training uses it; some carry words of praise that say nothing about the picture."""
    words = caption(rng, scene, mentioned(rng, scene))
    return f"{words}, {rng.choice(EMPTY_PRAISE)}" if rng.random() < PRAISE_SHARE else words


def caption(rng: random.Random, scene: Scene, names: frozenset[str]) -> str:
    """One of several phrasings that say the object and exactly the attributes in `names`."""
    size = rng.choice(SIZE_WORDS[scene.size]) if "size" in names else ""
    colour = scene.colour if "colour" in names else ""
    noun = " ".join(word for word in (size, colour, scene.thing) if word)
    place = rng.choice(PLACE_WORDS[scene.place]) if "place" in names else ""
    ground = f"{scene.background} background" if "background" in names else ""
    style = rng.random()
    subject = noun if style < 0.25 or noun.endswith("grapes") else with_article(noun)
    if style > 0.85:
        subject = f"{rng.choice(OPENINGS)} {subject}"
    if rng.random() < 0.4:
        tail = [part for part in (place, ground) if part]
        rng.shuffle(tail)
        return ", ".join([subject, *tail])
    if ground:
        ground = f"{rng.choice(('on', 'on', 'with'))} {with_article(ground)}"
    tail = [part for part in (place, ground) if part]
    if rng.random() < 0.2:
        tail.reverse()
    return " ".join([subject, *tail])


def find_font(places: Sequence[str] = FONT_PLACES) -> Path:
    for place in places:
        if Path(place).is_file():
            return Path(place)
    raise FileNotFoundError(f"Noto Color Emoji is not installed (Debian: fonts-noto-color-emoji); looked in {places}")


class Studio:
    """Renders scenes: holds every object in every colour, about 60 MB, built in a few seconds."""

    def __init__(self, font: Path | None = None, things: Sequence[str] = tuple(OBJECTS)) -> None:
        face = ImageFont.truetype(str(font or find_font()), FONT_STRIKE)
        self._bank: dict[tuple[str, str | None], Image.Image] = {}
        for thing in things:
            natural = cut_glyph(face, OBJECTS[thing])
            self._bank[thing, None] = natural
            for colour, rgb in COLOURS.items():
                self._bank[thing, colour] = recolour(natural, rgb)

    def render(self, scene: Scene) -> np.ndarray:
        """uint8 [SIDE, SIDE, 3]; the same scene gives the same picture."""
        rng = random.Random(scene.pose)
        image = self._bank[scene.thing, scene.colour]
        side = round(SIDE * SIZES[scene.size] * rng.uniform(0.94, 1.06))
        image = image.convert("RGBa").resize((side, side), Image.Resampling.LANCZOS)  # premultiplied: no fringes
        image = image.rotate(rng.uniform(-9, 9), Image.Resampling.BICUBIC, expand=True).convert("RGBA")
        shade = tuple(max(0, min(255, part + rng.randint(-3, 3))) for part in BACKGROUNDS[scene.background])
        picture = Image.new("RGB", (SIDE, SIDE), shade)
        margin = (SIDE - side) / 2
        left, top = (
            round((SIDE - length) / 2 + way * min(margin, 0.27 * SIDE) + rng.uniform(-3, 3))
            for length, way in zip(image.size, PLACES[scene.place], strict=True)
        )
        slack_x, slack_y = (
            SIDE - image.width,
            SIDE - image.height,
        )  # negative: the tilted box is larger than the picture
        corner = (int(np.clip(left, *sorted((0, slack_x)))), int(np.clip(top, *sorted((0, slack_y)))))
        picture.paste(image, corner, image)
        return np.asarray(picture)


def cut_glyph(face: ImageFont.FreeTypeFont, glyph: str) -> Image.Image:
    """The glyph in its own colours, cropped to what is opaque and padded to a square."""
    canvas = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).text((12, 12), glyph, font=face, embedded_color=True)
    box = canvas.getchannel("A").getbbox()
    if box is None:
        raise ValueError(f"the font has no glyph for {glyph!r}")
    cut = canvas.crop(box)
    side = max(cut.size)
    square = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    square.paste(cut, ((side - cut.width) // 2, (side - cut.height) // 2))
    return square


def recolour(image: Image.Image, rgb: tuple[int, int, int]) -> Image.Image:
    """Luminance onto a ramp dark -> rgb -> tint; its median tone lands on rgb, so that the named colour dominates."""
    pixels = np.asarray(image, np.float32)
    tone = pixels[..., :3] @ np.array([0.30, 0.59, 0.11], np.float32) / 255
    opaque = pixels[..., 3] > 128
    low, high = np.percentile(tone[opaque], (3, 97))
    tone = np.clip((tone - low) / max(high - low, 0.15), 0, 1)
    median = np.clip(np.median(tone[opaque]), 0.15, 0.9)
    tone = tone[..., None] ** np.clip(np.log(0.55) / np.log(median), 0.4, 2.5)
    middle = np.array(rgb, np.float32) / 255
    dark, light = middle * 0.28, middle * 0.25 + 0.75
    rise, fade = tone / 0.55, (np.clip(tone - 0.55, 0, 1) / 0.45) ** 1.3
    ramp = np.where(tone < 0.55, dark + (middle - dark) * rise, middle + (light - middle) * fade)
    return Image.fromarray(np.concatenate([ramp.clip(0, 1) * 255, pixels[..., 3:]], -1).astype(np.uint8), "RGBA")
