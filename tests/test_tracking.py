"""Every result is one run, and runs, commits and experiments lead to each other: real DVC, git and MLflow stores."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.repository import change_params, commit, environment, run, runs, store


def states(repository: Path) -> Counter:
    return Counter(each.info.status for each in runs(repository))


def head(repository: Path, revision: str = "HEAD") -> str:
    return run(repository, "git", "rev-parse", revision).strip()


def shown(repository: Path, *name: str) -> str:
    """The id of the run that `show` finds."""
    said = run(repository, "python", "-m", "pipeline.tracking", "show", *name)
    match = re.search(r"^  id +([0-9a-f]{32}), FINISHED, complete$", said, re.MULTILINE)
    assert match, said
    return match[1]


def test_a_queue_worked_off_by_two_at_once_leaves_one_run_for_each_result(repository: Path) -> None:
    for name, seed in (("seven", 7), ("seven-again", 7), ("eight", 8)):
        run(repository, "dvc", "exp", "run", "--queue", "--name", name, "-S", f"train.seed={seed}")

    run(repository, "dvc", "queue", "start", "-j", "2")
    deadline = time.monotonic() + 300
    while re.search("Queued|Running", said := run(repository, "dvc", "queue", "status")):
        assert time.monotonic() < deadline, said
        time.sleep(1)

    assert said.count("Success") == 3
    assert states(repository) == {"FINISHED": 3}
    assert sorted(each.data.params["train.seed"] for each in runs(repository)) == ["1", "7", "8"]
    assert shown(repository, "seven") == shown(repository, "seven-again")


def test_a_checkout_of_an_old_commit_finds_the_old_run(repository: Path) -> None:
    (first,) = [each for each in runs(repository) if each.data.params["train.seed"] == "1"]
    change_params(repository, {"train": {"seed": 2}})
    run(repository, "dvc", "repro")
    commit(repository, "another seed")
    newest = runs(repository)[0]
    run(repository, "git", "checkout", "--quiet", "HEAD~1")

    said = run(repository, "dvc", "repro")

    assert f"this result has its run already: {first.info.run_name}" in said
    assert states(repository) == {"FINISHED": 4}
    assert shown(repository) == shown(repository, "HEAD") == first.info.run_id
    run(repository, "git", "checkout", "--quiet", "-")
    run(repository, "dvc", "checkout")
    assert shown(repository) == shown(repository, "HEAD") == newest.info.run_id


def test_what_comes_from_the_run_cache_has_its_run_already(repository: Path) -> None:
    (repository / "dvc.lock").unlink()
    shutil.rmtree(repository / "models")

    said = run(repository, "dvc", "repro")

    assert "Stage 'train' is cached" in said
    assert states(repository) == {"FINISHED": 4}
    run(repository, "git", "checkout", "--quiet", ".")


def test_a_run_is_found_by_whatever_it_is_known(repository: Path) -> None:
    run_of = {each.data.params["train.seed"]: each for each in runs(repository)}
    eight = run_of["8"]
    client = MlflowClient(store(repository))
    client.create_registered_model("questions")
    client.create_model_version("questions", eight.info.artifact_uri, run_id=eight.info.run_id)
    client.set_registered_model_alias("questions", "champion", "1")

    for name in (eight.info.run_id, eight.info.run_name, "eight", "questions/1", "questions@champion"):
        assert shown(repository, name) == eight.info.run_id
    for name in ("HEAD", head(repository), head(repository)[:8]):
        assert shown(repository, name) == run_of["2"].info.run_id
    assert shown(repository, "HEAD~1") == run_of["1"].info.run_id


def test_what_is_shown_leads_back_to_commit_patch_data_machine_and_model(repository: Path) -> None:
    said = run(repository, "python", "-m", "pipeline.tracking", "show", "eight")

    (eight,) = [each for each in runs(repository) if each.data.params["train.seed"] == "8"]
    client = MlflowClient(store(repository))
    patch = Path(client.download_artifacts(eight.info.run_id, "lineage/uncommitted.patch"))
    made_from = eight.data.tags["mlflow.source.git.commit"]
    assert f"commit {made_from}, with the changes in the run's lineage/uncommitted.patch" in said
    assert re.search(r"held by +eight\n", said)
    for context, name in {"training": "train", "validation": "validation", "test": "test"}.items():
        rows = len(pd.read_parquet(repository / f"data/split/{name}.parquet"))
        md5 = subprocess.check_output(["md5sum", repository / f"data/split/{name}.parquet"], text=True).split()[0]
        assert re.search(rf"{context} +{rows} posts, md5 {md5}", said)
        assert (repository / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}").exists()
    assert f"Python {sys.version.split()[0]}, tensorflow " in said
    assert eight.outputs is not None
    assert f"models:/{eight.outputs.model_outputs[0].model_id}" in said
    # The patch makes of the commit what ran.
    run(repository, "git", "worktree", "add", "--quiet", "--detach", "../patched", made_from)
    run(repository.parent / "patched", "git", "apply", str(patch))
    assert "seed: 8" in (repository.parent / "patched/params.yaml").read_text()


@pytest.mark.parametrize(("name", "reason"), [("nobody", "is no run"), ("HEAD~2", "has no run in MLflow")])
def test_what_has_no_run_is_said_in_one_sentence(repository: Path, name: str, reason: str) -> None:
    said = run(repository, "python", "-m", "pipeline.tracking", "show", name, code=1)

    assert re.fullmatch(f"error: {name} {reason}.*\n", said), said


def test_two_runs_are_compared_by_what_differs_and_by_the_posts_that_one_alone_gets_right(repository: Path) -> None:
    said = run(repository, "python", "-m", "pipeline.tracking", "compare", "eight", "HEAD")

    parameters, rest = said.split("\ndata: the same\n\ncode: the same\n")
    assert parameters.splitlines()[-1].split() == ["train.seed", "8", "2"]
    figures = [figures_of(repository, revision) for revision in ("eight", "HEAD")]
    for name in ("accuracy", "macro_f1", "log_loss"):
        old, new = (figure["classifier"][name] for figure in figures)
        (row,) = [line.split() for line in rest.splitlines() if line.strip().startswith(f"test_{name}")]
        assert row[1:] == [f"{old:.4f}", f"{new:.4f}", f"{new - old:+.4f}"]
    right = [right_of(repository, revision) for revision in ("eight", "HEAD")]
    only = [len(right[which] - right[1 - which]) for which in (0, 1)]
    assert f"Of 80 test posts {only[0]} only A gets right, {only[1]} only B (McNemar's p = " in rest
    match = re.search(r"B's macro F1 less A's: ([+-]\d\.\d{4}) to ([+-]\d\.\d{4}) \(95% interval\)\.", rest)
    assert match
    old, new = (figure["classifier"]["macro_f1"] for figure in figures)
    assert float(match[1]) <= new - old <= float(match[2])


def figures_of(repository: Path, revision: str) -> dict:
    commit = revision if revision == "HEAD" else experiment(repository, revision)
    return json.loads(run(repository, "git", "show", f"{commit}:reports/metrics.json"))


def right_of(repository: Path, revision: str) -> set[str]:
    """Ids of the test posts that the revision's model gets right."""
    commit = revision if revision == "HEAD" else experiment(repository, revision)
    path = "reports/evaluation/classifier/predictions.csv"
    run(repository, "dvc", "get", ".", path, "--rev", commit, "--out", "predictions.csv", "--force")
    text = (repository / "predictions.csv").read_text()
    (repository / "predictions.csv").unlink()
    return {row["id"] for row in csv.DictReader(text.splitlines()) if row["y_true"] == row["y_pred"]}


def experiment(repository: Path, name: str) -> str:
    lines = run(repository, "git", "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    (found,) = [line.split()[0] for line in lines if line.endswith(f"/{name}")]
    return found


def histories(repository: Path, each: Run) -> dict[str, list[float]]:
    client = MlflowClient(store(repository))
    names = [name for name in each.data.metrics if name != "epoch_seconds"]  # a clock's, kept in no file
    return {name: [point.value for point in client.get_metric_history(each.info.run_id, name)] for name in names}


def files(repository: Path, each: Run, folder: str = "") -> set[str]:
    client = MlflowClient(store(repository))
    found = client.list_artifacts(each.info.run_id, folder)
    return {item.path for item in found} | {path for item in found if item.is_dir for path in
                                            files(repository, each, item.path)}  # fmt: skip


def test_a_lost_store_is_rebuilt_from_commits_and_experiments(repository: Path) -> None:
    def everything() -> dict[str, tuple]:
        of_training = {"lineage/machine.json", "lineage/uncommitted.patch"}  # of the moment, kept in no file
        return {
            each.data.tags["result.digest"]: (
                {name: value for name, value in each.data.params.items() if not name.startswith("fetch")},
                histories(repository, each),
                files(repository, each) - of_training,
                each.data.tags["result.key"],
                len(each.outputs.model_outputs if each.outputs else []),
            )
            for each in runs(repository)
        }

    before = everything()
    run(repository, "dvc", "exp", "run", "--temp", "--name", "training-alone", "-S", "train.seed=9", "train")
    (repository / "mlflow.db").unlink()
    shutil.rmtree(repository / "mlartifacts")

    said = run(repository, "python", "-m", "pipeline.tracking", "rebuild")

    (trained,) = [each for each in runs(repository) if each.data.tags["result.state"] == "trained"]
    assert (trained.data.params["train.seed"], trained.data.tags["dvc.experiment"]) == ("9", "training-alone")
    assert not [name for name in trained.data.metrics if "test" in name]
    MlflowClient(store(repository)).delete_run(trained.info.run_id)
    assert len(before) == 4
    assert everything() == before
    assert "cannot be had" not in said
    again = run(repository, "python", "-m", "pipeline.tracking", "rebuild")
    assert again.count("has its run") == len(said.splitlines()) - 1  # but the one deleted by hand


def test_what_the_cache_no_longer_holds_is_listed(repository: Path) -> None:
    lock = run(repository, "git", "show", f"{experiment(repository, 'eight')}:dvc.lock")
    md5 = re.search(r"path: models/weights.safetensors\n +hash: md5\n +md5: (\w+)", lock)
    assert md5
    (repository / f".dvc/cache/files/md5/{md5[1][:2]}/{md5[1][2:]}").unlink()
    (eight,) = [each for each in runs(repository) if each.data.params["train.seed"] == "8"]
    MlflowClient(store(repository)).delete_run(eight.info.run_id)

    said = run(repository, "python", "-m", "pipeline.tracking", "rebuild", code=1)

    assert re.search("^  eight: cannot be had: error: .*train, explain must run again.*$", said, re.MULTILINE), said
    assert "8" not in {each.data.params["train.seed"] for each in runs(repository)}


def test_in_a_repository_that_was_moved_the_models_of_old_runs_load(repository: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(repository, tmp_path / "moved", symlinks=True)
    hidden = repository.rename(tmp_path / "hidden")
    try:
        id = shown(moved, "HEAD")

        mlflow.set_tracking_uri(store(moved))
        each = MlflowClient().get_run(id)
        assert each.outputs is not None
        model = mlflow.pyfunc.load_model(f"models:/{each.outputs.model_outputs[0].model_id}")
        answer = model.predict(pd.DataFrame({"text": ["how do i sort a dict by value"]}))
        assert answer["label"].tolist() == [json.loads(y_pred(moved))["label"]]
        assert "lineage" in files(moved, each)
    finally:
        hidden.rename(repository)


def y_pred(repository: Path) -> str:
    return run(repository, "python", "-m", "pipeline.predict", "--json", "how do i sort a dict by value")


def test_a_training_that_was_killed_outright_leaves_no_run_running(repository: Path) -> None:
    before = states(repository)["FINISHED"]
    change_params(repository, {"train": {"seed": 12, "epochs": 200, "patience": 200}})
    process = subprocess.Popen(["dvc", "repro"], cwd=repository, env=environment(), start_new_session=True)
    deadline = time.monotonic() + 120
    while not any(each.data.metrics.get("val_loss") for each in runs(repository) if each.info.status == "RUNNING"):
        assert process.poll() is None, "training ended before it could be killed"
        assert time.monotonic() < deadline, "no epoch in MLflow after two minutes"
        time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    assert states(repository)["RUNNING"] == 1
    change_params(repository, {"train": {"epochs": 2}})

    run(repository, "dvc", "repro")

    assert states(repository) == {"FINISHED": before + 1, "KILLED": 1}


def test_by_hand_a_run_is_not_made_of_files_and_parameters_that_do_not_belong_together(repository: Path) -> None:
    before = states(repository)
    change_params(repository, {"train": {"seed": 13}})

    said = run(repository, "python", "-m", "pipeline.track", code=1)

    assert said == "error: what is here is not one result: train must run again; `dvc repro` does that\n"
    assert states(repository) == before
