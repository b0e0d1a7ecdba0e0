"""The command predict: texts, files, standard input, and one-line errors."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest


def test_predictions_are_in_the_order_of_texts_and_files(models: None, run: Callable) -> None:
    Path("ask.txt").write_text("a banana,\nor a banana dict is ä fruit", encoding="utf-8")

    process = run("pipeline.predict", "Sort a DICT", "ask.txt", "banana")

    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.splitlines() == [
        "pythön  (pythön 0.881, fruit 0.119)",
        "fruit  (fruit 0.881, pythön 0.119)",
        "fruit  (fruit 0.881, pythön 0.119)",
    ]


def test_standard_input_is_one_text(models: None, run: Callable) -> None:
    process = run("pipeline.predict", input="a dict\nof a dict\n")

    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout == "pythön  (pythön 0.982, fruit 0.018)\n"


def test_json_prints_one_object_per_text(models: None, run: Callable) -> None:
    process = run("pipeline.predict", "--json", "dict", "banana")

    first, second = map(json.loads, process.stdout.splitlines())
    assert (first["label"], second["label"]) == ("pythön", "fruit")
    assert first["probabilities"] == pytest.approx({"fruit": 0.119203, "pythön": 0.880797}, abs=1e-5)


def test_a_text_with_slashes_is_not_a_path(models: None, run: Callable) -> None:
    process = run("pipeline.predict", "dict", "a dict / or a banana.txt, and/or a dict")

    assert [line.split()[0] for line in process.stdout.splitlines()] == ["pythön", "pythön"]


@pytest.mark.parametrize("path", ["missing.txt", "no/such/file"])
def test_the_path_of_a_missing_file_is_refused(models: None, run: Callable, path: str) -> None:
    process = run("pipeline.predict", "dict", path)

    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr == f"error: there is no file {path}; give an existing one, or a text of more than one word\n"


@pytest.mark.parametrize("path", ["models", "models/"])
def test_a_folder_is_refused(models: None, run: Callable, path: str) -> None:
    process = run("pipeline.predict", "dict", path)

    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr == f"error: {path} is a folder; give a text, or a file with one\n"


@pytest.mark.parametrize("arguments", [[], [""], ["dict", " \n"], ["empty.txt"]])
def test_an_empty_text_is_refused(models: None, run: Callable, arguments: list[str]) -> None:
    Path("empty.txt").touch()

    process = run("pipeline.predict", *arguments, input="\n")

    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr == ("error: there is no text to classify; give a text, a file with one, or standard input\n")


def test_text_that_is_not_utf_8_is_refused(models: None, run: Callable) -> None:
    Path("latin.txt").write_bytes("ä".encode("latin-1"))

    from_file = run("pipeline.predict", "latin.txt")
    with Path("latin.txt").open("rb") as file:
        from_stdin = run("pipeline.predict", input=None, stdin=file)

    for process in (from_file, from_stdin):
        assert (process.returncode, process.stdout) == (1, "")
        assert process.stderr.startswith("error: ")
        assert "UTF-8" in process.stderr
        assert process.stderr.count("\n") == 1


@pytest.mark.parametrize("missing", ["tokenizer.json", "ngram_features.safetensors", "model.onnx"])
def test_a_missing_file_of_the_model_is_named_in_one_line(models: None, run: Callable, missing: str) -> None:
    Path("models", missing).unlink()

    process = run("pipeline.predict", "dict")

    assert (process.returncode, process.stdout) == (1, "")
    assert process.stderr.startswith(f"error: models/{missing} is missing; `dvc repro` makes it")
    assert process.stderr.count("\n") == 1


def test_an_unknown_option_is_refused_in_one_line(models: None, run: Callable) -> None:
    process = run("pipeline.predict", "--jason", "dict")

    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr.startswith("error: No such option '--jason'")
    assert process.stderr.endswith("(see python -m pipeline.predict --help)\n")
    assert process.stderr.count("\n") == 1


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_shows_examples(run: Callable, option: str) -> None:
    process = run("pipeline.predict", option)

    assert (process.returncode, process.stderr) == (0, "")
    assert '  python -m pipeline.predict "how do i sort a dict by value"\n' in process.stdout
    assert "--json" in process.stdout
