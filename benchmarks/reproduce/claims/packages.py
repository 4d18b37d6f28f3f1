"""Metrics of tfgen and of other packages on equal features, from the record of `benchmarks.metric_peers`."""

import matplotlib.pyplot as plt

from benchmarks.record import markdown_table

RECORD = "metric_peers"
CAPTION = "Relative differences between the metrics of other packages and tfgen's, on equal features"
PACKAGES = ("torch-fidelity", "prdc", "scipy", "scikit-learn")
DRAWN_AS_ZERO = 1e-16


def draw(found, args):
    figure, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
    tables = [one for name, one in found["results"].items() if name.startswith("noise")]
    metrics = list(tables[0])
    for i, package in enumerate(PACKAGES):
        points = [
            (x + 0.15 * (i - 1.5), max(abs(one[name][package] / one[name]["tfgen"] - 1.0), DRAWN_AS_ZERO))
            for x, name in enumerate(metrics) for one in tables if package in one[name]
        ]  # fmt: skip
        axes.semilogy(*zip(*points, strict=True), "o", label=package)
    axes.set(xticks=range(len(metrics)), xticklabels=metrics, ylabel="relative difference", ylim=(5e-17, 1e-5))
    axes.legend(ncols=2)
    return figure


def table(found):
    rows = [
        [name.replace("noise_", ""), metric, *(f"{one[p]:.7g}" if p in one else "-" for p in ("tfgen", *PACKAGES))]
        for name, results in found["results"].items() if name.startswith("noise")
        for metric, one in results.items()
    ]  # fmt: skip
    versions = ", ".join(f"{name} {version}" for name, version in found["protocol"]["peers"].items())
    return f"{markdown_table(['noise', 'metric', 'tfgen', *PACKAGES], rows)}\n\n{versions}."
