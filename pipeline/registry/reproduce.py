"""Reproduce a version: train it again from the commit, patch, parameters and data of its run, and compare."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from ruamel.yaml import YAML

from pipeline import cli
from pipeline.cli import UserError
from pipeline.corpus.sources import find_files
from pipeline.params.registry import Registry
from pipeline.registry import gate, versions
from pipeline.tracking import artifacts, git, hashes, provenance, rebuild, runs
from pipeline.tracking.errors import store_errors

LOCK = "dvc.lock"
WEIGHTS = "models/weights.safetensors"
METRICS = ["accuracy", "macro_f1"]
MACHINE = ("processor", "cores", "threads", "python")
LIBRARIES = ("tensorflow", "keras", "numpy", "scikit-learn", "tokenizers", "onnxruntime", "onnx")
# How DVC's own lines begin, which are not printed.
DVC_LINES = ("Running stage", "> ", "Stage ", "Updating", "To ", "\t", "Use ")


def reproduce_version(client: MlflowClient, params: Registry, version: ModelVersion) -> bool:
    """Record the outcome as a tag of the version and print it; returns whether the result was reproduced.

    Raises UserError if something that it needs is missing, and StoreError.
    """
    run = versions.run_of_version(client, version)
    commit = require_commit(version, run)
    if not (lock := artifacts.read_text(client, run, f"{runs.PROVENANCE}/{LOCK}")):
        raise UserError(f"the run of version {version.version} has no {LOCK}, which names the files of its result")
    require_same_files(client, version, lock)
    with rebuild.temporary_checkout(commit) as folder:
        if not folder:
            raise UserError(f"git cannot check out the commit {commit[:10]} of version {version.version}")
        apply_patch(client, run, folder)
        (folder / LOCK).write_text(lock)
        run_pipeline(folder, lock)
        outcome = compare_results(lock, folder, run, params.tolerance)
    outcome |= {"time": datetime.now(UTC).isoformat(timespec="seconds"), "machine": provenance.processor_name()}
    with store_errors("write to"):
        client.set_model_version_tag(version.name, version.version, versions.REPRODUCTION, json.dumps(outcome))
    print(f"version {version.version}: {outcome['verdict']}; {outcome['detail']}")
    for difference in machine_differences(artifacts.read_json(client, run, f"{runs.PROVENANCE}/machine.json")):
        print(f"  {difference}")
    return outcome["verdict"] != "not reproduced"


def require_commit(version: ModelVersion, run: Run) -> str:
    """The commit of the version's run. Raises UserError if it has none, or git does not have it."""
    commit = run.data.tags.get(provenance.COMMIT)
    if not commit:
        raise UserError(f"the run of version {version.version} has no commit: it was made outside of git")
    if not git.run_git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"):
        raise UserError(f"this repository lacks the commit {commit[:10]} of version {version.version}; fetch it")
    return commit


def apply_patch(client: MlflowClient, run: Run, folder: Path) -> None:
    """Apply the uncommitted changes that the run was made with, if there were any. Raises UserError."""
    if run.data.tags.get(provenance.DIRTY) != "true":
        return
    if not (patch := artifacts.read_bytes(client, run, f"{runs.PROVENANCE}/{runs.PATCH}")):
        raise UserError("the run was made with uncommitted changes, and its patch is gone")
    done = subprocess.run(
        ["git", "apply", "-"], cwd=folder, input=patch, capture_output=True, env=git.environment_elsewhere()
    )
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1]
        raise UserError(f"the run's patch does not apply to its commit: {reason}")


def require_same_files(client: MlflowClient, version: ModelVersion, lock: str) -> None:
    """Raises UserError if the version's model files are not those in its run's dvc.lock, or are gone; StoreError."""
    md5_of = outs(lock)
    with tempfile.TemporaryDirectory(prefix="version-") as folder:
        files = list(gate.download_model(client, version, Path(folder)).glob("artifacts/models/*"))
        different = [file.name for file in files if md5_of.get(f"models/{file.name}") != hashes.md5(file)]
    if different or not files:
        raise UserError(
            f"the model files of version {version.version} are not those of its run: {', '.join(different) or 'none'}"
        )


def run_pipeline(folder: Path, lock: str) -> None:
    """Run all stages up to `evaluate`; only the examples may come from DVC's cache. Raises UserError."""
    dvc = [sys.executable, "-m", "dvc"]
    env = git.environment_elsewhere(
        PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        MLFLOW_TRACKING_URI=f"sqlite:///{folder}/mlflow.db",  # its training is no run of the store
    )
    env = {name: value for name, value in env.items() if name not in ("DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME")}
    subprocess.run([*dvc, "checkout", "--quiet", "data/raw"], cwd=folder, env=env, capture_output=True)
    repro = [*dvc, "repro", "--force", "--no-run-cache"]
    if not (folder / "data/raw/examples.parquet").exists():
        edit_yaml(folder / "params.yaml", make_source_absolute)
        run_and_print([*repro, "fetch"], folder, env)
        if outs((folder / LOCK).read_text()).get("data/raw") != outs(lock)["data/raw"]:
            raise UserError("the source has other examples now, and DVC's cache does not have the old ones")
    # The examples are the same, by their digest, wherever they came from.
    edit_yaml(folder / "dvc.yaml", remove_fetch)
    run_and_print([*repro, "evaluate"], folder, env)


def edit_yaml(path: Path, edit: Callable[[Any], None]) -> None:
    yaml = YAML()
    content = yaml.load(path)
    edit(content)
    yaml.dump(content, path)


def make_source_absolute(params: Any) -> None:
    """A path that is relative to the repository does not exist in its clone."""
    source = cli.repository_root() / params["fetch"]["source"]
    if source.exists() or find_files(str(source)):
        params["fetch"]["source"] = str(source.absolute())


def remove_fetch(pipeline: Any) -> None:
    for name in ("source", "fetch"):
        pipeline["stages"].pop(name, None)


def run_and_print(command: list[str], folder: Path, env: dict[str, str]) -> None:
    """Run the command, and print the stages' output without DVC's own lines. Raises UserError if it fails."""
    lines = []
    with subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or []:
            lines.append(line.strip())
            if line.strip() and not line.startswith(DVC_LINES):
                print(f"  {line}", end="")
    if process.returncode:
        errors = [line for line in lines if line.startswith("error:")] or [line for line in lines if line][-1:]
        raise UserError(f"the pipeline failed: {' '.join(errors).removeprefix('error: ')}")


def compare_results(lock: str, folder: Path, run: Run, tolerance: float) -> dict[str, Any]:
    """The verdict: `identical` bytes, metrics `within tolerance`, or `not reproduced`; with details."""
    before, after = outs(lock), outs((folder / LOCK).read_text())
    paths = (*hashes.RESULT_FILES, WEIGHTS)
    different = sorted(path for path in paths if path not in before or before[path] != after.get(path))
    if not different:
        detail = f"all bytes of {WEIGHTS}, {hashes.MODEL} and the other result files are the same"
        return {"verdict": "identical", "detail": detail}
    metrics = json.loads((folder / hashes.METRICS).read_text())["classifier"]
    difference = {name: abs(metrics[name] - run.data.metrics[f"test/{name}"]) for name in METRICS}
    values = ", ".join(f"{name} {metrics[name]:.4f}, difference {difference[name]:.4f}" for name in METRICS)
    is_close = max(difference.values()) <= tolerance
    return {
        "verdict": "within tolerance" if is_close else "not reproduced",
        "detail": f"bytes differ in {', '.join(different)}; {values} (tolerance {tolerance:g})",
    }


def outs(lock: str) -> dict[str, str]:
    """The md5 of the outputs of a `dvc.lock`, by path."""
    stages = YAML(typ="safe").load(lock)["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


def machine_differences(then: dict[str, Any] | None) -> list[str]:
    """How this machine differs from the one that trained the version, a line per difference."""
    if not then:
        return ["the machine that trained it is unknown"]
    now = provenance.describe_machine()
    pairs = [(name, now.get(name), then.get(name)) for name in MACHINE]
    pairs += [(name, now["libraries"].get(name), then["libraries"].get(name)) for name in LIBRARIES]
    return [f"{name}: {new} now, {old} then" for name, new, old in pairs if new != old]
