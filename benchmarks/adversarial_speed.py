"""What a training step of the adversarial family costs, against a bare loop, against PyTorch, and part by part.

    python -m benchmarks.adversarial_speed --out benchmarks/reproduce/adversarial_speed.json

The 28x28 networks at half width, batch 64, on random images: only time is measured. Both libraries may use two threads. The
ways take turns, round after round, so that a busy machine slows all alike; ratios are medians over the rounds of the ratio
within a round. Each way runs once before the first round.

    fit                model.fit of dcgan/mnist under MirroredStrategy, 10 steps in a call: the whole of what `tfgen train`
                       does, with its input, averaged weights, checks of the images and mean losses
    bare               a Python loop that calls tf.function(model.train_step) on the next batch
    by_hand            the same networks and optimisers in a tf.function that does nothing but the two updates
    torch_*            the same networks in PyTorch, without input pipeline and averaged weights: torch_gan.py in
                       benchmarks/peers; __init__.py there says how its environment is made. null where it did not run
    critic, critic_penalty     the critic's update of wgan-gp/mnist, without and with the gradient penalty
    plain, spectral            the discriminator's update of sngan/mnist, without and with spectral normalisation
"""

import argparse
import contextlib
import statistics
import time

import keras
import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.fit_overhead import STEPS, measure, prepare
from benchmarks.peers import Peer
from benchmarks.record import judged, module_command, record
from trainers.train import STEPS_PER_CALL

THREADS = 2
PRESET = "dcgan/mnist"
GATES = {"fit_over_bare": ("<=", 1.05), "torch_over_fit": (">=", 1.4), "penalty": ("<=", 2.2), "spectral": ("<=", 1.15)}


def by_hand(preset, source, steps):
    """A function that runs `steps` steps of the GAN written for this preset alone."""
    model = preset.build()
    generator, discriminator = model.generator, model.discriminator
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
        model.discriminator_optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        with tf.GradientTape() as tape:
            fake = discriminator([generator([latents()], training=True)], training=True)["logit"]
            loss = losses(tf.ones_like(fake), fake)
        variables = generator.trainable_variables
        model.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
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


def peer_runs(peer, steps):
    """{way: a function that answers the seconds of `steps` steps, None where the peer has an error instead}."""

    def asked(way):
        def run():
            answer = peer.ask(way=way, steps=steps)
            errors.update({f"torch_{way}": answer["error"]} if "error" in answer else {})
            return answer.get("seconds")

        return run

    errors = {}
    return {f"torch_{way}": asked(way) for way in peer.about["ways"]}, errors


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=100, help="of each way in a round")
    parser.add_argument("--torch_python", default=".venv-torch/bin/python", help="of the environment that has PyTorch")
    args = parser.parse_args()
    if args.rounds < 1 or args.steps < STEPS_PER_CALL or args.steps % STEPS_PER_CALL:
        parser.error(f"--rounds must be positive and --steps a multiple of {STEPS_PER_CALL}, what fit runs in a call.")
    started = time.perf_counter()
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    source = tfgen.data.from_arrays(rng.integers(0, 256, (20_000, 28, 28, 1), dtype="uint8"), rng.integers(0, 10, 20_000))
    preset, penalised, normalised = (tfgen.presets.get(name) for name in (PRESET, "wgan-gp/mnist", "sngan/mnist"))
    unpenalised = penalised.override({"penalty": None})
    settings = {**normalised.model_args["network_args"], "discriminator": {"spectral": False}}
    plain = normalised.override({"network_args": settings})
    images = rng.uniform(size=(preset.batch_size, 28, 28, 1)).astype("float32")

    STEPS[preset.name] = args.steps  # what `prepare` goes by
    ours = {way: prepare(preset, source, as_in) for way, as_in in (("fit", "fit_mirrored"), ("bare", "bare"))}
    ours["by_hand"] = by_hand(preset, source, args.steps)
    for way, of in (("critic", unpenalised), ("critic_penalty", penalised), ("plain", plain), ("spectral", normalised)):
        ours[way] = discriminator_updates(of, images, args.steps)
    runs = {way: lambda way=way, run=run: measure(run, way) for way, run in ours.items()}
    with contextlib.ExitStack() as stack:
        about, errors = None, {}
        try:
            peer = stack.enter_context(Peer(args.torch_python, "torch_gan.py", THREADS))
            about = {key: value for key, value in peer.about.items() if key != "ways"}
            theirs, errors = peer_runs(peer, args.steps)
            runs |= theirs
        except RuntimeError as error:
            errors["torch"] = str(error)
        rounds = [{way: run() for way, run in runs.items()} for _ in range(args.rounds + 1)][1:]  # the first warms up

    def ratio(over, under):
        values = [r[over] / r[under] for r in rounds if r.get(over) and r.get(under)]
        return statistics.median(values) if values else None

    def median_ms(way):
        values = [r[way] for r in rounds if r[way] is not None]
        return 1e3 * statistics.median(values) / args.steps if values else None

    milliseconds = {way: median_ms(way) for way in runs}
    torch = {way: value for way, value in milliseconds.items() if way.startswith("torch_") and value is not None}
    # The gate is against the same work; those that reuse images do less of it and are told besides.
    better = min((way for way in torch if way in ("torch_eager", "torch_compile")), key=torch.get, default=None)
    best = min(torch, key=torch.get, default=None)
    results = {
        "ms_per_step": milliseconds,
        "fit_over_bare": ratio("fit", "bare"),
        "fit_over_by_hand": ratio("fit", "by_hand"),
        "torch_over_fit": ratio(better, "fit"),
        "torch_better": better,
        "torch_best_of_all_over_fit": ratio(best, "fit"),
        "torch_best_of_all": best,
        "penalty": ratio("critic_penalty", "critic"),
        "spectral": ratio("spectral", "plain"),
        "torch_errors": errors,
    }
    verdict = judged(results, GATES)
    for name, value in milliseconds.items():
        print(f"{name:28} {'-' if value is None else f'{value:.2f} ms'}")
    for name, value in results.items():
        gate = f"   gate {verdict['gates'][name]}: {verdict['passed'][name]}" if name in GATES else ""
        print(f"{name:28} {value}{gate}" if name != "ms_per_step" else "")
    if args.out:
        record(
            args.out,
            command=module_command("benchmarks.adversarial_speed"),
            seed=0,
            protocol={
                "presets": [p.name for p in (preset, penalised, normalised)], "batch": preset.batch_size,
                "steps": args.steps, "rounds": args.rounds, "statistic": "median over rounds; ratios within a round",
                "threads": {"tensorflow_intra_op": THREADS, "tensorflow_inter_op": THREADS, "torch": THREADS},
            },
            seconds=time.perf_counter() - started,
            results=results,
            **verdict,
            peer=about,
        )  # fmt: skip


if __name__ == "__main__":
    main()
