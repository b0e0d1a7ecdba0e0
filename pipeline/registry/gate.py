"""What a version must show before it becomes the champion: both are asked the same test posts, here and now."""

import os
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
from pipeline.metrics import classification, significance
from pipeline.params.registry import Registry
from pipeline.registry import versions
from pipeline.tracking import artifacts, hashes, runs
from pipeline.tracking.errors import StoreError, store_errors

TEST = Path("data/split/test.parquet")
SCORE = Path(__file__).parent / "score.py"
SAME = 1e-3  # by which two machines' probabilities may differ


class ModelLoadError(Exception):
    """The model cannot be loaded or asked; the message says why."""


@dataclass(frozen=True)
class Predictions:
    """What a version's logged model answered, in a process of its own."""

    labels: list[str]
    probabilities: np.ndarray  # float [posts, labels]
    load: float  # seconds
    latency: float  # milliseconds for one post, the median
    size: float  # megabytes


@dataclass(frozen=True)
class TestSet:
    """Those of the workspace: what the repository calls its test split now."""

    ids: list[str]
    labels: list[str]  # of all posts, each once, in order
    y_true: np.ndarray  # int [posts], an index into `labels`
    md5: str  # of their file

    __test__ = False  # no class of tests


@dataclass(frozen=True)
class Criterion:
    name: str
    passed: bool
    said: str  # with its figures


@dataclass
class Verdict:
    criteria: list[Criterion] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, passed: bool, said: str) -> None:
        self.criteria.append(Criterion(name, bool(passed), said))

    @property
    def failed(self) -> list[str]:
        return [criterion.name for criterion in self.criteria if not criterion.passed]


Ask = Callable[[ModelVersion], Predictions]


def load_test_set() -> TestSet:
    """Raises FileNotFoundError where there are none."""
    ids, names = tables.read_column(TEST, "id"), tables.read_column(TEST, "label")
    labels = sorted(set(names))
    return TestSet(ids, labels, np.array([labels.index(name) for name in names]), hashes.md5(TEST))


def predict_test_set(version: ModelVersion, test: bool = True) -> Predictions:
    """The version's answers to all test posts, or else to its input example alone.

    Raises Unfit, and Stop where its files are gone.
    """
    with tempfile.TemporaryDirectory(prefix="version-") as folder:
        model = download(version, Path(folder))
        files = [file for file in model.rglob("*") if file.is_file()]
        out = Path(folder, "answers.npz")
        # Not with this repository on the path: the model must bring what it needs. Nor may it hold a pickle.
        env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
        posts = [str(TEST.resolve())] if test else []
        command = [sys.executable, "-P", str(SCORE.resolve()), str(model), str(out), *posts]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True,
            env=env | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        )  # fmt: skip
        if done.returncode:
            raise ModelLoadError((done.stderr.strip().splitlines() or ["it ended without a word"])[-1][:300])
        size = sum(file.stat().st_size for file in files) / 1e6
        with np.load(out, allow_pickle=False) as made:
            return Predictions(
                made["labels"].tolist(), made["probabilities"], float(made["load"]), float(made["latency"]), size
            )


def download(version: ModelVersion, folder: Path) -> Path:
    """The version's model in that folder. Raises Stop where its files are gone."""
    uri = f"models:/{version.name}/{version.version}"
    try:
        with store_errors():
            model = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
    except StoreError as error:
        raise UserError(f"the files of version {version.version} cannot be had ({error})") from None
    if not (model / "MLmodel").exists():
        raise UserError(f"the files of version {version.version} are gone; `list` shows what else there is")
    return model


def evaluate_gate(
    client: MlflowClient,
    section: Registry,
    version: ModelVersion,
    champion: ModelVersion | None,
    judged_on: str | None,
    allow_sample: bool,
    ask: Ask,
) -> Verdict:
    """All criteria with their figures. `judged_on` is the md5 of the test posts that the champion was judged on.

    Raises Stop where there is nothing to judge by: no test posts, other labels, files that are gone; and StoreError.
    """
    posts, run, verdict = load_test_set(), versions.run_of_version(client, version), Verdict()
    try:
        ours = ask(version)
    except ModelLoadError as error:
        verdict.add("loads", False, f"{error}; without that nothing else can be asked of it")
        return verdict
    require_labels(version, ours, posts)
    answers = ours.probabilities.argmax(axis=1)
    baseline = recorded_predictions(client, run, "baseline", posts)

    theirs = None
    if champion:
        try:
            theirs = ask(champion)
            require_labels(champion, theirs, posts)
        except (ModelLoadError, UserError) as error:  # with --force, another one can take its place
            verdict.add("champion answers", False, f"{error}; judged against the baseline instead")
            theirs = None
    if theirs:
        add_comparison(verdict, section, posts, answers, theirs.probabilities.argmax(axis=1), "the champion")
    elif baseline is not None:
        add_comparison(verdict, section, posts, answers, baseline.argmax(axis=1), "the baseline")
    add_beats_baseline(verdict, posts, answers, baseline)
    add_no_leakage(verdict, client, run, posts)
    add_same_test_set(verdict, client, champion, judged_on, posts)

    verdict.add("loads", True, f"by itself, in {ours.load:.1f} s, and unpickles nothing; answers its own input example")
    add_prediction_consistency(verdict, ours, recorded_predictions(client, run, "classifier", posts))
    verdict.add(
        "latency",
        ours.latency <= section.max_latency_ms,
        f"{ours.latency:.1f} ms a post (at most {section.max_latency_ms:g})",
    )
    verdict.add("size", ours.size <= section.max_size_mb, f"{ours.size:.1f} MB (at most {section.max_size_mb:g})")
    if not (split := artifacts.read_json(client, run, "split.json")):
        raise UserError(f"the run of version {version.version} has lost its split.json")
    said = f"trained on {split['corpus']['source']}"
    if sample := split["corpus"]["sample"]:
        said += f", which is for trying out ({'allowed' if allow_sample else '--allow-sample lets it pass'})"
    verdict.add("real posts", not sample or allow_sample, said)
    return verdict


def require_labels(version: ModelVersion, answers: Predictions, posts: TestSet) -> None:
    """Raises Stop where the model knows other labels than the test posts have."""
    if answers.labels != posts.labels:
        raise UserError(
            f"version {version.version} tells {', '.join(answers.labels)} apart, but the labels of the test posts in "
            f"{TEST} are {', '.join(posts.labels)}; bring back the posts that it is for"
        )


def add_comparison(
    verdict: Verdict, section: Registry, posts: TestSet, ours: np.ndarray, theirs: np.ndarray, name: str
) -> None:
    """Is it better than the other, more than by chance? Does no label get worse?"""
    count = len(posts.labels)
    by_label, other_by_label = (classification.per_class_f1(posts.y_true, answer, count) for answer in (ours, theirs))
    low, high = significance.bootstrap_f1_difference(posts.y_true, ours, theirs, count, section.significance_level)
    only, only_other, p = significance.mcnemar_test(ours == posts.y_true, theirs == posts.y_true)
    macro, other_macro = float(by_label.mean()), float(other_by_label.mean())
    verdict.figures |= {
        "posts": len(posts.ids), "posts_md5": posts.md5, "against": name, "macro_f1": macro,
        "other_macro_f1": other_macro, "low": low, "high": high, "only_right": only, "only_other_right": only_other,
        "p": p,
    }  # fmt: skip
    verdict.add(
        "better",
        low > section.margin and only > only_other and p < section.significance_level,
        f"macro F1 {macro:.4f}, {name}'s {other_macro:.4f}: {macro - other_macro:+.4f}, {1 - section.significance_level:.0%} "
        f"interval {low:+.4f} to {high:+.4f} (must lie above {section.margin:g}); of {len(posts.ids):,} posts "
        f"{only:,} only it gets right, {only_other:,} only {name}: McNemar's p = {p:.2g} "
        f"(must be under {section.significance_level:g})",
    )
    change = by_label - other_by_label
    worst = int(change.argmin())
    verdict.add(
        "no label worse",
        change[worst] >= -section.class_margin,
        f"F1 of {posts.labels[worst]} gains least, {other_by_label[worst]:.4f} to "
        f"{by_label[worst]:.4f}: {change[worst]:+.4f} (may lose {section.class_margin:g})",
    )


def add_beats_baseline(verdict: Verdict, posts: TestSet, ours: np.ndarray, baseline: np.ndarray | None) -> None:
    """Is it better than the linear model that was trained on the same posts?"""
    if baseline is None:
        verdict.add("beats its baseline", False, "its baseline was judged on other test posts; `dvc repro` on these")
        return
    macro, other = (
        float(classification.per_class_f1(posts.y_true, answer, len(posts.labels)).mean())
        for answer in (ours, baseline.argmax(axis=1))
    )
    verdict.figures |= {"macro_f1": macro, "baseline_macro_f1": other}
    verdict.add("beats its baseline", macro > other, f"macro F1 {macro:.4f}, its baseline's {other:.4f}")


def add_no_leakage(verdict: Verdict, client: MlflowClient, run: Run, posts: TestSet) -> None:
    """Is none of the test posts, nor a near copy, among what it has learned from?"""
    if not (learned := training_fingerprints(client, run)):
        verdict.add(
            "test posts unseen", False, "its run keeps no fingerprints of the posts it learned from; train it anew"
        )
        return
    ids = posts.ids
    said = f"of {len(ids):,} none is nearly like one of the {len(learned):,} posts it has learned from"
    if near := near_duplicates_in_test(learned):
        place, other, share = max(near, key=lambda each: each[2])
        said = (
            f"{len(near):,} of {len(ids):,} are nearly like posts it has learned from; {ids[place]} shares "
            f"{share:.0%} with {learned[other][0]}"
        )
    verdict.figures["seen"] = len(near)
    verdict.add("test posts unseen", not near, said)


def near_duplicates_in_test(learned: list[tuple[str, bytes]]) -> list[tuple[int, int, float]]:
    """The test posts that are nearly like one of those, as `duplicates.near_copies` gives them."""
    # From the texts, whatever fingerprints their table holds.
    texts = tables.read_column(TEST, "text")
    return list(
        near_duplicates.find_near_duplicates((each for _, each in learned), map(near_duplicates.fingerprint, texts))
    )


def training_fingerprints(client: MlflowClient, run: Run) -> list[tuple[str, bytes]] | None:
    """Id and fingerprint of the posts a run has learned from; None where it keeps none. Raises StoreError."""
    with tempfile.TemporaryDirectory() as folder:
        there = artifacts.download_artifact(client, run, f"{runs.PROVENANCE}/{runs.TRAINING_FINGERPRINTS}", folder)
        return list(tables.read_rows(there, tables.FINGERPRINT_SCHEMA)) if there else None


def add_same_test_set(
    verdict: Verdict, client: MlflowClient, champion: ModelVersion | None, judged_on: str | None, posts: TestSet
) -> None:
    """Are these the test posts that the champion was judged on? Both were asked anew in any case, so this says so."""
    name = "same test posts"
    if not champion:
        verdict.add(name, True, "no champion yet; the baseline answered the same posts")
        return
    run = versions.run_of_version(client, champion)
    before = judged_on or artifacts.dataset_digests(run).get("test", "unknown")
    if before == posts.md5:
        verdict.add(name, True, f"the champion was judged on these (md5 {posts.md5[:8]})")
        return
    said = f"the champion was judged on others (md5 {before[:8]}); both were judged anew on these ({posts.md5[:8]})"
    if near := len(near_duplicates_in_test(training_fingerprints(client, run) or [])):
        said += f", {near:,} of which are nearly like posts that the champion has learned from, which flatters it"
    verdict.add(name, True, said)


def recorded_predictions(client: MlflowClient, run: Run, model: str, posts: TestSet) -> np.ndarray | None:
    """The probabilities `[posts, labels]` that `evaluate` noted of a model; None if it was asked other posts."""
    if artifacts.dataset_digests(run).get("test") != posts.md5:
        return None
    rows = {row["id"]: row for row in artifacts.read_csv(client, run, f"{model}/predictions.csv")}
    if rows.keys() != set(posts.ids):
        return None
    return np.array([[float(rows[id][f"probability_{label}"]) for label in posts.labels] for id in posts.ids])


def add_prediction_consistency(verdict: Verdict, ours: Predictions, noted: np.ndarray | None) -> None:
    """Does the model that would serve answer as the one that was evaluated?"""
    name = "recorded answers"
    if noted is None:
        verdict.add(name, False, "its run was evaluated on other test posts; `dvc repro` on these")
        return
    off = np.abs(ours.probabilities - noted).max(axis=1)
    said = f"all {len(off):,} posts' are those that its run noted, probabilities within {off.max():.1e}"
    if (off > SAME).any():
        said = (
            f"{(off > SAME).sum():,} of {len(off):,} posts' are not those that its run noted, up to {off.max():.2g} off"
        )
    verdict.add(name, not (off > SAME).any(), said)
