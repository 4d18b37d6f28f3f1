"""DeePSiM: digits from the codes of a classifier, with all three losses, and with the loss of pixels alone.

    python -m benchmarks.reproduce.deepsim mnist --manual_dir FOLDER --picture

The encoder is a small classifier of the train split, whose dense layer is inverted and whose maps are compared. Of test
images and their reconstructions: the error of pixels, the relative errors of both layers, and the share whose class for the
encoder stays the same. A second encoder, of another seed, and a classifier with other layers take no part in the training:
the relative error of the maps of the former and the class that the latter sees are measured too. Pixels alone give blurred
images.
"""

import pathlib
import re
import time

import numpy as np

import tfgen
from benchmarks.record import report
from benchmarks.reproduce.claims.runs import trained
from benchmarks.reproduce.common import arguments, in_parts
from benchmarks.reproduce.translation import protocol_of, sources, translation_arguments
from benchmarks.zoo import keep
from tfgen.files import save_keras
from tfgen.metrics import sharpness, train_classifier
from tfgen.sampling import save_png

SHOWN = 12  # images in a row of the picture
VARIANTS = {"deepsim": {}, "pixels": {"feature_weight": 0.0, "adversarial_weight": 0.0}}
GATES = {
    "mnist": {
        "deepsim_agreement": (">=", 0.95), "deepsim_recognised": (">=", 0.94), "deepsim_mse": ("<=", 0.016),
        "sharper_than_pixels": (">=", 1.0), "deepsim_other_maps_error_over_pixels": ("<=", 1.0),
    },
    "fashion_mnist": {"deepsim_agreement": (">=", 0.9), "deepsim_recognised": (">=", 0.8), "deepsim_mse": ("<=", 0.025)},
}  # fmt: skip
TUNING = (
    "none on test images: networks, weights of the losses, rates and steps were chosen before any run; --validate measures "
    "on training images that are left out"
)


def encoder(args, source, name, seed, steps=900):
    """(path, feature network of its maps, code and logits) of an encoder of a source, trained if there is none."""
    steps = steps if args.steps is None else min(steps, args.steps)
    path = pathlib.Path(args.workdir) / f"encoder-{name}-{seed}-{steps}.keras"
    if not path.exists():
        tfgen.features.train_encoder(source, path, steps=steps, seed=seed)
    return str(path), tfgen.features.from_keras(str(path), ("maps", "code", "logits"))


def judge(args, train, test, seed):
    """A classifier with other layers, which takes no part in any training; of a trial it has few images."""
    name = re.sub(r"\W+", "-", train.name) + ("" if args.steps is None else "-trial")
    train = train if args.steps is None else train.take(640)
    return train_classifier(train, test, seed=seed, workdir=pathlib.Path(args.workdir) / f"synthesis-judge-{name}-{seed}")


def generator_file(args, train, encoder_path, **load):
    """(the DeePSiM of an encoder, the path of its generator, its training, seconds); trained, or read from --workdir."""
    name = args.name.replace("_", "-")
    model, training, seconds = trained(
        args, train, f"deepsim/{name}", args.seed, args.steps, {"encoder": encoder_path}, f"deepsim_{args.name}_deepsim",
        **load,
    )  # fmt: skip
    path = pathlib.Path(args.workdir) / f"generator-{args.name}-{args.seed}-{args.steps or 'preset'}.keras"
    save_keras(model.generator, path)
    return model, str(path), training, seconds


def outputs(network, images, layer):
    """Outputs float32 [N, ...] of a layer of a feature network."""
    return in_parts(lambda part: network(part)[layer], images)


def relative_error(network, layer, images, others):
    """Squared error of a layer's outputs over their mean square, of all images together."""
    real, found = (outputs(network, shown, layer) for shown in (images, others))
    return float(np.mean((real - found) ** 2) / np.mean(real**2))


def inversion(model, images, labels, seen, other, classifier):
    """({name: number}, reconstructions) of test images; `seen` is E, `other` and `classifier` took no part."""
    made = in_parts(model.reconstruct, images)
    classes = [outputs(seen, shown, "logits").argmax(axis=1) for shown in (images, made)]
    return {
        "agreement": float(np.mean(classes[0] == classes[1])),
        "recognised": float(np.mean(classifier.logits(made).argmax(axis=1) == labels)),
        "mse": float(np.mean((made - images) ** 2)),
        "maps_error": relative_error(seen, "maps", images, made),
        "code_error": relative_error(seen, "code", images, made),
        "other_maps_error": relative_error(other, "maps", images, made),
        "sharpness": sharpness(made) / sharpness(images),
    }, made  # fmt: skip


def main():
    parser = arguments(__doc__, "deepsim_NAME", picture="docs/images/deepsim_NAME.png")
    args, started = translation_arguments(parser, list(GATES)), time.perf_counter()
    train, test, load = sources(args, args.name)
    preset = f"deepsim/{args.name.replace('_', '-')}"
    (path, seen), (_, other) = (encoder(args, train, args.name, args.seed + i) for i in range(2))
    classifier = judge(args, train, test, args.seed + 2)
    images, labels = test.images(), test.labels()
    results, trainings, models, rows = {}, {}, {}, [images[:SHOWN]]
    for name, settings in VARIANTS.items():
        settings = {**settings, "encoder": path}
        run = trained(args, train, preset, args.seed, args.steps, settings, f"deepsim_{args.name}_{name}", **load)
        models[name], trainings[name], results[f"{name}_train_seconds"] = run
        found, made = inversion(run[0], images, labels, seen, other, classifier)
        results |= {f"{name}_{key}": value for key, value in found.items()}
        rows.append(made[:SHOWN])
        print(name, found, flush=True)
    for key in ("maps_error", "other_maps_error", "mse"):
        results[f"deepsim_{key}_over_pixels"] = results[f"deepsim_{key}"] / results[f"pixels_{key}"]
    results["sharper_than_pixels"] = results["deepsim_sharpness"] / results["pixels_sharpness"]
    mean = np.mean(train.images(), axis=0)
    results |= {
        "mean_image_mse": float(np.mean((images - mean) ** 2)),
        "encoder_accuracy": float(np.mean(outputs(seen, images, "logits").argmax(axis=1) == labels)),
        "recognised_images": float(np.mean(classifier.logits(images).argmax(axis=1) == labels)),
    }
    report(
        args.out, "benchmarks.reproduce.deepsim",
        seed=args.seed,
        protocol={
            "preset": tfgen.presets.get(preset).config(), "variants": VARIANTS, "tuning": TUNING,
            "agreement": "share whose class for E is that of the image", "recognised": "share whose class is the label",
            "errors": "squared errors of the outputs over their mean square; other_: of an encoder of another seed",
            "sharpness": "variance of the Laplacian of each image, mean over images, over that of the test images",
            "encoders": [seen.fingerprint, other.fingerprint], **protocol_of(train, test, classifier),
        },
        seconds=time.perf_counter() - started,
        results=results,
        gates=GATES[args.name],
        trainings=trainings,
        paper="pictures alone",
    )  # fmt: skip
    if args.out:
        keep(args.out, models["deepsim"], "mse", training=trainings["deepsim"], train=train, test=test)
    if args.picture:  # rows: the images, the reconstructions of each variant
        save_png(f"docs/images/deepsim_{args.name}.png", np.concatenate(rows), columns=SHOWN, scale=2)


if __name__ == "__main__":
    main()
