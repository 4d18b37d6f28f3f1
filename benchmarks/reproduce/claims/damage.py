"""What metrics say of real images that were damaged on purpose, of real images that were copied, and of fewer images."""

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter

import tfgen
from benchmarks.record import markdown_table
from tfgen import metrics

CAPTION = "Score, distances, precision and recall of damaged test images of MNIST"
COUNT, NEIGHBOURS, SUBSETS = 5_000, 5, 20
COUNTS, DRAWS = (100, 300, 1_000, 3_000), 5
DAMAGES = {
    "blur": (0.0, 0.5, 1.0, 1.5, 2.0),  # standard deviation, pixels
    "noise": (0.0, 0.1, 0.2, 0.3, 0.4),  # standard deviation
    "classes left out": (0, 2, 4, 6, 8),
    "copies": (0.0, 0.25, 0.5, 0.75, 1.0),  # share of images that are copies of training images
    "few images": (1.0, 0.1, 0.03, 0.01, 0.002),  # share of different images
}
SHOWN = ("score", "fcd", "kid", "precision", "recall")


def damaged(kind, amount, images, labels, training, rng):
    """The images [N, 28, 28, 1], damaged; of the same number."""
    if kind == "blur":
        return np.stack([gaussian_filter(image, (amount, amount, 0)) for image in images])
    if kind == "noise":
        return np.clip(images + rng.normal(size=images.shape) * amount, 0.0, 1.0)
    if kind == "classes left out":
        return images[rng.choice(np.flatnonzero(labels >= amount), len(images))]
    if kind == "copies":
        copied = rng.random(len(images)) < amount
        return np.where(copied[:, None, None, None], training[: len(images)], images)
    return images[rng.integers(0, max(round(amount * len(images)), 1), len(images))]


def measure(args):
    """One half of the test split is damaged; the first images of the training split are the real ones."""
    train, test = (tfgen.data.load("mnist", split, manual_dir=args.manual_dir) for split in ("train", "test"))
    classifier = metrics.train_classifier(train, test, seed=0)
    training, rng = train.take(COUNT).images(), np.random.default_rng(0)
    half = rng.permutation(len(test))[:COUNT]
    images, labels = test.images()[half], test.labels()[half]
    real = classifier.features(training)
    found = {}
    for kind, amounts in DAMAGES.items():
        found[kind] = []
        for amount in amounts:
            shown = np.asarray(damaged(kind, amount, images, labels, training, rng), np.float32)
            found[kind].append({"amount": amount, **judged(classifier, real, training, shown)})
            print(kind, found[kind][-1])
    outputs = classifier.outputs(images)
    bias = [{"count": count, **of_few(*outputs, real, count, rng)} for count in COUNTS]
    rises = {
        name: all(np.diff([row[metric] for row in found[name]]) > 0)
        for name, metric in (("blur", "fcd"), ("noise", "fcd"), ("classes left out", "fcd"))
    }
    copies = found["copies"]
    results = {
        "fcd_rises_with_damage": int(all(rises.values())),
        "recall_without_8_classes": found["classes left out"][-1]["recall"],
        "precision_without_8_classes": found["classes left out"][-1]["precision"],
        "fcd_of_copies_over_fcd_of_test": copies[-1]["fcd"] / copies[0]["fcd"],
        "copied_share_of_copies": copies[-1]["copied"],
        "fid_bias_100_over_3000": bias[0]["fcd"] / bias[-1]["fcd"],
        "score_bias_100_over_3000": bias[0]["score"] / bias[-1]["score"],
        "kid_bias_100": abs(bias[0]["kid"] - bias[-1]["kid"]) / bias[0]["kid_std"],
        "damages": found, "bias": bias, "classifier_accuracy": classifier.accuracy,
    }  # fmt: skip
    protocol = {
        "real": f"the first {COUNT:,} training images", "damaged": f"{COUNT:,} test images, chosen by seed 0",
        "features": "of a classifier of the training split", "neighbours": NEIGHBOURS,
        "bias": f"undamaged images; mean of {DRAWS} draws of each number, against the same real images",
        "copied": "share of images equal to one of the real ones",
    }  # fmt: skip
    gates = {
        "fcd_rises_with_damage": (">=", 1), "recall_without_8_classes": ("<=", 0.5),
        "precision_without_8_classes": (">=", 0.8), "fcd_of_copies_over_fcd_of_test": ("<=", 0.1),
        "copied_share_of_copies": (">=", 1.0), "fid_bias_100_over_3000": (">=", 2.0), "kid_bias_100": ("<=", 2.0),
        "score_bias_100_over_3000": ("<=", 0.98),
    }  # fmt: skip
    return results, protocol, gates, {}, None


def judged(classifier, real, training, images):
    features, logits = classifier.features(images), classifier.logits(images)
    kid = metrics.kernel_distance(real, features, subsets=SUBSETS, seed=0)
    shares = metrics.prdc(real, features, k=NEIGHBOURS)
    _, distances = metrics.nearest_neighbours(images.reshape(len(images), -1), training.reshape(len(training), -1))
    return {
        "score": float(metrics.classifier_score(logits).mean), "fcd": float(metrics.frechet_distance(real, features)),
        "kid": float(kid.mean), "precision": float(shares["precision"]), "recall": float(shares["recall"]),
        "copied": float(np.mean(distances < 1e-6)),
    }  # fmt: skip


def of_few(features, logits, real, count, rng):
    chosen = [rng.choice(len(features), count, replace=False) for _ in range(DRAWS)]
    drawn = [features[rows] for rows in chosen]
    size = min(100, count)
    kids = [float(metrics.kernel_distance(real, part, subsets=SUBSETS, subset_size=size, seed=0).mean) for part in drawn]
    fcds = [float(metrics.frechet_distance(real, part, force=True)) for part in drawn]
    scores = [float(metrics.classifier_score(logits[rows]).mean) for rows in chosen]
    means = {name: float(np.mean(values)) for name, values in (("score", scores), ("fcd", fcds), ("kid", kids))}
    return {**means, "kid_std": float(np.std(kids, ddof=1))}


def draw(found, args):
    damages, bias = found["results"]["damages"], found["results"]["bias"]
    figure, axes = plt.subplots(len(SHOWN), len(damages) + 1, figsize=(11, 8), layout="constrained", sharey="row")
    for column, (kind, rows) in zip(axes.T, damages.items(), strict=False):
        for panel, name in zip(column, SHOWN, strict=True):
            panel.plot(range(len(rows)), [row[name] for row in rows], "o-", markersize=3)
            panel.set_xticks(range(len(rows)), [f"{row['amount']:g}" for row in rows] if panel is column[-1] else [])
        column[0].set_title(kind, fontsize=9)
    for panel, name in zip(axes[:, 0], SHOWN, strict=True):
        panel.set_ylabel(name)
    for panel, name in zip(axes[:, -1], SHOWN, strict=True):
        panel.set_visible(name in bias[0])
        if name in bias[0]:
            panel.plot(range(len(bias)), [row[name] for row in bias], "o-", color="C1", markersize=3)
            panel.set_xticks(range(len(bias)), [f"{row['count']:,}" for row in bias])
    axes[0, -1].set_title("number of images", fontsize=9)
    for panel in axes.flat:
        panel.tick_params(axis="x", labelsize=7)
    return figure


def table(found):
    damages, rows = found["results"]["damages"], []
    for kind, of_kind in damages.items():
        for row in (of_kind[0], of_kind[-1]):
            shown = [f"{row['score']:.2f}", f"{row['fcd']:.2f}", f"{row['kid']:.4f}", *(f"{row[k]:.2f}" for k in SHOWN[3:])]
            rows.append([f"{kind}: {row['amount']:g}", *shown, f"{row['copied']:.2f}"])
    rows += [
        [f"undamaged, {row['count']:,} images", f"{row['score']:.2f}", f"{row['fcd']:.2f}",
         f"{row['kid']:.3f} +- {row['kid_std']:.3f}", "-", "-", "0.00"]
        for row in found["results"]["bias"]
    ]  # fmt: skip
    return markdown_table(["images", "score", "FCD", "KID", "precision", "recall", "copies of training images"], rows)
