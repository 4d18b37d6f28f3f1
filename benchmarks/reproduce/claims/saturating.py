"""The generator's gradient: non-saturating and minimax."""

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.record import markdown_table
from benchmarks.reproduce.claims.runs import SEEDS
from benchmarks.reproduce.common import FCD
from tfgen.losses import OBJECTIVES
from tfgen_trainers.code_hash import model_modules
from tfgen_trainers.origin import origin

CAPTION = "Norm of the generator's gradient over the steps for both losses"
LOSSES = {"non_saturating": "non-saturating", "minimax": "minimax"}
PRETRAINING, AFTER, LOOK = 200, 200, 50


def measure(args):
    """Gradient norms of the generator of gan/digits, first while only D learns, then while both learn."""
    (source, test), curves, models = (tfgen.data.load("digits", split) for split in ("train", "test")), [], {}
    followed = {*model_modules(tfgen.presets.get("gan/digits")), type(source).__module__}
    trained_by = {"from_step": 0, **origin(followed, [__name__])}
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
    zoo = {"model": models[SEEDS[0], "non_saturating"], "metric": FCD, "training": trainings["all"], "train": source,
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


def draw(found, args):
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


def table(found):
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
