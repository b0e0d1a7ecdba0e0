"""The stage track: it completes the run that training began, makes one where there is none, and never a second."""

import hashlib
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline import params, track
from pipeline.corpus import tables
from pipeline.model import linear
from pipeline.tracking import runs

ROOT = Path(__file__).parent.parent
FIGURES = {"accuracy": 0.9, "macro_f1": 0.8, "log_loss": 0.3, "ece": 0.05}
INTERVALS = {"accuracy": [0.85, 0.95], "macro_f1": [0.75, 0.84]}
MODELS = ["classifier", "network", "baseline"]
# Of four test posts, the classifier's answer to the last one is wrong.
ANSWERS = [("a", "fruit", "fruit"), ("b", "fruit", "fruit"), ("c", "pythön", "pythön"), ("d", "pythön", "fruit")]
PAGE, CARD = Path("reports/report.html"), Path("reports/model_card.md")
PLOTS = ["precision_recall", "slices", "agreement", "reliability", "coverage"]
HISTORY = [{"epoch": 1, "loss": 0.5, "val_log_loss": 0.4}, {"epoch": 2, "loss": 0.4, "val_log_loss": 0.3}]


@pytest.fixture
def everything(make_models: Callable, set_params: Callable, monkeypatch: pytest.MonkeyPatch) -> params.Params:
    """A workspace with all that the stages before it leave; its models are hand-made."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_STAGE", "track")
    everything = set_params(baseline={"min_df": 1, "char_min_df": 1})
    make_models(linear.fit(["banana tree", "dict key"], np.array([0, 1]), 2, everything.baseline))
    for name in ("dvc.yaml", "pipeline"):  # what the key of the run is made of
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, Path(name))
    Path("reports").mkdir()
    Path("data/split").mkdir(parents=True)
    for name in ("train", "validation", "test"):
        Path(f"data/split/{name}.parquet").write_bytes(f"{name} posts".encode())
    for name in ("baseline", "train"):
        Path("data/fingerprints").mkdir(exist_ok=True)
        rows = [{"id": "a", "fingerprint": b"of a"}, {"id": name, "fingerprint": b"of another"}]
        tables.write_table(Path(f"data/fingerprints/{name}.parquet"), tables.FINGERPRINT_SCHEMA, rows)
    Path("dvc.lock").write_text("schema: '2.0'\n")
    corpus = {"source": "fruits", "sample": False, "digest": "0" * 64, "licence": "none"}
    reports = {
        "split": {
            "corpus": corpus,
            "posts": {"train": 100, "validation": 20, "test": 4},
            "test": "drawn",
            "labels": {role: {"fruit": 2, "pythön": 2} for role in ("train", "validation", "test")},
            "duplicates_dropped": {"in_test_too": 0, "nearly_in_test_too": 0},
        },
        "metrics": {
            "posts": 4,
            "classifier": FIGURES,
            "baseline": FIGURES | {"accuracy": 0.7},
            "network": FIGURES | {"accuracy": 0.8},
            "mcnemar": {"only_classifier_right": 10, "only_baseline_right": 2, "p": 0.0386},
            "before_scaling": {"log_loss": 0.4, "ece": 0.1},
            "temperature": 1.25,
            "intervals": {model: INTERVALS for model in MODELS},
            "macro_f1_above_baseline": [0.01, 0.2],
            "labels": [
                {"label": label, "precision": 0.9, "recall": 0.8, "f1": 0.85, "average_precision": 0.95, "posts": 2}
                for label in ("fruit", "pythön")
            ],
            "slices": [],
            "agreement": [],
        },
        "posts": {"mistakes": 0, "posts": [], "alike": []},
        "train": {
            "parameters": 12,
            "best_epoch": 2,
            "validation": FIGURES,
            "network_validation": FIGURES | {"accuracy": 0.75},
        },
        "baseline": {"max_ngram": 3, "validation": FIGURES},
    }
    for name, content in reports.items():
        Path("reports", f"{name}.json").write_text(json.dumps(content))
    lines = [",".join(HISTORY[0]), *(",".join(map(str, row.values())) for row in HISTORY)]
    Path("reports/history.csv").write_text("\n".join(lines) + "\n")
    Path("reports/gradients.csv").write_text("steps_back,before,after\n0,1.0,2.0\n")
    for model in ("classifier", "baseline"):
        Path("reports/evaluation", model).mkdir(parents=True)
        Path("reports/evaluation", model, "classification_report.txt").write_text("report")
    Path("reports/evaluation/plots").mkdir()
    drawn = ["history", "gradients", "evaluation/classifier/confusion_matrix"]
    for name in drawn + [f"evaluation/plots/{plot}" for plot in PLOTS]:
        Path("reports", f"{name}.svg").write_text(f"<svg><title>{name}</title></svg>")
    answer(ANSWERS)
    return everything


def answer(answers: Sequence[tuple[str, str, str]]) -> None:
    """Predictions as `evaluate` writes them, of an id, a label and the label predicted each."""
    lines = ["id,actual,predicted", *map(",".join, answers)]
    Path("reports/evaluation/classifier/predictions.csv").write_text("\n".join(lines) + "\n")


def change_metrics(model: str, **changes: float) -> None:
    metrics = json.loads(Path("reports/metrics.json").read_text())
    metrics[model] |= changes
    Path("reports/metrics.json").write_text(json.dumps(metrics))


def store() -> MlflowClient:
    return MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")


def all_runs() -> list[Run]:
    client = store()
    return list(client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]))


def artifacts(run: Run, folder: str | None = None) -> set[str]:
    found = store().list_artifacts(run.info.run_id, folder)
    return {path for each in found for path in (artifacts(run, each.path) if each.is_dir else {each.path})}


def artifact(run: Run, path: Path) -> str:
    """What the run holds of a file of `reports/`."""
    return Path(store().download_artifacts(run.info.run_id, path.name)).read_text(encoding="utf-8")


def epochs_of(run: Run) -> list[tuple[int, float]]:
    client = store()
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, "val_log_loss")]


def test_a_result_without_a_run_gets_one_from_its_files(everything: params.Params) -> None:
    track.main()

    (only,) = all_runs()
    assert only.info.status == "FINISHED"
    assert epochs_of(only) == [(1, 0.4), (2, 0.3)]
    assert only.data.metrics["baseline_test_accuracy"] == 0.7
    assert only.data.metrics["test_macro_f1"] == 0.8
    assert only.data.metrics["network_test_accuracy"] == 0.8
    assert only.data.metrics["network_validation_accuracy"] == 0.75
    assert only.data.metrics["mcnemar_p"] == 0.0386
    assert only.data.metrics["test_ece"] == 0.05


def test_the_run_holds_reports_gradients_and_the_reports_of_both_models(everything: params.Params) -> None:
    track.main()

    (only,) = all_runs()
    evaluation = Path("reports/evaluation")
    made = {file.relative_to(evaluation).as_posix() for file in evaluation.rglob("*") if file.is_file()}
    tables = ["split.json", "train.json", "baseline.json", "metrics.json", "history.csv", "gradients.csv"]
    held = artifacts(only)
    assert {path for path in held if not path.startswith("lineage/")} == {
        *made, *tables, "plots/history.svg", "plots/gradients.svg", "report.html", "model_card.md"
    }  # fmt: skip
    assert {"classifier/classification_report.txt", "plots/reliability.svg"} <= made


def test_a_network_without_a_linear_model_has_no_figures_of_its_own(everything: params.Params) -> None:
    for name, figure in (("metrics", "network"), ("train", "network_validation")):
        report = json.loads(Path(f"reports/{name}.json").read_text())
        del report[figure]
        Path(f"reports/{name}.json").write_text(json.dumps(report))

    track.main()

    (only,) = all_runs()
    assert only.data.metrics["test_accuracy"] == 0.9
    assert not [name for name in only.data.metrics if name.startswith("network")]


def test_the_run_tells_of_its_data_its_lock_and_what_determined_it(everything: params.Params) -> None:
    track.main()

    (only,) = all_runs()
    client = store()
    assert only.inputs is not None
    told = {
        each.tags[0].value: (
            each.dataset.name,
            each.dataset.digest,
            json.loads(each.dataset.profile or "{}")["num_rows"],
        )
        for each in only.inputs.dataset_inputs
    }
    assert told == {
        context: (f"fruits {name}", hashlib.md5(f"{name} posts".encode()).hexdigest(), posts)
        for name, context, posts in (("train", "training", 100), ("validation", "validation", 20), ("test", "test", 4))
    }
    held = {Path(file.path).name for file in client.list_artifacts(only.info.run_id, "lineage")}
    # No machine: what this process runs on is not what the training ran on.
    assert held == {"dvc.lock", "ingredients.json", "learned.parquet"}


def test_a_training_that_was_not_evaluated_has_a_run_that_evaluation_completes(everything: params.Params) -> None:
    metrics = Path("reports/metrics.json").read_text()
    Path("reports/metrics.json").unlink()

    track.main()
    track.main()
    (trained,) = all_runs()
    Path("reports/metrics.json").write_text(metrics)
    track.main()

    (only,) = all_runs()
    assert (trained.info.status, trained.data.tags[runs.STATE]) == ("FINISHED", "trained")
    assert not [name for name in trained.data.metrics if "test" in name]
    assert only.info.run_id == trained.info.run_id
    assert only.data.tags[runs.STATE] == "complete"
    assert only.data.metrics["test_macro_f1"] == 0.8


def test_two_runs_of_one_result_become_one(everything: params.Params) -> None:
    track.main()
    (first,) = all_runs()
    client = store()
    # As another machine's, which came to the same result at the same moment.
    tags = {name: value for name, value in first.data.tags.items() if name.startswith("result.")}
    second = client.create_run(first.info.experiment_id, tags=tags | {runs.STATE: "complete"})
    client.set_terminated(second.info.run_id)

    track.main()

    assert [run.info.run_id for run in all_runs()] == [first.info.run_id]


def test_epochs_that_the_store_missed_are_logged_once(everything: params.Params) -> None:
    with runs.training_run(everything) as log:
        log(HISTORY[0])  # and then the store was away

    track.main()

    (only,) = all_runs()
    assert epochs_of(only) == [(1, 0.4), (2, 0.3)]


def test_a_result_has_one_run_however_often_it_is_tracked(everything: params.Params) -> None:
    for _ in range(3):
        track.main()

    assert len(all_runs()) == 1


def test_another_result_of_the_same_inputs_has_a_run_of_its_own(everything: params.Params) -> None:
    track.main()
    change_metrics("classifier", accuracy=0.91)  # as on another machine

    track.main()

    assert sorted(run.data.metrics["test_accuracy"] for run in all_runs()) == [0.9, 0.91]


def test_a_tracking_that_broke_off_is_completed_in_the_same_run(
    everything: params.Params, capsys: pytest.CaptureFixture[str]
) -> None:
    with runs.training_run(everything):
        pass
    shutil.move("mlartifacts", "away")
    Path("mlartifacts").write_text("in the way")
    track.main()
    (broken,) = all_runs()
    Path("mlartifacts").unlink()
    shutil.move("away", "mlartifacts")
    assert capsys.readouterr().out.startswith("warning: MLflow could not be told of this result (")

    track.main()

    (only,) = all_runs()
    assert (only.info.run_id, only.info.status) == (broken.info.run_id, "FINISHED")
    assert epochs_of(only) == [(1, 0.4), (2, 0.3)]
    client = store()
    assert len(client.search_logged_models([only.info.experiment_id])) == 1


def test_a_run_that_broke_off_before_it_was_described_is_described(everything: params.Params) -> None:
    shutil.move("reports/history.csv", "away")
    track.main()
    shutil.move("away", "reports/history.csv")
    (broken,) = all_runs()
    client = store()
    shutil.rmtree(Path(broken.info.artifact_uri.removeprefix("file://"), "lineage"))

    track.main()

    (only,) = all_runs()
    assert only.info.run_id == broken.info.run_id
    assert "lineage/ingredients.json" in {file.path for file in client.list_artifacts(only.info.run_id, "lineage")}
    assert only.inputs is not None
    assert len(only.inputs.dataset_inputs) == 3


def test_by_hand_it_refuses_what_is_not_one_result(everything: params.Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_STAGE")  # and no dvc.lock says that these files belong together
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], check=True)

    with pytest.raises(track.UserError, match="what is here is not one result"):
        track.main()


# The page and the model card


def test_the_page_and_the_card_are_in_the_run_and_name_it(everything: params.Params) -> None:
    track.main()

    (only,) = all_runs()
    assert artifact(only, PAGE) == PAGE.read_text(encoding="utf-8")
    assert artifact(only, CARD) == CARD.read_text(encoding="utf-8")
    assert f"<dd>{only.info.run_name} ({only.info.run_id})</dd>" in PAGE.read_text(encoding="utf-8")
    assert "<dd>no commit: git knew of none</dd>" in PAGE.read_text(encoding="utf-8")
    assert f"<dd>4 posts, md5 {hashlib.md5(b'test posts').hexdigest()}</dd>" in PAGE.read_text(encoding="utf-8")
    assert CARD.read_text(encoding="utf-8").startswith("# text-classification\n")


def test_the_commit_of_the_run_stands_in_the_page_and_in_the_card(everything: params.Params) -> None:
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["git", "add", "params.yaml"], check=True)
    me = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *me, "commit", "--quiet", "--message", "start"], check=True)
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()

    track.main()

    (only,) = all_runs()
    assert only.data.tags["mlflow.source.git.commit"] == commit
    assert f"<dd>commit {commit}, branch " in artifact(only, PAGE)
    # The pipeline of this folder is in no commit.
    assert "with the changes in the run&#39;s lineage/uncommitted.patch</dd>" in artifact(only, PAGE)
    assert f"from commit `{commit}` and the changes in the run's `lineage/uncommitted.patch`." in artifact(only, CARD)


def test_the_runs_note_has_a_table_of_its_figures(everything: params.Params) -> None:
    track.main()

    (only,) = all_runs()
    note = only.data.tags["mlflow.note.content"]
    about = "100 training posts of fruits (licence: none). Its page is among its artifacts: `report.html`."
    assert note.startswith(f"{about}\n\n| ")
    assert "| the classifier | 0.9000 (0.8500 to 0.9500) | 0.8000 (0.7500 to 0.8400) | 0.3000 |" in note
    assert "| the linear baseline | 0.7000 (0.8500 to 0.9500) |" in note
    # Without its head and the line below that, a row per model.
    assert [line.split(" | ")[0] for line in note.splitlines()[4:]] == [
        "| the classifier", "| its recurrent network alone", "| the linear baseline"
    ]  # fmt: skip


def test_a_tracking_that_broke_off_at_its_very_end_leaves_one_table_in_the_note(everything: params.Params) -> None:
    track.main()
    (first,) = all_runs()
    store().set_tag(first.info.run_id, runs.STATE, "trained")

    track.main()

    (again,) = all_runs()
    assert again.data.tags[runs.STATE] == "complete"
    assert again.data.tags["mlflow.note.content"] == first.data.tags["mlflow.note.content"]


def test_a_run_whose_note_somebody_took_away_is_completed_all_the_same(everything: params.Params) -> None:
    track.main()
    (first,) = all_runs()
    store().set_tag(first.info.run_id, runs.STATE, "trained")
    store().delete_tag(first.info.run_id, "mlflow.note.content")

    track.main()

    (again,) = all_runs()
    assert again.data.tags[runs.STATE] == "complete"
    assert "| the classifier | 0.9000" in again.data.tags["mlflow.note.content"]


def test_a_second_time_the_page_is_made_anew_here_and_mlflows_stays(everything: params.Params) -> None:
    track.main()
    (first,) = all_runs()
    there = [Path(store().download_artifacts(first.info.run_id, path.name)) for path in (PAGE, CARD)]
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in there]
    PAGE.unlink()
    CARD.unlink()
    made_champion(first)  # of which the page of then knew nothing

    track.main()

    (second,) = all_runs()
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in there] == before
    assert second.data.tags["mlflow.note.content"] == first.data.tags["mlflow.note.content"]
    assert "<p>No version is the champion yet.</p>" in artifact(second, PAGE)
    assert "<p>It is the champion: version 1.</p>" in PAGE.read_text(encoding="utf-8")
    assert CARD.read_bytes() == before[1][0]


def made_champion(run: Run, model: str = "text-classification", run_id: str | None = None) -> None:
    """Version 1 of the registered model is the run's, and the champion."""
    client = store()
    client.create_registered_model(model)
    client.create_model_version(model, str(run.info.artifact_uri), run_id or run.info.run_id)
    client.set_registered_model_alias(model, "champion", "1")


def test_another_champion_has_its_row_in_the_page_and_is_compared_post_by_post(everything: params.Params) -> None:
    change_metrics("classifier", accuracy=0.75, macro_f1=0.7333, log_loss=0.512, ece=0.25)
    track.main()
    made_champion(all_runs()[0])
    change_metrics("classifier", accuracy=1.0, macro_f1=1.0)
    answer([(id, y_true, y_true) for id, y_true, _ in ANSWERS])

    track.main()

    new, champion = all_runs()
    page = artifact(new, PAGE)
    row = page.partition("<tr><th>the champion, version 1</th>")[2].partition("</tr>")[0]
    assert re.findall(r">([0-9.]+)<", row) == ["0.7500", "0.7333", "0.5120", "0.2500"]
    # All four right, against three: whichever posts are drawn, it is never behind.
    match = re.search(
        r"<p>Against the champion, version 1: macro F1 \+0\.0000 to (\+0\.\d{4}) \(95% interval of the difference\); "
        r"1 posts only this one gets right, 0 only the champion \(McNemar&#39;s p = 1\)\.</p>",
        page,
    )
    assert match
    assert float(match[1]) > 0.2667  # what it is ahead by on the posts that there are: 1 - (2/3 + 4/5) / 2
    assert "champion, version" not in artifact(champion, PAGE)


def test_a_champion_that_was_judged_on_other_posts_is_not_compared(everything: params.Params) -> None:
    track.main()
    made_champion(all_runs()[0])
    answer(ANSWERS[:3])
    change_metrics("classifier", accuracy=1.0)

    track.main()

    sentence = "The champion is version 1. No paired test: the two were not evaluated on the same test posts."
    assert f"<p>{sentence}</p>" in PAGE.read_text(encoding="utf-8")


def test_a_champion_whose_run_is_gone_costs_no_result_its_run(everything: params.Params) -> None:
    track.main()
    (first,) = all_runs()
    made_champion(first, run_id="0" * 32)  # as after `mlflow gc`
    change_metrics("classifier", accuracy=0.91)

    track.main()

    new, _ = all_runs()
    assert new.data.tags[runs.STATE] == "complete"
    said = "The champion cannot be had (the run of version 1 is gone, and with it where the version comes from)."
    assert f"<p>{said}</p>" in artifact(new, PAGE)


def test_with_the_store_away_the_page_is_written_and_says_so(
    everything: params.Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    track.main()

    page = PAGE.read_text(encoding="utf-8")
    assert "<p>Who the champion is was not to be learned: MLflow was out of reach.</p>" in page
    assert "<dt>corpus</dt><dd>fruits, digest 0000" in page
    assert "from commit `unknown`." in CARD.read_text(encoding="utf-8")
    assert not Path("mlflow.db").exists()


def test_a_result_that_was_not_evaluated_has_no_page(everything: params.Params) -> None:
    Path("reports/metrics.json").unlink()

    track.main()

    (only,) = all_runs()
    assert not PAGE.exists()
    assert not CARD.exists()
    assert not {"report.html", "model_card.md"} & artifacts(only)
