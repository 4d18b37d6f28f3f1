"""DeePSiM on 32x32 photos: from maps of EfficientNet-Lite0 back to photos, and what its generator shows of 1,000 classes.

    python -m benchmarks.reproduce.deepsim_photos --data folder:FOLDER --features FOLDER_OF_LITE0 --picture

The network was trained on ImageNet at 224 pixels; here images of 32 are enlarged to 128 before it. Its block 10 is inverted
and its block 4 compared. Of test photos and their reconstructions: the error of pixels beside that of the mean image, the
relative errors of both layers, and the share whose most likely of the 1,000 classes stays the same.

DGN-AM then searches, through this generator, for images of classes of ImageNet. The network that is satisfied is the one
that the generator was trained with, and none that took no part knows these classes: what the pictures show is for the eye.
"""

import argparse
import pathlib
import time

import numpy as np
import scipy.special

import tfgen
from benchmarks.record import report
from benchmarks.reproduce.claims.runs import trained
from benchmarks.reproduce.common import arguments, in_parts
from benchmarks.reproduce.translation import divided, protocol_of
from benchmarks.zoo import keep
from tfgen.files import save_keras
from tfgen.metrics import sharpness
from tfgen.models import DGNAM
from tfgen.sampling import save_png

NAME, PRESET, PICTURE = "deepsim_photos", "deepsim/photos-32", "docs/images/deepsim_photos.png"
BATCH, STEPS, TESTED, SHOWN = 16, 4_000, 500, 12
PART = 50  # images at a time: the first layers of the network need some 3 MB for each
# Classes of ImageNet, most of them near to those of CIFAR-10: airliner, sports car, robin, tabby cat, hartebeest, golden
# retriever, tree frog, sorrel horse, container ship, fire engine, macaw, daisy.
CLASSES = (404, 817, 15, 281, 351, 207, 31, 339, 510, 555, 88, 985)
STARTS, ASCENT = 2, 100
TUNING = (
    "none on test images: layers and losses are those of the preset; batches of 16, and so many steps as 20 minutes allow, "
    "were chosen by the time of a step"
)
GATES = {
    "mse_over_mean_image": ("<=", 0.5), "block_4_error": ("<=", 0.5), "block_10_error": ("<=", 0.6),
    "agreement": (">=", 0.3),
}  # fmt: skip


def outputs(network, images):
    """{layer: float32 [N, ...]} of a feature network."""
    parts = [network(images[i : i + PART]) for i in range(0, len(images), PART)]
    return {layer: np.concatenate([part[layer] for part in parts]) for layer in parts[0]}


def some(source, count):
    """`count` images of a Source, drawn evenly: folders come class by class."""
    return source.subset(np.linspace(0, len(source) - 1, min(count, len(source))).astype(int))


def measure(model, seen, images):
    """({name: number}, reconstructions) of test images."""
    made = in_parts(model.reconstruct, images, size=PART)
    real, found = (outputs(seen, shown) for shown in (images, made))
    results = {
        "mse": float(np.mean((made - images) ** 2)), "sharpness": sharpness(made) / sharpness(images),
        "agreement": float(np.mean(real["logits"].argmax(axis=1) == found["logits"].argmax(axis=1))),
    }
    for layer in ("block_4", "block_10"):
        results[f"{layer}_error"] = float(np.mean((real[layer] - found[layer]) ** 2) / np.mean(real[layer] ** 2))
    return results, made


def climbed(args, model, recipe, train):
    """({name: number}, images [classes * STARTS, 32, 32, 3]) of DGN-AM for `CLASSES`."""
    generator = pathlib.Path(args.workdir) / f"generator-photos-{args.seed}.keras"
    save_keras(model.generator, generator)
    search = DGNAM(
        image_shape=train.image_shape, classifier=recipe(["logits"]), generator=str(generator), encoder=recipe(["block_10"]),
        encoder_layer="block_10", bounds="symmetric", first_rate=1.0, ascent_steps=ASCENT,
    )  # fmt: skip
    search.compile()
    search.fit(some(train, 1_000).images(), batch_size=PART, verbose=0)  # the bounds of codes
    units = np.repeat(np.array(CLASSES, np.int32), STARTS)
    images = search.maximize(units, np.tile(np.arange(STARTS), len(CLASSES)), ASCENT)["image"].numpy()
    logits = outputs(search.classifier, images)["logits"]
    chances = scipy.special.softmax(logits, axis=1)[np.arange(len(units)), units]
    return {
        "classes_reached": int(np.sum(chances.reshape(-1, STARTS).max(axis=1) >= 0.5)),
        "median_probability": float(np.median(chances)),
    }, images  # fmt: skip


def main():
    parser = arguments(__doc__, NAME, picture=PICTURE)
    parser.add_argument("--data", required=True, help="photos of 32x32 pixels, see tfgen.data.load")
    parser.add_argument("--features", required=True, help="folder, or .npz file, of EfficientNet-Lite0")
    parser.add_argument("--validate", action="store_true", help=argparse.SUPPRESS)
    args, started = parser.parse_args(), time.perf_counter()
    train, test = (tfgen.data.load(args.data, split) for split in ("train", "test"))
    if args.validate:
        train, test = divided(train)
    shape = list(train.image_shape)

    def recipe(layers):
        return {"maker": "efficientnet_lite0",
                "arguments": {"path": args.features, "image_shape": shape, "resize": 128, "layers": layers}}  # fmt: skip

    settings = {"encoder": recipe(["block_10", "block_4"]), "batch_size": BATCH}
    model, training, seconds = trained(
        args, train, PRESET, args.seed, args.steps or STEPS, settings, NAME, spec=args.data, split="train"
    )
    seen = tfgen.features.get(recipe(["block_4", "block_10", "logits"]), None, tuple(shape))
    tested = some(test, TESTED)
    images = tested.images()
    results, made = measure(model, seen, images)
    mean = some(train, 10_000).images().mean(axis=0)
    results["mean_image_mse"] = float(np.mean((images - mean) ** 2))
    results["mse_over_mean_image"] = results["mse"] / results["mean_image_mse"]
    untrained, _ = measure(type(model).from_config(model.get_config()), seen, images[::TESTED // PART])
    results |= {f"untrained_{name}": value for name, value in untrained.items()}
    found, best = climbed(args, model, recipe, train)
    results |= {**found, "train_seconds": seconds}
    report(
        None if args.validate else args.out, "benchmarks.reproduce.deepsim_photos",
        seed=args.seed,
        protocol={
            "preset": tfgen.presets.get(PRESET).config(), "batch_size": BATCH, "steps": args.steps or STEPS,
            "tuning": TUNING,
            "agreement": "share whose most likely class of ImageNet is that of the photo, at 128 pixels",
            "errors": "squared errors of the outputs over their mean square",
            "classes": CLASSES, "starts": STARTS, "ascent": ASCENT,
            "classes_reached": "of these, those with p >= .5 in one of the starts or more",
            "features": seen.fingerprint, **protocol_of(train, tested),
        },
        seconds=time.perf_counter() - started,
        results=results,
        gates=GATES,
        trainings={"deepsim": training},
        paper="pictures alone; at 227 pixels, from 1.2 million photos",
    )  # fmt: skip
    if args.out and not args.validate:
        keep(args.out, model, "mse", training=training, train=train, test=test)
    if args.picture:  # rows: photos, their reconstructions, images for classes
        shown = np.linspace(0, len(images) - 1, SHOWN).astype(int)
        found = best.reshape(len(CLASSES), STARTS, *shape)
        rows = [images[shown], made[shown], *(found[:, i] for i in range(STARTS))]
        save_png(PICTURE, np.concatenate(rows), columns=SHOWN, scale=2)


if __name__ == "__main__":
    main()
