"""Export a version into a folder that another team can use: the model, its card and reports, and an example."""

import json
import shutil
import tempfile
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from pipeline.cli import UserError
from pipeline.registry import gate, versions
from pipeline.tracking.errors import store_errors

EXAMPLE = '''"""Predict with the model. Install its requirements first: pip install -r model/requirements.txt"""

from pathlib import Path

import mlflow
import pandas

model = mlflow.pyfunc.load_model(str(Path(__file__).parent / "model"))
texts = pandas.DataFrame({"text": ["how do i sort a dict by value"]})
print(model.predict(texts).to_string(index=False))
'''
REPORTS = ["metrics.json", "split.json", "classifier", "baseline", "report.html", "plots"]


def export_version(client: MlflowClient, version: ModelVersion, folder: Path) -> None:
    """Raises UserError if the folder is not empty, or the version's files are gone; StoreError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty; name a new folder")
    run = versions.run_of_version(client, version)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Written beside it and moved, so that a folder that exists is complete.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        complete = Path(temporary, "complete")
        (complete / "reports").mkdir(parents=True)
        shutil.move(gate.download_model(client, version, Path(temporary, "model")), complete / "model")
        with store_errors():
            for name in REPORTS:
                client.download_artifacts(run.info.run_id, name, str(complete / "reports"))
        (complete / "README.md").write_text(version.description or "", encoding="utf-8")
        (complete / "example.py").write_text(EXAMPLE, encoding="utf-8")
        provenance = {"version": str(version.version), "run": version.run_id, **version.tags}
        text = json.dumps(provenance, indent=2, sort_keys=True) + "\n"
        (complete / "provenance.json").write_text(text, encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        shutil.move(complete, folder)
    print(f"exported version {version.version} to {folder}: README.md is its card, example.py shows its use")
