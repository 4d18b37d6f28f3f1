"""Presets of the glimpse classifier."""

from tfgen.models.autoencoders.glimpse_classifier import GlimpseClassifier
from tfgen.models.preset import Preset, adam, cosine_decay

PAPER = {"image_shape": (100, 100, 1), "num_classes": 10, "glimpses": 8, "hidden": 256, "read_size": 12}

PRESETS = [
    Preset(
        "glimpse-classifier/cluttered-mnist-paper", GlimpseClassifier, PAPER,
        data="tfrecord:cluttered-{split}.tfrecord",
        source="table 3, on what `tfgen.data.cluttered_canvas` draws; Adam is the paper's, its rate, the batch size and the "
        "number of steps are not in it",
        steps=100_000, compile_args=adam(3e-4), paper="3.36 % errors (table 1)",
    ),
    Preset(
        "glimpse-classifier/digits", GlimpseClassifier,
        {"image_shape": (8, 8, 1), "num_classes": 10, "glimpses": 4, "hidden": 64, "read_size": 4},
        data="digits", source="four glimpses of scikit-learn's 8x8 digits", steps=2_000,
        compile_args=adam(cosine_decay(3e-3), clipnorm=5.0),
    ),
]  # fmt: skip
