"""Presets of DRAW."""

from tfgen.models.autoencoders.draw import DRAW
from tfgen.models.preset import Preset, adam, cosine_decay


def _adam(learning_rate):
    return adam(learning_rate, clipnorm=5.0)


_PAPER = "; Adam is the paper's, its rate (3e-4), the clipping and the batch size are not in it"
_MNIST = {"image_shape": (28, 28, 1), "glimpses": 64, "hidden": 256, "z_size": 100}
_MNIST_ATTENTION = {**_MNIST, "read_size": 2, "write_size": 5}
_DIGITS = {"image_shape": (8, 8, 1), "glimpses": 4, "hidden": 64, "z_size": 4}

PRESETS = [
    Preset(
        "draw/mnist-paper", DRAW, _MNIST_ATTENTION, data="binarized_mnist", source=f"table 3{_PAPER}", steps=50_000,
        compile_args=_adam(3e-4), paper="80.97 nats (bound), table 2",
    ),
    Preset(
        "draw/mnist-no-attention-paper", DRAW, _MNIST, data="binarized_mnist",
        source=f"section 4.2, taken to be table 3 but for the windows{_PAPER}", steps=50_000, compile_args=_adam(3e-4),
        paper="87.40 nats (bound), table 2",
    ),
    Preset(
        "draw/two-digits-paper", DRAW, {**_MNIST_ATTENTION, "image_shape": (60, 60, 1), "likelihood": "cross_entropy"},
        data="tfrecord:two_digits-{split}.tfrecord",
        source="section 4.3, on what `tfgen.data.two_digits(...).write_tfrecords(...)` writes; settings taken to be those "
               f"of MNIST{_PAPER}",
        steps=100_000, compile_args=_adam(3e-4), paper="samples only",
    ),
    Preset(
        "draw/svhn-paper", DRAW,
        {"image_shape": (54, 54, 3), "glimpses": 32, "hidden": 800, "z_size": 100, "read_size": 12, "write_size": 12,
         "likelihood": "cross_entropy"},
        data="folder:svhn", source=f"table 3 and section 4.4: 54x54 pixels of images around the numbers{_PAPER}",
        steps=350_000, compile_args=_adam(3e-4), paper="samples only",
    ),
    Preset(
        "draw/cifar10-paper", DRAW,
        {"image_shape": (32, 32, 3), "glimpses": 64, "hidden": 400, "z_size": 200, "read_size": 5, "write_size": 5,
         "likelihood": "cross_entropy"},
        data="cifar10", source=f"table 3 and section 4.5{_PAPER}", steps=50_000, compile_args=_adam(3e-4),
        paper="samples only",
    ),
    Preset(
        "draw/mnist", DRAW, {"image_shape": (28, 28, 1), "glimpses": 10, "hidden": 256, "z_size": 10},
        data="binarized_mnist", source="ericjang/draw's sizes, without attention; cosine decay; for 30 minutes on two cores",
        batch_size=128, steps=10_000, compile_args=_adam(cosine_decay(1e-3)),
    ),
    Preset(
        "draw/mnist-attention", DRAW,
        {"image_shape": (28, 28, 1), "glimpses": 10, "hidden": 256, "z_size": 10, "read_size": 5, "write_size": 5},
        data="binarized_mnist", source="ericjang/draw: T=10, batch 100, Adam 1e-3, clipping at norm 5", steps=12_000,
        compile_args=_adam(cosine_decay(1e-3)),
    ),
    Preset(
        "draw/digits", DRAW, _DIGITS, data="digits", source="for scikit-learn's 8x8 digits, without attention",
        steps=3_500, compile_args=_adam(cosine_decay(3e-3)), binarization="threshold",
    ),
]  # fmt: skip
