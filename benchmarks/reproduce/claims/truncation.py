"""BigGAN on MNIST: what smaller thresholds of the latents give and cost."""

import matplotlib.pyplot as plt
import numpy as np

import tfgen
from benchmarks.record import markdown_table
from benchmarks.reproduce.claims.runs import numbers, trained
from benchmarks.reproduce.common import FCD
from tfgen.metrics import Evaluator, train_classifier

CAPTION = "Precision and recall over the threshold of the latents, and samples of three thresholds"
PRESET, STEPS, SAMPLES = "biggan/mnist", 4_000, 10_000
LIMITS = (None, 1.5, 1.0, 0.5, 0.2)
SHOWN = (None, 0.5, 0.2)


def measure(args):
    """Precision, recall and FCD of the averaged weights for each threshold, with standing statistics of that threshold."""
    source, test = (tfgen.data.load("mnist", split, manual_dir=args.manual_dir) for split in ("train", "test"))
    classifier = train_classifier(source, test, seed=0)
    evaluator = Evaluator(source, test, classifier, seed=0)
    steps = args.steps or STEPS
    load = {"folder": "claim_truncation", "spec": "mnist", "split": "train"}
    model, training, seconds = trained(args, source, PRESET, 0, steps, **load)
    labels, by_limit, samples, protocol = model.conditions_to_show(SAMPLES)["labels"], [], {}, None
    for limit in LIMITS:
        given = {} if limit is None else {"truncation": limit}
        one, protocol, images = numbers(evaluator, model, SAMPLES, averaged=True, batch_norm="standing", **given)
        one["conditional_accuracy"] = float(np.mean(classifier.logits(images).argmax(axis=-1) == labels))
        by_limit.append({"truncation": limit, **one})
        print(by_limit[-1])
        if limit in SHOWN:
            samples[str(limit)] = np.round(images[:30, ..., 0] * 255.0).astype(int).tolist()
    precision, recall = ([one[key] for one in by_limit] for key in ("precision", "recall"))
    results = {
        "conditional_accuracy": by_limit[0]["conditional_accuracy"],
        "recall": recall[0],
        "precision_rises": int(all(np.diff(precision) > 0)),
        "recall_falls": int(all(np.diff(recall) < 0)),
        "by_limit": by_limit,
        "train_seconds": seconds,
        "samples": samples,
    }
    protocol = {"preset": tfgen.presets.get(PRESET).config(), "steps": steps, "samples": SAMPLES, "weights": "averaged",
                "batch_norm": "standing statistics of each threshold", "metrics": protocol, "limits": LIMITS}  # fmt: skip
    gates = {"conditional_accuracy": (">=", 0.97), "recall": (">=", 0.8), "precision_rises": (">=", 1),
             "recall_falls": (">=", 1)}  # fmt: skip
    zoo = {"model": model, "metric": FCD, "training": training, "train": source, "test": test}
    return results, protocol, gates, {"seed_0": training}, zoo


def draw(found, args):
    by_limit, samples = found["results"]["by_limit"], found["results"]["samples"]
    widths = [1.6, *[1] * len(samples)]
    figure, axes = plt.subplots(1, len(widths), figsize=(9, 3.0), layout="constrained", width_ratios=widths)
    for key, color in (("precision", "C0"), ("recall", "C1")):
        axes[0].plot(range(len(by_limit)), [one[key] for one in by_limit], "o-", color=color, label=key)
    axes[0].set(xticks=range(len(by_limit)), xticklabels=[one["truncation"] or "none" for one in by_limit],
                xlabel="threshold", ylim=(0, 1))  # fmt: skip
    axes[0].legend(loc="center right")
    for panel, (limit, images) in zip(axes[1:], samples.items(), strict=True):
        images = np.array(images).reshape(3, 10, 28, 28)
        panel.imshow(images.transpose(1, 2, 0, 3).reshape(280, 84), cmap="gray", vmin=0, vmax=255)
        panel.set(title="no threshold" if limit == "None" else f"threshold {limit}")
        panel.axis("off")
    return figure


def table(found):
    rows = [
        [one["truncation"] or "none", *(f"{one[key]:.3f}" for key in ("precision", "recall", FCD, "conditional_accuracy"))]
        for one in found["results"]["by_limit"]
    ]
    return markdown_table(["threshold", "precision", "recall", "FCD", "samples recognised as their class"], rows)
