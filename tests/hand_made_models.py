"""A classifier made by hand: a word gives each class away, so that its predictions are plain."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from pipeline.features import ngram_features
from pipeline.features.ngram_features import NgramFeatures
from pipeline.features.ngrams import LogCountRatios
from pipeline.features.tokenizer import fit_tokenizer
from pipeline.model import linear
from pipeline.model.classifier import DIGEST_PLACEHOLDER, insert_digest
from pipeline.model.linear import LinearModel

CLASS_OF_WORD = {"banana": 0, "dict": 1}  # the network's vocabulary
LABELS = ["fruit", "pythön"]


def write_models(baseline: LinearModel | None, temperature: float = 1.0) -> None:
    """Write `models/` with a hand-made network, and the baseline model if there is one.

    The network's logits are the sum over its tokens of 2 for their class; `temperature` is that of the classifier.
    """
    Path("models").mkdir()
    write_tokenizer()
    if baseline:
        linear.save(baseline, Path("models/baseline.safetensors"))
    write_network(temperature, is_ensemble=bool(baseline))


def write_tokenizer(words: Iterable[str] = CLASS_OF_WORD) -> None:
    fit_tokenizer(words, "code", vocab_size=100, max_length=100).save("models/tokenizer.json")


def write_network(temperature: float, is_ensemble: bool, class_of_word: Mapping[str, int] = CLASS_OF_WORD) -> None:
    """Write the network, whose required files are those that are in `models/` already, and its n-gram features."""
    empty = LogCountRatios(np.zeros(1, np.int64), np.zeros((1, len(LABELS)), np.float32))
    ngram_features.save(NgramFeatures(empty, 0, None), Path("models/ngram_features.safetensors"))
    vocabulary = json.loads(Path("models/tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    logits = np.zeros((len(vocabulary), len(LABELS)), np.float32)
    for word, label in class_of_word.items():
        logits[vocabulary[word], label] = 2
    arrays = {"logits": logits, "time_axis": np.array([1])}
    arrays |= {"kernel": np.eye(len(LABELS), dtype=np.float32), "bias": np.zeros(len(LABELS), np.float32)}
    constants = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    nodes = [
        helper.make_node("Gather", ["logits", "ids"], ["of_token"]),
        # It changes nothing, and stands where the recurrent layers of a trained network begin.
        helper.make_node("Transpose", ["of_token"], ["x"], perm=[0, 1, 2]),
        helper.make_node("ReduceSum", ["x", "time_axis"], ["sum"], keepdims=0),
        helper.make_node("Gemm", ["sum", "kernel", "bias"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=-1),
    ]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT32, ["batch", "time"])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(LABELS)])
    graph = helper.make_graph(nodes, "hand-made", [ids], [probabilities], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    names = ["tokenizer.json", "ngram_features.safetensors", *(["baseline.safetensors"] if is_ensemble else [])]
    sha256 = {name: hashlib.sha256(Path("models", name).read_bytes()).hexdigest() for name in names}
    metadata = {"labels": json.dumps(LABELS), "required_files": json.dumps(sha256), "temperature": str(temperature)}
    metadata["network_weight"] = "0.5" if is_ensemble else "1.0"
    metadata["sha256"] = DIGEST_PLACEHOLDER.decode()
    helper.set_model_props(model, metadata)
    Path("models/model.onnx").write_bytes(insert_digest(model.SerializeToString(deterministic=True)))
