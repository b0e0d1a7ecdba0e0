"""The page of a result says how it stands to the champion, and is made whatever is wrong with that."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline import params
from pipeline.tracking import pages
from tests.repository import runs, store

MODEL = "text-classification"


@pytest.mark.parametrize("run_id", [None, "0" * 32], ids=["made without a run", "its run is gone"])
def test_a_champion_that_cannot_be_had_costs_no_page(
    repository: Path, monkeypatch: pytest.MonkeyPatch, run_id: str | None
) -> None:
    monkeypatch.chdir(repository)
    client = MlflowClient(store(repository))
    (run,) = runs(repository)
    if not client.search_registered_models():
        client.create_registered_model(MODEL)
    made = client.create_model_version(MODEL, str(repository / "models"), run_id)
    client.set_registered_model_alias(MODEL, "champion", made.version)

    pages.write_pages(params.load(), client, run)

    assert "The champion cannot be had (" in pages.PAGE.read_text(encoding="utf-8")
    assert run.info.run_id in pages.PAGE.read_text(encoding="utf-8")
