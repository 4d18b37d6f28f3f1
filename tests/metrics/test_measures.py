"""The measures of each capability against numbers computed by hand, on a stand-in for an exported model."""

import math
import types

import numpy as np
import pytest

from tfgen import data, fields
from tfgen.metrics import MEASURES, default_thresholds, measure, measure_codes, measures, trivial
from tfgen.metrics.measures import THRESHOLDS, Inapplicable, Unmeasurable, check_metrics
from tfgen.models.capabilities import CAPABILITIES, Classifier, Codec, Encoder, Likelihood, Projector, Sampler, Translator

LABELS = np.array([0, 0, 0, 1, 2] * 26)  # 130: two batches; the most frequent class has a share of 0.6


@pytest.fixture
def source():
    levels = np.random.default_rng(0).integers(0, 256, (130, 4, 2, 1)).astype(np.uint8)
    return data.from_arrays(levels, LABELS, split="eval")


class Model:
    """Answers signatures by functions of the batch."""

    binarization, dequantize, weights = None, False, "raw"
    metadata = {"importance_samples": 7, "fields": [{"name": "image"}, {"name": "label"}]}

    def __init__(self, lacks=(), **signatures):
        self.signatures, self.lacks, self.asked, self.inputs = signatures, lacks, [], ()

    def input_fields(self, name):
        return self.inputs

    def missing(self, name, fields):
        return [field for field in self.lacks if field not in fields]

    def ask(self, name, batch):
        self.asked.append((name, len(batch["image"]), batch["seeds"].tolist()))
        return self.signatures[name](batch)


def test_likelihood(source):
    images = source.images().astype(np.float64)
    nats = 3.0 + images.sum(axis=(1, 2, 3))
    model = Model(
        log_prob=lambda batch: {"log_prob": -3.0 - batch["image"].sum(axis=(1, 2, 3))},
        elbo=lambda batch: {"elbo": np.full(len(batch["image"]), -9.0, np.float32)},
    )
    values, protocol = measure(model, Likelihood, source, seed=4)
    assert values == pytest.approx(
        {"negative_log_likelihood": nats.mean(), "bits_per_dim": nats.mean() / 8 / math.log(2.0), "negative_elbo": 9.0}
    )
    assert protocol == {
        "data": source.name, "data_fingerprint": source.fingerprint, "split": "eval", "n_real": 130, "binarization": None,
        "dequantize": False, "seed": 4, "weights": "raw", "importance_samples": 7,
    }  # fmt: skip
    assert [(size, seeds[0] - (4 << 32)) for name, size, seeds in model.asked if name == "elbo"] == [(100, 0), (30, 100)]


def test_bits_of_dequantised_images_are_those_of_levels(source):
    """A density of 1 on [0, 1) gives each of 256 levels the probability 1/256: 8 bits."""
    model = Model(log_prob=lambda batch: {"log_prob": np.zeros(len(batch["image"]), np.float32)})
    model.dequantize = True
    assert measure(model, Likelihood, source)[0]["bits_per_dim"] == pytest.approx(8.0)


def test_binarised_as_in_training(source):
    model = Model(log_prob=lambda batch: {"log_prob": -batch["image"].sum(axis=(1, 2, 3))})
    model.binarization = "threshold"
    ones = (source.images() >= 0.5).sum(axis=(1, 2, 3))
    assert measure(model, Likelihood, source)[0]["negative_log_likelihood"] == pytest.approx(ones.mean())


def test_reconstruction_error(source):
    model = Model(reconstruct=lambda batch: {"image": batch["image"] + np.float32([0.1, 0.3])[:, None]})
    values, protocol = measure(model, Encoder, source)
    assert values == pytest.approx({"reconstruction_error": (0.01 + 0.09) / 2}, rel=1e-5)
    assert "importance_samples" not in protocol


def test_projection_error(source):
    model = Model(project=lambda batch: {"latent": np.zeros([len(batch["image"]), 2]), "image": batch["image"] + 0.5})
    assert measure(model, Projector, source)[0] == pytest.approx({"projection_error": 0.25}, rel=1e-5)


def test_reconstructions_are_of_a_random_subset_of_many():
    limit = MEASURES[Encoder].limit
    grey = np.repeat(np.arange(250, dtype=np.uint8), 9)  # images of one shade, the dark ones first
    many = data.from_arrays(np.broadcast_to(grey[:, None, None, None], [len(grey), 2, 2, 1]))
    seen = []
    model = Model(reconstruct=lambda batch: seen.append(batch["image"]) or {"image": batch["image"]})
    assert measure(model, Encoder, many)[1]["n_real"] == limit < many.num_examples
    assert len(np.unique(np.concatenate(seen))) > 200, "not the first images alone"


@pytest.mark.parametrize("right", [0.9, 0.6, 1.0])
def test_classifier(source, right):
    """The share `right` of all images gets its class with 0.7, the others another class with 0.7; 0.15 for the rest."""
    wrong_from = round(right * 130)

    def classify(batch):
        index = (batch["seeds"]).astype(int)
        said = np.where(index < wrong_from, batch["label"], (batch["label"] + 1) % 3)
        return {"probability": (0.15 + 0.55 * np.eye(3)[said]).astype(np.float32)}

    values, _ = measure(Model(classify=classify), Classifier, source)
    accuracy = wrong_from / 130
    expected = {
        "accuracy": accuracy,
        "error_over_chance": (1.0 - accuracy) / (1.0 - 0.6),
        "cross_entropy": -accuracy * math.log(0.7) - (1.0 - accuracy) * math.log(0.15),
    }
    assert values == pytest.approx(expected, rel=1e-5)


def test_classifier_of_one_class_and_of_too_few(source):
    model = Model(classify=lambda batch: {"probability": np.ones([len(batch["image"]), 1], np.float32)})
    with pytest.raises(Unmeasurable, match="classifier: the model has 1 classes; the images have the label 2") as error:
        measure(model, Classifier, source)
    assert not isinstance(error.value, Inapplicable), "its accuracy is wanted"
    one = data.from_arrays(source.images(), np.zeros(130, int))
    assert measure(model, Classifier, one)[0] == {"accuracy": 1.0, "cross_entropy": 0.0}


def test_classes_that_were_found_without_labels_are_not_measured(source):
    model = Model(classify=lambda batch: {"probability": np.ones([len(batch["image"]), 2], np.float32)})
    model.metadata = {"fields": [{"name": "image"}]}
    with pytest.raises(Inapplicable, match="classifier: the model was not trained on labels"):
        measure(model, Classifier, source)


def test_codec(source):
    model = Model(
        bits=lambda batch: {"bits": np.full(len(batch["image"]), 20.0, np.float32)},
        # Off by a level and 0.4 of one: files hold whole levels.
        reconstruct=lambda batch: {"image": np.abs(batch["image"] - np.float32(1.4 / 255))},
    )
    # A black pixel becomes 1.4, which is rounded to 1 as well.
    values, _ = measure(model, Codec, source)
    psnr = 20.0 * math.log10(255.0)
    expected = {"bits_per_pixel": 20.0 / 8, "bits_over_raw": 20.0 / 64, "psnr": psnr, "net_psnr": psnr - 6.0206 * 20.0 / 8}
    assert values == pytest.approx(expected, rel=1e-4)
    model.signatures["reconstruct"] = lambda batch: {"image": batch["image"]}
    assert measure(model, Codec, source)[0]["psnr"] == pytest.approx(100.0)
    del model.signatures["bits"]
    with pytest.raises(Unmeasurable, match="codec: the model has no signature bits") as error:
        measure(model, Codec, source)
    assert not isinstance(error.value, Inapplicable)


def test_translator_by_its_target(source, monkeypatch):
    model = Model(translate=lambda batch: {"image": batch["image"]})
    with pytest.raises(Inapplicable, match="translator: the images have no field target"):
        measure(model, Translator, source)
    batches = source.batches
    tensor = types.SimpleNamespace(numpy=lambda: np.ones([1, 4, 2, 1], np.float32))
    monkeypatch.setattr(source, "batches", lambda *a, **k: [{**b, "target": tensor} for b in batches(*a, **k)])
    expected = (1.0 - source.images()).mean()
    assert measure(model, Translator, source)[0] == pytest.approx({"target_l1": expected}, rel=1e-5)


def test_flicker_of_translated_clips(source, monkeypatch):
    """Only of clips with flow: each frame is a tenth brighter than the one before."""
    clip = np.broadcast_to(np.linspace(0.1, 0.3, 3, dtype="float32").reshape(3, 1, 1, 1), [5, 3, 4, 2, 1])
    further = {"target": clip, "flow": np.zeros([5, 3, 4, 2, 2], "float32")}
    model, batches = Model(translate=lambda batch: {"frames": batch["target"]}), source.take(5).batches
    source = source.take(5)
    tensors = {name: types.SimpleNamespace(numpy=lambda value=value: value) for name, value in further.items()}
    monkeypatch.setattr(source, "batches", lambda *a, **k: [{**b, **tensors} for b in batches(*a, **k)])
    assert measure(model, Translator, source)[0] == pytest.approx({"target_l1": 0.0, "temporal_l1": 0.1}, abs=1e-6)


def test_given_frames_of_clips_are_not_measured(monkeypatch):
    """The two first ones: they have no error, and between them nothing flickers. Made frames are 0.3 and 0.5, wanted 0.1."""
    values = np.float32([0.1, 0.1, 0.3, 0.5]).reshape(1, 4, 1, 1, 1)
    made = np.broadcast_to(values, [3, 4, 4, 2, 1])
    shape = (3, 4, 4, 2)
    further = {"frames": np.zeros_like(made), "target": np.full_like(made, 0.1), "confidence": np.ones(shape, "float32"),
               "flow": np.zeros([*shape, 2], "float32")}  # fmt: skip
    declared = {"flow": fields.Field("flow", (*shape[1:], 2)), "confidence": fields.Field("confidence", shape[1:])}
    given = {name: (value, declared[name]) if name in declared else value for name, value in further.items()}
    source = data.from_arrays(np.zeros([3, 4, 2, 1], "float32"), fields=given)
    model = Model(translate=lambda batch: {"frames": made})
    model.inputs = (fields.start((2, 4, 2, 1)),)
    found = measure(model, Translator, source)[0]
    assert found == pytest.approx({"target_l1": 0.3, "temporal_l1": 0.2}, abs=2e-3)  # pixels have 256 levels
    model.inputs = (fields.start((3, 4, 2, 1)),)  # one frame is made
    assert measure(model, Translator, source)[0] == pytest.approx({"target_l1": 0.4, "temporal_l1": 0.2}, abs=2e-3)
    target = np.zeros([2, 4, 4, 2, 1], "float32")
    target[0, 3] = 1.0  # the mean is 0.5 off in the last of four frames
    clips = data.from_arrays(np.zeros([2, 4, 2, 1], "float32"), fields={"target": target})
    assert trivial(model, Translator, clips, clips) == {"target_l1": pytest.approx(0.5)}


def test_missing_fields_are_named(source):
    model = Model(classify=lambda batch: {}, lacks=["embedding"])
    with pytest.raises(Inapplicable, match="classifier: the images have no field embedding"):
        measure(model, Classifier, source)
    unlabelled = data.from_arrays(source.images())
    with pytest.raises(Inapplicable, match="classifier: the images have no field label"):
        measure(Model(classify=lambda batch: {}), Classifier, unlabelled)


def test_default_thresholds_are_those_of_all_capabilities_and_bound_each():
    assert default_thresholds((Sampler, Likelihood)) == THRESHOLDS[Sampler] | THRESHOLDS[Likelihood]
    assert default_thresholds((Sampler, Encoder, Codec)) == THRESHOLDS[Codec]
    assert set(THRESHOLDS) <= set(CAPABILITIES) and set(MEASURES) <= set(CAPABILITIES)
    for capability, thresholds in THRESHOLDS.items():
        check_metrics(thresholds)
        assert {rule for rules in thresholds.values() for rule in rules} - {"max_worsening"}, capability.NAME
        if capability in MEASURES:
            assert thresholds.keys() <= set(MEASURES[capability].metrics)


@pytest.mark.parametrize("capability", [c for c in THRESHOLDS if c is not Classifier], ids=lambda c: c.NAME)
def test_an_untrained_model_fails_a_default_threshold_whatever_its_values_are(capability):
    """That of a classifier is of its errors over those of chance."""
    rules = [rules for rules in THRESHOLDS[capability].values() if "relative_to_untrained" in rules]
    higher = "psnr" in THRESHOLDS[capability]
    assert any(found["relative_to_untrained"] > 1.0 if higher else found["relative_to_untrained"] < 1.0 for found in rules)


def test_metrics_that_do_not_exist():
    check_metrics(["recall", "accuracy"])
    with pytest.raises(ValueError, match="no metric acuracy, fid; the metrics are accuracy, .*bits_over_raw, .*recall"):
        check_metrics(["fid", "recall", "acuracy"])


def test_independent_pixels(monkeypatch):
    """A pixel that is always white costs nothing, one that is so half of the time a bit; levels never seen are possible."""
    pixels = np.zeros((200, 1, 2, 1), np.uint8)
    pixels[:, 0, 0] = 255
    pixels[::2, 0, 1] = 255
    train, model = data.from_arrays(pixels, levels=2), Model()
    found = trivial(model, Likelihood, train, train.take(100))
    assert found["bits_per_dim"] == pytest.approx(0.5, abs=0.01)
    assert found["negative_log_likelihood"] == pytest.approx(math.log(2.0), abs=0.01)
    black = data.from_arrays(np.zeros((10, 1, 2, 1), np.uint8), levels=2)
    assert trivial(model, Likelihood, train, black)["bits_per_dim"] == pytest.approx((1 + math.log2(402)) / 2, abs=0.02)
    model.dequantize = True  # in levels, without their noise, and no nats of a density
    assert trivial(model, Likelihood, train, train) == {"bits_per_dim": pytest.approx(0.5, abs=0.01)}
    model.dequantize = False
    monkeypatch.setattr(measures, "MARGINALS_LIMIT", 3)  # one table of all pixels: three quarters are white
    expected = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    assert trivial(model, Likelihood, train, train)["bits_per_dim"] == pytest.approx(expected, abs=0.01)
    monkeypatch.undo()
    model.binarization = "threshold"
    grey = data.from_arrays(np.full((50, 1, 2, 1), 200, np.uint8))
    assert trivial(model, Likelihood, grey, grey)["bits_per_dim"] < 0.05


def test_the_mean_image_and_the_copy(source):
    images = source.images().astype(np.float64)
    error = ((images.mean(axis=0) - images) ** 2).mean(axis=(1, 2, 3))
    assert trivial(Model(), Encoder, source, source) == {"reconstruction_error": pytest.approx(error.mean(), rel=1e-5)}
    psnr = pytest.approx((-10 * np.log10(error)).mean(), rel=1e-3)
    assert trivial(Model(), Codec, source, source) == {"psnr": psnr, "net_psnr": psnr}
    assert trivial(Model(), Classifier, source, source) == {}
    near = np.clip(images + 0.05, 0.0, 1.0).astype(np.float32)
    pairs = data.from_arrays(source.images(), fields={"target": near})
    copied = np.abs(pairs.values("target") - source.images()).mean()
    assert trivial(Model(), Translator, pairs, pairs) == {"target_l1": pytest.approx(copied, rel=1e-4)}
    other = data.from_arrays(source.images(), fields={"target": np.random.default_rng(1).random((130, 2, 2, 1))})
    target = other.values("target")
    expected = np.abs(target - target.mean(axis=0)).mean()
    assert trivial(Model(), Translator, other, other) == {"target_l1": pytest.approx(expected, rel=1e-4)}


def test_codes_that_hold_the_class_and_codes_that_do_not(source):
    class Coder(Model):
        capabilities = (Encoder,)

    centres = np.float32([[0, 0], [9, 0], [0, 9]])
    good = Coder(encode=lambda batch: {"latent": centres[batch["label"]] + 0.1 * batch["image"][:, 0, :, 0]})
    values, protocol = measure_codes(good, source, source, ["k_means", "few_labels"], seed=1)
    assert values == {"k_means_accuracy": 1.0, "few_label_accuracy": 1.0, "few_label_accuracy_std": 0.0}
    assert protocol["per_class"] == 10 and protocol["n_train"] == protocol["n_real"] == 130
    bad = Coder(encode=lambda batch: {"latent": batch["image"][:, 0, :, 0]})
    values, protocol = measure_codes(bad, source, source, ["few_labels"])
    assert values["few_label_accuracy"] < 0.6 and values.keys() == {"few_label_accuracy", "few_label_accuracy_std"}
    with pytest.raises(Inapplicable, match="k_means: the images have no field label"):
        measure_codes(good, source, data.from_arrays(source.images()), ["k_means"])
    good.capabilities = ()
    with pytest.raises(Inapplicable, match="k_means: the model is not an encoder"):
        measure_codes(good, source, source, ["k_means"])
