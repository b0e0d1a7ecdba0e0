"""Attributions of a prediction to words: those of the network's tokens and the baseline's characters, weighted alike.

By integrated gradients for the network (`pipeline.model.attribution`), exactly for the baseline
(`pipeline.model.linear.attributions`).
"""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pipeline.features import batches, ngram_features
from pipeline.features.tokenizer import encode_texts, replace_surrogates, token_spans
from pipeline.model import attribution, linear
from pipeline.model.classifier import Classifier
from pipeline.model.onnx_gradients import OnnxNetwork

WORD = re.compile(r"\w+|[^\w\s]")
MAX_WORDS = 15  # of a text, those with the largest attributions

Attribution = tuple[int, int, float]  # start and end of a word in the text, and its attribution


def word_attributions(
    classifier: Classifier,
    network: OnnxNetwork,
    texts: list[str],
    target: np.ndarray,
    reference: np.ndarray,
    on_batch: Callable[[int], object] = lambda n_texts: None,
) -> list[list[Attribution]]:
    """The words with the largest attributions of each text, in the order of the text.

    `target` and `reference` are class indices `[texts]`; an attribution is in log-odds (nats) of the target against the
    reference. `network` is the classifier's; `on_batch` is called with the number of texts of each batch.
    """
    texts = replace_surrogates(texts)
    examples = batches.from_encoded(encode_texts(classifier.tokenizer, texts), labels=np.zeros(len(texts), int))
    features = ngram_features.transform(classifier.ngram_features, examples)
    by_token = attribution.token_attributions(
        network, replace(examples, ngram_features=features), target, reference, classifier.sequence_length, on_batch
    )
    result = []
    for row, (text, values) in enumerate(zip(texts, by_token, strict=True)):
        by_character = np.zeros(len(text))
        # A text without tokens has one value, for the unknown token that stands for it, and no span.
        for (start, end), value in zip(token_spans(classifier.tokenizer, text), values, strict=False):
            by_character[start:end] += classifier.network_weight * value / max(end - start, 1)
        if classifier.baseline:
            by_class = linear.attributions(classifier.baseline, text) / classifier.baseline.temperature
            by_character += (1 - classifier.network_weight) * (by_class[:, target[row]] - by_class[:, reference[row]])
        result.append(largest_attributions(text, by_character / classifier.temperature))
    return result


def largest_attributions(text: str, by_character: np.ndarray) -> list[Attribution]:
    """The `MAX_WORDS` words with the largest absolute attributions, in the order of the text; none that is 0."""
    spans = [match.span() for match in WORD.finditer(text)]
    words = [(start, end, round(float(by_character[start:end].sum()), 3)) for start, end in spans]
    largest = sorted(words, key=lambda word: -abs(word[2]))[:MAX_WORDS]
    return sorted(word for word in largest if word[2])
