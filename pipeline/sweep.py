"""Try many settings, and let a sampler choose the next: Optuna over `dvc exp run`, by macro F1 on validation.

    python -m pipeline.sweep wide --trials 20 train.units=32..128 train.learning_rate=1e-4..1e-2:log train.cell=gru,lstm
    python -m pipeline.sweep wide             # goes on after Ctrl-C or a kill; with --trials 40, beyond the first 20
    python -m pipeline.sweep wide --best      # writes the best trial's parameters into params.yaml

`a..b` is a range (`:log` on a logarithmic scale), `a,b,c` are choices, and a single value holds for all trials. The
first trial is what params.yaml says, as far as the space has it. Each is the DVC experiment `<name>-<number>`, and ends
after `train`: no trial looks at the test split. Optuna keeps the sweep in `sweeps.db`; in MLflow the trials' runs stand
under one of the sweep's name.
"""

import argparse
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import IO, Any
from uuid import uuid4

import optuna
from mlflow import MlflowClient
from mlflow.entities import Param
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import StorageInternalError
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState
from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from sqlalchemy.exc import SQLAlchemyError

from pipeline import cli, params
from pipeline.cli import UserError
from pipeline.tracking import provenance, revisions, runs, store
from pipeline.tracking.errors import StoreError, store_errors
from pipeline.tracking.rebuild import run_of_revision
from pipeline.tracking.revisions import read_revision

DATABASE = "sweeps.db"
TRIALS = 20
FAILURES = 3  # in a row; then the settings are hardly to blame
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
METRIC = "validation_macro_f1"
TRIAL = "sweep.trial"

Values = Mapping[str, Any]  # {"train.units": 64}
Space = dict[str, BaseDistribution]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.sweep", description="Search for good parameters.")
    parser.add_argument("name", help="the sweep's; one that there is goes on")
    parser.add_argument("space", nargs="*", help="train.units=32..128 train.cell=gru,lstm train.epochs=2")
    parser.add_argument("--trials", type=int, help=f"how many in all ({TRIALS}, or as the last call said)")
    parser.add_argument("--best", action="store_true", help="write the best trial's parameters into params.yaml")
    arguments = parser.parse_intermixed_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study, space = open_sweep(arguments.name, written(arguments.space), may_begin=not arguments.best)
        if arguments.best:
            write_best(study)
        else:
            trials = arguments.trials or study.user_attrs.get("trials", TRIALS)
            study.set_user_attr("trials", trials)
            search(study, space, trials)
    except (SQLAlchemyError, StorageInternalError) as error:
        why = str(error).splitlines()[0]
        raise UserError(f"{DATABASE} cannot be used ({why}); mend it, or move it away to begin anew") from None


# What is tried


def open_sweep(name: str, given: Mapping[str, str], may_begin: bool) -> tuple[Study, Space]:
    """The sweep of that name, as it was left or new, and its space.

    Raises Stop where a space is not one to try, or where trials could not be compared with those before them.
    """
    now = flat(params.load())
    storage = f"sqlite:///{cli.repository_root().resolve() / DATABASE}"
    there = optuna.get_all_study_names(storage)
    kept = optuna.load_study(study_name=name, storage=storage).user_attrs if name in there else {}
    if "space" not in kept and not may_begin:
        raise UserError(f"there is no sweep {name}; {DATABASE} has {', '.join(there) or 'none'}")
    text = kept.get("space", given)
    if not text:
        raise UserError(
            f"{name} would be a new sweep; say what to try, such as train.units=32..128 train.cell=gru,lstm"
        )
    space = parse(text, now)
    if given and parse(given, now) != space:
        raise UserError(
            f"sweep {name} tries {in_words(text)}; leave the space out to go on with it, or take another name"
        )
    rest = {key: value for key, value in now.items() if key not in space and not key.startswith("track.")}
    if "space" in kept:
        if changed := [key for key in kept["rest"] | rest if kept["rest"].get(key) != rest.get(key)]:
            was, now_is = (shown(values.get(changed[0])) for values in (kept["rest"], rest))
            raise UserError(
                f"{changed[0]} was {was} in params.yaml when sweep {name} began, and is {now_is}, so that its "
                "trials could not be compared; change it back, or take another name"
            )
        return optuna.load_study(study_name=name, storage=storage), space

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UserError(f"a sweep cannot be named {name!r}; take letters, digits, - and _")
    if taken := [each for each in revisions.experiments() if re.fullmatch(rf"{name}-\d+", each)]:
        raise UserError(f"there is an experiment {taken[0]} already; take another name, or `dvc exp remove` it")
    study = optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
    study.enqueue_trial({key: now[key] for key in space if contains(space[key], now[key])}, skip_if_exists=True)
    for key, value in {"id": uuid4().hex, "rest": rest, "space": text}.items():  # with a space it is whole
        study.set_user_attr(key, value)
    return study, space


def flat(everything: params.Params) -> dict[str, Any]:
    """All parameters as `{"train.units": 64}`."""
    sections = everything.model_dump().items()
    return {f"{section}.{name}": value for section, values in sections for name, value in values.items()}


def written(arguments: list[str]) -> dict[str, str]:
    """`["train.units=32..128"]` as `{"train.units": "32..128"}`. Raises Stop."""
    space: dict[str, str] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals:
            raise UserError(f"{name} says nothing to try; write it such as train.units=32..128 or train.cell=gru,lstm")
        if name in space:
            raise UserError(f"{name} stands there twice; write all that it is to try at once")
        space[name] = text
    return space


def parse(text: Mapping[str, str], now: Values) -> Space:
    """The space; each of its values may stand in params.yaml. Whether several go together shows in a trial.

    Raises Stop for a value that may not, and for a parameter over which trials could not be compared.
    """
    space = {name: distribution(name, tried, now) for name, tried in text.items()}
    for name, tried in space.items():
        for value in ends(tried):
            mistake = refused(now, {name: value})
            if mistake and mistake.errors()[0]["type"] != "value_error":
                raise UserError(params.describe_error(mistake))
        if name.startswith("track."):
            raise UserError(f"{name} says where runs go, and is nothing to try; set it in params.yaml")
        if name.startswith(("fetch.", "split.")) and not tried.single():
            raise UserError(f"{name} decides by which posts a trial is judged, and all by the same; give it one value")
    return space


def distribution(name: str, text: str, now: Values) -> BaseDistribution:
    """`32..128`, `1e-4..1e-2:log` or `gru,lstm`. Raises Stop."""
    yaml = YAML(typ="safe")
    if match := re.fullmatch(rf"({NUMBER})\.\.({NUMBER})(:log)?", text):
        low, high, log = yaml.load(match[1]), yaml.load(match[2]), bool(match[3])
        if low >= high:
            raise UserError(f"{name}={text} is no range; the smaller number comes first")
        if log and low <= 0:
            raise UserError(f"{name}={text} cannot be on a logarithmic scale, which has no {low}; begin above 0")
        # 0..5 has fractions in between where the parameter may be one.
        if isinstance(low, int) and isinstance(high, int) and refused(now, {name: low + 0.5}):
            return IntDistribution(low, high, log=log)
        return FloatDistribution(low, high, log=log)
    try:
        return CategoricalDistribution(list(dict.fromkeys(yaml.load(f"[{text}]"))))
    except (YAMLError, TypeError, ValueError):  # no YAML; a list or a mapping; nothing at all
        raise UserError(f"{name}={text} is neither a range, 32..128 or 1e-4..1e-2:log, nor choices, gru,lstm") from None


def ends(tried: BaseDistribution) -> tuple[Any, ...]:
    """Its choices, or the lowest and the highest value."""
    if isinstance(tried, CategoricalDistribution):
        return tried.choices
    assert isinstance(tried, IntDistribution | FloatDistribution)
    return tried.low, tried.high


def contains(tried: BaseDistribution, value: Any) -> bool:
    if isinstance(tried, CategoricalDistribution):
        return value in tried.choices
    return value is not None and ends(tried)[0] <= value <= ends(tried)[1]


def refused(now: Values, changes: Values) -> ValidationError | None:
    """What the model of params.yaml has against these changes."""
    sections: dict[str, dict] = {}
    for key, value in {**now, **changes}.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, {})[name] = value
    try:
        params.Params.model_validate(sections)
    except ValidationError as error:
        return error
    return None


# The trials


def search(study: Study, space: Space, trials: int) -> None:
    """Run trials until there are as many. Raises Stop where one after the other fails, or none has a result."""
    name = study.study_name
    with alone(name) as lock:
        try:
            run_trials(study, space, trials, lock)
        except (KeyboardInterrupt, SystemExit):
            print(f"\nstopped; `python -m pipeline.sweep {name}` goes on where it was")
            raise
    best = best_trial(study)
    print(f"\nbest: trial {best.number}, macro F1 on validation {best.value:.4f}: {in_words(best.params)}")
    print(
        f"`python -m pipeline.sweep {name} --best` writes it into params.yaml; `make ui` shows {name} and its trials."
    )


@contextmanager
def alone(name: str) -> Iterator[IO]:
    """Wait until nothing else works on the sweep; gives the file that says so while a training has it open, too.

    So the training that a killed sweep left behind comes to its end, and its result counts.
    """
    path = cli.repository_root() / f".dvc/tmp/sweep-{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{name}: a trial is running, of another call or left behind by one that was killed; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def run_trials(study: Study, space: Space, trials: int, lock: IO) -> None:
    everything, failures, can_tell = params.load(), 0, True
    while True:
        if can_tell:
            try:
                group(study, everything.track.experiment)
            except StoreError as error:
                print(f"  MLflow could not be told ({error}); the sweep goes on, and the next call tells it")
                can_tell = False
        # One that was broken off while its settings were written lacks some, and does not count.
        if sum(each.state.is_finished() and len(each.params) == len(space) for each in study.trials) >= trials:
            return
        trial = next_trial(study, space)
        varied = {key: value for key, value in trial.params.items() if not space[key].single()}
        print(f"  {trial.number:>3}  {in_words(varied, width=10)}", end="  ", flush=True)
        mistake = refused(flat(everything), trial.params)
        figure = (
            params.describe_error(mistake)
            if mistake
            else train(f"{study.study_name}-{trial.number}", trial.params, lock)
        )
        if isinstance(figure, float):
            study.tell(trial.number, figure)
            best, failures = best_trial(study), 0
            print(f"{figure:.4f}  best {best.value:.4f} ({best.number})")
        else:
            study.tell(trial.number, state=TrialState.FAIL)
            print(figure)
            failures += not mistake
        if failures == FAILURES:
            raise UserError(
                f"{FAILURES} trials in a row failed; see to what the last one says, and call the sweep again"
            )


def next_trial(study: Study, space: Space) -> FrozenTrial | Trial:
    """The one that was broken off, with its number and its settings, or else the one that the sampler proposes."""
    for left in study.get_trials(states=[TrialState.RUNNING]):
        if len(left.params) == len(space):
            return left
        study.tell(left.number, state=TrialState.FAIL)
    # With a seed of its own, a proposal follows from the trials before it, whether or not the sweep was broken off.
    study.sampler = TPESampler(seed=zlib.crc32(f"{study.study_name}-{len(study.trials)}".encode()))
    return study.ask(space)


def train(name: str, changes: Values, lock: IO) -> float | str:
    """Macro F1 on validation of the experiment, which is run unless it is there; or, in words, why it failed."""
    said = ""
    if name not in revisions.experiments():
        changed = [argument for key, value in changes.items() for argument in ("-S", f"{key}={quoted(value)}")]
        said = dvc(lock, "exp", "run", "--temp", "-n", name, *changed, "train")
    if commit := revisions.experiments().get(name):
        return float(json.loads(read_revision("reports/train.json", commit))["validation"]["macro_f1"])
    lines = said.strip().splitlines() or ["DVC does not say why"]
    errors = [line[len("error: ") :] for line in lines if line.lower().startswith("error: ")]
    return f"failed: {(errors or lines[-1:])[0]}"


def dvc(lock: IO, *arguments: str) -> str:
    """What DVC prints. A stop is passed on to it and its stage, and waited for.

    DVC does not die with a sweep that is killed, which could be at a moment when it has the workspace's changes
    stashed: it has a process group of its own, and prints into a file, which needs no reader.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as printed:
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            process_group=0,
            pass_fds=[lock.fileno()],
        )
        try:
            process.wait()
        except BaseException:
            # Again, as TensorFlow can lose one that comes while it traces a graph.
            while process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(10)
            raise
        printed.seek(0)
        return printed.read()


def quoted(value: Any) -> str:
    """As `dvc exp run --set-param` takes it, whatever characters a text has."""
    return "'" + value.replace("'", r"\'") + "'" if isinstance(value, str) else json.dumps(value)


# What came out


def best_trial(study: Study) -> FrozenTrial:
    """Raises Stop where no trial has a result."""
    try:
        return study.best_trial
    except ValueError:
        raise UserError(f"no trial of {study.study_name} has come to a result; call the sweep again for more") from None


def write_best(study: Study) -> None:
    """Write the best trial's settings into params.yaml, and leave all else in it as it is. Raises Stop."""
    best = best_trial(study)
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 10_000
    # Else nothing takes the place of each null.
    yaml.representer.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))
    content = yaml.load(params.PARAMS_FILE.read_text(encoding="utf-8"))
    for key, value in best.params.items():
        section, _, name = key.partition(".")
        content[section][name] = value
    with params.PARAMS_FILE.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    print(f"{params.PARAMS_FILE} has the settings of {study.study_name}-{best.number}: {in_words(best.params)}")


def in_words(values: Values, width: int = 0) -> str:
    return " ".join(f"{key}={shown(value):<{width}}" for key, value in values.items())


def shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)


def group(study: Study, experiment: str) -> None:
    """Bring the trials' runs under one that says what is tried and what is best; only what is missing is done.

    Raises StoreError.
    """
    client, id = store.connect(experiment)
    done = study.get_trials(states=[TrialState.COMPLETE])
    tags = {"sweep.id": study.user_attrs["id"], "mlflow.source.type": "LOCAL", "mlflow.source.name": "pipeline.sweep"}
    with store_errors():
        mine = client.search_runs([id], f"tags.`sweep.id` = '{tags['sweep.id']}'")
        parent = (mine[0] if mine else client.create_run(id, run_name=study.study_name, tags=tags)).info.run_id
        client.set_terminated(parent)  # at once, so that no kill leaves it RUNNING
        client.log_batch(parent, params=[Param(key, text) for key, text in study.user_attrs["space"].items()])
        children = {run.data.tags[TRIAL] for run in client.search_runs([id], f"tags.`{runs.PARENT}` = '{parent}'")}
        missing = [trial for trial in done if str(trial.number) not in children]
        for trial in missing:
            child = run_of_trial(client, id, f"{study.study_name}-{trial.number}", trial)
            client.log_metric(child, METRIC, trial.values[0])
            client.set_tag(child, TRIAL, trial.number)
            client.set_tag(child, runs.PARENT, parent)
        if missing:
            client.log_metric(parent, "trials", len(done), step=len(done))
            client.log_metric(parent, f"best_{METRIC}", study.best_value, step=len(done))
            for key, value in {"trial": study.best_trial.number, **study.best_params}.items():
                client.set_tag(parent, f"best.{key}", shown(value))


def run_of_trial(client: MlflowClient, id: str, name: str, trial: FrozenTrial) -> str:
    """The run that the trial's training made; or one that stands for it, where another has the same result.

    That one is a commit's or another sweep's, and stays where it is; so does one that has figures on the test split.
    """
    found = run_of_revision(client, id, name)
    tags = client.get_run(found).data.tags if found else {}
    if found and tags.get(provenance.EXPERIMENT) == name and tags.get(runs.STATE) == "trained":
        return found
    stand_in = client.create_run(id, run_name=name, tags={"sweep.same_result": found or "none"}).info.run_id
    client.set_terminated(stand_in)  # at once, so that no kill leaves it RUNNING
    client.log_batch(stand_in, params=[Param(key, shown(value)) for key, value in trial.params.items()])
    return stand_in


if __name__ == "__main__":
    cli.run(main)
