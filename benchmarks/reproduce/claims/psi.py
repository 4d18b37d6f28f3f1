"""The psi of the zoo's StyleGAN of digits, from 1 to -1: what turns into its opposite; and what its noise changes."""

import matplotlib.pyplot as plt
import numpy as np

import tfgen
from benchmarks.record import markdown_table
from benchmarks.reproduce.claims import digits
from tfgen.metrics import prdc, stroke_attributes
from tfgen.sampling import noise_deviation, truncation_strip

CAPTION = "Digits of a StyleGAN for psi from 1 to -1, how attributes and classes change, and which pixels the noise changes"
PRESET, IMAGES, DRAWS, SHOWN = "style-gan/digits", 2_000, 100, 8
PSIS = (1.0, 0.75, 0.5, 0.25, 0.0, -0.25, -0.5, -0.75, -1.0)
ATTRIBUTES = ("ink", "slant", "width", "height")


def measure(args):
    """Attributes and classes of the same latents for each psi, and the deviation of pixels over draws of the noise."""
    train, _, classifier = digits.sources()
    real = classifier.features(train.images())
    model = tfgen.from_preset(PRESET)
    strip = truncation_strip(model, range(IMAGES), PSIS, cutoff=None)
    seen = [stroke_attributes(strip[:, i]) for i in range(len(PSIS))]
    classes = [classifier.logits(strip[:, i]).argmax(axis=1) for i in range(len(PSIS))]
    by_psi = []
    for i, psi in enumerate(PSIS):
        images = strip[:, i]
        shares = prdc(real, classifier.features(images))
        by_psi.append({
            "psi": psi, "distance": digits.distance(classifier, train.images(), images), "precision": shares["precision"],
            "recall": shares["recall"], "same_class": float(np.mean(classes[i] == classes[0])),
            **{name: None if psi == 0.0 else float(np.corrcoef(seen[i][name], seen[0][name])[0, 1]) for name in ATTRIBUTES},
        })  # fmt: skip
        print(by_psi[-1])
    opposite = [[int(np.sum((classes[0] == a) & (classes[-1] == b))) for b in range(10)] for a in range(10)]
    deviation = noise_deviation(model, range(200), draws=DRAWS)
    kept = [classifier.logits(model.synthesize(model.map(model.latents(np.arange(IMAGES))), model.noise_inputs([draw])))
            for draw in (1, 2)]  # fmt: skip
    first, last = by_psi[0], by_psi[-1]
    results = {
        **{f"{name}_at_minus_1": last[name] for name in ATTRIBUTES}, "same_class_at_minus_1": last["same_class"],
        "same_class_at_half": by_psi[PSIS.index(0.5)]["same_class"],
        "recall_at_half_over_1": by_psi[PSIS.index(0.5)]["recall"] / first["recall"],
        "noise_over_latents": float(np.sqrt(np.mean(deviation**2) / np.mean(np.var(strip[:, 0], axis=0)))),
        "same_class_with_other_noise": float(np.mean(kept[0].argmax(axis=1) == kept[1].argmax(axis=1))),
        "by_psi": by_psi, "classes_at_1_and_minus_1": opposite,
        "pictures": [digits.to_record(row) for row in strip[:SHOWN]],
        "noise": digits.to_record(deviation[:SHOWN] / deviation[:SHOWN].max()),
    }  # fmt: skip
    protocol = {
        "weights": digits.weights_of([PRESET]), "classifier": classifier.weights_hash, "images": IMAGES, "cutoff": None,
        "attributes": "tfgen.metrics.stroke_attributes: correlation over images with the attribute at psi = 1",
        "same_class": "as the image of the same latent at psi = 1, by the classifier",
        "distance": "FCD from the train images",
        "noise_over_latents": f"root mean square over pixels of the deviation over {DRAWS} draws, over that over latents",
    }  # fmt: skip
    gates = {
        **{f"{name}_at_minus_1": ("<=", -0.3) for name in ("ink", "slant")}, "same_class_at_minus_1": ("<=", 0.1),
        "same_class_at_half": (">=", 0.8), "recall_at_half_over_1": ("<=", 0.8), "noise_over_latents": ("<=", 0.5),
        "same_class_with_other_noise": (">=", 0.9),
    }  # fmt: skip
    return results, protocol, gates, {}, None


def draw(found, args):
    results = found["results"]
    by_psi, psis = results["by_psi"], [f"{one['psi']:g}" for one in results["by_psi"]]
    figure, (left, noise, middle, right) = plt.subplots(
        1, 4, figsize=(11, 3.4), layout="constrained", width_ratios=(2.7, 0.4, 2, 2)
    )
    digits.show(left, results["pictures"], "psi", columns=psis)
    digits.show(noise, [[one] for one in results["noise"]], "deviation\nby noise")
    known = [one for one in by_psi if one["psi"]]
    for name in ATTRIBUTES:
        middle.plot([one["psi"] for one in known], [one[name] for one in known], "o-", markersize=3, label=name)
    middle.set(xlabel="psi", ylabel="correlation with psi = 1", ylim=(-1.05, 1.05), xlim=(1.05, -1.05))
    middle.axhline(0.0, color="0.5", linewidth=0.8)
    middle.legend(fontsize=8)
    for name in ("same_class", "precision", "recall"):
        right.plot([one["psi"] for one in by_psi], [one[name] for one in by_psi], "o-", markersize=3,
                   label=name.replace("_", " "))  # fmt: skip
    right.set(xlabel="psi", ylim=(0, 1.05), xlim=(1.05, -1.05))
    right.legend(fontsize=8)
    return figure


def table(found):
    results, head = found["results"], ["psi", "same class as at 1", *ATTRIBUTES, "precision", "recall", "FCD"]
    keys = ("same_class", *ATTRIBUTES, "precision", "recall", "distance")
    text = lambda value: "-" if value is None else f"{value:.2f}"  # noqa: E731
    rows = [[f"{one['psi']:g}", *(text(one[key]) for key in keys)] for one in results["by_psi"]]
    opposite = [f"{a} to {np.argmax(row)} ({max(row) / sum(row):.0%})"
                for a, row in enumerate(results["classes_at_1_and_minus_1"]) if sum(row)]  # fmt: skip
    return (
        f"{markdown_table(head, rows)}\n\nInk, slant, width and height: correlations with the values at psi = 1, over "
        f"{found['protocol']['images']:,} latents. What most images of a class become at psi = -1: {', '.join(opposite)}. "
        f"Other noise changes pixels by {results['noise_over_latents']:.0%} of what other latents change, and keeps the "
        f"class of {results['same_class_with_other_noise']:.1%}."
    )
