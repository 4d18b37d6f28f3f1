"""EfficientNet-Lite0: built from arrays by name; against published predictions where its weights and photos are at hand.

These lie in $TFGEN_TEST_DATA: efficientnet-lite0/efficientnet_lite0.npz, and kodak/kodim*.png of the Kodak set.
"""

import os
from pathlib import Path

import keras
import numpy as np
import pytest

from tfgen import features
from tfgen.features import efficientnet_lite0
from tfgen.features.efficientnet_lite import efficientnet_lite0_network

DATA = Path(os.environ.get("TFGEN_TEST_DATA", "no/such/folder"))
WEIGHTS, PHOTOS = DATA / "efficientnet-lite0", DATA / "kodak"


def batch_norm(x, arrays, name):
    weight, bias, mean, variance = (arrays[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var"))
    return (x - mean) / np.sqrt(variance + 1e-3) * weight + bias


@pytest.fixture(scope="module")
def arrays():
    """Random ones, under the names and in the layout of the PyTorch file."""
    rng, found = np.random.default_rng(0), {}

    def conv(name, *shape):
        found[f"{name}.weight"] = rng.normal(size=shape, scale=(2.0 / np.prod(shape[1:])) ** 0.5).astype("float32")

    def norm(name, width):
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"{name}.{part}"] = rng.uniform(0.5, 1.5, width).astype("float32")
        found[f"{name}.num_batches_tracked"] = np.array(3)

    conv("_conv_stem", 32, 3, 3, 3), norm("_bn0", 32)
    width, block = 32, 0
    for count, filters, kernel, expansion in (
        (1, 16, 3, 1), (2, 24, 3, 6), (2, 40, 5, 6), (3, 80, 3, 6), (3, 112, 5, 6), (4, 192, 5, 6), (1, 320, 3, 6),
    ):  # fmt: skip
        for _ in range(count):
            name, wide = f"_blocks.{block}", width * expansion
            if expansion > 1:
                conv(f"{name}._expand_conv", wide, width, 1, 1), norm(f"{name}._bn0", wide)
            conv(f"{name}._depthwise_conv", wide, 1, kernel, kernel), norm(f"{name}._bn1", wide)
            conv(f"{name}._project_conv", filters, wide, 1, 1), norm(f"{name}._bn2", filters)
            width, block = filters, block + 1
    conv("_conv_head", 1280, 320, 1, 1), norm("_bn1", 1280)
    found["_fc.weight"] = rng.normal(size=(1000, 1280), scale=0.03).astype("float32")
    found["_fc.bias"] = rng.normal(size=1000).astype("float32")
    return found


@pytest.fixture(scope="module")
def path(arrays, tmp_path_factory):
    file = tmp_path_factory.mktemp("efficientnet") / "efficientnet_lite0.npz"
    np.savez(file, **arrays)
    return file


def test_layers_and_shapes(path):
    names = ("stem", "block_0", "block_2", "block_15", "head", "pool", "logits")
    frozen = efficientnet_lite0(path.parent, names, image_shape=(64, 64, 3), resize=None)
    images = np.random.default_rng(1).random((2, 64, 64, 3)).astype("float32")
    shapes = {name: tuple(values.shape[1:]) for name, values in frozen(images).items()}
    assert shapes == {
        "stem": (32, 32, 32), "block_0": (32, 32, 16), "block_2": (16, 16, 24), "block_15": (2, 2, 320),
        "head": (2, 2, 1280), "pool": (1280,), "logits": (1000,),
    }  # fmt: skip
    # Of 4.65 million parameters and the moving statistics; the file has 49 counters besides.
    assert efficientnet_lite0_network().count_params() == 4_694_073 - 49


def test_first_block_and_the_logits_by_hand(path, arrays):
    """In NumPy, from the arrays as they lie in the file: TensorFlow's "same" padding puts the odd pixel below and right."""
    frozen = efficientnet_lite0(path, ("stem", "block_0", "pool", "logits"), image_shape=(32, 32, 3), resize=None)
    images = np.random.default_rng(1).random((1, 32, 32, 3)).astype("float32")
    found = {name: values.numpy() for name, values in frozen(images).items()}
    x = np.pad((255.0 * images[0] - 127.0) / 128.0, ((0, 1), (0, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(0, 1))[::2, ::2]  # [16, 16, in, 3, 3]
    stem = np.einsum("hwikl,oikl->hwo", windows, arrays["_conv_stem.weight"])
    stem = np.clip(batch_norm(stem, arrays, "_bn0"), 0, 6)
    np.testing.assert_allclose(found["stem"][0], stem, rtol=1e-3, atol=1e-3)
    x = np.pad(stem, ((1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(0, 1))
    x = np.einsum("hwckl,ckl->hwc", windows, arrays["_blocks.0._depthwise_conv.weight"][:, 0])
    x = np.clip(batch_norm(x, arrays, "_blocks.0._bn1"), 0, 6)
    x = batch_norm(x @ arrays["_blocks.0._project_conv.weight"][:, :, 0, 0].T, arrays, "_blocks.0._bn2")
    np.testing.assert_allclose(found["block_0"][0], x, rtol=1e-3, atol=1e-3)
    logits = found["pool"] @ arrays["_fc.weight"].T + arrays["_fc.bias"]
    np.testing.assert_allclose(found["logits"], logits, rtol=1e-3, atol=1e-3)


def test_made_again_from_its_config(path):
    frozen = efficientnet_lite0(path)
    again = features.deserialize(frozen.get_config())
    assert again.fingerprint == frozen.fingerprint and again.layers == ("pool",)
    images = np.random.default_rng(1).random((1, 40, 30, 3)).astype("float32")
    np.testing.assert_array_equal(again(images)["pool"], frozen(images)["pool"])
    assert frozen(images)["pool"].shape == (1, 1280)


def test_other_files_are_refused(path, arrays, tmp_path):
    with pytest.raises(ValueError, match="needs the .npz of its weights.*no.npz cannot be read"):
        efficientnet_lite0(tmp_path / "no.npz")
    (tmp_path / "text.npz").write_text("no arrays")
    with pytest.raises(ValueError, match="text.npz cannot be read"):
        efficientnet_lite0(tmp_path / "text.npz")
    for change, message in [
        ({"_fc.bias": None}, "logits: '_fc.bias'"),
        ({"_conv_stem.weight": np.zeros((32, 3, 5, 5), "float32")}, "stem_conv: .*shape"),
        ({"_se.weight": np.zeros(3)}, r"it also has \['_se.weight'\]"),
    ]:
        changed = {name: values for name, values in {**arrays, **change}.items() if values is not None}
        np.savez(tmp_path / "changed.npz", **changed)
        with pytest.raises(ValueError, match=f"does not hold the weights of EfficientNet-Lite0: {message}"):
            efficientnet_lite0(tmp_path / "changed.npz")


@pytest.mark.skipif(not (WEIGHTS.exists() and PHOTOS.exists()), reason="no trained weights and photos in $TFGEN_TEST_DATA")
@pytest.mark.parametrize(
    "photo, probabilities", [("kodim23", {88: 0.93}), ("kodim20", {895: 0.51}), ("kodim05", {665: 0.32})]
)
def test_trained_network_knows_the_kodak_photos(photo, probabilities):
    """Macaw, warplane, moped: what the PyTorch network said of the centre crops (shorter side 224, bicubic)."""
    from PIL import Image

    image = Image.open(PHOTOS / f"{photo}.png").convert("RGB")
    scale = 224 / min(image.size)
    image = image.resize([round(scale * side) for side in image.size], Image.Resampling.BICUBIC)
    left, top = ((side - 224) // 2 for side in image.size)
    pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), "float32")[None] / 255.0
    logits = efficientnet_lite0(WEIGHTS, ("logits",))(pixels)["logits"].numpy()[0]
    softmax = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    for label, probability in probabilities.items():
        assert softmax.argmax() == label
        assert softmax[label] == pytest.approx(probability, abs=0.006)


def test_names_of_layers_do_not_depend_on_what_else_was_built():
    first = [layer.name for layer in efficientnet_lite0_network().layers]
    keras.layers.ReLU(), keras.layers.Add()
    assert [layer.name for layer in efficientnet_lite0_network().layers] == first
