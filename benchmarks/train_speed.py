"""How fast the pipeline trains, side by side with PyTorch: the same network, posts and batches, in one run.

    make benchmark

Takes the posts that are in the workspace (`dvc repro` puts them there) and the network of `params.yaml`. Keras and
PyTorch take turns, so that a noisy machine is noisy for both; what counts is the best round of each. PyTorch skips
padding as people do it there, with packed sequences; how fast it is when it reads the padding instead is measured, too.

The share of the peak is that of the network's matrix products in the time of a whole step, against the speed of one
large product of 2,048 x 2,048 numbers on the same cores. The products of a recurrent network are small, and one waits
for the other: how long these take alone stands below, with what else a step consists of.
"""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pipeline import cli, params
from pipeline.cli import UserError
from pipeline.features import batches, ngram_features, token_vectors
from pipeline.model import network
from pipeline.model.backend import keras, tf

IDS = Path("data/ids")
STEPS, ROUNDS = 20, 3  # batches in a round, rounds of each
CORES = 2
OURS = "Keras, as this pipeline trains"
TWIN = {
    "cell": "gru", "reset_after": True, "layers": 1, "bidirectional": True, "mask": True, "pooling": "max_mean",
    "vectors": "posts", "optimizer": "adam", "word_dropout": 0.0, "embedding_dropout": 0.0, "recurrent_dropout": 0.0,
}  # fmt: skip


class Twin(torch.nn.Module):
    """`network.build` for `TWIN`, in PyTorch: from posts to logits `[batch, labels]`."""

    def __init__(self, known: np.ndarray, columns: int, labels: int, section: params.Train, packed: bool) -> None:
        super().__init__()
        self.packed = packed
        self.embedding = torch.nn.Embedding.from_pretrained(torch.from_numpy(known), freeze=True)
        self.spatial_dropout = torch.nn.Dropout1d(section.spatial_dropout)
        self.said_dropout = torch.nn.Dropout(section.ngram_dropout)
        self.gru = torch.nn.GRU(known.shape[1] + columns, section.units, batch_first=True, bidirectional=True)
        self.dropout = torch.nn.Dropout(section.dropout)
        self.labels = torch.nn.Linear(4 * section.units, labels)

    def forward(self, ids: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
        real = ids != 0
        x = self.spatial_dropout(self.embedding(ids).transpose(1, 2)).transpose(1, 2)
        x = torch.cat([x, said * self.said_dropout(torch.ones_like(said[:, :, :1]))], dim=-1)
        if self.packed:
            x = torch.nn.utils.rnn.pack_padded_sequence(x, real.sum(dim=1), batch_first=True, enforce_sorted=False)
            states = torch.nn.utils.rnn.pad_packed_sequence(self.gru(x)[0], batch_first=True)[0]
        else:
            states = self.gru(x)[0]
        largest = states.masked_fill(~real[..., None], -1.0).amax(dim=1)
        mean = (states * real[..., None]).sum(dim=1) / real.sum(dim=1, keepdim=True)
        return self.labels(self.dropout(torch.cat([largest, mean], dim=-1)))


def main() -> None:
    section = params.load().train
    if other := [name for name, value in TWIN.items() if getattr(section, name) != value]:
        raise UserError(f"the network in PyTorch has train.{other[0]}: {TWIN[other[0]]}; set it so in params.yaml")
    tf.config.threading.set_intra_op_parallelism_threads(CORES)
    torch.set_num_threads(CORES)

    posts = batches.read_encoded(IDS / "train.parquet")
    labels = len(json.loads((IDS / "labels.json").read_text()))
    posts = replace(posts, evidence=ngram_features.out_of_fold(posts, labels, section))
    columns, vocabulary = posts.evidence.shape[1], int(posts.tokens.max()) + 1
    known = token_vectors.fit_token_vectors(posts, vocabulary, section.embedding)
    every = list(batches.iterate_batches(posts, section.batch, None, np.random.default_rng(section.seed)))
    of_all = sum((inputs["ids"] != 0).sum() for inputs, _ in every) / sum(inputs["ids"].size for inputs, _ in every)
    chosen = every[:STEPS]
    real = sum(int((inputs["ids"] != 0).sum()) for inputs, _ in chosen)
    positions = sum(inputs["ids"].size for inputs, _ in chosen)
    print(f"{len(every)} batches of {section.batch} posts an epoch; of all positions {of_all:.1%} are real tokens")

    model = network.build_network(vocabulary, labels, columns, None, 1000, section, known)
    ready = [({name: tf.constant(value) for name, value in inputs.items()}, tf.constant(y)) for inputs, y in chosen]
    rivals: dict[str, Callable[[], object]] = {
        OURS: lambda: [model.train_on_batch(*batch) for batch in ready],
        "PyTorch, packed sequences": epoch(Twin(known, columns, labels, section, packed=True), chosen, section),
        "PyTorch, reading the padding": epoch(Twin(known, columns, labels, section, packed=False), chosen, section),
    }
    large = tf.random.normal((2048, 2048))
    product = tf.function(lambda: tf.matmul(large, large))
    times: dict[str, list[float]] = {name: [] for name in (*rivals, "peak")}
    for rival in rivals.values():
        rival()  # once to warm up
    for _ in range(ROUNDS):
        times["peak"].append(seconds(lambda: [product() for _ in range(5)]) / 5)
        for name, rival in rivals.items():
            times[name].append(seconds(rival))
    best = {name: min(each) for name, each in times.items()}

    peak = 2 * 2048**3 / best["peak"]
    # In each direction forward one product with the input's weights and one with the state's, and backward two each;
    # but the input's own gradient goes nowhere, as the vectors stay as they are.
    width, units = section.embedding + columns, section.units
    inside = 2 * 2 * 3 * units * (2 * width + 3 * units) * positions
    print(f"\n{'':34}{'tokens/s':>10}{'ms/step':>9}{'share of peak':>15}{'against ours':>14}")
    for name in rivals:
        share = inside / best[name] / peak
        row = f"{real / best[name]:10,.0f}{best[name] / len(chosen) * 1000:9.0f}{share:15.1%}"
        print(f"{name:34}{row}{best[OURS] / best[name]:13.2f}x")
    print(f"peak: {peak / 1e9:,.0f} Gflop/s in one large product on {CORES} cores")
    what_a_step_consists_of(posts, chosen, section, best[OURS] / len(chosen))


def epoch(model: Twin, chosen: list, section: params.Train) -> Callable[[], None]:
    optimizer = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], fused=True)
    loss = torch.nn.CrossEntropyLoss(label_smoothing=section.label_smoothing)
    ready = [
        (torch.from_numpy(inputs["ids"]), torch.from_numpy(inputs["evidence"]), torch.from_numpy(y).long())
        for inputs, y in chosen
    ]

    def train() -> None:
        for ids, said, y in ready:
            optimizer.zero_grad()
            loss(model(ids, said), y).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), section.clip_norm or 1e9)
            optimizer.step()

    return train


def what_a_step_consists_of(posts: batches.EncodedExamples, chosen: list, section: params.Train, step: float) -> None:
    """Times each part by itself; what is left over is TensorFlow's work around the products."""
    time_steps = round(np.mean([inputs["ids"].shape[1] for inputs, _ in chosen]))
    width, units, size = section.embedding + posts.evidence.shape[1], section.units, section.batch
    x, h, g = (tf.random.normal((size, columns)) for columns in (width, units, 3 * units))
    W, U = tf.random.normal((width, 3 * units)), tf.random.normal((units, 3 * units))

    @tf.function
    def products() -> tf.Tensor:
        """Those of one direction, forward and backward, in their sizes and in a loop over time."""
        total = tf.zeros(())
        for _ in tf.range(time_steps):
            forward = tf.matmul(x, W) + tf.matmul(h, U)
            weights = tf.matmul(x, g, transpose_a=True)[0, 0] + tf.matmul(h, g, transpose_a=True)[0, 0]
            total += forward[0, 0] + tf.matmul(g, U, transpose_b=True)[0, 0] + weights
        return total

    # What the optimizer updates, all in all.
    learned = keras.Variable(tf.random.normal((2 * 3 * units * (width + units + 2),)))
    optimizer = keras.optimizers.Adam()
    optimizer.build([learned])
    gradient = tf.random.normal(learned.shape)
    update = tf.function(lambda: optimizer.apply([gradient], [learned]))
    fed = network.make_dataset(posts, section.batch, None, np.random.default_rng(0)).take(len(chosen))
    parts = {
        "matrix products of both directions": 2 * best_of(products),
        "update of the weights": best_of(update),
        "making the next batch (meanwhile)": best_of(lambda: [None for _ in fed]) / len(chosen),
    }
    print(
        f"\nA step of {size} posts and {time_steps} tokens takes {step * 1000:.0f} ms. Its parts, timed by themselves:"
    )
    for name, part in parts.items():
        print(f"  {name:36}{part * 1000:8.1f} ms {part / step:7.1%}")


def best_of(what: Callable[[], object], times: int = 3) -> float:
    what()
    return min(seconds(what) for _ in range(times))


def seconds(what: Callable[[], object]) -> float:
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


if __name__ == "__main__":
    cli.run(main)
