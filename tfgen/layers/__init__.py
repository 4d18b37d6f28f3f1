"""Layers that several models share, one kind of layer per file."""

from tfgen.layers.attention_window import AttentionWindow
from tfgen.layers.batch_norm import BatchNormalization
from tfgen.layers.bilinear import sample_bilinear, warp_by_flow
from tfgen.layers.blur import Blur2D
from tfgen.layers.conditional_batch_norm import ConditionalBatchNorm
from tfgen.layers.conditional_instance_norm import ConditionalInstanceNorm
from tfgen.layers.conditioning_augmentation import ConditioningAugmentation, glu
from tfgen.layers.equalized import EqualizedConv2D, EqualizedDense
from tfgen.layers.gdn import GDN
from tfgen.layers.image_pool import ImagePool
from tfgen.layers.instance_norm import InstanceNormalization, adaptive_instance_norm
from tfgen.layers.maxout import Maxout
from tfgen.layers.minibatch_discrimination import MinibatchDiscrimination, minibatch_similarity
from tfgen.layers.minibatch_stddev import MinibatchStdDev
from tfgen.layers.noise import Dropout, GaussianNoise, dropout, gaussian_noise
from tfgen.layers.optical_flow import chained_flow, flow_confidence, matched_flow
from tfgen.layers.pixel_norm import PixelNormalization
from tfgen.layers.resampling import downscale2d, downscale_conv2d, upscale2d, upscale_conv2d
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
    "Blur2D",
    "ConditionalBatchNorm",
    "ConditionalInstanceNorm",
    "ConditioningAugmentation",
    "Dropout",
    "EqualizedConv2D",
    "EqualizedDense",
    "GaussianNoise",
    "ImagePool",
    "InstanceNormalization",
    "Maxout",
    "MinibatchDiscrimination",
    "MinibatchStdDev",
    "PixelNormalization",
    "SelfAttention2D",
    "SpectralConv2D",
    "SpectralConv2DTranspose",
    "SpectralDense",
    "SpectralEmbedding",
    "VirtualBatchNorm",
    "WeightNormConv2D",
    "WeightNormConv2DTranspose",
    "WeightNormDense",
    "adaptive_instance_norm",
    "chained_flow",
    "data_dependent_init",
    "downscale2d",
    "downscale_conv2d",
    "dropout",
    "flow_confidence",
    "gaussian_noise",
    "glu",
    "matched_flow",
    "minibatch_similarity",
    "sample_bilinear",
    "update_spectral_state",
    "upscale2d",
    "upscale_conv2d",
    "warp_by_flow",
]
