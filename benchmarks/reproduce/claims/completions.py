"""Held-out digits without their lower half, completed by the zoo's autoregressive models, and what a classifier says."""

import matplotlib.pyplot as plt
import numpy as np

import tfgen
from benchmarks.record import markdown_table
from benchmarks.reproduce.claims import digits
from benchmarks.reproduce.claims.runs import SEEDS
from tfgen.metrics import nearest_neighbours
from tfgen.models.autoregressive.base import lower_half

CAPTION = "Test digits, what was known of them, and their lower halves by five models and by simple fillings"
MODELS = {
    "pixel-cnn/digits": "PixelCNN", "pixel-rnn/digits-row": "Row LSTM", "pixel-rnn/digits": "Diagonal BiLSTM",
    "pixel-cnn-pp/digits": "PixelCNN++", "gated-pixel-cnn/digits-classes": "Gated PixelCNN, given the class",
}  # fmt: skip
FILLINGS = {
    "noise": "uniform noise", "mean": "mean training image", "other": "another training image",
    "nearest": "nearest training image",
}  # fmt: skip
SHOWN = 18


def measure(args):
    """Share of completions with the class of their original, and their distance to the test images, for each seed."""
    train, test, classifier = digits.sources()
    images, labels, training = test.images(), test.labels(), train.images()
    known = lower_half(*images.shape[1:3])
    upper = [part[:, known].reshape(len(part), -1) for part in (images, training)]
    nearest = training[nearest_neighbours(*upper)[0]]
    fill = {
        "noise": lambda rng: rng.random(images.shape), "mean": lambda rng: training.mean(axis=0),
        "other": lambda rng: training[rng.integers(0, len(training), len(images))], "nearest": lambda rng: nearest,
    }  # fmt: skip
    results, pictures, by_seed = {}, {"original": images, "known": np.where(known[..., None], images, 0.0)}, {}
    for name in (*FILLINGS, *MODELS):
        model = tfgen.from_preset(name) if name in MODELS else None
        given = {"labels": labels} if model is not None and model.conditions() else {}
        by_seed[name] = []
        for seed in SEEDS:
            if model is None:
                made = np.where(known[..., None], images, fill[name](np.random.default_rng(seed))).astype(np.float32)
            else:
                # Not `complete`, whose completions of all images have the same numbers behind them.
                seeds, masks = np.arange(len(images)) + (seed << 32), np.broadcast_to(known, images.shape[:3])
                made = model.complete_rows(seeds, images, masks, **given).numpy()
            by_seed[name].append({
                "recognised": float(np.mean(classifier.logits(made).argmax(axis=1) == labels)),
                "distance": digits.distance(classifier, images, made),
                "confidence": float(np.mean(digits.confidence(classifier, made))),
            })  # fmt: skip
            pictures.setdefault(name, made)
        print(name, by_seed[name])
    median = {name: {key: float(np.median([one[key] for one in found])) for key in ("recognised", "distance")}
              for name, found in by_seed.items()}  # fmt: skip
    free = [name for name in MODELS if "classes" not in name]
    told = median["gated-pixel-cnn/digits-classes"]
    results = {
        "least_recognised_over_mean": min(median[name]["recognised"] for name in free) - median["mean"]["recognised"],
        "distance_over_mean": max(median[name]["distance"] for name in free) / median["mean"]["distance"],
        "class_over_the_best_without": told["recognised"] - max(median[name]["recognised"] for name in free),
        "originals_recognised": float(np.mean(classifier.logits(images).argmax(axis=1) == labels)),
        "median": median, "seeds": by_seed,
        "pictures": {name: digits.to_record(shown[:SHOWN]) for name, shown in pictures.items()},
    }  # fmt: skip
    protocol = {
        "images": f"the {len(images)} test digits, lower half hidden; one completion of each for each seed", "seeds": SEEDS,
        "nearest": "by the pixels of the upper half", "weights": digits.weights_of(MODELS),
        "classifier": classifier.weights_hash,
        "distance": "Fréchet distance of the classifier's features from the originals'",
    }  # fmt: skip
    gates = {"least_recognised_over_mean": (">=", 0.05), "distance_over_mean": ("<=", 0.5),
             "class_over_the_best_without": (">=", 0.05)}  # fmt: skip
    return results, protocol, gates, {}, None


def draw(found, args):
    titles = {"original": "original", "known": "known", **FILLINGS, **MODELS}
    figure, axes = plt.subplots(figsize=(9, 3.7), layout="constrained")
    digits.show(axes, [found["results"]["pictures"][name] for name in titles], labels=titles.values())
    return figure


def table(found):
    rows = []
    for name, title in (*FILLINGS.items(), *MODELS.items()):
        seeds, forms = found["results"]["seeds"][name], {"recognised": ".3f", "distance": ".2f", "confidence": ".2f"}
        rows.append([title, *(" / ".join(f"{one[key]:{form}}" for one in seeds) for key, form in forms.items())])
    head = ["lower half", "recognised as its class", "FCD from the originals", "confidence"]
    seeds = ", ".join(map(str, found["protocol"]["seeds"]))
    return (
        f"{markdown_table(head, rows)}\n\nOne number for each of the seeds {seeds} of the drawing; the weights are those of "
        f"one training each. Of the originals {found['results']['originals_recognised']:.3f} are recognised."
    )
