"""One walk over images, cut and merged in any way, and the evaluator on top of it."""

import functools
import pickle

import numpy as np
import pytest

from tfgen import data, metrics, models
from tfgen.export import export_saved_model
from tfgen.metrics.evaluate import OF_LATENTS
from tfgen.metrics.statistics import BATCH

SHAPE, FEATURES = (12, 12, 1), 6
EVERYTHING = tuple(name for name in metrics.METRICS if name not in OF_LATENTS)


class Extractor:
    """Random float64 features: rows do not depend on their batch."""

    image_shape, description, weights_hash, kind, num_logits = SHAPE, "random-6", "0123", "classifier", 3
    calls = 0

    def outputs(self, images):
        type(self).calls += len(images)
        rng = np.random.default_rng(0)
        flat = np.reshape(np.asarray(images, np.float64), (len(images), -1))
        project = lambda size: np.stack([flat @ column for column in rng.normal(size=(size, flat.shape[1]))], axis=1)  # noqa: E731
        return project(FEATURES), 3 * project(3)


class OnePerOne(metrics.InProcess):
    """Shards of one batch each, of `batch` images, merged in a random order."""

    def __init__(self, batch, seed):
        self.batch, self.rng = batch, np.random.default_rng(seed)

    def walked(self, make, walk, what):
        walk = metrics.Walk(walk.images, walk.count, walk.extractor, self.batch)
        parts = []
        for shard in walk.shards(10**6):
            part = pickle.loads(pickle.dumps(make()))
            for element in walk(shard):
                part.update(**element)
            parts.append(part)
        order = self.rng.permutation(len(parts))
        return functools.reduce(lambda a, b: a.merge(b), [parts[i] for i in order], make()).result()


def images(count, seed, offset=0.0):
    return np.clip(np.random.default_rng(seed).random((count, *SHAPE)) + offset, 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def sources():
    return tuple(data.from_arrays(images(n, seed), np.arange(n) % 3) for n, seed in ((600, 1), (300, 2)))


def test_any_batches_shards_and_order_give_the_same_numbers(sources):
    fake = images(520, 3, 0.1)
    settings = dict(metrics=EVERYTHING, n_nearest=40, n_real=350, score_splits=3, seed=5)

    def numbers(run):
        result = metrics.Evaluator(*sources, Extractor(), run=run, **settings)(fake, weights="raw")
        assert result.protocol.n_real == 350
        values = dict(result.values)
        return {**values, **dict(enumerate(values.pop("class_shares")))}, result.protocol

    expected, protocol = numbers(None)
    assert {"frechet_classifier_distance_infinity", "ms_ssim_mean", "nn_pixel_ratio"} <= expected.keys()
    for batch, seed in ((7, 0), (64, 1), (1000, 2)):
        found, same = numbers(OnePerOne(batch, seed))
        found.pop("class_shares"), expected.pop("class_shares", None)
        assert same == protocol and found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_values_are_those_of_the_functions(sources):
    fake, extractor = images(520, 3, 0.1), Extractor()
    result = metrics.Evaluator(*sources, extractor, metrics=EVERYTHING)(fake, weights="raw")
    (real, _), (features, logits) = extractor.outputs(sources[0].images()), extractor.outputs(fake)
    assert result["frechet_classifier_distance"] == pytest.approx(metrics.frechet_distance(real, features), rel=1e-9)
    assert result["classifier_score"] == pytest.approx(metrics.classifier_score(logits).mean, rel=1e-12)
    assert {name: result[name] for name in ("precision", "recall", "density", "coverage")} == metrics.prdc(real, features)
    kid = metrics.kernel_distance(real, features, subsets=50, subset_size=260)
    assert (result["kernel_distance_mean"], result["kernel_distance_std"]) == pytest.approx(kid)
    assert result["ms_ssim_mean"] == metrics.ms_ssim_diversity(fake, pairs=100, scales=1).mean
    pixels = metrics.nearest_images(fake, sources[0].images())[1]
    assert result["nn_pixel_fake_train"] == pytest.approx(np.median(pixels), rel=1e-12)


def test_golden(sources):
    """Numbers that a change of draws, orders or definitions would move."""
    values = metrics.Evaluator(*sources, Extractor(), metrics=EVERYTHING)(images(520, 3, 0.1), weights="raw").values
    golden = {
        "classifier_score": 1.1101156865860815,
        "frechet_classifier_distance": 5.514206197097849,
        "frechet_classifier_distance_infinity": 5.4031132438271126,
        "kernel_distance_mean": 11332.4703672973,
        "precision": 0.9557692307692308,
        "recall": 0.9383333333333334,
        "density": 0.9984615384615385,
        "coverage": 0.9,
        "nn_pixel_ratio": 1.0160267645090173,
        "nn_feature_ratio": 0.9986142144624356,
        "ms_ssim_mean": 0.08295463524145229,
    }
    assert {name: values[name] for name in golden} == pytest.approx(golden, rel=1e-7)


def test_several_sets_give_the_same_numbers_in_two_calls(sources):
    settings, calls = dict(metrics=EVERYTHING, n_nearest=40, n_real=350, seed=5), []

    class Counted(metrics.InProcess):
        def __call__(self, jobs):
            calls.append([what for *_, what in jobs])
            return super().__call__(jobs)

    def of(shift):
        fake = images(520, 3, shift)
        if shift > 1:
            fake[7, 0, 0, 0] = np.nan
        return {"images": lambda first, last: fake[first:last], "count": 520, "weights": "raw"}

    evaluator = metrics.Evaluator(*sources, Extractor(), run=Counted(), **settings)
    real, near, bad, far = evaluator.evaluate_all([evaluator.real_request(), of(0.1), of(2.0), of(0.4)])
    assert [sorted(set(call)) for call in calls] == [
        ["fake_images", "real images", "test images", "train images"], ["nearest training images"]
    ]  # fmt: skip
    assert len(calls[0]) == 7 and len(calls[1]) == 4
    assert isinstance(bad, metrics.NotFinite) and "1 of 520" not in str(real)
    alone = metrics.Evaluator(*sources, Extractor(), **settings)
    one_by_one = alone.evaluate(**of(0.4)), alone.evaluate(**of(0.1)), alone.real_anchor()
    for found, expected in zip((far, near, real), one_by_one, strict=True):
        assert found.values == expected.values and found.protocol == expected.protocol
    with pytest.raises(metrics.NotFinite, match="fake_images must be finite"):
        alone.evaluate(**of(2.0))


def test_features_of_a_stated_number_of_images_are_kept(sources):
    fake, extractor = images(520, 3, 0.1), Extractor()
    every = metrics.Evaluator(*sources, extractor)(fake, weights="raw")
    found = metrics.Evaluator(*sources, extractor, n_features=200)(fake, weights="raw")
    assert dict(found.protocol.extra) == {"n_features": 200} and dict(every.protocol.extra) == {}
    for name in ("classifier_score", "frechet_classifier_distance", "nn_pixel_ratio"):
        assert found[name] == every[name], name
    kept = metrics.statistics.draw(np.random.default_rng([0, 9]), 520, 200)
    (real, _), (features, _) = extractor.outputs(sources[0].images()), extractor.outputs(fake)
    expected = metrics.prdc(real, features[kept])
    assert {name: found[name] for name in expected} == expected
    with pytest.raises(metrics.ProtocolMismatch, match="extra"):
        found.ratio(every, "recall")
    limit = metrics.Evaluator(*sources, extractor, metrics=["fid_infinity"], n_features=200)(fake, weights="raw")
    expected = metrics.frechet_distance_infinity(metrics.Moments().update(real), features[kept], smallest=20, seed=0)
    assert limit["frechet_classifier_distance_infinity"] == pytest.approx(expected.value, rel=1e-9)
    with pytest.raises(ValueError, match="n_features must be larger than k=5"):
        metrics.Evaluator(*sources, extractor, n_features=5)


def test_the_reference_is_in_the_cache_before_images_are_made(sources, tmp_path):
    def fails(first, last):
        raise KeyboardInterrupt

    evaluator = metrics.Evaluator(*sources, Extractor(), cache=metrics.Cache(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        evaluator.evaluate(fails, 300, weights="raw")
    assert len(list(tmp_path.iterdir())) == 1
    again, fake = metrics.Evaluator(*sources, Extractor(), cache=metrics.Cache(tmp_path)), images(300, 4)
    before = Extractor.calls
    result = again(fake, weights="raw")
    assert Extractor.calls - before == 300 + 300  # samples and test images, but not the reference
    assert result.values == metrics.Evaluator(*sources, Extractor())(fake, weights="raw").values


def test_only_what_is_asked_for_is_computed(sources):
    for name, keys in (("fid", {"frechet_classifier_distance"}), ("ms_ssim", {"ms_ssim_mean", "ms_ssim_std"})):
        evaluator = metrics.Evaluator(sources[0], None, None if name == "ms_ssim" else Extractor(), metrics=[name])
        assert set(evaluator(images(300, 4), weights="raw").values) == keys
    before = Extractor.calls
    metrics.Evaluator(sources[0], None, Extractor(), metrics=["score"])
    assert Extractor.calls == before  # the score has no real side


def test_kind_of_the_features_is_in_the_name(sources):
    extractor = Extractor()
    extractor.kind = "keras_inception"
    result = metrics.Evaluator(sources[0], None, extractor, metrics=["fid"])(images(300, 4), weights="raw")
    assert set(result.values) == {"frechet_keras_inception_distance"}


def test_shards_begin_where_batches_begin():
    for count in (1, BATCH, BATCH + 1, 10 * BATCH - 3):
        walk = metrics.Walk(lambda a, b: np.zeros((b - a, 2, 2, 1), np.float32), count)
        for number in (1, 2, 3, 7, 100):
            shards = walk.shards(number)
            assert shards[0][0] == 0 and shards[-1][1] == count and len(shards) <= number
            assert all(a[1] == b[0] and b[0] % BATCH == 0 for a, b in zip(shards, shards[1:], strict=False))
            batches = [tuple(element["ids"][[0, -1]]) for shard in shards for element in walk(shard)]
            assert batches == [tuple(element["ids"][[0, -1]]) for element in walk((0, count))]


def test_bad_images_are_counted_wherever_they_are(sources):
    fake = images(520, 3)
    fake[[3, 300, 519], 0, 0, 0] = np.nan, np.inf, -np.inf
    take = lambda a, b: fake[a:b]  # noqa: E731
    for run in (None, OnePerOne(50, 0)):
        evaluator = metrics.Evaluator(*sources, Extractor(), run=run)
        with pytest.raises(metrics.NotFinite, match="3 of 520 images hold NaN or infinity"):
            evaluator.evaluate(take, 520, weights="raw")


def test_shards_that_are_missing_or_come_twice_are_errors():
    walk = metrics.Walk(lambda a, b: images(b - a, 0), 100, Extractor())
    make = functools.partial(metrics.Statistics, ("rows",), 100)
    (element,) = walk((0, 100))
    with pytest.raises(ValueError, match="the statistics need total=100 images; received 0"):
        make().result()
    with pytest.raises(ValueError, match="the statistics need total=100 images; received 200"):
        make().update(**element).merge(make().update(**element)).result()
    with pytest.raises(ValueError, match="only accumulators of the same class and with equal arguments"):
        make().merge(metrics.Statistics(("rows",), 99))
    with pytest.raises(ValueError, match="unknown statistics means"):
        metrics.Statistics(("means",), 3)


def test_real_statistics_are_cached_under_what_they_depend_on(sources, tmp_path):
    said, fake = [], images(300, 4)
    cache = metrics.Cache(tmp_path, said.append)

    def evaluate(train=sources[0], **settings):
        before = Extractor.calls
        result = metrics.Evaluator(train, None, Extractor(), cache=cache, **{"metrics": ["fid", "kid"], **settings})
        return result(fake, weights="raw"), Extractor.calls - before - 300

    first, calls = evaluate()
    assert calls == 600
    again, calls = evaluate()
    assert calls == 0 and again == first
    for change in ({"n_real": 500}, {"metrics": ["fid"]}, {"resize": "pad to 12x12"}, {"seed": 1}, {"train": sources[1]}):
        assert evaluate(**change)[1] > 0, change
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-7])
    again, calls = evaluate()
    assert calls == 600 and again == first and "damaged" in said[0]


def test_more_images_than_features_or_force(sources):
    evaluator = metrics.Evaluator(sources[0], None, Extractor(), metrics=["fid"])
    with pytest.raises(ValueError, match="more examples than features.*force=True"):
        evaluator(images(FEATURES, 4), weights="raw")
    forced = metrics.Evaluator(sources[0], None, Extractor(), metrics=["fid"], force=True)(
        images(FEATURES, 4), weights="raw"
    )
    assert dict(forced.protocol.extra) == {"force": True}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(metrics=["fdi"]), "unknown metric.*fdi; the metrics are score, fid"),
        (dict(metrics=[]), "at least one of score"),
        (dict(test=None), "test set is needed by the metric 'nearest'"),
        (dict(test=None, metrics=["fid"], reference="test"), "test set is the reference"),
        (dict(classifier=None, metrics=["fid", "ms_ssim"]), "metrics fid need a feature extractor"),
    ],
)
def test_rejects(sources, arguments, message):
    given = {"train": sources[0], "test": sources[1], "classifier": Extractor(), **arguments}
    with pytest.raises(ValueError, match=message):
        metrics.Evaluator(given.pop("train"), given.pop("test"), given.pop("classifier"), **given)


def test_small_images_have_no_ms_ssim():
    small = data.from_arrays(np.random.default_rng(0).random((30, 8, 8, 1)))
    with pytest.raises(ValueError, match="at least 11 pixels"):
        metrics.Evaluator(small, None, None, metrics=["ms_ssim"])(small.images(), weights="raw")


def test_progress_is_told(sources):
    said = []
    run = metrics.InProcess(said.append, every=0.0)
    make = functools.partial(metrics.Statistics, ("rows",), 600)
    run([(make, metrics.Walk(lambda a, b: images(b - a, 0), 600, Extractor()), "x")])
    assert said[0] == "x: 256 of 600" and said[1].startswith("x: 512 of 600, about ") and len(said) == 3


class Linear:
    """A generator of a known linear map: images of latents in [-1, 1] whose features are linear in the latent."""

    conditions, has_latents = (), True

    def __init__(self, width=0.02):
        self.map = width * np.random.default_rng(7).normal(size=(5, int(np.prod(SHAPE))))

    def latents(self, seed, first, last):
        rows = [np.random.default_rng([seed, i]).uniform(-1, 1, 5) for i in range(first, last)]
        return np.array(rows, np.float64)

    def decode(self, latents):
        return (0.5 + latents @ self.map).reshape(-1, *SHAPE)

    def images(self, seed, first, last):
        return self.decode(self.latents(seed, first, last)).astype(np.float32)


def test_path_length_of_a_linear_generator_is_the_squared_distance_of_its_ends(sources):
    generator, pairs = Linear(), 40
    evaluator = metrics.Evaluator(*sources, Extractor(), metrics=["path_length"])
    found = evaluator.evaluate(metrics.Samples(generator, 3), pairs, weights="raw")
    features = Extractor().outputs(generator.decode(generator.latents(3, 0, 2 * pairs)))[0]
    squared = ((features[:pairs] - features[pairs:]) ** 2).sum(axis=1)
    low, high = np.sort(squared)[[0, -1]]  # one percent of 40 is none
    assert low < found["path_length"] < high and found["path_length"] == pytest.approx(squared.mean(), rel=1e-6)
    assert dict(found.protocol.extra)["path_pairs"] == pairs
    assert "path_length" not in evaluator.real_anchor(pairs).values


def test_separability_of_classes_that_planes_of_the_latents_decide(sources):
    class Centred(Extractor):
        def outputs(self, images):  # all classes occur
            return super().outputs(np.asarray(images) - 0.5)

    evaluator = metrics.Evaluator(*sources, Centred(), metrics=["separability"])
    linear = evaluator.evaluate(metrics.Samples(Linear(0.1), 0), 400, weights="raw")["linear_separability"]

    class Turned(Linear):
        """The classes depend on whether the product of latents is positive."""

        def decode(self, latents):
            return super().decode(latents * np.sign(latents[:, :1] * latents[:, 1:2]))

    turned = evaluator.evaluate(metrics.Samples(Turned(0.1), 0), 400, weights="raw")["linear_separability"]
    assert linear == pytest.approx(1.0, abs=0.1) and turned > 2.0


class Styled(Linear):
    """Its w are the tenfold of latents that are first multiplied by a sign, so the two spaces differ in both metrics."""

    has_styles = True

    def styles(self, seed, first, last):
        latents = self.latents(seed, first, last)
        return 10.0 * latents * np.sign(latents[:, :1] * latents[:, 1:2])

    def synthesize(self, styles):
        return Linear.decode(self, styles / 10.0)

    def decode(self, latents):
        return Linear.decode(self, latents * np.sign(latents[:, :1] * latents[:, 1:2]))


def test_path_length_in_the_space_of_styles(sources):
    generator, pairs = Styled(), 40
    found = metrics.Evaluator(*sources, Extractor(), metrics=["path_length"], space="w").evaluate(
        metrics.Samples(generator, 3), pairs, weights="raw"
    )
    features = Extractor().outputs(generator.synthesize(generator.styles(3, 0, 2 * pairs)))[0]
    squared = ((features[:pairs] - features[pairs:]) ** 2).sum(axis=1)
    low, high = np.sort(squared)[[0, -1]]
    assert low < found["path_length"] < high and found["path_length"] == pytest.approx(squared.mean(), rel=1e-6)
    assert dict(found.protocol.extra)["space"] == "w"
    in_z = metrics.Evaluator(*sources, Extractor(), metrics=["path_length"]).evaluate(
        metrics.Samples(generator, 3), pairs, weights="raw"
    )
    assert in_z["path_length"] != found["path_length"] and "space" not in dict(in_z.protocol.extra)


def test_separability_in_the_space_of_styles(sources):
    class Centred(Extractor):
        def outputs(self, images):
            return super().outputs(np.asarray(images) - 0.5)

    samples, found = metrics.Samples(Styled(0.1), 0), {}
    for space in ("z", "w"):
        evaluator = metrics.Evaluator(*sources, Centred(), metrics=["separability"], space=space)
        found[space] = evaluator.evaluate(samples, 400, weights="raw")["linear_separability"]
    assert found["w"] == pytest.approx(1.0, abs=0.1) and found["z"] > 2.0


def test_styles_of_a_model_and_of_its_export(tmp_path):
    model = models.StyleGAN(image_shape=(8, 8, 1), latent_dim=3, w_size=4, mapping_depth=1, max_filters=4, num_classes=3)
    model.mean_w.value.assign([1.0, 2.0, 3.0, 4.0])
    path = export_saved_model(model, tmp_path, warmup=False)
    for generator in (metrics.RunGenerator(model), metrics.SavedModelGenerator(path)):
        samples = metrics.Samples(generator, 5)
        assert samples.has_styles
        w = samples.styles(3, 6)
        expected = model.map(samples.latents(3, 6), labels=[0, 1, 2])[:, 0]
        np.testing.assert_allclose(w, expected, atol=1e-6)
        np.testing.assert_allclose(samples.synthesize(w), model.synthesize(expected), atol=1e-5)
    assert not metrics.Samples(metrics.RunGenerator(models.DCGAN(image_shape=(8, 8, 1), width=4, stages=1)), 0).has_styles


def test_wrong_spaces(sources):
    with pytest.raises(ValueError, match="space must be one of z, w; received 'v'"):
        metrics.Evaluator(*sources, Extractor(), metrics=["path_length"], space="v")
    evaluator = metrics.Evaluator(*sources, Extractor(), metrics=["path_length"], space="w")
    with pytest.raises(ValueError, match="path_length in the space 'w' needs a generator with styles"):
        evaluator.evaluate(metrics.Samples(Linear(), 0), 20, weights="raw")


def test_metrics_of_latents_refuse_images_without_and_conditions(sources):
    for name in sorted(OF_LATENTS):
        evaluator = metrics.Evaluator(*sources, Extractor(), metrics=[name])
        with pytest.raises(ValueError, match=f"{name} needs a generator whose images are a smooth function of latents"):
            evaluator(images(20, 0), weights="raw")
    conditional = Linear()
    conditional.conditions = ("label",)
    with pytest.raises(ValueError, match="separability needs a generator without conditions"):
        metrics.Evaluator(*sources, Extractor(), metrics=["separability"]).evaluate(
            metrics.Samples(conditional, 0), 20, weights="raw"
        )


def test_duplicates_are_more_frequent_among_copies_than_among_real_images(sources):
    evaluator = metrics.Evaluator(*sources, Extractor(), metrics=["birthday"])
    real = evaluator.real_anchor()["birthday_duplicate_rate"]
    copies = evaluator(images(10, 3)[np.arange(300) % 10], weights="raw")["birthday_duplicate_rate"]
    assert copies == 1.0 and 0.15 <= real <= 0.85


def test_sliced_wasserstein_needs_no_classifier_and_equals_the_function(sources):
    fake = images(50, 3)[:, ::4, ::4].repeat(4, axis=1).repeat(4, axis=2)  # larger pixels
    evaluator = metrics.Evaluator(*sources, None, metrics=["swd"], seed=2)
    far, near = evaluator(fake, weights="raw"), evaluator.real_anchor(50)
    assert far["swd"] > 2 * near["swd"]
    chosen = np.sort(np.random.default_rng([2, 7]).choice(600, 50, replace=False))
    expected = metrics.sliced_wasserstein(sources[0].images()[chosen], fake, smallest=12, seed=2)
    assert far.values == expected
    small = data.from_arrays(np.zeros((20, 6, 9, 1), np.uint8))
    with pytest.raises(ValueError, match=r"swd needs images of at least 7 pixels; received \(6, 9, 1\)"):
        metrics.Evaluator(small, None, None, metrics=["swd"])(small.images(), weights="raw")
