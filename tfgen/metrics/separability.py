"""Linear separability: does a hyperplane in latent space separate images with and without an attribute?

Karras, Laine, Aila (2019), arXiv 1812.04948, section 4.2. For each of A binary attributes, the half of the samples with
the most confident classifications is kept, a linear SVM is fitted from latents to the classifier's decisions, and the
conditional entropy H(Y|X) is computed in bits on the same samples, where X is the side of the hyperplane and Y the
decision. The score is 2 to the sum of the entropies, as in the released code; 1 is perfect. The published numbers use
200,000 samples and 40 attributes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics._checks import activations
from tfgen.metrics.accumulators import Accumulator, Rows


class Separability(NamedTuple):
    """`score` >= 1, and H(Y|X) of each attribute in bits, float64 [A].

    Example:
        >>> latents = np.random.default_rng(0).normal(size=[200, 3])
        >>> found = tfgen.metrics.linear_separability(latents, np.random.default_rng(1).normal(size=[200, 1]))  # unrelated
        >>> found.score > 1.5, found.entropies.shape
        (True, (1,))
    """

    score: float
    entropies: np.ndarray


def conditional_entropy(joint: ArrayLike) -> float:
    """H(Y|X) in bits from a joint table [X, Y] of counts or probabilities, which is scaled to a sum of 1.

    Example:
        >>> tfgen.metrics.conditional_entropy([[5, 5], [5, 5]]), tfgen.metrics.conditional_entropy([[10, 0], [0, 10]])
        (1.0, 0.0)
    """
    joint = activations(joint, "joint")
    if joint.min() < 0 or not joint.sum() > 0:
        raise ValueError(f"joint must hold numbers >= 0 of a sum above 0; received {joint.tolist()}")
    joint = joint / joint.sum()
    side = joint.sum(axis=1, keepdims=True)
    share = np.divide(joint, side, out=np.ones_like(joint), where=joint > 0)
    return float(max(0.0, -(joint * np.log2(share)).sum()))


def linear_separability(latents: ArrayLike, logits: ArrayLike, *, keep: float = 0.5, seed: int = 0) -> Separability:
    """Linear separability of A binary attributes in latent space.

    Example:
        >>> latents = np.random.default_rng(0).normal(size=[200, 3])
        >>> round(tfgen.metrics.linear_separability(latents, latents[:, :1]).score, 2)  # the attribute: the sign of a latent
        1.0

    Args:
      latents: float [N, Z]: z or w.
      logits: float [N, A] of the attribute classifiers on the images of these latents; positive: has the attribute.
      keep: share of the samples kept for each attribute, those with the largest |logit|.
      seed: seed of the SVM solver (scikit-learn's `LinearSVC`, squared hinge, C = 1, dual, at most 1,000 passes).

    If all kept samples have the same decision, the attribute counts as perfectly separable, 0 bits.

    Raises:
      ValueError: not finite, wrong rank, different N, or `keep` not in (0, 1] or fewer than 2 samples kept.
    """
    latents, logits = activations(latents, "latents"), activations(logits, "logits")
    if len(latents) != len(logits):
        raise ValueError(f"latents and logits must have equally many rows; received {len(latents)} and {len(logits)}")
    if not 0 < keep <= 1 or int(keep * len(latents)) < 2:
        raise ValueError(f"keep must be in (0, 1] and leave 2 samples or more; received {keep} of {len(latents)} samples")
    entropies = np.array([_entropy(latents, column, keep, seed) for column in logits.T])
    return Separability(float(2.0 ** entropies.sum()), entropies)


def _entropy(latents, logits, keep, seed) -> float:
    from sklearn.svm import LinearSVC

    # |logit| has the same order as the probability of the decision, but no ties at 1.0
    kept = np.argsort(-np.abs(logits), kind="stable")[: int(keep * len(logits))]
    decision = logits[kept] > 0
    if decision.all() or not decision.any():
        return 0.0
    side = LinearSVC(dual=True, random_state=seed).fit(latents[kept], decision).predict(latents[kept])
    return conditional_entropy([[np.sum((side == x) & (decision == y)) for y in (False, True)] for x in (False, True)])


class LinearSeparability(Accumulator):
    """`linear_separability` of latents and logits that come in shards. All of them are kept.

    Example:
        >>> latents = np.random.default_rng(0).normal(size=[200, 3])
        >>> separability = tfgen.metrics.LinearSeparability().update(latents, latents[:, :1])  # the sign of the first latent
        >>> round(separability.result().score, 2)
        1.0
    """

    def __init__(self, *, keep: float = 0.5, seed: int = 0):
        super().__init__(keep=keep, seed=seed)
        self.parts = {"latents": Rows(), "logits": Rows()}

    def update(self, latents: ArrayLike, logits: ArrayLike, ids: ArrayLike | None = None) -> LinearSeparability:
        """Adds latents [N, Z] and logits [N, A] of the same samples; `ids`: see `tfgen.metrics.accumulators`."""
        latents, logits = np.asarray(latents), np.asarray(logits)
        if len(latents) != len(logits):
            raise ValueError(f"latents and logits must have equally many rows; received {len(latents)} and {len(logits)}")
        self.parts["latents"].update(latents, ids)
        self.parts["logits"].update(logits, ids)
        return self

    def result(self) -> Separability:
        return linear_separability(self.parts["latents"].result(), self.parts["logits"].result(), **self.settings)
