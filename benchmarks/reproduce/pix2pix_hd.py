"""pix2pixHD on coloured digits of MNIST at 32 pixels: its phases, and features of instances.

    python -m benchmarks.reproduce.pix2pix_hd digits --manual_dir FOLDER --picture
    python -m benchmarks.reproduce.pix2pix_hd features --manual_dir FOLDER --picture

digits: each class has its colour. The share of pixels of translated test maps whose nearest colour is that of their class;
in the phase of the enhancer alone the weights of the global generator stay the same, bit for bit.

features: each digit has a colour of its own, which only the features of its instance tell. One digit of each test map gets
another centre of its class: the share of the whole change of the image that is inside of this digit.
"""

import json
import pathlib
import time

import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.record import report, training_of
from benchmarks.reproduce.common import arguments, in_parts, train_seconds_of
from benchmarks.reproduce.translation import divided, l1, protocol_of, translated, translation_arguments, untrained
from benchmarks.zoo import keep
from tfgen.data import label_pictures
from tfgen.features.frozen import weights_hash
from tfgen.models.translation.parts.instance_features import numbers_of
from tfgen.sampling import save_png
from tfgen_trainers.train import TrainConfig, train

PRESET, SHOWN, CLASSES = "pix2pix-hd/coloured-digits", 12, 11
NUM = {"train": 10_000, "test": 1_000}  # images
LARGE = 16  # pixels that a digit must show to be recoloured
# {name: settings of the preset that differ}; steps of the phases: of the global generator, of the enhancer, of both.
SETTINGS = {
    "digits": {"feature_channels": 0, "clusters": 10, "encoder_width": 16, "encoder_halvings": 4, "global_steps": 2_000,
               "frozen_steps": 500},
    "features": {},
}  # fmt: skip
TUNING = (
    "none on test images: networks, batches and steps were chosen before any run; --validate measures on training images "
    "that are left out"
)
GATES = {
    "digits": {"agreement": (">=", 0.95), "frozen_equal": (">=", 1), "train_seconds": ("<=", 1500.0)},
    "features": {"inside": (">=", 0.9), "changed": (">=", 0.9), "train_seconds": ("<=", 1500.0)},
}  # fmt: skip
CHANGED = 0.1  # mean absolute difference of a digit that counts as recoloured


def nearest_classes(images):
    """The class [N, H, W] whose colour is nearest to each pixel of images [N, H, W, 3]."""
    colours = label_pictures(np.arange(CLASSES), CLASSES) / np.float32(255)
    distances = [np.sum((images - colour) ** 2, axis=-1) for colour in colours]
    return np.argmin(distances, axis=0)


def trained(args, source, load):
    """(model, what a record says of its training, seconds, whether the frozen phase left the global generator as it was)."""
    settings = SETTINGS[args.name]
    whole = args.steps or tfgen.presets.get(PRESET).steps
    first = settings.get("global_steps", 0)
    frozen = first + settings.get("frozen_steps", 0)
    workdir, hashes = pathlib.Path(args.workdir) / f"pix2pix_hd_{args.name}-{whole}-{args.seed}", {}
    for steps in sorted({min(steps, whole) for steps in (first, frozen, whole) if steps}):
        config = TrainConfig(
            PRESET, settings, steps, args.seed, log_every=100, checkpoint_every=5000, sample_every=10_000
        )
        model = train(config, source, workdir).model
        hashes[int(model.step.value.numpy())] = weights_hash(model.generator)
    found = workdir.with_name(f"{workdir.name}-frozen.json")  # for a later evaluation of the finished run
    if frozen > first and {first, frozen} <= hashes.keys():
        found.write_text(json.dumps(hashes[first] == hashes[frozen]))
    equal = found.exists() and json.loads(found.read_text())
    return model, training_of(workdir, **load), train_seconds_of(workdir), equal


def drawn(model, test):
    known = [field for field in model.translated_fields() if field.name in test.fields]
    return translated(model.translate, **{field.argument: test.values(field.name) for field in known})


def digits(args, model, test):
    maps, targets = test.values("label_map").argmax(axis=-1), test.values("target")
    made = drawn(model, test)
    right, figure = nearest_classes(made) == maps, maps > 0
    of_none = nearest_classes(drawn(untrained(model), test)) == maps
    results = {
        "agreement": float(right.mean()), "agreement_of_digits": float(right[figure].mean()),
        "agreement_of_background": float(right[~figure].mean()), "agreement_untrained": float(of_none.mean()),
        "agreement_of_targets": float((nearest_classes(targets) == maps).mean()), "l1": l1(made, targets),
    }  # fmt: skip
    return results, [test.images()[:SHOWN], made[:SHOWN], targets[:SHOWN]]


def features(args, model, test):
    """Of each test map the digit with most pixels gets the centre of its class that is farthest from its own."""
    given = {name: test.values(name) for name in ("label_map", "edges", "instances")}
    maps, numbers = given["label_map"].argmax(axis=-1), numbers_of(given["instances"]).numpy()
    pixels = np.stack([(numbers == k).sum(axis=(1, 2)) for k in (1, 2)])
    chosen = 1 + pixels.argmax(axis=0)
    kept = pixels.max(axis=0) >= LARGE
    inside = (numbers == chosen[:, None, None]) & kept[:, None, None]
    before = in_parts(lambda labels, ids: model.draw_features(labels, ids, tf.range(len(labels))), given["label_map"],
                      given["instances"])  # fmt: skip
    after, centres, used = before.copy(), model.clusters.centres.numpy(), model.clusters.used.numpy()
    for i in np.flatnonzero(kept):
        kind, own = maps[i][inside[i]][0], before[i][inside[i]][0]
        known = centres[kind, : used[kind]]
        after[i][inside[i]] = known[np.sum((known - own) ** 2, axis=-1).argmax()]
    names = list(given)
    render = lambda seen, *parts: model.render(seen, **dict(zip(names, parts, strict=True)))["image"]  # noqa: E731
    old, new = (in_parts(render, seen, *given.values()) for seen in (before, after))
    change = np.abs(new - old).mean(axis=-1)
    shares = [change[i][inside[i]].sum() / change[i].sum() for i in np.flatnonzero(kept)]
    sizes = [change[i][inside[i]].mean() for i in np.flatnonzero(kept)]
    encoded = in_parts(model.instance_features, test.values("target"), given["instances"])
    seen = in_parts(render, encoded, *given.values())
    results = {
        "inside": float(change[inside].sum() / change[kept].sum()), "inside_median": float(np.median(shares)),
        "changed": float(np.mean(np.array(sizes) >= CHANGED)), "change_of_digit": float(np.mean(sizes)),
        "recoloured": int(kept.sum()), "l1_with_own_features": l1(seen, test.values("target")),
        "l1_with_drawn_features": l1(old, test.values("target")), "clusters": used.tolist(),
    }  # fmt: skip
    return results, [part[:SHOWN] for part in (test.images(), test.values("target"), seen, old, new)]


def main():
    parser = arguments(__doc__, "pix2pix_hd_NAME", picture="docs/images/pix2pix_hd_NAME.png")
    args, started = translation_arguments(parser, list(GATES)), time.perf_counter()
    colours = "class" if args.name == "digits" else "instance"
    train_source, test = (
        tfgen.data.load("coloured:mnist", split, manual_dir=args.manual_dir, num=num, colours=colours)
        for split, num in NUM.items()
    )
    train_source, test = divided(train_source) if args.validate else (train_source, test)
    load = {"spec": "coloured:mnist", "split": "train", "num": NUM["train"], "colours": colours}
    model, training, seconds, equal = trained(args, train_source, load)
    results, rows = {"digits": digits, "features": features}[args.name](args, model, test)
    frozen = {"frozen_equal": int(equal)} if args.name == "digits" else {}
    report(
        args.out, "benchmarks.reproduce.pix2pix_hd",
        seed=args.seed,
        protocol={
            "preset": tfgen.presets.get(PRESET).override(SETTINGS[args.name]).config(), "tuning": TUNING,
            "changed": f"share of digits whose pixels change by {CHANGED} or more on average",
            **protocol_of(train_source, test),
        },
        seconds=time.perf_counter() - started,
        results={**results, **frozen, "train_seconds": seconds},
        gates=GATES[args.name],
        trainings={args.name: training},
    )  # fmt: skip
    if args.out:
        keep(args.out, model, "target_l1", training=training, train=train_source, test=test)
    if args.picture:  # rows: maps, translations, targets; or maps, targets, with own features, with drawn ones, recoloured
        save_png(f"docs/images/pix2pix_hd_{args.name}.png", np.concatenate(rows), columns=SHOWN, scale=2)


if __name__ == "__main__":
    main()
