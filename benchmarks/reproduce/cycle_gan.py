"""CycleGAN on MNIST: to inverted digits and back, and to USPS and back, which no rule of pixels solves.

    python -m benchmarks.reproduce.cycle_gan inverted --manual_dir FOLDER --picture
    python -m benchmarks.reproduce.cycle_gan usps --manual_dir FOLDER --picture      FOLDER also has USPSdata_20_uni.mat

inverted: the errors of both translations of test images, whose pairs are known here but not in training, and the share of
them that keep their class, for a classifier of the images of MNIST; beside it the same network trained without the cycles.

usps: a classifier of each set, trained on its training images, judges what was translated to it: the share that keeps its
class, and the precision, the share of translations near images of the set, over that of the set's own test images.
"""

import time

import numpy as np

import tfgen
from benchmarks.record import report
from benchmarks.reproduce.claims.runs import trained
from benchmarks.reproduce.common import arguments
from benchmarks.reproduce.translation import l1, protocol_of, share, sources, translated, translation_arguments, untrained
from benchmarks.zoo import keep
from tfgen.metrics import prdc, train_classifier
from tfgen.sampling import save_png

SHOWN = 12
TUNING = {
    "inverted": "none on test images: those of cycle-gan/mnist-usps, without the identity loss, which held the generators "
    "at the identity in a run of 2,000 steps on 8x8 digits",
    "usps": "none on test images: networks, batches and steps were chosen before any run; --validate measures on training "
    "images that are left out",
}
GATES = {
    "inverted": {"l1": ("<=", 0.08), "train_seconds": ("<=", 1500.0)},
    "usps": {"kept_in_usps": (">=", 0.9), "kept_in_mnist": (">=", 0.9), "precision_over_real_in_usps": (">=", 0.9),
             "precision_over_real_in_mnist": (">=", 0.9), "train_seconds": ("<=", 1800.0)},
}  # fmt: skip
NEIGHBOURHOOD = 1_000  # largest number of images of a set whose balls count for the precision


def inverted(args):
    preset = "cycle-gan/mnist-inverted"
    train, test, load = sources(args, "inverted:mnist")
    digits = (tfgen.data.load("mnist", split, manual_dir=args.manual_dir) for split in ("train", "test"))
    classifier = train_classifier(*digits, seed=args.seed + 1, workdir=f"{args.workdir}/cycle-gan-mnist-{args.seed + 1}")
    images, labels = test.images(), test.labels()
    results, trainings, variants = {}, {}, {"": {}, "without_cycle_": {"cycle_weight": 0.0}}
    for prefix, settings in variants.items():
        name = f"cycle_gan_{prefix}inverted"
        model, training, seconds = trained(args, train, preset, args.seed, args.steps, settings, name, **load)
        trainings[name] = training
        there, back = translated(model.translate, image=images), translated(model.translate_back, image=1.0 - images)
        errors = l1(there, 1.0 - images), l1(back, images)
        results |= {
            f"{prefix}l1": max(errors), f"{prefix}l1_there": errors[0], f"{prefix}l1_back": errors[1],
            f"{prefix}cycle_l1": l1(translated(model.translate_back, image=there), images),
            f"{prefix}kept_there": share(classifier, 1.0 - there, labels),
            f"{prefix}kept_back": share(classifier, back, labels), f"{prefix}train_seconds": seconds,
        }  # fmt: skip
        if not prefix:
            kept, rows = model, [part[:SHOWN] for part in (images, there, 1.0 - images, back)]
    first = untrained(kept)
    results |= {"l1_untrained": l1(translated(first.translate, image=images), 1.0 - images),
                "l1_copy": l1(images, 1.0 - images), "recognised_images": share(classifier, images, labels)}  # fmt: skip
    protocol = protocol_of(train, test, classifier) | {"variants": variants, "l1": "the larger of both directions"}
    return results, preset, trainings, (kept, train, test), rows, protocol


def usps(args):
    preset = "cycle-gan/mnist-usps"
    train, test, load = sources(args, "unpaired:mnist+usps", size=(28, 28))
    model, training, seconds = trained(args, train, preset, args.seed, args.steps, folder="cycle_gan_usps", **load)
    sides = {"mnist": (train.image_source, test.image_source), "usps": (train.other_source, test.other_source)}
    classifiers = {
        name: train_classifier(*side, seed=args.seed + 1, workdir=f"{args.workdir}/cycle-gan-{name}-{args.seed + 1}")
        for name, side in sides.items()
    }
    results, rows = {"train_seconds": seconds}, []
    for of, to, verb, other in (
        ("mnist", "usps", model.translate, model.translate_back), ("usps", "mnist", model.translate_back, model.translate)
    ):  # fmt: skip
        images, labels, classifier = sides[of][1].images(), sides[of][1].labels(), classifiers[to]
        made = translated(verb, image=images)
        own = classifier.features(sides[to][0].images()[_spread(len(sides[to][0]))])
        real = classifier.features(sides[to][1].images())
        count = min(len(made), len(real))  # as many of both
        precisions = {
            name: prdc(own, features[_spread(len(features), count)])["precision"]
            for name, features in (("", classifier.features(made)), ("real_", real))
        }
        results |= {
            f"kept_in_{to}": share(classifier, made, labels), f"kept_without_translation_in_{to}": share(
                classifier, images, labels
            ),
            f"precision_in_{to}": precisions[""], f"real_precision_in_{to}": precisions["real_"],
            f"precision_over_real_in_{to}": precisions[""] / precisions["real_"],
            f"cycle_l1_of_{of}": l1(translated(other, image=made), images), f"accuracy_of_{to}": classifier.accuracy,
        }  # fmt: skip
        rows += [images[:SHOWN], made[:SHOWN]]
    protocol = protocol_of(train, test) | {
        "classifiers": {name: one.weights_hash for name, one in classifiers.items()},
        "precision": f"5 neighbours, features of the classifier of the set, balls of at most {NEIGHBOURHOOD} of its "
        "training images, as many translations as test images of the set",
    }
    return results, preset, {"cycle_gan_usps": training}, (model, train, test), rows, protocol


def _spread(length, count=NEIGHBOURHOOD):
    """Indices of at most `count` of `length` examples, evenly."""
    return np.arange(min(length, count)) * length // min(length, count)


def main():
    parser = arguments(__doc__, "cycle_gan_NAME", picture="docs/images/cycle_gan_NAME.png")
    args, started = translation_arguments(parser, list(GATES)), time.perf_counter()
    measure = {"inverted": inverted, "usps": usps}[args.name]
    results, preset, trainings, (model, train, test), rows, protocol = measure(args)
    report(
        args.out, "benchmarks.reproduce.cycle_gan",
        seed=args.seed,
        protocol={"preset": tfgen.presets.get(preset).config(), "tuning": TUNING[args.name], **protocol},
        seconds=time.perf_counter() - started,
        results=results,
        gates=GATES[args.name],
        trainings=trainings,
    )  # fmt: skip
    if args.out:
        keep(args.out, model, "cycle_l1", training=next(iter(trainings.values())), train=train, test=test)
    if args.picture:  # rows: images of the first set and their translations, of the second and theirs
        save_png(f"docs/images/cycle_gan_{args.name}.png", np.concatenate(rows), columns=SHOWN, scale=2)


if __name__ == "__main__":
    main()
