"""Every result is one run, and runs, commits and experiments lead to each other: real DVC, git and MLflow stores.

With the toy pipeline, whose stages take a moment; `test_pipeline.py` has the real one.
"""

import csv
import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.cli import UserError
from pipeline.tracking.__main__ import main
from tests.repository import (
    change_params,
    commit,
    copy_repository,
    empty_store,
    run,
    runs,
    store,
)

pytestmark = pytest.mark.slow
TRACKING = ("python", "-m", "pipeline.tracking")


@pytest.fixture(scope="module")
def repository(toy_repository: Path) -> Path:
    return toy_repository


@pytest.fixture
def tracking(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """`tracking("show", "HEAD")` runs the command in this process, which has imported MLflow; returns its output."""
    monkeypatch.chdir(repository)

    def command(*arguments: str) -> str:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", store(repository))  # the file that is there now
        capsys.readouterr()
        try:
            main.main(list(arguments), standalone_mode=False)
        except UserError as error:
            return f"error: {error}"
        return capsys.readouterr().out

    return command


def states(repository: Path) -> Counter:
    return Counter(each.info.status for each in runs(repository))


def of_seed(repository: Path, seed: int) -> Run:
    (found,) = [each for each in runs(repository) if each.data.params["train.seed"] == str(seed)]
    return found


def shown_id(output: str) -> str:
    """The id of the run that `show` printed."""
    match = re.search(r"^  id +([0-9a-f]{32}), FINISHED, complete$", output, re.MULTILINE)
    assert match, output
    return match[1]


def commit_of(repository: Path, experiment: str) -> str:
    lines = run(repository, "git", "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    (found,) = [line.split()[0] for line in lines if line.endswith(f"/{experiment}")]
    return found


def test_unreachable_server_costs_no_result_and_the_next_repro_completes_the_run(
    first_toy_result: Path, tmp_path: Path
) -> None:
    repository = copy_repository(first_toy_result, tmp_path / "repository")
    before = len(runs(repository))
    change_params(repository, {"train": {"seed": 3}})
    nobody = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}

    output = run(repository, "dvc", "repro", code=0, **nobody)
    page = (repository / "reports/report.html").read_text(encoding="utf-8")
    (repository / "reports/report.html").unlink()
    by_hand = run(repository, "python", "-m", "pipeline.track", code=1, **nobody)
    by_hand_page = (repository / "reports/report.html").read_text(encoding="utf-8")

    assert "warning: cannot write to MLflow" in output
    assert "MLFLOW_TRACKING_URI" in output
    assert by_hand_page == page
    assert re.fullmatch("error: cannot write to MLflow .*\n", by_hand), by_hand
    assert "Traceback" not in output
    assert "Running stage 'train'" not in run(repository, "dvc", "repro")
    new = runs(repository)[0]
    assert len(runs(repository)) == before + 1
    assert new.info.status == "FINISHED"
    history = list(csv.DictReader((repository / "reports/history.csv").open()))
    logged = MlflowClient(store(repository)).get_metric_history(new.info.run_id, "val/log_loss")
    assert [point.step for point in logged] == [int(row["epoch"]) for row in history]


def test_queue_with_two_workers_leaves_one_run_for_each_result(repository: Path) -> None:
    for name, seed in (("seven", 7), ("seven-again", 7), ("eight", 8)):
        run(repository, "dvc", "exp", "run", "--queue", "--name", name, "-S", f"train.seed={seed}")

    run(repository, "dvc", "queue", "start", "-j", "2")
    deadline = time.monotonic() + 300
    while re.search("Queued|Running", output := run(repository, "dvc", "queue", "status")):
        assert time.monotonic() < deadline, output
        time.sleep(2)

    failed = re.findall(r"(\S+) .*Failed", output)
    assert not failed, "\n".join(run(repository, "dvc", "queue", "logs", task) for task in failed)
    assert output.count("Success") == 3
    assert states(repository) == {"FINISHED": 3}
    assert sorted(each.data.params["train.seed"] for each in runs(repository)) == ["1", "7", "8"]


def test_checkout_of_an_old_commit_finds_the_old_run(repository: Path, tracking: Callable[..., str]) -> None:
    first = of_seed(repository, 1)
    change_params(repository, {"train": {"seed": 2}})
    run(repository, "dvc", "repro")
    commit(repository, "another seed")
    run(repository, "git", "checkout", "--quiet", "HEAD~1")

    output = run(repository, "dvc", "repro")

    assert f"this result has its run already: {first.info.run_name}" in output
    assert states(repository) == {"FINISHED": 4}
    assert shown_id(tracking("show")) == shown_id(tracking("show", "HEAD")) == first.info.run_id
    run(repository, "git", "checkout", "--quiet", "-")
    run(repository, "dvc", "checkout")
    assert shown_id(tracking("show")) == shown_id(tracking("show", "HEAD")) == of_seed(repository, 2).info.run_id
    assert shown_id(tracking("show", "seven")) == shown_id(tracking("show", "seven-again"))


def test_result_from_the_run_cache_has_its_run_already(repository: Path) -> None:
    (repository / "dvc.lock").unlink()
    shutil.rmtree(repository / "models")

    output = run(repository, "dvc", "repro")

    assert "Stage 'train' is cached" in output
    assert states(repository) == {"FINISHED": 4}
    run(repository, "git", "checkout", "--quiet", ".")


def test_show_leads_back_to_commit_patch_data_machine_and_model(repository: Path, tracking: Callable[..., str]) -> None:
    output = tracking("show", "eight")

    eight = of_seed(repository, 8)
    client = MlflowClient(store(repository))
    patch = Path(client.download_artifacts(eight.info.run_id, "provenance/uncommitted.patch"))
    made_from = eight.data.tags["mlflow.source.git.commit"]
    assert re.search(rf"  commit +{made_from}, with the changes in the run's provenance/uncommitted.patch\n", output)
    assert re.search(r"  revisions +eight\n", output)
    for context, name in {"training": "train", "validation": "validation", "test": "test"}.items():
        rows = len(pd.read_parquet(repository / f"data/split/{name}.parquet"))
        md5 = subprocess.check_output(["md5sum", repository / f"data/split/{name}.parquet"], text=True).split()[0]
        assert re.search(rf"  {context} +{rows} examples, md5 {md5}\n", output)
        assert (repository / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}").exists()
    assert re.search(rf"  corpus +toy, digest {'0' * 64}\n", output)
    assert f"Python {sys.version.split()[0]}, tensorflow " in output
    assert eight.outputs is not None
    assert f"models:/{eight.outputs.model_outputs[0].model_id}" in output
    # The patch turns the commit into what ran.
    run(repository, "git", "worktree", "add", "--quiet", "--detach", "../patched", made_from)
    run(repository.parent / "patched", "git", "apply", str(patch))
    assert "seed: 8" in (repository.parent / "patched/params.yaml").read_text()


def test_missing_run_is_a_one_line_error(tracking: Callable[..., str]) -> None:
    assert tracking("show", "HEAD~2") == ("error: HEAD~2 has no result; after `dvc repro`, commit dvc.lock and reports")


def test_compare_shows_what_differs_and_a_paired_test(repository: Path, tracking: Callable[..., str]) -> None:
    output = tracking("compare", "eight", "HEAD")

    rows = [line.split() for line in output.splitlines()]
    assert ["train.seed", "8", "2"] in rows
    assert "data: the same" in output
    assert "code: the same" in output
    metrics = [
        json.loads(run(repository, "git", "show", f"{commit}:reports/metrics.json"))["classifier"]
        for commit in (commit_of(repository, "eight"), "HEAD")
    ]
    for name in ("accuracy", "macro_f1", "log_loss"):
        a, b = (each[name] for each in metrics)
        assert [f"test/{name}", f"{a:.4f}", f"{b:.4f}", f"{b - a:+.4f}"] in rows
    assert "Of 48 test examples 0 only A classifies correctly, 0 only B (McNemar's test, p = 1)." in output


def file_of_experiment(repository: Path, path: str, experiment: str) -> str:
    """The text of a file that git tracks, as an experiment wrote it."""
    return run(repository, "git", "show", f"{commit_of(repository, experiment)}:{path}")


def test_summary_of_an_experiment_shows_its_metrics_and_changes_nothing(repository: Path) -> None:
    metrics = json.loads(file_of_experiment(repository, "reports/metrics.json", "eight"))

    output = run(repository, "python", "-m", "pipeline.report.summary", "eight")

    (row,) = [line for line in output.splitlines() if line.strip().startswith("classifier")]
    for name in ("accuracy", "macro_f1", "log_loss"):
        assert f"{metrics['classifier'][name]:.4f}" in row
    assert metrics["classifier"] != json.loads((repository / "reports/metrics.json").read_text())["classifier"]
    assert "dvc exp apply eight" in output
    assert run(repository, "git", "status", "--porcelain") == ""


def test_experiments_are_compared_with_their_seconds_and_gradients(repository: Path) -> None:
    names = ["eight", of_seed(repository, 7).data.tags["dvc.experiment"]]

    output = run(repository, "python", "-m", "pipeline.experiments", *names)

    for name in names:
        report = json.loads(file_of_experiment(repository, "reports/train.json", name))
        (row,) = [line for line in output.splitlines() if line.split()[:1] == [name]]
        seconds = [
            point.value
            for each in runs(repository)
            if each.data.tags.get("dvc.experiment") == name
            for point in MlflowClient(store(repository)).get_metric_history(each.info.run_id, "train/epoch_seconds")
        ]
        validation = report["validation"]
        assert row.split()[1:] == [
            f"{report['parameters']:,}", f"{median(seconds):.1f}", str(report["best_epoch"]),
            f"{validation['accuracy']:.4f}", f"{validation['log_loss']:.4f}",
        ]  # fmt: skip
    assert (repository / "reports/experiments.png").read_bytes().startswith(b"\x89PNG")
    assert run(repository, "git", "status", "--porcelain") == ""


@pytest.mark.parametrize("module", ["report.summary", "experiments"])
def test_unknown_experiment_is_a_one_line_error(repository: Path, module: str) -> None:
    output = run(repository, "python", "-m", f"pipeline.{module}", "nobody", code=1)

    assert re.fullmatch(r"error: [^\n]*nobody[^\n]*dvc exp list[^\n]*\n", output), output


def test_run_by_hand_is_refused_for_files_and_parameters_of_different_results(repository: Path) -> None:
    before = states(repository)
    change_params(repository, {"train": {"seed": 13}})

    output = run(repository, "python", "-m", "pipeline.track", code=1)

    assert output == "error: parameters, code and files are not of one result (train changed); `dvc repro`\n"
    assert states(repository) == before
    run(repository, "git", "checkout", "--quiet", "params.yaml")


def histories(client: MlflowClient, each: Run) -> dict[str, list[float]]:
    names = [name for name in each.data.metrics if name != "train/epoch_seconds"]  # a clock's, kept in no file
    return {name: [point.value for point in client.get_metric_history(each.info.run_id, name)] for name in names}


def files(client: MlflowClient, each: Run, folder: str = "") -> set[str]:
    listed = client.list_artifacts(each.info.run_id, folder)
    return {item.path for item in listed} | {
        path for item in listed if item.is_dir for path in files(client, each, item.path)
    }


def describe_runs(repository: Path) -> dict[str, tuple]:
    """All that a rebuild restores, by the hash of the result."""
    of_training = {"provenance/machine.json", "provenance/uncommitted.patch"}  # of the moment, kept in no file
    client = MlflowClient(store(repository))
    return {
        each.data.tags["result_hash"]: (
            {name: value for name, value in each.data.params.items() if not name.startswith("fetch")},
            histories(client, each),
            files(client, each) - of_training,
            each.data.tags["inputs_hash"],
            len(each.outputs.model_outputs if each.outputs else []),
        )
        for each in runs(repository)
    }


def test_lost_store_is_rebuilt_from_commits_and_experiments(repository: Path) -> None:
    run(repository, "dvc", "exp", "remove", "seven", "seven-again")
    MlflowClient(store(repository)).delete_run(of_seed(repository, 7).info.run_id)
    before = describe_runs(repository)
    run(repository, "dvc", "exp", "run", "--temp", "--name", "training-alone", "-S", "train.seed=9", "train")
    (repository / "mlflow.db").unlink()
    shutil.rmtree(repository / "mlartifacts")

    output = run(repository, *TRACKING, "rebuild")

    (trained,) = [each for each in runs(repository) if each.data.tags["state"] == "trained"]
    assert (trained.data.params["train.seed"], trained.data.tags["dvc.experiment"]) == ("9", "training-alone")
    assert not [name for name in trained.data.metrics if "test" in name]
    MlflowClient(store(repository)).delete_run(trained.info.run_id)
    assert len(before) == 3
    assert describe_runs(repository) == before
    assert "cannot be rebuilt" not in output


HOOK = f"""#!/bin/sh
{sys.executable} -m pipeline.tracking rebuild > hook.log 2>&1
"""


def git_state(repository: Path) -> tuple[str, ...]:
    """HEAD, branches and experiments, the index, and the content of the tree."""
    return (
        run(repository, "git", "rev-parse", "HEAD"),
        run(repository, "git", "for-each-ref"),
        run(repository, "git", "ls-files", "--stage"),
        run(repository, "git", "status", "--porcelain"),
        run(repository, "git", "diff", "HEAD"),
    )


def test_rebuild_in_a_git_hook_leaves_the_repository_as_it_is(repository: Path) -> None:
    """git sets GIT_DIR and GIT_INDEX_FILE for its hooks, which would lead a clone's git to this repository."""
    eight = of_seed(repository, 8)
    MlflowClient(store(repository)).delete_run(eight.info.run_id)
    hook = repository / ".git/hooks/pre-commit"
    hook.write_text(HOOK + "exit 1\n")  # so that no commit is made, and all can be compared
    hook.chmod(0o755)
    (repository / "README.md").write_text("changed")
    run(repository, "git", "add", "README.md")
    (repository / ".git/info/exclude").write_text("hook.log\n")
    before = git_state(repository)

    author = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    run(repository, "git", *author, "commit", "--message", "with a hook", code=1)

    log = (repository / "hook.log").read_text()
    assert re.search(r"^  eight: run .*toy gru 8 seed 8 ", log, re.MULTILINE), log
    assert of_seed(repository, 8).info.run_id != eight.info.run_id
    assert git_state(repository) == before
    hook.unlink()
    run(repository, "git", "checkout", "--quiet", "HEAD", "README.md")


def test_result_whose_files_the_cache_lacks_is_listed_and_nothing_is_cloned(
    repository: Path, tracking: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = run(repository, "git", "show", f"{commit_of(repository, 'eight')}:dvc.lock")
    md5 = re.search(r"path: models/weights.safetensors\n +hash: md5\n +md5: (\w+)", lock)
    assert md5
    (repository / f".dvc/cache/files/md5/{md5[1][:2]}/{md5[1][2:]}").unlink()
    eight = of_seed(repository, 8)
    MlflowClient(store(repository)).delete_run(eight.info.run_id)
    monkeypatch.setattr("pipeline.tracking.rebuild.temporary_checkout", lambda commit: pytest.fail("cloned"))

    with pytest.raises(SystemExit) as exit:
        tracking("rebuild")

    reason = "its files are not in DVC's cache (models/weights.safetensors); `dvc pull` or `dvc repro`"
    assert exit.value.code == 1
    assert tracking("show", "eight") == tracking("compare", "eight", "HEAD") == (
        f"error: eight has no run in MLflow; {reason}"
    )  # fmt: skip
    assert "8" not in {each.data.params["train.seed"] for each in runs(repository)}


def test_models_and_artifacts_of_old_runs_are_found_in_a_copy_that_was_relocated(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = of_seed(repository, 2)
    copy = copy_repository(repository, tmp_path / "copy")
    hidden = repository.rename(tmp_path / "hidden")
    try:
        mlflow.set_tracking_uri(store(copy))
        client = MlflowClient()
        moved = client.get_run(old.info.run_id)
        assert moved.outputs is not None
        model = mlflow.pyfunc.load_model(f"models:/{moved.outputs.model_outputs[0].model_id}")
        assert model.predict(pd.DataFrame({"text": ["a banana"]}))["label"].tolist() == ["fruit"]
        assert "provenance" in files(client, moved)
    finally:
        hidden.rename(repository)
        mlflow.set_tracking_uri("")


# A clone on another machine, where DVC's cache and the store are empty


def test_clone_says_that_results_were_made_elsewhere(
    first_toy_result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", str(first_toy_result), str(clone))
    shutil.copy(empty_store(), clone / "mlflow.db")
    head = run(clone, "git", "rev-parse", "HEAD").strip()
    monkeypatch.chdir(clone)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store(clone))
    reason = r"its files are not in DVC's cache \(\S+ and \d+ more\); `dvc pull` or `dvc repro`"

    for command in (["show", "HEAD"], ["compare", "HEAD"]):
        with pytest.raises(UserError, match=f"HEAD has no run in MLflow; {reason}"):
            main.main(command, standalone_mode=False)
    with pytest.raises(SystemExit):
        main.main(["rebuild"], standalone_mode=False)

    assert re.fullmatch(rf"  {head[:10]}: {reason}\n", capsys.readouterr().out)
    assert run(clone, "git", "status", "--porcelain") == ""
