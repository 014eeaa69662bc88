"""The house rules that a machine can check: imports go one way and do nothing, versions agree."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Room -> the rooms of ours that it may import, itself apart (DESIGN section 5).
ARROWS = {
    "core.errors": set(),
    "core.recipe": {"core.errors"},
    "core.sampling": {"core.errors"},
    "core.prompt": {"core.errors"},
    "core.database": {"core.errors"},
    "core.models": {"core.errors", "core.database"},
    "core.families": {"core.errors", "core.models", "core.prompt", "core.sampling"},
    "core.adherence": {"core.errors", "core.models", "core.prompt"},
    "core.loras": {"core.recipe", "core.prompt"},
    "core.note": set(),
    "core.stretches": {"core.errors", "core.families", "core.note", "core.recipe", "core.sampling"},
    "core.plan": {
        "core.errors", "core.recipe", "core.prompt", "core.sampling", "core.families", "core.loras", "core.note", "core.stretches",
    },
    "core.trajectory": {"core.errors", "core.sampling"},
    "core.denoise": {
        "core.errors", "core.recipe", "core.plan", "core.sampling", "core.families", "core.trajectory", "core.loras", "core.models",
    },
    "core.table": {"core.plan", "core.recipe", "core.sampling"},
    "core.kept": {"core.database", "core.recipe", "core.sampling", "core.trajectory"},
    "core.keeping": {
        "core.denoise", "core.families", "core.kept", "core.plan", "core.recipe", "core.sampling", "core.trajectory",
    },
    "core.events": {"core.errors", "core.note", "core.recipe"},
    "core.together": {"core.families", "core.recipe"},
    "core.holding": {"core.events", "core.families", "core.models", "core.recipe", "core.together"},
    "core.fitting": {"core.families", "core.loras", "core.models", "core.note", "core.plan"},
    "core.encoding": {"core.denoise", "core.events", "core.families", "core.models", "core.plan"},
    "core.enriching": {
        "core.events", "core.families", "core.holding", "core.models", "core.note", "core.prompt", "core.recipe",
    },
    "core.inversion": {"core.families", "core.models", "core.note", "core.plan", "core.prompt"},
    "core.ready": {"core.denoise", "core.families", "core.fitting", "core.holding", "core.inversion", "core.plan"},
    "core.images": {"core.errors", "core.recipe", "core.database", "core.families", "core.sampling"},
    "core.lora_library": {"core.errors", "core.database", "core.models", "core.images"},
    "core.pipeline": {
        "core.lora_library", "core.errors", "core.recipe", "core.events", "core.plan", "core.denoise", "core.trajectory", "core.families",
        "core.ready",
        "core.models", "core.images", "core.sampling", "core.tree", "core.holding", "core.encoding", "core.together", "core.loras",
        "core.fitting", "core.inversion", "core.enriching", "core.prompt",
        "core.keeping", "core.kept",
    },
    "core.tree": {"core.denoise", "core.plan", "core.prompt", "core.recipe", "core.trajectory"},
    "core.jobs": {
        "core.errors", "core.recipe", "core.events", "core.pipeline", "core.images", "core.database", "core.note", "core.plan",
        "core.sweep", "core.tree", "core.inside",
    },
    "core.sweep": {"core.errors", "core.recipe"},
    "core.strips": {
        "core.images", "core.families", "core.loras", "core.models", "core.pipeline", "core.plan", "core.recipe", "core.together",
    },
    "core.inside": {
        "core.errors", "core.recipe", "core.prompt", "core.sampling", "core.models", "core.families", "core.plan", "core.denoise",
        "core.images", "core.events", "core.pipeline", "core.ready",
    },
    "core.importing": {
        "core.errors", "core.recipe", "core.note", "core.prompt", "core.sampling", "core.images", "core.models", "core.lora_library",
    },
    "core.onward": {"core.errors", "core.recipe"},
    "core.variety": {"core.onward", "core.recipe"},
    "core.cli": {
        "core.lora_library", "core.sweep", "core.errors", "core.recipe", "core.events", "core.pipeline", "core.images", "core.kept",
        "core.importing", "core.models",
    },
    "core": {"core.pipeline", "core.recipe"},
}  # fmt: skip


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(name: str) -> str:
    return ".".join(name.split(".")[:2])


def imported(path: Path) -> set[str]:
    """All modules that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides its arrow"
            names |= {
                f"{node.module}.{alias.name}" if node.module == "core" else str(node.module) for alias in node.names
            }
    return names


@pytest.mark.parametrize("path", files("core"), ids=module)
def test_arrows_in_core(path: Path) -> None:
    here = room(module(path))
    allowed = ARROWS[here] | {here, "core.errors"}
    public = {"core.Pipeline", "core.Recipe"}
    strays = {name for name in imported(path) if name.split(".")[0] == "core"} - public
    assert {room(name) for name in strays} <= allowed
    assert not {name for name in imported(path) if name.split(".")[0] in ("gradio", "ui", "app")}


@pytest.mark.parametrize("path", files("ui"), ids=module)
def test_ui_imports_core_and_never_app(path: Path) -> None:
    assert not {name for name in imported(path) if name.split(".")[0] == "app"}


def test_core_runs_without_gradio_and_is_quick_to_import() -> None:
    """A fresh interpreter: neither gradio nor the model libraries come in with the door."""
    code = "import core, sys; print([name for name in ('gradio', 'ui', 'diffusers', 'transformers', 'torchsde') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", [*files("core"), *files("ui"), ROOT / "app.py"], ids=module)
def test_nothing_happens_at_import(path: Path) -> None:
    """Top-level statements define; a bare call or loop there would act."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Expr):
            assert isinstance(node.value, ast.Constant), f"line {node.lineno} acts at import"
        elif isinstance(node, ast.If):
            assert "__name__" in ast.unparse(node.test) or "TYPE_CHECKING" in ast.unparse(node.test)
        else:
            assert not isinstance(node, ast.For | ast.While | ast.With | ast.Try), f"line {node.lineno} acts at import"


@pytest.mark.parametrize("path", [*files("core"), *files("ui")], ids=module)
def test_no_globals_and_no_broad_except(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not isinstance(node, ast.Global), f"line {node.lineno}: state is passed in and handed back"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: a bare except hides bugs"


def test_errors_are_raised_with_literal_templates() -> None:
    """A template is what ui/texts translates: it must stand in the source, with user text in its values only."""
    tree = ast.parse((ROOT / "core/errors.py").read_text(encoding="utf-8"))
    kinds = {node.name for node in tree.body if isinstance(node, ast.ClassDef)} - {"UnknownName", "Stopped"}
    for path in files("core"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                call = node.exc
                if isinstance(call.func, ast.Name) and call.func.id in kinds:
                    assert call.args and isinstance(call.args[0], ast.Constant | ast.Name), (
                        f"{path}:{node.lineno} is no literal"
                    )


def test_sdk_version_is_the_gradio_pin() -> None:
    pin = re.search(r"^gradio==(\S+)$", (ROOT / "requirements.txt").read_text(), re.M)
    sdk = re.search(r"^sdk_version: (\S+)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    assert pin and sdk and pin[1] == sdk[1]


def test_requirements_are_pinned_exactly() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = [line.strip() for line in (ROOT / name).read_text().splitlines()]
        assert all(re.fullmatch(r"[\w-]+==[\w.]+|-r requirements.txt|#.*|", line) for line in lines), name
