"""What `make repro` ends with."""

import json
from pathlib import Path

import pytest

from pipeline.report import summary

FIGURES = {"accuracy": 0.91234, "macro_f1": 0.9, "log_loss": 0.25}


@pytest.mark.parametrize("sample", [True, False])
def test_it_says_whose_figures_these_are(workspace: Path, capsys: pytest.CaptureFixture[str], sample: bool) -> None:
    Path("reports").mkdir()
    figures = {"posts": 1200, "gru": FIGURES, "baseline": FIGURES | {"accuracy": 0.5}}
    Path("reports/metrics.json").write_text(json.dumps(figures))
    Path("reports/split.json").write_text(json.dumps({"corpus": {"source": "some posts", "sample": sample}}))

    summary.main()

    said = capsys.readouterr().out
    assert "1,200 test posts of some posts" in said
    assert ("trying out" in said) == sample
    assert "gru           0.9123    0.9000    0.2500" in said
    assert "baseline      0.5000    0.9000    0.2500" in said
    assert "make ui" in said
