"""Layers that several models share, one kind of layer per file."""

from tfgen.layers.attention_window import AttentionWindow
from tfgen.layers.batch_norm import BatchNormalization
from tfgen.layers.conditional_batch_norm import ConditionalBatchNorm
from tfgen.layers.gdn import GDN
from tfgen.layers.instance_norm import InstanceNormalization
from tfgen.layers.maxout import Maxout
from tfgen.layers.minibatch_discrimination import MinibatchDiscrimination, minibatch_similarity
from tfgen.layers.noise import Dropout, GaussianNoise, dropout, gaussian_noise
from tfgen.layers.self_attention import SelfAttention2D
from tfgen.layers.spectral_norm import (
    SpectralConv2D,
    SpectralConv2DTranspose,
    SpectralDense,
    SpectralEmbedding,
    update_spectral_state,
)
from tfgen.layers.virtual_batch_norm import VirtualBatchNorm
from tfgen.layers.weight_norm import (
    WeightNormConv2D,
    WeightNormConv2DTranspose,
    WeightNormDense,
    data_dependent_init,
)

__all__ = [
    "GDN",
    "AttentionWindow",
    "BatchNormalization",
    "ConditionalBatchNorm",
    "Dropout",
    "GaussianNoise",
    "InstanceNormalization",
    "Maxout",
    "MinibatchDiscrimination",
    "SelfAttention2D",
    "SpectralConv2D",
    "SpectralConv2DTranspose",
    "SpectralDense",
    "SpectralEmbedding",
    "VirtualBatchNorm",
    "WeightNormConv2D",
    "WeightNormConv2DTranspose",
    "WeightNormDense",
    "data_dependent_init",
    "dropout",
    "gaussian_noise",
    "minibatch_similarity",
    "update_spectral_state",
]
