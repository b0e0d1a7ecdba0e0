"""Which results the repository keeps: each commit and each DVC experiment holds the one that its `dvc.lock` names."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from yaml import YAML, YAMLError

from pipeline.tracking import hashes
from pipeline.tracking.provenance import git

EXPERIMENT = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(.+)")  # the commit it began from, and its name


@dataclass(frozen=True)
class Result:
    """What a `dvc.lock` says came out.

    `model` is the md5 of the trained model's file; `digest` that of the whole, None if it was not evaluated, or by code
    that made other files. `recipe` tells two apart that came to the same by other parameters or code.
    """

    model: str
    evaluated: bool
    digest: str | None
    recipe: str | None = None


def read_result(commit: str) -> Result | None:
    """The result that a commit holds; None where it has no `dvc.lock`, or training was not done."""
    try:
        text = git("show", f"{commit}:dvc.lock")
        stages = (YAML(typ="safe").load(text) or {}).get("stages", {})
        outs = {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}
        evaluated = {dep["path"]: dep["md5"] for dep in stages.get("evaluate", {}).get("deps", [])}
    except (YAMLError, AttributeError, KeyError, TypeError):
        return None
    if hashes.MODEL not in outs:
        return None
    # An experiment of the training alone keeps, in its lock, the evaluation of the result before it.
    is_evaluated = evaluated.get(hashes.MODEL) == outs[hashes.MODEL]
    whole = is_evaluated and all(path in outs for path in hashes.RESULT_FILES)
    return Result(outs[hashes.MODEL], is_evaluated, hashes.result_hash(outs) if whole else None, recipe_hash(text))


def recipe_hash(lock: str) -> str:
    """sha256 of the parameters and the code that a `dvc.lock` says a result was made by."""
    stages = (YAML(typ="safe").load(lock) or {}).get("stages", {})
    # Not how the posts came here: they are in what came out.
    made = {
        name: {
            "params": stage.get("params", {}),
            "code": {dep["path"]: dep["md5"] for dep in stage.get("deps", []) if dep["path"].startswith("pipeline/")},
        }
        for name, stage in stages.items()
        if name not in ("source", "fetch", "track")
    }
    return hashlib.sha256(json.dumps(made, sort_keys=True, default=str).encode()).hexdigest()


def all_experiments() -> list[tuple[str, str]]:
    """Name and commit of DVC's experiments, oldest first; several have a name that was given on several commits."""
    lines = git("for-each-ref", "--sort=committerdate", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    found = ((EXPERIMENT.fullmatch(name), commit) for commit, _, name in (line.partition(" ") for line in lines))
    return [(match[1], commit) for match, commit in found if match]


def experiments() -> dict[str, str]:
    """DVC's experiments by name, each with its commit; of several of a name the newest."""
    return dict(all_experiments())


def commits() -> list[str]:
    """Those of all branches and tags that changed `dvc.lock`, oldest first, so that each result appears."""
    # The whole history: else what a merge took nothing from is left out.
    every = ["--branches", "--tags", "--remotes", "HEAD"]
    return git("rev-list", "--reverse", "--full-history", *every, "--", "dvc.lock").split()


def commit_of(name: str) -> str | None:
    """The commit of an experiment's name, or of what git knows by it (a hash, a branch, a tag, HEAD~1)."""
    return experiments().get(name) or git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") or None


def all_results() -> Iterator[tuple[str, str, Result]]:
    """Name, commit and result of every commit and experiment that holds one."""
    named = [(commit[:10], commit) for commit in commits()] + all_experiments()
    for name, commit in named:
        if found := read_result(commit):
            yield name, commit, found
