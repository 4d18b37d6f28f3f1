"""tfgen: generative image models of published papers as Keras 3 models.

    import tfgen
    data = tfgen.data.load("digits")
    model = tfgen.models.VAE(image_shape=data.image_shape)
    model.compile()
    model.fit(data.batches(64, shuffle=True, binarization="dynamic"), epochs=10)
    images = model.sample(16, seed=0)  # float32 [16, 8, 8, 1] in [0, 1]

Sub-packages are imported when they are first used, so that `import tfgen` itself is fast.
"""

import importlib
import os

from tfgen import quiet

# TensorFlow Probability and tensorflow_transform read this variable when they are imported. If it is not set,
# tensorflow_transform sets it to 1, and the import of TensorFlow Probability then fails with Keras 3.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "0")
# Read when TensorFlow first uses a GPU. Otherwise it takes all memory of every GPU at once, also from other processes.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
    raise ImportError(
        f"tfgen needs Keras with the TensorFlow backend; KERAS_BACKEND is {os.environ['KERAS_BACKEND']!r}. "
        "Unset it or set KERAS_BACKEND=tensorflow before Keras is imported."
    )

quiet.start()

__version__ = "0.1.0"

_SUBPACKAGES = (
    "data", "distributions", "export", "features", "fields", "losses", "metrics", "models", "networks", "onnx",
    "presets", "pretrained", "sampling", "training",
)  # fmt: skip

__all__ = ["__version__", "from_preset", *_SUBPACKAGES]


def __getattr__(name):
    if name in _SUBPACKAGES:
        return importlib.import_module(f"tfgen.{name}")
    if name == "from_preset":
        return importlib.import_module("tfgen.pretrained").from_preset
    raise AttributeError(f"module 'tfgen' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return list(__all__)
