"""The gate: the criteria that a version must pass before it becomes the champion.

Champion and challenger predict the same test examples, each from its logged files and in a process of its own.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion

from pipeline.cli import UserError
from pipeline.corpus import near_duplicates, tables
from pipeline.metrics import classification, predictions, significance
from pipeline.params.registry import Registry
from pipeline.registry import versions
from pipeline.tracking import artifacts, hashes, model_logging, runs
from pipeline.tracking.errors import StoreError, store_errors

TEST = Path("data/split/test.parquet")
SCORING = Path(__file__).parent / "scoring.py"
TOLERANCE = 1e-3  # of the probabilities of one model on two machines


class ModelLoadError(Exception):
    """The model cannot be loaded, or cannot predict; the message says why."""


@dataclass(frozen=True)
class Predictions:
    """What a version's logged model predicts, in a process of its own."""

    labels: list[str]
    y_proba: np.ndarray  # float [examples, classes]
    load: float  # seconds
    latency: float  # milliseconds of CPU time for one text, the median
    size: float  # megabytes

    @property
    def y_pred(self) -> np.ndarray:
        return self.y_proba.argmax(axis=1)


@dataclass(frozen=True)
class TestSet:
    """The test split of the workspace."""

    ids: list[str]
    labels: list[str]  # sorted
    y_true: np.ndarray  # int [examples], indices into `labels`
    md5: str  # of the file

    __test__ = False  # no class of tests


@dataclass(frozen=True)
class Criterion:
    """One criterion of the gate, with its metrics in `detail`."""

    name: str
    passed: bool
    detail: str
    metrics: dict[str, Any] = field(default_factory=dict)  # for the history


@dataclass(frozen=True)
class Verdict:
    criteria: list[Criterion]

    @property
    def failed(self) -> list[str]:
        return [criterion.name for criterion in self.criteria if not criterion.passed]

    @property
    def metrics(self) -> dict[str, Any]:
        return {name: value for criterion in self.criteria for name, value in criterion.metrics.items()}


PredictTestSet = Callable[[ModelVersion], Predictions]


def load_test_set() -> TestSet:
    """Raises FileNotFoundError if there is none."""
    ids, names = tables.read_column(TEST, "id"), tables.read_column(TEST, "label")
    labels = sorted(set(names))
    return TestSet(ids, labels, predictions.label_indices(names, labels), hashes.md5(TEST))


def predict_test_set(client: MlflowClient, version: ModelVersion, only_input_example: bool = False) -> Predictions:
    """The version's predictions for the test examples, or only for its input example.

    Raises ModelLoadError, and UserError if its files are gone or others than its run logged.
    """
    with tempfile.TemporaryDirectory(prefix="version-") as folder:
        model = download_model(client, version, Path(folder))
        size = sum(file.stat().st_size for file in model.rglob("*") if file.is_file()) / 1e6
        result = Path(folder, "result.npz")
        # Without this repository on the path: the model must bring the code that it needs. It may hold no pickle.
        env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
        env["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
        texts = [] if only_input_example else [str(TEST.resolve())]
        command = [sys.executable, "-P", str(SCORING.resolve()), str(model), str(result), *texts]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env)
        if done.returncode:
            raise ModelLoadError((done.stderr.strip().splitlines() or ["it ended without a message"])[-1][:300])
        with np.load(result, allow_pickle=False) as arrays:
            load, latency = float(arrays["load"]), float(arrays["latency"])
            return Predictions(arrays["labels"].tolist(), arrays["probabilities"], load, latency, size)


def download_model(client: MlflowClient, version: ModelVersion, folder: Path) -> Path:
    """Download the version's model into the folder, and check it before anything of it is imported.

    Raises UserError if its files are gone, or are not those that its run logged.
    """
    uri = f"models:/{version.name}/{version.version}"
    try:
        with store_errors():
            model = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
    except StoreError as error:
        raise UserError(f"the files of version {version.version} cannot be downloaded ({error.reason})") from None
    if not (model / "MLmodel").exists():
        raise UserError(f"the files of version {version.version} are gone; `list` shows the other versions")
    # Compiled code, which loading from a local store leaves there: Python may prefer it to the files that are checked.
    for cache in list(model.rglob("__pycache__")):
        shutil.rmtree(cache)
    require_logged_files(client, version, model)
    return model


def require_logged_files(client: MlflowClient, version: ModelVersion, model: Path) -> None:
    """Raises UserError if a file of the downloaded model differs from its digest, which MLflow's database has."""
    logged_model = re.fullmatch(r"models:/(m-\w+)", version.source or "")
    with store_errors():
        tags = client.get_logged_model(logged_model[1]).tags if logged_model else {}
    if model_logging.DIGESTS not in tags:
        raise UserError(f"version {version.version} has no digests of its files; `register` a result of this pipeline")
    logged, found = json.loads(tags[model_logging.DIGESTS]), model_logging.file_digests(model)
    if different := sorted(name for name in logged.keys() | found.keys() if logged.get(name) != found.get(name)):
        raise UserError(
            f"version {version.version} is not loaded, because {different[0]} is not as its run logged it; "
            "restore that file, or delete the run, and `dvc repro` logs it again"
        )


def evaluate_gate(
    client: MlflowClient,
    params: Registry,
    version: ModelVersion,
    champion: ModelVersion | None,
    champion_test_md5: str | None,
    allow_sample: bool,
    predict: PredictTestSet,
) -> Verdict:
    """Evaluate all criteria. `champion_test_md5` is the md5 of the test split that the champion was promoted on.

    Raises UserError if the gate cannot be evaluated: no test split, other labels, files that are gone; and StoreError.
    """
    test, run = load_test_set(), versions.run_of_version(client, version)
    try:
        challenger = predict(version)
    except ModelLoadError as error:
        return Verdict([Criterion("loads", False, f"{error}; no other criterion can be evaluated")])
    require_labels(version, challenger, test)
    baseline = recorded_probabilities(client, run, "baseline", test)

    criteria: list[Criterion] = []
    reference, name = None, ""
    if champion:
        try:
            champion_predictions = predict(champion)
            require_labels(champion, champion_predictions, test)
            reference, name = champion_predictions.y_pred, "the champion"
        except (ModelLoadError, UserError) as error:  # --force can replace a champion that does not load any more
            detail = f"{error}; compared with the baseline instead"
            criteria.append(Criterion("champion loads", False, detail))
    if reference is None and baseline is not None:
        reference, name = baseline.argmax(axis=1), "the baseline"
    if reference is not None:
        criteria.append(significant_improvement(params, test, challenger.y_pred, reference, name))
        criteria.append(no_class_regression(params, test, challenger.y_pred, reference))
    criteria += [
        beats_baseline(test, challenger.y_pred, baseline),
        no_leakage(client, run, test),
        same_test_set(client, champion, champion_test_md5, test),
        Criterion("loads", True, f"in {challenger.load:.1f} s, without unpickling; predicts its input example"),
        prediction_consistency(challenger, recorded_probabilities(client, run, "classifier", test)),
        latency(params, challenger),
        size(params, challenger),
        real_data(client, version, run, allow_sample),
    ]
    return Verdict(criteria)


def require_labels(version: ModelVersion, predicted: Predictions, test: TestSet) -> None:
    """Raises UserError if the model has other labels than the test split."""
    if predicted.labels != test.labels:
        raise UserError(
            f"version {version.version} has the labels {', '.join(predicted.labels)}, but {TEST} has "
            f"{', '.join(test.labels)}; restore the data that it was trained for"
        )


def significant_improvement(
    params: Registry, test: TestSet, y_pred: np.ndarray, y_pred_other: np.ndarray, other: str
) -> Criterion:
    """The challenger is better by McNemar's test and by a paired bootstrap interval of macro F1."""
    n_classes, level = len(test.labels), params.significance_level
    f1, other_f1 = (
        float(classification.per_class_f1(test.y_true, each, n_classes).mean()) for each in (y_pred, y_pred_other)
    )
    low, high = significance.bootstrap_f1_difference(test.y_true, y_pred, y_pred_other, n_classes, level)
    only, only_other, p_value = significance.mcnemar_test(y_pred == test.y_true, y_pred_other == test.y_true)
    return Criterion(
        "significant improvement",
        low > params.margin and only > only_other and p_value < level,
        f"macro F1 {f1:.4f}, {other} {other_f1:.4f}: {f1 - other_f1:+.4f}, {1 - level:.0%} interval {low:+.4f} to "
        f"{high:+.4f} (must be above {params.margin:g}); of {len(test.ids):,} examples only it classifies {only:,} "
        f"correctly, only {other} {only_other:,}: McNemar's p = {p_value:.2g} (must be below {level:g})",
        {
            "examples": len(test.ids), "test_md5": test.md5, "compared_with": other, "macro_f1": f1,
            "other_macro_f1": other_f1, "difference_low": low, "difference_high": high, "only_challenger_correct": only,
            "only_other_correct": only_other, "p_value": p_value,
        },
    )  # fmt: skip


def no_class_regression(params: Registry, test: TestSet, y_pred: np.ndarray, y_pred_other: np.ndarray) -> Criterion:
    """No class loses more than `class_margin` of its F1."""
    n_classes = len(test.labels)
    f1, other_f1 = (classification.per_class_f1(test.y_true, each, n_classes) for each in (y_pred, y_pred_other))
    change = f1 - other_f1
    worst = int(change.argmin())
    return Criterion(
        "no class regression",
        bool(change[worst] >= -params.class_margin),
        f"the lowest change is that of {test.labels[worst]}: F1 {other_f1[worst]:.4f} to {f1[worst]:.4f}, "
        f"{change[worst]:+.4f} (may lose {params.class_margin:g})",
    )


def beats_baseline(test: TestSet, y_pred: np.ndarray, baseline: np.ndarray | None) -> Criterion:
    """Its macro F1 is higher than that of the baseline that was fitted on the same examples."""
    name = "beats baseline"
    if baseline is None:
        return Criterion(
            name, False, "its run has no predictions of its baseline for this test split; `dvc repro` logs them"
        )
    f1, baseline_f1 = (
        float(classification.per_class_f1(test.y_true, each, len(test.labels)).mean())
        for each in (y_pred, baseline.argmax(axis=1))
    )
    detail = f"macro F1 {f1:.4f}, its baseline {baseline_f1:.4f}"
    return Criterion(name, f1 > baseline_f1, detail, {"macro_f1": f1, "baseline_macro_f1": baseline_f1})


def no_leakage(client: MlflowClient, run: Run, test: TestSet) -> Criterion:
    """No test example, nor a near-duplicate of one, is among the examples that the model was fitted on."""
    name = "no leakage"
    if not (fitted_on := training_fingerprints(client, run)):
        return Criterion(name, False, "its run has no fingerprints of the examples it was fitted on; train it again")
    duplicates = near_duplicates_in_test(fitted_on)
    n_examples, n_fitted_on = f"{len(test.ids):,}", f"{len(fitted_on):,}"
    detail = f"none of {n_examples} test examples is a near-duplicate of the {n_fitted_on} examples it was fitted on"
    if duplicates:
        position, other, similarity = max(duplicates, key=lambda each: each[2])
        detail = (
            f"{len(duplicates):,} of {n_examples} test examples are near-duplicates of examples it was fitted on; "
            f"{test.ids[position]} has a similarity of {similarity:.0%} to {fitted_on[other][0]}"
        )
    return Criterion(name, not duplicates, detail, {"near_duplicates": len(duplicates)})


def near_duplicates_in_test(fitted_on: list[tuple[str, bytes]]) -> list[tuple[int, int, float]]:
    """The test examples that are near-duplicates of these, as `near_duplicates.find_near_duplicates` yields them."""
    # Computed from the texts: the fingerprints in the table of the workspace prove nothing.
    texts = tables.read_column(TEST, "text")
    fingerprints = (fingerprint for _, fingerprint in fitted_on)
    return list(near_duplicates.find_near_duplicates(fingerprints, map(near_duplicates.fingerprint, texts)))


def training_fingerprints(client: MlflowClient, run: Run) -> list[tuple[str, bytes]] | None:
    """Id and fingerprint of the examples that a run was fitted on; None if it has none. Raises StoreError."""
    with tempfile.TemporaryDirectory() as folder:
        artifact = f"{runs.PROVENANCE}/{runs.TRAINING_FINGERPRINTS}"
        path = artifacts.download_artifact(client, run, artifact, folder)
        return list(tables.read_rows(path, tables.FINGERPRINT_SCHEMA)) if path else None


def same_test_set(
    client: MlflowClient, champion: ModelVersion | None, champion_test_md5: str | None, test: TestSet
) -> Criterion:
    """Whether the champion was promoted on this test split. Both predict it anew, so this criterion only informs."""
    name = "same test set"
    if not champion:
        return Criterion(name, True, "no champion yet; compared with the baseline on the same examples")
    run = versions.find_run_of_version(client, champion)  # it may be deleted, which must not block a promotion
    before = champion_test_md5 or (artifacts.dataset_digests(run).get("test") if run else None)
    if before == test.md5:
        return Criterion(name, True, f"the champion was promoted on this one (md5 {test.md5[:8]})")
    other = f"another one (md5 {before[:8]})" if before else "one that is not recorded"
    detail = f"the champion was promoted on {other}; both were evaluated on {test.md5[:8]}"
    fitted_on = training_fingerprints(client, run) if run else None
    if duplicates := len(near_duplicates_in_test(fitted_on or [])):
        detail += f", {duplicates:,} of whose examples are near-duplicates of examples the champion was fitted on"
    return Criterion(name, True, detail)


def recorded_probabilities(client: MlflowClient, run: Run, model: str, test: TestSet) -> np.ndarray | None:
    """The probabilities `[examples, classes]` of a model in the run's evaluation; None if it has none for these."""
    if artifacts.dataset_digests(run).get("test") != test.md5:
        return None
    recorded = artifacts.read_predictions(client, run, model)
    if recorded is None or sorted(recorded.ids) != sorted(test.ids) or sorted(recorded.labels) != test.labels:
        return None
    row_of = {id: row for row, id in enumerate(recorded.ids)}
    rows = [row_of[id] for id in test.ids]
    columns = [recorded.labels.index(label) for label in test.labels]
    return recorded.y_proba[rows][:, columns]


def prediction_consistency(challenger: Predictions, recorded: np.ndarray | None) -> Criterion:
    """The model that would be served predicts as the one that was evaluated."""
    name = "prediction consistency"
    if recorded is None:
        return Criterion(name, False, "its run has no predictions for this test split; `dvc repro` logs them")
    difference = np.abs(challenger.y_proba - recorded).max(axis=1)
    different = int((difference > TOLERANCE).sum())
    detail = f"all {len(difference):,} predictions are those of its evaluation, within {difference.max():.1e}"
    if different:
        detail = (
            f"{different:,} of {len(difference):,} predictions are not those of its evaluation, with differences up to "
            f"{difference.max():.2g}"
        )
    return Criterion(name, not different, detail)


def latency(params: Registry, challenger: Predictions) -> Criterion:
    detail = f"{challenger.latency:.1f} ms of CPU time per text (at most {params.max_latency_ms:g})"
    return Criterion("latency", challenger.latency <= params.max_latency_ms, detail)


def size(params: Registry, challenger: Predictions) -> Criterion:
    detail = f"{challenger.size:.1f} MB (at most {params.max_size_mb:g})"
    return Criterion("size", challenger.size <= params.max_size_mb, detail)


def real_data(client: MlflowClient, version: ModelVersion, run: Run, allow_sample: bool) -> Criterion:
    """It was not trained on the sample, unless `--allow-sample` is given. Raises UserError."""
    if not (split := artifacts.read_json(client, run, "split.json")):
        raise UserError(f"the run of version {version.version} has lost its split.json")
    detail = f"trained on {split['corpus']['source']}"
    if is_sample := split["corpus"]["sample"]:
        detail += f", which is generated ({'allowed' if allow_sample else '--allow-sample allows it'})"
    return Criterion("real data", not is_sample or allow_sample, detail)
