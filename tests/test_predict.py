"""The command predict, as people run it: texts, files, standard input, and a sentence where nothing can be done."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest


def test_texts_and_files_are_answered_in_their_order(models: None, run: Callable) -> None:
    Path("ask.txt").write_text("a banana,\nor a banana dict is ä fruit", encoding="utf-8")

    done = run("pipeline.predict", "Sort a DICT", "ask.txt", "banana")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "pythön  (pythön 0.881, fruit 0.119)",
        "fruit  (fruit 0.881, pythön 0.119)",
        "fruit  (fruit 0.881, pythön 0.119)",
    ]


def test_standard_input_is_one_text(models: None, run: Callable) -> None:
    done = run("pipeline.predict", input="a dict\nof a dict\n")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "pythön  (pythön 0.982, fruit 0.018)\n"


def test_json_is_an_object_a_line(models: None, run: Callable) -> None:
    done = run("pipeline.predict", "--json", "dict", "banana")

    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["label"], second["label"]) == ("pythön", "fruit")
    assert first["probabilities"] == pytest.approx({"fruit": 0.119203, "pythön": 0.880797}, abs=1e-5)


def test_a_word_or_sentence_with_slashes_is_text(models: None, run: Callable) -> None:
    done = run("pipeline.predict", "dict", "a dict / or a banana.txt, and/or a dict")

    assert [line.split()[0] for line in done.stdout.splitlines()] == ["pythön", "pythön"]


@pytest.mark.parametrize("path", ["missing.txt", "no/such/file"])
def test_a_path_that_leads_to_no_file_is_not_taken_for_text(models: None, run: Callable, path: str) -> None:
    done = run("pipeline.predict", "dict", path)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: there is no file {path}; give one that exists, or a text of more than one word\n"


@pytest.mark.parametrize("path", ["models", "models/"])
def test_a_folder_is_not_taken_for_text(models: None, run: Callable, path: str) -> None:
    done = run("pipeline.predict", "dict", path)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {path} is a folder; give a text, or a file that holds one\n"


@pytest.mark.parametrize("arguments", [[], [""], ["dict", " \n"], ["empty.txt"]])
def test_no_text_is_refused(models: None, run: Callable, arguments: list[str]) -> None:
    Path("empty.txt").touch()

    done = run("pipeline.predict", *arguments, input="\n")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: there is no text to predict from; give a text, a file that holds one, or standard input\n"
    )


def test_what_is_no_utf_8_is_refused(models: None, run: Callable) -> None:
    Path("latin.txt").write_bytes("ä".encode("latin-1"))

    named = run("pipeline.predict", "latin.txt")
    with Path("latin.txt").open("rb") as file:
        piped = run("pipeline.predict", input=None, stdin=file)

    for done in (named, piped):
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: ")
        assert "UTF-8" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("missing", ["tokenizer.json", "ngram_features.safetensors", "model.onnx"])
def test_a_missing_model_is_said_in_one_sentence(models: None, run: Callable, missing: str) -> None:
    Path("models", missing).unlink()

    done = run("pipeline.predict", "dict")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: models/{missing} is missing; `dvc repro` makes it")
    assert done.stderr.count("\n") == 1
