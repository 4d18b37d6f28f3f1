"""Few labels, with and without unlabelled images, from the record of `benchmarks.reproduce.semi_supervised`."""

import matplotlib.pyplot as plt

from benchmarks.record import markdown_table

RECORD = "semi_supervised_digits"
CAPTION = "Test error over the number of labels, with and without unlabelled images"
LEARNERS = {"supervised": "labelled images alone", "gan": "feature matching"}


def draw(found, args):
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


def table(found):
    rows = []
    for size in (name for name in found["results"] if name.endswith("_labels") and not name.startswith("median")):
        one = found["results"][size]
        errors = [" / ".join(f"{e:.1f}" for e in one[f"{name}_error_percent"]["seeds"]) for name in LEARNERS]
        rows.append([size.removesuffix("_labels"), *errors, " / ".join(f"{ratio:.2f}" for ratio in one["error_ratio"])])
    seeds = ", ".join(map(str, found["seed"]))
    head = ["labels", *(f"error [%], {label}" for label in LEARNERS.values()), "ratio"]
    return f"{markdown_table(head, rows)}\n\nOne number for each of the seeds {seeds}; the line of the figure is their mean."
