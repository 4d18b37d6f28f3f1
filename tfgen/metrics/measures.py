"""Metrics of an exported model on real images, one `Measure` for each capability, and the default thresholds.

`tfgen.metrics.Evaluator` measures the samples of a `Sampler`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tfgen.data.source import Source
from tfgen.fields import without_start
from tfgen.metrics.clustering import hungarian_accuracy
from tfgen.metrics.codes import few_label_accuracy, k_means
from tfgen.metrics.exported import ExportedModel
from tfgen.metrics.statistics import draw
from tfgen.metrics.temporal import temporal_l1
from tfgen.models.capabilities import (
    Capability,
    Classifier,
    Codec,
    Encoder,
    Likelihood,
    Projector,
    Sampler,
    Translator,
)
from tfgen.progress import Progress

BATCH = 100


class Unmeasurable(ValueError):
    """The model cannot be measured; the message gives the reason."""


class Inapplicable(Unmeasurable):
    """The measure does not apply: the images lack a field, or the model was not trained for this."""


@dataclasses.dataclass(frozen=True)
class Measure:
    """How a capability is measured.

    Attributes:
      metrics: the names of its numbers.
      signatures: the names of the signatures that it calls.
      make: function (model, source) -> a function of a batch {field: array [B, ...]} -> {metric: float [B]}. A metric is
        the mean over all images.
      fields: further fields that batches must have.
      limit: maximum number of images, a random subset; None: all.
      trivial: None, or function (iterable of training batches, iterable of evaluated batches, levels) -> {metric: value of
        a baseline that needs no model}.
    """

    metrics: tuple
    signatures: tuple
    make: Callable
    fields: tuple = ()
    limit: int | None = None
    trivial: Callable | None = None


def _likelihood(model, source):
    """negative_log_likelihood and, where there is a signature `elbo`, negative_elbo: nats per image; bits_per_dim."""
    # The probability of a level is the density of dequantised images times the width of the level, 1 / levels.
    log_levels = math.log2(source.levels) if model.dequantize else 0.0

    def of_batch(batch):
        nats = -model.ask("log_prob", batch)["log_prob"].astype(np.float64)
        bits = nats / (math.prod(source.image_shape) * math.log(2.0)) + log_levels
        found = {"negative_log_likelihood": nats, "bits_per_dim": bits}
        if "elbo" in model.signatures:
            found["negative_elbo"] = -model.ask("elbo", batch)["elbo"]
        return found

    return of_batch


def _squared_error(metric, signature):
    """Squared difference between images in [0, 1] and the output of `signature` for them, mean over pixels and channels."""

    def make(model, source):
        def of_batch(batch):
            errors = model.ask(signature, batch)["image"] - batch["image"]
            return {metric: np.mean(errors**2, axis=(1, 2, 3), dtype=np.float64)}

        return of_batch

    return make


def _classifier(model, source):
    """accuracy; cross_entropy in nats; error_over_chance: the error rate over that of always predicting the most frequent
    class, 0 for a perfect classifier, 1 for one that has learned nothing. It is left out if there is only one class.

    A model that found its classes without labels has them in an arbitrary order, so it is not compared with labels.
    """
    if "label" not in {field["name"] for field in model.metadata.get("fields", ())}:
        raise Inapplicable("classifier: the model was not trained on labels, so its classes are not those of the data")
    chance = np.bincount(source.labels()).max() / source.num_examples

    def of_batch(batch):
        probability, label = model.ask("classify", batch)["probability"], batch["label"]
        if label.max() >= probability.shape[1]:
            raise Unmeasurable(
                f"classifier: the model has {probability.shape[1]} classes; the images have the label {label.max()}"
            )
        right = probability.argmax(axis=1) == label
        nats = -np.log(np.maximum(probability[np.arange(len(label)), label], np.finfo(np.float32).tiny))
        found = {"accuracy": right, "cross_entropy": nats}
        return found if chance == 1.0 else {**found, "error_over_chance": ~right / (1.0 - chance)}

    return of_batch


def _codec(model, source):
    """bits_per_pixel under the entropy model; bits_over_raw: these bits over the bits of the uncompressed image; psnr in
    dB, of reconstructions rounded to 8 bits, at most 100 for each image; net_psnr: the psnr less 6.02 dB for each bit per
    pixel and channel.

    Without any model of images, one bit of each pixel coded on its own can lower the squared error to a quarter, which is
    6.02 dB (Shannon's bound D(R) <= variance / 4^R; Cover and Thomas 2006, problem 10.8). So a codec that has learned
    something has a net_psnr above that of the mean image, which costs no bits.
    """
    pixels, dims = math.prod(source.image_shape[:2]), math.prod(source.image_shape)
    raw = dims * math.log2(source.levels)

    def of_batch(batch):
        bits = model.ask("bits", batch)["bits"]
        made = np.round(model.ask("reconstruct", batch)["image"] * 255.0) / 255.0
        mse = np.mean((made - batch["image"]) ** 2, axis=(1, 2, 3), dtype=np.float64)
        psnr = -10.0 * np.log10(np.maximum(mse, 1e-10))
        net = psnr - 20.0 * math.log10(2.0) * bits / dims
        return {"bits_per_pixel": bits / pixels, "bits_over_raw": bits / raw, "psnr": psnr, "net_psnr": net}

    return of_batch


def _translator(model, source):
    """target_l1: absolute difference to the field `target`, mean over pixels and channels, of images in [0, 1]; of clips
    with the field `flow` also temporal_l1, with the weights of a field `confidence`, see `tfgen.metrics.temporal_l1`.

    Only frames that the model makes are counted: not the given first ones, `start`, with which its clips begin. temporal_l1
    compares the first made frame with the last given one.
    """
    inputs = model.input_fields("translate")

    def of_batch(batch):
        outputs = model.ask("translate", batch)
        made = outputs["image"] if "image" in outputs else outputs["frames"]
        errors = without_start(np.abs(made - batch["target"]), inputs).reshape(len(made), -1)
        found = {"target_l1": errors.mean(axis=1, dtype=np.float64)}
        if "frames" in outputs and "flow" in batch:
            names = ("flow", "confidence") if "confidence" in batch else ("flow",)
            clips = (made, *(batch[name] for name in names))
            found["temporal_l1"] = temporal_l1(*(without_start(clip, inputs, keep=1) for clip in clips))
        return found

    return of_batch


def _marginals(train, evaluated, levels):
    """Likelihood under independent pixels, each with the distribution of its levels in the training images. All pixels of a
    channel share one distribution if a table for each pixel would exceed `MARGINALS_LIMIT`."""

    def places(batch):
        """Indices [B, pixels and channels] into the table."""
        shape = batch["image"].shape[1:]
        place = np.arange(math.prod(shape))
        if len(place) * levels > MARGINALS_LIMIT:
            place %= shape[-1]
        return place * levels + np.round(batch["image"] * (levels - 1)).astype(np.int64).reshape(len(batch["image"]), -1)

    table: Any = 0
    for batch in train:
        found = places(batch)
        size = levels * (found.shape[1] if found.shape[1] * levels <= MARGINALS_LIMIT else batch["image"].shape[-1])
        table = table + np.bincount(found.ravel(), minlength=size)
    table = table.reshape(-1, levels)
    # Additive smoothing: no level has probability 0.
    log_share = np.log((table + 1.0 / levels) / (table.sum(axis=1, keepdims=True) + 1.0)).ravel()
    nats = np.concatenate([-log_share[places(batch)].sum(axis=1) for batch in evaluated])
    nats, dims = float(nats.mean()), found.shape[1]
    return {"negative_log_likelihood": nats, "bits_per_dim": nats / (dims * math.log(2.0))}


def _mean(batches, field):
    total, count = 0.0, 0
    for batch in batches:
        total, count = total + batch[field].sum(axis=0, dtype=np.float64), count + len(batch[field])
    return total / count


def _mean_image(train, evaluated, levels):
    """Squared error and PSNR of the mean training image."""
    mean = _mean(train, "image")
    rounded = np.round(mean * 255.0) / 255.0
    squared = lambda batch, made: ((made - batch["image"]) ** 2).mean(axis=(1, 2, 3), dtype=np.float64)  # noqa: E731
    errors = [(squared(batch, mean), squared(batch, rounded)) for batch in evaluated]
    errors, in_levels = (np.concatenate(column) for column in zip(*errors, strict=True))
    psnr = float((-10.0 * np.log10(np.maximum(in_levels, 1e-10))).mean())
    return {"reconstruction_error": float(errors.mean()), "psnr": psnr, "net_psnr": psnr}  # it costs no bits


def _copy_or_mean_target(train, evaluated, levels):
    """L1 of the better of two baselines: the image itself, if it has the shape of the target, and the mean target."""
    mean = _mean(train, "target")
    errors: dict[str, list] = {"mean": [], "copy": []}
    for batch in evaluated:
        answers = {"mean": mean, **({"copy": batch["image"]} if batch["image"].shape == batch["target"].shape else {})}
        for name, made in answers.items():
            errors[name] += np.abs(made - batch["target"]).reshape(len(batch["image"]), -1).mean(axis=1).tolist()
    return {"target_l1": min(float(np.mean(found)) for found in errors.values() if found)}


MEASURES = {
    Likelihood: Measure(
        ("negative_log_likelihood", "bits_per_dim", "negative_elbo"), ("log_prob",), _likelihood, trivial=_marginals
    ),
    # Some models reconstruct pixel by pixel, which is slow.
    Encoder: Measure(
        ("reconstruction_error",), ("reconstruct",), _squared_error("reconstruction_error", "reconstruct"), limit=1000,
        trivial=_mean_image,
    ),
    Classifier: Measure(("accuracy", "cross_entropy", "error_over_chance"), ("classify",), _classifier, fields=("label",)),
    Codec: Measure(
        ("bits_per_pixel", "bits_over_raw", "psnr", "net_psnr"), ("bits", "reconstruct"), _codec, trivial=_mean_image
    ),
    Translator: Measure(
        ("target_l1", "temporal_l1"), ("translate",), _translator, fields=("target",), trivial=_copy_or_mean_target
    ),
    # A projection computes hundreds of gradients for each image.
    Projector: Measure(("projection_error",), ("project",), _squared_error("projection_error", "project"), limit=200),
}
MARGINALS_LIMIT = 2**24  # entries of the table of independent pixels
TRAIN_LIMIT = 10_000  # number of images for trivial values and for codes

# The metrics of samples that the pipeline's evaluator always computes, by `tfgen.metrics.Evaluator` with a `Classifier`.
SAMPLE_METRICS = (
    "classifier_score", "classifier_score_std", "num_classes", "frechet_classifier_distance", "kernel_distance_mean",
    "kernel_distance_std", "precision", "recall", "density", "coverage", "nn_pixel_fake_train", "nn_pixel_test_train",
    "nn_pixel_ratio", "nn_feature_fake_train", "nn_feature_test_train", "nn_feature_ratio",
)  # fmt: skip

# Metrics of codes, computed only on request: {name: metrics}.
OF_CODES = {"k_means": ("k_means_accuracy",), "few_labels": ("few_label_accuracy", "few_label_accuracy_std")}
PER_CLASS = 10  # labelled images of each class for few_labels
# Further metrics of samples, computed only on request, see `tfgen.metrics.Evaluator.evaluate`.
FURTHER_METRICS = (
    "frechet_classifier_distance_infinity", "ms_ssim_mean", "ms_ssim_std", "swd", "birthday_duplicate_rate", "path_length",
    "path_length_std", "linear_separability",
)  # fmt: skip

# The thresholds of a model for which the user sets none: {capability: {metric: {rule: bound}}}. Each capability has a bound
# that an untrained model fails and that needs no earlier model. Metrics of samples are combined, because bad samples can
# pass each of them alone: blurred images are nearer to the data than noise, a constant image or copies of one class can be
# precise.
THRESHOLDS = {
    Sampler: {
        "frechet_classifier_distance": {"relative_to_untrained": 0.5, "max_worsening": 1.0},
        "precision": {"relative_to_real": 0.4},
        "recall": {"relative_to_real": 0.3},
        "num_classes": {"relative_to_real": 0.8},
    },
    Likelihood: {"bits_per_dim": {"relative_to_untrained": 0.95, "relative_to_trivial": 1.0, "max_worsening": 0.1}},
    Encoder: {"reconstruction_error": {"relative_to_untrained": 0.9, "relative_to_trivial": 1.0}},
    Classifier: {"error_over_chance": {"upper": 0.5}, "accuracy": {"max_worsening": 0.1}},
    Codec: {
        "bits_over_raw": {"upper": 1.0, "max_worsening": 0.2},
        "psnr": {"relative_to_untrained": 1.1, "max_worsening": 0.1},
        "net_psnr": {"relative_to_trivial": 1.0},
    },
    Translator: {"target_l1": {"relative_to_untrained": 0.9, "relative_to_trivial": 1.0, "max_worsening": 0.2}},
    Projector: {"projection_error": {"relative_to_untrained": 0.9, "max_worsening": 0.2}},
}


def check_metrics(names) -> None:
    """Raises ValueError if the pipeline's evaluator has no metric of one of these names."""
    known = {*SAMPLE_METRICS, *FURTHER_METRICS, *(metric for metrics in OF_CODES.values() for metric in metrics)}
    known |= {metric for rules in MEASURES.values() for metric in rules.metrics}
    if unknown := sorted(set(names) - known):
        raise ValueError(f"There is no metric {', '.join(unknown)}; the metrics are {', '.join(sorted(known))}.")


def default_thresholds(capabilities: Iterable[type[Capability]]) -> dict:
    """The `THRESHOLDS` of all capabilities.

    A codec gets only those of `Codec`: it is trained on rate and distortion together, so neither its samples nor its error
    alone show its quality.

    Example:
        >>> tfgen.metrics.default_thresholds([tfgen.models.capabilities.Encoder])
        {'reconstruction_error': {'relative_to_untrained': 0.9, 'relative_to_trivial': 1.0}}
    """
    if Codec in capabilities:
        capabilities = (Codec,)
    found: dict[str, dict] = {}
    for capability in capabilities:
        found |= THRESHOLDS.get(capability, {})
    return found


def measure_codes(
    model: ExportedModel, train: Source, source: Source, names: Iterable[str], *, seed: int = 0
) -> tuple[dict[str, float], dict]:
    """Metrics of how well codes show the classes (see `tfgen.metrics.codes`), fitted on `train`, measured on `source`.

    Example:
        train, test = tfgen.data.load("digits"), tfgen.data.load("digits", "test")
        model = tfgen.metrics.load_exported("vae")  # a folder of `tfgen.export.export_saved_model`
        numbers, protocol = tfgen.metrics.measure_codes(model, train, test, ["k_means", "few_labels"])

    Args:
      model: an `ExportedModel` that is an Encoder.
      train, source: labelled `tfgen.data.Source`s, of which at most `TRAIN_LIMIT` images are used.
      names: from `OF_CODES`. "k_means": accuracy of as many clusters as classes, matched one to one with the classes on
        `train`. "few_labels": accuracy of logistic regression on `PER_CLASS` labelled images of each class.
      seed: seed of the subsets, the noise of binarised or dequantised images, the clusters and the draws of labels.

    Returns:
      ({metric: value}, the protocol as a dict of plain values).

    Raises:
      Inapplicable: the model has no codes, or the images have no labels.
    """
    if Encoder not in model.capabilities or Encoder.SIGNATURE not in model.signatures:
        raise Inapplicable(f"{', '.join(names)}: the model is not an encoder")
    if train.num_classes is None or not source.has_labels:
        raise Inapplicable(f"{', '.join(names)}: the images have no field label")
    codes, labels = [], []
    for of in (_at_most(train, TRAIN_LIMIT, seed), _at_most(source, TRAIN_LIMIT, seed)):
        parts: list[np.ndarray] = []
        progress = Progress("codes", of.num_examples)
        for batch in of.batches(BATCH, binarization=model.binarization, dequantize=model.dequantize, seed=seed):
            batch = {field: value.numpy() for field, value in batch.items()}
            if lacking := model.missing(Encoder.SIGNATURE, batch):
                raise Inapplicable(f"{', '.join(names)}: the images have no field {', '.join(lacking)}")
            first = sum(len(part) for part in parts)
            batch["seeds"] = np.arange(first, first + len(batch["image"]), dtype=np.int64) + (seed << 32)
            parts.append(model.ask(Encoder.SIGNATURE, batch)["latent"].reshape(len(batch["image"]), -1))
            progress.add(len(parts[-1]))
        codes.append(np.concatenate(parts))
        labels.append(of.labels())
    found, classes = {}, train.num_classes
    if "k_means" in names:
        clusters = k_means(codes[0], classes, seed=seed)
        fitted, assigned = (clusters.assign(rows) for rows in codes)
        found["k_means_accuracy"] = hungarian_accuracy(assigned, labels[1], classes, fit=(fitted, labels[0]))
    if "few_labels" in names:
        counts = np.bincount(labels[0])
        per_class = int(min(PER_CLASS, counts[counts > 0].min()))
        few = few_label_accuracy(codes[0], labels[0], codes[1], labels[1], per_class=per_class, seed=seed)
        found |= {"few_label_accuracy": few.accuracy, "few_label_accuracy_std": few.deviation}
    protocol = {
        "data": source.name, "data_fingerprint": source.fingerprint, "train_fingerprint": train.fingerprint,
        "split": source.split, "n_train": len(codes[0]), "n_real": len(codes[1]), "binarization": model.binarization,
        "dequantize": model.dequantize, "seed": seed, "weights": model.weights,
    }  # fmt: skip
    if "few_labels" in names:
        protocol["per_class"] = per_class
    return found, protocol


def _at_most(source, limit, seed):
    if limit is None or source.num_examples <= limit:
        return source
    return source.subset(draw(np.random.default_rng([seed, 5]), source.num_examples, limit))


def trivial(
    model: ExportedModel, capability: type[Capability], train: Source, source: Source, *, seed: int = 0
) -> dict[str, float]:
    """Values of baselines that need no model, on the same images as `measure`; a model should be better than these.

    The baseline of a likelihood is independent pixels; of an encoder and a codec, the mean training image; of a translator,
    the image itself or the mean target, of the frames that the model makes. The images are not dequantised, because
    `bits_per_dim` of `measure` is that of the levels.

    Example:
        train, test = tfgen.data.load("digits"), tfgen.data.load("digits", "test")
        model = tfgen.metrics.load_exported("vae")  # a folder of `tfgen.export.export_saved_model`
        tfgen.metrics.trivial(model, tfgen.models.capabilities.Encoder, train, test)  # {"reconstruction_error": ...}

    Args:
      model, capability, source, seed: as for `measure`.
      train: a `tfgen.data.Source`, of which at most `TRAIN_LIMIT` images are used.

    Returns:
      {metric: value}; {} for other capabilities.
    """
    rules = MEASURES[capability]
    if rules.trivial is None:
        return {}
    levels = 2 if model.binarization else source.levels

    def batches(of):
        for batch in of.batches(BATCH, binarization=model.binarization, seed=seed):
            batch = {field: value.numpy() for field, value in batch.items()}
            if capability is Translator:
                batch["target"] = without_start(batch["target"], model.input_fields("translate"))
            yield batch

    found = rules.trivial(batches(_at_most(train, TRAIN_LIMIT, seed)), batches(_at_most(source, rules.limit, seed)), levels)
    # The nats of a density cannot be compared with the nats of levels.
    dropped = ("negative_log_likelihood",) if model.dequantize else ()
    return {metric: value for metric, value in found.items() if metric in rules.metrics and metric not in dropped}


def measure(
    model: ExportedModel, capability: type[Capability], source: Source, *, seed: int = 0
) -> tuple[dict[str, float], dict]:
    """The metrics of one capability on real images.

    Example:
        >>> model = tfgen.models.Autoencoder(image_shape=(8, 8, 1), network="mlp", hidden=(8,), latent_dim=2)
        >>> path = tfgen.export.export_saved_model(model, "autoencoder", version=1)
        >>> exported, digits = tfgen.metrics.load_exported("autoencoder"), tfgen.data.load("digits", "test").take(20)
        >>> numbers, protocol = tfgen.metrics.measure(exported, tfgen.models.capabilities.Encoder, digits)
        >>> list(numbers)
        ['reconstruction_error']

    Args:
      model: an `ExportedModel` that has the capability.
      capability: a key of `MEASURES`.
      source: a `tfgen.data.Source`; its images are binarised or dequantised as those of training were.
      seed: seed of this noise, of the subset and of the model's random numbers.

    Returns:
      ({metric: mean over the images}, the protocol of these numbers as a dict of plain values).

    Raises:
      Inapplicable: batches of `source` lack a field, or a classifier was not trained on labels.
      Unmeasurable: the model lacks a signature, or it has fewer classes than the images.
    """
    rules, name = MEASURES[capability], capability.NAME
    if lacking := [signature for signature in rules.signatures if signature not in model.signatures]:
        raise Unmeasurable(f"{name}: the model has no signature {', '.join(lacking)}")
    used = _at_most(source, rules.limit, seed)
    sums: dict[str, float] = {}
    count, of_batch, progress = 0, None, Progress(name, used.num_examples)
    for batch in used.batches(BATCH, binarization=model.binarization, dequantize=model.dequantize, seed=seed):
        batch = {field: value.numpy() for field, value in batch.items()}
        if of_batch is None:
            lacking = {field for field in rules.fields if field not in batch}
            lacking |= {field for signature in rules.signatures for field in model.missing(signature, batch)}
            if lacking:
                raise Inapplicable(f"{name}: the images have no field {', '.join(sorted(lacking))}")
            of_batch = rules.make(model, used)
        size = len(batch["image"])
        batch["seeds"] = np.arange(count, count + size, dtype=np.int64) + (seed << 32)
        for metric, values in of_batch(batch).items():
            sums[metric] = sums.get(metric, 0.0) + float(np.sum(values, dtype=np.float64))
        count += size
        progress.add(size)
    protocol = {
        "data": source.name, "data_fingerprint": source.fingerprint, "split": source.split, "n_real": count,
        "binarization": model.binarization, "dequantize": model.dequantize, "seed": seed, "weights": model.weights,
    }  # fmt: skip
    if capability is Likelihood:
        protocol["importance_samples"] = model.metadata.get("importance_samples")
    return {metric: total / count for metric, total in sums.items()}, protocol
