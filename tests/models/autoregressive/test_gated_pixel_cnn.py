"""Gated PixelCNN: its two stacks see all that comes before a pixel."""

import numpy as np
import pytest

from tests.models.autoregressive.helpers import dependence, made
from tfgen.models import GatedPixelCNN


@pytest.mark.parametrize("shape", [(4, 6, 1), (3, 4, 3)])
def test_no_blind_spot(shape):
    """Every pixel before it in raster order, and every colour before its own, changes what is said of a pixel."""
    args = {"image_shape": shape, "levels": 3, "width": 6, "depth": 6, "first_kernel_size": 3, "head_width": 16}
    seen = sum(dependence(made(GatedPixelCNN, seed, scale=0.4, **args), seed) for seed in range(4))
    np.testing.assert_array_equal(seen > 0, np.tri(len(seen), k=-1, dtype=bool))
