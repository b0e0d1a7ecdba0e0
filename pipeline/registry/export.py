"""What another team needs of a version, in a folder: the model with its tokenizer, card and reports, and an example."""

import json
import shutil
import tempfile
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from pipeline.cli import UserError
from pipeline.registry import gate, versions
from pipeline.tracking.errors import store_errors

EXAMPLE = '''"""Ask the model. Needs what model/requirements.txt lists: pip install -r model/requirements.txt"""

from pathlib import Path

import mlflow
import pandas

model = mlflow.pyfunc.load_model(str(Path(__file__).parent / "model"))
texts = pandas.DataFrame({"text": ["how do i sort a dict by value"]})
print(model.predict(texts).to_string(index=False))
'''
REPORTS = ["metrics.json", "split.json", "classifier", "baseline"]
PAGES = ["report.html", "plots"]  # of runs that were made before there were pages, there is none


def export_version(client: MlflowClient, version: ModelVersion, folder: Path) -> None:
    """Raises Stop where the folder holds something already, or the version's files are gone; StoreError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} holds something already; name a new folder")
    run = versions.run_of_version(client, version)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Made beside it, so that what is there is whole.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        whole = Path(temporary, "whole")
        (whole / "reports").mkdir(parents=True)
        shutil.move(gate.download(version, Path(temporary, "model")), whole / "model")
        with store_errors():
            there = {file.path for file in client.list_artifacts(run.info.run_id)}
            for name in [*REPORTS, *(name for name in PAGES if name in there)]:
                client.download_artifacts(run.info.run_id, name, str(whole / "reports"))
        (whole / "README.md").write_text(version.description or "", encoding="utf-8")
        (whole / "example.py").write_text(EXAMPLE, encoding="utf-8")
        lineage = {"version": str(version.version), "run": version.run_id, **version.tags}
        (whole / "lineage.json").write_text(json.dumps(lineage, indent=2, sort_keys=True) + "\n")
        if folder.exists():
            folder.rmdir()
        shutil.move(whole, folder)
    print(f"version {version.version} is in {folder}: README.md is its card, example.py asks it")
