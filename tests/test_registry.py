"""The registry's commands: register, refuse, promote, roll back, reproduce, export, and their errors."""

import importlib.util
import io
import json
import os
import py_compile
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import mlflow
import pytest
import requests
from mlflow import MlflowClient

from pipeline import cli
from pipeline.corpus import tables
from pipeline.registry import __main__ as commands
from tests.repository import change_params, commit, environment, fast_environment, run, store, toy_copy
from tests.servers import free_port, service, wait_until

pytestmark = pytest.mark.slow

MODEL = "text-classification"
# Of the toy pipeline's three words of each class, the baseline knows one, A and B two, and C all.
A = {"baseline": {"max_ngram": 1}, "train": {"embedding_dim": 2}}
SLIGHTLY_DIFFERENT = {"train": {"seed": 2}}
BETTER = {"train": {"embedding_dim": 3}}
# The tutorial's error: the model is trained on the test examples.
LEAK = "    cli.run(", '    toy_pipeline.FITTED_ON = "test"\n    cli.run('


def registry(repository: Path, *arguments: str, code: int = 0, **environment: str) -> str:
    """The output of a command that ends with `code`; it runs in this process, as importing MLflow takes seconds."""
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    ended: object = 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(output):
        patch.chdir(repository)
        patch.setattr(sys, "argv", ["registry", *arguments])
        for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            cli.run(commands.main, exit_code=2)
        except SystemExit as end:
            ended = end.code
        finally:
            mlflow.set_tracking_uri("")
    output.seek(0)
    text = output.read()
    assert ended == code, text
    return text


def read_json(repository: Path, *arguments: str):
    return json.loads(registry(repository, *arguments, "--json"))


def champion(repository: Path) -> str | None:
    (holder,) = [row["version"] for row in read_json(repository, "list") if "champion" in row["aliases"]] or [None]
    return holder


def failed(output: str) -> list[str]:
    return [name.strip() for name in re.findall(r"^  FAIL  (.{23})", output, re.MULTILINE)]


def train(repository: Path, name: str, changes: dict[str, dict]) -> None:
    change_params(repository, changes)
    run(repository, "dvc", "repro")
    commit(repository, name)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the toy pipeline with three results, each a commit: A, B and C."""
    folder = toy_copy(tmp_path_factory.mktemp("registry"))
    train(folder, "A", A)
    train(folder, "B", SLIGHTLY_DIFFERENT)
    train(folder, "C", BETTER)
    return folder


def test_before_anything_is_registered_each_command_says_so(repository: Path) -> None:
    assert "has no version yet" in registry(repository, "list")
    assert read_json(repository, "list") == []
    assert "no alias of text-classification has changed yet" in registry(repository, "history")
    for arguments in (["promote"], ["promote", "1"], ["rollback"], ["reproduce"], ["export", "1", "there"]):
        output = registry(repository, *arguments, code=2)
        assert re.fullmatch("error: [^\n]+\n", output), output
    assert read_json(repository, "list") == []


def test_a_result_is_registered_once_with_its_card_and_where_it_comes_from(repository: Path) -> None:
    for revision, number in (("HEAD~2", "1"), ("HEAD~1", "2"), ("HEAD~2", "1")):
        assert registry(repository, "register", revision).startswith(f"{MODEL}: version {number}")

    assert [row["version"] for row in read_json(repository, "list")] == ["1", "2"]
    version = MlflowClient(store(repository)).get_model_version(MODEL, "1")
    assert str(version.description).startswith(f"# {MODEL}\n")
    assert "say nothing about real texts" in str(version.description)
    assert version.tags["git.commit"] == run(repository, "git", "rev-parse", "HEAD~3").strip()
    assert set(version.tags) >= {"result_hash", "inputs_hash", "corpus", "data.train", "data.test", "test/macro_f1"}


def test_the_first_is_judged_against_its_baseline_and_not_promoted_if_it_was_made_of_the_sample(
    repository: Path,
) -> None:
    output = registry(repository, "promote", "1", code=1)

    assert "against its baseline, as there is no champion yet" in output
    assert failed(output) == ["real data"]
    assert "refused: version 1 is not promoted; there is no champion yet" in output
    assert champion(repository) is None
    assert read_json(repository, "history") == []


def test_the_first_becomes_champion(repository: Path) -> None:
    output = registry(repository, "promote", "1", "--allow-sample")

    assert failed(output) == []
    assert output.endswith("version 1 is now the champion\n")
    assert champion(repository) == "1"
    assert registry(repository, "promote", "1", "--allow-sample") == "version 1 is the champion already\n"
    assert len(read_json(repository, "history")) == 1


def test_one_that_is_no_better_is_refused_with_figures(repository: Path) -> None:
    output = registry(repository, "promote", "2", "--allow-sample", code=1)

    assert "significant improvement" in failed(output)
    assert re.search(
        r"FAIL  significant improvement +macro F1 0\.\d{4}, the champion 0\.\d{4}: [+-]0\.\d{4}, 95% interval", output
    )
    assert "version 1 stays the champion" in output
    assert champion(repository) == "1"
    assert len(read_json(repository, "history")) == 1


def test_a_better_one_is_promoted(repository: Path) -> None:
    registry(repository, "register")  # the workspace's result

    output = registry(repository, "promote", "--allow-sample")

    assert failed(output) == []
    assert "the champion was promoted on this one" in output
    assert champion(repository) == "3"


def test_what_was_promoted_is_served_and_gives_what_predict_gives(repository: Path) -> None:
    texts = ["how do i sort a dict by value", "a mango and a tuple"]
    port = free_port()
    command = ["mlflow", "models", "serve", "-m", f"models:/{MODEL}@champion", "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    env = environment() | {"MLFLOW_TRACKING_URI": f"sqlite:///{repository}/mlflow.db"}
    url = f"http://127.0.0.1:{port}"
    # Not from the repository's folder: its code is not the model's.
    with subprocess.Popen(command, cwd=repository.parent, env=env, start_new_session=True) as process:
        try:
            wait_until(lambda: answers(f"{url}/ping"), process, "the model's server", 60)
            request = {"dataframe_records": [{"text": text} for text in texts]}
            served = requests.post(f"{url}/invocations", json=request, timeout=30).json()["predictions"]
            no_text: Any = {"dataframe_records": [{"text": "a mango"}, {"text": None}]}
            refused = requests.post(f"{url}/invocations", json=no_text, timeout=30)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
    output = run(repository, "python", "-m", "pipeline.predict", "--json", *texts).splitlines()

    assert refused.status_code == 400
    assert "row 1 of the column text is not a text" in refused.json()["message"]
    for answer, line in zip(served, map(json.loads, output), strict=True):
        assert answer["label"] == line["label"]
        for label, probability in line["probabilities"].items():
            assert answer[f"probability_{label}"] == pytest.approx(probability, abs=1e-6)


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False


def test_service_takes_up_another_version_without_losing_a_request(repository: Path) -> None:
    """By an alias of its own, which no other test looks at."""
    client = MlflowClient(store(repository))
    client.set_registered_model_alias(MODEL, "served", "1")
    with service(repository, "--version", "served", "--refresh", "0.2") as (url, _):

        def ask() -> str:
            answer = requests.post(f"{url}/predict", json={"texts": ["a mango"]}, timeout=60)
            assert answer.status_code == 200
            return answer.json()["model"]["version"]

        def warning() -> str:
            return requests.get(f"{url}/ready", timeout=60).json().get("warning", "")

        assert ask() == "1"
        client.set_registered_model_alias(MODEL, "served", "3")
        deadline = time.monotonic() + 60
        while (version := ask()) != "3":
            assert version == "1"
            assert time.monotonic() < deadline
        # A version whose files are not as they were logged is not loaded, and the old one goes on.
        model = Path(client.get_model_version_download_uri(MODEL, "2").removeprefix("file://"))
        changed = model / "artifacts/models/model.onnx"
        kept = changed.read_bytes()
        changed.write_bytes(kept + b"x")
        client.set_registered_model_alias(MODEL, "served", "2")
        while not warning():
            assert ask() == "3"
            assert time.monotonic() < deadline
        assert "version 2 is not loaded, because artifacts/models/model.onnx is not as its run logged it" in warning()
        changed.write_bytes(kept)
        while ask() != "2":
            assert time.monotonic() < deadline
        assert not warning()
    client.delete_registered_model_alias(MODEL, "served")


def test_a_model_that_learned_from_the_test_posts_is_refused_for_that(repository: Path) -> None:
    stage = repository / "pipeline/train.py"
    right = stage.read_text()
    assert right.count(LEAK[0]) == 1
    stage.write_text(right.replace(*LEAK))
    change_params(repository, {"train": {"seed": 4}})  # such a model would be another one
    run(repository, "dvc", "repro")
    page = (repository / "reports/report.html").read_text(encoding="utf-8")
    registry(repository, "register")

    # By an alias that no version has yet: of all that is asked of the first one, it passes the rest.
    output = registry(repository, "promote", "--allow-sample", "--alias", "cheat", code=1)

    assert failed(output) == ["no leakage"]
    assert re.search(r"48 of 48 test\s+examples\s+are\s+near-duplicates", output)
    assert "refused: version 4 is not promoted; there is no cheat yet" in output
    # Its page has the champion of then beside it, on the same posts.
    (champion,) = [row for row in read_json(repository, "list") if row["version"] == "3"]
    row = page.partition("<tr><th>champion, version 3</th>")[2].partition("</tr>")[0]
    assert [f">{champion['metrics'][name]:.4f}<" in row for name in ("test/accuracy", "test/macro_f1")] == [True, True]
    assert re.search(
        r"Champion: version 3\. Difference in macro F1, this run - champion: [+-]0\.\d{4} to [+-]0\.\d{4} \(95% conf",
        page,
    )
    run(repository, "git", "checkout", "--", ".")
    run(repository, "dvc", "checkout")


def test_a_champion_that_was_judged_on_other_posts_is_judged_anew(repository: Path) -> None:
    """The workspace has other test posts than any version was judged on."""
    test = repository / "data/split/test.parquet"
    kept = test.read_bytes()
    test.unlink()  # it may be a link into DVC's cache
    test.write_bytes(kept)
    rows = list(tables.read_rows(test, tables.SPLIT_SCHEMA))[1:]
    tables.write_table(
        test, tables.SPLIT_SCHEMA, (dict(zip(tables.SPLIT_SCHEMA.names, row, strict=True)) for row in rows)
    )

    output = registry(repository, "promote", "2", "--allow-sample", code=1)

    assert {"beats baseline", "prediction consistency"} <= set(failed(output))
    output = " ".join(output.split())
    assert re.search(r"the champion was promoted on another one \(md5 \w{8}\); both were evaluated on", output)
    assert "of 47 examples" in output
    test.write_bytes(kept)


def test_force_overrides_and_is_recorded_as_such_and_rollback_takes_it_back(repository: Path) -> None:
    assert "--force needs --reason" in registry(repository, "promote", "2", "--force", code=2)
    registry(repository, "promote", "2", "--allow-sample", "--force", "--reason", "a demonstration")
    assert champion(repository) == "2"

    output = registry(repository, "rollback", "--reason", "it was one")

    assert output == "version 3 is the champion again, instead of version 2\n"
    assert champion(repository) == "3"
    changes = read_json(repository, "history")
    assert [(change["action"], change["before"], change["after"], change["forced"]) for change in changes] == [
        ("promote", None, "1", False),
        ("promote", "1", "3", False),
        ("promote", "3", "2", True),
        ("rollback", "2", "3", False),
    ]
    assert [change["reason"] for change in changes] == [None, None, "a demonstration", "it was one"]
    assert changes[2]["failed"]
    assert all(change["user"] and change["time"] for change in changes)
    for line in (
        "none -> 1, promote",
        "1 -> 3, promote",
        "3 -> 2, promote, forced although these criteria failed",
        "2 -> 3, rollback",
    ):
        assert f"champion: {line}" in registry(repository, "history")


def test_two_promotions_at_once_are_both_recorded_one_after_the_other(repository: Path) -> None:
    """Both are forced: the later one must see who came first, and be judged against it."""
    command = ["python", "-m", "pipeline.registry", "promote", "--alias", "staging", "--force", "--reason", "race"]
    both = [
        subprocess.Popen([*command, version], cwd=repository, env=fast_environment(), stdout=subprocess.PIPE, text=True)
        for version in ("1", "2")
    ]
    output = [process.communicate(timeout=120)[0] for process in both]

    assert [process.returncode for process in both] == [0, 0], "\n".join(output)
    first, second = [move for move in read_json(repository, "history") if move["alias"] == "staging"]
    assert (first["before"], first["number"], second["before"], second["number"]) == (None, 1, first["after"], 2)
    assert {first["after"], second["after"]} == {"1", "2"}
    (loser,) = [text for text in output if "meanwhile another version became the staging" in text]
    assert f"against version {first['after']}, the staging" in loser
    holders = [row["version"] for row in read_json(repository, "list") if "staging" in row["aliases"]]
    assert holders == [second["after"]]


def test_history_survives_the_loss_of_an_alias_and_rollback_brings_it_back(repository: Path) -> None:
    before = read_json(repository, "history")
    MlflowClient(store(repository)).delete_registered_model_alias(MODEL, "champion")

    assert read_json(repository, "history") == before
    assert "note: champion is at no version, but the last recorded change left it at version 3" in registry(
        repository, "history"
    )

    registry(repository, "rollback")

    assert champion(repository) == "3"
    assert read_json(repository, "history")[:-1] == before


def test_versions_are_compared(repository: Path) -> None:
    compared = read_json(repository, "compare", "1", "@champion")

    assert compared["parameters"]["train.embedding_dim"] == ["2", "3"]
    assert compared["metrics"]["test/macro_f1"][0] < compared["metrics"]["test/macro_f1"][1]
    assert compared["paired_test"]["examples"] == 48
    assert "only B" in registry(repository, "compare", "1", "champion")


def test_the_champion_is_made_again_to_the_byte(repository: Path) -> None:
    runs = len(MlflowClient(store(repository)).search_runs(["1"]))

    output = run(repository, "python", "-m", "pipeline.registry", "reproduce")

    assert "version 3: identical; all bytes of models/weights.safetensors" in output
    (row,) = [row for row in read_json(repository, "list") if row["version"] == "3"]
    assert row["reproduction"]["verdict"] == "identical"
    assert len(MlflowClient(store(repository)).search_runs(["1"])) == runs
    assert run(repository, "git", "status", "--porcelain") == ""


def test_what_another_team_needs_is_written_and_works_there(repository: Path, tmp_path: Path) -> None:
    registry(repository, "export", "champion", str(tmp_path / "handed/on"))

    handed = tmp_path / "handed/on"
    assert {path.name for path in handed.iterdir()} == {
        "README.md",
        "example.py",
        "provenance.json",
        "model",
        "reports",
    }
    assert (handed / "reports/classifier/classification_report.txt").exists()
    assert len((handed / "example.py").read_text().splitlines()) <= 10
    output = run(tmp_path, sys.executable, "-P", "-W", "ignore", str(handed / "example.py"))
    best = json.loads(run(repository, "python", "-m", "pipeline.predict", "--json", "how do i sort a dict by value"))
    assert output.splitlines()[-1].split()[0] == best["label"]
    assert "is not empty" in registry(repository, "export", "3", str(handed), code=2)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["register", "nobody"], "nobody is not a run, model version, commit or experiment"),
        (["promote", "99"], "has no version 99; its versions are: 1, 2, 3, 4"),
        (["promote", "nobody"], "has no version with the alias nobody"),
        (["compare", "1", "99"], "has no version 99"),
        (["rollback", "--alias", "nobody"], "no other version that still exists was the nobody"),
        (["reproduce", "99"], "has no version 99"),
        (["export", "99", "there"], "has no version 99"),
        (
            ["promote", "1", "--alias", "not/an alias", "--allow-sample"],
            "is not an alias: use letters, digits, _ and -",
        ),
        (
            ["promote", "1", "--alias", "latest", "--force", "--reason", "x"],
            "is not an alias: use letters, digits, _ and -",
        ),
        (["promote", "9" * 20], "is not an alias"),
    ],
)
def test_bad_input_is_said_in_a_sentence_and_changes_nothing(
    repository: Path, arguments: list[str], sentence: str
) -> None:
    before = read_json(repository, "list"), read_json(repository, "history")

    output = registry(repository, *arguments, code=2)

    assert output.splitlines()[-1].startswith("error: ")
    assert sentence in output
    assert (read_json(repository, "list"), read_json(repository, "history")) == before


def test_a_registry_that_cannot_be_reached_is_said_in_a_sentence(repository: Path) -> None:
    nobody = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{free_port()}", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}

    output = registry(repository, "list", code=2, **nobody)

    assert re.fullmatch(r"error: cannot read from MLflow \(.*\); check MLFLOW_TRACKING_URI\n", output)


def test_posts_of_other_labels_are_no_posts_to_judge_by(repository: Path) -> None:
    test = repository / "data/split/test.parquet"
    kept = test.read_bytes()
    test.unlink()
    rows = [{"id": "a", "text": "a banana", "label": "fruit", "fingerprint": b""}]
    tables.write_table(test, tables.SPLIT_SCHEMA, rows)

    output = registry(repository, "promote", "2", "--allow-sample", code=2)

    assert "but data/split/test.parquet has fruit" in output
    assert champion(repository) == "3"
    test.write_bytes(kept)


def test_a_version_whose_files_are_gone_is_neither_promoted_nor_exported_nor_put_back(
    repository: Path, tmp_path: Path
) -> None:
    model = Path(MlflowClient(store(repository)).get_model_version_download_uri(MODEL, "1").removeprefix("file://"))
    away = shutil.move(model, tmp_path / "away")

    for arguments in (["promote", "1", "--allow-sample"], ["export", "1", str(tmp_path / "there")]):
        assert "the files of version 1" in registry(repository, *arguments, code=2)

    assert champion(repository) == "3"
    assert not (tmp_path / "there").exists()
    shutil.move(away, model)


@pytest.mark.parametrize(
    "name", ["code/pipeline/__init__.py", "logged_model.py", "artifacts/models/model.onnx", "MLmodel", "code/new.py"]
)
def test_version_with_a_file_that_its_run_did_not_log_is_not_loaded(
    repository: Path, tmp_path: Path, name: str
) -> None:
    model = Path(MlflowClient(store(repository)).get_model_version_download_uri(MODEL, "1").removeprefix("file://"))
    file, ran = model / name, tmp_path / "ran"
    kept = file.read_bytes() if file.exists() else None
    file.write_bytes((kept or b"") + f"\nopen({str(ran)!r}, 'w')\n".encode())
    for arguments in (["promote", "1", "--allow-sample"], ["export", "1", str(tmp_path / "there")], ["reproduce", "1"]):
        output = registry(repository, *arguments, code=2)
        assert f"version 1 is not loaded, because {name} is not as its run logged it" in output
        assert output.count("\n") <= 3
    assert not ran.exists()
    assert champion(repository) == "3"
    file.unlink()
    if kept:
        file.write_bytes(kept)


def test_compiled_code_among_the_files_of_a_version_is_not_run(repository: Path, tmp_path: Path) -> None:
    model = Path(MlflowClient(store(repository)).get_model_version_download_uri(MODEL, "1").removeprefix("file://"))
    source, ran = tmp_path / "source.py", tmp_path / "ran"
    source.write_text(f"open({str(ran)!r}, 'w')\n")
    compiled = Path(importlib.util.cache_from_source(str(model / "code/pipeline/__init__.py")))
    kept = compiled.read_bytes() if compiled.exists() else None
    py_compile.compile(str(source), str(compiled), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)

    output = registry(repository, "promote", "1", "--allow-sample", code=1)

    assert "loads" not in failed(output)
    assert not ran.exists()
    compiled.unlink()
    if kept:
        compiled.write_bytes(kept)


def test_a_commit_that_is_gone_is_said_in_a_sentence(repository: Path, tmp_path: Path) -> None:
    """In a clone that is as new as the last commit, with the same store."""
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "--quiet", "--depth", "1", f"file://{repository}", str(clone))

    output = registry(clone, "reproduce", "1", code=2, MLFLOW_TRACKING_URI=store(repository))

    assert re.search("this repository lacks the commit [0-9a-f]{10} of version 1; fetch it", output)
