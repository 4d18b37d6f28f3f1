import numpy as np
import pytest

from benchmarks.reproduce.compression import psnr


def test_psnr_of_a_mean_squared_error_of_one():
    image = np.full((4, 4, 3), 7, np.uint8)
    assert psnr(image, image + 1) == pytest.approx(48.1308, abs=1e-3)
