"""Two normal distributions that move apart: what the distance of each game is, and the gradient that its generator gets."""

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

from benchmarks.record import markdown_table
from tfgen.losses import OBJECTIVES

CAPTION = "Distances of two normal distributions over the distance of their means, and gradients of the generator's losses"
APART = (0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 16.0)
NAMES = ("minimax", "non_saturating", "wasserstein")
STEP, TAIL = 1e-3, 12.0  # of the sum over x, and how far beyond the means it goes


def measure(args):
    """For N(0, 1), the data, and N(d, 1), the samples: exact optimal discriminators, and sums over a fine grid."""
    rows = [{"apart": d, **distances(d), **{name: gradient(name, d) for name in NAMES}} for d in APART]
    for row in rows:
        print(row)
    slope_of = lambda d: (jensen_shannon(d + 1e-4) - jensen_shannon(d - 1e-4)) / 2e-4  # noqa: E731
    errors = [abs(2.0 * slope_of(d) - gradient("minimax", d)) for d in APART]
    at = {row["apart"]: row for row in rows}
    results = {
        "minimax_at_12": at[12.0]["minimax"], "wasserstein_smallest": min(row["wasserstein"] for row in rows),
        "non_saturating_smallest": min(row["non_saturating"] for row in rows), "error_of_minimax": max(errors), "rows": rows,
    }  # fmt: skip
    protocol = {
        "data": "N(0, 1)", "samples": "N(d, 1)",
        "discriminator": "log of the ratio of the densities, optimal for minimax and non_saturating; the critic is -x",
        "gradient": "of the generator's loss by d, through the samples alone, with the objectives of tfgen.losses",
        "error_of_minimax": "largest difference from twice the derivative of the Jensen-Shannon divergence",
    }  # fmt: skip
    gates = {"minimax_at_12": ("<=", 1e-6), "wasserstein_smallest": (">=", 0.999), "error_of_minimax": ("<=", 1e-6)}
    return results, protocol, gates, {}, None


def _grid(d):
    x = np.arange(-TAIL, d + TAIL, STEP)
    real, fake = (np.exp(-0.5 * (x - mean) ** 2) / np.sqrt(2.0 * np.pi) for mean in (0.0, d))
    return x, real, fake, 0.5 * (x - d) ** 2 - 0.5 * x**2  # the last: log real - log fake


def jensen_shannon(d):
    x, real, fake, logit = _grid(d)
    return STEP * float(np.sum(0.5 * real * (np.log(2.0) - np.logaddexp(0.0, -logit))
                               + 0.5 * fake * (np.log(2.0) - np.logaddexp(0.0, logit))))  # fmt: skip


def distances(d):
    return {"jensen_shannon": jensen_shannon(d), "wasserstein_distance": d}


def gradient(name, d):
    """The derivative of the generator's loss by d."""
    x, _, fake, logit = _grid(d)
    given, slope = (-x, -np.ones_like(x)) if name == "wasserstein" else (logit, np.full_like(x, -d))
    outputs = tf.Variable(given, dtype=tf.float64)
    with tf.GradientTape() as tape:
        loss = OBJECTIVES[name].generator(outputs)  # a mean of what each output costs
    cost = tape.gradient(loss, outputs).numpy() * len(x)
    return STEP * float(np.sum(fake * cost * slope))


def draw(found, args):
    rows = found["results"]["rows"]
    apart = [row["apart"] for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.0), layout="constrained")
    left.plot(apart, [row["jensen_shannon"] / np.log(2.0) for row in rows], "o-", label="Jensen-Shannon / log 2")
    left.plot(apart, [row["wasserstein_distance"] / apart[-1] for row in rows], "o-", label=f"Wasserstein / {apart[-1]:g}")
    left.set(xlabel="distance of the means, standard deviations", ylim=(0, 1.05))
    left.legend()
    for name, color in zip(NAMES, ("C0", "C2", "C1"), strict=True):
        right.semilogy(apart, [max(row[name], 1e-18) for row in rows], "o-", color=color, label=name.replace("_", "-"))
    right.set(xlabel="distance of the means, standard deviations", ylabel="gradient of the generator's loss")
    right.legend()
    return figure


def table(found):
    head = ["distance of the means", "Jensen-Shannon / log 2", "Wasserstein", "gradient: minimax", "non-saturating",
            "Wasserstein"]  # fmt: skip
    rows = [
        [f"{row['apart']:g}", f"{row['jensen_shannon'] / np.log(2.0):.4f}", f"{row['wasserstein_distance']:g}",
         *(f"{row[name]:.3g}" for name in NAMES)]
        for row in found["results"]["rows"]
    ]  # fmt: skip
    return markdown_table(head, rows)
