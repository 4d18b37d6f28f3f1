import numpy as np
import pytest

from tfgen.distributions import DiscretizedLogistic


@pytest.mark.parametrize(("loc", "log_scale"), [(0.5, 5.0), (0.5, -7.0), (-0.4, -2.0), (1.7, 0.0), (0.31, -3.0)])
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_discretized_logistic_sums_to_one(loc, log_scale, levels):
    x = np.arange(levels, dtype="float32") / (levels - 1)
    p = DiscretizedLogistic(loc, log_scale, levels=levels).log_prob(x).numpy().astype("float64")
    assert np.isfinite(p).all()
    assert np.exp(p).sum() == pytest.approx(1.0, abs=2e-5)


def test_discretized_logistic_against_the_difference_of_sigmoids():
    x = np.arange(17) / 16
    edge = lambda t: 1 / (1 + np.exp(-(t - 0.4) / 0.1))  # noqa: E731
    p = edge(x + 1 / 32) - edge(x - 1 / 32)
    p[0], p[-1] = edge(1 / 32), 1 - edge(31 / 32)
    d = DiscretizedLogistic(0.4, np.log(0.1), levels=17)
    np.testing.assert_allclose(np.exp(d.log_prob(x.astype("float32"))), p, rtol=1e-4)
    assert float(d.mean()) == pytest.approx(np.sum(p * x), abs=1e-3)
    samples = d.sample(20_000, seed=0).numpy()
    np.testing.assert_allclose(samples * 16, np.round(samples * 16), atol=1e-5)
    assert samples.mean() == pytest.approx(np.sum(p * x), abs=0.01)
    wide = np.exp(DiscretizedLogistic(0.5, 12.0, levels=4).log_prob(x[[4, 8]].astype("float32")))
    np.testing.assert_allclose(wide, wide[0], rtol=1e-3)
