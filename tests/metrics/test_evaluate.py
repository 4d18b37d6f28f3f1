import numpy as np
import pytest

from tfgen import metrics
from tfgen.metrics import ProtocolMismatch, Result

N = 397


@pytest.fixture(scope="module")
def evaluator(sources, classifier):
    return metrics.Evaluator(*sources, classifier, seed=0)


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).uniform(size=(N, 8, 8, 1)).astype(np.float32)


def test_the_real_anchor_is_good_and_noise_is_bad(evaluator, noise):
    real = evaluator.real_anchor(N)
    bad = evaluator(noise, weights="raw")
    assert real["classifier_score"] > 8.5 and real["num_classes"] == 10
    assert real["frechet_classifier_distance"] < 0.1 * bad["frechet_classifier_distance"]
    assert abs(real["kernel_distance_mean"]) < 0.1 * bad["kernel_distance_mean"]
    assert min(real[name] for name in ("precision", "recall", "density")) > 0.85 and real["coverage"] > 0.6
    assert max(bad[name] for name in ("recall", "coverage")) < 0.3
    assert real["nn_pixel_ratio"] == real["nn_feature_ratio"] == 1  # all of the test split on both sides
    assert bad["nn_pixel_ratio"] > 2
    assert sum(bad["class_shares"]) == pytest.approx(1)


def test_memorised_images_are_detected(evaluator, sources):
    copied = evaluator(sources[0].images(N), weights="ema")
    assert copied["nn_pixel_fake_train"] == 0 and copied["nn_pixel_ratio"] == 0
    assert copied["nn_feature_ratio"] < 1e-3


def test_protocol_records_the_settings(evaluator, sources, classifier, noise):
    train, test = sources
    protocol = evaluator(noise, weights="ema", extra={"truncation": 0.5}).protocol
    assert (protocol.split, protocol.n_real, protocol.n_fake) == ("train", 1400, N)
    assert protocol.data_fingerprint == protocol.train_fingerprint == train.fingerprint
    assert protocol.test_fingerprint == test.fingerprint
    assert (protocol.features, protocol.features_hash) == ("classifier-cnn-32", classifier.weights_hash)
    assert (protocol.weights, protocol.batch_norm, protocol.extra) == (
        "ema",
        "moving",
        (("truncation", 0.5),),
    )
    assert (protocol.k, protocol.kid_subset_size, protocol.n_nearest, protocol.n_nearest_train) == (
        5, 198, N, 1400
    )  # fmt: skip


def test_results_repeat_and_survive_json(evaluator, sources, classifier, noise):
    first = evaluator(noise, weights="raw")
    again = metrics.evaluate_samples(noise, test=sources[1], train=sources[0], classifier=classifier, weights="raw", seed=0)
    assert Result.from_json(first.to_json()) == first == again


def test_comparing_with_an_anchor_needs_intent_and_equal_numbers(evaluator, noise):
    bad, real = evaluator(noise, weights="ema"), evaluator.real_anchor(N)
    name = "frechet_classifier_distance"
    with pytest.raises(ProtocolMismatch, match="weights 'ema' != 'real'"):
        bad.ratio(real, name)
    assert bad.ratio(real, name, ignore=("weights", "batch_norm")) > 10
    fewer = evaluator.real_anchor(100)
    assert fewer.protocol.n_fake == 100
    with pytest.raises(ProtocolMismatch, match="n_fake 397 != 100"):
        bad.ratio(fewer, name, ignore=("weights", "batch_norm"))
    assert evaluator.real_anchor(10**6).protocol.n_fake == N


def test_anchors(sources, classifier, noise):
    settings = dict(seed=0, n_real=500, n_nearest=50, n_nearest_train=300, kid_subsets=5, max_shift=1)
    found = metrics.anchors(*sources, classifier, n_fake=N, untrained=noise, **settings)
    assert set(found) == {"real", "untrained"}
    protocol = found["real"].protocol
    assert (protocol.n_real, protocol.n_nearest, protocol.n_nearest_train, protocol.max_shift) == (
        500,
        50,
        300,
        1,
    )
    assert set(metrics.anchors(*sources, classifier, **settings)) == {"real"}
    name = "frechet_classifier_distance"
    assert found["untrained"].ratio(found["real"], name, ignore=("weights", "batch_norm")) > 5


def test_reference_may_be_the_test_split(sources, classifier):
    evaluator = metrics.Evaluator(*sources, classifier, reference="test")
    real = evaluator.real_anchor(N)
    assert (real.protocol.split, real.protocol.n_real, real.protocol.n_fake) == ("test", N, N)
    assert real.protocol.data_fingerprint == sources[1].fingerprint
    assert real["nn_pixel_ratio"] == 0  # training images are their own nearest neighbours


def test_rejects(evaluator, sources, classifier, noise):
    for images, message in (
        (noise[:20], "more examples than features.*20 examples of 32"),
        (noise[:, :7], r"fake_images must be of shape \[N, 8, 8, 1\]"),
        (255 * noise, "fake_images must lie in"),
        (np.full_like(noise, np.nan), "fake_images must be finite; 397 of 397 images"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluator(images, weights="ema")
    with pytest.raises(ValueError, match="weights must be one of.*received 'best'"):
        evaluator(noise, weights="best")
    with pytest.raises(ValueError, match="received 'validation'"):
        metrics.Evaluator(*sources, classifier, reference="validation")
    with pytest.raises(ValueError, match="at least 1; received"):
        metrics.Evaluator(*sources, classifier, n_real=0)
