"""The trained classifier, text in and probabilities out: what `predict`, `evaluate` and the logged MLflow model share.

Needs three files of `models/`, and no TensorFlow.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from pipeline.corpus.tokenizer import encode
from pipeline.nn import evidence
from pipeline.nn.batches import Ids, batches
from pipeline.stage import Stop

COMPANIONS = ["tokenizer.json", "evidence.safetensors"]
FILES = [*COMPANIONS, "model.onnx"]
BATCH = 64  # posts


class Classifier:
    """Reads `FILES` from a folder.

    Raises FileNotFoundError when one of them is missing, Stop when one is damaged or not the one of this model.
    """

    def __init__(self, folder: Path) -> None:
        files = {name: (folder / name).read_bytes() for name in FILES}
        back = f"bring back what belongs together in {folder}/: git checkout dvc.lock && dvc checkout --force"
        try:
            self.tokenizer = Tokenizer.from_buffer(files["tokenizer.json"])
            self.evidence = evidence.load(files["evidence.safetensors"])
            self.session = onnxruntime.InferenceSession(files["model.onnx"], providers=["CPUExecutionProvider"])
        except Exception as error:  # each library has exceptions of its own
            raise Stop(f"a file of the model is damaged ({' '.join(str(error).split())}); {back}") from None
        noted = self.session.get_modelmeta().custom_metadata_map
        self.labels: list[str] = json.loads(noted["labels"])
        for name, digest in json.loads(noted["made_with"]).items():
            if hashlib.sha256(files[name]).hexdigest() != digest:
                raise Stop(f"{name} is not the one that model.onnx was trained with; {back}")

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
