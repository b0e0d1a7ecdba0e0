"""Make a version's model again, from the commit, patch, parameters and posts that its run names, and compare."""

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
from pipeline.params.registry import Registry
from pipeline.registry import gate, versions
from pipeline.tracking import artifacts, hashes, provenance, rebuild, runs
from pipeline.tracking.errors import store_errors
from pipeline.tracking.git import run_git

LOCK = "dvc.lock"
WEIGHTS = "models/weights.safetensors"
FIGURES = ["accuracy", "macro_f1"]


def reproduce_version(client: MlflowClient, section: Registry, version: ModelVersion) -> bool:
    """Note on the version, and print, whether the same comes out.

    Raises Stop where something is missing, and StoreError.
    """
    run = versions.run_of_version(client, version)
    commit = run.data.tags.get(provenance.COMMIT)
    if not commit:
        raise UserError(f"the run of version {version.version} names no commit: git knew of none when it was made")
    if not run_git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"):
        raise UserError(f"the commit {commit[:10]} of version {version.version} is gone from this repository; fetch it")
    if not (lock := artifacts.read_text(client, run, f"{runs.PROVENANCE}/{LOCK}")):
        raise UserError(f"the run of version {version.version} keeps no {LOCK}, which tells what came out")
    require_files(version, lock)
    with rebuild.temporary_checkout(commit) as folder:
        if not folder:
            raise UserError(f"git cannot check out the commit {commit[:10]} of version {version.version}")
        apply_patch(client, run, folder)
        (folder / LOCK).write_text(lock)
        run_pipeline(folder, lock)
        made = compare_results(lock, folder, run, section.tolerance)
    made |= {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": provenance.processor_name()}
    with store_errors():
        client.set_model_version_tag(version.name, version.version, versions.VERDICT, json.dumps(made))
    print(f"version {version.version}: {made['verdict']}; {made['said']}")
    for difference in machine_differences(artifacts.read_json(client, run, f"{runs.PROVENANCE}/machine.json")):
        print(f"  {difference}")
    return made["verdict"] != "not reproduced"


def apply_patch(client: MlflowClient, run: Run, folder: Path) -> None:
    """What differed from the commit when the run was made, if anything did. Raises Stop."""
    if run.data.tags.get(provenance.DIRTY) != "true":
        return
    if not (patch := artifacts.read_bytes(client, run, f"{runs.PROVENANCE}/{runs.PATCH}")):
        raise UserError("the run was made with uncommitted changes, and its patch is gone")
    done = subprocess.run(["git", "apply", "-"], cwd=folder, input=patch, capture_output=True)
    if done.returncode:
        why = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1]
        raise UserError(f"the run's patch does not apply to its commit: {why}")


def require_files(version: ModelVersion, lock: str) -> None:
    """Raises Stop where the version's files are not those that its run's dvc.lock names, or are gone; StoreError."""
    made = outs(lock)
    with tempfile.TemporaryDirectory(prefix="version-") as folder:
        files = list(gate.download(version, Path(folder)).glob("artifacts/models/*"))
        other = [file.name for file in files if made.get(f"models/{file.name}") != hashes.md5(file)]
    if other or not files:
        raise UserError(f"version {version.version} holds other files than its run made: {', '.join(other) or 'none'}")


def run_pipeline(folder: Path, lock: str) -> None:
    """Run all stages up to evaluate, nothing of it from DVC's cache but the posts, if it has them. Raises Stop."""
    dvc = [sys.executable, "-m", "dvc"]
    env = {name: value for name, value in os.environ.items() if name not in ("DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME")}
    env |= {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",  # its training is no run of anyone's
    }
    subprocess.run([*dvc, "checkout", "--quiet", "data/raw"], cwd=folder, env=env, capture_output=True)
    again = [*dvc, "repro", "--force", "--no-run-cache"]
    if not (folder / "data/raw/examples.parquet").exists():
        edit(folder / "params.yaml", source_from_here)
        run_and_print([*again, "fetch"], folder, env)
        if outs((folder / LOCK).read_text()).get("data/raw") != outs(lock)["data/raw"]:
            raise UserError("the source's posts are no longer those that it was made of, nor has DVC's cache those")
    # The posts are the ones, by their digest, wherever they came from.
    edit(folder / "dvc.yaml", without_fetch)
    run_and_print([*again, "evaluate"], folder, env)


def edit(path: Path, change: Callable[[Any], None]) -> None:
    yaml = YAML()
    content = yaml.load(path)
    change(content)
    yaml.dump(content, path)


def source_from_here(params: Any) -> None:
    """A path that is relative to the repository is none in its copy."""
    source = cli.repository_root() / params["fetch"]["source"]
    if source.exists():
        params["fetch"]["source"] = str(source.resolve())


def without_fetch(pipeline: Any) -> None:
    for name in ("source", "fetch"):
        pipeline["stages"].pop(name, None)


def run_and_print(command: list[str], folder: Path, env: dict[str, str]) -> None:
    """Run it, and print what the stages say, without what DVC says. Raises Stop when it fails."""
    said = []
    with subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or []:
            said.append(line.strip())
            if line.strip() and not line.startswith(("Running stage", "> ", "Stage ", "Updating", "To ", "\t", "Use ")):
                print(f"  {line}", end="")
    if process.returncode:
        errors = [line for line in said if line.startswith("error:")] or [line for line in said if line][-1:]
        raise UserError(f"it cannot be made again: {' '.join(errors).removeprefix('error: ')}")


def compare_results(lock: str, folder: Path, run: Run, tolerance: float) -> dict[str, Any]:
    """The verdict: the same bytes, or figures within the tolerance, or neither."""
    before, after = outs(lock), outs((folder / LOCK).read_text())
    differ = sorted(
        path for path in (*hashes.RESULT_FILES, WEIGHTS) if path not in before or before[path] != after.get(path)
    )
    if not differ:
        return {"verdict": "identical", "said": f"all bytes of {WEIGHTS}, {hashes.MODEL} and the rest are the same"}
    figures = json.loads((folder / hashes.METRICS).read_text())["classifier"]
    off = {name: abs(figures[name] - run.data.metrics[f"test_{name}"]) for name in FIGURES}
    said = ", ".join(f"{name} {figures[name]:.4f}, off by {off[name]:.4f}" for name in FIGURES)
    is_near = max(off.values()) <= tolerance
    return {
        "verdict": "within tolerance" if is_near else "not reproduced",
        "said": f"bytes differ in {', '.join(differ)}; {said} (tolerance {tolerance:g})",
    }


def outs(lock: str) -> dict[str, str]:
    """The md5 of what the stages of a `dvc.lock` made, by path."""
    stages = YAML(typ="safe").load(lock)["stages"]
    return {out["path"]: out["md5"] for cli in stages.values() for out in cli.get("outs", [])}


def machine_differences(then: dict[str, Any] | None) -> list[str]:
    """How this machine differs from the one that trained it, in lines."""
    if not then:
        return ["the machine that trained it is not known"]
    now = provenance.describe_machine()
    told = ("processor", "cores", "python")
    lines = [f"{name} now {now[name]}, then {then[name]}" for name in told if now[name] != then[name]]
    names = ("tensorflow", "keras", "numpy", "scikit-learn", "tokenizers", "onnxruntime", "onnx")
    libraries = [(name, now["libraries"].get(name), then["libraries"].get(name)) for name in names]
    return lines + [f"{name} now {one}, then {other}" for name, one, other in libraries if one != other]
