"""Batches of concurrent requests: while one batch is computed, the requests that arrive wait, and form the next one.

So a single request waits for nobody, and under load the network reads many texts at once.
"""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np

Predict = Callable[[Sequence[str]], np.ndarray]


class Busy(Exception):
    """More texts wait than the service takes."""


class Batcher:
    """Calls `predict` with the texts of several requests, in a thread, one call at a time."""

    def __init__(self, max_batch: int, max_waiting: int) -> None:
        self.max_batch, self.max_waiting = max_batch, max_waiting
        self.waiting: list[tuple[Predict, Sequence[str], asyncio.Future[np.ndarray]]] = []
        self.worker: asyncio.Task[None] | None = None

    async def predict(self, predict: Predict, texts: Sequence[str]) -> np.ndarray:
        """The probabilities `[texts, classes]`. Raises Busy, and what `predict` raises."""
        if sum(len(each) for _, each, _ in self.waiting) + len(texts) > self.max_waiting:
            raise Busy
        future: asyncio.Future[np.ndarray] = asyncio.get_running_loop().create_future()
        self.waiting.append((predict, texts, future))
        if not self.worker or self.worker.done():
            self.worker = asyncio.create_task(self.work())
        return await future

    async def work(self) -> None:
        while self.waiting:
            predict, texts, futures = self.next_batch()
            try:
                y_proba = await asyncio.to_thread(predict, texts)
            except Exception as error:  # of these requests; the next ones may have another model
                for future, _ in futures:
                    if not future.done():
                        future.set_exception(error)
                continue
            start = 0
            for future, count in futures:
                if not future.done():  # its client may have left
                    future.set_result(y_proba[start : start + count])
                start += count

    def next_batch(self) -> tuple[Predict, list[str], list[tuple[asyncio.Future[np.ndarray], int]]]:
        """The first request, and as many after it as go to the same model, up to `max_batch` texts."""
        predict = self.waiting[0][0]
        texts: list[str] = []
        futures = []
        while self.waiting and self.waiting[0][0] == predict:
            if texts and len(texts) + len(self.waiting[0][1]) > self.max_batch:
                break
            _, more, future = self.waiting.pop(0)
            texts += more
            futures.append((future, len(more)))
        return predict, texts, futures
