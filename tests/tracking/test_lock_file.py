"""A dvc.lock that a kill left damaged is set aside, and DVC takes the results of its stages from its cache."""

from pathlib import Path

import pytest

from pipeline.cli import UserError
from pipeline.tracking import lock_file
from tests.repository import copy_repository, run

WHOLE = "schema: '2.0'\nstages:\n  source:\n    cmd: python -m pipeline.source\n"


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("damaged", ["", WHOLE[:20], WHOLE.replace("cmd: ", "cmd: ["), "stages: 3\n", "\x00" * 10])
def test_damaged_file_is_set_aside(damaged: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("dvc.lock").write_text(damaged)

    lock_file.main()

    assert not Path("dvc.lock").exists()
    assert Path("dvc.lock.damaged").read_text() == damaged
    assert capsys.readouterr().out.startswith("dvc.lock is damaged")


@pytest.mark.usefixtures("workspace")
def test_whole_file_stays(capsys: pytest.CaptureFixture[str]) -> None:
    lock_file.main()
    Path("dvc.lock").write_text(WHOLE)

    lock_file.main()

    assert Path("dvc.lock").read_text() == WHOLE
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("workspace")
def test_conflict_of_a_merge_is_told_and_left_alone() -> None:
    conflict = f"<<<<<<< HEAD\n{WHOLE}=======\n{WHOLE}>>>>>>> other\n"
    Path("dvc.lock").write_text(conflict)

    with pytest.raises(UserError, match="conflict markers of a merge"):
        lock_file.main()

    assert Path("dvc.lock").read_text() == conflict


def test_result_comes_back_with_the_same_bytes(first_toy_result: Path, tmp_path: Path) -> None:
    repository = copy_repository(first_toy_result, tmp_path / "repository")
    lock = (repository / "dvc.lock").read_bytes()
    (repository / "dvc.lock").write_bytes(lock[:100])

    run(repository, "python", "-m", "pipeline.tracking.lock_file")
    output = run(repository, "dvc", "repro")

    assert "Running stage 'train'" not in output
    assert (repository / "dvc.lock").read_bytes() == lock
