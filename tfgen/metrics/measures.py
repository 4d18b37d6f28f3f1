"""What is measured of an exported model on real images, one measure for each capability, and when it counts as good.

The samples of a `Sampler` are measured by `tfgen.metrics.Evaluator`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from tfgen.metrics.statistics import draw
from tfgen.models.capabilities import Classifier, Codec, Encoder, Likelihood, Sampler, Translator

BATCH = 100


class Unmeasurable(ValueError):
    """The images lack what a measure needs; the message says what."""


@dataclasses.dataclass(frozen=True)
class Measure:
    """How a capability is measured.

    Attributes:
      signatures: those that are asked.
      make: function (model, source) -> a function of a batch {field: array [B, ...]} -> {metric: float [B]}. A metric is
        the mean over all images.
      fields: further fields that batches must have.
      limit: maximum number of images, a random subset; None: all.
      untrained: whether an untrained model is measured for comparison.
    """

    signatures: tuple
    make: Callable
    fields: tuple = ()
    limit: int | None = None
    untrained: bool = True


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
    class, 0 of a perfect classifier, 1 of one that has learned nothing. It is left out where there is one class alone."""
    chance = np.bincount(source.labels()).max() / source.num_examples

    def of_batch(batch):
        probability, label = model.ask("classify", batch)["probability"], batch["label"]
        if label.max() >= probability.shape[1]:
            raise ValueError(f"The model knows {probability.shape[1]} classes; the images have the label {label.max()}.")
        right = probability.argmax(axis=1) == label
        nats = -np.log(np.maximum(probability[np.arange(len(label)), label], np.finfo(np.float32).tiny))
        found = {"accuracy": right, "cross_entropy": nats}
        return found if chance == 1.0 else {**found, "error_over_chance": ~right / (1.0 - chance)}

    return of_batch


def _codec(model, source):
    """bits_per_pixel under the entropy model; psnr in dB, the mean over images rounded to 8 bits, at most 100 of each."""

    def of_batch(batch):
        bits = model.ask("bits", batch)["bits"] / math.prod(source.image_shape[:2])
        made = np.round(model.ask("reconstruct", batch)["image"] * 255.0) / 255.0
        mse = np.mean((made - batch["image"]) ** 2, axis=(1, 2, 3), dtype=np.float64)
        return {"bits_per_pixel": bits, "psnr": -10.0 * np.log10(np.maximum(mse, 1e-10))}

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
    # Likelihoods are absolute: no anchor tells more, and bounds of an untrained model take as long as the others.
    Likelihood: Measure(("log_prob",), _likelihood, untrained=False),
    # Reconstructions of some models are drawn pixel by pixel.
    Encoder: Measure(("reconstruct",), _encoder, limit=1000),
    Classifier: Measure(("classify",), _classifier, fields=("label",)),
    Codec: Measure(("bits", "reconstruct"), _codec),
    Translator: Measure(("translate",), _translator, fields=("target",)),
}

# {capability: thresholds}, as the pipeline's evaluator takes them, of a model for which nobody set any.
THRESHOLDS = {
    Sampler: {
        "frechet_classifier_distance": {"relative_to_untrained": 1.0, "max_worsening": 0.5},
    },
    Likelihood: {"bits_per_dim": {"max_worsening": 0.1}},
    Encoder: {"reconstruction_error": {"relative_to_untrained": 1.0}},
    Classifier: {"error_over_chance": {"upper": 0.5}, "accuracy": {"max_worsening": 0.1}},
    Codec: {"bits_per_pixel": {"max_worsening": 0.2}, "psnr": {"max_worsening": 0.1}},
    Translator: {"target_l1": {"relative_to_untrained": 1.0, "max_worsening": 0.2}},
}


def default_thresholds(capabilities, measured) -> dict:
    """The `THRESHOLDS` of all capabilities, for those metrics that were measured.

    A codec is trained on rate and distortion at once: its samples, or its error alone, say nothing of it.
    """
    if Codec in capabilities:
        capabilities = (Codec,)
    found = {}
    for capability in capabilities:
        found |= {name: rules for name, rules in THRESHOLDS.get(capability, {}).items() if name in measured}
    return found


def measure(model, capability, source, *, seed: int = 0) -> tuple[dict[str, float], dict]:
    """The metrics of one capability on real images.

    Args:
      model: an `ExportedModel` that has the capability.
      capability: a key of `MEASURES`.
      source: a `tfgen.data.Source`; its images are binarised or dequantised as those of training were.
      seed: of that noise, of the subset, and of what the model draws.

    Returns:
      ({metric: mean over the images}, the protocol of these numbers as a dict of plain values).

    Raises:
      Unmeasurable: the model has not all signatures that are asked, or batches of `source` lack a field.
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
                raise Unmeasurable(f"{name}: the images come without {', '.join(sorted(lacking))}")
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
