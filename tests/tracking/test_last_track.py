"""A second `track` with nothing changed does nothing: every change of what it reads or writes is noticed."""

from pathlib import Path

import pytest

from pipeline.tracking import last_track

FILES = ["params.yaml", "dvc.yaml", "pipeline/report/card.py", "reports/report.html", "mlflow.db"]
REPORTS = [Path("reports/report.html")]
LOCK = "schema: '2.0'\nstages:\n  split:\n    cmd: x\n"
TRACK = "  track:\n    cmd: python -m pipeline.track\n    deps:\n    - path: data/split\n"


@pytest.fixture(autouse=True)
def tracked(workspace: Path) -> None:
    """A workspace whose result was found complete in the run `some run`."""
    for name in FILES:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(name)
    Path("dvc.lock").write_text(LOCK)
    last_track.record("some run", last_track.store_version(), REPORTS)


def test_without_a_change_the_run_is_known() -> None:
    assert last_track.unchanged_run(REPORTS) == "some run"


@pytest.mark.parametrize("path", [*FILES, "dvc.lock", "pipeline/new.py"])
def test_changed_and_new_files_are_noticed(path: str) -> None:
    Path(path).write_text("changed")

    assert last_track.unchanged_run(REPORTS) is None


@pytest.mark.parametrize("path", [*FILES, "dvc.lock", str(last_track.RECORD)])
def test_missing_files_are_noticed(path: str) -> None:
    Path(path).unlink()

    assert last_track.unchanged_run(REPORTS) is None


def test_section_that_dvc_adds_after_track_has_run_is_no_change() -> None:
    Path("dvc.lock").write_text(LOCK + TRACK)

    assert last_track.unchanged_run(REPORTS) == "some run"

    Path("dvc.lock").write_text(LOCK + TRACK + "  train:\n    cmd: x\n")

    assert last_track.unchanged_run(REPORTS) is None


def test_caches_of_python_are_no_change() -> None:
    Path("pipeline/__pycache__").mkdir()
    Path("pipeline/__pycache__/card.pyc").write_text("compiled")

    assert last_track.unchanged_run(REPORTS) == "some run"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLFLOW_TRACKING_URI", "sqlite:///another.db"),
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:9"),
        ("MLFLOW_REGISTRY_URI", "http://127.0.0.1:9"),
    ],
)
def test_another_store_is_noticed(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    assert last_track.unchanged_run(REPORTS) is None


def test_store_that_is_no_local_file_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    last_track.RECORD.unlink()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")

    last_track.record("some run", last_track.store_version(), REPORTS)

    assert not last_track.RECORD.exists()


def test_store_that_changes_while_track_runs_is_noticed() -> None:
    before = last_track.store_version()
    Path("mlflow.db").write_text("another process's run")

    last_track.record("some run", before, REPORTS)

    assert last_track.unchanged_run(REPORTS) is None
