"""Keras and TensorFlow: settings of the shell and of the home folder change neither the backend nor the precision."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.repository import ROOT

SHOW = """
from pipeline.model.backend import keras
print(keras.backend.backend(), keras.config.floatx(), keras.config.dtype_policy().name, keras.config.epsilon())
print(keras.layers.Dense(1, input_shape=(1,)).compute_dtype)
"""


def test_settings_of_shell_and_home_folder_are_overridden(tmp_path: Path) -> None:
    settings = {"backend": "jax", "floatx": "float16", "epsilon": 0.5, "image_data_format": "channels_first"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    env = os.environ | {"KERAS_BACKEND": "jax", "KERAS_HOME": str(tmp_path)}

    shown = subprocess.check_output([sys.executable, "-c", SHOW], cwd=ROOT, env=env, text=True)

    assert shown.splitlines() == ["tensorflow float32 float32 1e-07", "float32"]
