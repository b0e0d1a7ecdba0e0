"""Create missing runs from git and DVC: of the workspace, and of every commit and DVC experiment with a result.

Each result is restored in a temporary clone, from DVC's cache, and tracked there by the code of its commit, as
`dvc repro` would do after a checkout. Results that have a run stay as they are, so an interrupted rebuild can be
repeated.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient

from pipeline import cli
from pipeline.tracking import find, revisions
from pipeline.tracking.find import find_run_of_result
from pipeline.tracking.git import environment_elsewhere, run_git
from pipeline.tracking.location import tracking_uri
from pipeline.tracking.revisions import Result

DVC = [sys.executable, "-m", "dvc"]


def rebuild_runs(client: MlflowClient, experiment: str) -> bool:
    """Create the missing runs, and print a line for each result; returns whether every result has a run now."""
    has_all = True
    if Path("models", "model.onnx").exists():
        has_all &= print_outcome("workspace", run_track_stage(Path()))
    for name, commit, result in revisions.all_results():
        if run := find_run_of_result(client, experiment, result, name, same_recipe=True):
            print(f"  {name}: has its run: {run.info.run_name}")
        elif missing := revisions.missing_files(commit):
            print(f"  {name}: {find.describe_missing_files(missing)}")
            has_all = False
        else:
            has_all &= print_outcome(name, restore(name, commit, result))
    return has_all


def run_of_revision(client: MlflowClient, experiment: str, revision: str) -> str | None:
    """The id of the run of a DVC experiment or commit, which is restored from DVC's cache if MLflow does not have it.

    None if that is not possible. Raises StoreError.
    """
    commit = revisions.commit_of(revision)
    result = revisions.read_result(commit) if commit else None
    if not commit or not result:
        return None
    run = find_run_of_result(client, experiment, result, revision, same_recipe=True)
    if not run:
        if not revisions.missing_files(commit):
            restore(revision, commit, result)
        run = find_run_of_result(client, experiment, result, revision)
    return run.info.run_id if run else None


def print_outcome(name: str, process: subprocess.CompletedProcess[str]) -> bool:
    """Print what `track` did with a result, by the last line of its output; returns whether it has a run."""
    failed = process.returncode != 0
    lines = ((process.stderr or process.stdout) if failed else process.stdout).strip().splitlines() or ["no output"]
    print(f"  {name}: {'cannot be rebuilt: ' if failed else ''}{lines[-1].removeprefix('track: ')}")
    return not failed


def restore(name: str, commit: str, result: Result) -> subprocess.CompletedProcess[str]:
    """Restore the result of a commit in a temporary clone, and track it."""
    with temporary_checkout(commit) as folder:
        if not folder:
            return subprocess.CompletedProcess([], 1, "", "git cannot check its commit out")
        checkout = [*DVC, "checkout", "--quiet", "--allow-missing"]
        subprocess.run(checkout, cwd=folder, env=environment_elsewhere(), capture_output=True, text=True)
        if not result.is_evaluated:
            (folder / "reports/metrics.json").unlink(missing_ok=True)  # of the previous result
        is_experiment = revisions.experiments().get(name) == commit
        return run_track_stage(folder, {"DVC_EXP_NAME": name} if is_experiment else {})


@contextmanager
def temporary_checkout(commit: str) -> Iterator[Path | None]:
    """A temporary clone of the repository at a commit, which shares its git objects and DVC's cache.

    None if git cannot check it out.
    """
    root = cli.repository_root().resolve()
    with tempfile.TemporaryDirectory(prefix="rebuild-") as temporary:
        folder = Path(temporary, root.name)
        folder.mkdir()
        run_git("clone", "--quiet", "--shared", "--no-checkout", str(root), ".", folder=folder)
        run_git("checkout", "--quiet", "--detach", commit, folder=folder)
        if run_git("rev-parse", "--verify", "--quiet", "HEAD", folder=folder) != commit:
            yield None
            return
        local = root / ".dvc/config.local"
        if local.exists():
            shutil.copy(local, folder / ".dvc")
        cache = [*DVC, "cache", "dir", "--local", str(revisions.cache_folder())]
        subprocess.run(cache, cwd=folder, env=environment_elsewhere(), check=True)
        yield folder


def run_track_stage(folder: Path, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the stage `track` of the folder, with the store of this repository."""
    env = environment_elsewhere(DVC_ROOT=str(cli.repository_root().resolve())) | dict(environment or {})
    if "MLFLOW_TRACKING_URI" in env:
        env["MLFLOW_TRACKING_URI"] = tracking_uri()  # a relative path is one of this repository, not of the clone
    env.pop("DVC_STAGE", None)
    command = [sys.executable, "-m", "pipeline.track"]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
