"""dvc.yaml: a stage depends on the code that makes its outputs and nothing else; what DVC tracks, git ignores."""

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.params import Params
from tests.imports import imports_of

ROOT = Path(__file__).parent.parent
STAGES: dict[str, dict] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
# Code that makes no output: it starts a stage, checks params.yaml (whose values DVC tracks), or logs to MLflow.
START = {ROOT / "pipeline/cli.py", ROOT / "pipeline/params/__init__.py", ROOT / "pipeline/params/section.py"}
TRACKING = ROOT / "pipeline/tracking"


def imported(file: Path) -> Iterator[Path]:
    """The project's files that a file imports, wherever in it; a package's `__init__.py` runs before its modules."""
    for node in imports_of(file):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            assert node.level == 0, f"{file} imports by a relative name, which this test does not follow"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            for end in range(1, len(parts) + 1):
                place = ROOT.joinpath(*parts[:end])
                yield from (path for path in (place / "__init__.py", place.with_suffix(".py")) if path.is_file())


def closure(file: Path) -> set[Path]:
    """The file and what it imports, directly or not, as far as it makes outputs."""
    found: set[Path] = set()
    ahead = [file]
    while ahead:
        file = ahead.pop()
        if file not in found | START and TRACKING not in file.parents:
            found.add(file)
            ahead += imported(file)
    return found


def is_code(file: Path) -> bool:
    """Whether a file does anything: an `__init__.py` that is empty, or a docstring alone, does not."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)


def script(stage: str) -> Path:
    module = re.search(r"-m pipeline\.(\w+)$", STAGES[stage]["cmd"])
    assert module, f"the command of {stage} is not `python -m pipeline.<name>`"
    return ROOT / f"pipeline/{module[1]}.py"


def sections_read(file: Path) -> set[str]:
    """The sections of params.yaml that a file reads: of `params.load()`, or of what it was assigned to."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    loaded = {"params.load()"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and ast.unparse(node.value) == "params.load()":
            loaded |= {ast.unparse(target) for target in node.targets}
        elif isinstance(node, ast.arg) and node.annotation and ast.unparse(node.annotation) == "params.Params":
            loaded.add(node.arg)
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in loaded and node.attr in Params.model_fields
    }


def listed(stage: str) -> list[Path]:
    return [ROOT / dep for dep in STAGES[stage]["deps"] if dep.startswith("pipeline/")]


def outs(stage: str, cached: bool) -> Iterator[str]:
    """The paths that a stage writes: those that DVC keeps in its cache, or those that it leaves to git."""
    for out in (each for kind in ("outs", "metrics", "plots") for each in STAGES[stage].get(kind, [])):
        path, options = next(iter(out.items())) if isinstance(out, dict) else (out, {})
        if options.get("cache", True) == cached:
            yield path


def dependencies(stage: str) -> set[Path]:
    """The files of code that a stage should depend on."""
    sections = {ROOT / f"pipeline/params/{name}.py" for name in sections_read(script(stage))}
    return {file for file in closure(script(stage)) | sections if is_code(file)}


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "track"])  # `track` runs every time
def test_stage_depends_on_all_code_that_makes_its_outputs(stage: str) -> None:
    missing = [
        file.relative_to(ROOT).as_posix()
        for file in dependencies(stage)
        if not any(dep == file or dep in file.parents for dep in listed(stage))
    ]

    assert sorted(missing) == []


@pytest.mark.parametrize("stage", STAGES)
def test_stage_depends_on_no_other_code(stage: str) -> None:
    data = {ROOT / "pipeline/corpus/sample_texts": ROOT / "pipeline/corpus/sample.py"}  # and the code that reads them
    files = dependencies(stage)

    unused = [dep.relative_to(ROOT).as_posix() for dep in listed(stage) if data.get(dep, dep) not in files]

    assert unused == []


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in ("plot", "track")])
def test_drawing_is_a_dependency_of_plot_alone(stage: str) -> None:
    assert not [dep for dep in STAGES[stage]["deps"] if dep.startswith("pipeline/report")]


def test_imports_are_followed_through_packages_and_modules() -> None:
    found = {file.relative_to(ROOT).as_posix() for file in closure(ROOT / "pipeline/fetch.py")}

    assert {
        "pipeline/__init__.py",
        "pipeline/corpus/sources.py",  # from pipeline.corpus import sources
        "pipeline/corpus/download.py",  # from pipeline.corpus.download import download
        "pipeline/corpus/sample.py",  # by way of corpus/sources.py
    } <= found
    assert "pipeline/split.py" not in found


def test_import_within_a_function_is_found(tmp_path: Path) -> None:
    (tmp_path / "lazy.py").write_text("def f():\n    from pipeline.model import linear\n    import pipeline.predict\n")

    assert {file.name for file in imported(tmp_path / "lazy.py")} == {"__init__.py", "linear.py", "predict.py"}


def test_stage_files_are_numbered_in_the_order_of_dvc_yaml() -> None:
    numbered = {}
    for file in (ROOT / "pipeline").glob("*.py"):
        docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        if number := re.match(r"Stage (\d+), (\w+): ", docstring):
            numbered[int(number[1])] = number[2]
            assert number[2] == file.stem

    assert [numbered[number] for number in sorted(numbered)] == list(STAGES)
    assert [script(stage).stem for stage in STAGES] == list(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_stage_depends_on_the_params_that_it_reads(stage: str) -> None:
    assert sections_read(script(stage)) == {name.partition(".")[0] for name in STAGES[stage].get("params", [])}


def test_git_ignores_what_dvc_caches_and_takes_what_it_does_not(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    kept = [path for stage in STAGES for path in outs(stage, cached=True)]
    left = [path for stage in STAGES for path in outs(stage, cached=False)]
    assert kept
    assert left
    for path in map(Path, kept + left):
        for folder in path.parents:
            if (ROOT / folder / ".gitignore").exists():
                (tmp_path / folder).mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / folder / ".gitignore", tmp_path / folder)

    # A folder's pattern ends in a slash, and means what is in it.
    paths = [path if Path(path).suffix else f"{path}/file" for path in kept + left]
    asked = subprocess.run(["git", "check-ignore", *paths], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert asked.stdout.splitlines() == paths[: len(kept)]


def test_page_and_card_are_in_neither_git_nor_dvc(tmp_path: Path) -> None:
    """They name the champion of the moment: a page that names another one is no other result."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    made = ["reports/report.html", "reports/model_card.md"]

    asked = subprocess.run(["git", "check-ignore", *made], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert asked.stdout.splitlines() == made
    assert not set(made) & {path for stage in STAGES for cached in (True, False) for path in outs(stage, cached)}
    assert not set(made) & {dep for stage in STAGES for dep in STAGES[stage]["deps"]}
