"""Search for good parameters: Optuna proposes them, DVC experiments train them, the validation split decides.

    python -m pipeline.sweep wide --trials 20 train.units=32..128 train.learning_rate=1e-4..1e-2:log train.cell=gru,lstm
    python -m pipeline.sweep wide             # continue after Ctrl-C or a kill; with --trials 40, beyond the first 20
    python -m pipeline.sweep wide --best      # write the best trial's parameters into params.yaml

The search space is described in `pipeline.params.space`. The first trial has the values of params.yaml, as far as the
space contains them. A trial is the DVC experiment `<name>-<number>` and ends after `train`: no trial reads the test
split. Optuna keeps the sweep in `sweeps.db`; in MLflow the trials' runs are children of one run with the sweep's name.
"""

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

import click
import optuna
from optuna import Study
from optuna.exceptions import StorageInternalError
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState
from ruamel.yaml import YAML
from sqlalchemy.exc import SQLAlchemyError

from pipeline import cli, params
from pipeline.cli import UserError
from pipeline.files import written_beside
from pipeline.params import space
from pipeline.params.space import Space, Values
from pipeline.params.track import Track
from pipeline.tracking import revisions
from pipeline.tracking.errors import StoreError

DATABASE = "sweeps.db"
DEFAULT_TRIALS = 20
MAX_FAILURES = 3  # in a row; then the parameters are hardly the reason

EPILOG = """\b
Examples:
  python -m pipeline.sweep wide --trials 20 train.units=32..128 train.cell=gru,lstm
  python -m pipeline.sweep wide             continue it
  python -m pipeline.sweep wide --best      write the best parameters into params.yaml"""


@click.command(help="Search for good parameters, in a sweep with that NAME, over SPACE.", epilog=EPILOG)
@click.argument("name")
@click.argument("arguments", metavar="[SPACE]...", nargs=-1)
@click.option("--trials", type=int, help=f"The number of trials in all ({DEFAULT_TRIALS}, or that of the last call).")
@click.option("--best", is_flag=True, help="Write the best trial's parameters into params.yaml.")
def main(name: str, arguments: tuple[str, ...], trials: int | None, best: bool) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study, search_space = open_sweep(name, space.split_arguments(arguments), may_create=not best)
        if best:
            write_best(study)
        else:
            trials = trials or study.user_attrs.get("trials", DEFAULT_TRIALS)
            study.set_user_attr("trials", trials)
            search(study, search_space, trials)
    except (SQLAlchemyError, StorageInternalError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{DATABASE} cannot be used ({reason}); repair it, or move it away to start again") from None


def open_sweep(name: str, given: Mapping[str, str], may_create: bool) -> tuple[Study, Space]:
    """The sweep with that name, existing or new, and its search space.

    Raises UserError if the space is not valid, or if new trials would not be comparable with the earlier ones.
    """
    current = space.flatten(params.load())
    storage = f"sqlite:///{cli.repository_root().resolve() / DATABASE}"
    names = optuna.get_all_study_names(storage)
    stored = optuna.load_study(study_name=name, storage=storage).user_attrs if name in names else {}
    exists = "space" in stored  # it is stored last: without it, creating the sweep was interrupted
    if not exists and not may_create:
        raise UserError(f"there is no sweep {name}; {DATABASE} has {', '.join(names) or 'none'}")
    texts = stored.get("space", given)
    if not texts:
        raise UserError(f"sweep {name} is new and needs a space, such as train.units=32..128 train.cell=gru,lstm")
    search_space = space.parse_space(texts, current)
    if given and space.parse_space(given, current) != search_space:
        raise UserError(
            f"sweep {name} searches {space.format_values(texts)}; omit the space to continue it, or choose another name"
        )
    fixed = {key: value for key, value in current.items() if key not in search_space and not key.startswith("track.")}
    if exists:
        require_same_params(name, stored["rest"], fixed)
        return optuna.load_study(study_name=name, storage=storage), search_space

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UserError(f"{name!r} is not a name for a sweep; use letters, digits, - and _")
    if taken := [each for each in revisions.experiments() if re.fullmatch(rf"{name}-\d+", each)]:
        raise UserError(f"the experiment {taken[0]} exists already; choose another name, or `dvc exp remove` it")
    study = optuna.create_study(study_name=name, storage=storage, direction="maximize", load_if_exists=True)
    first = {key: current[key] for key in search_space if space.contains(search_space[key], current[key])}
    study.enqueue_trial(first, skip_if_exists=True)
    for key, value in {"id": uuid4().hex, "rest": fixed, "space": texts}.items():
        study.set_user_attr(key, value)
    return study, search_space


def require_same_params(name: str, then: Values, now: Values) -> None:
    """Raises UserError if a parameter outside of the space has changed since the sweep began."""
    if changed := [key for key in {**then, **now} if then.get(key) != now.get(key)]:
        key = changed[0]
        old, new = (space.format_value(values.get(key)) for values in (then, now))
        raise UserError(
            f"{key} was {old} in params.yaml when sweep {name} began, and is {new}, which makes trials incomparable; "
            "change it back, or choose another name"
        )


# The trials


def search(study: Study, search_space: Space, trials: int) -> None:
    """Run trials until there are that many. Raises UserError if they fail one after the other, or none has a result."""
    name = study.study_name
    with exclusive(name) as lock:
        try:
            run_trials(study, search_space, trials, lock)
        except (KeyboardInterrupt, SystemExit):
            print(f"\nstopped; `python -m pipeline.sweep {name}` continues")
            raise
    best = best_trial(study)
    print(f"\nbest: trial {best.number}, validation macro F1 {best.value:.4f}: {space.format_values(best.params)}")
    print(f"`python -m pipeline.sweep {name} --best` writes it into params.yaml; `make ui` shows the runs of {name}.")


@contextmanager
def exclusive(name: str) -> Iterator[IO]:
    """Wait until no other process works on the sweep. Yields the lock's file, which a training inherits.

    So the training that a killed sweep left behind finishes first, and its result counts.
    """
    path = cli.repository_root() / f".dvc/tmp/sweep-{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{name}: waiting for a trial of another call, or of one that was killed")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def run_trials(study: Study, search_space: Space, trials: int, lock: IO) -> None:
    config, failures, can_log = params.load(), 0, True
    while True:
        can_log = can_log and log_runs(study, config.track)
        # A trial that was interrupted while its parameters were written lacks some, and does not count.
        if sum(each.state.is_finished() and len(each.params) == len(search_space) for each in study.trials) >= trials:
            return
        trial = next_trial(study, search_space)
        varied = {key: value for key, value in trial.params.items() if not search_space[key].single()}
        print(f"  {trial.number:>3}  {space.format_values(varied, width=10)}", end="  ", flush=True)
        if error := space.validation_error(space.flatten(config), trial.params):
            outcome: float | str = params.describe_error(error)
        else:
            outcome = train(f"{study.study_name}-{trial.number}", trial.params, lock)
            failures = failures + 1 if isinstance(outcome, str) else 0
        if isinstance(outcome, float):
            study.tell(trial.number, outcome)
            best = best_trial(study)
            print(f"{outcome:.4f}  best {best.value:.4f} ({best.number})")
        else:
            study.tell(trial.number, state=TrialState.FAIL)
            print(outcome)
        if failures == MAX_FAILURES:
            raise UserError(f"{MAX_FAILURES} trials in a row failed; see the last message, then continue the sweep")


def next_trial(study: Study, search_space: Space) -> FrozenTrial | Trial:
    """The trial that was interrupted, with its number and parameters, or one that the sampler proposes."""
    for interrupted in study.get_trials(states=[TrialState.RUNNING]):
        if len(interrupted.params) == len(search_space):
            return interrupted
        study.tell(interrupted.number, state=TrialState.FAIL)
    # With a seed per trial, a proposal follows from the trials before it, whether or not the sweep was interrupted.
    study.sampler = TPESampler(seed=zlib.crc32(f"{study.study_name}-{len(study.trials)}".encode()))
    return study.ask(search_space)


def train(experiment: str, changes: Values, lock: IO) -> float | str:
    """Validation macro F1 of the DVC experiment, which is run unless it exists; or a message on why it failed."""
    output = ""
    if experiment not in revisions.experiments():
        options = [argument for key, value in changes.items() for argument in ("-S", f"{key}={quote(value)}")]
        output = run_dvc(lock, "exp", "run", "--temp", "-n", experiment, *options, "train")
    if commit := revisions.experiments().get(experiment):
        report = json.loads(revisions.read_revision("reports/train.json", commit))
        return float(report["validation"]["macro_f1"])
    lines = output.strip().splitlines() or ["DVC printed no reason"]
    errors = [line[len("error: ") :] for line in lines if line.lower().startswith("error: ")]
    return f"failed: {(errors or lines[-1:])[0]}"


def run_dvc(lock: IO, *arguments: str) -> str:
    """Run DVC and return its output. An interrupt is passed on to it and its stage, and waited for.

    DVC does not end with a sweep that is killed, which could be at a moment when it has the workspace's changes
    stashed: it has a process group of its own, and prints into a file, which needs no reader.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
            pass_fds=[lock.fileno()],
        )
        try:
            process.wait()
        except BaseException:
            # Repeatedly, as TensorFlow can lose a signal that comes while it traces a graph.
            while process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(10)
            raise
        output.seek(0)
        return output.read()


def quote(value: Any) -> str:
    """A value as `dvc exp run --set-param` takes it, whatever characters a text has."""
    return "'" + value.replace("'", r"\'") + "'" if isinstance(value, str) else json.dumps(value)


# The results


def best_trial(study: Study) -> FrozenTrial:
    """Raises UserError if no trial has a result."""
    try:
        return study.best_trial
    except ValueError:
        raise UserError(f"no trial of {study.study_name} has a result; call the sweep again for more trials") from None


def write_best(study: Study) -> None:
    """Write the best trial's parameters into params.yaml and leave all else in it as it is. Raises UserError."""
    best = best_trial(study)
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 10_000
    # Otherwise null is written as nothing.
    yaml.representer.add_representer(type(None), lambda to, _: to.represent_scalar("tag:yaml.org,2002:null", "null"))
    content = yaml.load(params.PARAMS_FILE.read_text(encoding="utf-8"))
    for key, value in best.params.items():
        section, _, name = key.partition(".")
        content[section][name] = value
    with written_beside(params.PARAMS_FILE) as beside, beside.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    written = space.format_values(best.params)
    print(f"wrote the parameters of {study.study_name}-{best.number} into {params.PARAMS_FILE}: {written}")


def log_runs(study: Study, config: Track) -> bool:
    """Group the runs of the finished trials in MLflow; returns whether it could, and prints why not."""
    from pipeline.tracking import sweep_runs  # not at the top: importing MLflow takes more than a second

    trials = [
        sweep_runs.FinishedTrial(
            trial.number,
            f"{study.study_name}-{trial.number}",
            {key: space.format_value(value) for key, value in trial.params.items()},
            trial.value or 0.0,
        )
        for trial in study.get_trials(states=[TrialState.COMPLETE])
    ]
    try:
        sweep_runs.group_runs(config, study.user_attrs["id"], study.study_name, study.user_attrs["space"], trials)
    except StoreError as error:
        print(f"  warning: {cli.hide_secrets(str(error))}; the sweep continues, and the next call logs its trials")
        return False
    return True


if __name__ == "__main__":
    cli.run(main)
