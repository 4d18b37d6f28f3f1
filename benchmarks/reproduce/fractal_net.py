"""FractalNet: its accuracy, and that of each of its columns alone.

    python -m benchmarks.reproduce.fractal_net digits
    python -m benchmarks.reproduce.fractal_net fashion --manual_dir FOLDER --picture
    python -m benchmarks.reproduce.fractal_net cifar10_jpeg --data folder:FOLDER     with train/ and test/

A column is taken out with `FractalNet.column`. Before anything is measured, the statistics of batch norm are those of some
training images (`FractalNet.recalibrate`). `fashion` also trains the network without drop-path, whose columns were never
trained to be of use alone.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

import tfgen
from benchmarks.record import report
from benchmarks.reproduce.claims.runs import trained
from benchmarks.reproduce.common import arguments, in_parts
from benchmarks.reproduce.translation import translation_arguments
from benchmarks.zoo import keep

PICTURE = "docs/images/fractal_net_fashion.png"
VALIDATION, KEPT = 5_000, 300  # at most so many images
RECALIBRATION, BATCH = 30, 100  # batches, and their size
# name: (preset, data, gates)
RUNS = {
    "digits": ("fractal-net/digits", "digits", {"accuracy": (">=", 0.97), "train_seconds": ("<=", 180.0)}),
    "fashion": (
        "fractal-net/fashion-mnist", "fashion_mnist",
        {"accuracy": (">=", 0.88), "lowest_column_share": (">=", 0.8), "without_lowest_column_share": ("<=", 0.8),
         "train_seconds": ("<=", 1200.0)},
    ),
    "cifar10_jpeg": ("fractal-net/cifar10", "folder:runs/cifar10-jpg", {"accuracy": (">=", 0.5)}),
}  # fmt: skip
NOTES = {"cifar10_jpeg": "JPEG copies of CIFAR-10, quality 75: not to be compared with the published numbers"}
VARIANTS = {"": {}, "without": {"local_drop": 0.0, "global_share": 0.0}}  # with drop-path, without it
TUNING = "none on test images; --validate measures on a random part of the training images that is left out of the training"


def sources(args, spec):
    """(train, test) of a data set; with --validate a random part of the training images is the second."""
    train, test = (tfgen.data.load(spec, split, manual_dir=args.manual_dir) for split in ("train", "test"))
    if not args.validate:
        return train, test
    order, num = np.random.default_rng(0).permutation(len(train)), min(VALIDATION, len(train) // 5)
    return train.subset(np.sort(order[num:])), train.subset(np.sort(order[:num]))


def accuracy(model, source):
    """Share of the images of a Source that are classified correctly."""
    return float(np.mean(in_parts(model.classify, source.images()) == source.labels()))


def measure(model, train, test):
    """Accuracies of the network and of each column alone; the network is recalibrated."""
    as_trained = accuracy(model, test)
    model.recalibrate(train.batches(BATCH, shuffle=True, seed=0).take(RECALIBRATION))
    whole, alone = accuracy(model, test), [accuracy(model.column(c), test) for c in range(model.columns)]
    return {
        "accuracy": whole, "lowest_column_share": min(alone) / whole, "columns": alone, "accuracy_as_trained": as_trained,
        "parameters": model.count_params(),
    }  # fmt: skip


def draw(results):
    """The figure of accuracies by column, with drop-path and without."""
    figure, axes = plt.subplots(figsize=(5, 3.8), layout="constrained")
    columns = range(len(results["columns"]))
    for prefix, label, marker in (("", "with drop-path", "o-"), ("without_", "without", "s--")):
        (line,) = axes.plot(columns, results[f"{prefix}columns"], marker, label=label)
        axes.axhline(results[f"{prefix}accuracy"], color=line.get_color(), linestyle=":", label=f"all columns, {label}")
    axes.set(xlabel="column alone, from the shallowest to the deepest", ylabel="accuracy on test images", xticks=columns,
             ylim=(0, 1))  # fmt: skip
    figure.legend(fontsize="small", loc="outside lower center", ncols=2)
    return figure


def main():
    parser = arguments(__doc__, "fractal_net_NAME", picture=PICTURE)
    parser.add_argument("--data", help="data set, see tfgen.data.load")
    args, started = translation_arguments(parser, list(RUNS)), time.perf_counter()
    preset, spec, gates = RUNS[args.name]
    spec = args.data or spec
    train, test = sources(args, spec)
    results, trainings, kept = {}, {}, None
    for variant, settings in VARIANTS.items() if args.name == "fashion" else [("", {})]:
        prefix = f"{variant}_" if variant else ""
        folder = f"fractal_net_{args.name}{f'_{variant}' if variant else ''}"
        model, training, seconds = trained(
            args, train, preset, args.seed, args.steps, settings, folder, spec=spec, split="train"
        )
        found = measure(model, train, test) | {"train_seconds": seconds, "steps": int(model.step.value.numpy())}
        results |= {prefix + key: value for key, value in found.items()}
        trainings[variant or "drop_path"], kept = training, kept or model
        print(variant or "drop_path", found, flush=True)
    resolved = tfgen.presets.get(preset)
    report(
        args.out, "benchmarks.reproduce.fractal_net",
        seed=args.seed,
        protocol={
            "preset": resolved.config(), "train": f"{train.name} {train.split}", "n_train": len(train),
            "test": f"{test.name} {test.split}", "n_test": len(test), "tuning": TUNING, "weights": "raw",
            "batch_norm": f"statistics of {RECALIBRATION} batches of {BATCH} training images, of each path for itself",
            "as_trained": "with the moving statistics of the training", "columns": "accuracies alone, the shallowest first",
            **({"without": VARIANTS["without"]} if args.name == "fashion" else {}),
            **({"note": NOTES[args.name]} if args.name in NOTES else {}),
        },
        seconds=time.perf_counter() - started,
        results=results,
        gates=gates,
        trainings=trainings,
    )  # fmt: skip
    if args.out:  # few test images, so that the entry is small; in random order, since files may be ordered by class
        part = test.subset(np.random.default_rng(0).permutation(len(test))[:KEPT])
        keep(args.out, kept, "error_percent", training=trainings["drop_path"], train=train, test=part)
    if args.picture and args.name == "fashion":
        draw(results).savefig(PICTURE, dpi=100)


if __name__ == "__main__":
    main()
