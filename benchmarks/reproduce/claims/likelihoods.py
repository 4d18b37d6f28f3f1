"""Likelihood, size and time of five autoregressive models of digits, from the records of their runs."""

import matplotlib.pyplot as plt

from benchmarks.record import markdown_table

RECORD = ("pixel_cnn_digits", "gated_classes_digits", "pixel_rnn_row_digits", "pixel_rnn_digits")
CAPTION = "Bits per dimension over the number of weights and over seconds of training for five models"
NAMES = {
    "pixel_cnn": "PixelCNN", "gated": "Gated PixelCNN", "row": "Row LSTM", "diagonal": "Diagonal BiLSTM",
    "classes": "Gated PixelCNN, given the class",
}  # fmt: skip
KEYS = ("bits_per_dim", "standard_error", "parameters", "train_seconds", "steps", "best_step")
# By the papers' words, after the records were made.
GATES = {
    "row_minus_pixel_cnn": ("<=", 0.0), "diagonal_minus_row": ("<=", 0.0), "gated_minus_pixel_cnn": ("<=", 0.0),
    "gated_minus_diagonal": ("<=", 0.02), "gated_step_over_diagonal": ("<=", 0.5),
}  # fmt: skip


def compare(records):
    found = (records[name]["results"] for name in RECORD)
    runs = dict(zip(("pixel_cnn", "classes", "row", "diagonal"), found, strict=True))
    runs["gated"] = runs["classes"]["beside"]
    models = {name: {key: runs[name][key] for key in KEYS} for name in NAMES}
    bits = {name: one["bits_per_dim"] for name, one in models.items()}
    seconds = {name: one["train_seconds"] / one["steps"] for name, one in models.items()}
    return {
        "models": models,
        **{f"{a}_minus_{b}": bits[a] - bits[b] for a, b in (
            ("row", "pixel_cnn"), ("diagonal", "row"), ("gated", "pixel_cnn"), ("gated", "diagonal"))},
        "gated_step_over_diagonal": seconds["gated"] / seconds["diagonal"],
    }  # fmt: skip


def draw(found, args):
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.0), layout="constrained", sharey=True)
    titles = {"parameters": "weights", "train_seconds": "seconds of training"}
    for axes, (key, title) in zip(panels, titles.items(), strict=True):
        for name, one in found["results"]["models"].items():
            axes.errorbar(one[key], one["bits_per_dim"], one["standard_error"], fmt="o", capsize=3, label=NAMES[name])
        axes.set(xlabel=title, xlim=(0, None))
    panels[0].set_ylabel("bits per dimension")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    return figure


def table(found):
    rows = [[title, f"{one['bits_per_dim']:.3f} +- {one['standard_error']:.3f}", f"{one['parameters']:,}",
             f"{one['best_step']:,} of {one['steps']:,}", f"{one['train_seconds']:.0f}",
             f"{one['train_seconds'] / one['steps']:.3f}"]
            for title, one in zip(NAMES.values(), found["results"]["models"].values(), strict=True)]  # fmt: skip
    head = ["model", "bits per dimension", "weights", "best step", "seconds", "seconds per step"]
    return f"{markdown_table(head, rows)}\n\nThe standard error is that of the mean over the 397 test digits. One seed each."
