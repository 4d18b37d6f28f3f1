"""TVSN: where a new view is in the given one, what of it is hidden, and the networks that draw it, in two phases."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.seeds import set_seed
from tfgen import fields
from tfgen.models import TVSN
from tfgen.models.translation.tvsn import masked, total_variation, vgg_range

RNG = np.random.default_rng(0)
SMALL = {"image_shape": (8, 8, 1), "view_size": 3, "filters": (4, 6), "dense_width": 8, "view_widths": (4, 4),
         "completion_view_width": 4, "discriminator_filters": (3, 4), "flow_steps": 2}  # fmt: skip
BATCH = {"image": RNG.random((4, 8, 8, 1), "float32"), "view": np.eye(3, dtype="float32")[[0, 1, 2, 0]],
         "target": RNG.random((4, 8, 8, 1), "float32"), "mask": RNG.integers(0, 2, (4, 8, 8)).astype("float32")}  # fmt: skip
GIVEN = {name: BATCH[name] for name in ("image", "view")}
NETWORKS = ("flow", "generator", "discriminator")
MATRIX = tf.reshape(tf.constant([[1.0, 0, 2], [0, 4, 0], [3, 0, 8]]), [1, 3, 3, 1])


def sgd(rate=0.01):
    return {"class_name": "SGD", "config": {"learning_rate": rate}}


def made(optimizer=None, **settings):
    set_seed(0)
    model = TVSN(**{**SMALL, **settings})
    model.compile(optimizer or sgd(), run_eagerly=True)
    return model


def parameters(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def copies(network):
    return [v.numpy() for v in network.trainable_variables]


def changed(before, network):
    return any(np.any(a != v.numpy()) for a, v in zip(before, network.trainable_variables, strict=True))


def train(model, steps=1, batch=BATCH):
    data = tf.data.Dataset.from_tensors(batch).repeat()
    return model.fit(data, steps_per_epoch=1, epochs=steps, verbose=0).history


def scaled(name):
    return tf.constant(2 * BATCH[name] - 1)


# ---- networks


def test_parameters_at_32_pixels():
    small = tfgen.presets.get("tvsn/rendered-views").model_args
    assert parameters(TVSN(**small).flow) == 365_955
    assert parameters(TVSN(**{**small, "visibility": False}).flow) == 365_955 - (25 * 16 + 1)


@pytest.mark.long
def test_parameters_of_the_paper():
    model = TVSN(image_shape=(256, 256, 3))
    assert [parameters(getattr(model, name)) for name in NETWORKS] == [45_745_475, 14_387_251, 2_898_113]


def test_the_view_reaches_both_networks():
    model = made(flow_steps=0)
    other = {**GIVEN, "view": np.roll(BATCH["view"], 1, axis=1)}
    assert np.any(model.translate(**GIVEN)["warped"] != model.translate(**other)["warped"])
    kernel = model.flow.views[0].kernel
    kernel.assign(tf.zeros_like(kernel.value))
    for variable in model.generator.trainable_variables:  # initial kernels are so small that rounding may hide the view
        variable.assign(10.0 * variable)
    one, two = model.translate(**GIVEN), model.translate(**other)
    np.testing.assert_array_equal(one["warped"], two["warped"])
    assert np.max(np.abs(one["image"] - two["image"])) > 1e-5


def test_the_completion_sees_masked_image_code_and_its_own_maps():
    """Of the code of DOAFN, the masked image and the turn: none may be dropped."""
    model = made()
    given = [tf.constant(RNG.normal(size=s).astype("float32")) for s in ((2, 8, 8, 1), (2, 2, 2, 6), (2, 3))]
    with tf.GradientTape() as tape:
        tape.watch(given)
        total = tf.reduce_sum(model.generator(given) ** 2)
    assert all(np.any(one) for one in tape.gradient(total, given))
    # The last fusing convolution has the input beside the map of its size: 4 + 1 channels; the one before 4 + 4.
    assert [block.conv.kernel.shape[2] for block in model.generator.fuse] == [5, 8]
    assert [block.conv.kernel.shape[2] for block in TVSN(**{**SMALL, "filters": (2, 3, 4), "image_shape": (16, 16, 1)})
            .generator.fuse] == [3, 4, 6]  # fmt: skip
    assert [block.conv.kernel.shape[2] for block in TVSN(**{**SMALL, "filters": (2, 3, 4, 5), "image_shape": (32, 32, 1)})
            .generator.fuse] == [3, 4, 6, 4]  # fmt: skip


# ---- appearance flow


def test_a_new_network_may_begin_with_the_image():
    """But for 3 % of the way to the centre, when the last layer has no weights yet."""
    model = made(near_identity=True)
    head = model.flow.points
    head.kernel.assign(tf.zeros_like(head.kernel.value))
    smooth = {**GIVEN, "image": np.broadcast_to(np.linspace(0, 1, 8)[:, None, None], (4, 8, 8, 1)).astype("float32")}
    np.testing.assert_allclose(model.translate(**smooth)["warped"], 0.5 + 0.97 * (smooth["image"] - 0.5), atol=1e-5)


def test_the_warp_moves_the_given_image():
    """With a head of constants every pixel shows one place of `image`: row 3, column 1.5."""
    model = made(flow_steps=10)
    head = model.flow.points
    head.kernel.assign(tf.zeros_like(head.kernel.value))
    head.bias.assign(np.arctanh(np.array([3, 1.5]) / 3.5 - 1))
    found = model.translate(**GIVEN)["warped"]
    wanted = 0.5 * (BATCH["image"][:, 3, 1] + BATCH["image"][:, 3, 2])
    np.testing.assert_allclose(found, np.broadcast_to(wanted[:, None, None], found.shape), atol=1e-5)


def test_hidden_pixels():
    warped, mask = tf.constant([-0.5, 0.0, 1.0]), tf.constant([0.0, 0.5, 1.0])
    np.testing.assert_allclose(masked(warped[None, None, :, None], mask[None, None])[0, 0, :, 0], [-1, -0.5, 1])


@pytest.mark.parametrize("logit", [-200.0, 200.0])
def test_the_completion_does_not_see_what_is_hidden(logit):
    """All of it is -1 where the mask is 0, whatever was moved there; with a mask of 1 it is what was moved."""
    model, given = made(flow_steps=0), []
    head = model.flow.mask
    head.kernel.assign(tf.zeros_like(head.kernel.value))
    head.bias.assign([logit])
    generator = model.generator.call
    object.__setattr__(model.generator, "call", lambda x, **how: (given.append(x[0]), generator(x, **how))[1])
    found = model.translate(**GIVEN)
    wanted = 2 * found["warped"] - 1 if logit > 0 else -np.ones([4, 8, 8, 1])
    np.testing.assert_allclose(given[0], wanted, atol=1e-6)
    np.testing.assert_array_equal(found["mask"], logit > 0)


# ---- losses


def test_losses_of_appearance_flow():
    row = lambda values: tf.constant(values)[None, None]  # noqa: E731
    probability = np.array([0.9, 0.2, 0.6], "float32")
    seen = {"warped": row([-0.5, 0.0, 1.0])[..., None], "logits": row(np.log(probability / (1 - probability)))}
    found = made().flow_losses(seen, row([-0.4, 0.1, 1.0])[..., None], {"mask": row([1.0, 0.0, 0.5])})
    assert float(found["mask_loss"]) == pytest.approx(0.3473540816, abs=1e-6)
    assert float(found["flow_loss"]) == pytest.approx(0.4806874147, abs=1e-6)
    assert float(found["warp_error"]) == pytest.approx(0.2 / 3, abs=1e-6)
    alone = made(visibility=False).flow_losses(seen, row([-0.4, 0.1, 1.0])[..., None], {})
    assert {name: round(float(value), 6) for name, value in alone.items()} == {"flow_loss": 0.133333, "warp_error": 0.066667}


def test_the_range_of_vgg():
    np.testing.assert_allclose(vgg_range(tf.zeros([1, 1, 1, 3]))[0, 0, 0], [23.561, 10.721, 3.82], atol=1e-4)
    red = tf.constant([1.0, -1, -1])[None, None, None]
    np.testing.assert_allclose(vgg_range(red)[0, 0, 0], [-103.939, -116.779, 255 - 123.68], atol=1e-4)
    np.testing.assert_allclose(vgg_range(tf.zeros([1, 1, 1, 1])), 127.5 - (103.939 + 116.779 + 123.68) / 3, atol=1e-4)


def test_the_discriminator_sees_the_range_of_vgg():
    model, given = made(), []
    network = model.discriminator.call
    object.__setattr__(model.discriminator, "call", lambda x, **how: (given.append(x[0]), network(x, **how))[1])
    model.judge(scaled("target"))
    np.testing.assert_allclose(given[0], 255 * BATCH["target"] - (103.939 + 116.779 + 123.68) / 3, atol=1e-3)


def test_total_variation():
    with tf.GradientTape() as tape:
        tape.watch(MATRIX)
        found = total_variation(MATRIX)
    assert float(found[0]) == 39.5
    np.testing.assert_array_equal(tape.gradient(found, MATRIX)[0, ..., 0], [[2, -7, 2], [-8, 16, -4], [3, -4, 0]])


def test_losses_of_the_completion():
    """Of made-up answers of D: softplus(-logit), 3 maps that differ by 2, and pixels that differ by .5 of [-1, 1]."""
    network = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Rescaling(4.0, name="four")])
    network = tfgen.features.FeatureNetwork(network)
    model = made(feature_network=network, feature_weight=3.0, variation_weight=0.01, pixel_start=5)
    object.__setattr__(model, "judge", lambda x: {"logit": tf.fill([4, 1, 1, 1], 0.7), "maps": [2.0 * x] * 3})
    flat = tf.fill([4, 8, 8, 1], 0.25)
    drawn = flat - 0.5 * tf.cast(tf.range(8) % 2, tf.float32)[None, :, None, None]  # half of the rows are darker by .5
    found = model.generator_losses(flat, drawn)
    adversarial = np.log1p(np.exp(-0.7))
    matching = 3 * (2 * 0.5) ** 2 / 2
    variation = 0.5 * 7 * 7 * (0.5 * 127.5) ** 2  # 7 x 7 pixels have a lower neighbour that differs
    features = (4 * 0.25) ** 2 / 2  # in [0, 1] the pixels differ by .25
    wanted = adversarial + 100 * matching + 0.01 * variation + 3 * features
    assert float(found["adversarial_loss"]) == pytest.approx(adversarial, rel=1e-5)
    assert float(found["matching_loss"]) == pytest.approx(matching, rel=1e-5)
    assert float(found["generator_loss"]) == pytest.approx(wanted, rel=1e-5)
    assert float(found["absolute_error"]) == pytest.approx(0.25, rel=1e-5)
    model.step.assign(5)  # from here on, pixels count: in units of 1/255
    found = model.generator_losses(flat, drawn)
    assert float(found["generator_loss"]) == pytest.approx(wanted + 10 * 127.5 * 0.25, rel=1e-5)


def test_maps_of_the_discriminator():
    """The first three, after their leaky ReLU, of three or more; one logit for an image."""
    for filters, count in (((3,), 1), ((3, 4), 2), ((2, 3, 4, 5), 3)):
        model = TVSN(**{**SMALL, "image_shape": (32, 32, 1), "discriminator_filters": filters})
        found = model.judge(tf.constant(RNG.uniform(-1, 1, (2, 32, 32, 1)).astype("float32")))
        assert [m.shape for m in found["maps"]] == [(2, 16 >> i, 16 >> i, n) for i, n in enumerate(filters[:count])]
        assert found["logit"].shape == (2, 1, 1, 1)
        share = [float(tf.reduce_mean(tf.cast(m < 0, tf.float32))) for m in found["maps"]]
        assert all(0.2 < one < 0.8 for one in share)
        # Slope .2: of means 0 and deviations 1 before, negative parts are smaller.
        assert all(float(tf.reduce_min(m)) > -0.4 * float(tf.reduce_max(m)) for m in found["maps"])


# ---- phases


def test_kinds_of_steps():
    kinds = lambda model, num: [model.step_kind(step) for step in range(num)]  # noqa: E731
    assert kinds(made(), 6) == ["flow", "flow", "both", "generator", "both", "generator"]
    assert kinds(made(generator_steps=1, flow_steps=0), 3) == ["both"] * 3
    assert kinds(made(generator_steps=3), 7) == ["flow"] * 2 + ["both"] + ["generator"] * 2 + ["both", "generator"]
    model = made()
    for steps in range(8):
        wanted = [sum(kind in kinds_of for kind in kinds(model, steps))
                  for kinds_of in (("flow",), ("both", "generator"), ("both",))]  # fmt: skip
        assert [model.updates_of(name, steps) for name in NETWORKS] == wanted


def test_which_networks_are_trained_in_which_phase():
    """And that the others keep all bits, with optimisers that have momentum."""
    model = made({"class_name": "Adam", "config": {"learning_rate": 1e-2}})
    flow, both, generator = (True, False, False), (False, True, True), (False, True, False)
    for wanted in (flow, flow, both, generator, both):
        before = {name: copies(getattr(model, name)) for name in NETWORKS}
        train(model)
        assert tuple(changed(before[name], getattr(model, name)) for name in NETWORKS) == wanted


def test_every_loss_reaches_its_own_network_alone():
    for player in NETWORKS:
        model = made({name: sgd(0.1 * (name == player)) for name in NETWORKS}, flow_steps=1)
        before = {name: copies(getattr(model, name)) for name in NETWORKS}
        train(model, 2)
        assert [name for name in NETWORKS if changed(before[name], getattr(model, name))] == [player]


def test_which_loss_reaches_which_parts_of_appearance_flow():
    """The pixels reach the points, visibility the mask, both the rest."""
    model = made()
    with tf.GradientTape(persistent=True) as tape:
        found = model.flow_losses(model.seen(scaled("image"), BATCH["view"]), scaled("target"), BATCH)
    reached = lambda loss, layer: tape.gradient(found[loss], layer.kernel.value) is not None  # noqa: E731
    flow = model.flow
    assert [reached("warp_error", layer) for layer in (flow.points, flow.mask, flow.inner)] == [True, False, True]
    assert [reached("mask_loss", layer) for layer in (flow.points, flow.mask, flow.inner)] == [False, True, True]


def test_the_discriminator_is_updated_first():
    """The generator's loss of a step is that of the new discriminator."""
    model = made({name: sgd(0.1 * (name == "discriminator")) for name in NETWORKS}, flow_steps=0)
    seen = model.seen(scaled("image"), BATCH["view"])
    loss = lambda: model.generator_losses(scaled("target"), model.completed(seen, BATCH["view"], training=True))  # noqa: E731
    before, shown = loss()["generator_loss"], train(model)["generator_loss"][0]
    after = loss()["generator_loss"]
    assert shown == pytest.approx(float(after), rel=1e-5) and abs(shown - float(before)) > 1e-4 * abs(shown)


def test_what_the_discriminator_learns():
    """It minimises sp(-D(T)) + sp(D(G)), with the masked image of this batch."""
    model = made({name: sgd(0.0) for name in NETWORKS}, flow_steps=0)
    made_up = model.completed(model.seen(scaled("image"), BATCH["view"]), BATCH["view"], training=True)
    real, fake = (model.judge(x)["logit"].numpy() for x in (scaled("target"), made_up))
    wanted = np.mean(np.log1p(np.exp(-real))) + np.mean(np.log1p(np.exp(fake)))
    assert train(model)["discriminator_loss"][0] == pytest.approx(wanted, rel=1e-5)


def test_without_visibility():
    """DOAFN without a mask: appearance flow, whose result the completion sees as it is."""
    model, seen = made(visibility=False, flow_steps=1), []
    assert "mask_loss" not in model.loss_names
    history = train(model, 2, {name: BATCH[name] for name in ("image", "view", "target")})
    assert "mask_loss" not in history and np.isfinite(history["generator_loss"]).all()
    generator = model.generator.call
    object.__setattr__(model.generator, "call", lambda x, **how: (seen.append(x[0]), generator(x, **how))[1])
    found = model.translate(**GIVEN)
    assert found.keys() == {"image", "warped"}
    np.testing.assert_allclose(seen[0], 2 * found["warped"] - 1, atol=1e-6)


# ---- translation


def test_translations_of_both_phases():
    model = made()
    first = model.translate(**GIVEN)
    np.testing.assert_array_equal(first["image"], first["warped"])
    model.step.assign(2)
    second = model.translate(**GIVEN)
    np.testing.assert_array_equal(second["warped"], first["warped"])
    seen = model.seen(scaled("image"), BATCH["view"])
    np.testing.assert_allclose(2 * second["image"] - 1, model.completed(seen, BATCH["view"]), atol=1e-6)
    assert np.any(second["image"] != first["image"])


def test_fields():
    view = fields.Field("view", (3,), low=-1.0, high=1.0)
    wanted = [fields.image((8, 8, 1)), view, fields.image((8, 8, 1), "target"), fields.mask(8, 8)]
    plain = lambda found: [dataclasses.replace(field, hint="") for field in found]  # noqa: E731
    assert plain(made().batch_fields()) == wanted and plain(made().translated_fields()) == wanted[:2]
    assert plain(made(visibility=False).batch_fields()) == wanted[:3]


def test_bad_views_and_batches():
    model = made()
    before = copies(model.flow)
    with pytest.raises(ValueError, match=r"view must have the shape \[batch, 3\]; received \(4, 2\)"):
        model.translate(**{**GIVEN, "view": BATCH["view"][:, :2]})
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"view must lie in \[-1, 1\]; received a range of 0.0 45.0"):
        model.translate(**{**GIVEN, "view": 45 * BATCH["view"]})
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"view must lie in \[-1, 1\]"):
        train(model, batch={**BATCH, "view": np.nan * BATCH["view"]})
    with pytest.raises(ValueError, match="translate takes image, view; received image"):
        model.translate(image=BATCH["image"])
    with pytest.raises(ValueError, match=r"needs the field 'mask' in its batches \(visibility=False leaves it out\)"):
        train(model, batch={name: BATCH[name] for name in ("image", "view", "target")})
    assert not changed(before, model.flow)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_shape": (10, 8, 1)}, "multiples of 4, at least 8.*received 10 x 8"),
        ({"discriminator_filters": (4, 4, 4)}, "multiples of 8, at least 16"),
        ({"filters": ()}, "filters must be"),
        ({"view_size": 0}, "view_size must be an integer >= 1; received 0"),
        ({"feature_layers": ("block1_pool",)}, "feature_layers has no effect with feature_network=None"),
        ({"feature_weight": 1.0}, "feature_weight has no effect with feature_network=None"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        TVSN(**{**SMALL, **settings})


def test_presets():
    for name in ("cars-paper", "chairs-paper", "rendered-views", "coil20"):
        tfgen.presets.get(f"tvsn/{name}").check()
    paper = tfgen.presets.get("tvsn/cars-paper")
    assert (paper.steps, paper.batch_size) == (640_000, [(0, 25), (200_000, 15)])
