import numpy as np
import pytest

from tfgen import metrics, sampling

IMAGE = np.random.default_rng(0).normal(size=(6, 48))  # a linear generator, 4x4x3
MAP = np.random.default_rng(1).normal(size=(5, 6))


def generate(w):
    return (w @ IMAGE).reshape(len(w), 4, 4, 3)


def mapping(z):
    return z @ MAP


def squared(a, b):
    return ((a - b) ** 2).sum(axis=(1, 2, 3))


def pairs(ids, seed=0, dim=5):
    """The latents of the pairs, and t, drawn again."""
    draws = [np.random.default_rng([seed, i]) for i in ids]
    return zip(*[(rng.standard_normal((2, dim)), rng.random()) for rng in draws], strict=True)


@pytest.mark.parametrize("epsilon", [1e-4, 1e-2])
@pytest.mark.parametrize("sampling_", ["full", "end"])
def test_linear_generator_in_w_is_exact(epsilon, sampling_):
    """Each distance is |(w1 - w0) A|^2, whatever epsilon and t are."""
    ids = np.arange(40)
    values = metrics.path_distances(
        generate, squared, ids, latent_dim=5, mapping=mapping, space="w", sampling=sampling_, epsilon=epsilon, batch_size=7
    )
    z, _ = pairs(ids)
    expected = [np.sum(((b - a) @ MAP @ IMAGE) ** 2) for a, b in z]
    np.testing.assert_allclose(values, expected, rtol=1e-7)
    length = metrics.perceptual_path_length(
        generate, squared, pairs=40, trim=0, latent_dim=5, mapping=mapping, space="w", sampling=sampling_, epsilon=epsilon
    )
    assert length == pytest.approx((np.mean(expected), np.std(expected)), rel=1e-7)


def test_scaled_generator_is_the_norm_times_the_mean():
    """G(w) = a w with one number w: PPL = |a|^2 E|w1 - w0|^2, which is 2 |a|^2 for w of variance 1."""
    a = np.array([1.0, 2.0, 2.0, 4.0])
    length = metrics.perceptual_path_length(
        lambda w: (w * a).reshape(-1, 2, 2, 1), squared, pairs=4000, trim=0, latent_dim=1, mapping=lambda z: z, space="w"
    )
    assert length.mean == pytest.approx(2 * 25, rel=0.1)


@pytest.mark.parametrize("sampling_", ["full", "end"])
def test_z_goes_along_the_sphere(sampling_):
    """On the unit sphere the squared speed of slerp is the squared angle, here seen by the identity as generator."""
    ids = np.arange(30)
    values = metrics.path_distances(
        lambda z: z.reshape(-1, 1, 5, 1), squared, ids, latent_dim=5, sampling=sampling_, epsilon=1e-3
    )
    z, _ = pairs(ids)
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in z]
    np.testing.assert_allclose(values, np.arccos(cosines) ** 2, rtol=1e-5)


def test_end_points_and_full_paths_differ_where_the_generator_bends():
    """G(w) = w^2 has speed 2 |w (w1 - w0)|: at the end with w = w0, on the path with w of random t."""
    ids = np.arange(25)
    common = dict(latent_dim=1, mapping=lambda z: z, space="w", epsilon=1e-6)
    end, full = (
        metrics.path_distances(lambda w: (w**2)[:, :, None, None], squared, ids, sampling=s, **common)
        for s in ("end", "full")
    )
    z, t = pairs(ids, dim=1)
    z, t = np.array(z)[..., 0], np.array(t)
    step = z[:, 1] - z[:, 0]
    np.testing.assert_allclose(end, (2 * z[:, 0] * step) ** 2, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(full, (2 * (z[:, 0] + t * step) * step) ** 2, rtol=1e-3, atol=1e-4)


def test_z_paths_go_through_the_mapping():
    ids, seen = np.arange(4), []
    values = metrics.path_distances(
        lambda w: seen.append(w.shape) or generate(w), squared, ids, latent_dim=5, mapping=mapping, space="z"
    )
    assert seen == [(8, 6)] and (values > 0).all()


def test_shards_and_batches_do_not_matter():
    settings = dict(latent_dim=5, mapping=mapping, space="z", seed=3)
    whole = metrics.path_distances(generate, squared, np.arange(20), **settings)
    shards = []
    for ids in (np.arange(7, 20), np.arange(7)):
        part = metrics.path_distances(generate, squared, ids, batch_size=3, **settings)
        np.testing.assert_allclose(part, whole[ids], rtol=1e-6)
        shards.append(metrics.PathLength().update(part, ids))
    expected = metrics.perceptual_path_length(generate, squared, pairs=20, **settings)
    assert shards[0].merge(shards[1]).result() == pytest.approx(expected, rel=1e-6)
    other = metrics.path_distances(generate, squared, np.arange(20), **{**settings, "seed": 4})
    assert not np.isclose(other, whole).any()


def test_layers_of_w_are_interpolated_as_one():
    """A mapping to [B, layers, D], as of a style-based generator."""
    values = metrics.path_distances(
        lambda w: generate(w.sum(axis=1)), squared, np.arange(5), latent_dim=5, space="w",
        mapping=lambda z: np.stack([mapping(z), mapping(z)], axis=1),
    )  # fmt: skip
    once = metrics.path_distances(generate, squared, np.arange(5), latent_dim=5, mapping=mapping, space="w")
    np.testing.assert_allclose(values, 4 * once, rtol=1e-6)


def test_slerp_golden():
    np.testing.assert_allclose(
        sampling.slerp([1, 0, 0], [1, 1, 0], 0.25, normalize=True), [0.980785, 0.195090, 0], atol=1e-6
    )


def test_trimming_as_released():
    values = np.random.default_rng(0).permutation(1000.0 * np.arange(1001))
    assert metrics.trimmed_mean(values).mean == 500_000
    # element 10 of 0 ... 1000 is the first that stays, element 990 the last
    assert metrics.trimmed_mean(np.where(values < 10_000, -1e12, values)).mean == 500_000
    assert metrics.trimmed_mean(np.where(values > 990_000, 1e12, values)).mean == 500_000
    assert metrics.trimmed_mean(np.where(values >= 990_000, 1e12, values)).mean > 1e9
    # between two elements the lower tail rounds down and the upper up, so that more stays
    assert metrics.trimmed_mean(np.arange(10.0)).mean == 4.5
    for bad, message in (([], "non-empty"), ([[1.0]], "vector"), ([1, np.nan], "finite")):
        with pytest.raises(ValueError, match=message):
            metrics.trimmed_mean(bad)
    with pytest.raises(ValueError, match="trim must be in .*received 50"):
        metrics.trimmed_mean([1.0], trim=50)


def test_crop_and_shrink():
    seen = []

    def watch(a, b):
        seen.append(a)
        return np.zeros(len(a))

    picture = np.arange(16 * 16, dtype=float).reshape(1, 16, 16, 1)
    metrics.path_distances(lambda z: np.repeat(picture, len(z), 0), watch, [0], latent_dim=2, crop=True)
    np.testing.assert_array_equal(seen[-1], picture[:, 6:14, 4:12])
    metrics.path_distances(lambda z: np.repeat(picture, len(z), 0), watch, [0], latent_dim=2, largest=8)
    assert seen[-1].shape == (1, 8, 8, 1) and seen[-1][0, 0, 0, 0] == np.mean([0, 1, 16, 17])


def test_rejects():
    def call(generate=generate, distance=squared, **settings):
        return metrics.path_distances(generate, distance, [0, 1], **{"latent_dim": 6, **settings})

    for settings, message in (
        ({"space": "x"}, "space must be 'z' or 'w'.*received 'x'"),
        ({"sampling": "half"}, "received 'z' and 'half'"),
        ({"space": "w"}, "space 'w' needs mapping"),
        ({"epsilon": 0.0}, "epsilon above 0"),
        ({"generate": lambda z: z}, r"images \[4, H, W, C\]; received shape \(4, 6\)"),
        ({"distance": lambda a, b: np.zeros(3)}, r"2 finite numbers; received shape \(3,\)"),
        ({"distance": lambda a, b: np.full(2, np.nan)}, "2 finite numbers"),
        ({"crop": True}, "at least 8x8"),
        ({"seed": -1}, ">= 0"),
    ):
        with pytest.raises(ValueError, match=message):
            call(**settings)
    with pytest.raises(ValueError, match="pairs must be at least 1; received 0"):
        metrics.perceptual_path_length(generate, squared, pairs=0, latent_dim=6)
