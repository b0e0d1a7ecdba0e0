"""How fast the pipeline trains, side by side with PyTorch: the same network, posts and batches, in one run.

    make benchmark

Takes the posts that are in the workspace (`dvc repro` puts them there) and the network of `params.yaml`. Keras and
PyTorch take turns, so that a noisy machine is noisy for both; what counts is the best round of each. PyTorch skips
padding as people do it there, with packed sequences; that it does not skip it at all is measured, too.

The share of the peak is that of the network's matrix products in the time of a whole step, against the speed of one
large product of 2,048 x 2,048 numbers on the same cores. The products of a recurrent network are small, and one waits
for the other: how fast these alone could go stands below, with what else a step consists of.
"""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pipeline import params, stage
from pipeline.nn import batches, evidence, network
from pipeline.nn.quiet import keras, tf

IDS = Path("data/ids")
STEPS, ROUNDS = 20, 3  # batches in a round, rounds of each
CORES = 2


class TorchNetwork(torch.nn.Module):
    """`pipeline.nn.network` with a bidirectional GRU and the maximum and mean of its states, in PyTorch."""

    def __init__(self, vocabulary: int, labels: int, columns: int, section: params.Train, packed: bool) -> None:
        super().__init__()
        self.packed = packed
        self.embedding = torch.nn.Embedding(vocabulary, section.embedding)
        self.embedding_dropout = torch.nn.Dropout(section.embedding_dropout)
        self.gru = torch.nn.GRU(section.embedding + columns, section.units, batch_first=True, bidirectional=True)
        self.dropout = torch.nn.Dropout(section.dropout)
        self.labels = torch.nn.Linear(4 * section.units, labels)

    def forward(self, ids: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
        real = ids != 0
        x = torch.cat([self.embedding_dropout(self.embedding(ids)), said], dim=-1)
        if self.packed:
            lengths = real.sum(dim=1)
            x = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            states = torch.nn.utils.rnn.pad_packed_sequence(self.gru(x)[0], batch_first=True)[0]
        else:
            states = self.gru(x)[0]
        largest = states.masked_fill(~real[..., None], -1.0).amax(dim=1)
        mean = (states * real[..., None]).sum(dim=1) / real.sum(dim=1, keepdim=True)
        return self.labels(self.dropout(torch.cat([largest, mean], dim=-1)))


def main() -> None:
    section = params.load().train
    posts = batches.read(IDS / "train.parquet")
    labels = len(json.loads((IDS / "labels.json").read_text()))
    posts = replace(posts, evidence=evidence.cross_fitted(posts, labels, section))
    columns, vocabulary = posts.evidence.shape[1], int(posts.tokens.max()) + 1
    chosen = list(batches.batches(posts, section.batch, None, np.random.default_rng(section.seed)))[:STEPS]
    real = sum(int((inputs["ids"] != 0).sum()) for inputs, _ in chosen)
    positions = sum(inputs["ids"].size for inputs, _ in chosen)
    print(
        f"{len(chosen)} batches of {section.batch} posts: {positions:,} positions, {real / positions:.1%} real tokens"
    )

    model = network.build(vocabulary, labels, columns, None, 1000, section)
    keras_inputs = [({name: tf.constant(value) for name, value in inputs.items()}, y) for inputs, y in chosen]
    rivals = {
        "Keras, as this pipeline trains": lambda: [model.train_on_batch(*batch) for batch in keras_inputs],
        "PyTorch, packed sequences": torch_epoch(
            TorchNetwork(vocabulary, labels, columns, section, True), chosen, section
        ),
        "PyTorch, padding read as tokens": torch_epoch(
            TorchNetwork(vocabulary, labels, columns, section, False), chosen, section
        ),
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
    ours = best["Keras, as this pipeline trains"]
    # Forward one product with the input's weights and one with the state's, and twice as much backward.
    inside = 3 * 2 * 2 * (section.embedding + columns + section.units) * 3 * section.units * positions
    print(f"\n{'':34}{'tokens/s':>10}{'ms/step':>9}{'share of peak':>15}{'our speed':>11}")
    for name in rivals:
        share = inside / best[name] / peak
        row = f"{real / best[name]:10,.0f}{best[name] / len(chosen) * 1000:9.0f}{share:15.1%}{best[name] / ours:10.2f}x"
        print(f"{name:34}{row}")
    print(f"one large product: {peak / 1e9:,.0f} Gflop/s on {CORES} cores")
    what_a_step_consists_of(model, posts, chosen, section, ours / len(chosen))


def torch_epoch(model: TorchNetwork, chosen: list, section: params.Train) -> Callable[[], None]:
    torch.set_num_threads(CORES)
    optimizer = torch.optim.Adam(model.parameters(), lr=section.learning_rate, fused=True)
    loss = torch.nn.CrossEntropyLoss(label_smoothing=section.label_smoothing)
    ready = [
        (torch.from_numpy(inputs["ids"]), torch.from_numpy(inputs["evidence"]), torch.from_numpy(y).long())
        for inputs, y in chosen
    ]

    def epoch() -> None:
        for ids, said, y in ready:
            optimizer.zero_grad()
            loss(model(ids, said), y).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), section.clip_norm or 1e9)
            optimizer.step()

    return epoch


def what_a_step_consists_of(
    model: keras.Model, posts: batches.Ids, chosen: list, section: params.Train, step: float
) -> None:
    """Times each part by itself: what the rest of a step takes is TensorFlow's work around the products."""
    time_steps = round(np.mean([inputs["ids"].shape[1] for inputs, _ in chosen]))
    width, units = section.embedding + posts.evidence.shape[1], section.units
    x, h = tf.random.normal((section.batch, width)), tf.random.normal((section.batch, units))
    W, U = tf.random.normal((width, 3 * units)), tf.random.normal((units, 3 * units))
    g = tf.random.normal((section.batch, 3 * units))

    @tf.function
    def products() -> tf.Tensor:
        """Those of one direction, forward and backward, in the sizes and the order in which they come."""
        total = tf.zeros(())
        for _ in tf.range(time_steps):
            forward = tf.matmul(x, W) + tf.matmul(h, U)
            back = tf.matmul(g, W, transpose_b=True)[0, 0] + tf.matmul(g, U, transpose_b=True)[0, 0]
            total += (
                forward[0, 0] + back + tf.matmul(x, g, transpose_a=True)[0, 0] + tf.matmul(h, g, transpose_a=True)[0, 0]
            )
        return total

    embedding = model.get_layer("embedding").embeddings
    optimizer = keras.optimizers.Adam()
    optimizer.build([embedding])
    gradient = tf.random.normal(embedding.shape)
    update = tf.function(lambda: optimizer.apply([gradient], [embedding]))
    fed = network.dataset(posts, section.batch, None, np.random.default_rng(0)).take(len(chosen))
    parts = {
        "matrix products of both directions": 2 * best_of(products),
        "update of the token vectors": best_of(update),
        "making a batch (ahead, in parallel)": best_of(lambda: [None for _ in fed]) / len(chosen),
    }
    print(
        f"\nA step of {section.batch} posts and {time_steps} tokens takes {step * 1000:.0f} ms; measured by themselves:"
    )
    for name, part in parts.items():
        print(f"  {name:38}{part * 1000:8.1f} ms {part / step:7.1%}")


def best_of(what: Callable, times: int = 3) -> float:
    what()
    return min(seconds(what) for _ in range(times))


def seconds(what: Callable) -> float:
    start = time.perf_counter()
    what()
    return time.perf_counter() - start


if __name__ == "__main__":
    stage.run(main)
