"""The default parameters on several corpora: accuracy of baseline, network and classifier on their test splits.

    CORPORA=path/to/folder python -m benchmarks.corpora [SEED...]

CORPORA names a folder with the corpora of `SOURCES`; those that are missing are left out. Each is fetched with the
parameters that `pipeline.inspect` suggests, trained with each seed (1, 2 and 3 if none is given) in a temporary copy of
this repository, and evaluated. Prints a Markdown table with a row per corpus and seed. Nothing is logged to MLflow.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ruamel.yaml import YAML

SOURCES = {
    "Stack Overflow 16k": "stack_overflow_16k.tar.gz",
    "SMS, spam or ham": "others/sms_spam.csv",
    "hotel reviews, Chinese": "others/hotel_reviews_zh.csv",
    "GoEmotions": "others/goemotions.tsv",
    "bank intents": "others/banking77_*.csv",
}
ROOT = Path(__file__).parent.parent
FIRST = ("source", "fetch", "split", "vectorize", "baseline")
COLUMNS = ("corpus", "seed", "labels", "training texts", "baseline", "network alone", "classifier", "McNemar's p",
           "difference in macro F1, 95%", "weight", "baseline, s", "train, s")  # fmt: skip


def main(seeds: list[str]) -> None:
    corpora = Path(os.environ.get("CORPORA", "nowhere"))
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}", flush=True)
    for name, pattern in SOURCES.items():
        if not list(corpora.glob(pattern)):
            print(f"{name} is left out: CORPORA has no {pattern}", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as folder:
            for row in rows_of(name, f"{corpora.resolve()}/{pattern}", Path(folder), seeds):
                print(f"| {' | '.join(row)} |", flush=True)


def rows_of(corpus: str, source: str, folder: Path, seeds: list[str]):
    """A row of the table for each seed."""
    for path in ("pipeline", "params.yaml", "dvc.yaml"):
        (shutil.copytree if (ROOT / path).is_dir() else shutil.copy)(ROOT / path, folder / path)
    if source.endswith((".csv", ".tsv")):
        run(folder, "inspect", source, "--write")
    else:
        set_params(folder, "fetch", source=source)
    seconds = {stage: run(folder, stage) for stage in FIRST}
    for seed in seeds:
        set_params(folder, "train", seed=int(seed))
        trained = run(folder, "train")
        run(folder, "evaluate")
        metrics, split = (
            json.loads((folder / f"reports/{report}.json").read_text()) for report in ("metrics", "split")
        )
        low, high = metrics["macro_f1_difference_interval"]
        yield [
            corpus, seed, str(len(metrics["per_class"])), f"{split['examples']['train']:,}",
            *(f"{metrics[model]['accuracy']:.4f}" for model in ("baseline", "network", "classifier")),
            f"{metrics['mcnemar']['p_value']:.2g}", f"{low:+.4f} to {high:+.4f}", f"{metrics['network_weight']:.2f}",
            f"{seconds['baseline']:.0f}", f"{trained:.0f}",
        ]  # fmt: skip


def set_params(folder: Path, section: str, **values: object) -> None:
    yaml = YAML()
    params = yaml.load(folder / "params.yaml")
    params[section].update(values)
    yaml.dump(params, folder / "params.yaml")


def run(folder: Path, module: str, *arguments: str) -> float:
    """Run a stage or command in the folder; returns its seconds. Without an MLflow server: training goes on without."""
    env = os.environ | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", f"pipeline.{module}", *arguments], cwd=folder, env=env, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{module} failed: {done.stderr.strip()}")
    return time.monotonic() - start


if __name__ == "__main__":
    main(sys.argv[1:] or ["1", "2", "3"])
