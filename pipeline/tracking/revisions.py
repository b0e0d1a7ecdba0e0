"""The results in the repository: each commit and each DVC experiment has the one that its `dvc.lock` describes."""

import functools
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.cli import UserError
from pipeline.tracking import hashes
from pipeline.tracking.git import run_git

LOCK = "dvc.lock"
EXPERIMENT_REF = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(.+)")  # the commit it started from, and its name


@dataclass(frozen=True)
class Result:
    """A result as a `dvc.lock` describes it.

    `result_hash` is None if the model was not evaluated, or by code that wrote other files. `recipe_hash` tells apart
    results that are equal although parameters or code differ.
    """

    model_md5: str
    is_evaluated: bool
    result_hash: str | None
    recipe_hash: str | None = None


def read_result(commit: str) -> Result | None:
    """The result of a commit; None if it has no `dvc.lock`, or no trained model in it."""
    return parse_result(run_git("show", f"{commit}:{LOCK}"))


def parse_result(lock: str) -> Result | None:
    """The result that the text of a `dvc.lock` describes; None if it describes none."""
    try:
        stages = parse_stages(lock)
        md5s = output_md5s(stages)
        evaluated = {dep["path"]: dep["md5"] for dep in stages.get("evaluate", {}).get("deps", [])}
    except (YAMLError, AttributeError, KeyError, TypeError):
        return None
    if hashes.MODEL not in md5s:
        return None
    # An experiment that only trains keeps the evaluation of the previous result in its lock.
    is_evaluated = evaluated.get(hashes.MODEL) == md5s[hashes.MODEL]
    has_all_files = is_evaluated and all(path in md5s for path in hashes.RESULT_FILES)
    return Result(
        md5s[hashes.MODEL], is_evaluated, hashes.result_hash(md5s) if has_all_files else None, hash_recipe(stages)
    )


def parse_stages(lock: str) -> dict[str, Any]:
    """The stages of a `dvc.lock`, by name."""
    return (YAML(typ="safe").load(lock) or {}).get("stages", {})


def output_md5s(stages: Mapping[str, Any]) -> dict[str, str]:
    """The md5 of each output of the stages, by path."""
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


def recipe_hash(lock: str) -> str:
    """sha256 of the parameters and the code in a `dvc.lock`."""
    return hash_recipe(parse_stages(lock))


def hash_recipe(stages: Mapping[str, Any]) -> str:
    recipe = {
        name: {
            "params": stage.get("params", {}),
            "code": {dep["path"]: dep["md5"] for dep in stage.get("deps", []) if dep["path"].startswith("pipeline/")},
        }
        for name, stage in stages.items()
        # Where the examples came from is no part of it: the examples themselves are in the result.
        if name not in ("source", "fetch", *hashes.LATER_STAGES)
    }
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, default=str).encode()).hexdigest()


def all_experiments() -> list[tuple[str, str]]:
    """Name and commit of each DVC experiment, oldest first; a name can occur on several commits."""
    lines = run_git("for-each-ref", "--sort=committerdate", "--format=%(objectname) %(refname)", "refs/exps")
    matches = ((EXPERIMENT_REF.fullmatch(ref), commit) for commit, ref in map(str.split, lines.splitlines()))
    return [(match[1], commit) for match, commit in matches if match]


def experiments() -> dict[str, str]:
    """The commit of each DVC experiment by name, of the newest one with that name."""
    return dict(all_experiments())


def commits() -> list[str]:
    """All commits of branches and tags that changed `dvc.lock`, oldest first."""
    # With the full history: otherwise a commit from which a merge took nothing is left out.
    every = ["--branches", "--tags", "--remotes", "HEAD"]
    return run_git("rev-list", "--reverse", "--full-history", *every, "--", LOCK).split()


def commit_of(name: str) -> str | None:
    """The commit of an experiment, or of any name that git knows (a hash, a branch, a tag, HEAD~1)."""
    return experiments().get(name) or run_git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") or None


def all_results(text: str = "") -> Iterator[tuple[str, str, Result]]:
    """Name, commit and result of every commit and experiment with one, if its `dvc.lock` contains the text."""
    for name, commit in [(commit[:10], commit) for commit in commits()] + all_experiments():
        lock = run_git("show", f"{commit}:{LOCK}")
        if text in lock and (result := parse_result(lock)):
            yield name, commit, result


def missing_files(commit: str) -> list[str]:
    """The outputs of a commit's result that neither git nor DVC's cache has.

    They were made elsewhere or removed from the cache; without them the result cannot be restored.
    """
    lock = run_git("show", f"{commit}:{LOCK}")
    result, stages = parse_result(lock), parse_stages(lock)
    # If the model was not evaluated, the lock has the evaluation of the previous one.
    others = {"source", "track"} if result and result.is_evaluated else {"source", "evaluate", *hashes.LATER_STAGES}
    outputs = output_md5s({name: stage for name, stage in stages.items() if name not in others})
    in_git = set(run_git("ls-tree", "-r", "-z", "--name-only", commit).split("\0"))
    return sorted(path for path, md5 in outputs.items() if path not in in_git and not is_cached(md5))


def is_cached(md5: str) -> bool:
    """Whether DVC's cache has the file with this digest, or the folder (`….dir`) with all of its files."""
    path = cache_folder() / "files/md5" / md5[:2] / md5[2:]
    if not path.exists():
        return False
    return not md5.endswith(".dir") or all(is_cached(file["md5"]) for file in json.loads(path.read_text()))


@functools.cache
def cache_folder() -> Path:
    """The folder of DVC's cache. Raises UserError if DVC does not name it."""
    process = subprocess.run([sys.executable, "-m", "dvc", "cache", "dir"], capture_output=True, text=True)
    if process.returncode:
        raise UserError(f"DVC does not name its cache: {process.stderr.strip()}")
    return Path(process.stdout.strip())


def read_revision(path: str, revision: str | None) -> str:
    """The text of a file as a DVC experiment or commit has it; without a revision, as the workspace has it.

    Raises UserError if there is no such revision, or no such file in it.
    """
    if not revision:
        return Path(path).read_text(encoding="utf-8")
    import dvc.api  # not at the top: it takes half a second to import

    try:
        return dvc.api.read(path, rev=revision)
    except (dvc.exceptions.DvcException, FileNotFoundError):
        raise UserError(f"{revision} is not an experiment with a {path}; `dvc exp list` shows them") from None
