"""Load a logged model and predict with it as a server does: in a process of its own, with the model's own code.

    python -P scoring.py MODEL RESULT [TEXTS]

MODEL is the folder of an MLflow model, TEXTS a Parquet table with a column `text`; without it, the model predicts its
own input example. RESULT becomes an .npz file with the `labels`, the `probabilities` `[texts, classes]`, the seconds
that loading took (`load`), and the `latency` in milliseconds of one text by itself. This file imports nothing of the
repository, because the model brings its own code.
"""

import sys
import time

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PyFuncModel

MAX_TIMED = 100  # texts
PROBABILITY = "probability_"


def main(folder: str, result: str, texts_path: str | None = None) -> None:
    sys.addaudithook(refuse_pickle)
    start = time.perf_counter()
    model = mlflow.pyfunc.load_model(folder)
    load = time.perf_counter() - start
    columns = model.metadata.signature.outputs.input_names()
    labels = [name.removeprefix(PROBABILITY) for name in columns if name.startswith(PROBABILITY)]

    def predict(texts: pd.DataFrame) -> np.ndarray:
        output = model.predict(texts)
        if list(output.columns) != columns or len(output) != len(texts):
            raise ValueError("its output does not have the columns and rows that its signature promises")
        y_proba = output[[PROBABILITY + label for label in labels]].to_numpy(float)
        if not np.allclose(y_proba.sum(axis=1), 1, atol=1e-4):
            raise ValueError("its probabilities do not sum to 1")
        if [labels[best] for best in y_proba.argmax(axis=1)] != output["label"].tolist():
            raise ValueError("its label is not the most probable one")
        return y_proba

    example = model.metadata.load_input_example(folder)
    predict(example)
    texts = pd.read_parquet(texts_path, columns=["text"]) if texts_path else example
    latency = measure_latency(model, texts)
    np.savez(result, labels=labels, probabilities=predict(texts), load=load, latency=latency)


def measure_latency(model: PyFuncModel, texts: pd.DataFrame) -> float:
    """The median CPU time of this process for one text by itself, in milliseconds.

    CPU time and not elapsed time, so that other processes on a busy machine do not decide whether a model passes.
    """
    latency = []
    for row in range(min(MAX_TIMED, len(texts))):
        start = time.process_time()
        model.predict(texts[row : row + 1])
        latency.append(1000 * (time.process_time() - start))
    return float(np.median(latency))


def refuse_pickle(event: str, args: tuple) -> None:
    """Unpickling can run any code; a model that needs it is not fit to be served."""
    if event == "pickle.find_class":
        raise ValueError(f"it unpickles {'.'.join(map(str, args))}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:  # the model's own code may raise anything; it becomes the one line that the gate prints
        sys.exit(" ".join(f"{type(error).__name__}: {error}".split()))
