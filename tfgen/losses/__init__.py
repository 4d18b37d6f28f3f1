"""Losses as pure functions: objectives of logits, penalties of the discriminator, regularisers of weights and codes."""

from tfgen.losses.constraints import clip_weights
from tfgen.losses.features import feature_matching, multi_scale_feature_matching, perceptual_distance
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
from tfgen.losses.style import gram_loss, gram_matrix, statistics_loss, total_variation
from tfgen.losses.text_to_image import augmentation_divergence, colour_consistency, matching_discriminator

__all__ = [
    "OBJECTIVES",
    "PENALTIES",
    "REGULARIZERS",
    "Objective",
    "augmentation_divergence",
    "categorical_entropy",
    "categorical_log_likelihood",
    "clip_weights",
    "colour_consistency",
    "drift_penalty",
    "ebgan",
    "feature_matching",
    "gaussian_log_likelihood",
    "gradient_penalty",
    "gram_loss",
    "gram_matrix",
    "historical",
    "l2_regularizer",
    "label_smoothing",
    "lecam_penalty",
    "matching_discriminator",
    "multi_scale_feature_matching",
    "orthogonal_regularizer",
    "perceptual_distance",
    "pulling_away",
    "r1_penalty",
    "r2_penalty",
    "running_mean",
    "semi_supervised_logit",
    "statistics_loss",
    "supervised_loss",
    "total_variation",
    "uniform_entropy",
    "unsupervised_loss",
]
