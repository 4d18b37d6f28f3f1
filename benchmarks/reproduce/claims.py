"""Claims of the adversarial papers: a record, a figure and a table in docs/claims.md for each.

    python -m benchmarks.reproduce.claims saturating

Existing runs in --workdir are read and not repeated. `feature-matching` and `infogan` have no runs; they show the records of
`semi_supervised` and `infogan`.
"""

import argparse
import json
import pathlib
import re
import time

import matplotlib

matplotlib.use("Agg")

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.record import ROOT, filled, markdown_table, report, training_of
from benchmarks.reproduce.common import in_parts, train_seconds_of
from benchmarks.zoo import keep
from tfgen import random
from tfgen.losses import OBJECTIVES
from tfgen.metrics import Evaluator, RunGenerator, Samples, perceptual_path_length, train_classifier
from tfgen.sampling import image_grid, mixing_matrix, noise_deviation, noise_variants, truncation_strip
from tfgen_trainers.code_hash import model_modules
from tfgen_trainers.first_steps import FirstSteps
from tfgen_trainers.origin import origin
from tfgen_trainers.train import TrainConfig, train

THIS = "benchmarks.reproduce.claims"

SEEDS = (0, 1, 2)
_FCD, _SCORE, _CLASSES = "frechet_classifier_distance", "classifier_score", "num_classes"


# ---- The generator's gradient: non-saturating and minimax

LOSSES = {"non_saturating": "non-saturating", "minimax": "minimax"}
PRETRAINING, AFTER, LOOK = 200, 200, 50


def saturating(args):
    """Gradient norms of the generator of gan/digits, first while only D learns, then while both learn."""
    (source, test), curves, models = (tfgen.data.load("digits", split) for split in ("train", "test")), [], {}
    followed = {*model_modules(tfgen.presets.get("gan/digits")), type(source).__module__}
    trained_by = {"from_step": 0, **origin(followed, [THIS])}
    for seed in SEEDS:
        for objective in LOSSES:
            models[seed, objective], found = gradient_norms(objective, source, seed)
            curves.append({"seed": seed, "objective": objective, **found})
            print("saturating", seed, objective, curves[-1]["training"][LOOK])
    norms = {
        name: [curve["training"][LOOK] for curve in curves if curve["objective"] == name] for name in LOSSES
    }  # fmt: skip
    # While only D learns, both losses are computed with the same networks.
    alone = [curve["alone"] for curve in curves if curve["objective"] == "minimax"]
    results = {
        "step": LOOK,
        "norms": norms,
        "ratio": float(np.median(np.divide(norms["non_saturating"], norms["minimax"]))),
        "ratio_after_pretraining": float(np.median([one["non_saturating"][-1] / one["minimax"][-1] for one in alone])),
        "curves": curves,
    }
    protocol = {
        "preset": tfgen.presets.get("gan/digits").config(), "seeds": SEEDS, "pretraining_steps": PRETRAINING,
        "steps": AFTER, "norm": "of all weights of G, for the batch of latents that its next update uses",
        "ratio": f"non-saturating / minimax after {LOOK} updates of both networks, median over the seeds",
    }  # fmt: skip
    trainings = {"all": {"trained_by": [trained_by], "first_steps": None}}
    zoo = {"model": models[SEEDS[0], "non_saturating"], "metric": _FCD, "training": trainings["all"], "train": source,
           "test": test, "averaged": False}  # fmt: skip
    return results, protocol, {"ratio": (">=", 10.0)}, trainings, zoo


def gradient_norms(objective, source, seed):
    """The model, and {"alone": {objective: norms while D learns alone, every 10 steps}, "training": [norm of each step after
    that]}.
    """
    keras.utils.set_random_seed(seed)
    preset = tfgen.presets.get("gan/digits").override({"objective": objective})
    model = preset.build(seed=seed)
    variables = [v.value for v in model.generator.trainable_variables]

    @tf.function
    def norms():
        latents = model.draw_latents(model.noise_keys(preset.batch_size, stream=2))
        with tf.GradientTape(persistent=True) as tape:
            logits = model.logits(model.generate_raw(latents, training=True), training=True)
            losses = {name: OBJECTIVES[name].generator(logits) for name in LOSSES}
        return {name: tf.linalg.global_norm(tape.gradient(loss, variables)) for name, loss in losses.items()}

    @tf.function
    def update_discriminator(images):
        model.update_discriminator({"raw": 2.0 * images - 1.0}, stream=0)
        model.step.assign_add(1)

    @tf.function
    def update(images):
        model.update({"image": images})
        model.step.assign_add(1)

    batches = iter(source.batches(preset.batch_size, shuffle=True, repeat=True, seed=seed))
    alone, training = {name: [] for name in LOSSES}, []
    for step in range(PRETRAINING + 1):
        if step % 10 == 0:
            for name, norm in norms().items():
                alone[name].append(float(norm))
        if step < PRETRAINING:
            update_discriminator(next(batches)["image"])
    for step in range(AFTER + 1):
        training.append(float(norms()[objective]))
        if step < AFTER:
            update(next(batches)["image"])
    return model, {"alone": alone, "training": training}


def draw_saturating(found, args):
    curves = found["results"]["curves"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for name, label in LOSSES.items():
        alone = [curve["alone"][name] for curve in curves if curve["objective"] == name]
        trained = [curve["training"] for curve in curves if curve["objective"] == name]
        color = {"non_saturating": "C0", "minimax": "C3"}[name]
        for axes, lines, every in ((left, alone, 10), (right, trained, 1)):
            for i, line in enumerate(lines):
                axes.plot(np.arange(len(line)) * every, line, color=color, alpha=0.8, label=None if i else label)
    left.set(title="D learns alone, G does not move", xlabel="step of D", ylabel="norm of G's gradient", yscale="log")
    right.set(title="then both learn", xlabel="step of both")
    right.axvline(LOOK, color="0.6", linestyle=":", linewidth=1)
    left.legend()
    return figure


def table_saturating(found):
    results = found["results"]
    rows = [
        [LOSSES[name], *(f"{norm:.2g}" for norm in norms)] for name, norms in results["norms"].items()
    ]  # fmt: skip
    head = [f"gradient norm after {results['step']} steps", *(f"seed {seed}" for seed in found["protocol"]["seeds"])]
    ratios = (
        f"Non-saturating over minimax, median of the seeds: {results['ratio']:.3g} after {results['step']} steps of both; "
        f"{results['ratio_after_pretraining']:.3g} at the end of D's own training, at the same weights."
    )
    return f"{markdown_table(head, rows)}\n\n{ratios}"


# ---- Digits, several seeds: clipping and gradient penalty, gradient penalty and spectral normalisation


def compare(args, presets, steps=None):
    """({preset: {"seeds": [results], "median": results}}, protocol, trainings, arguments of `keep` for the first run). Runs
    that the run folder has are read.

    Samples are drawn with the raw weights of each model; one classifier, of seed 0, is used for all.
    """
    sources = [tfgen.data.load("digits", split) for split in ("train", "test")]
    classifier = train_classifier(*sources, seed=0)
    evaluator = Evaluator(*sources, classifier, seed=0)
    found, trainings, protocol, zoo = {}, {}, None, None
    for name in presets:
        seeds = []
        for seed in SEEDS:
            config = TrainConfig(
                preset=name, steps=steps, seed=seed, log_every=500, checkpoint_every=5000, sample_every=10_000
            )  # fmt: skip
            # The runs of `adversarial` have these names; a run of another length must not continue one of them.
            own_length = steps is None or steps == tfgen.presets.get(name).steps
            folder = re.sub(r"\W", "_", name) + ("" if own_length else f"-{steps}-steps") + f"-{seed}"
            workdir = pathlib.Path(args.workdir) / folder
            result = train(config, sources[0], workdir)
            training = trainings[f"{name}-{seed}"] = training_of(workdir, spec="digits", split="train")
            zoo = zoo or {"model": result.model, "metric": _FCD, "training": training, "train": sources[0],
                          "test": sources[1], "averaged": False}  # fmt: skip
            judged = evaluator(result.model.sample(len(sources[1]), seed=seed).numpy(), weights="raw")
            protocol = judged.protocol.to_dict()
            names = (_FCD, _SCORE, _CLASSES, "precision", "recall")
            seconds = train_seconds_of(workdir)
            seeds.append({"seed": seed, "steps": result.step, "train_seconds": seconds,
                          **{key: judged.values[key] for key in names}})  # fmt: skip
            print(name, seeds[-1])
        median = {key: float(np.median([one[key] for one in seeds])) for key in seeds[0] if key != "seed"}
        found[name] = {"median": median, "seeds": seeds}
    real = evaluator.real_anchor(len(sources[1])).values
    anchor = {key: real[key] for key in (_FCD, _SCORE, "precision", "recall")}
    configs = {name: tfgen.presets.get(name).config() for name in presets}
    return found, {
        "presets": configs, "seeds": SEEDS, "metrics": protocol, "test_images": anchor,
        "train_seconds": "from the making of the run folder to its last line: too long where a run was interrupted",
    }, trainings, zoo  # fmt: skip


def clipping(args):
    steps = args.steps or tfgen.presets.get("wgan-gp/digits").steps
    results, protocol, trainings, zoo = compare(args, ("wgan/digits", "wgan-gp/digits"), steps)
    results["fcd_ratio"] = results["wgan/digits"]["median"][_FCD] / results["wgan-gp/digits"]["median"][_FCD]
    return results, {**protocol, "steps": steps}, {"fcd_ratio": (">=", 1.0)}, trainings, zoo


def spectral(args):
    results, protocol, trainings, zoo = compare(args, ("sngan/digits", "wgan-gp/digits"), args.steps)
    medians = [results[name]["median"] for name in ("sngan/digits", "wgan-gp/digits")]
    results["seconds_ratio"] = medians[0]["train_seconds"] / medians[1]["train_seconds"]
    results["sngan_fcd"] = medians[0][_FCD]
    return results, protocol, {"sngan_fcd": ("<=", 2.0), "seconds_ratio": ("<=", 1.0)}, trainings, zoo


# ---- Few digits: augmentation of what the discriminator sees

SIZES = (100, 300, 1_000)
HELP = {
    "nothing": {}, "DiffAugment": {"discriminator_augmentation": "translation,cutout"},
    "adaptive": {"discriminator_augmentation": "adaptive", "adaptation_images": 200_000},
    "LeCam": {"lecam_weight": 0.1},
}  # fmt: skip


def few_images(args):
    """FCD of sngan/digits trained on the first digits alone, against the test split, with each help and without."""
    train_source, test = (tfgen.data.load("digits", split) for split in ("train", "test"))
    evaluator = Evaluator(train_source, test, train_classifier(train_source, test, seed=0), seed=0)
    steps = args.steps or tfgen.presets.get("sngan/digits").steps
    results, trainings, zoo, protocol = {}, {}, None, None
    for size in SIZES:
        for name, settings in HELP.items():
            config = TrainConfig("sngan/digits", settings, steps, log_every=500, checkpoint_every=5000, sample_every=10_000)
            workdir = pathlib.Path(args.workdir) / f"few_images-{size}-{name}-{steps}"
            source = train_source.take(size)
            result = train(config, source, workdir)
            training = trainings[f"{size}-{name}"] = training_of(workdir, spec="digits", split="train", take=size)
            zoo = zoo or {"model": result.model, "metric": _FCD, "training": training, "train": source, "test": test}
            with result.model.ema.swapped():
                judged = evaluator(result.model.sample(len(test), seed=0).numpy(), weights="ema")
            protocol = judged.protocol.to_dict()
            one = {key: judged.values[key] for key in (_FCD, _SCORE, _CLASSES, "precision", "recall")}
            one["train_seconds"] = train_seconds_of(workdir)
            if result.model.adaptive is not None:
                one["probability"] = float(keras.ops.convert_to_numpy(result.model.adaptive.probability))
            results.setdefault(str(size), {})[name] = one
            print("few_images", size, name, one)
    small = results[str(SIZES[0])]
    results["best_over_nothing"] = min(small[name][_FCD] for name in HELP if HELP[name]) / small["nothing"][_FCD]
    protocol = {"preset": tfgen.presets.get("sngan/digits").config(), "steps": steps, "help": HELP, "metrics": protocol,
                "images": "the first of the train split", "best_over_nothing": f"FCD with {SIZES[0]} images"}  # fmt: skip
    return results, protocol, {"best_over_nothing": ("<=", 1.0)}, trainings, zoo


def draw_few_images(found, args):
    figure, axes = plt.subplots(figsize=(4.8, 3.4), layout="constrained")
    for i, name in enumerate(HELP):
        axes.plot(SIZES, [found["results"][str(size)][name][_FCD] for size in SIZES], "o-", color=f"C{i}", label=name)
    axes.set(xscale="log", yscale="log", xticks=SIZES, xticklabels=SIZES, xlabel="training images")
    axes.minorticks_off()
    axes.set_ylabel("Fréchet classifier distance")
    axes.legend()
    return figure


def table_few_images(found):
    rows = [
        [name, *(f"{one[_FCD]:.2f}, {one['recall']:.2f}" for size in SIZES for one in [found["results"][str(size)][name]])]
        for name in HELP
    ]
    return markdown_table(["FCD and recall", *(f"{size:,} images" for size in SIZES)], rows)


# ---- StyleGAN: the space of styles, and what mixing copies

STYLES, STYLE_PAIRS, STYLE_SAMPLES, PATH_STEP = "style-gan/mnist", 2_000, 5_000, 1e-3
COARSE, FINE = range(4), range(4, 8)  # of 4 and 8 pixels, of 16 and 32


def styles(args):
    """Path length and separability in z and in w, and how often a mixture keeps the class of the first of two images."""
    options = {"size": (32, 32), "manual_dir": args.manual_dir}
    sources = [tfgen.data.load("mnist", split, **options) for split in ("train", "test")]
    steps, workdir = args.steps or tfgen.presets.get(STYLES).steps, pathlib.Path(args.workdir)
    config = TrainConfig(STYLES, {}, steps, log_every=500, checkpoint_every=5000, sample_every=10_000)
    model = train(config, sources[0], workdir / f"styles-{steps}").model
    training = training_of(workdir / f"styles-{steps}", spec="mnist", split="train", size=[32, 32])
    classifier = train_classifier(*sources, seed=0, workdir=workdir / "styles-classifier")
    samples, results = Samples(RunGenerator(model), 0), {}  # from here on the model has its averaged weights
    for space, metrics in (("z", ("score", "fid", "separability")), ("w", ("separability",))):
        evaluator = Evaluator(*sources, classifier, metrics=metrics, seed=0, space=space)
        judged = evaluator.evaluate(samples, STYLE_SAMPLES, weights="ema")
        results |= {key: judged.values[key] for key in (_FCD, _SCORE, _CLASSES) if key in judged.values}
        results[f"separability_{space}"] = judged.values["linear_separability"]
        results[f"path_length_{space}"] = path_length_in(model, classifier, space, STYLE_PAIRS)
    w = [model.map(model.latents(tf.range(STYLE_PAIRS, dtype=tf.int64) + (seed << 32))) for seed in (1, 2)]
    classes = {name: classes_of(model, classifier, *w, layers) for name, layers in
               (("nothing", ()), ("coarse", COARSE), ("fine", FINE))}  # fmt: skip
    for name in ("coarse", "fine"):
        results[f"same_class_{name}"] = float(np.mean(classes[name] == classes["nothing"]))
    results["path_length_ratio"] = results["path_length_w"] / results["path_length_z"]
    results["separability_ratio"] = results["separability_w"] / results["separability_z"]
    results["same_class_ratio"] = results["same_class_coarse"] / max(results["same_class_fine"], 1e-12)
    results["train_seconds"] = train_seconds_of(workdir / f"styles-{steps}")
    np.savez(_style_pictures(args, steps), **style_pictures(model))
    protocol = {
        "preset": tfgen.presets.get(STYLES).config(), "steps": steps, "metrics": judged.protocol.to_dict(), "seed": 0,
        "classifier_accuracy": classifier.accuracy, "pairs": STYLE_PAIRS, "path_step": PATH_STEP,
        "path_length": "full paths, squared distance of the classifier's features over the squared step; slerp in z",
        "same_class": "share of mixtures with the class of the first image, if these layers are of the second",
    }  # fmt: skip
    gates = {f"{name}_ratio": ("<=", 1.0) for name in ("path_length", "separability", "same_class")}
    return results, protocol, gates, {"all": training}, None


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
    return pathlib.Path(args.workdir) / f"styles-pictures-{steps}.npz"


def draw_styles(found, args):
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


def table_styles(found):
    one = found["results"]
    rows = [["path length", *(f"{one[f'path_length_{space}']:.4g}" for space in "zw")],
            ["separability", *(f"{one[f'separability_{space}']:.4g}" for space in "zw")]]  # fmt: skip
    kept = ", ".join(f"{one[f'same_class_{name}']:.1%} with the {name} layers" for name in ("coarse", "fine"))
    return (
        f"{markdown_table(['lower is better', 'z', 'w'], rows)}\n\nMixtures of two images that keep the class of the first: "
        f"{kept} of the second. Fréchet classifier distance {one[_FCD]:.2f}, {one['train_seconds']:.0f} seconds of training."
    )


TITLES = {"wgan/digits": "clipping", "wgan-gp/digits": "gradient penalty", "sngan/digits": "spectral norm"}


def draw_numbers(*keys):
    """Draws a panel for each number, with a dot for each seed."""
    labels = {_FCD: "Fréchet classifier distance", _SCORE: "classifier score", "train_seconds": "seconds of training"}

    def draw(found, args):
        models = {name: TITLES[name] for name in found["results"] if name in TITLES}
        figure, panels = plt.subplots(1, len(keys), figsize=(3.4 * len(keys), 3.4), layout="constrained")
        for axes, key in zip(panels, keys, strict=True):
            for x, name in enumerate(models):
                seeds = found["results"][name]["seeds"]
                axes.plot([x + 0.06 * (i - 1) for i in range(len(seeds))], [one[key] for one in seeds], "o", color=f"C{x}")
            if key in found["protocol"]["test_images"]:
                value = found["protocol"]["test_images"][key]
                axes.axhline(value, color="0.5", linestyle=":", label="test images")
                axes.legend()
            axes.set(title=labels.get(key, key), xticks=range(len(models)), xticklabels=models.values(), xlim=(-0.5, 1.5))
            if key != _SCORE:
                axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
        return figure

    return draw


def table_numbers(found):
    head = ["model", "generator steps", "FCD", "score", "classes", "recall", "seconds"]
    rows = []
    for name, one in found["results"].items():
        if name not in TITLES:
            continue
        turns = found["protocol"]["presets"][name]["model_args"].get("discriminator_steps", 5)
        forms = {_FCD: ".2f", _SCORE: ".2f", _CLASSES: "d", "recall": ".2f", "train_seconds": ".0f"}
        texts = [" / ".join(f"{seed[key]:{form}}" for seed in one["seeds"]) for key, form in forms.items()]
        rows.append([f"{TITLES[name]} (`{name}`)", f"{one['median']['steps'] / turns:,.0f}", *texts])
    seeds = ", ".join(map(str, found["protocol"]["seeds"]))
    return f"{markdown_table(head, rows)}\n\nOne number for each of the seeds {seeds}."


# ---- Mixtures of Gaussians: the modes that the generator finds

# A point p is the image 0.5 + 0.5 * p / scale, and the networks get p / scale. Modes lie within .8, so that no point is
# clipped.
MIXTURES = {
    "8": {"centers": [[2 * np.cos(a), 2 * np.sin(a)] for a in np.arange(8) * np.pi / 4], "stddev": 0.02, "scale": 2.5,
          "share": 0.01, "gate": 8},
    "25": {"centers": [[x, y] for x in range(-4, 5, 2) for y in range(-4, 5, 2)], "stddev": 0.05, "scale": 5.0,
           "share": 0.005, "gate": 23},
}  # fmt: skip
_TOY = {
    "image_shape": (1, 1, 2), "network": "mlp", "width": 128, "latent_dim": 2,
    "network_args": {"depth": 3, "generator": {"norm": None, "output": "linear"}, "discriminator": {"slope": 0.0}},
}  # fmt: skip
TOY_STEPS, TOY_BATCH, TOY_SAMPLES = {"8": 15_000, "25": 60_000}, 256, 10_000


def toy_model(name, steps, seed=0):
    """The compiled model of "wgan-gp" or "wgan": the paper's networks at a quarter of their width."""
    keras.utils.set_random_seed(seed)
    if name == "wgan-gp":
        model = tfgen.models.WGANGP(**_TOY, penalty_weight=0.1, seed=seed)
        optimizers = {
            player: keras.optimizers.Adam(rate, beta_1=0.5, beta_2=0.9) for player, rate in _falling(3e-4, steps).items()
        }
    else:
        model = tfgen.models.WGAN(**_TOY, weight_clip=0.1, thorough_turns=0, seed=seed)
        optimizers = {
            player: keras.optimizers.RMSprop(rate, rho=0.9, epsilon=1e-8) for player, rate in _falling(2e-4, steps).items()
        }
    model.compile(optimizers)
    return model


def _falling(rate, steps):
    """{player: rate} of the generator, which has a fifth of the updates, and of the critic, down to 0 at the end."""
    return {
        player: keras.optimizers.schedules.PolynomialDecay(rate, steps // every, 0.0)
        for player, every in (("generator", 5), ("discriminator", 1))
    }


def toy_batches(mixture, seed):
    """Endless batches, each a pure function of (seed, its number): {"image": float32 [256, 1, 1, 2]}."""
    centers = tf.constant(mixture["centers"], tf.float32)

    def batch(number):
        keys = random.fold(random.fold(random.key(seed), number), tf.range(TOY_BATCH))
        mode = tf.cast(random.uniform(random.fold(keys, 0), 1)[:, 0] * len(centers), tf.int32)
        points = tf.gather(centers, mode) + mixture["stddev"] * random.normal(random.fold(keys, 1), 2)
        return {"image": tf.reshape(0.5 + 0.5 * points / mixture["scale"], [TOY_BATCH, 1, 1, 2])}

    return tf.data.Dataset.counter().map(batch).prefetch(20)


def toy_samples(model, mixture, seed):
    """Points float32 [10,000, 2] of the generator."""
    return (2.0 * model.sample(TOY_SAMPLES, seed=seed).numpy().reshape(-1, 2) - 1.0) * mixture["scale"]


def _toy_file(args, name, which, steps):
    return pathlib.Path(args.workdir) / f"claim_gaussians-{name}-{which}-{steps}.npz"


def _toy_weights(path):
    return path.with_suffix(".weights.h5")


def toy_points(args, name, which, steps):
    """Trains a model: points of the generator, the seconds of training, and what a record says of it."""
    path = _toy_file(args, name, which, steps)
    if not path.exists():
        model, mixture = toy_model(name, steps), MIXTURES[which]
        model.steps_per_execution, first = 20, FirstSteps(model)
        training = {"trained_by": [{"from_step": 0, **origin([type(model).__module__], [THIS])}]}
        started = time.perf_counter()
        model.fit(toy_batches(mixture, seed=0), steps_per_epoch=steps, verbose=0, callbacks=[first])
        seconds = time.perf_counter() - started
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save_weights(_toy_weights(path))
        training = json.dumps({**training, "first_steps": first.found})
        np.savez(path, points=toy_samples(model, mixture, seed=0), seconds=seconds, training=training)
    with np.load(path) as file:
        return file["points"], float(file["seconds"]), json.loads(str(file["training"]))


def modes(points, mixture):
    """How many modes the points cover; a point belongs to a mode if it lies within 3 standard deviations of it."""
    distances = np.linalg.norm(points[:, None] - np.asarray(mixture["centers"])[None], axis=-1)  # [N, modes]
    shares = np.mean(distances <= 3 * mixture["stddev"], axis=0)
    return {"covered": int(np.sum(shares >= mixture["share"])), "of": len(shares), "within_3_std": float(shares.sum())}


def gaussians(args):
    steps = {which: args.steps or TOY_STEPS[which] for which in MIXTURES}
    results, trainings = {}, {}
    for name in ("wgan-gp", "wgan"):
        for which, mixture in MIXTURES.items():
            points, seconds, trainings[f"{name}-{which}"] = toy_points(args, name, which, steps[which])
            results[f"{name}-{which}"] = {**modes(points, mixture), "train_seconds": seconds}
            print(name, which, results[f"{name}-{which}"])
    gates = {}
    for which, mixture in MIXTURES.items():
        results[f"modes_{which}"] = results[f"wgan-gp-{which}"]["covered"]
        gates[f"modes_{which}"] = (">=", mixture["gate"])
    shares = {which: mixture["share"] for which, mixture in MIXTURES.items()}
    protocol = {
        "steps": steps, "batch": TOY_BATCH, "samples": TOY_SAMPLES, "model_args": _TOY, "seed": 0,
        "optimizers": {name: [o.get_config() for o in m.player_optimizers.values()]
                       for name in ("wgan-gp", "wgan") for m in [toy_model(name, steps["25"])]},
        "covered": f"a mode that has at least {shares} of the samples within 3 standard deviations",
    }  # fmt: skip
    model = toy_model("wgan-gp", steps["25"])
    model.load_weights(_toy_weights(_toy_file(args, "wgan-gp", "25", steps["25"])))
    zoo = {"model": model, "metric": "within_3_std", "training": trainings["wgan-gp-25"], "mixture": "25"}
    return results, protocol, gates, trainings, zoo


def draw_gaussians(found, args):
    figure, panels = plt.subplots(2, 2, figsize=(7.2, 7.2), layout="constrained")
    for row, (which, mixture) in zip(panels, MIXTURES.items(), strict=True):
        for axes, (name, label) in zip(row, (("wgan-gp", "gradient penalty"), ("wgan", "clipping")), strict=True):
            points, _, _ = toy_points(args, name, which, found["protocol"]["steps"][which])
            for center in mixture["centers"]:
                axes.add_patch(plt.Circle(center, 5 * mixture["stddev"], fill=False, color="C3", linewidth=0.8))
            axes.plot(*points[:2000].T, ".", markersize=2, alpha=0.5)
            one = found["results"][f"{name}-{which}"]
            half = 1.25 * np.max(mixture["centers"])
            axes.set(title=f"{label}: {one['covered']} of {one['of']} modes", xlim=(-half, half), ylim=(-half, half),
                     aspect="equal")  # fmt: skip
    return figure


def table_gaussians(found):
    rows = []
    for key, one in found["results"].items():
        if isinstance(one, dict):
            name, which = key.rsplit("-", 1)
            label = {"wgan-gp": "gradient penalty", "wgan": "clipping"}[name]
            rows.append([label, f"{one['covered']} of {which}", f"{one['within_3_std']:.1%}", f"{one['train_seconds']:.0f}"])
    return markdown_table(["critic", "modes covered", "samples within 3 std of a mode", "seconds"], rows)


# ---- From other records


def draw_infogan(found, args):
    figure, axes = plt.subplots(figsize=(4.2, 3.4), layout="constrained")
    seeds = found["results"]["seeds"]
    information = [one["categorical_information"] for one in seeds.values()]
    accuracy = [one["hungarian_accuracy"] for one in seeds.values()]
    axes.plot(information, accuracy, "o")
    for seed, x, y in zip(seeds, information, accuracy, strict=True):
        axes.annotate(f"seed {seed}", (x, y), textcoords="offset points", xytext=(6, 4))
    axes.axvline(np.log(10), color="0.5", linestyle=":", label="ln 10, the most there is")
    axes.axhline(0.1, color="0.5", linestyle="--", label="chance")
    axes.set(xlabel="bound on the information [nats]", ylabel="accuracy on test images", ylim=(0, 1), xlim=(0, 2.6))
    axes.legend(loc="center left")
    return figure


def table_infogan(found):
    keys = ("hungarian_accuracy", "majority_accuracy", "categorical_information")
    rows = [[seed, *(f"{one[key]:.3f}" for key in keys)] for seed, one in found["results"]["seeds"].items()]
    return markdown_table(["seed", "accuracy, a code for each digit", "accuracy, each code's majority digit", "nats"], rows)


LEARNERS = {"supervised": "labelled images alone", "gan": "feature matching"}


def draw_feature_matching(found, args):
    figure, axes = plt.subplots(figsize=(4.8, 3.4), layout="constrained")
    sizes = [name for name in found["results"] if name.endswith("_labels") and not name.startswith("median")]
    for i, (name, label) in enumerate(LEARNERS.items()):
        errors = [found["results"][size][f"{name}_error_percent"] for size in sizes]
        axes.plot([one["mean"] for one in errors], "-", color=f"C{i}", label=label)
        for x, one in enumerate(errors):
            axes.plot([x] * len(one["seeds"]), one["seeds"], "o", color=f"C{i}", alpha=0.6)
    axes.set(xticks=range(len(sizes)), xticklabels=[size.replace("_", " ") for size in sizes], ylabel="test error [%]")
    axes.set_ylim(0, 1.1 * axes.get_ylim()[1])
    axes.legend()
    return figure


def table_feature_matching(found):
    rows = []
    for size in (name for name in found["results"] if name.endswith("_labels") and not name.startswith("median")):
        one = found["results"][size]
        errors = [" / ".join(f"{e:.1f}" for e in one[f"{name}_error_percent"]["seeds"]) for name in LEARNERS]
        rows.append([size.removesuffix("_labels"), *errors, " / ".join(f"{ratio:.2f}" for ratio in one["error_ratio"])])
    seeds = ", ".join(map(str, found["seed"]))
    head = ["labels", *(f"error [%], {label}" for label in LEARNERS.values()), "ratio"]
    return f"{markdown_table(head, rows)}\n\nOne number for each of the seeds {seeds}; the line of the figure is their mean."


# name: (measure, draw, table, caption of the figure); `measure` is a function or the record of another module.
CLAIMS = {
    "saturating": (
        saturating,
        draw_saturating,
        table_saturating,
        "Norm of the generator's gradient over the steps for both losses",
    ),
    "clipping": (
        clipping,
        draw_numbers(_FCD, _SCORE, "recall"),
        table_numbers,
        "Fréchet classifier distance, score and recall of three seeds each",
    ),
    "spectral": (
        spectral,
        draw_numbers(_FCD, "train_seconds"),
        table_numbers,
        "Fréchet classifier distance and seconds of training, three seeds each",
    ),
    "few-images": (
        few_images,
        draw_few_images,
        table_few_images,
        "Fréchet classifier distance over the number of training images, with each help and without",
    ),
    "styles": (styles, draw_styles, table_styles, "Mixed styles, truncation and noise of one StyleGAN"),
    "gaussians": (gaussians, draw_gaussians, table_gaussians, "Samples over the modes for both mixtures and both critics"),
    "feature-matching": (
        "semi_supervised_digits",
        draw_feature_matching,
        table_feature_matching,
        "Test error over the number of labels, with and without unlabelled images",
    ),
    "infogan": (
        "infogan_digits",
        draw_infogan,
        table_infogan,
        "Accuracy of the code as a classifier over the bound on its information",
    ),
}


# ---- Writing figures and tables


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("claim", choices=list(CLAIMS))
    parser.add_argument("--out", help="the record; default benchmarks/reproduce/claim_NAME.json")
    parser.add_argument("--docs", default=ROOT / "docs", type=pathlib.Path, help="folder with claims.md and images")
    parser.add_argument("--workdir", default="runs", help="where run folders go")
    parser.add_argument("--manual_dir", help="of styles: folder with the original files of MNIST, offline")
    parser.add_argument("--steps", type=int, help="of those claims that train, for a shorter run")
    args = parser.parse_args()
    measure, draw, as_table, shown = CLAIMS[args.claim]
    slug = args.claim.replace("-", "_")
    if callable(measure):
        started = time.perf_counter()
        results, protocol, gates, trainings, zoo = measure(args)
        path = pathlib.Path(args.out or f"benchmarks/reproduce/claim_{slug}.json")
        report(
            path, THIS, seed=protocol.get("seeds", 0), protocol=protocol,
            seconds=time.perf_counter() - started, results=results, gates=gates, trainings=trainings,
        )  # fmt: skip
        if zoo is not None:
            keep(path, **zoo)
    else:
        path = pathlib.Path(args.out or f"benchmarks/reproduce/{measure}.json")
        if not path.exists():
            print(f"{args.claim}: there is no {path} yet; `python -m benchmarks.reproduce {measure}` makes it.")
            return
    # Read from the file, so that changes by JSON have no effect later.
    found = json.loads(path.read_text())
    (args.docs / "images").mkdir(parents=True, exist_ok=True)
    figure = draw(found, args)
    figure.savefig(args.docs / f"images/claim_{slug}.png", dpi=110)
    plt.close(figure)
    path, text = args.docs / "claims.md", f"![{shown}](images/claim_{slug}.png)\n\n{as_table(found)}"
    path.write_text(filled(path, f"<!-- {args.claim}: from its record -->", f"<!-- end of {args.claim} -->", text))


if __name__ == "__main__":
    main()
