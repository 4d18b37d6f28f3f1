"""The weights behind the records: `zoo/NAME/` has a trained model of the record NAME, of at most 1 MB.

    config.json          {"class_name", "config"} of the model, for `load`
    model.weights.h5     its weights; the averaged ones where the training averaged; float16 where that changes little
    examples.npz         a part of the test split, on which `check` finds the metric again; none if the metric needs none
    metadata.json        the record, its training, hashes of the files, which weights they are, and `metric`

The metric is one of the record, measured on few examples. Its noise is the standard deviation over `PARTS` parts of the test
split; float16 is used, and a reloaded model passes, if the metric of the first part changes by less than a tenth of it. The
field `zoo` of a record says what was kept, or why nothing was.
`zoo/classifier_DATA/classifier.npz` is the classifier by whose features distances are measured.
"""

import contextlib
import functools
import json
import pathlib
import re
import tempfile

import numpy as np

import tfgen
from benchmarks.record import ROOT, write
from tfgen import pretrained
from tfgen.files import sha256, write_whole
from tfgen.metrics import Classifier, frechet_distance, hungarian_accuracy, train_classifier
from tfgen.models.capabilities import Translator
from tfgen.training.state import named_variables

FOLDER = ROOT / "zoo"
LIMIT = 1_000_000  # bytes of an entry
PARTS, EXAMPLES, SAMPLES = 5, 200, 200


# ---- Metrics: (model, source of the examples, number of the part, settings) -> number


def negative_elbo_nats(model, part, number, settings):
    (batch,) = part.batches(len(part), binarization=settings.get("binarization"), seed=0)
    return -float(np.mean(model.elbo(batch["image"], seed=0)))


def bits_per_dim(model, part, number, settings):
    (batch,) = part.batches(len(part), binarization=settings.get("binarization"), seed=0)
    return float(np.mean(model.bits_per_dim(batch["image"], **model.conditions_of(batch))))


def mse(model, part, number, settings):
    images = part.images()
    return float(np.mean((np.asarray(model.reconstruct(images)) - images) ** 2))


def error_percent(model, part, number, settings):
    return 100.0 * float(np.mean(np.asarray(model.classify(part.images())) != part.labels()))


def hungarian_accuracy_of_codes(model, part, number, settings):
    return hungarian_accuracy(np.asarray(model.classify(part.images())), part.labels(), part.num_classes)


def frechet_classifier_distance(model, part, number, settings):
    classifier = _classifier(settings["classifier"])
    images = np.asarray(model.sample(SAMPLES, seed=number, **model.conditions_to_show(SAMPLES)))
    return float(frechet_distance(classifier.features(part.images()), classifier.features(images)))


def match_rate(model, part, number, settings):
    """Share of embeddings that fit their own image better than that of the row before, if this has another embedding."""
    images, vectors = part.images(), part.values("embedding")
    own, other = (np.asarray(model.match_logits(shown, vectors)) for shown in (images, np.roll(images, 1, axis=0)))
    differs = np.any(vectors != np.roll(vectors, 1, axis=0), axis=1)
    return float(np.mean(own[differs] > other[differs]))


def within_3_std(model, part, number, settings):
    from benchmarks.reproduce.claims.gaussians import MIXTURES, modes, toy_samples

    mixture = MIXTURES[settings["mixture"]]
    return modes(toy_samples(model, mixture, seed=number), mixture)["within_3_std"]


def target_l1(model, part, number, settings):
    return float(np.mean(np.abs(_translated(model, part) - part.values("target"))))


def content_l1(model, part, number, settings):
    """Mean absolute change of contents, by their own styles, or by an even mixture of the model's styles."""
    return float(np.mean(np.abs(_translated(model, part) - part.images())))


def cycle_l1(model, part, number, settings):
    there = _translated(model, part)
    return float(np.mean(np.abs(np.asarray(model.translate_back(image=there)["image"]) - part.images())))


def _translated(model, part):
    given = {field.argument: part.values(field.name) for field in model.translated_fields() if field.name in part.fields}
    return np.asarray(model.translate(**given)["image"])


def moving_digits_l1(model, part, number, settings):
    """Mean absolute error of translated clips of digits that no training saw, of the frames that are made."""
    clips = tfgen.data.load("moving:digits", "test", num=20, num_frames=model.num_frames, seed=100 + number)
    (batch,) = clips.batches(20)
    return float(np.mean(Translator.number_of(model, batch, {})))


@functools.cache
def _classifier(name):
    return Classifier.load(FOLDER / name)


METRICS = {
    f.__name__: f
    for f in (
        negative_elbo_nats, bits_per_dim, mse, error_percent, hungarian_accuracy_of_codes, frechet_classifier_distance,
        match_rate, within_3_std, target_l1, cycle_l1, content_l1, moving_digits_l1,
    )
}  # fmt: skip


# ---- Writing and reading


def keep(record, model, metric, *, training, train=None, test=None, averaged=None, **settings):
    """Writes `zoo/NAME` for the record of that name, and in the record, under "zoo", what was kept, or why it was not.

    Args:
        record: path of the written record; nothing is done for one outside of benchmarks/reproduce.
        model: the trained model, with its averages if it has any.
        metric: name of one of `METRICS`.
        training: the entry of the record's `trainings` that trained it.
        averaged: whether the model's weights are averages already; None: they are averaged if it has averages.
        train, test: the sources of images; their data set has a classifier in the zoo, which is trained if it is missing.
            None: the metric needs no images.
        **settings: of the metric.
    """
    record = pathlib.Path(record)
    if record.resolve().parent != ROOT / "benchmarks" / "reproduce":
        return
    kept = _keep(record, model, metric, training, train, test, averaged, settings)
    print(f"{record.stem} in the zoo: {kept}")
    write(record, json.loads(record.read_text()) | {"zoo": kept})


def _keep(record, model, metric, training, train, test, averaged, settings):
    config = json.loads(json.dumps({"class_name": type(model).__name__, "config": model.get_config()}))
    if needed := _files_of(config):
        sizes = ", ".join(f"{path} ({pathlib.Path(path).stat().st_size:,} bytes)" for path in needed)
        return {"kept": False, "why": f"it needs files of other networks beside its weights: {sizes}"}
    plain, settings = type(model).from_config(config["config"]), {"name": metric, **settings}
    if (least := 2 * plain.count_params()) > LIMIT:
        return {"kept": False, "why": f"the weights have {least:,} bytes in float16, more than {LIMIT:,}"}
    if METRICS[metric] is frechet_classifier_distance:
        size = (training.get("load") or {}).get("size")  # resized images have a classifier of their own
        name = test.name.split("/")[0] + (f"_{size[0]}" if size else "")
        settings["classifier"] = f"classifier_{re.sub(r'[^a-z0-9]+', '_', name)}"
        train_classifier(train, test, seed=0, workdir=FOLDER / settings["classifier"])
    swap, data, parts = averaged is None and model.ema is not None, None, [None] * PARTS
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        if test is not None:
            size = min(EXAMPLES, len(test) // PARTS)
            parts = [test.subset(range(number * size, (number + 1) * size)) for number in range(PARTS)]
            data = f"{test.name} {test.split}, {size} examples"
            _write_examples(folder / "examples.npz", parts[0])
        with model.ema.swapped() if swap else contextlib.nullcontext():
            trained = named_variables(model)
            for name, variable in named_variables(plain).items():
                variable.assign(trained[name])
        plain.save_weights(folder / "model.weights.h5")
        values = [METRICS[metric](plain, part, number, settings) for number, part in enumerate(parts)]
        tolerance = 0.1 * float(np.std(values))
        whole = (folder / "model.weights.h5").read_bytes()
        pretrained.halve(folder / "model.weights.h5")
        halved = METRICS[metric](load(folder), parts[0], 0, settings)
        dtype = "float16" if abs(halved - values[0]) <= tolerance else "float32"
        if dtype == "float32":
            (folder / "model.weights.h5").write_bytes(whole)
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        content = {
            "record": f"benchmarks/reproduce/{record.name}",
            "weights": "averaged" if swap or averaged else "as trained",
            "dtype": dtype,
            "parameters": plain.count_params(),
            "sha256": {name: sha256(folder / name) for name in files},
            "metric": {**settings, "value": values[0], "tolerance": tolerance, "value_in_float16": halved},
            "data": data,
            "training": {key: training.get(key) for key in ("trained_by", "config", "data")},
        }
    total = sum(map(len, files.values()))
    if total > LIMIT:
        return {"kept": False, "why": f"the files have {total:,} bytes with weights in {dtype}, more than {LIMIT:,}"}
    files["metadata.json"] = (json.dumps(content, indent=2) + "\n").encode()
    for name, data in files.items():
        write_whole(FOLDER / record.stem / name, data)
    return {"kept": True, "bytes": total, "dtype": dtype, metric: values[0]}


def _files_of(config):
    """The paths of files of other networks that a config names; that of a `feature_network` is known by its hash."""
    if isinstance(config, dict):
        for given in (config, config.get("arguments") or {}):
            for path in (given.get("path"), given.get("model")):
                if "fingerprint" in config and isinstance(path, str):
                    return [path]
        config = [value for name, value in config.items() if name != "feature_network"]
    return sorted({path for one in config for path in _files_of(one)}) if isinstance(config, list) else []


def _write_examples(path, part):
    images = np.round(part.images() * 255.0).astype(np.uint8)
    labels = {"labels": part.labels(), "num_classes": part.num_classes} if part.has_labels else {}
    further = [field for name, field in part.fields.items() if name not in ("image", "label", "places")]
    configs = {"fields": json.dumps([field.config() for field in further])} if further else {}
    values = {f"field_{field.name}": _stored(part.values(field.name), field) for field in further}
    np.savez_compressed(path, images=images, levels=part.levels, **labels, **configs, **values)


def _stored(values, field):
    """Values of a batch as a Source stores them."""
    if field.classes is not None:
        return values.argmax(axis=-1).astype(np.uint8)
    return np.round(values * 255.0).astype(np.uint8) if field.pixels else values


def _read_examples(path):
    with np.load(path) as file:
        levels = int(file["levels"])
        labels = {"labels": file["labels"], "num_classes": int(file["num_classes"])} if "labels" in file else {}
        configs = json.loads(str(file["fields"])) if "fields" in file else []
        further = {one["name"]: (file[f"field_{one['name']}"], tfgen.fields.Field(**one)) for one in configs}
        return tfgen.data.from_arrays(
            file["images"], levels=levels, name=path.parent.name, split="test", fields=further or None, **labels
        )


def load(folder):
    """The model of an entry, not compiled."""
    return pretrained.read(folder)


def check(folder):
    """(the recorded metric, what a reloaded model has now, the tolerance) of an entry.

    Raises:
        ValueError: a file is not the one that was written.
    """
    folder = pathlib.Path(folder)
    metric, examples = pretrained.check(folder)["metric"], folder / "examples.npz"
    part = _read_examples(examples) if examples.exists() else None
    return metric["value"], METRICS[metric["name"]](load(folder), part, 0, metric), metric["tolerance"]
