"""Gradients by depth of untrained FractalNets and of plain networks, which are their deepest columns alone."""

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.record import markdown_table
from benchmarks.reproduce.claims.runs import SEEDS
from tfgen.models import FractalNet

CAPTION = "Relative gradients of the convolutions over their depth, of FractalNets and of plain networks"
COLUMNS, IMAGES = (2, 3, 4, 5), 200
SHARED = {"image_shape": (8, 8, 1), "num_classes": 10, "filters": (16, 32, 64)}
KINDS = {"fractal": "FractalNet, deepest column", "plain": "plain"}


def measure(args):
    """For each depth, kind and seed: |gradient| / |kernel| of each convolution of the longest path."""
    (batch,) = tfgen.data.load("digits").take(IMAGES).batches(IMAGES)
    found = {kind: {} for kind in KINDS}
    for columns in COLUMNS:
        for kind in KINDS:
            norms = np.array([relative_gradients(kind, columns, seed, batch) for seed in SEEDS])
            # A rise by a factor, however it is spread over the layers: 1 where all learn equally fast.
            spread = norms.max(axis=1) / norms.min(axis=1)
            found[kind][norms.shape[1]] = {"norms": norms, "spread": spread, "median_spread": np.median(spread)}
            print(kind, norms.shape[1], spread)
    spreads = {kind: [float(one["median_spread"]) for one in found[kind].values()] for kind in KINDS}
    results = {
        "plain_spread_rises_with_depth": int(all(np.diff(spreads["plain"]) > 0)),
        "deepest_fractal_over_plain": spreads["fractal"][-1] / spreads["plain"][-1],
        "shallowest_fractal_over_plain": spreads["fractal"][0] / spreads["plain"][0], **found,
    }  # fmt: skip
    protocol = {
        "networks": SHARED, "columns": COLUMNS, "weights": "as they are initialised, not trained", "seeds": SEEDS,
        "images": f"{IMAGES} digits, batch norm by their statistics, no dropout, no drop-path",
        "norms": "norm of the loss's gradient by a kernel, over the norm of the kernel; from the first layer to the last",
        "spread": "the largest of the norms over the smallest",
    }  # fmt: skip
    gates = {"plain_spread_rises_with_depth": (">=", 1), "deepest_fractal_over_plain": ("<=", 0.5)}
    return results, protocol, gates, {}, None


def relative_gradients(kind, columns, seed, batch):
    keras.utils.set_random_seed(seed)
    paths = {"local_drop": 0.0, "global_share": 0.0} if kind == "fractal" else {"only_column": columns - 1}
    model = FractalNet(columns=columns, **SHARED, **paths)
    kernels = [one.conv.kernel for name, one in model.convs.items() if f"_column_{columns - 1}_" in name]
    with tf.GradientTape() as tape:
        losses = model.judged(model.logits(batch["image"], training=True), batch["label"])["loss"]
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, kernels)
    return [float(tf.norm(a) / tf.norm(b)) for a, b in zip(gradients, kernels, strict=True)]


def draw(found, args):
    depths = list(found["results"]["plain"])
    figure, panels = plt.subplots(1, len(depths), figsize=(11, 2.6), layout="constrained", sharey=True)
    for axes, depth in zip(panels, depths, strict=True):
        for kind, title in KINDS.items():
            for i, norms in enumerate(found["results"][kind][depth]["norms"]):
                axes.semilogy(range(1, len(norms) + 1), norms, color=f"C{list(KINDS).index(kind)}", linewidth=1,
                              label=None if i else title)  # fmt: skip
        axes.set(title=f"{depth} convolutions", xlabel="convolution", xticks=np.linspace(0, int(depth), 4)[1:].astype(int))
    panels[0].set_ylabel("|gradient| / |kernel|")
    panels[0].legend(fontsize=7)
    return figure


def table(found):
    results = found["results"]
    rows = [[depth, *(" / ".join(f"{value:.3g}" for value in results[kind][depth]["spread"]) for kind in KINDS)]
            for depth in results["plain"]]  # fmt: skip
    head = ["convolutions of the longest path", *(f"largest over smallest: {title}" for title in KINDS.values())]
    seeds = ", ".join(map(str, found["protocol"]["seeds"]))
    return f"{markdown_table(head, rows)}\n\nOne number for each of the seeds {seeds}."
