"""Keras and TensorFlow, imported without TensorFlow's start-up messages.

    from pipeline.model.backend import keras, tf

TF_CPP_MIN_LOG_LEVEL alone does not silence them: some are written while the library loads, before any level is read. So
the process's standard error is redirected for that time. A failing import still raises its exception.

Settings of the shell (KERAS_BACKEND) and of the home folder (keras.json) that would change the network are overridden.
"""

import os
import sys

# Keras imports these, if it can, for layers and plots that are not used here, which takes a third of its whole start.
UNUSED_BY_KERAS = ("matplotlib", "sklearn")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

hidden = [name for name in UNUSED_BY_KERAS if name not in sys.modules]
for name in hidden:
    sys.modules[name] = None  # type: ignore[assignment]  # so that an import of it fails
sys.stderr.flush()
stderr = os.dup(2)
try:
    with open(os.devnull, "w") as devnull:
        os.dup2(devnull.fileno(), 2)
    import keras
    import tensorflow as tf
finally:
    os.dup2(stderr, 2)
    os.close(stderr)
    for name in hidden:
        del sys.modules[name]

keras.config.set_floatx("float32")
keras.config.set_dtype_policy("float32")
keras.config.set_epsilon(1e-7)

__all__ = ["keras", "tf"]
