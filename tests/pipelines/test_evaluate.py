"""The evaluator on hand-made SavedModels: no training, no TFX."""

import functools
import json
import math
import pathlib
import shutil

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf

from tfgen import data, fields, metrics, progress
from tfgen.metrics import measures
from tfgen.models.capabilities import Sampler
from tfgen_pipelines.components.generative_evaluator import evaluate, verdict
from tfgen_pipelines.components.generative_evaluator.through_beam import Remote, ThroughBeam

SHAPE = (4, 4, 1)


class Classifier:
    """Random features: all that the metrics need."""

    image_shape, description, weights_hash, accuracy, feature_width = SHAPE, "random-6", "0123", 0.9, 6

    def outputs(self, images):
        rng = np.random.default_rng(0)
        flat = np.reshape(np.asarray(images, np.float64), (len(images), -1))
        return flat @ rng.normal(size=(16, 6)), flat @ rng.normal(size=(16, 3)) * 5.0


class Model(tf.Module):
    """Images `scale` * uniform noise of the seed; the "likelihood" is -`nats`."""

    def __init__(self, scale, nats):
        super().__init__()
        self.scale, self.nats = tf.Variable(scale, trainable=False), tf.Variable(nats, trainable=False)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="seeds")])
    def sample(self, seeds):
        draw = lambda s: tf.random.stateless_uniform(SHAPE, tf.stack([s, tf.constant(0, tf.int64)]))  # noqa: E731
        return {"image": self.scale * tf.map_fn(draw, seeds, fn_output_signature=tf.float32)}

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.float32, name="image")])
    def log_prob(self, image):
        binary = tf.reduce_all((image == 0.0) | (image == 1.0), axis=[1, 2, 3])
        return {"log_prob": tf.where(binary, -self.nats, tf.float32.min)}

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.float32, name="image")])
    def reconstruct(self, image):
        return {"image": 0.5 * image}

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.float32, name="image")])
    def encode(self, image):
        return {"latent": tf.reshape(image, [-1, 16])}


class Constant(tf.Module):
    """Grey images whatever the seed."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="seeds")])
    def sample(self, seeds):
        return {"image": tf.fill([tf.size(seeds), *SHAPE], 0.5)}

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.float32, name="image")])
    def log_prob(self, image):
        return {"log_prob": tf.fill([tf.shape(image)[0]], -13.0)}

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.float32, name="image")])
    def encode(self, image):
        return {"latent": image}

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.float32, name="image")])
    def reconstruct(self, image):
        return {"image": 1.0 - image}

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.float32, name="image")])
    def classify(self, image):
        return {"probability": tf.tile([[0.2, 0.2, 0.6]], [tf.shape(image)[0], 1])}


class Oracle(tf.Module):
    """Classifies `share` of the images of `sources` correctly: their first pixel holds the class."""

    def __init__(self, share):
        super().__init__()
        self.share = tf.Variable(share, trainable=False)

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.float32, name="image")])
    def classify(self, image):
        said = tf.cast(tf.round(image[:, 0, 0, 0] * 2.0), tf.int32)
        index = tf.cast(tf.range(tf.size(said)), tf.float32) + 0.5
        said = tf.where(index < self.share * tf.cast(tf.size(said), tf.float32), said, (said + 1) % 3)
        return {"probability": tf.one_hot(said, 3, 0.8, 0.1)}


def write(module, path, signatures, metadata):
    path = pathlib.Path(path)
    tf.saved_model.save(module, str(path), signatures={name: getattr(module, name) for name in signatures})
    (path / "assets.extra").mkdir()
    (path / "assets.extra" / "tfgen.json").write_text(json.dumps(metadata))


@pytest.fixture(scope="module")
def sources():
    images = np.random.default_rng(1).random((120, *SHAPE)).astype(np.float32)
    labels = np.arange(120) % 3
    return data.from_arrays(images[:80], labels[:80]), data.from_arrays(images[80:], labels[80:])


@pytest.fixture
def run(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(verdict, "MIN_IMAGES", 20)
    monkeypatch.setattr(metrics.Classifier, "load", lambda path: Classifier())
    monkeypatch.setattr(evaluate, "export_untrained", lambda meta, path, seed, wanted: write(Constant(), path, wanted, meta))

    def export(name, scale=1.0, nats=10.0, likelihood=True, signatures=(), **metadata):
        path = tmp_path / name
        if not path.exists():
            meta = {"model": "Test", "preset": "test/test", "image_shape": list(SHAPE), "weights": "raw",
                    "binarization": "threshold", "importance_samples": 5, **metadata}  # fmt: skip
            more = ["log_prob", "encode", "reconstruct"] if likelihood else []
            write(Model(scale, nats), path, signatures or ["sample", *more], meta)
        return path

    def run(model, thresholds=None, **kwargs):
        arguments = {"train": sources[0], "test": sources[1], "data_name": "noise", "classifier_dir": "x",
                     "output_dir": str(tmp_path / "out"), **kwargs}  # fmt: skip
        content = evaluate.evaluate(model, **arguments)
        assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == content
        found = verdict.judge_evaluation(content, thresholds)
        return {**content, "thresholds": found["thresholds"], "verdict": found}

    run.export = export
    run.output = tmp_path / "out"
    return run


def failed(result):
    return [(check["metric"], check["rule"]) for check in result["verdict"]["checks"] if check["passed"] is False]


def test_numbers_files_and_protocols(run, sources):
    result = run(run.export("a"), thresholds={"negative_log_likelihood": {"upper": 10.5}}, seed=3)
    assert result["verdict"]["blessed"]
    metric = result["metrics"]
    # Uniform noise is what the data are, the untrained generator's constant images are not.
    distance = metric["frechet_classifier_distance"]
    assert distance["value"] < 0.2 * distance["untrained"] and distance["real"] < 0.2 * distance["untrained"]
    assert metric["negative_log_likelihood"]["value"] == pytest.approx(10.0)
    assert metric["bits_per_dim"]["value"] == pytest.approx(10.0 / 16 / math.log(2.0))
    protocols = result["protocols"]
    assert protocols["samples"]["n_fake"] == 40 and protocols["samples"]["seed"] == 3
    assert protocols["samples"]["weights"] == "raw" and protocols["samples"]["features_hash"] == "0123"
    assert protocols["samples"]["extra"] == {"binarization": "threshold"}
    assert protocols["likelihood"]["importance_samples"] == 5 and protocols["likelihood"]["n_real"] == 40
    assert protocols["likelihood"]["data_fingerprint"] == sources[1].fingerprint
    assert {metric[name]["protocol"] for name in metric} == {"samples", "likelihood", "encoder"}
    assert result["capabilities"] == ["sampler", "encoder", "likelihood"]
    # Halved black and white images, and inverted ones.
    white = (sources[1].images() >= 0.5).mean()
    error = metric["reconstruction_error"]
    assert (error["value"], error["untrained"]) == pytest.approx((0.25 * white, 1.0)) and error["real"] is None
    for name in ("samples.png", "real.png", "neighbours.png", "reconstructions.png"):
        assert (run.output / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_deterministic_in_the_seed(run):
    model = run.export("a")
    assert run(model, seed=1) == run(model, seed=1)
    assert run(model, seed=1)["metrics"] != run(model, seed=2)["metrics"]


def test_the_sample_seeds_are_those_of_the_library(run):
    generator = evaluate.exported(run.export("a"))
    seeds = tf.constant([(7 << 32) + 2], tf.int64)
    expected = generator.signatures["sample"](seeds=seeds)["image"]
    np.testing.assert_array_equal(evaluate.samples(generator, 4, 7)[2:3], expected)


def test_nan_samples_are_not_blessed_and_said_so(run):
    result = run(run.export("nan", scale=math.nan))
    assert not result["verdict"]["blessed"]
    reasons = [check["reason"] for check in result["verdict"]["checks"]]
    assert "frechet_classifier_distance is nan" in reasons
    assert result["metrics"]["frechet_classifier_distance"]["value"] is None
    assert "NaN or infinity" in result["notes"][0]
    assert (run.output / "samples.png").exists() and not (run.output / "neighbours.png").exists()


def test_nan_likelihood_is_not_blessed(run):
    result = run(run.export("nan", nats=math.nan))
    assert failed(result) == [
        ("negative_log_likelihood", "finite"), ("bits_per_dim", "finite"), ("bits_per_dim", "relative_to_untrained"),
        ("bits_per_dim", "relative_to_trivial"),
    ]  # fmt: skip


def test_change_against_the_last_blessed_model(run):
    good, bad = run.export("good", nats=10.0), run.export("bad", nats=12.0)
    thresholds = {"negative_log_likelihood": {"max_worsening": 0.1}}
    worse = run(bad, baseline_dir=good, thresholds=thresholds)
    assert not worse["verdict"]["blessed"]
    assert worse["metrics"]["negative_log_likelihood"]["baseline"] == pytest.approx(10.0)
    assert "20.0% worse" in worse["verdict"]["checks"][0]["reason"]
    assert run(good, baseline_dir=bad, thresholds=thresholds)["verdict"]["blessed"]


def test_numbers_of_another_protocol_are_not_compared(run):
    model = run.export("new", importance_samples=5)
    baseline = run.export("old", nats=1.0, importance_samples=500)
    thresholds = {"negative_log_likelihood": {"max_worsening": 0.1}, "recall": {"max_worsening": 0.1}}
    result = run(model, baseline_dir=baseline, thresholds=thresholds)
    assert result["verdict"]["blessed"]
    assert "importance_samples" in result["verdict"]["checks"][0]["reason"]
    assert result["metrics"]["negative_log_likelihood"]["baseline"] is None
    assert result["metrics"]["recall"]["baseline"] is not None  # measured anew, under this protocol


def test_a_baseline_of_another_preset_is_no_baseline(run):
    result = run(run.export("new"), baseline_dir=run.export("old", preset="other/x"),
                 thresholds={"negative_log_likelihood": {"max_worsening": 0.0}})  # fmt: skip
    assert "another preset" in result["verdict"]["checks"][0]["reason"]


@pytest.mark.long
def test_fewer_real_images_than_samples_is_noted(run):
    result = run(run.export("a"), num_samples=60)
    assert result["protocols"]["samples"]["n_fake"] == 60
    assert result["notes"] == ["The anchor of real images is of 40 images, the generators' of 60."]


def test_without_a_classifier_only_what_needs_none(run):
    result = run(run.export("a"), classifier_dir=None)
    assert set(result["metrics"]) == {"negative_log_likelihood", "bits_per_dim", "reconstruction_error"}
    assert result["classifier"] is None and "no labels" in result["notes"][0]


def test_without_likelihood(run):
    result = run(run.export("a", likelihood=False))
    assert "negative_log_likelihood" not in result["metrics"]
    assert not (run.output / "reconstructions.png").exists()


def test_what_is_no_exported_generator(run, tmp_path, sources):
    with pytest.raises(FileNotFoundError, match="not written by tfgen.export"):
        run(tmp_path)
    path = run.export("a")
    other = data.from_arrays(np.zeros((40, 5, 5, 1), np.uint8))
    with pytest.raises(ValueError, match=r"is for images \(4, 4, 1\), the data set has \(5, 5, 1\)"):
        run(path, train=other, test=other, classifier_dir=None)


def test_untrained_samples_are_those_of_the_models_class_and_the_seed(tmp_path):
    meta = {"model": "VAE", "config": {"image_shape": [8, 8, 1], "latent_dim": 2, "hidden": [4]}}
    images = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        evaluate.export_untrained(meta, str(tmp_path / name), seed, {"sample", "encode"})
        generator = evaluate.exported(tmp_path / name)
        assert set(generator.signatures) == {"sample", "encode"}
        images[name] = evaluate.samples(generator, 3, 0)
    assert images["a"].shape == (3, 8, 8, 1) and images["a"].std() < 0.2
    np.testing.assert_array_equal(images["a"], images["b"])
    assert (images["a"] != images["c"]).any()
    with pytest.raises(ValueError, match="has no model 'Nothing'; it has .*DCGAN.*VAE"):
        evaluate.export_untrained({"model": "Nothing", "config": {}}, str(tmp_path / "d"), 0, {"sample"})


@pytest.fixture
def labelled():
    """Images whose first pixel is half their class."""
    images, labels = np.zeros((60, *SHAPE), np.float32), np.arange(60) % 3
    images[:, 0, 0, 0] = labels / 2.0
    return data.from_arrays(images, labels, levels=3)


def classifier(tmp_path, name, share, **metadata):
    path = tmp_path / name
    declared = [fields.image(SHAPE).config(), fields.label(3).config()]
    meta = {"model": "Test", "preset": "test/test", "image_shape": list(SHAPE), "weights": "raw", "fields": declared}
    meta |= metadata
    write(Oracle(share), path, ["classify"], meta)
    return path


def test_a_model_that_makes_no_images(run, tmp_path, labelled):
    result = run(classifier(tmp_path, "good", 0.9), train=labelled, test=labelled)
    metric = result["metrics"]
    assert result["verdict"]["blessed"] and result["capabilities"] == ["classifier"] and result["classifier"] is None
    assert metric["accuracy"] == {
        "value": pytest.approx(0.9), "real": None, "untrained": pytest.approx(1 / 3), "trivial": None, "baseline": None,
        "protocol": "classifier",
    }  # fmt: skip
    assert metric["error_over_chance"]["value"] == pytest.approx(0.1 / (2 / 3))
    assert result["protocols"].keys() == {"classifier"} and result["class_shares"] is None
    assert [p.name for p in run.output.iterdir()] == ["metrics.json"]
    # No better than always saying one class.
    bad = run(classifier(tmp_path, "bad", 1 / 3), train=labelled, test=labelled)
    assert not bad["verdict"]["blessed"] and "error_over_chance" in bad["verdict"]["checks"][0]["reason"]
    worse = run(classifier(tmp_path, "worse", 0.75), train=labelled, test=labelled, baseline_dir=tmp_path / "good")
    assert worse["metrics"]["accuracy"]["baseline"] == pytest.approx(0.9) and not worse["verdict"]["blessed"]
    assert "16.7% worse" in worse["verdict"]["checks"][1]["reason"]


def test_thresholds_of_what_was_not_measured_fail(run, tmp_path, labelled):
    path = classifier(tmp_path, "good", 1.0)
    result = run(path, train=labelled, test=labelled, thresholds={"frechet_classifier_distance": {"upper": 100}})
    (check,) = result["verdict"]["checks"]
    assert not result["verdict"]["blessed"] and check["rule"] == "measured" and "accuracy" in check["reason"]


def test_what_nothing_can_judge_is_unjudged(run, tmp_path, sources, labelled):
    """Nothing measured, no thresholds, or none that holds without an earlier model."""
    unlabelled, path = data.from_arrays(sources[1].images()), classifier(tmp_path, "c", 1.0)
    cases = {
        "no metrics": run(path, train=unlabelled, test=unlabelled),
        "no threshold applies": run(path, train=labelled, test=labelled, thresholds={}),
        "no threshold was set that bounds the model": run(
            path, train=labelled, test=labelled, thresholds={"accuracy": {"max_worsening": 0.1}}
        ),
    }
    for reason, result in cases.items():
        assert result["verdict"]["outcome"] == "UNJUDGED" and not result["verdict"]["blessed"]
        assert len(result["verdict"]["reasons"]) == 1 and reason in result["verdict"]["reasons"][0]
    assert "no field label" in cases["no metrics"]["verdict"]["warnings"][0]


def test_too_few_images_and_weak_classifiers_judge_nothing(run, monkeypatch):
    """Neither good nor bad samples are judged; what is not finite is known to be bad."""
    good, bad = run.export("good"), run.export("bad", scale=0.0)
    assert [run(path)["verdict"]["outcome"] for path in (good, bad)] == ["BLESSED", "NOT BLESSED"]
    monkeypatch.setattr(Classifier, "accuracy", 0.5)  # of 3 classes: three quarters of the errors of chance
    for path in (good, run.export("samples", likelihood=False)):
        verdict_of = run(path)["verdict"]
        assert verdict_of["outcome"] == "UNJUDGED" and "too weak for a judgement" in verdict_of["reasons"][0]
        assert "accuracy 0.50" in verdict_of["warnings"][0]
    assert run(run.export("likelihood", signatures=["log_prob"]))["verdict"]["blessed"], "needs no classifier"
    monkeypatch.setattr(Classifier, "accuracy", 0.9)
    monkeypatch.setattr(verdict, "MIN_IMAGES", 41)
    for path in (good, bad):
        verdict_of = run(path)["verdict"]
        assert verdict_of["outcome"] == "UNJUDGED"
        few = "too few images for a judgement: 40 evaluation images, 40 generated images"
        assert verdict_of["warnings"][0].startswith(few)
    assert run(run.export("nan", scale=math.nan))["verdict"]["outcome"] == "NOT BLESSED"


def test_fewer_images_than_features_are_not_measured_and_do_not_stop_the_pipeline(run, sources):
    few = sources[1].take(6)
    result = run(run.export("a", likelihood=False), train=few, test=few)
    assert result["metrics"] == {} and result["verdict"]["outcome"] == "UNJUDGED"
    assert result["notes"] == ["6 images are too few for the metrics of samples, which compare 6 features."]


@pytest.mark.long
def test_further_metrics_that_fit_the_model(run):
    """The model has codes of its images, and no latents."""
    result = run(run.export("a", binarization=None), further=evaluate.FURTHER)
    assert {"swd_4", "swd"}.isdisjoint(result["metrics"]), "4x4 pixels have no patches of 7x7"
    assert {"birthday_duplicate_rate", "frechet_classifier_distance_infinity"} <= set(result["metrics"])
    assert result["metrics"]["few_label_accuracy"]["protocol"] == "codes"
    assert result["metrics"]["k_means_accuracy"]["untrained"] is not None
    assert [note for note in result["notes"] if "path_length" in note or "separability" in note or "swd" in note]


def test_default_thresholds_are_those_of_the_capabilities(run):
    result = run(run.export("a"))
    assert result["thresholds"].keys() == {*measures.THRESHOLDS[Sampler], "bits_per_dim", "reconstruction_error"}
    assert result["verdict"]["blessed"]
    # Independent black and white pixels, and the squared error of their mean, grey.
    trivial = {name: result["metrics"][name]["trivial"] for name in ("bits_per_dim", "reconstruction_error", "recall")}
    assert trivial == {"bits_per_dim": pytest.approx(1.0, abs=0.1), "recall": None,
                       "reconstruction_error": pytest.approx(0.25, abs=0.03)}  # fmt: skip
    noise = run(run.export("b", scale=0.0))  # black, further from the data than the grey of the untrained one
    assert not noise["verdict"]["blessed"]


def test_a_first_likelihood_must_be_better_than_the_untrained_one(run):
    """The untrained one has 13 nats, independent pixels 11."""
    assert run(run.export("good", nats=10.0, signatures=["log_prob"]))["verdict"]["blessed"]
    bad = run(run.export("bad", nats=11.5, signatures=["log_prob"]))
    assert failed(bad) == [("bits_per_dim", "relative_to_trivial")]
    assert failed(run(run.export("worse", nats=12.5, signatures=["log_prob"]))) == [
        ("bits_per_dim", "relative_to_untrained"), ("bits_per_dim", "relative_to_trivial"),
    ]  # fmt: skip


def test_default_thresholds_of_what_should_have_been_measured_fail(run, sources):
    """An encoder without reconstructions is not blessed for its samples alone."""
    result = run(run.export("a", signatures=["sample", "encode"]))
    assert failed(result) == [("reconstruction_error", "measured")]
    assert result["notes"] == ["Not measured: encoder: the model has no signature reconstruct."]


def test_default_thresholds_leave_out_what_does_not_apply_and_then_need_another_bound(run, sources, monkeypatch):
    unlabelled = data.from_arrays(sources[1].images())
    arguments = {"train": unlabelled, "test": unlabelled, "classifier_dir": None}
    result = run(run.export("a"), **arguments)
    assert result["thresholds"].keys() == {"bits_per_dim", "reconstruction_error"} and result["verdict"]["blessed"]
    assert result["notes"] == ["The data set has no labels, so there is no classifier and no metric of the samples."]
    only = {measures.Likelihood: {"bits_per_dim": {"max_worsening": 0.1}}, measures.Sampler: {"recall": {"lower": 0.0}}}
    monkeypatch.setattr(measures, "THRESHOLDS", only)
    result = run(run.export("a"), **arguments)
    assert result["verdict"]["outcome"] == "UNJUDGED"
    assert "no threshold" not in result["verdict"]["reasons"][0]
    assert "do not tell the model from an untrained one" in result["verdict"]["reasons"][0]


class Unordered(Oracle):
    """Samples, and two classes that it found without labels."""

    sample = Model.sample
    scale = 1.0

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE], tf.float32, name="image")])
    def classify(self, image):
        return {"probability": tf.tile([[0.5, 0.5]], [tf.shape(image)[0], 1])}


def test_classes_found_without_labels_are_not_measured(run, tmp_path):
    meta = {"model": "Test", "preset": "test/test", "image_shape": list(SHAPE), "weights": "raw",
            "fields": [fields.image(SHAPE).config()]}  # fmt: skip
    write(Unordered(0.0), tmp_path / "u", ["sample", "classify"], meta)
    result = run(tmp_path / "u")
    assert result["verdict"]["blessed"] and result["thresholds"] == measures.THRESHOLDS[Sampler]
    assert set(result["metrics"]) == set(measures.SAMPLE_METRICS)
    assert result["notes"] == [
        "Not measured: classifier: the model was not trained on labels, so its classes are not those of the data."
    ]
    # Of labels it learned it should know all: no crash, no blessing.
    meta["fields"].append(fields.label(3).config())
    write(Unordered(0.0), tmp_path / "few", ["sample", "classify"], meta)
    result = run(tmp_path / "few")
    assert failed(result) == [("error_over_chance", "measured"), ("accuracy", "measured")]
    assert result["notes"] == ["Not measured: classifier: the model has 2 classes; the images have the label 2."]


def open_source(split, count):
    rng = np.random.default_rng(["train", "test"].index(split))
    images, labels = rng.random((count, *SHAPE)).astype(np.float32), np.arange(count) % 3
    return data.from_arrays(images, labels, split=split)


@pytest.fixture(scope="module")
def many():
    """Sources of several batches, as Beam's workers get them: each process opens its own."""
    return tuple(Remote(functools.partial(open_source, split, count)) for split, count in (("train", 1100), ("test", 700)))


@pytest.mark.long
def test_through_beam_in_any_number_of_shards_equals_one_process(run, many):
    """700 samples are three batches, the training images five: three shards and five, one and one."""

    def numbers(shard):
        beams = None if shard is None else functools.partial(ThroughBeam, beam.Pipeline, shard=shard)
        found = run(model, train=many[0], test=many[1], num_samples=700, seed=2, run=beams)
        assert not (run.output / ".work").exists()
        values = {
            (name, of): metric[of]
            for name, metric in found["metrics"].items()
            for of in ("value", "real", "untrained")
            if metric[of] is not None
        }
        return values, found["protocols"]

    model = run.export("a")
    expected, protocols = numbers(None)
    assert len(expected) > 40
    for shard in (256, 10_000):
        found, same = numbers(shard)
        assert same == protocols and found == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.long
def test_nan_samples_through_beam_which_says_how_far_it_is(run, many, monkeypatch):
    lines = []
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with progress.shown(lines.append):
        result = run(run.export("nan", scale=math.nan), train=many[0], test=many[1], num_samples=300,
                     run=functools.partial(ThroughBeam, beam.Pipeline, shard=256))  # fmt: skip
    walks = [line for line in lines if line.startswith("fake_images: ")]
    assert "fake_images: 300 of 300" in walks and "fake_images: 256 of 300" in walks
    assert any(line.startswith("likelihood: ") for line in lines)
    assert not result["verdict"]["blessed"] and "NaN or infinity" in result["notes"][0]
    assert result["metrics"]["recall"]["value"] is None and result["metrics"]["recall"]["real"] is not None


def test_remote_pickles_as_what_opens_it(many):
    import pickle

    restored = pickle.loads(pickle.dumps(many[1]))
    assert restored.fingerprint == many[1].fingerprint and len(pickle.dumps(many[1])) < 1000
    with pytest.raises(AttributeError, match="nothing"):
        _ = many[1].nothing


class OfEmbeddings(tf.Module):
    """Images that are what they are asked for: the embedding is the image."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="seeds"),
                                  tf.TensorSpec([None, 16], tf.float32, name="embedding")])  # fmt: skip
    def sample(self, seeds, embedding):
        return {"image": tf.reshape(embedding, [-1, *SHAPE])}


def test_samples_are_of_the_conditions_of_the_evaluated_images(run, tmp_path, monkeypatch):
    """The samples then are the evaluated images, whose distance to themselves is 0."""
    images = np.random.default_rng(1).random((40, *SHAPE)).astype(np.float32)
    source = data.from_arrays(images, np.arange(40) % 3, fields={"embedding": images.reshape(40, 16)})
    meta = {"model": "Test", "image_shape": list(SHAPE), "conditions": [fields.vector("embedding", 16).config()]}
    monkeypatch.setattr(
        evaluate, "export_untrained", lambda _, path, seed, wanted: write(OfEmbeddings(), path, wanted, meta)
    )
    write(OfEmbeddings(), tmp_path / "a", ["sample"], meta)
    result = run(tmp_path / "a", train=source, test=source, baseline_dir=tmp_path / "a", thresholds={})
    distance = result["metrics"]["frechet_classifier_distance"]
    for column in ("value", "untrained", "baseline"):
        assert distance[column] == pytest.approx(0.0, abs=1e-3), column


def test_drawn_reconstructions_are_compared_with_a_drawn_image(run, monkeypatch):
    """Any image has twice the squared error of the mean."""
    from tfgen import models

    path = run.export("a", signatures=["encode", "reconstruct"])
    mean = run(path)["metrics"]["reconstruction_error"]["trivial"]
    monkeypatch.setitem(models.MODELS, "Test", type("Test", (), {"draws_reconstructions": True}))
    assert run(path)["metrics"]["reconstruction_error"]["trivial"] == pytest.approx(2.0 * mean)


def test_clips_whose_first_frames_are_given_are_shown(run, tmp_path, monkeypatch):
    """The model is exported by the library, so `start` is an input that no batch has."""
    from PIL import Image

    from tfgen.export import export_saved_model
    from tfgen.models import Vid2Vid

    source = data.load("moving:digits", num=2, num_frames=5, size=16)
    model = Vid2Vid(image_shape=(16, 16, 3), num_frames=5, map_classes=11, width=2, halvings=1, blocks=0,
                    discriminator_width=2, discriminator_halvings=1, discriminator_scales=1, temporal_scales=0)  # fmt: skip
    model.compile()
    path = export_saved_model(model, tmp_path / "a", warmup=False, metadata={"preset": "test/test"})
    monkeypatch.setattr(evaluate, "export_untrained", lambda _, folder, *more: shutil.copytree(path, folder))
    result = run(path, train=source, test=source, classifier_dir=None)
    assert result["metrics"].keys() == {"target_l1", "temporal_l1"}
    with Image.open(run.output / "translations.png") as picture:
        assert picture.height > 4 * 16  # maps, borders, result and target


def test_inputs_with_defaults_are_not_asked_of_the_images(run, tmp_path, monkeypatch):
    """The strength and the mask of a style; pictures show only what the images have."""
    from tfgen.export import export_saved_model
    from tfgen.models import AdaINStyleTransfer

    features = {"maker": "random_conv", "arguments": {"filters": [4, 6], "channels": 3}}
    model = AdaINStyleTransfer(image_shape=(8, 8, 3), decoder_filters=((6,), (5, 4)), feature_network=features, regions=1)
    path = export_saved_model(model, tmp_path / "a", warmup=False, metadata={"preset": "test/test"})
    images, style, target = np.random.default_rng(0).random((3, 2, 8, 8, 3)).astype(np.float32)
    source = data.from_arrays(images, fields={"style": style, "target": target})
    monkeypatch.setattr(evaluate, "export_untrained", lambda _, folder, *more: shutil.copytree(path, folder))
    result = run(path, train=source, test=source, classifier_dir=None)
    made = model.translate(image=source.images(), style=source.values("style"))["image"]
    expected = np.abs(made - source.values("target")).mean()
    assert result["metrics"]["target_l1"]["value"] == pytest.approx(expected, rel=1e-4)
    assert (run.output / "translations.png").exists()


@pytest.mark.long
def test_samples_of_models_of_binarised_images_are_compared_with_others_under_one_protocol(run, sources):
    binarised, grey = (run(run.export(name, binarization=how)) for name, how in (("b", "threshold"), ("g", None)))
    name = "frechet_classifier_distance"
    assert binarised["metrics"][name]["value"] != pytest.approx(grey["metrics"][name]["value"])
    assert binarised["common"]["values"][name] == pytest.approx(grey["common"]["values"][name])
    assert grey["common"]["values"][name] == grey["metrics"][name]["value"]
    protocols = [dict(result["common"]["protocol"], generator_hash=None) for result in (binarised, grey)]
    assert protocols[0] == protocols[1]
    assert binarised["common"]["protocol"]["data_fingerprint"] == sources[0].fingerprint
