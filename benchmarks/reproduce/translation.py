"""Code that the reproductions of translations share."""

import numpy as np

import tfgen
from benchmarks.reproduce.common import in_parts

VALIDATION = 2_000  # at most so many examples at the end of the train split are measured by --validate


def translation_arguments(arguments, choices):
    """The arguments of a reproduction with `choices`, parsed; see `benchmarks.reproduce.common.arguments`."""
    arguments.add_argument("name", choices=choices)
    arguments.add_argument(
        "--validate", action="store_true",
        help="train without the last training examples and measure on these: for choices; writes no record",
    )  # fmt: skip
    args = arguments.parse_args()
    if args.validate:
        args.out, args.workdir = None, f"{args.workdir}/validate"
    return args


def sources(args, spec, **options):
    """(train, test, what `benchmarks.record.training_of` is told of the loading) of a data set."""
    train, test = (tfgen.data.load(spec, split, manual_dir=args.manual_dir, **options) for split in ("train", "test"))
    train, test = divided(train) if args.validate else (train, test)
    return train, test, {"spec": spec, "split": "train", **options}


def divided(source):
    """(all but the last, the last examples) of a Source; of two unpaired sets, of each."""
    if isinstance(source, tfgen.data.UnpairedSource):
        sides = divided(source.image_source), divided(source.other_source)
        return tuple(tfgen.data.unpaired(*parts) for parts in zip(*sides, strict=True))
    count = len(source) - min(VALIDATION, len(source) // 5)
    return source.take(count), source.subset(range(count, len(source)))


def untrained(model):
    """The same network before its first step."""
    return type(model).from_config(model.get_config())


def translated(verb, **inputs):
    """The images float32 [N, ...] that `translate`, or another verb, makes of inputs [N, ...], without averaging weights."""
    names = list(inputs)
    function = lambda *parts: verb(**dict(zip(names, parts, strict=True)))["image"]  # noqa: E731
    return in_parts(function, *inputs.values())


def l1(made, wanted):
    """Mean absolute difference of images in [0, 1]."""
    return float(np.mean(np.abs(made - wanted)))


def share(classifier, images, labels):
    """Share of the images that the classifier puts into their class."""
    return float(np.mean(classifier.logits(images).argmax(axis=1) == labels))


def protocol_of(train, test, classifier=None):
    """Entries of a record's protocol."""
    found = {"train": f"{train.name} {train.split}", "n_train": len(train), "test": f"{test.name} {test.split}",
             "n_test": len(test), "weights": "raw"}  # fmt: skip
    return found | ({} if classifier is None else {"classifier": classifier.weights_hash})
