"""Every language says everything, and nothing is said outside ui/texts."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from unicodedata import east_asian_width

import pytest

from core.errors import RecipeError, UnknownName, UserError
from ui import texts

ROOT = Path(__file__).parents[2]
OTHERS = sorted(texts.LANGUAGES.keys() - {"en"})
WORDED = {"label", "placeholder", "info", "value", "title", "label_key", "hint_key", "placeholder_key"}
SCRIPT = {"ja": "[\u3040-\u30ff\u4e00-\u9fff]", "ru": "[\u0400-\u04ff]", "zh": "[\u4e00-\u9fff]"}
ERRORS = {
    "UserError", "RecipeError", "ModelError", "MissingPart", "DamagedFile", "ImageError", "MetadataError",
    "StorageError", "OutOfMemory", "Refused", "Note", "Sentence", "say",
}  # fmt: skip


def calls(folder: str) -> Iterator[tuple[Path, ast.Call, str]]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield path, node, getattr(node.func, "id", getattr(node.func, "attr", ""))


def template_of(call: ast.Call) -> ast.expr | None:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "template"]
    return call.args[0] if call.args else next(iter(named), None)


def strings(path: Path) -> set[str]:
    """All literal texts of a file, those that stand together joined."""
    return {
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def templates() -> dict[str, str]:
    """English sentence -> where it is raised."""
    found: dict[str, str] = {}
    for folder in ("core", "ui"):
        for path, call, name in calls(folder):
            first = template_of(call) if name in ERRORS else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found[first.value] = f"{path.name}:{call.lineno}"
    return found


@pytest.mark.parametrize("language", sorted(texts.LANGUAGES))
def test_every_language_has_every_key(language: str) -> None:
    assert texts.WORDS[language].keys() == texts.WORDS["en"].keys()


@pytest.mark.parametrize("language", sorted(texts.LANGUAGES))
def test_every_language_fills_in_the_same_values(language: str) -> None:
    for key, text in texts.WORDS[language].items():
        assert texts.fields_of(text) == texts.fields_of(texts.WORDS["en"][key]), key


@pytest.mark.parametrize("language", sorted(texts.LANGUAGES))
def test_nothing_is_empty_and_nobody_shouts(language: str) -> None:
    for key, text in texts.WORDS[language].items():
        assert text.strip(), key
        assert not re.search(r"[!！]", text), key


@pytest.mark.parametrize("language", OTHERS)
def test_every_error_of_the_core_is_translated(language: str) -> None:
    said = templates()
    assert len(said) > 60, "the errors are not found any more"
    missing = {sentence: where for sentence, where in said.items() if sentence not in texts.ERRORS[language]}
    assert not missing


@pytest.mark.parametrize("language", OTHERS)
def test_every_language_translates_the_same_errors(language: str) -> None:
    """Also those that are raised by another name, which the search above does not find."""
    assert texts.ERRORS[language].keys() == texts.ERRORS["ja"].keys()


def test_translations_are_of_sentences_that_exist() -> None:
    said = set().union(
        *(
            strings(path)
            for folder in ("core", "ui")
            for path in (ROOT / folder).rglob("*.py")
            if path.parent.name != "texts"
        )
    )
    assert not texts.ERRORS["ja"].keys() - said


@pytest.mark.parametrize("language", OTHERS)
def test_translated_errors_fill_in_the_same_values(language: str) -> None:
    for english, other in texts.ERRORS[language].items():
        assert texts.fields_of(other) <= texts.fields_of(english), english
        assert "{why}" not in english or "{why}" in other, english


def said_otherwise(language: str) -> dict[str, tuple[str, str]]:
    """Words and errors: where, what English says, what this language says."""
    words = {
        key: (text, texts.WORDS[language][key])
        for key, text in texts.WORDS["en"].items()
        if key in texts.WORDS[language]
    }
    return words | {f"error: {english}": (english, other) for english, other in texts.ERRORS[language].items()}


@pytest.mark.parametrize("language", OTHERS)
def test_no_sentence_is_left_in_english(language: str) -> None:
    """Names, paths and the field's own words may stay; what has more than three words of English is a sentence."""
    for where, (english, other) in said_otherwise(language).items():
        if not where.endswith(".path") and len(re.findall(r"[A-Za-z]{2,}", re.sub(r"{[^}]*}", "", english))) > 3:
            assert re.search(SCRIPT[language], other), where
            assert other != english, where


@pytest.mark.parametrize("language", OTHERS)
def test_no_text_outgrows_its_place(language: str) -> None:
    """Buttons and hints have room for half as much again as English, and two words more; ideographs are twice as wide."""
    for where, (english, other) in said_otherwise(language).items():
        assert width(other) <= 1.5 * width(english) + 18, f"{where}: {other}"


def width(text: str) -> int:
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in re.sub(r"{[^}]*}", "0000", text))


@pytest.mark.parametrize("language", ["zh"])
def test_chinese_has_one_way_to_write(language: str) -> None:
    """Full-width marks beside ideographs; between them and Latin letters, figures or values stands a space."""
    for where, (_, other) in said_otherwise(language).items():
        text = re.sub(r"{[^}]*}", "0", other)
        assert not re.search(r"[\u4e00-\u9fff](?:[,;?!(]|:(?!\S))|[)][\u4e00-\u9fff]", text), f"{where}: {other}"
        assert not re.search(r"[\u4e00-\u9fff][A-Za-z0-9]|[A-Za-z0-9][\u4e00-\u9fff]", text), f"{where}: {other}"
        assert not re.search(r"[，。：；？、“”（）] | [，。：；？、”）]", text), f"{where}: {other}"


def test_errors_are_raised_with_a_plain_sentence() -> None:
    """An f-string cannot be translated, and breaks where a user's text holds a brace."""
    built = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for folder in ("core", "ui")
        for path, call, name in calls(folder)
        if name in ERRORS and isinstance(template_of(call), ast.JoinedStr | ast.BinOp)
    ]
    assert not built


def test_an_error_speaks_the_readers_language() -> None:
    error = RecipeError("{field} must be at least {bound}, not {value}.", field="steps", bound=1, value="0")
    assert texts.of("ja").error(error) == "steps は 1 以上にしてください（現在：0）。"
    assert texts.of("ru").error(error) == "steps: нужно не меньше 1, а не 0."
    assert texts.of("zh").error(error) == "steps 不能小于 1（现在是 0）。"
    assert texts.of("en").error(error) == str(error)
    assert "サンプラー" in texts.of("ja").error(UnknownName("sampler", "x", ["euler"]))


def test_users_braces_do_no_harm() -> None:
    error = UserError("{name} is missing: put it into {folder}.", name="{0.__class__}", folder="{x}")
    assert texts.of("ja").error(error) == "{0.__class__} がありません。{x} に置いてください。"


def test_no_words_outside_texts() -> None:
    """Labels, hints, placeholders and values of Gradio's components come from ui/texts; keys of widgets exist there."""
    loose: list[str] = []
    for path, call, name in calls("ui"):
        if path.parent.name == "texts" or not name[:1].isupper():
            continue
        for keyword in call.keywords:
            literal = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
            if keyword.arg in WORDED and isinstance(literal, str) and literal and literal not in texts.WORDS["en"]:
                loose.append(f"{path.name}:{call.lineno} {keyword.arg}={literal!r}")
        if name in {"Button", "Markdown", "Tab", "Accordion"} and call.args and isinstance(call.args[0], ast.Constant):
            loose.append(f"{path.name}:{call.lineno} {name}({call.args[0].value!r})")
    assert not loose


def test_scripts_use_only_keys_that_exist() -> None:
    words = texts.for_browser(__import__("ui.web", fromlist=["SCRIPT_TEXTS"]).SCRIPT_TEXTS)["en"]
    for script in [*(ROOT / "ui/components").glob("*.js"), ROOT / "ui/static/stepwise.js"]:
        for key in re.findall(r"""\bt\(\s*["']([\w.]+)["']""", script.read_text(encoding="utf-8")):
            assert key in words, f"{script.name}: {key}"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("ja", "ja"),
        ("ja-JP,ja;q=0.9,en;q=0.8", "ja"),
        ("en;q=0.5,ja;q=0.9", "ja"),
        ("de, fr", "en"),
        ("", "en"),
        ("ja;q=x,en", "en"),
        ("ru-RU,ru;q=0.9,en-US;q=0.8", "ru"),
        ("zh-CN,zh;q=0.9", "zh"),
        ("zh-Hans", "zh"),
        ("zh-Hant-HK", "zh"),
        ("zh-TW,en;q=0.5", "zh"),
        ("zh", "zh"),
    ],
)
def test_the_browsers_language(header: str, language: str) -> None:
    assert texts.preferred(header) == language
