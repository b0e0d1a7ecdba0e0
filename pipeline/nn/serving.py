"""The trained classifier, text in and probabilities out: what `predict`, `evaluate` and the logged MLflow model share.

Needs three files of `models/`, and no TensorFlow.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from pipeline.corpus.tokenizer import encode
from pipeline.nn import evidence
from pipeline.nn.batches import Ids, batches

FILES = ["tokenizer.json", "evidence.safetensors", "model.onnx"]
BATCH = 64  # posts


class Classifier:
    """Reads `FILES` from a folder; raises FileNotFoundError when one of them is missing."""

    def __init__(self, folder: Path) -> None:
        tokenizer, known, model = (folder / name for name in FILES)
        self.tokenizer = Tokenizer.from_str(tokenizer.read_text(encoding="utf-8"))
        self.evidence = evidence.read(known)
        self.session = onnxruntime.InferenceSession(model.read_bytes(), providers=["CPUExecutionProvider"])
        self.labels: list[str] = json.loads(self.session.get_modelmeta().custom_metadata_map["labels"])

    def probabilities(self, texts: Iterable[str]) -> np.ndarray:
        """float32 `[texts, labels]`, each row summing to 1."""
        encoded = list(encode(self.tokenizer, list(texts)))
        result = np.empty((len(encoded), len(self.labels)), np.float32)
        if encoded:
            tokens = np.concatenate(encoded)
            starts = np.cumsum([0, *map(len, encoded)])
            # Each post's row takes the label's place: batches come in order of length.
            posts = Ids(tokens, starts, np.arange(len(encoded)), evidence.look_up(self.evidence, tokens, starts))
            for inputs, rows in batches(posts, BATCH):
                (result[rows],) = self.session.run(["probabilities"], inputs)
        return result
