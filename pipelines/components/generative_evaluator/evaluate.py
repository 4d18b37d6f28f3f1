"""Measures an exported model by its capabilities, together with anchors and the last blessed model, and writes the results.

`verdict` compares the numbers with thresholds, without measuring.

Only the SavedModel is used, loaded with plain `tf.saved_model.load`, so the served model is measured.
"""

import functools
import json
import math
import os
import shutil
import types

import keras
import numpy as np
import tensorflow as tf

from tfgen import fields
from tfgen.metrics.evaluate import DEFAULT, METRICS, OF_LATENTS, check_applies
from tfgen.metrics.exported import load_exported
from tfgen.metrics.generators import Samples, imitated
from tfgen.metrics.measures import MEASURES, OF_CODES, Inapplicable, Unmeasurable, measure, measure_codes, trivial
from tfgen.metrics.statistics import BATCH, NotFinite, draw
from tfgen.models.capabilities import Encoder, Sampler, Translator
from tfgen.models.capabilities.translator import translation_pictures
from tfgen_pipelines.components.generative_evaluator import figures
from tfgen_pipelines.components.generative_evaluator.through_beam import Remote

MAX_SAMPLES = 5000  # default of num_samples if the eval split has more images
SHOWN = 160  # samples that the figures show
FURTHER = (*(name for name in METRICS if name not in DEFAULT), *OF_CODES)  # metrics that are measured on request
COMMON = ("score", "fid", "kid", "prdc")  # compare the samples of different models
LISTS = ("class_shares",)  # for the report


def check_further(names):
    """Raises ValueError for names that are not in `FURTHER`."""
    if unknown := sorted(set(names) - set(FURTHER)):
        raise ValueError(f"metrics must be some of {', '.join(FURTHER)}; received {', '.join(unknown)}.")


def exported(path, real=None):
    """`tfgen.metrics.load_exported` of a folder that `tfgen.export` wrote; for `real` see there."""
    metadata = os.path.join(str(path), "assets.extra", "tfgen.json")
    if not tf.io.gfile.exists(metadata):
        raise FileNotFoundError(f"{metadata} is missing: {path} was not written by tfgen.export.")
    return load_exported(path, real)


def samples(generator, num, seed):
    """float32 [num, H, W, C]; image i is that of the serving seed `seed * 2**32 + i`."""
    return np.concatenate([generator.images(seed, i, min(i + BATCH, num)) for i in range(0, num, BATCH)])


def export_untrained(metadata, path, seed, wanted):
    """Writes a model of the same configuration before its first training step: the anchor for the worst values.

    It is a SavedModel, so that all workers use the same weights, a function of `seed`.

    Args:
        metadata: `tfgen.json` of the trained model.
        path: folder to write.
        seed: int.
        wanted: names of the signatures to export.
    """
    from tfgen.export import METADATA, write_saved_model
    from tfgen.models import MODELS
    from tfgen.training.state import fixed_networks

    model_class = _class_of(metadata)
    if model_class is None:
        raise ValueError(
            f"tfgen.models has no model {metadata['model']!r}; it has {', '.join(sorted(MODELS))}. A model of your own is "
            "found if it was trained as a preset."
        )
    keras.utils.set_random_seed(seed)
    model = model_class.from_config(metadata["config"])
    found = {signature: parts for signature, parts in model.signatures().items() if signature in wanted}
    parts = {**fixed_networks(model), "variables": model.variables, "signatures": lambda: found}
    write_saved_model(types.SimpleNamespace(**parts), path)
    file = os.path.join(path, METADATA)
    os.makedirs(os.path.dirname(file))
    with open(file, "w") as f:
        json.dump({**metadata, "weights": "raw"}, f)


def draws_reconstructions(metadata):
    """Whether reconstructions are random draws, see `Encoder.draws_reconstructions`; `metadata`: tfgen.json."""
    return getattr(_class_of(metadata), "draws_reconstructions", False)


def _class_of(metadata):
    """The class of a trained model, or None; `metadata`: tfgen.json, which says where a preset of the user's own is."""
    from tfgen import presets

    if "own_preset" in metadata:
        presets.get(metadata["own_preset"])
    return presets.model_class(metadata["model"])


def reference_images(source, binarization):
    """`tfgen.metrics.imitated` of a source; if the images are not those of the source, each process computes them."""
    return source if binarization != "threshold" else Remote(functools.partial(imitated, source, binarization))


def measured(model, source, seed, only=None):
    """Measures all capabilities except the samples of a `Sampler`.

    Args:
        only: the names of the capabilities to measure; None: all.

    Returns:
        ({metric: value}, {capability name: (protocol, its metrics)}, notes, capabilities whose measure is `Inapplicable`).
    """
    values, protocols, notes, inapplicable = {}, {}, [], set()
    for capability in model.capabilities:
        if capability not in MEASURES or (only is not None and capability.NAME not in only):
            continue
        try:
            found, protocol = measure(model, capability, source, seed=seed)
        except Unmeasurable as error:
            notes.append(f"Not measured: {error}.")
            if isinstance(error, Inapplicable):
                inapplicable.add(capability)
        else:
            values |= found
            protocols[capability.NAME] = protocol, tuple(found)
    return values, protocols, notes, inapplicable


def _request(generator, num, seed):
    """Arguments of `Evaluator.evaluate` for the samples of an exported model."""
    metadata = generator.metadata
    return {
        "images": Samples(generator, seed), "count": num, "weights": metadata.get("weights", "raw"),
        "batch_norm": metadata.get("batch_norm", "moving"), "generator_hash": generator.weights_hash,
        "extra": {"binarization": metadata.get("binarization")},
    }  # fmt: skip


def _sample_metrics(result, known):
    """({metric: value}, protocol dict) of a result. If images were not finite: (the metrics `known`, all NaN; None)."""
    if isinstance(result, NotFinite):
        return dict.fromkeys(known, math.nan), None
    return dict(result.values), result.protocol.to_dict()


def _numbers(values):
    return {name: float(v) for name, v in values.items() if name not in LISTS and isinstance(v, int | float)}


def evaluate(model_dir, *, train, test, data_name, output_dir, classifier_dir=None, baseline_dir=None,
             num_samples=0, seed=0, further=(), run=None):  # fmt: skip
    """Measures the SavedModel in `model_dir` by its capabilities, and writes `output_dir`.

    Args:
        model_dir: folder with saved_model.pb and assets.extra/tfgen.json.
        train, test: `tfgen.data.Source`s, or `Remote`s of them if `run` uses other processes.
        data_name: for the report.
        output_dir: gets metrics.json; samples.png, real.png and neighbours.png of a model that makes images;
            reconstructions.png of a model that reconstructs them; translations.png of one that translates.
        classifier_dir: folder of a `tfgen.metrics.Classifier`; None: samples are not measured.
        baseline_dir: SavedModel of the last blessed model, or None. It is measured here, with the same images,
            features and seeds: numbers of another protocol are never compared.
        num_samples: images to generate; 0: as many as the eval split has, at most MAX_SAMPLES.
        seed: seed of all random numbers.
        further: names of further metrics, from `FURTHER`; the notes name those that do not apply.
        run: function of the scratch folder that returns the runner of walks over samples and real images, e.g.
            `ThroughBeam`; None: they run in this process.

    Returns: the content of metrics.json, which `verdict.judge_evaluation` judges:
        {"model": tfgen.json, "capabilities": [name], "inapplicable": [name of a capability that cannot be measured on these
        images], "data", "counts": {"training", "evaluation", "generated": images}, "classifier": {"accuracy",
        "error_over_chance", ...} | None, "metrics": {name: {"value", "real", "untrained", "trivial", "baseline", "protocol":
        name in "protocols"}}, "common": {"values", "protocol"} of samples against the original images, not binarised, to
        compare models with, or None, "protocols": {"samples" or the name of a capability: {...}}, "class_shares",
        "baseline": {"note"}, "notes"}; numbers that are not finite are null.

    Raises:
        ValueError: images of another shape than the model's.
    """
    scratch = os.path.join(output_dir, ".work")
    os.makedirs(scratch, exist_ok=True)
    try:
        return _evaluate(model_dir, train, test, data_name, output_dir, classifier_dir, baseline_dir, num_samples, seed,
                         tuple(further), scratch, None if run is None else run(scratch))  # fmt: skip
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _evaluate(model_dir, train, test, data_name, output_dir, classifier_dir, baseline_dir, num_samples, seed, further,
              scratch, run):  # fmt: skip
    model = Remote(functools.partial(exported, str(model_dir), test))
    meta, is_sampler = model.metadata, Sampler in model.capabilities
    num = num_samples or min(test.num_examples, MAX_SAMPLES)
    reference_train, reference_test = (reference_images(s, model.binarization) for s in (train, test))
    if model.image_shape != tuple(test.image_shape):
        raise ValueError(f"The model is for images {model.image_shape}, the data set has {tuple(test.image_shape)}.")

    # ---- all capabilities except the samples of a Sampler
    measures, measure_protocols, notes, inapplicable = measured(model, test, seed)
    protocol_of = {metric: name for name, (_, metrics) in measure_protocols.items() for metric in metrics}
    anchored = [c for c in model.capabilities if c.NAME in measure_protocols]
    anchors = {"real": {}, "untrained": {}, "trivial": {}}
    for capability in anchored:
        anchors["trivial"] |= trivial(model, capability, train, test, seed=seed)
    if draws_reconstructions(meta) and "reconstruction_error" in anchors["trivial"]:
        anchors["trivial"]["reconstruction_error"] *= 2.0  # also a draw: a random training image, not their mean
    codes, of_codes = {}, [name for name in further if name in OF_CODES]
    if of_codes:
        try:
            codes, measure_protocols["codes"] = _codes(model, train, test, of_codes, seed)
            protocol_of |= dict.fromkeys(codes, "codes")
        except Inapplicable as error:
            notes.append(f"Not measured: {error}.")
    classifier = None
    if is_sampler and classifier_dir is None:
        notes.append("The data set has no labels, so there is no classifier and no metric of the samples.")
        inapplicable.add(Sampler)
    elif is_sampler:
        from tfgen import metrics

        classifier = Remote(functools.partial(metrics.Classifier.load, str(classifier_dir)))
        fewest = min(train.num_examples, test.num_examples, num)
        if fewest <= classifier.feature_width:
            notes.append(
                f"{fewest} images are too few for the metrics of samples, which compare {classifier.feature_width} features."
            )
            classifier = None
    asked = list(DEFAULT)
    for name in (name for name in further if name in METRICS and classifier is not None):
        try:
            check_applies(name, Samples(model, seed), model.image_shape)
            asked.append(name)
        except ValueError as error:
            notes.append(f"Not measured: {error}.")
    if classifier is not None or anchored:
        path = os.path.join(scratch, "untrained")
        wanted = {Sampler.SIGNATURE} if classifier is not None else set()
        wanted |= {"latents", "decode"} if OF_LATENTS & set(asked) else set()
        wanted |= {Encoder.SIGNATURE} if codes else set()
        for capability in anchored:
            wanted |= {capability.SIGNATURE, *MEASURES[capability].signatures}
        export_untrained(meta, path, seed, wanted)
        untrained = Remote(functools.partial(exported, path, test))
        anchors["untrained"] = measured(untrained, test, seed, only=[c.NAME for c in anchored])[0]
        if codes:
            anchors["untrained"] |= _codes(untrained, train, test, of_codes, seed)[0]

    # ---- samples
    values, protocols = {}, {name: protocol for name, (protocol, _) in measure_protocols.items()}
    earlier, baseline_note = _open_baseline(baseline_dir, meta, test)
    common, baseline = None, {}
    if classifier is not None:
        evaluator = metrics.Evaluator(reference_train, reference_test, classifier, metrics=asked, seed=seed, run=run)
        models = [untrained, model, *([earlier] if earlier is not None and Sampler in earlier.capabilities else [])]
        real, *found = evaluator.evaluate_all(
            [evaluator.real_request(num), *(_request(one, num, seed) for one in models)]
        )
        if isinstance(real, NotFinite):
            raise real
        if real.protocol.n_fake != num:
            notes.append(f"The anchor of real images is of {real.protocol.n_fake} images, the generators' of {num}.")
        anchors["real"] = dict(real.values)
        anchors["untrained"] |= _sample_metrics(found[0], real.values)[0]
        values, protocols["samples"] = _sample_metrics(found[1], _numbers(real.values))
        if protocols["samples"] is None:
            notes.append("Generated images hold NaN or infinity: the sample metrics cannot be computed.")
        if found[2:]:
            baseline = _numbers(_sample_metrics(found[2], anchors["real"])[0])
        if values and protocols["samples"]:
            common = _common(model, values, protocols["samples"], train, test, classifier, num, seed, run)
    if earlier is not None:
        baseline, baseline_note = _with_measures(baseline, earlier, protocols, protocol_of, test, seed)
    content = {
        "model": meta,
        "capabilities": [capability.NAME for capability in model.capabilities],
        "inapplicable": sorted(capability.NAME for capability in inapplicable),
        "data": data_name,
        "counts": {
            "training": train.num_examples,
            "evaluation": test.num_examples,
            "generated": num if is_sampler and classifier_dir is not None else None,
        },
        "classifier": None if classifier is None else {
            "accuracy": classifier.accuracy, "error_over_chance": _error_over_chance(classifier.accuracy, test),
            "weights_hash": classifier.weights_hash, "description": classifier.description,
        },
        "metrics": {
            name: {
                "value": value,
                **{column: anchors[column].get(name) for column in anchors},
                "baseline": baseline.get(name),
                "protocol": protocol_of.get(name, "samples"),
            }
            for name, value in {**_numbers(values), **measures, **codes}.items()
        },
        "common": common,
        "class_shares": values.get("class_shares"),
        "protocols": protocols,
        "baseline": {"note": baseline_note},
        "notes": notes,
    }  # fmt: skip
    content = _finite(content)
    _write(content, output_dir, model, num, reference_train, reference_test, test, seed)
    return content


def _common(model, values, protocol, train, test, classifier, num, seed, run):
    """{"values", "protocol"} of the samples against the original images: `values` if the model was trained on these."""
    if protocol["train_fingerprint"] != train.fingerprint:
        from tfgen import metrics

        found = metrics.Evaluator(train, test, classifier, metrics=COMMON, seed=seed, run=run).evaluate(
            Samples(model, seed), num, weights=model.metadata.get("weights", "raw"), generator_hash=model.weights_hash
        )  # fmt: skip
        values, protocol = found.values, found.protocol.to_dict()
    return {"values": _numbers(values), "protocol": {**protocol, "extra": {}}}


def _codes(model, train, test, names, seed):
    """({metric: value}, (protocol, names of the metrics))."""
    values, protocol = measure_codes(model, train, test, names, seed=seed)
    return values, (protocol, tuple(values))


def _error_over_chance(accuracy, source):
    """The errors of a classifier over those of always predicting the most frequent class; 1 if there is only one class."""
    wrong_by_chance = 1.0 - np.bincount(source.labels()).max() / source.num_examples
    return (1.0 - accuracy) / wrong_by_chance if wrong_by_chance else 1.0


def _open_baseline(path, meta, test):
    """(the last blessed model, or None; why it is not measured)."""
    if path is None:
        return None, "there is none"
    baseline = Remote(functools.partial(exported, str(path), test))
    try:
        theirs = baseline.metadata
    except ValueError as error:  # exported by an earlier tfgen
        return None, f"it cannot be asked: {error}"
    for key in ("preset", "image_shape"):
        if theirs.get(key) != meta.get(key):
            return None, f"it has another {key}: {theirs.get(key)} instead of {meta.get(key)}"
    return baseline, ""


def _with_measures(values, baseline, protocols, protocol_of, test, seed):
    """({metric: value of the last blessed model, measured now}, why a metric is missing); `values`: those of its samples."""
    values, notes = dict(values), []
    found, found_protocols, *_ = measured(baseline, test, seed, only=set(protocol_of.values()))
    for name, (protocol, metrics) in found_protocols.items():
        different = [k for k in protocol if k != "weights" and protocol[k] != protocols[name].get(k)]
        if different:
            notes.append(f"its {name} has another protocol: {', '.join(different)}")
        else:
            values |= {metric: found[metric] for metric in metrics}
    return {name: value for name, value in values.items() if math.isfinite(value)}, "; ".join(notes)


def _write(content, output_dir, model, num, reference_train, reference_test, test, seed):
    os.makedirs(output_dir, exist_ok=True)
    if Sampler in model.capabilities:
        shown = samples(model, min(num, SHOWN), seed)
        figures.write_samples(os.path.join(output_dir, "samples.png"), shown)
        real = draw(np.random.default_rng([seed, 6]), reference_test.num_examples, len(shown))
        figures.write_samples(os.path.join(output_dir, "real.png"), reference_test.subset(real).images())
        if np.isfinite(shown).all():
            figures.write_neighbours(os.path.join(output_dir, "neighbours.png"), shown, reference_train)
    asked = Translator in model.capabilities and not model.missing("translate", test.fields)
    if asked or Encoder.NAME in content["protocols"]:
        noise = {"binarization": model.binarization, "dequantize": model.dequantize, "seed": seed}
        batch = next(iter(test.batches(min(64, test.num_examples), **noise)))
        batch = {field: value.numpy() for field, value in batch.items()}
        batch["seeds"] = np.arange(len(batch["image"]), dtype=np.int64) + (seed << 32)
    if Encoder.NAME in content["protocols"]:
        figures.write_reconstructions(
            os.path.join(output_dir, "reconstructions.png"), batch["image"], model.ask("reconstruct", batch)["image"]
        )
    if asked:
        made = model.ask("translate", batch)
        inputs = model.input_fields("translate")
        batch = fields.with_start(batch, inputs)
        groups = translation_pictures([field for field in inputs if field.name in batch], batch, made)
        figures.write_translations(os.path.join(output_dir, "translations.png"), groups)
    # Written last: if metrics.json exists, all files do.
    with open(os.path.join(output_dir, "metrics.json"), "w") as f:
        json.dump(content, f, indent=1, sort_keys=True, allow_nan=False)


def _finite(value):
    """Replaces NaN and infinity, which JSON does not have, by null."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
