"""The SQLite store: created whole or not at all, and relocated with its repository on demand."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.cli import UserError
from pipeline.tracking import sqlite_store, store
from pipeline.tracking.__main__ import main
from pipeline.tracking.errors import StoreError
from tests.repository import ROOT, track_params

CONNECT = (
    "from pipeline.params.track import Track; from pipeline.tracking import store; "
    "print(store.connect(Track(experiment='tests', timeout=60))[1])"
)


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")} | {
        "PYTHONPATH": str(ROOT)
    }


def start(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def has_tables(path: Path) -> bool:
    """Whether the schema in a database is being created."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("SELECT 1 FROM sqlite_master").fetchone())
    except sqlite3.Error:  # it does not exist yet, or it is locked
        return False


def kill_when(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


# Creating a store


@pytest.mark.slow
def test_kill_while_a_store_is_created_leaves_none_and_the_next_command_creates_it(workspace: Path) -> None:
    kill_when(lambda: has_tables(Path("mlflow.db.new")), start(CONNECT))

    assert not Path("mlflow.db").exists()

    with start(CONNECT) as again:
        output, errors = again.communicate(timeout=120)

    assert (again.returncode, output) == (0, "1\n"), errors
    assert {path.name for path in workspace.glob("mlflow*")} == {"mlflow.db", "mlflow.db.lock"}
    with closing(sqlite3.connect("mlflow.db")) as connection:
        assert sqlite_store.is_complete(connection)


@pytest.mark.slow
def test_two_processes_may_meet_at_a_store_that_does_not_exist(workspace: Path) -> None:
    processes = [start(CONNECT) for _ in range(2)]

    outputs = [process.communicate(timeout=120) for process in processes]

    assert [process.returncode for process in processes] == [0, 0], outputs
    assert {output for output, _ in outputs} == {"1\n"}
    assert "Traceback" not in "".join(errors for _, errors in outputs)


@pytest.mark.slow
def test_schema_that_mlflow_left_incomplete_is_a_one_line_error(workspace: Path) -> None:
    """MLflow itself creates the schema in place: after a kill, its tables are there, and it cannot go on."""
    in_place = "from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Store"
    kill_when(
        lambda: has_tables(Path("mlflow.db")), start(f"{in_place}; Store('sqlite:///mlflow.db', './mlartifacts')")
    )

    with pytest.raises(StoreError) as raised:
        store.connect(track_params("tests"))

    assert str(raised.value) == (
        f"cannot read from MLflow ({workspace}/mlflow.db is incomplete, because its creation was interrupted); "
        "move it away (`mv mlflow.db mlflow.db.incomplete`) and run this again"
    )


def test_empty_file_is_replaced_by_a_store(workspace: Path, store_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    created: list[Path] = []
    monkeypatch.setattr(sqlite_store, "create", created.append)
    Path("touched.db").touch()

    for name in ("touched.db", "missing.db", "mlflow.db"):
        sqlite_store.prepare(Path(name))

    assert created == [Path("touched.db"), Path("missing.db")]


def test_file_that_is_no_database_is_a_store_error(workspace: Path) -> None:
    Path("mlflow.db").write_bytes(b"no database" * 1000)

    with pytest.raises(StoreError, match="file is not a database"):
        store.connect(track_params("tests"))


# Moving a repository


@pytest.fixture
def original(workspace: Path, store_file: Path) -> Path:
    """A repository whose store has a run with an artifact, a logged model and a registered version."""
    client, experiment = store.connect(track_params("moved"))
    run = client.create_run(experiment, run_name="old")
    run_id = run.info.run_id
    client.log_text(run_id, "content", "report.txt")
    model = client.create_logged_model(experiment, "model", run_id)
    # What a person or a parameter says stays as it is, whatever it looks like.
    client.set_tag(run_id, "note", f"{workspace.as_uri()}/mlartifacts once")
    client.log_param(run_id, "fetch.source", f"{workspace}/texts.tar.gz")
    client.create_registered_model("questions")
    client.create_model_version("questions", run.info.artifact_uri, run_id=run_id)
    client.create_model_version("questions", f"models:/{model.model_id}", run_id=run_id, model_id=model.model_id)
    return workspace


@pytest.fixture
def moved(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository at another place, as the current folder."""
    folder = tmp_path / "a new place, with a blank"
    shutil.copytree(original, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # MLflow sets it for the processes that this one starts
    return folder


def rows(path: Path) -> dict[str, list[tuple]]:
    """All rows of all tables."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: connection.execute(f'SELECT * FROM "{table}" ORDER BY rowid').fetchall() for table in tables}


@pytest.mark.parametrize("keep_original", [True, False], ids=["copied", "moved"])
def test_store_of_a_moved_repository_is_refused_and_left_as_it_is(
    original: Path, moved: Path, keep_original: bool
) -> None:
    if not keep_original:
        shutil.rmtree(original)
    before = Path("mlflow.db").read_bytes()

    for _ in range(2):
        with pytest.raises(StoreError) as raised:
            store.connect(track_params("moved"))

        assert str(raised.value) == (
            f"cannot read from MLflow (mlflow.db names artifacts under {original}); "
            "run `python -m pipeline.tracking relocate`"
        )
    assert Path("mlflow.db").read_bytes() == before


def test_relocated_store_names_the_artifacts_at_their_new_place(
    original: Path, moved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(original)

    sqlite_store.relocate(Path("mlflow.db"))

    assert "artifact locations under" in capsys.readouterr().out
    client, experiment = store.connect(track_params("moved"))
    (run,) = client.search_runs([experiment])
    assert run.info.artifact_uri.startswith((moved / "mlartifacts").as_uri() + "/")
    assert Path(client.download_artifacts(run.info.run_id, "report.txt")).read_text() == "content"
    (model,) = client.search_logged_models([experiment])
    assert model.artifact_location.startswith((moved / "mlartifacts").as_uri() + "/")
    assert client.get_experiment(experiment).artifact_location == (moved / "mlartifacts").as_uri()
    assert client.get_model_version("questions", "1").source == run.info.artifact_uri
    assert client.get_model_version("questions", "2").source == f"models:/{model.model_id}"
    assert client.get_model_version_download_uri("questions", "2") == model.artifact_location
    assert run.data.tags["note"] == f"{original.as_uri()}/mlartifacts once"
    assert run.data.params["fetch.source"] == f"{original}/texts.tar.gz"


def test_relocation_changes_artifact_locations_alone_after_a_copy_of_the_store(original: Path, moved: Path) -> None:
    before = rows(Path("mlflow.db"))

    sqlite_store.relocate(Path("mlflow.db"))

    (copy,) = moved.glob("mlflow.db.bak-*")
    assert rows(copy) == before
    after = rows(Path("mlflow.db"))
    changed = {table for table in before if before[table] != after[table]}
    assert changed == {"experiments", "runs", "logged_models", "model_versions"}
    old, new = f"{original.as_uri()}/mlartifacts", f"{moved.as_uri()}/mlartifacts"
    for table in changed:
        as_if = [tuple(v.replace(old, new) if isinstance(v, str) else v for v in row) for row in before[table]]
        assert after[table] == as_if


def test_relocation_is_refused_for_a_schema_that_is_not_known(moved: Path) -> None:
    with closing(sqlite3.connect("mlflow.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'of-tomorrow'")
    before = Path("mlflow.db").read_bytes()

    with pytest.raises(UserError, match=r"a database schema that this command does not know \(of-tomorrow\)"):
        sqlite_store.relocate(Path("mlflow.db"))

    assert Path("mlflow.db").read_bytes() == before


@pytest.mark.usefixtures("store_file")
def test_schema_of_the_installed_mlflow_is_known() -> None:
    """If this fails after an upgrade of MLflow: look for new columns with artifact locations, then add the schema."""
    with closing(sqlite3.connect("mlflow.db")) as connection:
        (schema,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        columns = [
            f"{table}.{row[1]}"
            for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for row in connection.execute(f'PRAGMA table_info("{table}")')
            if row[1].endswith(("location", "_uri", "source"))
        ]

    assert schema in sqlite_store.KNOWN_SCHEMAS
    known = [f"{table}.{column}" for table, columns in sqlite_store.LOCATION_COLUMNS.items() for column in columns]
    assert set(known) <= set(columns)


def test_relocation_without_the_artifacts_says_what_to_move(original: Path, moved: Path) -> None:
    shutil.rmtree("mlartifacts")

    with pytest.raises(UserError, match=f"mlartifacts is missing; move it here from {original}, then relocate"):
        sqlite_store.relocate(Path("mlflow.db"))


def test_store_that_names_its_own_folder_has_nothing_to_relocate(
    original: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sqlite_store.relocate(Path("mlflow.db"))

    assert "nothing to relocate" in capsys.readouterr().out
    assert not list(original.glob("mlflow.db.bak-*"))


def test_store_that_others_share_does_not_move_with_a_repository(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Path(shutil.copy("mlflow.db", tmp_path / "shared.db"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shared}")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")

    client, experiment = store.connect(track_params("moved"))

    assert client.get_experiment(experiment).artifact_location == (original / "mlartifacts").as_uri()


def test_experiment_of_others_with_another_location_is_left_where_it_is(original: Path, tmp_path: Path) -> None:
    client, _ = store.connect(track_params("moved"))
    elsewhere = (tmp_path / "elsewhere").as_uri()
    theirs = client.create_experiment("theirs", elsewhere)

    store.connect(track_params("moved"))

    assert client.get_experiment(theirs).artifact_location == elsewhere


def test_command_relocates_the_store_of_this_repository_alone(
    moved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{moved.parent / 'shared.db'}")
    with pytest.raises(UserError, match="the store is not a SQLite file in this repository, and does not move with it"):
        main.main(["relocate"], standalone_mode=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")

    main.main(["relocate"], standalone_mode=False)

    assert f"are now in {moved}/mlartifacts\n" in capsys.readouterr().out
