"""The trained classifier, text in and probabilities out: what `predict`, `evaluate` and the logged MLflow model share.

Needs a few files of `models/`, and no TensorFlow.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
from scipy.special import softmax
from tokenizers import Tokenizer

from pipeline.cli import UserError
from pipeline.features import batches, ngram_features
from pipeline.features.tokenizer import encode_texts
from pipeline.model import linear

MODEL, TOKENIZER, NGRAM_FEATURES, LINEAR = (
    "model.onnx",
    "tokenizer.json",
    "ngram_features.safetensors",
    "baseline.safetensors",
)
BATCH = 64  # posts


def required_files(wide: bool) -> list[str]:
    """The files without which the ONNX model's answers mean nothing."""
    return [TOKENIZER, NGRAM_FEATURES, *([LINEAR] if wide else [])]


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Their logarithms; a model that is sure beyond float32's numbers says 0, of which there is none."""
    return np.log(np.maximum(probabilities, np.float32(1e-30)))


def geometric_mean(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The geometric mean of two models' probabilities, float32 `[posts, labels]`: the softmax of their mean logits."""
    return softmax((log_probabilities(one) + log_probabilities(other)) / 2, axis=1)


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Temperature scaling (Guo et al. 2017): a temperature above 1 makes a model less sure, one below it surer."""
    return softmax(log_probabilities(probabilities) / np.float32(temperature), axis=1)


class Classifier:
    """The ONNX model and its companions, read from a folder.

    Raises FileNotFoundError when one of them is missing, Stop when one is damaged or not the one of this model.
    """

    def __init__(self, folder: Path) -> None:
        back = f"bring back what belongs together in {folder}/: git checkout dvc.lock && dvc checkout --force"
        model = (folder / MODEL).read_bytes()
        try:
            self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
            noted = self.session.get_modelmeta().custom_metadata_map
            made_with: dict[str, str] = json.loads(noted["made_with"])
            self.labels: list[str] = json.loads(noted["labels"])
            self.temperature = float(noted["temperature"])  # fitted on validation, or 1
            _, width = self.session.get_inputs()[0].shape  # a number where the network reads padding, else a name
        except Exception as error:  # each library has exceptions of its own
            raise UserError(f"{MODEL} is damaged ({' '.join(str(error).split())}); {back}") from None
        self.width = width if isinstance(width, int) else None
        self.files = [MODEL, *made_with]

        content = {name: (folder / name).read_bytes() for name in made_with}
        for name, digest in made_with.items():
            if hashlib.sha256(content[name]).hexdigest() != digest:
                raise UserError(f"{name} is not the one that {MODEL} was trained with; {back}")
        try:
            self.tokenizer = Tokenizer.from_buffer(content[TOKENIZER])
            self.evidence = ngram_features.load(content[NGRAM_FEATURES])
            self.linear = linear.load(content[LINEAR]) if LINEAR in content else None
        except Exception as error:
            raise UserError(f"a file beside {MODEL} is not of this version ({error!r}); {back}") from None

    def probabilities(self, texts: Iterable[str]) -> np.ndarray:
        """What is shipped, float32 `[texts, labels]`: the network's answer, or its mean with the linear model's.

        Either is scaled by the temperature.
        """
        # What is no text (half of a surrogate pair) becomes a question mark.
        texts = [text.encode("utf-8", "replace").decode() for text in texts]
        answer = self.network(texts)
        beside = linear.predict_proba(self.linear, texts) if self.linear else None
        return apply_temperature(self.combined(answer, beside), self.temperature)

    def combined(self, network: np.ndarray, linear: np.ndarray | None) -> np.ndarray:
        """What the network and, if it is one half of the answer, the linear model say together; not yet scaled."""
        return geometric_mean(network, linear) if self.linear and linear is not None else network

    def network(self, texts: list[str], answered: Callable[[int], object] = lambda posts: None) -> np.ndarray:
        """What the recurrent network says by itself, float32 `[texts, labels]`.

        `answered` is told how many texts were just seen to.
        """
        result = np.empty((len(texts), len(self.labels)), np.float32)
        if texts:
            # Each post's row takes the label's place: batches come in order of length.
            posts = batches.from_encoded(encode_texts(self.tokenizer, texts), labels=np.arange(len(texts)))
            posts = replace(posts, evidence=ngram_features.transform(self.evidence, posts))
            for inputs, rows in batches.iterate_batches(posts, BATCH, self.width):
                (result[rows],) = self.session.run(["probabilities"], inputs)
                answered(len(rows))
        return result
