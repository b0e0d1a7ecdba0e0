"""Vectors of tokens, learned from the training posts before the network is: near in meaning, near as vectors.

Which tokens stand near which, weighted by how much more often than by chance (positive pointwise mutual information),
and then the largest singular vectors of that matrix: what word2vec does, as an equation (Levy & Goldberg 2014;
Levy, Goldberg & Dagan 2015). A few thousand posts are too few to learn them along with the network, which overfits.
"""

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from sklearn.utils.extmath import randomized_svd

from pipeline.cli import UserError
from pipeline.features.batches import EncodedExamples

WINDOW = 5  # tokens to each side; one at distance d counts 1/d
SMOOTHING = 0.75  # exponent of the context's frequency: rare contexts weigh less
SIZE = 0.1  # of a vector's numbers, as a root mean square


def fit_token_vectors(posts: EncodedExamples, vocabulary: int, dimensions: int) -> np.ndarray:
    """float32 `[vocabulary, dimensions]`; a token that is near no other has a vector of zeros.

    Raises Stop where no token is near another: vectors would say nothing.
    """
    near = cooccurrences(posts, vocabulary)
    if not near.nnz:
        raise UserError(
            "no training post has two tokens, so that none stands near another; set train.token_vectors to random"
        )
    of_token = np.asarray(near.sum(axis=1)).ravel()
    of_context = np.asarray(near.sum(axis=0)).ravel() ** SMOOTHING
    near = near.tocoo()
    information = np.log(near.data * of_context.sum() / (of_token[near.row] * of_context[near.col]))
    positive = information > 0
    matrix = csr_matrix((information[positive], (near.row[positive], near.col[positive])), near.shape, dtype=np.float32)
    rank = min(dimensions, vocabulary)
    left, values, _ = randomized_svd(matrix, rank, n_iter=3, random_state=0)
    vectors = np.zeros((vocabulary, dimensions), np.float32)
    vectors[:, :rank] = left * np.sqrt(values)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors * np.divide(SIZE * np.sqrt(dimensions), lengths, out=np.zeros_like(lengths), where=lengths > 1e-6)


def cooccurrences(posts: EncodedExamples, vocabulary: int) -> csr_matrix:
    """How often tokens stand within `WINDOW` of each other, by distance: `[tokens, tokens before and tokens after]`."""
    post_of = np.repeat(np.arange(len(posts)), np.diff(posts.starts))
    near = csr_matrix((vocabulary, 2 * vocabulary))
    for distance in range(1, WINDOW + 1):
        same = post_of[:-distance] == post_of[distance:]
        before, after = posts.tokens[:-distance][same], posts.tokens[distance:][same]
        token = np.concatenate([after, before])
        context = np.concatenate([before, after + vocabulary])
        near += coo_matrix((np.full(len(token), 1 / distance), (token, context)), near.shape).tocsr()
    return near
