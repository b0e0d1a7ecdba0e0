"""The command predict, as people run it: texts, files, standard input, and a sentence where nothing can be done."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.corpus.tokenizer import fit
from pipeline.nn import evidence

# Each known word speaks for one label, so that every answer is plain.
SPEAKS_FOR = {"banana": 0, "dict": 1}
LABELS = ["fruit", "pythön"]


@pytest.fixture
def models(workspace: Path) -> None:
    """`models/` with a hand-made classifier: each token adds its vote, and a softmax makes them probabilities."""
    Path("models").mkdir()
    tokenizer = fit(SPEAKS_FOR, vocabulary=10, max_tokens=100)
    tokenizer.save("models/tokenizer.json")
    nothing = evidence.Evidence(np.zeros(1, np.int64), np.zeros((1, len(LABELS)), np.float32), np.zeros(0, np.int64))
    evidence.save(nothing, Path("models/evidence.safetensors"))
    votes = np.zeros((tokenizer.get_vocab_size(), len(LABELS)), np.float32)
    for word, label in SPEAKS_FOR.items():
        votes[tokenizer.token_to_id(word), label] = 2
    constants = [numpy_helper.from_array(votes, "votes"), numpy_helper.from_array(np.array([1]), "time")]
    nodes = [
        helper.make_node("Gather", ["votes", "ids"], ["each"]),
        helper.make_node("ReduceSum", ["each", "time"], ["sum"], keepdims=0),
        helper.make_node("Softmax", ["sum"], ["probabilities"], axis=-1),
    ]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT32, ["batch", "time"])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(LABELS)])
    graph = helper.make_graph(nodes, "votes", [ids], [probabilities], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(model, {"labels": json.dumps(LABELS), "made_with": "{}"})
    onnx.save(model, "models/model.onnx")


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


@pytest.mark.parametrize("missing", ["tokenizer.json", "evidence.safetensors", "model.onnx"])
def test_a_missing_model_is_said_in_one_sentence(models: None, run: Callable, missing: str) -> None:
    Path("models", missing).unlink()

    done = run("pipeline.predict", "dict")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: models/{missing} is missing; `dvc repro` makes it")
    assert done.stderr.count("\n") == 1
