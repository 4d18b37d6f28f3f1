"""pix2pix on MNIST at 32 pixels: digits of their outlines, digits of which a quadrant is hidden, patches of several sizes.

    python -m benchmarks.reproduce.pix2pix edges --manual_dir FOLDER --picture
    python -m benchmarks.reproduce.pix2pix quadrants --manual_dir FOLDER --picture
    python -m benchmarks.reproduce.pix2pix patches --manual_dir FOLDER --picture

edges: the error of translated test outlines, and the share of them whose class a classifier sees that was trained on digits
and never saw a translation. The discriminator uses its input: its probability of a target beside its own input is higher
than beside that of another image.

quadrants: many digits fit the rest of an image. The gradient energy, the mean of |dx| + |dy| between neighbours, of what was
drawn in the hidden quadrant, over that of the images: L1 alone blurs. `patches` repeats it for discriminators of patches
of 1 to 70 pixels; its runs with L1 alone and with 34 pixels are those of `quadrants`.
"""

import time

import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.record import report
from benchmarks.reproduce.claims.runs import trained
from benchmarks.reproduce.common import arguments, in_parts
from benchmarks.reproduce.translation import l1, protocol_of, share, sources, translated, translation_arguments, untrained
from benchmarks.zoo import keep
from tfgen.metrics import train_classifier
from tfgen.sampling import save_png

SIZE = (32, 32)
SHOWN = 12  # examples in a picture
TUNING = (
    "none on test images: networks, batches and steps are those of the preset, chosen before any run; --validate measures "
    "on training images that are left out"
)
# What is beside L1: nothing, or a discriminator of patches of so many pixels.
L1_ALONE = {"adversarial": None, "discriminator_width": 64, "receptive_field": 70}  # the last two without effect
VARIANTS = {"l1": L1_ALONE, **{f"patch_{side}": {"receptive_field": side} for side in (1, 16, 34, 70)}}
GATES = {
    "edges": {"l1": ("<=", 0.07), "recognised": (">=", 0.95), "d_right_minus_wrong": (">=", 0.2),
              "train_seconds": ("<=", 1500.0)},
    "quadrants": {"l1_energy": ("<=", 0.8), "patch_34_energy": (">=", 0.9, "<=", 1.1)},
    "patches": {},
}  # fmt: skip


def probabilities(model, images, targets):
    """Mean probability [N] that the discriminator gives to patches of targets beside images; batches of 100."""
    judge = lambda x, y: tf.reduce_mean(tf.sigmoid(model.judge(2 * x - 1, 2 * y - 1)), axis=[1, 2, 3])  # noqa: E731
    return in_parts(judge, images, targets, size=100)


def gradient_energy(images, inside):
    """Mean of |dx| + |dy| of images [N, H, W, C], of neighbours that are both `inside`, bool [N, H, W]."""
    total = 0.0
    for axis in (1, 2):
        first, second = (np.s_[:, part, :] if axis == 1 else np.s_[:, :, part] for part in (np.s_[1:], np.s_[:-1]))
        both = inside[first] & inside[second]
        total += np.abs(images[first] - images[second])[both].mean()
    return float(total)


def edges(args):
    preset = "pix2pix/edges-digits"
    train, test, load = sources(args, "edges:mnist", size=SIZE)
    model, training, seconds = trained(args, train, preset, args.seed, args.steps, folder=f"pix2pix_{args.name}", **load)
    classifier = digits_classifier(args)
    images, targets, labels = test.images(), test.values("target"), test.labels()
    made = translated(model.translate, image=images)
    right, wrong = (float(probabilities(model, x, targets).mean()) for x in (images, np.roll(images, 1, axis=0)))
    results = {
        "l1": l1(made, targets), "recognised": share(classifier, made, labels), "d_right_minus_wrong": right - wrong,
        "train_seconds": seconds, "d_right": right, "d_wrong": wrong, "l1_copy": l1(images, targets),
        "l1_untrained": l1(translated(untrained(model).translate, image=images), targets),
        "recognised_targets": share(classifier, targets, labels), "recognised_inputs": share(classifier, images, labels),
    }  # fmt: skip
    rows = [part[:SHOWN] for part in (images, made, targets)]
    protocol = protocol_of(train, test, classifier) | {
        "d": "mean over patches of the probability, statistics of batches of 100; wrong: the input of the image before"
    }
    return results, {preset: {}}, {"edges": training}, (model, train, test), rows, protocol


def quadrants(args):
    preset = "pix2pix/quadrants-digits"
    train, test, load = sources(args, "quadrants:mnist", size=SIZE)
    classifier = digits_classifier(args)
    images, targets, labels = test.images(), test.values("target"), test.labels()
    hidden = test.values("mask") < 0.5
    real = gradient_energy(targets, hidden)
    results = {"energy_of_images": real, "recognised_targets": share(classifier, targets, labels)}
    results["recognised_inputs"] = share(classifier, images, labels)
    variants = VARIANTS if args.name == "patches" else {name: VARIANTS[name] for name in ("l1", "patch_34")}
    trainings, rows, kept = {}, [images[:SHOWN]], None
    for name, settings in variants.items():
        run = trained(args, train, preset, args.seed, args.steps, settings, f"pix2pix_quadrants_{name}", **load)
        kept, trainings[name], results[f"{name}_train_seconds"] = run if name == "patch_34" else (kept, *run[1:])
        made = translated(run[0].translate, image=images)
        results[f"{name}_energy"] = gradient_energy(made, hidden) / real
        results[f"{name}_error"] = float(np.abs(made - targets)[hidden].mean())
        results[f"{name}_recognised"] = share(classifier, made, labels)
        rows.append(made[:SHOWN])
        print({key: value for key, value in results.items() if key.startswith(name)}, flush=True)
    about = {"energy": "mean |dx| + |dy| of neighbours in the hidden quadrant, over that of the images",
             "error": "mean absolute difference in the hidden quadrant"}  # fmt: skip
    rows.append(targets[:SHOWN])
    return results, {preset: variants}, trainings, (kept, train, test), rows, protocol_of(train, test, classifier) | about


def digits_classifier(args):
    digits = (tfgen.data.load("mnist", split, manual_dir=args.manual_dir, size=SIZE) for split in ("train", "test"))
    return train_classifier(*digits, seed=args.seed + 1, workdir=f"{args.workdir}/pix2pix-classifier-{args.seed + 1}")


def main():
    parser = arguments(__doc__, "pix2pix_NAME", picture="docs/images/pix2pix_NAME.png")
    args, started = translation_arguments(parser, list(GATES)), time.perf_counter()
    measure = edges if args.name == "edges" else quadrants
    results, presets, trainings, (model, train, test), rows, protocol = measure(args)
    ((preset, variants),) = presets.items()
    report(
        args.out, "benchmarks.reproduce.pix2pix",
        seed=args.seed,
        protocol={"preset": tfgen.presets.get(preset).config(), "variants": variants, "tuning": TUNING, **protocol},
        seconds=time.perf_counter() - started,
        results=results,
        gates=GATES[args.name],
        trainings=trainings,
    )  # fmt: skip
    if args.out and args.name != "patches":
        keep(args.out, model, "target_l1", training=trainings["edges" if args.name == "edges" else "patch_34"],
             train=train, test=test)  # fmt: skip
    if args.picture:  # rows: the inputs, the translations of each variant, the targets
        save_png(f"docs/images/pix2pix_{args.name}.png", np.concatenate(rows), columns=SHOWN, scale=2)


if __name__ == "__main__":
    main()
