"""Losses as pure functions: objectives of logits, penalties of the discriminator, regularisers of weights and codes."""

from tfgen.losses.constraints import clip_weights
from tfgen.losses.features import feature_matching, multi_scale_feature_matching
from tfgen.losses.information import (
    categorical_entropy,
    categorical_log_likelihood,
    gaussian_log_likelihood,
    uniform_entropy,
)
from tfgen.losses.objectives import OBJECTIVES, Objective, ebgan, label_smoothing
from tfgen.losses.penalties import PENALTIES, drift_penalty, gradient_penalty, lecam_penalty, r1_penalty, r2_penalty
from tfgen.losses.regularizers import (
    REGULARIZERS,
    historical,
    l2_regularizer,
    orthogonal_regularizer,
    pulling_away,
    running_mean,
)
from tfgen.losses.semi_supervised import semi_supervised_logit, supervised_loss, unsupervised_loss

__all__ = [
    "OBJECTIVES",
    "PENALTIES",
    "REGULARIZERS",
    "Objective",
    "categorical_entropy",
    "categorical_log_likelihood",
    "clip_weights",
    "drift_penalty",
    "ebgan",
    "feature_matching",
    "gaussian_log_likelihood",
    "gradient_penalty",
    "historical",
    "l2_regularizer",
    "label_smoothing",
    "lecam_penalty",
    "multi_scale_feature_matching",
    "orthogonal_regularizer",
    "pulling_away",
    "r1_penalty",
    "r2_penalty",
    "running_mean",
    "semi_supervised_logit",
    "supervised_loss",
    "uniform_entropy",
    "unsupervised_loss",
]
