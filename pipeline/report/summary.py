"""What came out, in a few lines; `make repro` ends with it.

python -m pipeline.report.summary
"""

import json
from pathlib import Path

from pipeline import stage

REPORTS = Path("reports")


def main() -> None:
    figures = json.loads((REPORTS / "metrics.json").read_text())
    corpus = json.loads((REPORTS / "split.json").read_text())["corpus"]
    about = f"{figures['posts']:,} test posts of {corpus['source']}"
    if corpus["sample"]:
        about += " (a corpus for trying out: its figures say nothing of real posts)"
    print(f"\n{about}\n")
    print(f"  {'':10}{'accuracy':>10}{'macro F1':>10}{'log loss':>10}")
    for model in ("gru", "baseline"):
        print(
            f"  {model:10}" + "".join(f"{figures[model][name]:10.4f}" for name in ("accuracy", "macro_f1", "log_loss"))
        )
    print("\nFigures and reports lie in reports/, the model in models/, the run in MLflow: look at it with `make ui`.")


if __name__ == "__main__":
    stage.run(main)
