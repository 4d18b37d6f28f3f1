"""Inception-v3 with Keras' ImageNet weights. Published FID values use another network: see `tfgen.metrics.extractors`.

Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception Architecture for Computer Vision", CVPR 2016,
arXiv:1512.00567.
"""

import os
from collections.abc import Sequence

from tfgen.features.applications import application
from tfgen.features.frozen import FeatureNetwork
from tfgen.features.preprocessing import InceptionInput

FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels.h5"


def inception_v3(
    weights: str | os.PathLike | None = "imagenet", layers: Sequence[str] = ("avg_pool",), *,
    image_shape: Sequence[int | None] = (None, None, 3), resize: str = "bilinear_tf1", quantize: bool = False,
) -> FeatureNetwork:  # fmt: skip
    """The feature network Inception-v3.

    Example:
        network = tfgen.features.inception_v3(layers=("mixed7", "avg_pool"))  # Keras downloads the weights once
        network(images)["avg_pool"]  # float32 [B, 2048] of images [B, H, W, 3] in [0, 1]

    Args:
        weights: "imagenet" (Keras downloads 90 MB once), the path of the .h5 file of `keras.applications` with the top, or
            None: random.
        layers: "mixed0" ... "mixed10", "avg_pool" (2,048 wide), "predictions" (the logits of 1,000 classes), ...
        image_shape: (H, W, 1 or 3) of the images; None for a free side.
        resize, quantize: see `InceptionInput`.

    Raises:
        ValueError: images of another shape; the weights cannot be loaded.
    """
    if image_shape[2] not in (1, 3):
        raise ValueError(f"Inception takes images with 1 or 3 channels; received {tuple(image_shape)}.")
    network = application("InceptionV3", weights, FILE, classifier_activation=None)
    arguments = {
        "weights": weights and str(weights), "layers": layers and list(layers), "image_shape": list(image_shape),
        "resize": resize, "quantize": quantize,
    }  # fmt: skip
    return FeatureNetwork(
        network, layers, preprocess=InceptionInput(resize, quantize, dtype="float32", name="preprocessing"),
        image_shape=image_shape, recipe={"maker": "inception_v3", "arguments": arguments},
    )  # fmt: skip
