"""The Keras network that `network.json` and `weights.safetensors` describe."""

from pathlib import Path

from safetensors.numpy import load_file

from pipeline.model.backend import keras
from pipeline.model.export import named_weights


def load_network(folder: Path) -> keras.Model:
    model = keras.models.model_from_json((folder / "network.json").read_text())
    weights = load_file(folder / "weights.safetensors")
    model.set_weights([weights[name] for name in named_weights(model)])
    return model
