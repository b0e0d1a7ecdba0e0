"""What came out, in a few lines."""

import json
from pathlib import Path


def lines() -> str:
    """The test figures of GRU and baseline side by side, where they lie, and how to look at them."""
    figures = json.loads(Path("reports/metrics.json").read_text())
    corpus = json.loads(Path("data/raw/manifest.json").read_text())
    about = f"{figures['posts']:,} test posts of {corpus['source']}"
    if corpus["kind"] == "sample":
        about += " (a corpus for trying out: its figures say nothing of real posts)"
    rows = [f"  {'':10}{'accuracy':>10}{'macro F1':>10}{'log loss':>10}"]
    for model in ("gru", "baseline"):
        values = "".join(f"{figures[model][name]:10.4f}" for name in ("accuracy", "macro_f1", "log_loss"))
        rows.append(f"  {model:10}{values}")
    return "\n".join(
        [
            "",
            about,
            *rows,
            "The figures lie in reports/, the model in models/, the run in MLflow: look at it with `make ui`.",
        ]
    )
