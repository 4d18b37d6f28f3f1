"""What claims about the zoo's models of digits share: the digits, their classifier, the models, and rows of pictures."""

import numpy as np

import tfgen
from benchmarks.zoo import FOLDER
from tfgen.metrics import Classifier, frechet_distance
from tfgen.sampling import image_grid


def sources():
    """(train source, test source, the classifier by whose features distances of digits are measured)"""
    return tfgen.data.load("digits"), tfgen.data.load("digits", "test"), Classifier.load(FOLDER / "classifier_digits")


def weights_of(presets):
    """{preset: sha256 of the weights that `tfgen.from_preset` reads}, for a protocol."""
    return {name: tfgen.pretrained.check(tfgen.pretrained.find(name))["sha256"]["model.weights.h5"] for name in presets}


def confidence(classifier, images):
    """The largest probability of a class for each image, [N]."""
    logits = np.float64(classifier.logits(images))
    return 1.0 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)


def distance(classifier, images, others):
    """Fréchet distance of the classifier's features, of at least a few hundred images."""
    return float(frechet_distance(classifier.features(images), classifier.features(others)))


def to_record(images):
    """Images of one channel as lists of grey levels in 0 ... 255."""
    return np.round(255.0 * np.asarray(images)[..., 0]).astype(int).tolist()


def show(axes, rows, title="", labels=(), columns=()):
    """Draws pictures [R, C, H, W] of a record, a row for each R; with labels of rows and columns."""
    rows = np.array(rows)
    grid = image_grid(rows.reshape(-1, *rows.shape[2:], 1) / 255.0, columns=rows.shape[1])
    axes.imshow(grid[..., 0], cmap="gray", vmin=0.0, vmax=1.0)
    axes.set_title(title, fontsize=9)
    for set_ticks, names, size in ((axes.set_yticks, labels, rows.shape[2]), (axes.set_xticks, columns, rows.shape[3])):
        set_ticks([(i + 0.5) * (size + 1) for i in range(len(names))], names, fontsize=7)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
