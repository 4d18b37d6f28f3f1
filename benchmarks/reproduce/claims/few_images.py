"""Few digits: augmentation of what the discriminator sees."""

import keras
import matplotlib.pyplot as plt

import tfgen
from benchmarks.record import markdown_table
from benchmarks.reproduce.claims.runs import numbers, trained
from benchmarks.reproduce.common import FCD
from tfgen.metrics import Evaluator, train_classifier

CAPTION = "Fréchet classifier distance over the number of training images, with each help and without"
SIZES = (100, 300, 1_000)
HELP = {
    "nothing": {}, "DiffAugment": {"discriminator_augmentation": "translation,cutout"},
    "adaptive": {"discriminator_augmentation": "adaptive", "adaptation_images": 200_000},
    "LeCam": {"lecam_weight": 0.1},
}  # fmt: skip

GATES = {"best_over_nothing": ("<=", 1.0), "adaptive_probability": (">=", 0.05)}


def measure(args):
    """FCD of sngan/digits trained on the first digits alone, against the test split, with each help and without."""
    train_source, test = (tfgen.data.load("digits", split) for split in ("train", "test"))
    evaluator = Evaluator(train_source, test, train_classifier(train_source, test, seed=0), seed=0)
    steps = args.steps or tfgen.presets.get("sngan/digits").steps
    results, trainings, protocol = {}, {}, None
    for size in SIZES:
        source = train_source.take(size)
        for name, settings in HELP.items():
            folder, load = f"few_images-{size}-{name}", {"spec": "digits", "split": "train", "take": size}
            model, training, seconds = trained(args, source, "sngan/digits", 0, steps, settings, folder, **load)
            trainings[f"{size}-{name}"] = training
            one, protocol, _ = numbers(evaluator, model, len(test), averaged=True)
            one["train_seconds"] = seconds
            if model.adaptive is not None:
                one["probability"] = float(keras.ops.convert_to_numpy(model.adaptive.probability))
            results.setdefault(str(size), {})[name] = one
            print("few_images", size, name, one)
    small = results[str(SIZES[0])]
    results["best_over_nothing"] = min(small[name][FCD] for name in HELP if HELP[name]) / small["nothing"][FCD]
    results["adaptive_probability"] = small["adaptive"]["probability"]
    protocol = {"preset": tfgen.presets.get("sngan/digits").config(), "steps": steps, "help": HELP, "metrics": protocol,
                "images": "the first of the train split", "best_over_nothing": f"FCD with {SIZES[0]} images"}  # fmt: skip
    # The second was added when the first was met by chance: adaptive augmentation, whose probability had stayed at 0.
    return results, protocol, GATES, trainings, None


def draw(found, args):
    figure, axes = plt.subplots(figsize=(4.8, 3.4), layout="constrained")
    for i, name in enumerate(HELP):
        axes.plot(SIZES, [found["results"][str(size)][name][FCD] for size in SIZES], "o-", color=f"C{i}", label=name)
    axes.set(xscale="log", xticks=SIZES, xticklabels=SIZES, xlabel="training images")
    axes.minorticks_off()
    axes.set_ylabel("Fréchet classifier distance")
    axes.legend()
    return figure


def table(found):
    rows = [
        [name, *(f"{one[FCD]:.2f}, {one['recall']:.2f}" for size in SIZES for one in [found["results"][str(size)][name]])]
        for name in HELP
    ]
    return markdown_table(["FCD and recall", *(f"{size:,} images" for size in SIZES)], rows)
