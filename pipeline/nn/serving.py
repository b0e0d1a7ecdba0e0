"""The trained classifier, text in and probabilities out: what `predict`, `evaluate` and the logged MLflow model share.

Needs the folder `models/` (or a copy of two of its files) and no TensorFlow.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from pipeline.corpus.tokenizer import encode

BATCH = 64  # posts


class Classifier:
    """Reads `tokenizer.json` and `model.onnx`; raises FileNotFoundError when one of them is missing."""

    def __init__(self, tokenizer: Path, model: Path) -> None:
        self.tokenizer = Tokenizer.from_str(tokenizer.read_text(encoding="utf-8"))
        self.session = onnxruntime.InferenceSession(model.read_bytes(), providers=["CPUExecutionProvider"])
        self.labels: list[str] = json.loads(self.session.get_modelmeta().custom_metadata_map["labels"])

    def probabilities(self, texts: Iterable[str]) -> np.ndarray:
        """float32 `[texts, labels]`, each row summing to 1."""
        encoded = list(encode(self.tokenizer, list(texts)))
        result = np.empty((len(encoded), len(self.labels)), np.float32)
        # Posts of about one length together: little of what is computed is padding.
        order = sorted(range(len(encoded)), key=lambda row: len(encoded[row]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            ids = np.zeros((len(rows), len(encoded[rows[-1]])), np.int64)
            for padded, row in zip(ids, rows, strict=True):
                padded[: len(encoded[row])] = encoded[row]
            (result[rows],) = self.session.run(["probabilities"], {"ids": ids})
        return result
