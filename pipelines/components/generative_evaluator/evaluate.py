"""Measures an exported generator: sample metrics, likelihoods, anchors, the last blessed model; writes it all down.

Only the SavedModel is used, loaded with plain `tf.saved_model.load`: what is measured is what will be served.
"""

import dataclasses
import functools
import json
import math
import os
import shutil
import types

import keras
import numpy as np
import tensorflow as tf

from tfgen.metrics.generators import Samples, SavedModelGenerator, imitated
from tfgen.metrics.statistics import BATCH, NotFinite
from tfgen_pipelines.components.generative_evaluator import figures, verdict
from tfgen_pipelines.components.generative_evaluator.through_beam import Remote

MAX_SAMPLES = 5000  # default of num_samples, where the eval split has more images
SHOWN = 160  # samples that the figures show
LIKELIHOOD_BATCH = 100
NOT_JUDGED = ("class_shares",)  # lists, for the report


class Generator(SavedModelGenerator):
    """A model that `tfgen.export` wrote: its signatures and its `tfgen.json`."""

    def __init__(self, path):
        path = str(path)
        metadata = os.path.join(path, "assets.extra", "tfgen.json")
        if not tf.io.gfile.exists(metadata):
            raise FileNotFoundError(f"{metadata} is missing: {path} was not written by tfgen.export.")
        super().__init__(path)

    def sample(self, num, seed):
        """float32 [num, H, W, C]; image i is that of the serving seed `seed * 2**32 + i`."""
        return np.concatenate([self.images(seed, i, min(i + BATCH, num)) for i in range(0, num, BATCH)])

    def inputs(self, name):
        """The names of the inputs of signature `name`."""
        return set(self.signatures[name].structured_input_signature[1])

    def map(self, name, images, batch_size=LIKELIHOOD_BATCH, **others):
        """Signature `name` (image -> an output of the same name or `image`) over all images, and `others`, row by row."""
        function, inputs = self.signatures[name], {"image": images, **others}
        (output,) = function.structured_outputs if len(function.structured_outputs) == 1 else (name,)
        return np.concatenate(
            [
                function(**{key: tf.constant(v[i : i + batch_size]) for key, v in inputs.items()})[output].numpy()
                for i in range(0, len(images), batch_size)
            ]
        )


def export_untrained(metadata, path, seed):
    """Writes a model of the same configuration before its first training step: the worst anchor.

    As a SavedModel with the signature `sample`, so that all workers draw from the same weights, a function of `seed`.
    """
    from tfgen import models
    from tfgen.export import METADATA, write_saved_model

    name = metadata["model"]
    if name not in models.MODELS:
        raise ValueError(f"tfgen.models has no model {name!r}; it has {', '.join(sorted(models.MODELS))}.")
    keras.utils.set_random_seed(seed)
    model = models.MODELS[name].from_config(metadata["config"])
    signatures = {"sample": model.signatures()["sample"]}
    write_saved_model(types.SimpleNamespace(variables=model.variables, signatures=lambda: signatures), path)
    file = os.path.join(path, METADATA)
    os.makedirs(os.path.dirname(file))
    with open(file, "w") as f:
        json.dump({**metadata, "weights": "raw"}, f)


def reference_images(source, binarization):
    """`tfgen.metrics.imitated` of a source, itself opened by each process where the images are not the source's own."""
    return source if binarization != "threshold" else Remote(functools.partial(imitated, source, binarization))


def _images(source, meta, seed):
    """All images float32 [N, H, W, C], prepared as the model's training images were; the noise from `seed`."""
    batches = source.batches(500, binarization=meta.get("binarization"), dequantize=bool(meta.get("dequantize")), seed=seed)
    return np.concatenate([batch["image"].numpy() for batch in batches])


def likelihoods(generator, source, seed):
    """-> ({metric: mean}, protocol dict) of the signatures `log_prob` and `elbo`, where the model has them.

    negative_log_likelihood: nats per image (the importance weighted bound), bits_per_dim: the same per dimension,
    negative_elbo: nats per image. The images are binarised as the model was trained; dynamically with `seed`. A conditional
    model is told their labels.
    """
    meta = generator.metadata
    known = {"image", "labels"} if source.has_labels else {"image"}
    present = [name for name in ("log_prob", "elbo") if name in generator.signatures and generator.inputs(name) <= known]
    if not present:
        return {}, {}
    images = _images(source, meta, seed)
    # A density of dequantised images becomes the probability of their levels by the width of one level.
    log_levels = math.log2(source.levels) if meta.get("dequantize") else 0.0
    values = {}
    for name in present:
        labels = {"labels": np.asarray(source.labels(), np.int32)} if "labels" in generator.inputs(name) else {}
        mean = float(np.mean(generator.map(name, images, **labels), dtype=np.float64))
        if name == "log_prob":
            values["negative_log_likelihood"] = -mean
            values["bits_per_dim"] = -mean / (math.prod(source.image_shape) * math.log(2.0)) + log_levels
        else:
            values["negative_elbo"] = -mean
    protocol = {
        "data": source.name,
        "data_fingerprint": source.fingerprint,
        "split": "eval",
        "n_real": len(images),
        "binarization": meta.get("binarization"),
        "dequantize": bool(meta.get("dequantize", False)),
        "importance_samples": meta.get("importance_samples"),
        "seed": seed,
        "weights": meta.get("weights"),
    }
    return values, protocol


def _sample_metrics(evaluator, generator, num, seed, known):
    """-> ({metric: value}, protocol dict or None). Images that are not finite have the metrics `known`, all NaN."""
    metadata = generator.metadata
    try:
        result = evaluator.judge(
            Samples(generator, seed), num, weights=metadata.get("weights", "raw"),
            batch_norm=metadata.get("batch_norm", "moving"), generator_hash=generator.weights_hash,
            extra={"binarization": metadata.get("binarization")},
        )  # fmt: skip
    except NotFinite:
        return dict.fromkeys(known, math.nan), None
    return dict(result.values), result.protocol.to_dict()


def _numbers(values):
    return {name: float(v) for name, v in values.items() if name not in NOT_JUDGED and isinstance(v, int | float)}


def evaluate(model_dir, *, train, test, data_name, output_dir, classifier_dir=None, baseline_dir=None,
             num_samples=0, seed=0, thresholds=None, run=None):  # fmt: skip
    """Measures the SavedModel in `model_dir`, decides, and writes `output_dir`.

    Args:
        model_dir: folder with saved_model.pb and assets.extra/tfgen.json.
        train, test: `tfgen.data.Source`s, or `Remote`s of them where `run` goes to other processes.
        data_name: for the report.
        output_dir: gets metrics.json, samples.png, neighbours.png and, where the model reconstructs,
            reconstructions.png.
        classifier_dir: of `tfgen.metrics.Classifier`; None: no sample metrics, likelihoods alone.
        baseline_dir: SavedModel of the last blessed model, or None. It is measured here, with the same images,
            features and seeds: numbers of another protocol are never compared.
        num_samples: images to generate; 0: as many as the eval split has, at most MAX_SAMPLES.
        seed: of everything random.
        thresholds: see `verdict`.
        run: how the walks over samples and real images are done, e.g. a function scratch folder -> `ThroughBeam`; None: in
            this process.

    Returns: the content of metrics.json:
        {"model": tfgen.json, "data", "classifier": {...} | None, "metrics": {name: {"value", "real", "untrained",
        "baseline", "protocol": name in "protocols"}}, "protocols", "class_shares", "thresholds",
        "verdict": {"blessed", "checks"}, "baseline": {...} | None, "notes"}; numbers that are not finite are null.
    """
    scratch = os.path.join(output_dir, ".work")
    os.makedirs(scratch, exist_ok=True)
    try:
        return _evaluate(model_dir, train, test, data_name, output_dir, classifier_dir, baseline_dir, num_samples, seed,
                         thresholds or {}, scratch, None if run is None else run(scratch))  # fmt: skip
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _evaluate(model_dir, train, test, data_name, output_dir, classifier_dir, baseline_dir, num_samples, seed, thresholds,
              scratch, run):  # fmt: skip
    generator = Remote(functools.partial(Generator, str(model_dir)))
    meta = generator.metadata
    binarization = meta.get("binarization")
    num = num_samples or min(test.num_examples, MAX_SAMPLES)
    reference_train, reference_test = (reference_images(s, binarization) for s in (train, test))
    if generator.image_shape != tuple(test.image_shape):
        raise ValueError(f"The model makes images {generator.image_shape}, the data set has {tuple(test.image_shape)}.")

    values, protocols, anchors, notes = {}, {}, {"real": {}, "untrained": {}}, []
    evaluator = classifier = None
    if classifier_dir is not None:
        from tfgen import metrics

        classifier = Remote(functools.partial(metrics.Classifier.load, str(classifier_dir)))
        evaluator = metrics.Evaluator(reference_train, reference_test, classifier, seed=seed, run=run)
        real = evaluator.real_anchor(num)
        if real.protocol.n_fake != num:
            notes.append(f"The anchor of real images is of {real.protocol.n_fake} images, the generators' of {num}.")
        anchors["real"] = dict(real.values)
        path = os.path.join(scratch, "untrained")
        export_untrained(meta, path, seed)
        untrained = Remote(functools.partial(Generator, path))
        anchors["untrained"] = _sample_metrics(evaluator, untrained, num, seed, real.values)[0]
        values, protocols["samples"] = _sample_metrics(evaluator, generator, num, seed, _numbers(real.values))
        if protocols["samples"] is None:
            notes.append("Generated images hold NaN or infinity: the sample metrics cannot be computed.")
    else:
        notes.append("The data set has no labels, so there is no classifier and no metric of the samples.")

    likelihood, protocols["likelihood"] = likelihoods(generator, test, seed)
    baseline, baseline_note = _baseline(
        baseline_dir, evaluator, meta, protocols["likelihood"], test, num, seed, anchors["real"]
    )
    judged = {**_numbers(values), **likelihood}
    checks = verdict.judge(
        judged,
        thresholds,
        untrained=_numbers(anchors["untrained"]),
        baseline=baseline,
        baseline_note=baseline_note,
    )
    content = {
        "model": meta,
        "data": data_name,
        "classifier": None if classifier is None else {
            "accuracy": classifier.accuracy, "weights_hash": classifier.weights_hash,
            "description": classifier.description,
        },
        "metrics": {
            name: {
                "value": value,
                "real": anchors["real"].get(name),
                "untrained": anchors["untrained"].get(name),
                "baseline": baseline.get(name),
                "protocol": "likelihood" if name in likelihood else "samples",
            }
            for name, value in judged.items()
        },
        "class_shares": values.get("class_shares"),
        "protocols": protocols,
        "thresholds": thresholds,
        "verdict": {
            "blessed": all(check.passed for check in checks),
            "checks": [dataclasses.asdict(check) for check in checks],
        },
        "baseline": {"note": baseline_note},
        "notes": notes,
    }  # fmt: skip
    content = _finite(content)
    _write(content, output_dir, generator, generator.sample(min(num, SHOWN), seed), reference_train, test, seed)
    return content


def _baseline(path, evaluator, meta, likelihood_protocol, test, num, seed, known):
    """-> ({metric: value of the last blessed model, measured now}, why a metric is missing)."""
    if path is None:
        return {}, "there is none"
    baseline = Remote(functools.partial(Generator, str(path)))
    for key in ("preset", "image_shape"):
        if baseline.metadata.get(key) != meta.get(key):
            return {}, f"it has another {key}: {baseline.metadata.get(key)} instead of {meta.get(key)}"
    values, note = {}, ""
    if evaluator is not None:
        values.update(_numbers(_sample_metrics(evaluator, baseline, num, seed, known)[0]))
    likelihood, protocol = likelihoods(baseline, test, seed)
    different = [k for k in protocol if k != "weights" and protocol[k] != likelihood_protocol.get(k)]
    if different:
        note = f"its likelihood has another protocol: {', '.join(different)}"
    else:
        values.update(likelihood)
    return {name: value for name, value in values.items() if math.isfinite(value)}, note


def _write(content, output_dir, generator, samples, reference_train, test, seed):
    os.makedirs(output_dir, exist_ok=True)
    figures.write_samples(os.path.join(output_dir, "samples.png"), samples)
    if np.isfinite(samples).all():
        figures.write_neighbours(os.path.join(output_dir, "neighbours.png"), samples, reference_train.images())
    if "reconstruct" in generator.signatures:
        images = _images(test.take(min(64, test.num_examples)), generator.metadata, seed)
        figures.write_reconstructions(
            os.path.join(output_dir, "reconstructions.png"), images, generator.map("reconstruct", images)
        )
    # Last: where metrics.json is, everything is.
    with open(os.path.join(output_dir, "metrics.json"), "w") as f:
        json.dump(content, f, indent=1, sort_keys=True, allow_nan=False)


def _finite(value):
    """JSON has no NaN: null stands for it; the verdict's reasons say what it was."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
