"""Which results the repository keeps: each commit and each DVC experiment holds the one that its `dvc.lock` names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ruamel.yaml import YAML, YAMLError

from pipeline.lineage import key
from pipeline.lineage.origin import git

EXPERIMENT = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(.+)")  # the commit it began from, and its name


@dataclass(frozen=True)
class Result:
    """What a `dvc.lock` says came out.

    `model` is the md5 of the trained model's file; `digest` that of the whole, None if it was not evaluated, or by code
    that made other files.
    """

    model: str
    evaluated: bool
    digest: str | None


def result(commit: str) -> Result | None:
    """The result that a commit holds; None where it has no `dvc.lock`, or training was not done."""
    try:
        lock = YAML(typ="safe").load(git("show", f"{commit}:dvc.lock")) or {}
        stages = lock.get("stages", {})
        outs = {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}
        evaluated = {dep["path"]: dep["md5"] for dep in stages.get("evaluate", {}).get("deps", [])}
    except (YAMLError, AttributeError, KeyError, TypeError):
        return None
    if key.MODEL not in outs:
        return None
    # An experiment of the training alone keeps, in its lock, the evaluation of the result before it.
    is_evaluated = evaluated.get(key.MODEL) == outs[key.MODEL]
    whole = is_evaluated and all(path in outs for path in key.MADE)
    return Result(outs[key.MODEL], is_evaluated, key.digest(outs) if whole else None)


def experiments() -> dict[str, str]:
    """DVC's experiments by name, each with its commit."""
    lines = git("for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines()
    found = ((EXPERIMENT.fullmatch(name), commit) for commit, _, name in (line.partition(" ") for line in lines))
    return {match[1]: commit for match, commit in found if match}


def commits() -> list[str]:
    """Those of all branches and tags that changed `dvc.lock`, oldest first, so that each result appears."""
    return git("log", "--reverse", "--format=%H", "--branches", "--tags", "--remotes", "HEAD", "--", "dvc.lock").split()


def commit_of(name: str) -> str | None:
    """The commit of an experiment's name, or of what git knows by it (a hash, a branch, a tag, HEAD~1)."""
    return experiments().get(name) or git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") or None


def all_results() -> Iterator[tuple[str, str, Result]]:
    """Name, commit and result of every commit and experiment that holds one."""
    named = [(commit[:10], commit) for commit in commits()] + sorted(experiments().items())
    for name, commit in named:
        if found := result(commit):
            yield name, commit, found
