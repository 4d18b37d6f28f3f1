"""StyleGAN on MNIST of 32 pixels: the space of styles, and what mixing copies."""

import pathlib

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.record import markdown_table
from benchmarks.reproduce.claims.runs import trained
from benchmarks.reproduce.common import CLASSES, FCD, SCORE, in_parts
from tfgen.metrics import Evaluator, RunGenerator, Samples, perceptual_path_length, train_classifier
from tfgen.sampling import image_grid, mixing_matrix, noise_deviation, noise_variants, truncation_strip

CAPTION = "Mixed styles, truncation and noise of one StyleGAN"
STYLES, STEPS, STYLE_PAIRS, STYLE_SAMPLES, PATH_STEP = "style-gan/mnist", 4_000, 2_000, 5_000, 1e-3
COARSE, FINE = range(4), range(4, 8)  # of 4 and 8 pixels, of 16 and 32


def measure(args):
    """Path length and separability in z and in w, and how often a mixture keeps the class of the first of two images."""
    sources = [tfgen.data.load("mnist", split, size=(32, 32), manual_dir=args.manual_dir) for split in ("train", "test")]
    steps, load = args.steps or STEPS, {"spec": "mnist", "split": "train", "size": [32, 32]}
    model, training, seconds = trained(args, sources[0], STYLES, 0, steps, folder="claim_styles", **load)
    classifier = train_classifier(*sources, seed=0)
    zoo = {"model": model, "metric": FCD, "training": training, "train": sources[0], "test": sources[1], "averaged": True}
    samples, results, judged = Samples(RunGenerator(model), 0), {}, {}  # from here on the model has its averaged weights
    for space, metrics in (("z", ("score", "fid", "separability")), ("w", ("separability",))):
        evaluator = Evaluator(*sources, classifier, metrics=metrics, seed=0, space=space)
        judged[space] = evaluator.evaluate(samples, STYLE_SAMPLES, weights="ema")
        values = judged[space].values
        results |= {key: values[key] for key in (FCD, SCORE, CLASSES) if key in values}
        results[f"separability_{space}"] = values["linear_separability"]
        results[f"path_length_{space}"] = path_length_in(model, classifier, space, STYLE_PAIRS)
    w = [model.map(model.latents(tf.range(STYLE_PAIRS, dtype=tf.int64) + (seed << 32))) for seed in (1, 2)]
    classes = {name: classes_of(model, classifier, *w, layers) for name, layers in
               (("nothing", ()), ("coarse", COARSE), ("fine", FINE))}  # fmt: skip
    for name in ("coarse", "fine"):
        results[f"same_class_{name}"] = float(np.mean(classes[name] == classes["nothing"]))
    results["path_length_ratio"] = results["path_length_w"] / results["path_length_z"]
    results["separability_ratio"] = results["separability_w"] / results["separability_z"]
    results["same_class_ratio"] = results["same_class_coarse"] / max(results["same_class_fine"], 1e-12)
    results["train_seconds"] = seconds
    np.savez(_style_pictures(args, steps), **style_pictures(model))
    protocol = {
        "preset": tfgen.presets.get(STYLES).config(), "steps": steps, "seed": 0,
        "metrics": {space: one.protocol.to_dict() for space, one in judged.items()},
        "classifier_accuracy": classifier.accuracy, "pairs": STYLE_PAIRS, "path_step": PATH_STEP,
        "path_length": "full paths, squared distance of the classifier's features over the squared step; slerp in z",
        "same_class": "share of mixtures with the class of the first image, if these layers are of the second",
    }  # fmt: skip
    gates = {f"{name}_ratio": ("<=", 1.0) for name in ("path_length", "separability", "same_class")}
    return results, protocol, gates, {"all": training}, zoo


def path_length_in(model, classifier, space, pairs):
    def mapping(z):
        return model.map(tf.constant(z, tf.float32))[:, 0].numpy()

    def distance(a, b):
        a, b = (np.asarray(classifier.outputs(np.float32(images))[0], np.float64) for images in (a, b))
        return ((a - b) ** 2).sum(axis=1)

    return perceptual_path_length(
        lambda w: model.synthesize(tf.constant(w, tf.float32)).numpy(), distance, pairs=pairs, space=space,
        latent_dim=model.latent_dim, mapping=mapping, epsilon=PATH_STEP, batch_size=100,
    ).mean  # fmt: skip


def classes_of(model, classifier, w_a, w_b, layers):
    """The classes int [N] of the images of w_a, in `layers` with the styles of w_b."""
    of_b = np.isin(np.arange(model.num_layers), list(layers))[:, None]
    images = in_parts(lambda a, b: model.synthesize(tf.where(of_b, b, a)), w_a.numpy(), w_b.numpy())
    return np.argmax(classifier.outputs(images)[1], axis=1)


def style_pictures(model):
    rows, columns = range(6), range(10, 16)
    found = {name: mixing_matrix(model, list(rows), list(columns), layers)
             for name, layers in (("coarse", COARSE), ("fine", FINE))}  # fmt: skip
    found["psi"] = truncation_strip(model, list(rows))
    deviation = np.minimum(4.0 * noise_deviation(model, list(rows)), 1.0)
    found["noise"] = np.concatenate([noise_variants(model, list(rows), first_fine=FINE[0]), deviation[:, None]], axis=1)
    return found


def _style_pictures(args, steps):
    return pathlib.Path(args.workdir) / f"claim_styles-{steps}-pictures.npz"


def draw(found, args):
    titles = {
        "coarse": "coarse layers of the first row", "fine": "fine layers of the first row",
        "psi": "psi: 1, .7, .5, 0, -.5, -1", "noise": "noise: all, none, fine, coarse; 4 x deviation",
    }  # fmt: skip
    figure, panels = plt.subplots(2, 2, figsize=(7.2, 7.2), layout="constrained")
    with np.load(_style_pictures(args, found["protocol"]["steps"])) as pictures:
        for axes, (name, title) in zip(panels.ravel(), titles.items(), strict=True):
            rows = pictures[name]
            axes.imshow(image_grid(rows.reshape(-1, *rows.shape[2:]), columns=rows.shape[1])[..., 0], cmap="gray")
            axes.set_title(title, fontsize=10)
            axes.axis("off")
    return figure


def table(found):
    one = found["results"]
    rows = [["path length", *(f"{one[f'path_length_{space}']:.4g}" for space in "zw")],
            ["separability", *(f"{one[f'separability_{space}']:.4g}" for space in "zw")]]  # fmt: skip
    kept = ", ".join(f"{one[f'same_class_{name}']:.1%} with the {name} layers" for name in ("coarse", "fine"))
    return (
        f"{markdown_table(['lower is better', 'z', 'w'], rows)}\n\nMixtures of two images that keep the class of the first: "
        f"{kept} of the second. Fréchet classifier distance {one[FCD]:.2f}, {one['train_seconds']:.0f} seconds of training."
    )
