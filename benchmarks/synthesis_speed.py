"""Time of DGN-AM, of projections by L-BFGS and of a training step of FractalNet beside PyTorch.

    python -m benchmarks.synthesis_speed --out benchmarks/reproduce/synthesis_speed.json

Weights are random, of He et al.'s variance (2015), and images too; only time is measured, in turns (see `benchmarks.turns`).

    climb                    DGNAM.maximize of 64 chains of 200 steps: the generator of deepsim/mnist, and as the examined
                             network the classifier whose codes it inverts; seconds
    project                  IGAN.project of 64 images, at most 200 steps of L-BFGS each, without the predictor: the
                             generator of dcgan/mnist and its own samples; seconds
    fractal                  model.fit of fractal-net/cifar10 with five blocks of 16 to 128 filters, 10 steps in a call, with
                             input, augmentation and checks of the images; milliseconds of a step
    torch_WAY_*              the same in PyTorch, see torch_synthesis.py in benchmarks/peers; __init__.py there says how to
                             make its environment. Left out if it did not run

Which way of PyTorch is the fastest is measured too, and ours is compared with that one. Projections end where they can go no
further, so the mean error that each reaches, over that of the start, is beside its time.
"""

import contextlib
import math

import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.fit_overhead import STEPS, measure, prepare
from benchmarks.turns import Turns
from tfgen.models import DGNAM, IGAN, DeePSiM
from tfgen_trainers.train import STEPS_PER_CALL

ROWS, CLIMB_STEPS, PROJECTION_STEPS = 64, 200, 200
FRACTAL = {"filters": (16, 32, 64, 128, 128), "dropout": (0.0, 0.1, 0.2, 0.3, 0.4)}
KINDS = {
    "climb": ("eager", "compile", "channels_last"), "project": ("eager", "compile", "rows"),
    "fractal": ("eager", "compile", "channels_last"),
}  # fmt: skip
GATES = {
    "torch_over_climb": (">=", 1.5), "torch_over_project": (">=", 1.5), "torch_over_fractal": (">=", 0.9),
}  # fmt: skip


def random_weights(network, seed=0):
    """N(0, 2 / inputs of a unit) for all kernels, N(0, .25) for the shifts of batch norm: without these the code 0 has no
    gradient, and a projection that starts there ends there."""
    rng = np.random.default_rng(seed)
    for variable in network.trainable_variables:
        shape = variable.shape
        if len(shape) > 1:
            # A transposed convolution of stride 2 has [h, w, out, in], and a quarter of the products for each output.
            transposed = len(shape) == 4 and "up" in variable.path
            inputs = shape[0] * shape[1] * shape[3] / 4 if transposed else math.prod(shape[:-1])
            variable.assign(rng.normal(0.0, math.sqrt(2.0 / inputs), shape))
        elif variable.name == "beta":
            variable.assign(rng.normal(0.0, 0.5, shape))


def climb():
    """A function that runs the ascents."""
    network = tfgen.features.encoder_network((28, 28, 1), 10)
    made = DeePSiM(image_shape=(28, 28, 1), encoder=network, encoder_layers=("code", "maps"))
    random_weights(made.generator)
    settings = {**tfgen.presets.get("dgn-am/mnist").model_args, "classifier": network, "encoder": network}
    model = DGNAM(**{**settings, "generator": made.generator})
    model.compile()
    model.fit(tf.random.uniform([100, 28, 28, 1]), verbose=0)
    units, seeds = np.arange(ROWS, dtype=np.int32) % 10, np.arange(ROWS)
    return lambda: model.maximize(units, seeds, CLIMB_STEPS)["image"].numpy()


def project():
    """(a function that runs the projections, one that returns their error over that of the start)"""
    gan = tfgen.presets.get("dcgan/mnist").build()
    with gan.ema.swapped():  # iGAN uses the averages
        random_weights(gan.generator)
    model = IGAN(
        image_shape=(28, 28, 1), generator=gan, width=4, method="optimization", projection_steps=PROJECTION_STEPS
    )
    model.compile()
    images = model.decode_images(model.latent_generator.draw(tfgen.random.keys(tf.range(ROWS, dtype=tf.int64))))
    start = model.projection_cost(images, tf.repeat(model.latent_generator.center()[None], ROWS, axis=0))

    def error():
        return float(tf.reduce_mean(model.projection_cost(images, model.invert(images))) / tf.reduce_mean(start))

    return lambda: model.project(images)["latent"].numpy(), error


def main():
    turns = Turns(__doc__, rounds=5, steps=20)
    args = turns.start(multiple_of=STEPS_PER_CALL)
    rng = np.random.default_rng(0)
    images = tfgen.data.from_arrays(rng.integers(0, 256, (10_000, 32, 32, 3), dtype="uint8"), rng.integers(0, 10, 10_000))
    preset = tfgen.presets.get("fractal-net/cifar10").override(FRACTAL)
    STEPS[preset.name] = args.steps  # names that `prepare` knows
    run = prepare(preset, images, "fit")
    projection, error = project()
    turns.add("climb", climb())
    turns.add("project", projection)
    turns.add("fractal", lambda: measure(run, "fit"), 1e3 / args.steps)
    asked = {f"{name}_{kind}": (1, 1.0) for name in KINDS for kind in KINDS[name]}
    asked |= {f"fractal_{kind}": (args.steps, 1e3 / args.steps) for kind in KINDS["fractal"]}
    asked["project_rows"] = 1, 8.0
    with contextlib.ExitStack() as stack:
        turns.add_peer(stack, "torch_synthesis.py", asked)
        turns.take()
    reached = {"project": error(), **{way: one["reached"] for way, one in turns.facts.items() if "reached" in one}}
    results = {"seconds_or_ms_per_step": turns.medians(), "error_of_projections": reached}
    for name, kinds in KINDS.items():
        best = turns.best([f"torch_{name}_{kind}" for kind in kinds])
        results[f"torch_over_{name}"], results[f"torch_best_of_{name}"] = turns.ratio(best, name), best
    turns.report(
        "benchmarks.synthesis_speed", results, GATES,
        {"rows": ROWS, "climb_steps": CLIMB_STEPS, "projection_steps": PROJECTION_STEPS, "fractal": preset.config()},
    )  # fmt: skip


if __name__ == "__main__":
    main()
