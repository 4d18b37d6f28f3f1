"""Learned compression: the two models, tables, streams, the container and the codec."""

import json
import os
import struct
import subprocess
import sys
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.layers import GDN
from tfgen.models import FactorizedPrior, ScaleHyperprior
from tfgen.models.compression import Codec, container, entropy, start
from tfgen.models.compression.container import Container
from tfgen.models.compression.integer import IntegerNetwork, transposed_convolution
from tfgen.models.compression.scale_hyperprior import SCALES

MODELS = {"factorized": FactorizedPrior, "hyperprior": ScaleHyperprior}
RNG = np.random.default_rng(0)


def made(name, **kwargs):
    """A tiny model of random weights whose latents are not all zero."""
    keras.utils.set_random_seed(1)
    model = MODELS[name](**{"image_shape": (32, 32, 3), "width": 4, **kwargs})
    networks = [model.analysis] + ([model.hyper_analysis, model.hyper_synthesis] if name == "hyperprior" else [])
    for network, gain in zip(networks, (2.0, 3.0, 0.3), strict=False):
        kernel = network.layers[-1].kernel
        kernel.assign(gain * kernel)
    if name == "hyperprior":  # scales of the size of the latents
        model.hyper_synthesis.layers[-1].bias.assign(tf.fill([model.latent_shape[2]], 45.0))
    return model


@pytest.fixture(scope="module", params=MODELS)
def codec(request):
    return made(request.param).codec()


@pytest.fixture(scope="module")
def image():
    """A smooth picture with some noise, of a size that fits no stride: uint8 [45, 70, 3]."""
    rows, columns = np.mgrid[:45, :70]
    waves = np.stack([rows / 45, columns / 70, 0.5 + 0.5 * np.sin(rows * columns / 200)], axis=-1)
    return np.round(255 * np.clip(waves + 0.1 * RNG.normal(size=waves.shape), 0, 1)).astype(np.uint8)


# ---- tables and streams


@pytest.mark.parametrize("size", [2, 3, 40, 900])
def test_frequencies(size):
    pmf = RNG.dirichlet(np.full(size, 0.2))
    counts = entropy.frequencies(pmf)
    assert counts.sum() == 2**16 and counts.min() >= 1 and counts.dtype == np.int32
    with np.errstate(divide="ignore", invalid="ignore"):
        best = -np.nansum(pmf * np.log2(pmf))
    cost = -np.sum(pmf * np.log2(counts / 2**16))
    assert cost <= best * 1.001 + 0.01 * (size > 100) + 1e-4


@pytest.mark.parametrize("pmf", [[1.0], [0.5, 0.4], [1.5, -0.5], [np.nan, 1.0]])
def test_frequencies_of_what_is_no_distribution(pmf):
    with pytest.raises(ValueError, match="with a sum of 1; received"):
        entropy.frequencies(pmf)


def test_normal_tables_and_their_range():
    tables = entropy.normal_tables(SCALES)
    np.testing.assert_allclose(SCALES[[0, 1, -1]], [0.11, 0.11 * (256 / 0.11) ** (1 / 63), 256.0])
    assert tables.counts.shape[0] == 64 and np.all(tables.sizes == -2 * tables.low + 2)
    escapes = np.array([row[size - 1] for row, size in zip(tables.counts, tables.sizes, strict=True)]) / 2**16
    assert np.all(escapes <= entropy.TAIL_MASS + 1e-4)


@pytest.mark.parametrize("kind", ["inside", "zeros", "outliers", "one", "all_escape"])
def test_stream_round_trip(kind):
    tables = entropy.normal_tables(SCALES)
    n = 1 if kind == "one" else 5000
    index = RNG.integers(0, 64, n)
    values = np.round(RNG.normal(size=n) * SCALES[index] + RNG.uniform(-0.5, 0.5, n)).astype(np.int32)
    if kind == "zeros":
        values[:] = 0
    elif kind == "outliers":
        values[::50] = RNG.integers(-(2**20), 2**20 + 1, 100)
        values[:4] = [2**20, -(2**20), tables.low[index[2]] - 1, -tables.low[index[3]] + 1]
    elif kind == "all_escape":
        values = np.where(RNG.random(n) < 0.5, 2000, -3000).astype(np.int32)
    data = entropy.encode(tables, values, index)
    decoded = entropy.decode(tables, data, index)
    np.testing.assert_array_equal(decoded, values)
    ideal = tables.bits(values, index).sum()
    assert abs(8 * len(data) - ideal) < 0.005 * ideal + 64
    if kind == "inside":  # and by the distribution itself
        from scipy import stats

        exact = -np.log2(stats.norm.cdf((values + 0.5) / SCALES[index]) - stats.norm.cdf((values - 0.5) / SCALES[index]))
        assert abs(8 * len(data) - exact.sum()) < 0.01 * exact.sum() + 64


def test_streams_that_are_too_short_or_too_long():
    tables = entropy.normal_tables(np.array([4.0]))
    values, index = np.round(RNG.normal(size=800) * 4).astype(np.int32), np.zeros(800, int)
    data = entropy.encode(tables, values, index)
    with pytest.raises(ValueError, match="cannot hold 10000000 latents"):
        entropy.decode_channels(tables, data, 10_000, 1000)
    with pytest.raises(ValueError, match="cannot hold 800"):
        entropy.decode(tables, data[:-1], index)
    with pytest.raises(ValueError, match="left over"):
        entropy.decode(tables, data + data, index)


def test_tables_that_are_none():
    good = entropy.normal_tables(np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="received int32 .* and int64"):
        entropy.Tables(good.low, good.counts.astype(np.int64))
    with pytest.raises(ValueError, match="sum of 65536"):
        entropy.Tables(good.low, good.counts + 1)


def test_without_the_range_coder_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "constriction", None)
    with pytest.raises(ImportError, match=r"tfgen\[compression\]"):
        entropy.encode(entropy.normal_tables(np.array([1.0])), np.zeros(1, np.int32), np.zeros(1, int))


# ---- whole numbers


@pytest.mark.parametrize(("size", "stride"), [(5, 2), (3, 1), (9, 4), (4, 2)])
def test_transposed_convolution_is_tensorflows(size, stride):
    x, kernel = RNG.normal(size=(4, 3, 2)), RNG.normal(size=(size, size, 5, 2))
    expected = tf.nn.conv2d_transpose(x[None], kernel, [1, 4 * stride, 3 * stride, 5], stride, "SAME")[0]
    np.testing.assert_allclose(transposed_convolution(x, kernel, stride), expected, atol=1e-12)


def test_integer_network_is_near_and_exact():
    model = made("hyperprior", width=8)
    network = IntegerNetwork.of(model.hyper_synthesis.layers)
    z = RNG.integers(-200, 201, (3, 2, 8))
    places = model.hyper_synthesis(z[None].astype("float32"))[0].numpy()
    found = network(z)
    assert found.shape == (12, 8, 8) and found.dtype == np.int64 and np.ptp(found) > 5
    np.testing.assert_allclose(found, places, atol=0.5 + 0.02 * np.abs(places).max())
    # Sums in any order give the same bits: the same network with its channels in another order.
    order = RNG.permutation(8)
    shuffled = IntegerNetwork(
        [network.kernels[0][:, :, order][..., order], network.kernels[1][:, :, order][..., order],
         network.kernels[2][..., order]],
        [network.biases[0][order], network.biases[1][order], network.biases[2]], network.strides,
    )  # fmt: skip
    np.testing.assert_array_equal(shuffled(z[..., order]), found)


def test_integer_network_against_python_integers():
    """One layer at the largest inputs, against sums of unbounded whole numbers."""
    kernel = RNG.integers(-(2**16), 2**16, (1, 1, 2, 3))
    network = IntegerNetwork([kernel], [np.array([5, -7])], [1])
    x = RNG.integers(-(2**29), 2**29, (2, 2, 3))
    exact = np.einsum("hwi,oi->hwo", x.astype(object), kernel[0, 0].astype(object)) + np.array([5, -7], object)
    np.testing.assert_array_equal(network(x), np.vectorize(lambda v: (v + 2**15) >> 16)(exact))


def test_integer_network_with_hostile_inputs_stays_exact():
    network = IntegerNetwork.of(made("hyperprior").hyper_synthesis.layers)
    assert np.isfinite(network(np.full((2, 2, 4), 2**40))).all()


# ---- the models


def test_strides_and_any_size():
    for name in MODELS:
        model = made(name, width=3)
        assert model.encode(tf.zeros([1, 256, 256, 3])).shape == (1, 16, 16, 3)
        assert model.latent_shape == (2, 2, 3) and model.latent_dim == 12
        for size in ((1, 1), (17, 40), (64, 16)):
            image = RNG.random((2, *size, 3)).astype("float32")
            latents, out = model.encode(image), model.reconstruct(image)
            assert out.shape == image.shape and latents.shape == (2, -(-size[0] // 16), -(-size[1] // 16), 3)
            np.testing.assert_array_equal(latents, np.round(latents))
            assert model.bits(image).shape == (2,)


def test_padding_repeats_the_edge():
    model = made("factorized")
    image = RNG.random((1, 20, 30, 3)).astype("float32")
    padded = np.pad(image, ((0, 0), (0, 12), (0, 2), (0, 0)), "edge")
    np.testing.assert_allclose(model.analyze(image), model.analyze(padded), atol=1e-5)


def without_normalisation(model):
    for layer in model.analysis.layers + model.synthesis.layers:
        if isinstance(layer, GDN):
            layer.raw_gamma.assign(tf.zeros_like(layer.raw_gamma))
    return model


@pytest.mark.parametrize("model_class", MODELS.values())
def test_synthesis_begins_as_the_adjoint_of_the_analysis(model_class):
    """<analysis(x), y> = <x, synthesis(y)> of the convolutions."""
    model = without_normalisation(model_class(image_shape=(32, 32, 3), width=4, latent_channels=5))
    image = RNG.normal(size=(1, 32, 32, 3)).astype("float32")
    latents = RNG.normal(size=(1, 2, 2, 5)).astype("float32")
    ours = np.vdot(model.analysis(image), latents)
    assert abs(ours) > 1e-3
    np.testing.assert_allclose(ours, np.vdot(image, model.synthesis(latents)), rtol=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("model_class", MODELS.values())
def test_start_is_an_orthonormal_block_code(model_class, channels):
    """With a latent for each number of a block nothing is lost; the first is nearly its mean; further ones say nothing."""
    numbers, shape = 256 * channels, (1, 32, 48, channels)
    sizes = {"width": 64 * channels, "latent_channels": numbers + 5}
    model = without_normalisation(model_class(image_shape=shape[1:], **sizes))
    image = RNG.random(shape).astype("float32")
    latents = model.analyze(image).numpy()
    np.testing.assert_allclose(model.synthesize(latents, 32, 48), image, atol=1e-5)
    energy = np.sum((latents[..., :numbers] / model.latent_scale) ** 2)
    np.testing.assert_allclose(energy, np.sum((image - 0.5) ** 2), rtol=1e-4)
    flat = np.square(model.analyze(np.ones((1, 16, 16, channels), "float32"))[0, 0, 0, :numbers])
    assert flat[0] > 0.95 * np.sum(flat)
    latents[..., numbers:] += 9.0
    np.testing.assert_allclose(model.synthesize(latents, 32, 48), image, atol=1e-5)


@pytest.mark.parametrize("model_class", MODELS.values())
def test_flat_patches_begin_as_they_are(model_class):
    """Of the whole model, with its divisive normalisation: lighter patches come back lighter, if not quite as much."""
    model = model_class(image_shape=(32, 32, 3), width=64, latent_channels=128, distortion_weight=0.05)
    for level, error in ((0.45, 0.01), (0.6, 0.02), (0.75, 0.06)):
        image = np.full((1, 32, 32, 3), level, "float32")
        assert np.max(np.abs(model.reconstruct(image) - image)) < error


def test_start_knows_how_latents_vary():
    """Of autoregressive images, drawn by the square roots of their covariance."""
    model = without_normalisation(FactorizedPrior(image_shape=(16, 16, 1), width=64, latent_channels=256))
    stddev = start.begin_as_block_code(model.analysis, model.synthesis, 1, 16)
    distance = np.abs(np.arange(16)[:, None] - np.arange(16))
    rows, columns, _ = (np.linalg.cholesky(rho**distance) for rho in start.CORRELATIONS)
    images = rows @ RNG.normal(size=(4_000, 16, 16)) @ columns.T
    found = np.std(model.analysis(images[..., None].astype("float32")), axis=(0, 1, 2))
    np.testing.assert_allclose(found, stddev, rtol=0.1)
    assert np.sum(stddev**2) == pytest.approx(256)


def test_entropy_models_begin_as_wide_as_latents():
    sizes = {"image_shape": (32, 32, 3), "width": 16, "latent_channels": 20, "distortion_weight": 0.05}
    factorized, hyperprior = FactorizedPrior(**sizes), ScaleHyperprior(**sizes)
    stddev = factorized.build_transforms()
    assert stddev[0] > 10 * stddev[-1] > 0
    np.testing.assert_allclose(factorized.prior.init_scale, np.maximum(stddev, 0.5))
    last = hyperprior.hyper_synthesis.layers[-1]
    last.kernel.assign(tf.zeros_like(last.kernel))
    scales = hyperprior.scales(tf.zeros([1, 1, 1, 16]), 2, 2)[0, 0, 0]
    np.testing.assert_allclose(scales, np.maximum(hyperprior.build_transforms(), 1.0), rtol=1e-3)


@pytest.mark.parametrize("channels, weight", [(1, 0.01), (3, 0.05)])
def test_step_of_latents_balances_rate_and_distortion(channels, weight):
    """Finer or coarser steps d of an orthonormal code of 255 levels cost more: bits -log2 d, squared error d^2 / 12."""
    model = FactorizedPrior(image_shape=(16, 16, channels), width=2, distortion_weight=weight)
    steps = 255.0 / model.latent_scale * np.array([0.9, 1.0, 1.1])
    loss = -channels * np.log2(steps) + weight * steps**2 / 12.0
    assert loss[1] < min(loss[0], loss[2])


def test_the_start_lets_grey_through():
    for name, model_class in MODELS.items():
        model = model_class(image_shape=(32, 32, 3), width=4)
        grey = np.full((1, 32, 32, 3), 0.5, "float32")
        assert not np.any(model.encode(grey)), name
        np.testing.assert_array_equal(model.reconstruct(grey), grey)


def test_loss_is_rate_plus_weighted_distortion():
    image = RNG.random((2, 32, 32, 3)).astype("float32")
    for name in MODELS:
        model = made(name, distortion_weight=0.5)
        losses = model.losses_of(tf.constant(image), lambda values, stream: tf.round(values))
        decoded = model.synthesize(model.encode(image), 32, 32)
        mse = np.mean((255 * (image - decoded)) ** 2, axis=(1, 2, 3))
        np.testing.assert_allclose(losses["mse"], mse, rtol=1e-4)
        np.testing.assert_allclose(losses["bits_per_pixel"], model.bits(image) / 1024, rtol=1e-5)
        np.testing.assert_allclose(losses["loss"], losses["bits_per_pixel"] + 0.5 * mse, rtol=1e-5)


def test_training_has_noise_and_evaluation_rounds():
    model = made("hyperprior")
    seen = {}

    def spy(values, stream):
        seen[stream] = values
        return values + 0.25

    model.rate(model.analyze(tf.constant(RNG.random((1, 32, 32, 3)), tf.float32)), spy)
    assert seen.keys() == {0, 1} and seen[0].shape == (1, 2, 2, 4) and seen[1].shape == (1, 1, 1, 4)
    noise = 0.5 * model.noise([2, 2, 4], 500, 0, "uniform")
    np.testing.assert_allclose([np.min(noise), np.max(noise), np.var(noise)], [-0.5, 0.5, 1 / 12], atol=2e-3)


def test_scales_of_the_hyperprior():
    model = made("hyperprior")
    last = model.hyper_synthesis.layers[-1]
    for bias, scale in ((-5.0, 0.11), (63.0, 256.0), (100.0, 256.0), (10.0, SCALES[10])):
        last.kernel.assign(tf.zeros_like(last.kernel))
        last.bias.assign(tf.fill([4], bias))
        np.testing.assert_allclose(model.scales(tf.ones([1, 1, 1, 4]), 3, 2), np.full((1, 3, 2, 4), scale), rtol=1e-4)


def test_rate_falls_and_error_rises_with_lambda():
    """Two lambdas far apart, on one batch of crops: the ends of a rate-distortion curve."""
    rows, columns = np.mgrid[:16, :16]
    waves = np.sin(rows[None] * RNG.uniform(0, 1, (8, 1, 1)) + columns[None] * RNG.uniform(0, 1, (8, 1, 1)))
    image = (0.5 + 0.4 * waves[..., None]).astype("float32")
    found = {}
    for weight in (1e-6, 1e-1):
        keras.utils.set_random_seed(0)
        model = FactorizedPrior(image_shape=(16, 16, 1), width=8, distortion_weight=weight)
        model.compile(keras.optimizers.Adam(1e-2))
        model.fit(tf.data.Dataset.from_tensors(image).repeat(), steps_per_epoch=250, verbose=0)
        found[weight] = model.evaluate(tf.data.Dataset.from_tensors(image), verbose=0, return_dict=True)
    assert found[1e-6]["bits_per_pixel"] < 0.05 < found[1e-1]["bits_per_pixel"]
    assert found[1e-1]["mse"] < 0.5 * found[1e-6]["mse"]


def test_psnr_of_a_mean_squared_error_of_one():
    from benchmarks.reproduce.compression import psnr

    image = np.full((4, 4, 3), 7, np.uint8)
    assert psnr(image, image + 1) == pytest.approx(48.1308, abs=1e-3)


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 8, 8, 3), "uint8"), np.zeros((8, 8, 3), "float32"), np.zeros((2, 8, 8, 1), "float32")]
)
def test_wrong_images(bad):
    with pytest.raises(ValueError, match=r"for images \[batch, any, any, 3\]|must be float"):
        made("factorized").encode(bad)


@pytest.mark.parametrize("arguments", [{"width": 0}, {"distortion_weight": 0.0}, {"latent_channels": -1}])
def test_wrong_arguments(arguments):
    with pytest.raises(ValueError, match="received"):
        ScaleHyperprior(image_shape=(16, 16, 3), **arguments)


# ---- the codec


def test_codec_round_trip_of_every_size(codec, image):
    for rows, columns in ((45, 70), (16, 16), (1, 1), (1, 70), (33, 2)):
        part = image[:rows, :columns]
        code = codec.code(part)
        data = codec.write(code, part.shape)
        latents, size = codec.read(data)
        assert size == part.shape
        for a, b in zip(code, latents, strict=True):
            np.testing.assert_array_equal(a, b)
        decoded = codec.decompress(data)
        assert decoded.shape == part.shape and decoded.dtype == np.uint8
        expected = codec.model.reconstruct(part[None] / np.float32(255))[0]
        assert np.abs(255 * expected - decoded.astype("float32")).max() < 0.51
    assert np.ptp(codec.code(image)[0]) > 8


def test_file_size_is_what_the_model_estimates(codec, image):
    large = np.tile(image, (4, 4, 1))
    bits = 8 * len(codec.compress(large))
    assert abs(bits - codec.bits(large)) < 0.02 * codec.bits(large) + 8 * 40


def test_latents_may_be_all_zero_or_enormous(codec, image):
    code = codec.code(image)
    for value in (0, entropy.LARGEST, -entropy.LARGEST):
        filled = tuple(np.full_like(latents, value) for latents in code)
        read, _ = codec.read(codec.write(filled, image.shape))
        assert all(np.all(latents == value) for latents in read)


def test_every_flipped_bit_and_every_truncation_is_an_error(codec, image):
    data = codec.compress(image[:17, :20])
    damaged = [data[:n] for n in range(len(data))] + [data + b"\0"]
    for place in range(len(data)):
        for bit in (1, 128):
            flipped = bytearray(data)
            flipped[place] ^= bit
            damaged.append(bytes(flipped))
    for wrong in damaged:
        with pytest.raises(ValueError, match="damaged|truncated|not a tfgen|written by model|format version"):
            codec.read(wrong)


def test_hostile_files_with_a_right_checksum(codec):
    """Whatever the streams hold, reading ends with latents or a ValueError, and makes nothing of the size it is told."""
    number = codec.coder.streams
    for streams, size in (
        ([b""] * number, (65535, 1024, 3)), ([b""] * number, (65535, 65535, 3)), ([b"\xff" * 8] * number, (8000, 8000, 3)),
        ([b"abc"] * number, (8, 8, 3)), ([b"\xff" * 4000] * number, (8, 8, 3)), ([b"\0" * 4000] * number, (8, 8, 3)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="cannot hold|too large|left over|damaged"):
            codec.read(Container(size, codec.model_id, streams).pack())
    for seed in range(200):
        noise = np.random.default_rng(seed).bytes(4 * (seed % 40))
        try:
            codec.read(Container((40, 40, 3), codec.model_id, [noise] * number).pack())
        except ValueError:
            pass
    with pytest.raises(ValueError, match="1 channels"):
        codec.read(Container((8, 8, 1), codec.model_id, [b""] * number).pack())
    with pytest.raises(ValueError, match="5 streams|in 5"):
        codec.read(Container((8, 8, 3), codec.model_id, [b""] * 5).pack())


def test_container_layout():
    packed = Container((2, 300, 3), b"12345678", [b"ab", b""]).pack()
    head = b"TFGC\x01\x03\x02\x00\x2c\x0112345678\x02" + struct.pack("<II", 2, 0)
    assert packed == head + struct.pack("<I", zlib.crc32(head + b"ab")) + b"ab"
    assert Container.unpack(packed) == Container((2, 300, 3), b"12345678", [b"ab", b""])
    with pytest.raises(ValueError, match="received 70000x1"):
        Container((70_000, 1, 3), b"12345678", []).pack()
    with pytest.raises(ValueError, match="not a tfgen compressed image"):
        Container.unpack(b"\x89PNG")
    with pytest.raises(ValueError, match="version 2"):
        Container.unpack(packed[:4] + b"\x02" + packed[5:])
    with pytest.raises(ValueError, match="truncated"):
        Container.unpack(packed[:-1])
    assert container.MAX_SIDE == 65535


def test_another_models_file_is_refused(codec, image):
    other = made("factorized", width=5).codec()
    with pytest.raises(ValueError, match=f"written by model {other.model_id.hex()}"):
        codec.decompress(other.compress(image))


@pytest.mark.parametrize(
    "bad", [np.zeros((8, 8, 3)), np.zeros((8, 8), "uint8"), np.zeros((8, 8, 1), "uint8"), np.zeros((0, 8, 3), "uint8")]
)
def test_codec_refuses_what_is_no_image(codec, bad):
    with pytest.raises(ValueError, match=r"uint8 \[H, W, 3\]; received"):
        codec.compress(bad)


def test_codec_is_frozen_and_can_be_stored(codec, image, tmp_path):
    model = type(codec.model).from_config(codec.model.get_config())
    for mine, theirs in zip(model.trainable_variables, codec.model.trainable_variables, strict=True):
        mine.assign(theirs)
    frozen = model.codec()
    data = frozen.compress(image)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.01)
    assert frozen.compress(image) == data and model.codec().model_id != frozen.model_id
    loaded = Codec.load(frozen.save(tmp_path / "codec.npz"))
    assert loaded.model_id == frozen.model_id == codec.model_id and loaded.compress(image) == data
    np.testing.assert_array_equal(loaded.decompress(data), frozen.decompress(data))
    assert [path.name for path in tmp_path.iterdir()] == ["codec.npz"]


def test_codec_files_of_another_version(codec, tmp_path):
    """The same weights made another picture then."""
    stored = codec._stored()
    about = json.loads(str(stored["about"]))
    for version in (None, 3):
        about["version"] = version
        np.savez(tmp_path / "codec.npz", **{**stored, "about": np.array(json.dumps(about))})
        with pytest.raises(ValueError, match="of version .*reads version 2"):
            Codec.load(tmp_path / "codec.npz")


def test_damaged_codec_files(codec, tmp_path):
    path = codec.save(tmp_path / "codec.npz")
    whole = path.read_bytes()
    for content in (b"", b"nonsense", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is no codec file"):
            Codec.load(path)
    with pytest.raises(ValueError, match="is no codec file"):
        Codec.load(tmp_path / "none.npz")
    stored = codec._stored()
    name = next(name for name in stored if name.startswith("weight/"))
    np.savez(path, **{**stored, name: stored[name] + 1})
    with pytest.raises(ValueError, match="is damaged: its content has id"):
        Codec.load(path)


ELSEWHERE = """
import pathlib, sys
import numpy as np
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
from tfgen.models.compression import Codec
folder = pathlib.Path(sys.argv[1])
for name in ("factorized", "hyperprior"):
    codec = Codec.load(folder / f"{name}.npz")
    code, size = codec.read((folder / f"{name}.tfgc").read_bytes())
    np.savez(folder / f"{name}-found.npz", *code, picture=codec.decode(code[0], *size[:2]))
    (folder / f"{name}-theirs.tfgc").write_bytes(codec.compress(np.load(folder / "image.npy")))
"""


def test_another_process_with_one_thread_and_other_kernels(image, tmp_path):
    large = np.tile(image, (3, 3, 1))
    np.save(tmp_path / "image.npy", large)
    codecs = {name: made(name, width=8).codec() for name in MODELS}
    for name, codec in codecs.items():
        codec.save(tmp_path / f"{name}.npz")
        (tmp_path / f"{name}.tfgc").write_bytes(codec.compress(large))
    settings = {"TF_ENABLE_ONEDNN_OPTS": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", ELSEWHERE, str(tmp_path)], env={**os.environ, **settings}, check=True, timeout=300)
    for name, codec in codecs.items():
        code = codec.code(large)
        with np.load(tmp_path / f"{name}-found.npz") as found:
            for k, latents in enumerate(code):
                np.testing.assert_array_equal(found[f"arr_{k}"], latents)
            difference = np.abs(found["picture"].astype(int) - codec.decode(code[0], *large.shape[:2]))
        assert difference.max() <= 1 and np.mean(difference > 0) < 1e-3
        theirs, _ = codec.read((tmp_path / f"{name}-theirs.tfgc").read_bytes())
        # The encoder's own transform is in floating point: a latent on the edge between two may be the other one.
        assert np.mean(theirs[0] != code[0]) < 1e-3


def test_samples_follow_the_entropy_model():
    model = made("factorized")
    latents = tf.reshape(model.latents(tf.range(500, dtype=tf.int64)), [-1, 4]).numpy()
    mass = np.exp(model.prior.log_prob(np.zeros((1, 4), "float32")))[0]
    np.testing.assert_allclose((latents == 0).mean(axis=0), mass, atol=0.05)


@pytest.mark.parametrize("name", ["factorized-prior/kodak", "scale-hyperprior/kodak"])
def test_crops_are_large_enough_for_every_weight(name):
    """In crops of 64x64 z is one pixel: most places of the kernels around it would see padding alone, and learn nothing."""
    model = tfgen.presets.get(name).override({"width": 4}).build()
    images = np.random.default_rng(0).uniform(size=(2, *model.image_shape)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model.losses_of(images, lambda values, _: values)["loss"])
    kernels = [v for v in model.trainable_variables if v.name == "kernel"]
    for kernel, gradient in zip(kernels, tape.gradient(loss, [v.value for v in kernels]), strict=True):
        assert np.all(np.any(gradient.numpy() != 0, axis=(2, 3))), kernel.path


def test_presets_can_be_built_and_say_where_they_come_from():
    from tfgen import presets

    ours = {
        name: preset for name, preset in presets.all_presets().items() if issubclass(preset.model, tuple(MODELS.values()))
    }
    paper = [preset for name, preset in ours.items() if "/paper-" in name]
    assert len(paper) == 16 and all(preset.source and "Kodak" in preset.paper for preset in paper)
    json.dumps([preset.config() for preset in ours.values()])
    assert presets.get("scale-hyperprior/kodak").override({"distortion_weight": 0.05}).build().distortion_weight == 0.05
