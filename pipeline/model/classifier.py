"""The trained classifier: texts in, probabilities out. `train`, `predict`, `evaluate` and the logged model use it.

It reads a few files of `models/`, and imports no TensorFlow.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors
from safetensors import SafetensorError
from tokenizers import Tokenizer

from pipeline.cli import UserError
from pipeline.features import batches, ngram_features
from pipeline.features.tokenizer import EncodedText, encode_texts, replace_surrogates
from pipeline.model import linear
from pipeline.model.linear import softmax
from pipeline.model.parallel import ignore, map_batches

MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
NGRAM_FEATURES, BASELINE = "ngram_features.safetensors", "baseline.safetensors"
DIGEST_PLACEHOLDER = b"0" * 64
# What ONNX Runtime raises for a file that is not a model, or not one that it can run. They have no common base class.
ONNX_ERRORS = (
    onnxruntime_errors.Fail, onnxruntime_errors.InvalidArgument, onnxruntime_errors.InvalidGraph,
    onnxruntime_errors.InvalidProtobuf, onnxruntime_errors.NotImplemented, onnxruntime_errors.RuntimeException,
)  # fmt: skip


def required_files(ensemble_with_baseline: bool) -> list[str]:
    """The files that the classifier needs in addition to the ONNX model."""
    return [TOKENIZER, NGRAM_FEATURES, *([BASELINE] if ensemble_with_baseline else [])]


def insert_digest(content: bytes) -> bytes:
    """The content of an ONNX model with its own sha256 in place of its metadata `sha256`, `DIGEST_PLACEHOLDER`."""
    return content.replace(DIGEST_PLACEHOLDER, hashlib.sha256(content).hexdigest().encode())


def matches_digest(content: bytes, digest: str) -> bool:
    """Whether the content of an ONNX model is what `insert_digest` returned."""
    return hashlib.sha256(content.replace(digest.encode(), DIGEST_PLACEHOLDER)).hexdigest() == digest


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """The logarithms of probabilities, where those that float32 rounds to 0 count as 1e-30."""
    return np.log(np.maximum(probabilities, np.float32(1e-30)))


def geometric_mean(network: np.ndarray, baseline: np.ndarray, network_weight: float) -> np.ndarray:
    """The normalized, weighted geometric mean of two models' probabilities, float32 `[examples, classes]`."""
    w = np.float32(network_weight)
    return softmax(w * log_probabilities(network) + (1 - w) * log_probabilities(baseline))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Temperature scaling (Guo et al. 2017): above 1 lowers the confidence, below 1 raises it."""
    return softmax(log_probabilities(probabilities) / np.float32(temperature))


class Classifier:
    """The ONNX model and its required files, read from a folder.

    The ONNX model's metadata names the required files with their digests, its own digest, the labels, the weight of
    the network in the ensemble, and the temperature.
    Raises FileNotFoundError if a file is missing, UserError if one is damaged or belongs to another model.
    """

    def __init__(self, folder: Path) -> None:
        remedy = f"run `dvc repro`, or restore {folder}/ with `git checkout dvc.lock && dvc checkout --force`"
        content = (folder / MODEL).read_bytes()
        try:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1  # batches run side by side instead, which is twice as fast
            self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            metadata = self.session.get_modelmeta().custom_metadata_map
            if "sha256" not in metadata:
                raise UserError(f"{MODEL} is from another version of this code (it has no digest of its own); {remedy}")
            self.digest = metadata["sha256"]  # of the ONNX model, which names those of the required files
            if not matches_digest(content, self.digest):
                raise ValueError("its content does not match its digest")
            sha256: dict[str, str] = json.loads(metadata["required_files"])
            self.labels: list[str] = json.loads(metadata["labels"])
            # Both are fitted on the validation split; or they are 1.
            self.network_weight = float(metadata["network_weight"])
            self.temperature = float(metadata["temperature"])
            _, length = self.session.get_inputs()[0].shape  # a number if the network reads padding, otherwise a name
        except (*ONNX_ERRORS, KeyError, ValueError) as error:  # the last two: metadata are missing or not JSON
            raise UserError(f"{MODEL} is damaged ({' '.join(str(error).split())}); {remedy}") from None
        self.sequence_length = length if isinstance(length, int) else None
        self.files = [MODEL, *sha256]

        contents = {name: (folder / name).read_bytes() for name in sha256}
        for name, digest in sha256.items():
            if hashlib.sha256(contents[name]).hexdigest() != digest:
                raise UserError(f"{name} is not the file that {MODEL} was trained with; {remedy}")
        try:
            self.tokenizer = Tokenizer.from_buffer(contents[TOKENIZER])
            self.ngram_features = ngram_features.load(contents[NGRAM_FEATURES])
            self.baseline = linear.load(contents[BASELINE]) if BASELINE in contents else None
            self.build_tables()
        except (SafetensorError, KeyError, ValueError) as error:
            raise UserError(f"{MODEL} is from another version of this code ({error!r}); {remedy}") from None

    def build_tables(self) -> None:
        """Build the hash tables of n-grams, which each thread would otherwise do for itself at its first text."""
        views = [self.ngram_features.tokens, self.ngram_features.characters]
        views += [self.baseline.words, self.baseline.characters] if self.baseline else []
        for view in views:
            _ = view and view.table

    def predict_proba(self, texts: Iterable[str]) -> np.ndarray:
        """Probabilities, float32 `[texts, classes]`: of the network, or of its ensemble with the baseline model.

        Either is scaled by the temperature.
        """
        texts = replace_surrogates(texts)
        encoded = [*encode_texts(self.tokenizer, texts)]

        def predict(rows: np.ndarray) -> np.ndarray:
            network = self.run_network([encoded[row] for row in rows])
            baseline = linear.predict_batch(self.baseline, [texts[row] for row in rows]) if self.baseline else None
            return apply_temperature(self.ensemble(network, baseline), self.temperature)

        return map_batches(predict, [len(text.ids) for text in encoded], len(self.labels))

    def ensemble(self, network: np.ndarray, baseline: np.ndarray | None) -> np.ndarray:
        """The network's probabilities, averaged with the baseline's if it is part of this classifier; not scaled."""
        if self.baseline and baseline is not None:
            return geometric_mean(network, baseline, self.network_weight)
        return network

    def predict_network_proba(self, texts: list[str], on_batch: Callable[[int], object] = ignore) -> np.ndarray:
        """Probabilities of the network alone, float32 `[texts, classes]`.

        `on_batch` is called with the number of texts of each batch.
        """
        encoded = [*encode_texts(self.tokenizer, texts)]
        lengths = [len(text.ids) for text in encoded]
        return map_batches(
            lambda rows: self.run_network([encoded[row] for row in rows]), lengths, len(self.labels), on_batch
        )

    def run_network(self, texts: list[EncodedText]) -> np.ndarray:
        """The network's probabilities for one batch, float32 `[texts, classes]`."""
        rows = np.arange(len(texts))
        examples = batches.from_encoded(texts, labels=rows)
        features = ngram_features.transform(self.ngram_features, examples)
        inputs, _ = batches.pad_batch(replace(examples, ngram_features=features), rows, self.sequence_length)
        return self.session.run(["probabilities"], inputs)[0]
