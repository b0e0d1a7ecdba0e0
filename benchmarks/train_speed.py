"""Training speed, compared with PyTorch: the same network, examples and batches, in one process.

    make benchmark

Uses the examples in the workspace (`dvc repro` puts them there) and the network of `params.yaml`. Keras and PyTorch
take turns, so that noise of the machine affects both, and the best of several rounds counts. PyTorch skips padding with
packed sequences, the usual way there; reading the padding instead is also measured.

"Share of peak" compares the floating-point operations of the network's matrix products, divided by the time of a whole
step, with the speed of one large product of 2,048 x 2,048 matrices on the same cores. The products of a recurrent
network are small and depend on each other; the last table has the time that they take alone, and the rest of a step.
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
from pipeline.features.batches import EncodedExamples
from pipeline.model import network
from pipeline.model.backend import keras, tf
from pipeline.params.train import Train

IDS = Path("data/ids")
N_BATCHES, ROUNDS = 20, 3
CORES = 2
KERAS = "Keras (this pipeline)"
# What the network in PyTorch is limited to.
REQUIRED = {
    "cell": "gru", "reset_after": True, "num_layers": 1, "bidirectional": True, "mask": True, "pooling": "max_mean",
    "token_vectors": "cooccurrence", "optimizer": "adam",
    "word_dropout": 0.0, "embedding_dropout": 0.0, "recurrent_dropout": 0.0,
}  # fmt: skip

Batch = tuple[dict[str, np.ndarray], np.ndarray]  # inputs and labels, see `batches.pad_batch`


class TorchNetwork(torch.nn.Module):
    """`network.build_network` with the parameters `REQUIRED`, in PyTorch: gives logits `[batch, classes]`."""

    def __init__(self, vectors: np.ndarray, feature_dim: int, n_classes: int, config: Train, packed: bool) -> None:
        super().__init__()
        self.packed = packed
        self.embedding = torch.nn.Embedding.from_pretrained(torch.from_numpy(vectors), freeze=True)
        self.spatial_dropout = torch.nn.Dropout1d(config.spatial_dropout)
        self.ngram_dropout = torch.nn.Dropout(config.ngram_dropout)
        self.gru = torch.nn.GRU(vectors.shape[1] + feature_dim, config.units, batch_first=True, bidirectional=True)
        self.dropout = torch.nn.Dropout(config.dropout)
        self.labels = torch.nn.Linear(4 * config.units, n_classes)
        self.direct = torch.nn.Linear(feature_dim, n_classes, bias=False)

    def forward(self, ids: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        mask = ids != 0
        x = self.spatial_dropout(self.embedding(ids).transpose(1, 2)).transpose(1, 2)
        features = features * self.ngram_dropout(torch.ones_like(features[:, :, :1]))
        direct = self.direct(features.sum(dim=1) / mask.sum(dim=1, keepdim=True).sqrt())
        x = torch.cat([x, features], dim=-1)
        if self.packed:
            x = torch.nn.utils.rnn.pack_padded_sequence(x, mask.sum(dim=1), batch_first=True, enforce_sorted=False)
            states = torch.nn.utils.rnn.pad_packed_sequence(self.gru(x)[0], batch_first=True)[0]
        else:
            states = self.gru(x)[0]
        maximum = states.masked_fill(~mask[..., None], -1.0).amax(dim=1)
        mean = (states * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        return self.labels(self.dropout(torch.cat([maximum, mean], dim=-1))) + direct


def main() -> None:
    config = params.load().train
    if other := [name for name, value in REQUIRED.items() if getattr(config, name) != value]:
        raise UserError(
            f"train.{other[0]} is {getattr(config, other[0])}, but the network in PyTorch has {REQUIRED[other[0]]}; "
            "set it so in params.yaml"
        )
    tf.config.threading.set_intra_op_parallelism_threads(CORES)
    torch.set_num_threads(CORES)

    examples = batches.read_encoded(IDS / "train.parquet")
    n_classes = len(json.loads((IDS / "labels.json").read_text()))
    examples = replace(examples, ngram_features=ngram_features.out_of_fold(examples, n_classes, config))
    epoch = list(batches.iterate_batches(examples, config.batch_size, None, np.random.default_rng(config.seed)))
    print(
        f"{len(epoch)} batches of {config.batch_size} examples per epoch; "
        f"{count_tokens(epoch) / count_positions(epoch):.1%} of all positions are tokens, the rest is padding"
    )
    chosen = epoch[:N_BATCHES]
    best, peak_seconds = time_training(training_runs(examples, chosen, n_classes, config))
    print_comparison(best, peak_seconds, chosen, examples.ngram_features.shape[1], config)
    print_parts(examples, chosen, best[KERAS] / len(chosen), config)


def training_runs(
    examples: EncodedExamples, chosen: list[Batch], n_classes: int, config: Train
) -> dict[str, Callable[[], object]]:
    """By name: a function that trains one network on the chosen batches."""
    feature_dim, vocab_size = examples.ngram_features.shape[1], int(examples.tokens.max()) + 1
    vectors = token_vectors.fit_token_vectors(examples, vocab_size, config.embedding_dim)
    model = network.build_network(vocab_size, n_classes, feature_dim, None, 1000, config, vectors)
    tensors = [({name: tf.constant(value) for name, value in inputs.items()}, tf.constant(y)) for inputs, y in chosen]
    packed, padded = (TorchNetwork(vectors, feature_dim, n_classes, config, packed) for packed in (True, False))
    return {
        KERAS: lambda: [model.train_on_batch(*batch) for batch in tensors],
        "PyTorch, packed sequences": torch_training(packed, chosen, config),
        "PyTorch, reading the padding": torch_training(padded, chosen, config),
    }


def torch_training(model: TorchNetwork, chosen: list[Batch], config: Train) -> Callable[[], None]:
    optimizer = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], fused=True)
    loss = torch.nn.CrossEntropyLoss(label_smoothing=config.label_smoothing)
    tensors = [
        (torch.from_numpy(inputs["ids"]), torch.from_numpy(inputs["ngram_features"]), torch.from_numpy(y).long())
        for inputs, y in chosen
    ]

    def train() -> None:
        for ids, features, y in tensors:
            optimizer.zero_grad()
            loss(model(ids, features), y).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm or 1e9)
            optimizer.step()

    return train


def time_training(runs: dict[str, Callable[[], object]]) -> tuple[dict[str, float], float]:
    """The seconds of each run and of one large matrix product: the best of `ROUNDS`, in which all take turns."""
    matrix = tf.random.normal((2048, 2048))
    product = tf.function(lambda: tf.matmul(matrix, matrix))
    timed = runs | {"peak": lambda: [product() for _ in range(5)]}
    for run in timed.values():
        run()  # to warm up
    rounds = [{name: seconds(run) for name, run in timed.items()} for _ in range(ROUNDS)]
    best = {name: min(times[name] for times in rounds) for name in timed}
    return best, best.pop("peak") / 5


def print_comparison(
    best: dict[str, float], peak_seconds: float, chosen: list[Batch], feature_dim: int, config: Train
) -> None:
    peak = 2 * 2048**3 / peak_seconds
    # In each direction, the forward pass has one product with the kernel and one with the recurrent kernel; the
    # backward pass has two of each, but none for the gradient of the token vectors, which are not trained.
    input_dim, units = config.embedding_dim + feature_dim, config.units
    operations = 2 * 2 * 3 * units * (2 * input_dim + 3 * units) * count_positions(chosen)
    print(f"\n{'':34}{'tokens/s':>10}{'ms/step':>9}{'share of peak':>15}{'relative speed':>16}")
    for name, duration in best.items():
        speed = f"{count_tokens(chosen) / duration:10,.0f}{duration / len(chosen) * 1000:9.0f}"
        print(f"{name:34}{speed}{operations / duration / peak:15.1%}{best[KERAS] / duration:15.2f}x")
    print(f"peak: {peak / 1e9:,.0f} Gflop/s in one large matrix product on {CORES} cores")


def print_parts(examples: EncodedExamples, chosen: list[Batch], step: float, config: Train) -> None:
    """Print the time of each part of a step alone. The rest is TensorFlow's work around the products."""
    n_steps = round(np.mean([inputs["ids"].shape[1] for inputs, _ in chosen]))
    input_dim = config.embedding_dim + examples.ngram_features.shape[1]
    dataset = network.make_dataset(examples, config.batch_size, None, np.random.default_rng(0)).take(len(chosen))
    parts = {
        "matrix products of both directions": 2 * best_of(matrix_products(n_steps, input_dim, config)),
        "update of the weights": best_of(weight_update(input_dim, config.units)),
        "making the next batch (in parallel)": best_of(lambda: [None for _ in dataset]) / len(chosen),
    }
    print(
        f"\nA step of {config.batch_size} examples and {n_steps} tokens takes {step * 1000:.0f} ms. Its parts, alone:"
    )
    for name, part in parts.items():
        print(f"  {name:36}{part * 1000:8.1f} ms {part / step:7.1%}")


def matrix_products(n_steps: int, input_dim: int, config: Train) -> Callable[[], object]:
    """A function that computes the products of one direction, forward and backward, in a loop over time."""
    units = config.units
    x, h, g = (tf.random.normal((config.batch_size, columns)) for columns in (input_dim, units, 3 * units))
    W, U = tf.random.normal((input_dim, 3 * units)), tf.random.normal((units, 3 * units))

    @tf.function
    def products() -> tf.Tensor:
        total = tf.zeros(())
        for _ in tf.range(n_steps):
            forward = tf.matmul(x, W) + tf.matmul(h, U)
            weights = tf.matmul(x, g, transpose_a=True)[0, 0] + tf.matmul(h, g, transpose_a=True)[0, 0]
            total += forward[0, 0] + tf.matmul(g, U, transpose_b=True)[0, 0] + weights
        return total

    return products


def weight_update(input_dim: int, units: int) -> Callable[[], object]:
    """A function that updates, in one array, as many weights as the recurrent layer has."""
    weights = keras.Variable(tf.random.normal((2 * 3 * units * (input_dim + units + 2),)))
    optimizer = keras.optimizers.Adam()
    optimizer.build([weights])
    gradient = tf.random.normal(weights.shape)
    return tf.function(lambda: optimizer.apply([gradient], [weights]))


def count_tokens(chosen: list[Batch]) -> int:
    return sum(int((inputs["ids"] != 0).sum()) for inputs, _ in chosen)


def count_positions(chosen: list[Batch]) -> int:
    return sum(inputs["ids"].size for inputs, _ in chosen)


def best_of(function: Callable[[], object], times: int = 3) -> float:
    function()
    return min(seconds(function) for _ in range(times))


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    cli.run(main)
