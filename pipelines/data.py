"""The description of a data set for the pipeline: a runner resolves it once and passes it on as plain values."""

import dataclasses

import numpy as np

HELD_OUT = 0.1  # the share held out for evaluation if a data set has no test split


@dataclasses.dataclass(frozen=True)
class Data:
    """The description of a data set of `tfgen.data`, made by `resolve`.

    Attributes:
        spec, options: arguments of `tfgen.data.load`.
        image_shape: (H, W, C).
        fingerprint: fingerprint of both splits; part of the cache keys.
        train_split, eval_split: names of the splits. eval_split None: a share `HELD_OUT` of train_split, chosen by a fixed
            permutation, is the evaluation split; see `Source.held_out`: whole clips, all crops of a photo, ...
        import_base: None, or for ImportExampleGen, which copies records, the folder to which the glob patterns `train_split`
            and `eval_split` are relative.
        num_examples: (train, eval).
        fields: the `tfgen.fields.Field`s of the records.
        groups: groups of a `tfgen.data.FactorSource`, else None.
        unpaired: whether it is a `tfgen.data.UnpairedSource`.
        statistics: for the report, see `describe`.
    """

    spec: str
    image_shape: tuple
    fingerprint: str
    options: dict = dataclasses.field(default_factory=dict)
    train_split: str = "train"
    eval_split: str | None = "test"
    import_base: str | None = None
    num_classes: int | None = None
    class_names: tuple | None = None
    levels: int = 256
    num_examples: tuple = ()
    fields: tuple = ()
    groups: tuple | None = None
    unpaired: bool = False
    statistics: dict = dataclasses.field(default_factory=dict)

    def description(self):
        """The JSON-able dict that `tfgen.data.described` takes, for records of this data set.

        Its `text_encoder` is for `tfgen_trainers.run_fn`.
        """
        # The records of ImageExampleGen were written with these options already; images of imported records were not.
        names = ("size", "channels", "resize", "on_error") if self.import_base else ()
        read = {name: self.options[name] for name in names if name in self.options}
        return {
            "name": self.spec,
            "image_shape": list(self.image_shape),
            "num_classes": self.num_classes,
            "class_names": None if self.class_names is None else list(self.class_names),
            "levels": self.levels,
            "fields": [field.config() for field in self.fields],
            "groups": None if self.groups is None else list(self.groups),
            "unpaired": self.unpaired,
            "read": read,
            "text_encoder": self.options.get("text_encoder"),
        }

    def config(self):
        """The JSON-able dict that `load_split` takes, with the fingerprint."""
        names = ("spec", "options", "train_split", "eval_split", "import_base", "fingerprint")
        return {name: getattr(self, name) for name in names}


def load_split(config, name, in_memory=None):
    """The `tfgen.data.Source` of split `name` ("train" or "eval") of a `Data.config()`; in_memory: see `tfgen.data.load`."""
    import tfgen

    if name not in ("train", "eval"):
        raise ValueError(f"The pipeline's splits are 'train' and 'eval'; received {name!r}.")
    spec, options, base = config["spec"], {**config["options"], "in_memory": in_memory}, config.get("import_base")
    split = config["train_split"] if name == "train" else config["eval_split"]
    if base:
        return tfgen.data.load(f"tfrecord:{base}/{split}", **options)
    if config["eval_split"] is not None:
        return tfgen.data.load(spec, split, **options)
    source = tfgen.data.load(spec, config["train_split"], **options)
    try:
        return source.held_out(HELD_OUT)[name == "eval"]
    except ValueError as error:
        raise ValueError(f"{spec!r} needs an eval_split. {error}.") from error


def resolve(spec, options=None, *, train_split="train", eval_split="test", import_base=None):
    """Reads both splits once, checks them, and returns the `Data`.

    Raises:
        ValueError: the data set is unknown or cannot be read, a split has fewer than 2 images, or the splits differ in image
            shape or fields.
    """
    import tfgen

    config = {"spec": spec, "options": dict(options or {}), "train_split": train_split, "eval_split": eval_split,
              "import_base": import_base}  # fmt: skip
    train, evaluation = load_split(config, "train"), load_split(config, "eval")
    for name, source in (("train", train), ("eval", evaluation)):
        if source.num_examples < 2:
            raise ValueError(f"The {name} split of {spec!r} has {source.num_examples} images; at least 2 are needed.")
    if train.stored_fields.keys() != evaluation.stored_fields.keys():
        raise ValueError(
            f"The splits of {spec!r} have different fields: train {', '.join(train.stored_fields)}, eval "
            f"{', '.join(evaluation.stored_fields)}."
        )
    if train.image_shape != evaluation.image_shape:
        raise ValueError(
            f"The splits of {spec!r} have different image shapes: train {train.image_shape}, eval "
            f"{evaluation.image_shape}. Give a size (and channels) to bring them to one shape."
        )
    return Data(
        **config,
        statistics=describe(train, evaluation),
        image_shape=tuple(train.image_shape),
        fingerprint=f"{train.fingerprint}-{evaluation.fingerprint}",
        num_classes=train.num_classes,
        class_names=None if train.class_names is None else tuple(train.class_names),
        levels=train.levels,
        num_examples=(train.num_examples, evaluation.num_examples),
        fields=tuple(
            dataclasses.replace(field, low=_widest(min, field.low, other.low), high=_widest(max, field.high, other.high))
            for field, other in zip(train.stored_fields.values(), evaluation.stored_fields.values(), strict=True)
        ),
        groups=getattr(train, "groups", None),
        unpaired=isinstance(train, tfgen.data.UnpairedSource),
    )


def _widest(choose, a, b):
    """The bound of a field for both splits together."""
    return None if a is None or b is None else choose(a, b)


def describe(train, evaluation, limit=10_000):
    """{"class_counts": [[int] * classes of train, of eval] or None, "pixel_mean", "pixel_std": of the first `limit`
    training images in [0, 1], "pixel_histogram": shares in 16 equal bins, "skipped": [(file, reason)]}."""
    pixels = train.images(min(limit, train.num_examples))
    histogram = np.histogram(pixels, bins=16, range=(0.0, 1.0))[0]
    counts = None
    if train.has_labels and evaluation.has_labels:
        counts = [np.bincount(s.labels(), minlength=train.num_classes).tolist() for s in (train, evaluation)]
    return {
        "class_counts": counts,
        "pixel_mean": float(pixels.mean(dtype=np.float64)),
        "pixel_std": float(pixels.std(dtype=np.float64)),
        "pixel_histogram": (histogram / histogram.sum()).tolist(),
        # Two parts of one split have skipped the same files.
        "skipped": [*train.skipped, *(entry for entry in evaluation.skipped if entry not in train.skipped)],
    }
