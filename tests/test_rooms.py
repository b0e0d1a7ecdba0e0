"""The rooms of `pipeline/`: which may import which. The arrows run one way, so that each room can be read by itself."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.imports import imports_of

ROOT = Path(__file__).parent.parent
PIPELINE = ROOT / "pipeline"
BASE = {"cli", "files", "params"}  # how a command starts, and how an output is written: every room may import them
MAY_IMPORT: dict[str, set[str]] = {
    "cli": set(),
    "files": {"cli"},
    "params": {"cli"},
    "corpus": BASE,
    "features": BASE | {"corpus"},
    "metrics": BASE,
    "model": BASE | {"corpus", "features", "metrics"},
    "report": BASE | {"metrics"},
    "tracking": BASE | {"corpus", "metrics", "model"},
    "registry": BASE | {"corpus", "metrics", "report", "tracking"},
    "serving": BASE | {"corpus", "features", "model", "tracking", "registry"},
}
STAGES_AND_COMMANDS = {file.stem for file in PIPELINE.glob("*.py")} - {"__init__", "cli", "files"}


def rooms_imported_by(file: Path) -> Iterator[str]:
    """The rooms that a file imports, wherever in it, except for types alone."""
    for node in imports_of(file):
        if isinstance(node, ast.ImportFrom) and node.module == "pipeline":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline."):
            yield node.module.split(".")[1]  # type: ignore[union-attr]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("pipeline."))


def files_of(room: str) -> list[Path]:
    return sorted((PIPELINE / room).rglob("*.py")) or [PIPELINE / f"{room}.py"]


def test_every_folder_is_a_room() -> None:
    folders = {file.parent.name for file in PIPELINE.glob("*/__init__.py")}

    assert folders == set(MAY_IMPORT) - {"cli", "files"}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_room_imports_only_the_rooms_below_it(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room}

    wrong = {
        f"{file.relative_to(ROOT)} imports {other}"
        for file in files_of(room)
        for other in rooms_imported_by(file)
        if other not in allowed
    }

    assert wrong == set()


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_room_imports_no_stage(room: str) -> None:
    imported = {other for file in files_of(room) for other in rooms_imported_by(file)}

    assert not (imported & STAGES_AND_COMMANDS) - MAY_IMPORT.keys()


def test_early_stages_and_predict_import_neither_tensorflow_nor_mlflow() -> None:
    """Each of these takes seconds to import."""
    code = "import pipeline.source, pipeline.fetch, pipeline.split, pipeline.vectorize, pipeline.predict, sys; "
    code += "print([name for name in ('tensorflow', 'mlflow') if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
