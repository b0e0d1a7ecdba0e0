"""Sweeps: the search space, its errors, and real trials with Optuna, DVC, git and MLflow, through kills."""

import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import optuna
import psutil
import pytest
from mlflow.entities import Run
from optuna import Study
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from ruamel.yaml import YAML

from pipeline import params, sweep
from pipeline.cli import UserError
from pipeline.params.space import Space, flatten, parse_space, split_arguments
from tests.repository import environment, run, runs, toy_copy

ROOT = Path(__file__).parent.parent
optuna.logging.set_verbosity(optuna.logging.ERROR)


def space(*arguments: str) -> Space:
    return parse_space(split_arguments(arguments), flatten(params.load()))


def begin(name: str, *arguments: str) -> tuple[Study, Space]:
    return sweep.open_sweep(name, split_arguments(arguments), may_create=True)


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("argument", "tried"),
    [
        ("train.units=32..128", IntDistribution(32, 128)),
        ("train.units=8..512:log", IntDistribution(8, 512, log=True)),
        ("train.learning_rate=1e-4..1e-2:log", FloatDistribution(1e-4, 1e-2, log=True)),
        ("train.dropout=.1..0.5", FloatDistribution(0.1, 0.5)),
        ("train.clip_norm=1..5", FloatDistribution(1.0, 5.0)),  # not 1, 2, 3, 4 and 5 alone
        ("train.cell=gru,lstm", CategoricalDistribution(["gru", "lstm"])),
        ("train.units=64,32,64", CategoricalDistribution([64, 32])),
        ("train.learning_rate=1e-3,3e-3", CategoricalDistribution([0.001, 0.003])),
        ("train.mask=true,false", CategoricalDistribution([True, False])),
        ("train.clip_norm=null,1.0", CategoricalDistribution([None, 1.0])),
        ("train.epochs=2", CategoricalDistribution([2])),
        ("fetch.source=../posts.tar.gz", CategoricalDistribution(["../posts.tar.gz"])),
        ("fetch.source=https://example.com/a=b.zip", CategoricalDistribution(["https://example.com/a=b.zip"])),
        ("fetch.source='a, b'", CategoricalDistribution(["a, b"])),
    ],
)
def test_a_space_has_ranges_choices_and_single_values(argument: str, tried) -> None:
    assert list(space(argument).values()) == [tried]


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("train.unit=1..2", "train.unit is not a parameter; allowed here are seed, embedding_dim, "),
        ("trian.units=1..2", "trian is not a parameter; allowed here are fetch, split, "),
        ("units=1..2", "units is not a parameter; allowed here are fetch, split, "),
        ("train.units=0..128", "train.units is 0, but should be greater than or equal to 1"),
        ("train.units=32..5000", "train.units is 5000, but should be less than or equal to 4096"),
        ("train.units=32..64.5", "train.units is 32.0, but should be a valid integer"),
        ("train.dropout=0..1", "train.dropout is 1.0, but should be less than 1"),
        ("train.cell=gru,elman", "train.cell is 'elman', but should be 'gru', 'lstm' or 'rnn'"),
        ("train.units=many..more", "train.units is 'many..more', but should be a valid integer"),
        ("train.mask=yes", "train.mask is 'yes', but should be a valid boolean"),
        ("train.units=128..32", "train.units=128..32 is not a range; give the lower number first"),
        ("train.dropout=0..0.5:log", "train.dropout=0..0.5:log cannot be on a logarithmic scale; begin above 0"),
        ("train.cell=", "train.cell= is neither a range (32..128, 1e-4..1e-2:log) nor a list of choices (gru,lstm)"),
        ("train.cell=[gru]", "train.cell=[gru] is neither a range"),
        ("train.cell=gru]", "train.cell=gru] is neither a range"),
        ("train.units", "train.units has no values; write for example train.units=32..128 or "),
        ("split.seed=1,2", "split.seed changes the data that trials are compared on; give it a single value"),
        ("fetch.source=sample,other", "fetch.source changes the data that trials are compared on"),
        (
            "track.experiment=mine",
            "track.experiment says where runs are logged, and cannot be searched; set it in params.yaml",
        ),
    ],
)
def test_invalid_space_is_a_one_line_error(argument: str, message: str) -> None:
    with pytest.raises(UserError) as stop:
        space(argument)

    assert str(stop.value).startswith(message)
    assert "\n" not in str(stop.value)


def test_parameter_given_twice_is_rejected() -> None:
    with pytest.raises(UserError, match=r"train.units is given twice; give all its values at once"):
        split_arguments(["train.units=1..2", "train.units=3..4"])


def test_a_sweep_goes_on_with_its_own_space_alone(workspace: Path) -> None:
    _, first = begin("some", "train.units=4..64", "train.cell=gru,lstm")

    assert begin("some")[1] == first
    assert begin("some", "train.cell=gru,lstm", "train.units=4..64")[1] == first
    with pytest.raises(UserError, match=r"^sweep some searches train.units=4..64 train.cell=gru,lstm; omit the space"):
        begin("some", "train.units=4..32")


def test_a_sweep_does_not_go_on_with_other_parameters_beside_its_space(set_params) -> None:
    set_params(train={"seed": 1})
    begin("some", "train.units=4..64")

    set_params(train={"units": 9}, track={"experiment": "elsewhere"})  # what is tried, and where runs go
    begin("some")
    set_params(train={"clip_norm": None})

    with pytest.raises(
        UserError, match=r"^train.clip_norm was 1 in params.yaml when sweep some began, and is null, which "
    ):
        begin("some")


@pytest.mark.usefixtures("workspace")
def test_a_new_sweep_needs_a_space_and_a_name(workspace: Path) -> None:
    with pytest.raises(UserError, match=r"^sweep some is new and needs a space, such as "):
        begin("some")
    with pytest.raises(UserError, match=r"^'a b' is not a name for a sweep; use letters, digits, - and _"):
        begin("a b", "train.units=4..64")
    with pytest.raises(UserError, match=r"^there is no sweep some; sweeps.db has none"):
        sweep.open_sweep("some", {}, may_create=False)


def test_a_new_sweep_takes_no_name_of_experiments_that_there_are(workspace: Path) -> None:
    run(workspace, "git", "init", "--quiet")
    someone = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    run(workspace, "git", *someone, "commit", "--quiet", "--allow-empty", "--message", "start")
    run(workspace, "git", "update-ref", f"refs/exps/{'a' * 2}/{'b' * 38}/units-96", "HEAD")

    begin("unit", "train.units=4..64")
    with pytest.raises(UserError, match=r"^the experiment units-96 exists already; choose another name, or "):
        begin("units", "train.units=4..64")


@pytest.mark.usefixtures("workspace")
def test_the_first_trial_is_what_params_yaml_says_as_far_as_the_space_has_it() -> None:
    study, tried = begin(
        "some", "train.units=4..64", "train.cell=gru,lstm", "train.learning_rate=0.5..1", "train.seed=7"
    )

    first = sweep.next_trial(study, tried).params

    now = params.load().train
    assert (first["train.units"], first["train.cell"]) == (now.units, now.cell)
    assert 0.5 <= first["train.learning_rate"] <= 1
    assert first["train.seed"] == 7


@pytest.mark.usefixtures("workspace")
def test_a_sweep_that_is_begun_anew_at_each_trial_proposes_what_an_unbroken_one_does() -> None:
    arguments = ["train.units=4..64", "train.learning_rate=1e-4..1e-2:log", "train.cell=gru,lstm,rnn"]

    def propose(name: str, broken: bool) -> list[dict]:
        study, tried = begin(name, *arguments)
        for _ in range(12):  # the first 10 are drawn at random
            if broken:
                sweep.next_trial(study, tried)
                study, tried = begin(name)
            trial = sweep.next_trial(study, tried)
            study.tell(trial.number, trial.params["train.units"] / 64)
        done = study.trials
        optuna.delete_study(study_name=name, storage="sqlite:///sweeps.db")
        return [trial.params for trial in done]

    unbroken = propose("some", broken=False)

    assert propose("some", broken=True) == unbroken
    assert len({json.dumps(each) for each in unbroken}) == 12


@pytest.mark.usefixtures("workspace")
def test_a_trial_that_was_broken_off_has_its_settings_again_or_none() -> None:
    study, tried = begin("some", "train.units=4..64", "train.cell=gru,lstm")
    study.ask({"train.units": tried["train.units"]})  # killed before the second was written

    half = sweep.next_trial(study, tried)
    again = sweep.next_trial(study, tried)

    assert (again.number, again.params) == (half.number, half.params)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.RUNNING]


def test_best_writes_values_and_leaves_all_else_in_params_yaml(workspace: Path, capsys) -> None:
    shutil.copy(ROOT / "params.yaml", workspace)
    before = Path("params.yaml").read_text()
    study, tried = begin(
        "some", "train.units=100,200", "train.cell=lstm", "train.clip_norm=null", "train.dropout=0.1..0.5"
    )
    for figure in (0.5, 0.9, 0.8):
        study.tell(sweep.next_trial(study, tried).number, figure)
    best = study.trials[1].params

    sweep.write_best(study)

    after = Path("params.yaml").read_text()
    assert flatten(params.load()) == flatten(params.load(ROOT / "params.yaml")) | best
    changed = [names for names in zip(before.splitlines(), after.splitlines(), strict=True) if names[0] != names[1]]
    assert len(changed) == 4
    for old, new in changed:
        key, comment = (re.escape(part) for part in (old.split(":")[0], old[old.index("#") :]))
        assert re.fullmatch(rf"{key}: \S+ +{comment}", new)
    assert capsys.readouterr().out.startswith("wrote the parameters of some-1 into params.yaml: train.units=")


@pytest.mark.usefixtures("workspace")
def test_best_without_a_result_is_a_one_line_error() -> None:
    study, _ = begin("some", "train.units=4..64")

    with pytest.raises(UserError, match=r"^no trial of some has a result; call the sweep again for more"):
        sweep.write_best(study)


def test_damaged_database_is_a_one_line_error(workspace: Path, run) -> None:
    (workspace / "sweeps.db").write_text("what is this?" * 100)

    done = run("pipeline.sweep", "some", "train.units=4..64")

    assert done.returncode == 1
    assert re.fullmatch(
        r"error: sweeps.db cannot be used \(.+\); repair it, or move it away to start again\n", done.stderr
    )


# Real trials


@pytest.fixture(scope="module")
def repository(first_toy_result: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_copy(tmp_path_factory.mktemp("sweep"), cache_of=first_toy_result)


def sweep_command(repository: Path, *arguments: str, code: int = 0, store: str = "") -> str:
    more = {"MLFLOW_TRACKING_URI": store, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"} if store else {}
    return run(repository, "python", "-m", "pipeline.sweep", *arguments, code=code, **more)


def until_it_trains(repository: Path, experiment: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a sweep; gives it when MLflow has a run of that experiment that is RUNNING."""
    command = ["python", "-m", "pipeline.sweep", *arguments]
    process = subprocess.Popen(
        command, cwd=repository, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout
    process.stdout.read(1)  # of the line of a trial: the store is there
    deadline = time.monotonic() + 180
    while not any(run.info.status == "RUNNING" for run in of_experiment(repository, experiment)):
        assert process.poll() is None, f"the sweep ended before it trained {experiment}:\n{process.communicate()[0]}"
        assert time.monotonic() < deadline, f"{experiment} does not train after three minutes"
        time.sleep(0.5)
    return process


def of_experiment(repository: Path, experiment: str) -> list[Run]:
    return [run for run in runs(repository) if run.data.tags.get("dvc.experiment") == experiment]


def named(repository: Path, name: str) -> Run:
    (only,) = [run for run in runs(repository) if run.info.run_name == name]
    return only


def experiments(repository: Path) -> dict[str, str]:
    lines = run(
        repository, "git", "for-each-ref", "--format=%(refname:lstrip=4) %(objectname)", "refs/exps"
    ).splitlines()
    return dict(line.split() for line in lines)


def trials(repository: Path, name: str) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{repository / 'sweeps.db'}").trials


def test_sweep_continues_after_ctrl_c_and_kills_until_each_trial_has_its_result(repository: Path) -> None:
    process = until_it_trains(repository, "tiny-0", "tiny", "--trials", "2", "train.units=4..32", "train.epochs=80")
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=120)[0]

    assert process.returncode == 130
    assert output.rstrip().endswith("\nstopped; `python -m pipeline.sweep tiny` continues")
    assert named(repository, "tiny").info.status == "FINISHED"
    (begun,) = trials(repository, "tiny")
    assert begun.state == TrialState.RUNNING

    # The machine loses its power: all processes of the sweep, at once.
    process = until_it_trains(repository, "tiny-1", "tiny")
    for each in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        each.kill()
    process.communicate()
    first = trials(repository, "tiny")[0]

    assert (first.params, first.state) == (begun.params, TrialState.COMPLETE)
    assert list(experiments(repository)) == ["tiny-0"]

    # The sweep alone: its training comes to an end, and is not done again.
    process = until_it_trains(repository, "tiny-1", "tiny")
    process.kill()
    process.communicate()
    output = sweep_command(repository, "tiny")

    waited, line, _, best, _ = output.splitlines()
    assert waited == "tiny: waiting for a trial of another call, or of one that was killed"
    assert line.split()[0] == "1"
    assert best.startswith("best: trial ")
    assert list(experiments(repository)) == ["tiny-0", "tiny-1"]
    done = trials(repository, "tiny")
    assert [trial.state for trial in done] == [TrialState.COMPLETE] * 2
    assert done[0] == first
    for trial in done:
        name = f"tiny-{trial.number}"
        report = json.loads(run(repository, "git", "show", f"{experiments(repository)[name]}:reports/train.json"))
        assert trial.value == report["validation"]["macro_f1"]
        statuses = [each.info.status for each in of_experiment(repository, name)]
        assert statuses.count("FINISHED") == 1
        assert "RUNNING" not in statuses
    assert run(repository, "git", "status", "--porcelain", "--untracked-files=no") == ""


def test_trials_are_children_of_the_sweep_in_mlflow_and_have_no_test_metric(repository: Path) -> None:
    parent, all_runs, done = named(repository, "tiny"), runs(repository), trials(repository, "tiny")

    children = [run for run in all_runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]

    assert {run.data.tags["dvc.experiment"] for run in children} == {"tiny-0", "tiny-1"}
    for trial in done:
        (child,) = [run for run in children if run.data.tags["dvc.experiment"] == f"tiny-{trial.number}"]
        assert child.data.metrics["classifier/val_macro_f1"] == trial.value
        assert child.data.params["train.units"] == str(trial.params["train.units"])
    best = max(done, key=lambda trial: trial.values[0])
    assert parent.info.status == "FINISHED"
    assert parent.data.params == {"train.units": "4..32", "train.epochs": "80"}
    assert parent.data.metrics == {"sweep/trials": 2, "sweep/best_val_macro_f1": best.value}
    assert parent.data.tags["best.trial"] == str(best.number)
    assert parent.data.tags["best.train.units"] == str(best.params["train.units"])
    assert not [name for run in all_runs for name in run.data.metrics if name.startswith("test/") or "/test_" in name]
    for commit in experiments(repository).values():
        assert "reports/metrics.json" not in run(repository, "git", "ls-tree", "-r", "--name-only", commit)


def test_a_sweep_that_has_its_trials_trains_nothing_and_a_store_that_is_away_costs_a_line(repository: Path) -> None:
    before = [(run.info.run_id, run.data.tags, run.data.metrics) for run in runs(repository)]

    output = sweep_command(repository, "tiny")
    output_offline = sweep_command(repository, "tiny", store="http://127.0.0.1:9")

    (best, hint) = output.strip().splitlines()
    assert re.fullmatch(r"best: trial \d, validation macro F1 0\.\d{4}: train.units=\d+ train.epochs=80", best)
    assert "--best` writes it into params.yaml; `make ui` shows the runs of tiny" in hint
    assert re.match(
        r"  warning: cannot .* MLflow \(.+\); check MLFLOW_TRACKING_URI; "
        r"the sweep continues, and the next call logs its trials\n",
        output_offline,
    )
    assert output_offline.endswith(output)
    assert [(run.info.run_id, run.data.tags, run.data.metrics) for run in runs(repository)] == before


def test_a_result_that_has_its_run_elsewhere_keeps_it_and_a_run_stands_for_it(repository: Path) -> None:
    units = trials(repository, "tiny")[0].params["train.units"]

    sweep_command(repository, "same", "--trials", "1", "train.epochs=80", f"train.units={units}")

    (trial,), (original,) = (
        trials(repository, "same"),
        [run for run in of_experiment(repository, "tiny-0") if run.info.status == "FINISHED"],
    )
    placeholder = named(repository, "same-0")
    assert placeholder.data.tags["sweep.same_result"] == original.info.run_id
    assert placeholder.data.tags["mlflow.parentRunId"] == named(repository, "same").info.run_id
    assert (
        placeholder.data.metrics["classifier/val_macro_f1"]
        == trial.value
        == original.data.metrics["classifier/val_macro_f1"]
    )
    assert placeholder.info.status == "FINISHED"
    assert original.data.tags["mlflow.parentRunId"] == named(repository, "tiny").info.run_id


def test_trials_that_fail_say_why_and_three_in_a_row_end_the_sweep(repository: Path) -> None:
    output = sweep_command(repository, "vain", "fetch.source=nowhere", "train.units=4..8", code=1)

    *lines, last = output.splitlines()
    assert len(lines) == 3
    for number, line in enumerate(lines):
        assert re.fullmatch(rf" +{number}  train.units=[4-8] +failed: .*\bnowhere\b.*", line)
    assert last == "error: 3 trials in a row failed; see the last message, then continue the sweep"
    assert [trial.state for trial in trials(repository, "vain")] == [TrialState.FAIL] * 3


def test_parameters_that_are_invalid_together_fail_without_a_training(repository: Path) -> None:
    arguments = ["--trials", "4", "train.cell=lstm,rnn", "train.reset_after=false"]

    output = sweep_command(repository, "odd", *arguments, code=1)

    *lines, last = output.splitlines()
    assert len(lines) == 4
    assert all("train: reset_after: false is for a GRU, but cell is " in line for line in lines)
    assert last == "error: no trial of odd has a result; call the sweep again for more trials"
    assert not [name for name in experiments(repository) if name.startswith("odd")]


def test_the_best_trials_parameters_come_into_params_yaml_all_of_them(repository: Path) -> None:
    sweep_command(repository, "tiny", "--best")

    best = max(trials(repository, "tiny"), key=lambda trial: trial.values[0])
    tried = run(repository, "git", "show", f"{experiments(repository)[f'tiny-{best.number}']}:params.yaml")
    yaml = YAML(typ="safe")
    assert yaml.load(repository / "params.yaml") == yaml.load(tried)
