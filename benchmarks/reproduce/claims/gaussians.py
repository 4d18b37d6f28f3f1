"""Mixtures of Gaussians: the modes that the generator finds."""

import json
import pathlib
import time

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.record import markdown_table
from tfgen import random
from tfgen_trainers.first_steps import FirstSteps
from tfgen_trainers.origin import origin

CAPTION = "Samples over the modes for both mixtures and both critics"
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
        training = {"trained_by": [{"from_step": 0, **origin([type(model).__module__], [__name__])}]}
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


def measure(args):
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
        "optimizers": {f"{name}-{which}": [o.get_config() for o in toy_model(name, steps[which]).player_optimizers.values()]
                       for name in ("wgan-gp", "wgan") for which in MIXTURES},
        "covered": f"a mode that has at least {shares} of the samples within 3 standard deviations",
    }  # fmt: skip
    model = toy_model("wgan-gp", steps["25"])
    model.load_weights(_toy_weights(_toy_file(args, "wgan-gp", "25", steps["25"])))
    zoo = {"model": model, "metric": "within_3_std", "training": trainings["wgan-gp-25"], "mixture": "25"}
    return results, protocol, gates, trainings, zoo


def draw(found, args):
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


def table(found):
    rows = []
    for key, one in found["results"].items():
        if isinstance(one, dict):
            name, which = key.rsplit("-", 1)
            label = {"wgan-gp": "gradient penalty", "wgan": "clipping"}[name]
            rows.append([label, f"{one['covered']} of {which}", f"{one['within_3_std']:.1%}", f"{one['train_seconds']:.0f}"])
    return markdown_table(["critic", "modes covered", "samples within 3 std of a mode", "seconds"], rows)
