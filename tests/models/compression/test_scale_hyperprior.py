"""The scales that the hyperprior gives its latents."""

import numpy as np
import tensorflow as tf

from tests.models.compression.helpers import made
from tfgen.models.compression.scale_hyperprior import SCALES


def test_scales_of_the_hyperprior():
    model = made("hyperprior")
    last = model.hyper_synthesis.layers[-1]
    for bias, scale in ((-5.0, 0.11), (63.0, 256.0), (100.0, 256.0), (10.0, SCALES[10])):
        last.kernel.assign(tf.zeros_like(last.kernel))
        last.bias.assign(tf.fill([4], bias))
        np.testing.assert_allclose(model.scales(tf.ones([1, 1, 1, 4]), 3, 2), np.full((1, 3, 2, 4), scale), rtol=1e-4)
