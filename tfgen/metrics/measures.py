"""What is measured of an exported model on real images, one measure for each capability, and when it counts as good.

The samples of a `Sampler` are measured by `tfgen.metrics.Evaluator`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable

import numpy as np

from tfgen.data.source import Source
from tfgen.metrics.exported import ExportedModel
from tfgen.metrics.statistics import draw
from tfgen.models.capabilities import Classifier, Codec, Encoder, Likelihood, Sampler, Translator

BATCH = 100


class Unmeasurable(ValueError):
    """The model fails what a measure asks of it; the message says how."""


class Inapplicable(Unmeasurable):
    """The measure does not apply: the images lack what it compares with, or the model has not learned that."""


@dataclasses.dataclass(frozen=True)
class Measure:
    """How a capability is measured.

    Attributes:
      metrics: the names of its numbers.
      signatures: those that are asked.
      make: function (model, source) -> a function of a batch {field: array [B, ...]} -> {metric: float [B]}. A metric is
        the mean over all images.
      fields: further fields that batches must have.
      limit: maximum number of images, a random subset; None: all.
    """

    metrics: tuple
    signatures: tuple
    make: Callable
    fields: tuple = ()
    limit: int | None = None


def _likelihood(model, source):
    """negative_log_likelihood and, where there is a signature `elbo`, negative_elbo: nats per image; bits_per_dim."""
    # A density of dequantised images becomes the probability of their levels by the width of one level.
    log_levels = math.log2(source.levels) if model.dequantize else 0.0

    def of_batch(batch):
        nats = -model.ask("log_prob", batch)["log_prob"].astype(np.float64)
        bits = nats / (math.prod(source.image_shape) * math.log(2.0)) + log_levels
        found = {"negative_log_likelihood": nats, "bits_per_dim": bits}
        if "elbo" in model.signatures:
            found["negative_elbo"] = -model.ask("elbo", batch)["elbo"]
        return found

    return of_batch


def _encoder(model, source):
    """reconstruction_error: squared error of reconstructions, mean over pixels and channels, of images in [0, 1]."""

    def of_batch(batch):
        errors = model.ask("reconstruct", batch)["image"] - batch["image"]
        return {"reconstruction_error": np.mean(errors**2, axis=(1, 2, 3), dtype=np.float64)}

    return of_batch


def _classifier(model, source):
    """accuracy; cross_entropy in nats; error_over_chance: the share of errors over that of who always says the most frequent
    class, 0 of a perfect classifier, 1 of one that has learned nothing. It is left out where there is one class alone.

    Classes that a model has found without labels are in an order of its own: it is not measured against labels.
    """
    if "label" not in {field["name"] for field in model.metadata.get("fields", ())}:
        raise Inapplicable("classifier: the model was not trained on labels, so its classes are not those of the data")
    chance = np.bincount(source.labels()).max() / source.num_examples

    def of_batch(batch):
        probability, label = model.ask("classify", batch)["probability"], batch["label"]
        if label.max() >= probability.shape[1]:
            raise Unmeasurable(
                f"classifier: the model knows {probability.shape[1]} classes; the images have the label {label.max()}"
            )
        right = probability.argmax(axis=1) == label
        nats = -np.log(np.maximum(probability[np.arange(len(label)), label], np.finfo(np.float32).tiny))
        found = {"accuracy": right, "cross_entropy": nats}
        return found if chance == 1.0 else {**found, "error_over_chance": ~right / (1.0 - chance)}

    return of_batch


def _codec(model, source):
    """bits_per_pixel under the entropy model; bits_over_raw: the share of the bits of uncompressed images; psnr in dB, the
    mean over images rounded to 8 bits, at most 100 of each."""
    pixels = math.prod(source.image_shape[:2])
    raw = math.prod(source.image_shape) * math.log2(source.levels)

    def of_batch(batch):
        bits = model.ask("bits", batch)["bits"]
        made = np.round(model.ask("reconstruct", batch)["image"] * 255.0) / 255.0
        mse = np.mean((made - batch["image"]) ** 2, axis=(1, 2, 3), dtype=np.float64)
        psnr = -10.0 * np.log10(np.maximum(mse, 1e-10))
        return {"bits_per_pixel": bits / pixels, "bits_over_raw": bits / raw, "psnr": psnr}

    return of_batch


def _translator(model, source):
    """target_l1: absolute difference to the field `target`, mean over pixels and channels, of images in [0, 1]."""

    def of_batch(batch):
        outputs = model.ask("translate", batch)
        made = outputs["image"] if "image" in outputs else outputs["frames"]
        errors = np.abs(made - batch["target"]).reshape(len(made), -1)
        return {"target_l1": errors.mean(axis=1, dtype=np.float64)}

    return of_batch


MEASURES = {
    Likelihood: Measure(("negative_log_likelihood", "bits_per_dim", "negative_elbo"), ("log_prob",), _likelihood),
    # Reconstructions of some models are drawn pixel by pixel.
    Encoder: Measure(("reconstruction_error",), ("reconstruct",), _encoder, limit=1000),
    Classifier: Measure(("accuracy", "cross_entropy", "error_over_chance"), ("classify",), _classifier, fields=("label",)),
    Codec: Measure(("bits_per_pixel", "bits_over_raw", "psnr"), ("bits", "reconstruct"), _codec),
    Translator: Measure(("target_l1",), ("translate",), _translator, fields=("target",)),
}

# What the pipeline's evaluator computes of samples, by `tfgen.metrics.Evaluator` with a `Classifier`.
SAMPLE_METRICS = (
    "classifier_score", "classifier_score_std", "num_classes", "frechet_classifier_distance", "kernel_distance_mean",
    "kernel_distance_std", "precision", "recall", "density", "coverage", "nn_pixel_fake_train", "nn_pixel_test_train",
    "nn_pixel_ratio", "nn_feature_fake_train", "nn_feature_test_train", "nn_feature_ratio",
)  # fmt: skip

# {capability: thresholds}, as the pipeline's evaluator takes them, of a model for which nobody set any. Those of each have a
# bound that holds without an earlier model.
THRESHOLDS = {
    Sampler: {
        "frechet_classifier_distance": {"relative_to_untrained": 1.0, "max_worsening": 0.5},
    },
    Likelihood: {"bits_per_dim": {"relative_to_untrained": 1.0, "max_worsening": 0.1}},
    Encoder: {"reconstruction_error": {"relative_to_untrained": 1.0}},
    Classifier: {"error_over_chance": {"upper": 0.5}, "accuracy": {"max_worsening": 0.1}},
    Codec: {
        "bits_over_raw": {"upper": 1.0, "max_worsening": 0.2},
        "psnr": {"relative_to_untrained": 1.0, "max_worsening": 0.1},
    },
    Translator: {"target_l1": {"relative_to_untrained": 1.0, "max_worsening": 0.2}},
}


def check_metrics(names) -> None:
    """Raises ValueError for a name of no metric that the pipeline's evaluator can compute."""
    known = {*SAMPLE_METRICS, *(metric for rules in MEASURES.values() for metric in rules.metrics)}
    if unknown := sorted(set(names) - known):
        raise ValueError(f"There is no metric {', '.join(unknown)}; the metrics are {', '.join(sorted(known))}.")


def default_thresholds(capabilities: Iterable[type]) -> dict:
    """The `THRESHOLDS` of all capabilities.

    A codec is trained on rate and distortion at once: its samples, or its error alone, say nothing of it.
    """
    if Codec in capabilities:
        capabilities = (Codec,)
    found = {}
    for capability in capabilities:
        found |= THRESHOLDS.get(capability, {})
    return found


def measure(model: ExportedModel, capability: type, source: Source, *, seed: int = 0) -> tuple[dict[str, float], dict]:
    """The metrics of one capability on real images.

    Args:
      model: an `ExportedModel` that has the capability.
      capability: a key of `MEASURES`.
      source: a `tfgen.data.Source`; its images are binarised or dequantised as those of training were.
      seed: of that noise, of the subset, and of what the model draws.

    Returns:
      ({metric: mean over the images}, the protocol of these numbers as a dict of plain values).

    Raises:
      Inapplicable: batches of `source` lack a field, or a classifier was not trained on labels.
      Unmeasurable: the model has not all signatures that are asked, or knows fewer classes than the images have.
    """
    rules, name = MEASURES[capability], capability.NAME
    if lacking := [signature for signature in rules.signatures if signature not in model.signatures]:
        raise Unmeasurable(f"{name}: the model has no signature {', '.join(lacking)}")
    used = source
    if rules.limit is not None and source.num_examples > rules.limit:
        used = source.subset(draw(np.random.default_rng([seed, 5]), source.num_examples, rules.limit))
    sums, count, of_batch = {}, 0, None
    for batch in used.batches(BATCH, binarization=model.binarization, dequantize=model.dequantize, seed=seed):
        batch = {field: value.numpy() for field, value in batch.items()}
        if of_batch is None:
            lacking = {field for field in rules.fields if field not in batch}
            lacking |= {field for signature in rules.signatures for field in model.missing(signature, batch)}
            if lacking:
                raise Inapplicable(f"{name}: the images come without {', '.join(sorted(lacking))}")
            of_batch = rules.make(model, used)
        size = len(batch["image"])
        batch["seeds"] = np.arange(count, count + size, dtype=np.int64) + (seed << 32)
        for metric, values in of_batch(batch).items():
            sums[metric] = sums.get(metric, 0.0) + float(np.sum(values, dtype=np.float64))
        count += size
    protocol = {
        "data": source.name, "data_fingerprint": source.fingerprint, "split": source.split, "n_real": count,
        "binarization": model.binarization, "dequantize": model.dequantize, "seed": seed, "weights": model.weights,
    }  # fmt: skip
    if capability is Likelihood:
        protocol["importance_samples"] = model.metadata.get("importance_samples")
    return {metric: total / count for metric, total in sums.items()}, protocol
