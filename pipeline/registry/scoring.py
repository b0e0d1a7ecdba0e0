"""Ask a logged model as a server asks it: in a process of its own, with the code and the files that travel with it.

    python -P score.py MODEL ANSWERS [POSTS]

MODEL is the folder of an MLflow model, POSTS a Parquet table with a column `text`; without it the model is asked its
own input example alone. ANSWERS becomes an .npz file with the `labels`, the `probabilities` of each post
`[posts, labels]`, the seconds it took to `load` the model, and the `latency` in milliseconds: the median of posts asked
one by one. Imports nothing of this repository, as the model brings its own.
"""

import statistics
import sys
import time

import mlflow
import numpy as np
import pandas as pd

ONE_BY_ONE = 100  # posts
PROBABILITY = "probability_"


def main(folder: str, answers: str, posts: str | None = None) -> None:
    sys.addaudithook(refuse_pickle)
    started = time.perf_counter()
    model = mlflow.pyfunc.load_model(folder)
    load = time.perf_counter() - started
    columns = model.metadata.signature.outputs.input_names()
    labels = [name.removeprefix(PROBABILITY) for name in columns if name.startswith(PROBABILITY)]

    def ask(asked: pd.DataFrame) -> np.ndarray:
        answer = model.predict(asked)
        if list(answer.columns) != columns or len(answer) != len(asked):
            raise ValueError("its answers are not those that its signature promises")
        probabilities = answer[[PROBABILITY + label for label in labels]].to_numpy(float)
        if not np.allclose(probabilities.sum(axis=1), 1, atol=1e-4):
            raise ValueError("its probabilities do not sum to 1")
        if [labels[best] for best in probabilities.argmax(axis=1)] != answer["label"].tolist():
            raise ValueError("the label it gives is not the most probable one")
        return probabilities

    example = model.metadata.load_input_example(folder)
    ask(example)
    texts = pd.read_parquet(posts, columns=["text"]) if posts else example
    latency = []
    for row in range(min(ONE_BY_ONE, len(texts))):
        started = time.perf_counter()
        model.predict(texts[row : row + 1])
        latency.append(1000 * (time.perf_counter() - started))
    np.savez(answers, labels=labels, probabilities=ask(texts), load=load, latency=statistics.median(latency))


def refuse_pickle(event: str, arguments: tuple) -> None:
    """What is unpickled may run anything; a model that needs it is not fit to be handed on."""
    if event == "pickle.find_class":
        raise ValueError(f"it unpickles {'.'.join(map(str, arguments))}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:  # whatever a model can do wrong, in a line for who asked
        sys.exit(" ".join(f"{type(error).__name__}: {error}".split()))
