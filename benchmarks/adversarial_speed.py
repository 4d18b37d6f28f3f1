"""Time of a training step of the adversarial family, beside a bare loop, beside PyTorch, and of its parts.

    python -m benchmarks.adversarial_speed --out benchmarks/reproduce/adversarial_speed.json

The 28x28 networks at half width with batches of 64 random images. Only time is measured, in turns (see `benchmarks.turns`).

    fit                model.fit of dcgan/mnist under MirroredStrategy, 10 steps in a call: all the work of `tfgen train`,
                       with its input, averaged weights, checks of the images and mean losses
    bare               a Python loop that calls tf.function(model.train_step) on the next batch
    by_hand            the same networks and optimisers in a tf.function with only the two updates
    torch_*            the same networks in PyTorch, without input pipeline and averaged weights: torch_gan.py in
                       benchmarks/peers; see __init__.py there for its environment. Left out if it did not run
    critic, critic_penalty     the critic's update of wgan-gp/mnist, without and with the gradient penalty
    plain, spectral            the discriminator's update of sngan/mnist, without and with spectral normalisation
"""

import contextlib

import keras
import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.fit_overhead import STEPS, measure, prepare
from benchmarks.turns import Turns
from tfgen_trainers.train import STEPS_PER_CALL

PRESET = "dcgan/mnist"
GATES = {"fit_over_bare": ("<=", 1.05), "torch_over_fit": (">=", 1.4), "penalty": ("<=", 2.2), "spectral": ("<=", 1.15)}


def by_hand(preset, source, steps):
    """A function that runs `steps` steps of this GAN, written by hand for this preset."""
    model = preset.build()
    generator, discriminator = model.generator, model.discriminator
    optimizers = model.player_optimizers
    losses = keras.losses.BinaryCrossentropy(from_logits=True)
    batch, iterator = preset.batch_size, iter(source.batches(preset.batch_size, shuffle=True, repeat=True))

    def latents():
        return tf.random.uniform([batch, model.latent_dim], -1.0, 1.0)

    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            real = discriminator([2.0 * images - 1.0], training=True)["logit"]
            fake = discriminator([generator([latents()], training=True)], training=True)["logit"]
            loss = losses(tf.ones_like(real), real) + losses(tf.zeros_like(fake), fake)
        variables = discriminator.trainable_variables
        optimizers["discriminator"].apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        with tf.GradientTape() as tape:
            fake = discriminator([generator([latents()], training=True)], training=True)["logit"]
            loss = losses(tf.ones_like(fake), fake)
        variables = generator.trainable_variables
        optimizers["generator"].apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    def run():
        for _ in range(steps):
            loss = step(next(iterator)["image"])
        return float(loss)

    return run


def discriminator_updates(preset, images, steps):
    """A function that runs `steps` updates of the discriminator."""
    model = preset.build()
    batch = {"raw": tf.constant(2.0 * images - 1.0)}
    update = tf.function(lambda: model.update_discriminator(batch, stream=0))

    def run():
        for _ in range(steps):
            logs = update()
        return float(logs["discriminator_loss"])

    return run


def main():
    turns = Turns(__doc__, rounds=7, steps=100)
    steps = turns.start(multiple_of=STEPS_PER_CALL).steps
    rng = np.random.default_rng(0)
    source = tfgen.data.from_arrays(rng.integers(0, 256, (20_000, 28, 28, 1), dtype="uint8"), rng.integers(0, 10, 20_000))
    preset, penalised, normalised = (tfgen.presets.get(name) for name in (PRESET, "wgan-gp/mnist", "sngan/mnist"))
    unpenalised = penalised.override({"penalty": None})
    settings = {**normalised.model_args["network_args"], "discriminator": {"convolution": "plain"}}
    plain = normalised.override({"network_args": settings})
    images = rng.uniform(size=(preset.batch_size, 28, 28, 1)).astype("float32")

    STEPS[preset.name] = steps  # names that `prepare` knows
    ours = {way: prepare(preset, source, as_in) for way, as_in in (("fit", "fit_mirrored"), ("bare", "bare"))}
    ours["by_hand"] = by_hand(preset, source, steps)
    for way, of in (("critic", unpenalised), ("critic_penalty", penalised), ("plain", plain), ("spectral", normalised)):
        ours[way] = discriminator_updates(of, images, steps)
    for way, run in ours.items():
        turns.add(way, lambda way=way, run=run: measure(run, way), 1e3 / steps)
    with contextlib.ExitStack() as stack:
        turns.add_peer(stack, "torch_gan.py", scale=1e3 / steps)
        turns.take()
    # The gate compares equal work; the ways that reuse images do less and are reported beside it.
    better = turns.best(["torch_eager", "torch_compile"])
    best = turns.best([way for way in turns.runs if way.startswith("torch_")])
    results = {
        "ms_per_step": turns.medians(),
        "fit_over_bare": turns.ratio("fit", "bare"),
        "fit_over_by_hand": turns.ratio("fit", "by_hand"),
        "torch_over_fit": turns.ratio(better, "fit"),
        "torch_better": better,
        "torch_best_of_all_over_fit": turns.ratio(best, "fit"),
        "torch_best_of_all": best,
        "penalty": turns.ratio("critic_penalty", "critic"),
        "spectral": turns.ratio("spectral", "plain"),
    }
    presets = [p.name for p in (preset, penalised, normalised)]
    turns.report("benchmarks.adversarial_speed", results, GATES, {"presets": presets, "batch": preset.batch_size})


if __name__ == "__main__":
    main()
