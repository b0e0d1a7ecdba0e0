"""Keras and TensorFlow, imported without TensorFlow's start-up notices: `from pipeline.model.backend import keras, tf`.

TF_CPP_MIN_LOG_LEVEL alone no longer silences them: those written while the
library loads go to the process's standard error before any level is read. So it is put aside for that time.
A failing import still raises its exception.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

sys.stderr.flush()
stderr = os.dup(2)
try:
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    import keras
    import tensorflow as tf
finally:
    os.dup2(stderr, 2)
    os.close(stderr)

__all__ = ["keras", "tf"]
