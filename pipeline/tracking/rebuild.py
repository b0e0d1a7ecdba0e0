"""Runs made anew from git and DVC: of the workspace, of every commit and of every DVC experiment that holds a result.

Each is brought back in a folder of its own, with DVC's cache, and tracked there by the code that belongs to it, as
`dvc repro` would after a checkout. What has its run already stays as it is, so a rebuild that was broken off goes on.
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline import cli
from pipeline.cli import UserError
from pipeline.tracking import provenance, revisions, runs, store
from pipeline.tracking.revisions import Result

TRAINED = ("complete", "trained")


def rebuild_runs(client: MlflowClient, experiment: str) -> bool:
    """Make the runs that are missing, and print a line for each result; gives whether all could be had."""
    whole = True
    if Path("models", "model.onnx").exists():
        whole &= print_outcome("workspace", run_track_stage(Path(), {}))
    for name, commit, result in revisions.all_results():
        if found := find_run_of_result(client, experiment, result, name, exactly=True):
            print(f"  {name}: has its run: {found.info.run_name}")
        else:
            whole &= print_outcome(name, restore(name, commit, result))
    return whole


def run_of_revision(client: MlflowClient, experiment: str, revision: str) -> str | None:
    """The id of the run of a DVC experiment or commit, made from DVC's cache where the store has none.

    None where it cannot be had. Raises StoreError.
    """
    commit = revisions.commit_of(revision)
    result = revisions.read_result(commit) if commit else None
    if not commit or not result:
        return None
    if not find_run_of_result(client, experiment, result, revision, exactly=True):
        restore(revision, commit, result)
    found = find_run_of_result(client, experiment, result, revision)
    return found.info.run_id if found else None


def find_run_of_result(
    client: MlflowClient, experiment: str, result: Result, name: str | None = None, exactly: bool = False
) -> Run | None:
    """The finished run of a result; None where there is none. Raises StoreError.

    Other parameters or other code can come to the same result: a run of the same recipe comes first, or is the only
    one that will do, if it must be `exactly` that. What was trained alone has none: of those with the same model the
    one of the DVC experiment with this name comes first.
    """
    tags = {runs.RESULT_HASH: result.digest} if result.digest else {runs.MODEL_MD5: result.model}
    if result.evaluated:
        found = runs.find_runs(client, experiment, tags | {runs.STATE: "complete"})
        made_alike = [run for run in found if run.data.tags.get(runs.RECIPE_HASH) == result.recipe]
        return next(iter(made_alike or ([] if exactly else found)), None)
    found = [run for run in runs.find_runs(client, experiment, tags) if run.data.tags.get(runs.STATE) in TRAINED]
    found.sort(key=lambda run: (run.data.tags.get(provenance.EXPERIMENT) != name, run.data.tags[runs.STATE]))
    return found[0] if found else None


def print_outcome(name: str, done: subprocess.CompletedProcess[str]) -> bool:
    """Print what became of a result, from the last line of the command that tells."""
    lines = (done.stdout if done.returncode == 0 else done.stderr or done.stdout).strip().splitlines() or ["nothing"]
    print(f"  {name}: {'' if done.returncode == 0 else 'cannot be had: '}{lines[-1].removeprefix('track: ')}")
    return done.returncode == 0


def restore(name: str, commit: str, result: Result) -> subprocess.CompletedProcess[str]:
    """Bring a commit's result back in a folder of its own, and track it."""
    with temporary_checkout(commit) as folder:
        if not folder:
            return subprocess.CompletedProcess([], 1, "", "git cannot check its commit out")
        cached = [sys.executable, "-m", "dvc", "checkout", "--quiet", "--allow-missing"]
        subprocess.run(cached, cwd=folder, capture_output=True, text=True)
        if not result.evaluated:
            (folder / "reports/metrics.json").unlink(missing_ok=True)  # of the result before it
        is_experiment = revisions.experiments().get(name) == commit
        return run_track_stage(folder, {"DVC_EXP_NAME": name} if is_experiment else {})


@contextmanager
def temporary_checkout(commit: str) -> Iterator[Path | None]:
    """A clone of the repository at a commit, for a while, that shares its objects and DVC's cache.

    None where git cannot make it.
    """
    root = cli.repository_root().resolve()
    with tempfile.TemporaryDirectory(prefix="rebuild-") as temporary:
        folder = Path(temporary, root.name)
        provenance.git("clone", "--quiet", "--shared", "--no-checkout", str(root), str(folder))
        provenance.git("-C", str(folder), "checkout", "--quiet", "--detach", commit)
        if provenance.git("-C", str(folder), "rev-parse", "--verify", "--quiet", "HEAD") != commit:
            yield None
            return
        local = root / ".dvc/config.local"
        if local.exists():
            shutil.copy(local, folder / ".dvc")
        subprocess.run([sys.executable, "-m", "dvc", "cache", "dir", "--local", cache()], cwd=folder, check=True)
        yield folder


@functools.cache
def cache() -> str:
    """The folder of DVC's cache. Raises Stop where DVC does not say."""
    asked = subprocess.run([sys.executable, "-m", "dvc", "cache", "dir"], capture_output=True, text=True)
    if asked.returncode:
        raise UserError(f"DVC does not say where its cache is: {asked.stderr.strip()}")
    return asked.stdout.strip()


def run_track_stage(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the folder's own `track`, on the store of this repository."""
    env = os.environ | {"DVC_ROOT": str(cli.repository_root().resolve())} | environment
    if "MLFLOW_TRACKING_URI" in env:
        env["MLFLOW_TRACKING_URI"] = store.tracking_uri()  # a relative one lies here, not in the copy
    command = [sys.executable, "-m", "pipeline.track"]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
