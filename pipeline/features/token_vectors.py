"""Token vectors, fitted on the training texts before the network: tokens with similar contexts have similar vectors.

The positive pointwise mutual information of tokens and their contexts, factorized by a truncated SVD: what word2vec
computes, in closed form (Levy & Goldberg 2014; Levy, Goldberg & Dagan 2015). A few thousand texts are too few to learn
the vectors together with the network, which overfits.
"""

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from sklearn.utils.extmath import randomized_svd

from pipeline.cli import UserError
from pipeline.features.batches import EncodedExamples

WINDOW = 5  # tokens to each side; one at distance d counts 1/d
SMOOTHING = 0.75  # exponent of the context's frequency, which gives rare contexts less weight
RMS = 0.1  # root mean square of a vector's elements


def fit_token_vectors(examples: EncodedExamples, vocab_size: int, embedding_dim: int) -> np.ndarray:
    """float32 `[vocab_size, embedding_dim]`; a token without contexts has a vector of zeros.

    Raises UserError if no token has a context, so that there is nothing to fit.
    """
    counts = cooccurrences(examples, vocab_size)
    if not counts.nnz:
        raise UserError("no training text has two tokens to fit vectors on; set train.token_vectors to random")
    token_count = np.asarray(counts.sum(axis=1)).ravel()
    context_count = np.asarray(counts.sum(axis=0)).ravel() ** SMOOTHING
    counts = counts.tocoo()
    pmi = np.log(counts.data * context_count.sum() / (token_count[counts.row] * context_count[counts.col]))
    positive = pmi > 0
    matrix = csr_matrix((pmi[positive], (counts.row[positive], counts.col[positive])), counts.shape, dtype=np.float32)
    rank = min(embedding_dim, vocab_size)
    left, values, _ = randomized_svd(matrix, rank, n_iter=3, random_state=0)
    vectors = np.zeros((vocab_size, embedding_dim), np.float32)
    vectors[:, :rank] = left * np.sqrt(values)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors * np.divide(RMS * np.sqrt(embedding_dim), norms, out=np.zeros_like(norms), where=norms > 1e-6)


def cooccurrences(examples: EncodedExamples, vocab_size: int) -> csr_matrix:
    """Distance-weighted counts of tokens within `WINDOW` of each other.

    `[vocab_size, 2 * vocab_size]`: contexts before a token and contexts after it are counted apart.
    """
    example_of = np.repeat(np.arange(len(examples)), np.diff(examples.starts))
    counts = csr_matrix((vocab_size, 2 * vocab_size))
    for distance in range(1, WINDOW + 1):
        same_example = example_of[:-distance] == example_of[distance:]
        before, after = examples.tokens[:-distance][same_example], examples.tokens[distance:][same_example]
        token = np.concatenate([after, before])
        context = np.concatenate([before, after + vocab_size])
        counts += coo_matrix((np.full(len(token), 1 / distance), (token, context)), counts.shape).tocsr()
    return counts
