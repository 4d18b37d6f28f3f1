"""PixelCNN: what its masked kernels reach, and the wedge of pixels that they do not."""

import numpy as np

from tests.models.autoregressive.helpers import dependence, made
from tfgen.models import PixelCNN


def test_blind_spot():
    """Each row up opens one column to the right, however many layers there are; the gated PixelCNN sees the rest."""
    height, width = 4, 6
    args = {"image_shape": (height, width, 1), "levels": 3, "width": 6, "depth": 6, "first_kernel_size": 3, "head_width": 16}
    seen = sum(dependence(made(PixelCNN, seed, scale=0.4, **args), seed) for seed in range(4))
    row, column, other_row, other_column = np.indices([height, width] * 2)
    up, right = row - other_row, other_column - column
    expected = (up >= 0) & (right <= up) & ((up > 0) | (right < 0))
    blind = (up > 0) & (right > up)
    assert blind.any()
    np.testing.assert_array_equal(seen.reshape(expected.shape) > 0, expected)
