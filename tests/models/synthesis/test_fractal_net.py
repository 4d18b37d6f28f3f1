"""FractalNet against compositions in NumPy, closed forms of drop-path, and counts of the paper."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.models import FractalNet
from tfgen.models.synthesis.fractal_net import join, schedule

TINY = {"image_shape": (8, 8, 2), "num_classes": 3, "filters": (3, 4)}
IMAGES = np.random.default_rng(0).random((6, 8, 8, 2), "float32")
LABELS = np.arange(6, dtype="int32") % 3


def build(seed=0, **args):
    """A model whose weights and moving statistics are all random."""
    model, rng = FractalNet(**{**TINY, **args}), np.random.default_rng(seed)
    for v in [*model.trainable_variables, *statistics(model).values()]:
        v.assign(rng.uniform(0.5, 1.5, v.shape) if "variance" in v.path else 0.5 * rng.normal(size=v.shape))
    return model


def statistics(model, mode=None):
    """{(name of the convolution, mode, "moving_mean" or "moving_variance"): variable}."""
    return {
        (name, of, v.name): v for name, conv in model.convs.items() for of, norm in conv.norms.items()
        for v in norm.variables if mode in (None, of)
    }  # fmt: skip


def params(model):
    return sum(math.prod(v.shape) for v in model.trainable_variables)


def gradients(model, **paths):
    """({name of a convolution: gradient of its kernel, or None}) of the cross-entropy in training."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.judged(model.logits(IMAGES, training=True, **paths), LABELS)["loss"])
    names = list(model.convs)
    return dict(zip(names, tape.gradient(loss, [model.convs[n].conv.kernel.value for n in names]), strict=True))


def active(found):
    assert all(g is None or np.all(np.isfinite(g)) for g in found.values())
    return {name for name, gradient in found.items() if gradient is not None and np.any(gradient.numpy() != 0)}


def only(model, column):
    """The inputs that joins keep if nothing but one column may pass; none where it has no part in a join."""
    endings = model.blocks * [ending for ending in model.schedule if len(ending) > 1]
    return [tf.constant([float(c == column) for c in ending]) for ending in endings]


# ---- join, schedule, counts


@pytest.mark.parametrize(
    ("keep", "mean", "shares"),
    [
        ((1, 1, 1), (4, 2), (1 / 3, 1 / 3, 1 / 3)), ((1, 0, 1), (4.5, 0.5), (0.5, 0, 0.5)), ((0, 1, 0), (3, 5), (0, 1, 0)),
        ((0, 1, 1), (5.5, 2), (0, 0.5, 0.5)), ((0, 0, 0), (0, 0), (0, 0, 0)),
    ],
)  # fmt: skip
def test_a_join_is_the_mean_of_what_it_keeps(keep, mean, shares):
    inputs = [tf.constant(x) for x in ([1.0, 2.0], [3.0, 5.0], [8.0, -1.0])]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        joined = join(inputs, tf.constant(keep, tf.float32))
    np.testing.assert_allclose(joined, mean, rtol=1e-6)
    for gradient, share in zip(tape.gradient(joined, inputs, tf.constant([1.0, -2.0])), shares, strict=True):
        np.testing.assert_allclose(gradient, [share, -2 * share], rtol=1e-6)
        assert share or np.all(gradient.numpy() == 0)


@pytest.mark.parametrize("columns", range(1, 7))
def test_the_columns_of_a_block(columns):
    layers = schedule(columns)
    assert len(layers) == 2 ** (columns - 1)
    assert sum(map(len, layers)) == 2**columns - 1
    for c in range(columns):
        assert sum(c in layer for layer in layers) == 2**c
    joins = [len(layer) for layer in layers if len(layer) > 1]
    expected = [size for size in range(2, columns) for _ in range(2 ** (columns - 1 - size))] + [columns] * (columns > 1)
    assert sorted(joins) == sorted(expected)
    assert all(layer == list(range(columns - len(layer), columns)) for layer in layers)  # the deepest ones


@pytest.mark.parametrize(("columns", "filters", "convs", "depth"), [(3, (2, 2, 2), 21, 12), (2, (2,) * 4, 12, 8)])
def test_the_size_of_a_network(columns, filters, convs, depth):
    model = FractalNet(image_shape=(16, 16, 1), num_classes=2, filters=filters, columns=columns)
    assert len(model.convs) == convs
    assert [len(model.column(c).convs) for c in range(columns)] == [len(filters) * 2**c for c in range(columns)]
    assert len(filters) * 2 ** (columns - 1) == depth


@pytest.mark.parametrize(
    ("args", "count"),
    [
        ({"filters": (16, 32, 64), "image_shape": (32, 32, 3)}, 265_386),
        ({"filters": (16, 32, 64), "image_shape": (32, 32, 3), "affine": True}, 266_954),
        ({"filters": (16, 32, 64), "image_shape": (28, 28, 1), "own_statistics": False}, 264_522),
        ({"filters": (16,) * 4, "columns": 2, "image_shape": (28, 28, 1)}, 23_690),
        ({"filters": (16, 32, 64, 128), "image_shape": (32, 32, 3)}, 1_077_930),
    ],
)
def test_parameters(args, count):
    assert params(FractalNet(num_classes=10, **args)) == count


def test_presets_of_the_paper():
    found = {name: p for name, p in tfgen.presets.all_presets().items() if p.model is FractalNet and name.endswith("paper")}
    model = found["fractal-net/cifar10-paper"].build()
    assert len(model.convs) == 35 and params(model) == 33_714_314
    depths = {}
    for name, preset in found.items():
        args = preset.model_args
        columns, blocks = args.get("columns", 3), len(args["filters"])
        # convolutions and depth: those of the whole network, or of its only column
        convs = blocks * (2**columns - 1 if "only_column" not in args else 2 ** args["only_column"])
        depths[name.removeprefix("fractal-net/").removesuffix("-paper")] = (convs, blocks * 2 ** (columns - 1))
    twenty = ("cifar10", "cifar10-augmented", "cifar100", "cifar100-augmented", "svhn")
    assert depths == {
        **dict.fromkeys(twenty, (35, 20)),
        **dict.fromkeys(("cifar10-40-layers", "cifar100-40-layers"), (75, 40)),
        **{f"cifar100-depth-{5 * 2**i}": (5 * (2 ** (i + 1) - 1), 5 * 2**i) for i in range(6)},
        **{f"cifar100-plain-{depth}": (depth, depth) for depth in (5, 10, 20, 40)},
        "imagenet": (60, 32),  # and two more layers
    }
    rates = found["fractal-net/cifar10-paper"].compile_args["optimizer"]["config"]["learning_rate"]["config"]
    assert rates["boundaries"] == [100_000, 150_000, 175_000, 187_500]  # epochs 200, 300, 350, 375
    np.testing.assert_allclose(rates["values"], [0.02, 0.002, 2e-4, 2e-5, 2e-6])
    assert found["fractal-net/cifar10-paper"].compile_args["optimizer"]["config"]["momentum"] == 0.9
    assert found["fractal-net/cifar10-paper"].model_args["dropout"] == (0.0, 0.1, 0.2, 0.3, 0.4)
    drops = [FractalNet.config_parameters()[name].default for name in ("local_drop", "global_share")]
    assert drops == [0.15, 0.5]


def test_plain_presets_and_the_stem_are_built():
    plain = tfgen.presets.get("fractal-net/cifar100-plain-10-paper").build()
    assert len(plain.convs) == 10 and plain.step_kind(0) is None
    model, images = FractalNet(**{**TINY, "image_shape": (33, 40, 2)}, stem=5), np.zeros((1, 33, 40, 2), "float32")
    assert model.stem.conv.kernel.shape == (7, 7, 2, 5)
    model.stem.conv.bias.assign(np.arange(5.0))
    column = model.column(0)
    for one in (model, column):
        assert one.class_logits(images).shape == (1, 3)
    np.testing.assert_allclose(column.class_logits(images), model.logits(images, column=0), atol=1e-5)
    one = build(image_shape=(32, 32, 2), filters=(3,), columns=1, stem=5, own_statistics=False)
    images = np.random.default_rng(3).random((2, 32, 32, 2), "float32")
    x = tf.nn.max_pool2d(one.stem(images, mode="all", training=False, keys=None), 3, 2, "SAME")
    assert x.shape == (2, 8, 8, 5)
    x = pool(conv(one, "block_0_column_0_layer_0", x.numpy(), "all"))
    np.testing.assert_allclose(one.class_logits(images), classes(one, x), atol=1e-4)


# ---- the expansion rule


def conv(model, name, x, mode):
    """Convolution 3x3, batch norm by moving statistics, ReLU, in NumPy."""
    layer = model.convs[name]
    kernel, bias = (v.numpy().astype("float64") for v in layer.conv.weights)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    y = sum(padded[:, i : i + height, j : j + width] @ kernel[i, j] for i, j in itertools.product(range(3), range(3))) + bias
    norm = layer.norms[mode]
    y = (y - norm.moving_mean.numpy()) / np.sqrt(norm.moving_variance.numpy() + 1e-5)
    if layer.gain is not None:
        y = y * layer.gain.numpy() + layer.shift.numpy()
    return np.maximum(y, 0)


def pool(x):
    """Max-pooling 2x2; an odd side is rounded up."""
    x = np.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)), constant_values=-np.inf)
    return np.max([x[:, i::2, j::2] for i in range(2) for j in range(2)], axis=0)


def classes(model, x):
    kernel, bias = (v.numpy() for v in model.classes.weights)
    return x.mean(axis=(1, 2)) @ kernel + bias


def block_of_two(f, z):
    """f_2(z) = join[conv(conv(z)), conv(z)], where `f(column, layer, x)` is a convolution."""
    return np.mean([pool(f(1, 1, f(1, 0, z))), pool(f(0, 1, z))], axis=0)


def block_of_three(f, z):
    """f_3(z) = join[f_2(f_2(z)), conv(z)], of three: the last join of the second f_2 is a part of it."""
    first = np.mean([f(2, 1, f(2, 0, z)), f(1, 1, z)], axis=0)
    return np.mean([pool(f(2, 3, f(2, 2, first))), pool(f(1, 3, first)), pool(f(0, 3, z))], axis=0)


@pytest.mark.parametrize(
    ("columns", "block", "more"),
    [(2, block_of_two, {}), (3, block_of_three, {"affine": True}), (3, block_of_three, {"image_shape": (7, 5, 2)})],
)
def test_a_network_is_what_the_rule_makes(columns, block, more):
    model = build(columns=columns, **more)
    x = images = np.random.default_rng(1).random((4, *model.image_shape), "float32")
    for b in range(2):
        x = block(lambda c, i, z, b=b: conv(model, f"block_{b}_column_{c}_layer_{i}", z, "all"), x)  # noqa: B023
    np.testing.assert_allclose(model.class_logits(images), classes(model, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("own", [True, False])
def test_a_column_alone_is_a_plain_network(own):
    model = build(columns=3, own_statistics=own, affine=True)
    for c in range(3):
        x = IMAGES
        for b in range(2):
            for i in (layer for layer, ending in enumerate(([2], [1, 2], [2], [0, 1, 2])) if c in ending):
                x = conv(model, f"block_{b}_column_{c}_layer_{i}", x, "alone" if own else "all")
            x = pool(x)
        np.testing.assert_allclose(model.logits(IMAGES, column=c), classes(model, x), rtol=1e-4, atol=1e-4)


def test_dropout_is_between_convolution_and_batch_norm():
    layer = next(iter(FractalNet(**{**TINY, "filters": (8,)}, dropout=(0.5,)).convs.values()))
    kernel, bias = layer.conv.weights
    kernel.assign(tf.zeros_like(kernel))
    bias.assign(tf.ones_like(bias))
    found = layer(IMAGES, mode="all", training=True, keys=tf.cast(tf.range(6), tf.uint64)).numpy()
    # Ones become 0 or 2; batch norm makes that about -1 and 1.
    assert set(np.unique(np.round(found, 1))) <= {0.0, 0.9, 1.0, 1.1} and 0.45 < np.mean(found > 0) < 0.55


def test_each_block_has_its_rate_of_dropout_and_each_convolution_its_noise():
    model = FractalNet(**TINY, columns=2, dropout=(0.25, 0.5))
    rates = {name: conv.dropout.amount for name, conv in model.convs.items()}
    assert {name[:7]: rate for name, rate in rates.items()} == {"block_0": 0.25, "block_1": 0.5} and len(rates) == 6
    ones, keys = np.ones((6, 4, 4, 3), "float32"), tf.cast(tf.range(6), tf.uint64)
    first = [conv for name, conv in model.convs.items() if rates[name] == 0.25]
    assert len({(conv.dropout(ones, keys).numpy() > 0).tobytes() for conv in first}) == 3


def test_noise_differs_between_passes_and_steps():
    model = FractalNet(**TINY, columns=1, dropout=(0.5, 0.5), own_statistics=False)
    joined, alone = (model.logits(IMAGES, training=True, column=c).numpy() for c in (None, 0))
    assert np.any(joined != alone)
    np.testing.assert_array_equal(joined, model.logits(IMAGES, training=True))
    model.step.assign(1)
    assert np.any(joined != model.logits(IMAGES, training=True))
    np.testing.assert_allclose(model.logits(IMAGES), model.logits(IMAGES, column=0))


# ---- drop-path


def test_how_often_local_drop_path_keeps_inputs():
    model = FractalNet(image_shape=(4, 4, 1), num_classes=2, filters=(1,), columns=4, seed=3)
    steps = tf.range(20_000, dtype=tf.int64)
    found = [paths.numpy() for paths in model.local_paths(steps)]
    assert [paths.shape[1] for paths in found] == [2, 3, 2, 4] == model.joins
    counts = {2: (0.2775, 0.7225), 3: (0.06075, 0.325125, 0.614125), 4: (0.01198125, 0.0975375, 0.368475, 0.52200625)}
    survival = {2: 0.86125, 3: 0.851125, 4: 0.8501265625}
    for paths in found:
        size = paths.shape[1]
        assert set(np.unique(paths)) == {0.0, 1.0}
        np.testing.assert_allclose(paths.mean(axis=0), survival[size], atol=0.012)
        live = paths.sum(axis=1)
        np.testing.assert_allclose([np.mean(live == n) for n in range(size + 1)], [0, *counts[size]], atol=0.012)
    everything = np.concatenate(found, axis=1)
    correlations = np.corrcoef(everything.T)
    own = np.repeat(np.arange(4), [2, 3, 2, 4])
    assert np.abs(correlations[own[:, None] != own[None]]).max() < 0.03  # joins are independent
    again = model.local_paths(steps[7:8])
    np.testing.assert_array_equal(np.concatenate(again, axis=1), everything[7:8])
    other = FractalNet(image_shape=(4, 4, 1), num_classes=2, filters=(1,), columns=4, seed=4)
    assert np.mean(np.concatenate(other.local_paths(steps[:500]), axis=1) != everything[:500]) > 0.1


def test_an_input_is_restored_where_all_are_dropped():
    model = FractalNet(image_shape=(4, 4, 1), num_classes=2, filters=(1,), columns=3, local_drop=0.999)
    for paths in model.local_paths(tf.range(3_000, dtype=tf.int64)):
        live = paths.numpy()[paths.numpy().sum(axis=1) == 1]
        assert len(live) > 2_900 and np.all(paths.numpy().sum(axis=1) >= 1)
        np.testing.assert_allclose(live.mean(axis=0), 1 / paths.shape[1], atol=0.04)  # uniformly


def test_how_often_a_step_has_one_column():
    model, twin, other = (FractalNet(**TINY, columns=3, seed=seed) for seed in (1, 1, 2))
    kinds = [model.step_kind(step) for step in range(6_000)]
    shares = [np.mean([kind == c for kind in kinds]) for c in range(3)]
    np.testing.assert_allclose(shares, 1 / 6, atol=0.02)
    assert kinds[:50] == [twin.step_kind(step) for step in range(50)]
    assert kinds[:50] != [other.step_kind(step) for step in range(50)]
    always, never = (FractalNet(**TINY, global_share=share) for share in (1.0, 0.0))
    assert {always.step_kind(step) for step in range(50)} == {0, 1, 2}
    assert {never.step_kind(step) for step in range(50)} == {None}


def test_joins_that_pass_one_column_make_it_the_network():
    """Global drop-path as a choice that all joins share is the column by itself; joins without it are not used."""
    model = build(columns=3, own_statistics=False)
    for c in range(3):
        np.testing.assert_allclose(model.logits(IMAGES, keep=only(model, c)), model.logits(IMAGES, column=c), atol=1e-5)


@pytest.mark.parametrize("column", range(3))
def test_a_global_step_trains_one_column(column):
    model = build(columns=3)
    layers = {0: [3], 1: [1, 3], 2: [0, 1, 2, 3]}[column]
    expected = {f"block_{b}_column_{column}_layer_{i}" for b in range(2) for i in layers}
    by_joins, alone = gradients(model, keep=only(model, column)), gradients(model, column=column)
    assert active(by_joins) == active(alone) == expected and len(expected) == 2 * 2**column
    for name in set(model.convs) - expected:
        assert alone[name] is None and np.all(by_joins[name].numpy() == 0), name


def test_local_drops_leave_no_gradient():
    model = build(filters=(3,), columns=3)
    # The first join keeps column 1, the second columns 0 and 1: no convolution of the deepest column counts.
    found = gradients(model, keep=[tf.constant([1.0, 0.0]), tf.constant([1.0, 1.0, 0.0])])
    assert active(found) == {f"block_0_column_{c}_layer_{i}" for c, i in ((0, 3), (1, 1), (1, 3))}
    found = gradients(model, keep=[tf.constant([0.0, 1.0]), tf.constant([0.0, 0.0, 1.0])])
    assert active(found) == {f"block_0_column_2_layer_{i}" for i in range(4)}
    assert active(gradients(model, keep=[tf.ones([2]), tf.ones([3])])) == set(model.convs)


def test_all_inputs_are_live_after_training():
    model = build(filters=(3,), columns=3, dropout=(0.5,), local_drop=0.5)
    everything = [tf.ones([size]) for size in model.joins]
    for step in range(3):
        model.step.assign(step)
        np.testing.assert_array_equal(model.class_logits(IMAGES), model.logits(IMAGES, keep=everything))
    model = build(filters=(3,), columns=3, local_drop=0.5)
    found = []
    for step in range(6):
        model.step.assign(step)
        drawn = [paths[0] for paths in model.local_paths(tf.constant([step], tf.int64))]
        found.append(model.logits(IMAGES, training=True).numpy())
        np.testing.assert_array_equal(found[-1], model.logits(IMAGES, training=True, keep=drawn))
    assert len({logits.tobytes() for logits in found}) > 1


# ---- training


def step_of(model):
    """The names of the convolutions, and of their statistics by mode, that one step of SGD moves."""
    watched = {name: conv.conv.kernel for name, conv in model.convs.items()} | statistics(model)
    before = {name: v.numpy() for name, v in watched.items()}
    model.fit({"image": IMAGES, "label": LABELS}, batch_size=6, epochs=1, verbose=0)
    moved = {name for name, v in watched.items() if np.any(v.numpy() != before[name])}
    convs = {name for name in moved if isinstance(name, str)}
    return convs, {mode: {name for name, of, _ in moved - convs if of == mode} for mode in ("all", "alone")}


def test_steps_of_one_column_and_of_all():
    model = build(filters=(3,), columns=2, local_drop=0.0, seed=5)
    model.compile("sgd")
    kinds = [model.step_kind(step) for step in range(12)]
    assert set(kinds) == {None, 0, 1}
    columns = {0: {"block_0_column_0_layer_1"}, 1: {"block_0_column_1_layer_0", "block_0_column_1_layer_1"}}
    for kind in kinds:
        convs, moved = step_of(model)
        if kind is None:
            assert convs == moved["all"] == set(model.convs) and not moved["alone"]
        else:
            assert convs == moved["alone"] == columns[kind] and not moved["all"]


def test_the_loss_of_every_column():
    model = build(filters=(3,), columns=3, column_losses=True, local_drop=0.0)
    assert model.step_kind(0) is None
    batch = {"image": tf.constant(IMAGES), "label": tf.constant(LABELS)}

    def cross_entropy(**paths):
        logits = model.logits(batch["image"], training=True, **paths).numpy().astype("float64")
        return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(6), LABELS]

    expected = cross_entropy() + np.mean([cross_entropy(column=c) for c in range(3)], axis=0)
    found = model.losses_of(batch, training=True)
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(model.losses_of(batch, training=False)["loss"], model.judged(
        model.class_logits(IMAGES), LABELS)["loss"])  # fmt: skip
    model.compile("sgd")
    convs, moved = step_of(model)
    assert convs == moved["all"] == moved["alone"] == set(model.convs)


# ---- columns alone


@pytest.mark.parametrize("own", [True, False])
def test_a_column_taken_out_is_the_forced_path(own, tmp_path):
    model = build(columns=2, own_statistics=own, affine=True, dropout=(0.1, 0.2))
    for c in range(2):
        column = model.column(c)
        np.testing.assert_allclose(column.class_logits(IMAGES), model.logits(IMAGES, column=c), rtol=1e-5, atol=1e-5)
        assert len(column.convs) == 2 * 2**c and params(column) < params(model)
    column.save_weights(tmp_path / "column.weights.h5")
    twin = FractalNet.from_config(column.get_config())
    twin.load_weights(tmp_path / "column.weights.h5")
    before = column.class_logits(IMAGES)
    np.testing.assert_array_equal(twin.class_logits(IMAGES), before)
    for v in model.variables:
        v.assign(tf.zeros_like(v.value))
    np.testing.assert_array_equal(column.class_logits(IMAGES), before)  # a copy
    if own:
        column.compile("sgd")
        assert np.isfinite(column.train_on_batch(IMAGES, LABELS, return_dict=True)["loss"])


@pytest.mark.parametrize("own", [True, False])
def test_recalibrated_statistics(own):
    model = build(columns=2, dropout=(0.5, 0.5), own_statistics=own, local_drop=0.9)
    weights = [v.numpy() for v in model.trainable_variables]
    images = np.random.default_rng(2).random((40, 8, 8, 2), "float32")
    model.recalibrate([{"image": part} for part in np.split(images, [10, 35])])  # batches of several sizes
    for a, b in zip(weights, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b.numpy())
    for name in ("block_0_column_0_layer_1", "block_0_column_1_layer_0"):  # those that see the images
        layer = model.convs[name]
        outputs = layer.conv(images).numpy().astype("float64")
        for norm in layer.norms.values():
            np.testing.assert_allclose(norm.moving_mean.numpy(), outputs.mean(axis=(0, 1, 2)), atol=1e-5)
            np.testing.assert_allclose(norm.moving_variance.numpy(), outputs.var(axis=(0, 1, 2)), rtol=1e-4)
            assert norm.momentum == 0.9
    # Of one batch, what the network gives is what it gives in training without noise; of a column too.
    whole = [{"image": images}]
    model.recalibrate(whole)
    keep = [tf.ones([size]) for size in model.joins]
    plain = FractalNet(**{**TINY, "columns": 2, "own_statistics": own})
    plain.set_weights(model.get_weights())
    np.testing.assert_allclose(model.class_logits(images), plain.logits(images, training=True, keep=keep), atol=2e-3)
    column = model.column(1)
    column.recalibrate(whole)
    np.testing.assert_allclose(column.class_logits(images), plain.logits(images, training=True, column=1), atol=2e-3)
    if own:
        np.testing.assert_allclose(model.column(1).class_logits(images), column.class_logits(images), atol=1e-4)
    before = [v.numpy() for v in statistics(model).values()]
    with pytest.raises(ValueError, match="at least one batch; received none"):
        model.recalibrate([])
    with pytest.raises(tf.errors.InvalidArgumentError, match="must lie in"):
        model.recalibrate([{"image": images[:5]}, {"image": images + 1}])
    for a, b in zip(before, statistics(model).values(), strict=True):
        np.testing.assert_array_equal(a, b.numpy())
    assert {norm.momentum for conv in model.convs.values() for norm in conv.norms.values()} == {0.9}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"dropout": (0.1,)}, r"one rate for each of the 2 blocks of filters=\(3, 4\); received \(0.1,\)"),
        ({"dropout": (0.1, 1.0)}, r"numbers in \[0, 1\)"),
        ({"filters": (2,) * 4}, r"4 blocks, each of which halves .*: they need at least 9 pixels; received .*\(8, 8, 2\)"),
        ({"image_shape": (8, 2, 2)}, r"at least 3 pixels; received image_shape=\(8, 2, 2\)"),
        ({"stem": 4, "image_shape": (8, 40, 2)}, "at least 9 pixels"),
        ({"filters": ()}, "that is not empty"),
        ({"columns": 9}, r"integer in \[1, 8\]; received 9"),
        ({"only_column": 3}, r"only_column must be an integer in \[0, 2\]; received 3"),
        ({"only_column": 1, "local_drop": 0.5}, "local_drop has no effect with only_column=1"),
        ({"columns": 1, "global_share": 0.1}, "global_share has no effect with columns=1"),
        ({"column_losses": True, "global_share": 0.1}, "global_share has no effect with column_losses=True"),
        ({"local_drop": 1.0}, r"in \[0, 1\)"),
    ],
)
def test_wrong_settings(args, message):
    with pytest.raises(ValueError, match=message):
        FractalNet(**{**TINY, **args})


def test_columns_that_are_not_there():
    model = FractalNet(**TINY, columns=2)
    for wrong in (2, -1, True, "0"):
        with pytest.raises(ValueError, match=r"index must be an integer in \[0, 1\]; received"):
            model.column(wrong)
    with pytest.raises(ValueError, match="has only the column 1"):
        model.column(1).column(0)


@pytest.mark.long
def test_digits_are_learned_by_every_column():
    train, test = (tfgen.data.load("digits", split) for split in ("train", "test"))
    preset = tfgen.presets.get("fractal-net/digits").override({"filters": (8, 16, 32), "steps": 200, "learning_rate": 3e-3})
    model = preset.build(seed=0)
    model.fit(train.batches(100, shuffle=True, repeat=True), epochs=1, steps_per_epoch=preset.steps, verbose=0)
    model.recalibrate(train.batches(100, shuffle=True))
    right = [np.mean(m.classify(test.images()).numpy() == test.labels()) for m in (model, *map(model.column, range(3)))]
    assert right[0] > 0.93 and min(right[1:]) > 0.8 * right[0], right
