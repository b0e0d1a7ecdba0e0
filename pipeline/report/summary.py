"""What came out, in a few lines; `make repro` ends with it.

python -m pipeline.report.summary               # of the workspace
python -m pipeline.report.summary tutorial      # of an experiment
"""

import argparse
import json
from pathlib import Path

from pipeline import cli
from pipeline.cli import UserError

MODELS = {"classifier": "classifier", "network": "  its network alone", "baseline": "baseline"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.report.summary", description="What came out.")
    parser.add_argument("experiment", nargs="?", help="its name, as `dvc exp list` shows it; none: the workspace")
    experiment = parser.parse_args().experiment
    figures = json.loads(read_revision("reports/metrics.json", experiment))
    corpus = json.loads(read_revision("reports/split.json", experiment))["corpus"]
    about = f"{figures['posts']:,} test posts of {corpus['source']}"
    if corpus["sample"]:
        about += " (a corpus for trying out: its figures say nothing of real posts)"
    print(f"\n{about}\n")
    print(f"  {'':24}{'accuracy':>10}{'95% interval':>18}{'macro F1':>10}{'log loss':>10}")
    for model in [name for name in MODELS if name in figures]:
        accuracy, *others = (figures[model][name] for name in ("accuracy", "macro_f1", "log_loss"))
        interval = figures.get("intervals", {}).get(model, {}).get("accuracy")
        between = f"{interval[0]:.4f}-{interval[1]:.4f}" if interval else ""  # an experiment may be an old one
        print(f"  {MODELS[model]:24}{accuracy:10.4f}{between:>18}" + "".join(f"{figure:10.4f}" for figure in others))
    print(f"\n{describe_mcnemar(figures['mcnemar'])}")
    if experiment:
        print(f"\nThe run is in MLflow (`make ui`); `dvc exp apply {experiment}` brings its model into your workspace.")
    else:
        print("\nreports/report.html shows it all; the model is in models/, the run in MLflow: `make ui`.")


def describe_mcnemar(mcnemar: dict[str, float]) -> str:
    """Whether the classifier beats the baseline, in a sentence; 0.05 is where the field draws the line."""
    ours, theirs, p = mcnemar["only_classifier_right"], mcnemar["only_baseline_right"], mcnemar["p"]
    how_sure = f"p = {p:.2g}" if p else "p < 1e-300"  # beyond what a number can hold
    counts = f"{ours:,} posts only the classifier gets right, {theirs:,} only the baseline (McNemar's {how_sure})"
    if p >= 0.05:
        return f"Neither beats the other: {counts}."
    better, worse = ("classifier", "baseline") if ours > theirs else ("baseline", "classifier")
    return f"The {better} beats the {worse}: {counts}."


def read_revision(path: str, experiment: str | None) -> str:
    """A file as an experiment made it, or as it is in the workspace.

    Raises Stop where there is no such experiment, or it has no such file.
    """
    if not experiment:
        return Path(path).read_text()
    import dvc.api  # here, as it takes half a second

    try:
        return dvc.api.read(path, rev=experiment)
    except (dvc.exceptions.DvcException, FileNotFoundError):
        raise UserError(f"{experiment} is no experiment with a {path}; `dvc exp list` shows what there is") from None


if __name__ == "__main__":
    cli.run(main)
