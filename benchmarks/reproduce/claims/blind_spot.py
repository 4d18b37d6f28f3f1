"""Which pixels before it the prediction of a pixel depends on: five autoregressive networks, untrained, by gradients."""

import keras
import matplotlib.pyplot as plt
import numpy as np

import tfgen
from benchmarks.record import markdown_table
from benchmarks.reproduce.claims.runs import SEEDS
from tfgen.metrics import dependency_field

CAPTION = "The pixels that the prediction of one pixel depends on, for five networks"
SIZE, ROW, COLUMN = (11, 17), 8, 8  # as many columns to the left and to the right of the pixel as rows above it
LEVELS, IMAGES = 4, 20
SHARED = {"image_shape": (*SIZE, 1), "levels": LEVELS, "first_kernel_size": 3}
# Kernels of 3 reach one pixel further with each layer: 9 in all, so that no past pixel is merely too far away.
NETWORKS = {
    "pixel_cnn": ("PixelCNN", "PixelCNN", {"depth": 8}),
    "gated": ("Gated PixelCNN", "GatedPixelCNN", {"depth": 9, "width": 16}),
    "row": ("Row LSTM, 1 layer", "PixelRNN", {"depth": 1, "cell": "row"}),
    "row_7": ("Row LSTM, 7 layers", "PixelRNN", {"depth": 7, "cell": "row"}),
    "diagonal": ("Diagonal BiLSTM", "PixelRNN", {"depth": 1, "cell": "diagonal"}),
}


def measure(args):
    """The fields of each network for several draws of its initial weights and of images of noise."""
    past = np.arange(np.prod(SIZE)).reshape(SIZE) < ROW * SIZE[1] + COLUMN
    results, fields = {"past_pixels": int(past.sum()), "see_the_future": 0}, {}
    for name, (_, model, settings) in NETWORKS.items():
        by_seed = []
        for seed in SEEDS:
            keras.utils.set_random_seed(seed)
            made = getattr(tfgen.models, model)(**SHARED, **settings)
            levels = np.random.default_rng(seed).integers(0, LEVELS, (IMAGES, *SIZE, 1))
            by_seed.append(dependency_field(made, np.float32(levels / (LEVELS - 1)), ROW, COLUMN, seed=seed))
        unseen = [past & (field == 0.0) for field in by_seed]
        results[f"{name}_unseen"] = int(np.all(unseen, axis=0).sum())
        results[f"{name}_unseen_by_seed"] = [int(one.sum()) for one in unseen]
        results["see_the_future"] += int(np.any([field[~past] for field in by_seed]))
        print(name, results[f"{name}_unseen_by_seed"])
        fields[name] = np.mean([field / field.max() for field in by_seed], axis=0).tolist()
    results["row_over_pixel_cnn"] = results["row_unseen"] / results["pixel_cnn_unseen"]
    protocol = {
        "pixel": [ROW, COLUMN], "shared": SHARED, "networks": {name: one[1:] for name, one in NETWORKS.items()},
        "weights": "as they are initialised, not trained", "images": f"{IMAGES} of uniform levels", "seeds": SEEDS,
        "unseen": "pixels before the predicted one with a gradient of exactly 0 for all images and seeds",
        "fields": "tfgen.metrics.dependency_field over its largest number, mean of the seeds",
    }  # fmt: skip
    # Each row above opens one more column to the right, of eight: 7 + 6 + ... + 0 are never seen.
    gates = {
        "pixel_cnn_unseen": (">=", 28, "<=", 28), "gated_unseen": ("<=", 0), "row_over_pixel_cnn": (">=", 1.0),
        "diagonal_unseen": ("<=", 0), "see_the_future": ("<=", 0),
    }  # fmt: skip
    return results | {"fields": fields}, protocol, gates, {}, None


def draw(found, args):
    figure, panels = plt.subplots(1, len(NETWORKS), figsize=(11, 2.0), layout="constrained")
    for axes, (name, (title, *_)) in zip(panels, NETWORKS.items(), strict=True):
        field = np.array(found["results"]["fields"][name])
        row, column = found["protocol"]["pixel"]
        shown = np.log10(field, out=np.full_like(field, np.nan), where=field > 0.0)
        picture = axes.imshow(shown, cmap="viridis", vmin=-4, vmax=0)
        before = np.arange(field.size).reshape(field.shape) < row * field.shape[1] + column
        axes.imshow(np.where(before & (field == 0.0), 1.0, np.nan), cmap="Reds", vmin=0, vmax=1.4)
        axes.plot(column, row, "k*")
        axes.set_title(title, fontsize=9)
        axes.set(xticks=[], yticks=[])
    figure.colorbar(picture, ax=panels, label="log10 of the norm")
    return figure


def table(found):
    results = found["results"]
    rows = [[title, results["past_pixels"], results[f"{name}_unseen"],
             " / ".join(map(str, results[f"{name}_unseen_by_seed"]))] for name, (title, *_) in NETWORKS.items()]  # fmt: skip
    head = ["network", "pixels before it", "never seen", "not seen with each seed"]
    return f"{markdown_table(head, rows)}\n\nSeeds {', '.join(map(str, found['protocol']['seeds']))}."
