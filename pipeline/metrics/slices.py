"""Figures by slice: is the classifier as good on long posts, on posts without code, on those it reads in part?"""

import html
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binomtest
from tokenizers import Tokenizer

LENGTHS = [-1, 50, 100, 200, 400]  # words and marks
CODE = re.compile(r"[{}\[\];=]|\w\(")
MARKS = 3  # of code: a post with as many shows some
DECIMALS = 6


class Slice(NamedTuple):
    by: str
    name: str
    posts: np.ndarray  # bool [posts]: which are in it


def make_slices(texts: Sequence[str], lengths: np.ndarray, tokenizer: Tokenizer) -> list[Slice]:
    """The slices that hold a post, by length, code, and truncation.

    `lengths` are the texts' in words and marks; the tokenizer is the network's, which reads a text's first tokens.
    """
    # Where posts are HTML, the semicolon of `&lt;` is no code.
    has_code = np.array([len(CODE.findall(html.unescape(text))) >= MARKS for text in texts])
    kept, counts = token_counts(texts, tokenizer)
    by_length = [
        (f"{low + 1} to {high}" if low > 0 else f"up to {high}", (low < lengths) & (lengths <= high))
        for low, high in pairwise(LENGTHS)
    ]
    every = {
        "words and marks": [*by_length, (f"over {LENGTHS[-1]}", lengths > LENGTHS[-1])],
        "code": [("with code", has_code), ("without code", ~has_code)],
        "read by the network": [
            ("all of it", counts <= kept),
            ("cut in its second half", (kept < counts) & (counts <= 2 * kept)),
            ("cut in its first half", 2 * kept < counts),
        ],
    }
    return [Slice(by, name, posts) for by, slices in every.items() for name, posts in slices if posts.any()]


def token_counts(texts: Sequence[str], tokenizer: Tokenizer) -> tuple[int, np.ndarray]:
    """How many tokens the network reads at most, and how many each text has, `[texts]`."""
    assert tokenizer.truncation
    whole = Tokenizer.from_str(tokenizer.to_str())
    whole.no_truncation()
    counts = np.array([len(encoding.ids) for encoding in whole.encode_batch_fast(list(texts))])
    return tokenizer.truncation["max_length"], counts


def slice_metrics(slices: Sequence[Slice], right: np.ndarray, baseline_right: np.ndarray) -> list[dict[str, Any]]:
    """A row per slice: posts, accuracy with its 95% interval (Wilson 1927), and the baseline's accuracy.

    `right` and `baseline_right` say of which posts they know the label, bool `[posts]`.
    """
    rows = []
    for by, name, posts in slices:
        count, of_these = int(posts.sum()), int(right[posts].sum())
        interval = binomtest(of_these, count).proportion_ci(method="wilson")
        rows.append(
            {
                "by": by,
                "slice": name,
                "posts": count,
                "accuracy": round(of_these / count, DECIMALS),
                "interval": [round(float(end), DECIMALS) for end in interval],
                "baseline_accuracy": round(float(baseline_right[posts].mean()), DECIMALS),
            }
        )
    return rows
