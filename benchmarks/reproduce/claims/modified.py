"""Modified digits: whether the generator or the examined network decides what an optimised image shows."""

import pathlib

import matplotlib.pyplot as plt
import numpy as np

import tfgen
from benchmarks.record import markdown_table
from benchmarks.reproduce.claims.runs import trained
from benchmarks.reproduce.deepsim import encoder, outputs
from benchmarks.reproduce.dgn_am import diversity
from tfgen.data.modified import MODIFICATIONS, TILES, modified_classes
from tfgen.files import save_keras
from tfgen.metrics import sharpness
from tfgen.models import DGNAM
from tfgen.sampling import save_png

CAPTION = "What images optimised for normal and for modified classes show of the modification, with both generators"
IMAGES, STEPS, ENCODER_STEPS, STARTS = 20_000, 600, 700, 5
PRESET, GENERATORS = "deepsim/mnist", ("normal", "both")


def border(images):
    """Mean of the outermost pixels of images [N, H, W, C]: 0 of digits, 1 of their negatives."""
    inner = images[:, 1:-1, 1:-1]
    return float((images.sum() - inner.sum()) / (images.size - inner.size))


def seams(images):
    """Mean |difference| of neighbours in different tiles over that of neighbours in one tile, of images [N, H, W, C]."""
    across, inside = [], []
    for axis in (1, 2):
        difference, side = np.abs(np.diff(images, axis=axis)), images.shape[axis] // TILES
        at_seam = np.arange(1, images.shape[axis]) % side == 0
        across.append(np.compress(at_seam, difference, axis=axis).mean())
        inside.append(np.compress(~at_seam, difference, axis=axis).mean())
    return float(np.mean(across) / (np.mean(inside) + 1e-9))


STATISTICS = {"inverted": border, "mosaic": seams, "blur": sharpness}


def shown(images, classes, examined, other, normal_classes):
    """{name: number} of images that were optimised for `classes`, all normal or all modified."""
    logits = outputs(examined, images, "logits")
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances = chances[np.arange(len(images)), classes] / chances.sum(axis=1)
    half = classes >= normal_classes
    return {
        "reached": float(np.mean(chances >= 0.9)),
        "group": float(np.mean((logits.argmax(axis=1) >= normal_classes) == half)),
        "other_group": float(np.mean((outputs(other, images, "logits").argmax(axis=1) >= normal_classes) == half)),
    }


def measure(args):
    """DGN-AM for classifiers of 20 classes, normal and modified, through two generators.

    One generator, its encoder and the bounds of codes saw normal digits alone. The other ones saw modified digits too.
    """
    load = {"spec": "mnist", "split": "train", "take": IMAGES}
    normal = tfgen.data.load("mnist", "train", manual_dir=args.manual_dir).take(IMAGES)
    test = tfgen.data.load("mnist", "test", manual_dir=args.manual_dir)
    steps, count = args.steps or STEPS, normal.num_classes
    results, trainings, zoo, rows = {}, {}, None, []

    def prior(source, name, load):
        """(the generator's model, the arguments of `DGNAM` that come from it)."""
        path, _ = encoder(args, source, f"modified-{name}", 2, ENCODER_STEPS)
        run = trained(args, source, PRESET, 0, steps, {"encoder": path}, f"modified_{name}", **load)
        trainings[name], file = run[1], pathlib.Path(args.workdir) / f"generator-modified-{name}-{steps}.keras"
        save_keras(run[0].generator, file)
        return run[0], {"generator": str(file), "encoder": path, "encoder_layer": "code"}

    unseen = prior(normal, "normal", load)
    zoo = {"model": unseen[0], "metric": "mse", "training": trainings["normal"], "train": normal, "test": test}
    images, labels = test.images(1000), test.labels(1000)
    for kind, statistic in STATISTICS.items():
        both = modified_classes(normal, modification=kind)
        (examined_path, examined), (_, other) = (
            encoder(args, both, f"modified-{kind}", seed, ENCODER_STEPS) for seed in (0, 1)
        )
        seen = prior(both, kind, {})  # made of another source, so `--check` cannot load it
        changed = MODIFICATIONS[kind](images)
        logits = outputs(examined, np.concatenate([images, changed]), "logits")
        found = {
            "accuracy": float(np.mean(logits.argmax(axis=1) == np.concatenate([labels, labels + count]))),
            "statistic_of_normal": statistic(images), "statistic_of_modified": statistic(changed),
        }  # fmt: skip
        for name, (generator, settings), fitted in zip(GENERATORS, (unseen, seen), (normal, both), strict=True):
            settings = {**settings, "classifier": examined_path, "layer": "logits", "first_rate": 1.0}
            model = DGNAM(image_shape=normal.image_shape, **settings)
            model.compile()
            # The control: what the generator that is called normal, its encoder and its bounds saw are normal digits.
            assert name != "normal" or fitted.num_classes == count
            model.fit(fitted.batches(500), verbose=0)
            remade = np.asarray(generator.reconstruct(images))
            found[f"{name}_called_modified"] = float(np.mean(outputs(examined, remade, "logits").argmax(axis=1) >= count))
            for target, first in (("normal", 0), ("modified", count)):
                classes = np.repeat(np.arange(first, first + count, dtype=np.int32), STARTS)
                made = model.maximize(classes, np.tile(np.arange(STARTS), count))["image"].numpy()
                one = shown(made, classes, examined, other, count)
                one |= {"statistic": statistic(made), "diversity": diversity(made.reshape(count, STARTS, *made.shape[1:]))}
                found |= {f"{name}_{target}_{key}": value for key, value in one.items()}
                rows.append(made[::STARTS])
        results |= {f"{kind}_{key}": value for key, value in found.items()}
        print(kind, found, flush=True)
    if args.steps is None:  # rows for each modification: normal and modified classes through the one and the other generator
        save_png(args.docs / "images/claim_modified_digits.png", np.concatenate(rows), columns=count, scale=2)
    gates = {
        "inverted_normal_called_modified": ("<=", 0.02), "inverted_normal_modified_reached": (">=", 0.9),
        "inverted_normal_modified_statistic": ("<=", 0.2), "inverted_both_modified_statistic": (">=", 0.6),
        "inverted_both_normal_statistic": ("<=", 0.25),
    }  # fmt: skip
    protocol = {
        "preset": tfgen.presets.get(PRESET).config(), "steps": steps, "encoder_steps": ENCODER_STEPS, "train": IMAGES,
        "images": f"{STARTS} starts for each class, 200 steps, first rate 1, decay .99", "test_images": len(images),
        "generators": "normal: saw normal digits alone; both: saw modified ones too, as did its encoder and its bounds",
        "reached": "share with a probability >= .9", "group": "share of arg-max in the right half of the classes",
        "other_group": "the same for a network that took no part",
        "statistics": "inverted: mean of the border; mosaic: differences across tiles over those inside; blur: variance of "
        "the Laplacian",
        "normal_images": normal.fingerprint, "tuning": "none: settings were chosen before any run",
    }  # fmt: skip
    return results, protocol, gates, trainings, zoo


def _numbers(found, kind):
    """[(name of a bar, its statistic)]."""
    results = found["results"]
    real = [(f"{name} digits", results[f"{kind}_statistic_of_{name}"]) for name in ("normal", "modified")]
    made = [
        (f"{target} class, {'never seen' if name == 'normal' else 'seen'}", results[f"{kind}_{name}_{target}_statistic"])
        for name in GENERATORS for target in ("normal", "modified")
    ]  # fmt: skip
    return real + made


def draw(found, args):
    figure, panels = plt.subplots(1, len(STATISTICS), figsize=(10, 3.2), layout="constrained", sharey=True)
    titles = {"inverted": "inverted: mean of the border", "mosaic": "mosaic: differences at seams",
              "blur": "blur: variance of the Laplacian"}  # fmt: skip
    for axes, kind in zip(panels, STATISTICS, strict=True):
        names, values = zip(*_numbers(found, kind), strict=True)
        axes.barh(names, values, color=["0.7", "0.5", "C0", "C0", "C1", "C1"])
        axes.invert_yaxis()
        axes.set(title=titles[kind])
    return figure


def table(found):
    results, rows = found["results"], []
    for kind in STATISTICS:
        for name in GENERATORS:
            own = [results[f"{kind}_{name}_{target}_statistic"] for target in ("normal", "modified")]
            sure, group, other = (results[f"{kind}_{name}_modified_{key}"] for key in ("reached", "group", "other_group"))
            saw = "normal digits" if name == "normal" else "both"
            rows.append([kind, saw, f"{sure:.2f}", f"{group:.2f}", f"{other:.2f}", *(f"{value:.3f}" for value in own),
                         f"{results[f'{kind}_statistic_of_modified']:.3f}"])  # fmt: skip
    head = ["modification", "the generator saw", "p >= .9", "right half", "for another network", "statistic, normal classes",
            "modified classes", "modified digits"]  # fmt: skip
    return f"{markdown_table(head, rows)}\n\nThe first three numbers are of images for modified classes."
