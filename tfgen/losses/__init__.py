"""Losses as pure functions: adversarial objectives of logits, penalties of the discriminator, regularisers of weights."""

from tfgen.losses.objectives import OBJECTIVES, Objective
from tfgen.losses.penalties import PENALTIES, gradient_penalty, r1_penalty
from tfgen.losses.regularizers import REGULARIZERS, l2_regularizer

__all__ = [
    "OBJECTIVES",
    "PENALTIES",
    "REGULARIZERS",
    "Objective",
    "gradient_penalty",
    "l2_regularizer",
    "r1_penalty",
]
