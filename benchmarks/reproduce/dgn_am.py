"""DGN-AM: images that the units of a classifier of digits like best, through a generator and, beside it, in pixels.

    python -m benchmarks.reproduce.dgn_am mnist --manual_dir FOLDER --picture

The generator and its encoder are those of `benchmarks.reproduce.deepsim`, whose run is read if --workdir has it. The
examined classifier is another one, of another seed. Of ten starts for each of its ten units: its probability of the class
after 200 steps, and the class that a third classifier with other layers sees, which took no part. The same is measured of
pixels that are optimised without a generator: there the examined classifier is as sure, and the third one should see little.
"""

import time

import numpy as np
import scipy.special

import tfgen
from benchmarks.record import report
from benchmarks.reproduce.claims.runs import trained
from benchmarks.reproduce.common import arguments
from benchmarks.reproduce.deepsim import encoder, generator_file, judge, outputs
from benchmarks.reproduce.translation import protocol_of, sources, translation_arguments
from benchmarks.zoo import keep
from tfgen.models import DGNAM
from tfgen.sampling import save_png

STARTS, STEPS, SHOWN = 10, 200, 4
PIXEL_RATE = 0.05  # of pixels in [0, 1]
GATES = {
    "mnist": {
        "units_reached": (">=", 10), "units_recognised": (">=", 9), "reached": (">=", 0.98), "recognised": (">=", 0.9),
    },
}  # fmt: skip
TUNING = (
    "none on test images: the first rate is 1 instead of the paper's 8, for codes whose mean is 1.4 instead of 4; it was "
    "chosen before any run"
)


def diversity(images):
    """Mean RMS distance of pixels between the images of a unit, [units, starts, H, W, C]."""
    flat = images.reshape(*images.shape[:2], -1)
    pairs = np.sqrt(np.mean((flat[:, :, None] - flat[:, None]) ** 2, axis=-1))
    starts = images.shape[1]
    return float(pairs.sum() / (len(images) * starts * (starts - 1)))


def climbed(model, steps=STEPS):
    """Images [units, STARTS, H, W, C] after so many steps; the starts of all units are equal."""
    units = np.repeat(np.arange(model.num_units, dtype=np.int32), STARTS)
    seeds = np.tile(np.arange(STARTS), model.num_units)
    images = model.maximize(units, seeds, steps)["image"].numpy()
    return images.reshape(model.num_units, STARTS, *images.shape[1:])


def judged(images, examined, classifier):
    """{name: number} of images [units, STARTS, ...]: probabilities of the examined network, classes of the other one."""
    flat, units = images.reshape(-1, *images.shape[2:]), np.repeat(np.arange(len(images)), images.shape[1])
    chances = scipy.special.softmax(outputs(examined, flat, "logits"), axis=1)[np.arange(len(flat)), units]
    right = classifier.logits(flat).argmax(axis=1) == units
    reached, right = ((part.reshape(images.shape[:2])) for part in (chances >= 0.99, right))
    return {
        "units_reached": int(np.all(reached, axis=1).sum()), "reached": float(reached.mean()),
        "units_recognised": int(np.sum(right.mean(axis=1) > 0.5)), "recognised": float(right.mean()),
        "median_probability": float(np.median(chances)), "diversity": diversity(images),
    }  # fmt: skip


def main():
    parser = arguments(__doc__, "dgn_am_NAME", picture="docs/images/dgn_am_NAME.png")
    args, started = translation_arguments(parser, list(GATES)), time.perf_counter()
    train, test, load = sources(args, args.name)
    name = args.name.replace("_", "-")
    (path, seen), (examined_path, examined) = (encoder(args, train, args.name, args.seed + i) for i in range(2))
    classifier = judge(args, train, test, args.seed + 2)
    made, generator, made_training, made_seconds = generator_file(args, train, path, **load)
    settings = {"classifier": examined_path, "generator": generator, "encoder": path}
    model, training, seconds = trained(
        args, train, f"dgn-am/{name}", args.seed, args.steps, settings, f"dgn_am_{args.name}", **load
    )
    pixels = DGNAM(image_shape=train.image_shape, classifier=examined_path, layer="logits", first_rate=PIXEL_RATE)
    images = {"dgn_am": climbed(model), "pixels": climbed(pixels), "start": climbed(model, 0)}
    results = judged(images["dgn_am"], examined, classifier)
    for kind in ("pixels", "start"):
        results |= {f"{kind}_{key}": value for key, value in judged(images[kind], examined, classifier).items()}
    labels, shown = test.labels(), test.images()
    chosen = np.stack([np.flatnonzero(labels == unit)[:STARTS] for unit in range(test.num_classes)])
    real = shown[chosen]
    results |= {f"real_{key}": value for key, value in judged(real, examined, classifier).items()}
    results["diversity_over_real"] = results["diversity"] / results["real_diversity"]
    results |= {"deepsim_train_seconds": made_seconds, "statistics_train_seconds": seconds}
    report(
        args.out, "benchmarks.reproduce.dgn_am",
        seed=args.seed,
        protocol={
            "presets": {one: tfgen.presets.get(f"{one}/{name}").config() for one in ("deepsim", "dgn-am")},
            "steps": STEPS, "starts": STARTS, "pixel_first_rate": PIXEL_RATE, "tuning": TUNING,
            "reached": "share of images with a probability >= .99 for the examined network; units: of which all starts are",
            "recognised": "share of the class of the unit for a network that took no part; units: of which most starts are",
            "diversity": "mean RMS distance of pixels between the images of a unit; real: test images of the class",
            "encoders": [seen.fingerprint, examined.fingerprint], **protocol_of(train, test, classifier),
        },
        seconds=time.perf_counter() - started,
        results=results,
        gates=GATES[args.name],
        trainings={"deepsim": made_training, "dgn_am": training},
        paper="pictures alone",
    )  # fmt: skip
    if args.out:
        keep(args.out, made, "mse", training=made_training, train=train, test=test)
    if args.picture:  # a column for each unit; rows: starts, pixels without a generator, test images
        rows = [images["dgn_am"][:, i] for i in range(SHOWN)] + [images["pixels"][:, 0], real[:, 0]]
        save_png(f"docs/images/dgn_am_{args.name}.png", np.concatenate(rows), columns=model.num_units, scale=2)


if __name__ == "__main__":
    main()
