"""Metrics on slices of the test split: by length, by whether a text contains code, and by truncation."""

import html
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binomtest
from tokenizers import Tokenizer

from pipeline.metrics import DECIMALS

LENGTHS = [-1, 50, 100, 200, 400]  # words and punctuation marks
CODE = re.compile(r"[{}\[\];=]|\w\(")
MIN_CODE_MATCHES = 3  # a text with so many matches counts as one that contains code


class Slice(NamedTuple):
    by: str
    name: str
    mask: np.ndarray  # bool [examples]


def make_slices(texts: Sequence[str], lengths: np.ndarray, tokenizer: Tokenizer) -> list[Slice]:
    """The slices that have examples, by length, code, and truncation.

    `lengths` are the numbers of words and punctuation marks; `tokenizer` is the network's, which truncates.
    """
    # Where texts are HTML, the semicolon of `&lt;` is no code.
    has_code = np.array([len(CODE.findall(html.unescape(text))) >= MIN_CODE_MATCHES for text in texts])
    max_length, counts = token_counts(texts, tokenizer)
    by_length = [
        (f"{low + 1} to {high}" if low > 0 else f"up to {high}", (low < lengths) & (lengths <= high))
        for low, high in pairwise(LENGTHS)
    ]
    groups = {
        "length (words and punctuation)": [*by_length, (f"over {LENGTHS[-1]}", lengths > LENGTHS[-1])],
        "code": [("with code", has_code), ("without code", ~has_code)],
        "truncation": [
            ("read to the end", counts <= max_length),
            ("truncated in the second half", (max_length < counts) & (counts <= 2 * max_length)),
            ("truncated in the first half", 2 * max_length < counts),
        ],
    }
    return [Slice(by, name, mask) for by, slices in groups.items() for name, mask in slices if mask.any()]


def token_counts(texts: Sequence[str], tokenizer: Tokenizer) -> tuple[int, np.ndarray]:
    """The number of tokens that the tokenizer truncates to, and the number of tokens of each text `[texts]`."""
    assert tokenizer.truncation
    untruncated = Tokenizer.from_str(tokenizer.to_str())
    untruncated.no_truncation()
    counts = np.array([len(encoding.ids) for encoding in untruncated.encode_batch_fast(list(texts))])
    return tokenizer.truncation["max_length"], counts


def slice_metrics(slices: Sequence[Slice], correct: np.ndarray, baseline_correct: np.ndarray) -> list[dict[str, Any]]:
    """A row per slice: examples, accuracy with its 95% interval (Wilson 1927), and the baseline's accuracy.

    `correct` and `baseline_correct` are bool `[examples]`.
    """
    rows = []
    for by, name, mask in slices:
        n_examples, n_correct = int(mask.sum()), int(correct[mask].sum())
        interval = binomtest(n_correct, n_examples).proportion_ci(method="wilson")
        rows.append(
            {
                "by": by,
                "slice": name,
                "examples": n_examples,
                "accuracy": round(n_correct / n_examples, DECIMALS),
                "interval": [round(float(end), DECIMALS) for end in interval],
                "baseline_accuracy": round(float(baseline_correct[mask].mean()), DECIMALS),
            }
        )
    return rows
