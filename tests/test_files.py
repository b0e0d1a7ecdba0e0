"""Output files: whole or not there, and never written through a link into DVC's cache."""

import hashlib
import os
from importlib import import_module
from pathlib import Path

import pytest

from pipeline import files
from pipeline.cli import UserError
from pipeline.corpus import tables
from tests.repository import change_params, copy_repository, run

STAGES = ("source", "fetch", "split", "vectorize", "baseline", "train", "evaluate", "explain", "plot")


def test_failed_write_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "out/report.csv"
    files.write_csv(path, [{"a": 1}])

    def rows():
        yield {"a": 2}
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        files.write_csv(path, rows())

    assert path.read_text() == "a\n1\n"
    assert list(path.parent.iterdir()) == [path]


def test_table_without_a_row_is_an_empty_file_and_read_as_such(tmp_path: Path) -> None:
    files.write_csv(tmp_path / "none.csv", [])

    assert files.read_csv(tmp_path / "none.csv") == []


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_file_that_is_a_link_is_replaced(tmp_path: Path, link) -> None:
    cached, path = tmp_path / "cached", tmp_path / "metrics.json"
    cached.write_text("{}\n")
    link(cached, path)

    files.write_json(path, {"accuracy": 0.5})

    assert path.read_text() == '{\n  "accuracy": 0.5\n}\n'
    assert cached.read_text() == "{}\n"
    assert not path.is_symlink()


@pytest.mark.slow
def test_stages_run_by_hand_leave_the_cache_of_dvc_as_it_is(
    first_result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = copy_repository(first_result, tmp_path / "repository")
    run(repository, "dvc", "config", "cache.type", "symlink")
    run(repository, "dvc", "checkout", "--relink")
    assert (repository / "models/model.onnx").is_symlink()
    change_params(repository, {"fetch": {"sample_size": 480}, "train": {"epochs": 1}})
    monkeypatch.chdir(repository)
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)

    for stage in STAGES:
        import_module(f"pipeline.{stage}").main()

    cached = [file for file in (repository / ".dvc/cache/files/md5").rglob("*") if file.is_file()]
    assert len(cached) > 20
    for file in cached:
        assert hashlib.md5(file.read_bytes()).hexdigest() == (file.parent.name + file.name).removesuffix(".dir")
    run(repository, "git", "checkout", "params.yaml")
    run(repository, "dvc", "checkout", "--force")
    assert "Running stage 'train'" not in run(repository, "dvc", "repro")


def damaged(content: bytes) -> list[bytes]:
    """The content with a byte changed in its middle, cut off there, and empty."""
    middle = len(content) // 2
    return [content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :], content[:middle], b""]


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_damaged_table_is_named(tmp_path: Path, kind: int) -> None:
    table = tmp_path / "train.parquet"
    rows = [{"id": str(number), "text": "same " * number, "label": "a", "split": "train"} for number in range(100)]
    tables.write_table(table, tables.RAW_SCHEMA, rows)
    table.write_bytes(damaged(table.read_bytes())[kind])

    with pytest.raises(
        UserError, match=r"^\S+train\.parquet is damaged \(.+\); remove it, and `dvc repro` restores it$"
    ):
        list(tables.read_rows(table, tables.RAW_SCHEMA))


@pytest.mark.parametrize("content", [b'{"a": 1', b"", b"\xff{}"])
def test_damaged_json_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "metrics.json"
    file.write_bytes(content)

    with pytest.raises(UserError, match=r"metrics\.json is damaged"):
        files.read_json(file)


def test_missing_file_is_missing_and_not_damaged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.read_json(tmp_path / "metrics.json")
    with pytest.raises(FileNotFoundError):
        tables.read_column(tmp_path / "train.parquet", "id")
