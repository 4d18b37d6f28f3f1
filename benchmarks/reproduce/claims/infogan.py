"""InfoGAN's code as a classifier, from the record of `benchmarks.reproduce.infogan`."""

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.record import markdown_table

RECORD = "infogan_digits"
CAPTION = "Accuracy of the code as a classifier over the bound on its information"


def draw(found, args):
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


def table(found):
    keys = ("hungarian_accuracy", "majority_accuracy", "categorical_information")
    rows = [[seed, *(f"{one[key]:.3f}" for key in keys)] for seed, one in found["results"]["seeds"].items()]
    return markdown_table(["seed", "accuracy, a code for each digit", "accuracy, each code's majority digit", "nats"], rows)
