"""Presets of FractalNet."""

from tfgen.models.preset import Preset, adam, cosine_decay
from tfgen.models.synthesis.fractal_net import FractalNet


def _sgd(rate, steps):
    """Compile arguments: SGD with momentum, whose rate is divided by 10 whenever the number of steps left has halved."""
    boundaries = [steps - steps // 2**i for i in range(1, 5)]
    schedule = {
        "module": "keras.optimizers.schedules", "class_name": "PiecewiseConstantDecay",
        "config": {"boundaries": boundaries, "values": [rate * 0.1**i for i in range(5)]},
    }  # fmt: skip
    return {"optimizer": {"class_name": "SGD", "config": {"learning_rate": schedule, "momentum": 0.9}}}


def _paper(name, args, data, source, epochs, examples, *, classes=10, side=32, rate=0.02, batch_size=100, **more):
    steps = epochs * examples // batch_size
    return Preset(
        f"fractal-net/{name}-paper", FractalNet, {"image_shape": (side, side, 3), "num_classes": classes, **args}, data=data,
        source=f"section 4: {source}; {epochs} epochs of {examples:,} images in batches of {batch_size}",
        batch_size=batch_size, steps=steps, compile_args=_sgd(rate, steps), **more,
    )  # fmt: skip


_DROPOUT = (0.0, 0.1, 0.2, 0.3, 0.4)
_20 = {"filters": (64, 128, 256, 512, 512), "dropout": _DROPOUT}
_40 = {"filters": (32, 64, 128, 256, 256), "columns": 4, "dropout": _DROPOUT}
_40_WIDTHS = "40 layers, half as wide as 20: 19.1 million parameters. The paper's have 22.9; their widths are not published"
_MOVED = {"flip": True, "shift": 4}
_DEPTHS = {5: "37.32", 10: "30.71", 20: "27.69", 40: "27.38", 80: "26.46", 160: "27.38"}
_PLAIN = {5: "36.62", 10: "32.47", 20: "31.31", 40: "38.84"}
_NARROW = (16, 32, 64, 128, 128)
_HEAVY = "augmentation ++ of table 3 is not described: here that of +"

_SMALL = {"filters": (16, 32, 64), "num_classes": 10, "dropout": (0.0, 0.1, 0.2)}
_RATE = adam(cosine_decay(3e-3))

PRESETS = [
    *(
        _paper(f"cifar{classes}{moved}", _20, f"cifar{classes}", f"20 layers, dropout and drop-path{what}", 400, 50_000,
               classes=classes, paper=f"{errors} % errors, of the deepest column {deepest} (table 1)",
               augmentation=_MOVED if moved else None)
        for classes, moved, what, errors, deepest in (
            (10, "", "", "7.33", "7.27"), (10, "-augmented", ", mirrored and moved", "4.60", "4.68"),
            (100, "", "", "28.20", "29.05"), (100, "-augmented", ", mirrored and moved", "23.73", "24.32"),
        )
    ),
    _paper("svhn", _20, "svhn_cropped", "20 layers, dropout and drop-path, with the split `extra`", 20, 604_388,
           paper="1.87 % errors, of the deepest column 1.89 (table 1)"),
    *(
        _paper(f"cifar{classes}-40-layers", _40, f"cifar{classes}", _40_WIDTHS, 400, 50_000, classes=classes,
               augmentation=_MOVED, paper=f"{errors} % errors with augmentation (table 1)")
        for classes, errors in ((10, "5.24"), (100, "22.49"))
    ),
    *(
        _paper(f"cifar100-depth-{depth}", {"filters": _NARROW, "columns": columns, "local_drop": 0.0, "global_share": 0.0},
               "cifar100", f"{columns} columns without dropout and drop-path; {_HEAVY}", 400, 50_000, classes=100,
               augmentation=_MOVED, paper=f"{errors} % errors (table 3)")
        for columns, (depth, errors) in enumerate(_DEPTHS.items(), start=1)
    ),
    *(
        _paper(f"cifar100-plain-{depth}", {"filters": _NARROW, "columns": columns, "only_column": columns - 1}, "cifar100",
               f"the deepest of {columns} columns alone, trained from scratch; {_HEAVY}", 400, 50_000, classes=100,
               augmentation=_MOVED, paper=f"{errors} % errors (table 4)")
        for columns, (depth, errors) in enumerate(_PLAIN.items(), start=1)
    ),
    _paper("imagenet", {"filters": (128, 256, 512, 1024), "columns": 4, "stem": 64}, "imagenet2012",
           "34 layers: the first and the last of ResNet-34 around 4 blocks of 4 columns. The authors' network is not "
           "published; the widths are ours", 70, 1_281_167, classes=1000, side=224, rate=1e-3, batch_size=32,
           augmentation={"flip": True}, paper="24.12 % errors with 10 crops (table 2)"),
    Preset(
        "fractal-net/digits", FractalNet, {"image_shape": (8, 8, 1), **_SMALL}, data="digits",
        source="3 columns, 3 blocks of 16, 32 and 64 filters, moved by up to one pixel", steps=600, compile_args=_RATE,
        augmentation={"shift": 1},
    ),
    *(
        Preset(
            f"fractal-net/{name}", FractalNet, {"image_shape": shape, **_SMALL}, data=data,
            source=f"the network of fractal-net/digits on {title}", steps=steps, compile_args=_RATE,
            augmentation=augmentation,
        )
        for name, shape, data, title, steps, augmentation in (
            ("mnist", (28, 28, 1), "mnist", "MNIST", 1_800, {"shift": 2}),
            ("fashion-mnist", (28, 28, 1), "fashion_mnist", "Fashion-MNIST, mirrored", 2_400, {"flip": True}),
            ("cifar10", (32, 32, 3), "cifar10", "CIFAR-10, mirrored and moved", 3_000, _MOVED),
        )
    ),
]  # fmt: skip
