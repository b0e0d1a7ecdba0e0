"""Predictions for many texts: in batches of similar length, on all processors."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

BATCH_SIZE = 64
MIN_BATCH = 8  # fewer texts take less time together than in two threads


def n_processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ignore(n_texts: int) -> None:
    pass


def map_batches(
    predict: Callable[[np.ndarray], np.ndarray],
    lengths: Sequence[int],
    n_classes: int,
    on_batch: Callable[[int], object] = ignore,
) -> np.ndarray:
    """What `predict` gives for the rows of each batch, in the order of the rows, float32 `[texts, classes]`.

    `lengths` are those of the texts; texts of similar length need little padding. `predict` takes up to `BATCH_SIZE`
    row numbers. It is called in as many threads as there are processors: NumPy, the tokenizers and ONNX Runtime release
    Python's lock while they compute. `on_batch` is called with the number of texts of each batch.
    """
    result = np.empty((len(lengths), n_classes), np.float32)
    order = np.argsort(lengths, kind="stable")
    # What would fill one batch is two; on every machine, as the last bits of probabilities depend on the batch.
    size = min(BATCH_SIZE, max(MIN_BATCH, (len(order) + 1) // 2))
    batches = [order[start : start + size] for start in range(0, len(order), size)]

    def run(rows: np.ndarray) -> int:
        result[rows] = predict(rows)
        return len(rows)

    if len(batches) == 1:  # a thread would take longer than it saves
        on_batch(run(batches[0]))
        return result
    with ThreadPoolExecutor(n_processors()) as pool:
        for n_texts in pool.map(run, batches[::-1]):  # the longest ones first, so that no thread is left with one
            on_batch(n_texts)
    return result
