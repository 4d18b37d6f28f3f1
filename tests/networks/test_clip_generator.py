"""The generators of clips: their sizes, how frames are composed, and what they know of earlier frames."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.seeds import set_seed
from tfgen.networks import ClipGenerator, FrameGenerator, halved
from tfgen.networks.clip_generator import compose

RNG = np.random.default_rng(0)
SMALL = {"frame_shape": (8, 8, 3), "inputs": 4, "width": 4, "halvings": 1, "blocks": 2}


def parameters(maps=36, frames=6, **settings):
    network = FrameGenerator(**settings)
    network.build([(None, 16, 16, maps), (None, 16, 16, frames)])
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


@functools.cache
def _built(settings):
    set_seed(0)
    generator = ClipGenerator(**{**SMALL, **dict(settings)})
    generator.build()
    return generator, [v.numpy() for v in generator.variables]


def made(**settings):
    """A generator with its first weights; those of equal settings are one."""
    generator, start = _built(tuple(sorted(settings.items())))
    for network in generator.generators:
        vars(network).pop("call", None)
    for variable, value in zip(generator.variables, start, strict=True):
        variable.assign(value)
    return generator


def test_parameters_of_small_networks():
    assert parameters(width=8, halvings=2) == 191_334
    assert parameters(width=8, halvings=2, foreground_width=8) == 292_881
    assert parameters(width=8, halvings=1, encoder_blocks=0) == 42_438  # a finer one over it, with twice its filters


@pytest.mark.long
def test_parameters_of_larger_networks():
    """At first of the larger small ones, then of the code's: 35 classes and borders in three frames, two frames before."""
    assert parameters(width=16, halvings=2) == 723_654
    assert parameters(width=16, halvings=2, foreground_width=16) == 1_097_241
    streets = {"maps": 108, "kernel_initializer": "zeros"}
    halves = {"encoder_blocks": 5, "branch_blocks": 4}
    assert parameters(**streets, **halves) == 365_391_366
    assert parameters(**streets, **halves, foreground_width=64) == 411_335_241
    assert parameters(**streets, **halves, halvings=2, foreground_width=128) == 137_792_649
    finer = {"halvings": 1, "encoder_blocks": 0, "branch_blocks": 3}
    assert parameters(**streets, **finer, width=64, foreground_width=32) == 2_880_489
    assert parameters(**streets, **finer, width=32, foreground_width=16) == 859_641


def test_widths_of_scales():
    """Half of the filters at each scale; a foreground has half of those if there are three halvings."""
    for halvings, foreground in ((2, [8, 4]), (3, [4, 2])):
        generator = made(frame_shape=(32, 32, 3), width=8, halvings=halvings, blocks=0, local_blocks=0, scales=2,
                         foreground=(1,))  # fmt: skip
        assert [scale.of_maps.first.filters for scale in generator.generators] == [8, 4]
        assert [scale.of_foreground.first.filters for scale in generator.generators] == foreground
        assert [len(scale.of_maps.downs) for scale in generator.generators] == [halvings, 1]
        assert [scale.flow_scale for scale in generator.generators] == [20.0, 40.0]


def test_blocks_are_divided_among_encoders_and_branches():
    (network,) = made(blocks=5, foreground=(0,)).generators
    assert (len(network.of_maps.blocks), len(network.of_frames.blocks), len(network.of_foreground.blocks)) == (3, 3, 0)
    branches = {name: len(branch.blocks) for name, branch in network.branches.items()}
    assert branches == {"image": 2, "flow": 2, "foreground": 5}


def test_composed_frames():
    h, moved, w = [0.2, -0.4, 0.8, 0.0], [0.6, -0.2, 0.1, 0.5], [1.0, 0.25, 0.5, 0.0]
    h, moved, w = (tf.constant(v, tf.float64) for v in (h, moved, w))
    for found, wanted in zip(compose(h, moved, w), ([0.2, -0.25, 0.45, 0.5], h), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-12)
    foreground, m = tf.constant([-1.0, 1, 0, 0.3], tf.float64), tf.constant([0.0, 1, 0.5, 0], tf.float64)
    wanted = ([0.2, 1, 0.225, 0.5], [0.2, 1, 0.4, 0])
    for found, expected in zip(compose(h, moved, w, foreground, m), wanted, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)
    for found in compose(h):
        np.testing.assert_array_equal(found, h)


def history(generator, num=2):
    frames = RNG.uniform(-1, 1, (num, generator.history, *generator.frame_shape)).astype("float32")
    maps = RNG.random((num, generator.history, *generator.frame_shape[:2], generator.inputs), dtype="float32")
    return generator.beginning(tf.constant(maps), tf.constant(frames))


def maps(generator, num=2):
    return tf.constant(RNG.random((num, *generator.frame_shape[:2], generator.inputs), dtype="float32"))


def hold(network):
    """Makes its flow and its weight 0."""
    for layer in (network.flow, network.weight):
        layer.kernel.assign(tf.zeros_like(layer.kernel.value))
    network.weight.bias.assign([-1e4])


def test_without_flow_and_weight_the_last_frame_stays_to_the_bit():
    generator = made()
    hold(generator.generators[0])
    before = history(generator)
    found, after = generator(before, maps(generator))
    np.testing.assert_array_equal(found["frame"], before["frames"][0][:, -1])
    assert np.any(found["image"] != found["frame"])
    np.testing.assert_array_equal(after["frames"][0], tf.stack([before["frames"][0][:, -1]] * 2, axis=1))


def test_before_the_first_frame_the_image_is_shown():
    generator = made()
    hold(generator.generators[0])
    given = maps(generator)
    found, after = generator(generator.beginning(given[:, None]), given)
    np.testing.assert_array_equal(found["frame"], found["image"])
    np.testing.assert_array_equal(found["weight"], tf.ones([2, 8, 8, 1]))
    np.testing.assert_array_equal(after["known"], [[0, 1]] * 2)
    np.testing.assert_array_equal(generator(after, given)[0]["weight"], tf.zeros([2, 8, 8, 1]))


def test_what_the_frame_is_made_of():
    """The maps of three frames and the images of two, the earliest first; flow and weight are those of the heads."""
    generator, seen = made(), {}
    network = generator.generators[0]
    call = network.call
    object.__setattr__(network, "call", lambda inputs, **k: seen.update(inputs=inputs) or call(inputs, **k))
    before, now = history(generator), maps(generator)
    found, after = generator(before, now)
    wanted = [*tf.unstack(before["maps"], axis=1), now]
    np.testing.assert_array_equal(seen["inputs"][0], tf.concat(wanted, axis=-1))
    np.testing.assert_array_equal(seen["inputs"][1], tf.concat(tf.unstack(before["frames"][0], axis=1), axis=-1))
    np.testing.assert_array_equal(after["maps"], tf.stack(wanted[1:], axis=1))
    network.flow.bias.assign([0.05, -0.1])
    network.flow.kernel.assign(tf.zeros_like(network.flow.kernel.value))
    np.testing.assert_allclose(generator(before, now)[0]["flow"][0, 0, 0], [1.0, -2.0], rtol=1e-6)
    assert np.all((found["weight"] > 0) & (found["weight"] < 1)) and np.abs(found["image"]).max() <= 1


def test_the_foreground_is_drawn_from_maps_alone():
    generator = made(foreground=(1, 2))
    before, now = history(generator), np.zeros([2, 8, 8, 4], "float32")
    now[:, :4, :, 1] = now[:, :2, :, 2] = 1.0  # 1 at two rows, 2 at two others, cut off at 1
    other = {**before, "frames": [-before["frames"][0]]}
    found, changed = (generator(one, tf.constant(now))[0]["frame"].numpy() for one in (before, other))
    np.testing.assert_allclose(found[:, :4], changed[:, :4], atol=1e-6)
    assert np.all(np.any(found[:, 4:] != changed[:, 4:], axis=-1))


def test_finer_scales_add_features_and_keep_their_own_frames():
    generator = made(scales=2, local_blocks=1, foreground=(1,))
    before, now = history(generator), maps(generator)
    np.testing.assert_allclose(before["frames"][0][:, 0], halved(before["frames"][1][:, 0]), atol=1e-6)
    assert [list(frames.shape) for frames in before["frames"]] == [[2, 2, 4, 4, 3], [2, 2, 8, 8, 3]]
    seen = {}
    fine, coarse = generator.generators[1], generator.generators[0]
    call = fine.call

    def recorded(inputs, added=None, **how):
        seen["added"] = added
        return call(inputs, added=added, **how)

    object.__setattr__(fine, "call", recorded)
    _, after = generator(before, now)
    small = halved(tf.concat([*tf.unstack(before["maps"], axis=1), now], axis=-1))
    alone = coarse([small, tf.concat(tf.unstack(before["frames"][0], axis=1), axis=-1)])
    for name in ("image", "flow", "foreground"):
        np.testing.assert_allclose(seen["added"][name], alone["features"][name], atol=1e-5)
    inputs = [tf.concat([*tf.unstack(before["maps"], axis=1), now], axis=-1), tf.zeros([2, 8, 8, 6])]
    plain = fine(inputs, added=alone["features"])
    for name, others in (("flow", ["image", "foreground"]), ("image", ["flow", "weight", "foreground"])):
        other = fine(inputs, added={**alone["features"], name: -alone["features"][name]})
        assert np.any(other[name] != plain[name])
        for kept in others:
            np.testing.assert_array_equal(other[kept], plain[kept])
    # Its own frame, not the one of the finer scale made smaller.
    assert np.abs(after["frames"][0][:, -1] - halved(after["frames"][1][:, -1])).max() > 1e-2
    one_scale = {**before, "maps": tf.zeros([2, 2, 4, 4, 4]), "frames": before["frames"][:1]}
    assert generator(one_scale, tf.zeros([2, 4, 4, 4]))[0]["frame"].shape == (2, 4, 4, 3)


def test_a_frozen_coarse_generator_has_no_gradient():
    generator = made(scales=2, local_blocks=1)
    before, now = history(generator), maps(generator)
    for frozen in (True, False):
        with tf.GradientTape(persistent=True) as tape:
            loss = tf.reduce_mean(generator(before, now, frozen=frozen)[0]["frame"] ** 2)
        coarse, fine = (
            tape.gradient(loss, [v.value for v in network.of_maps.trainable_variables]) for network in generator.generators
        )
        assert all(g is None for g in coarse) == frozen and any(np.any(g) for g in fine)


@pytest.mark.parametrize("scales", [1, 2])
def test_a_packed_history_is_the_same(scales):
    generator = made(scales=scales)
    before = history(generator)
    before["known"] = tf.constant([[0.0, 1.0], [1.0, 1.0]])
    state = generator.packed(before)
    assert state.shape == (2, *generator.state_shape) == (2, 2, 8, 8, 3 * scales + 4 + 1)
    found = generator.unpacked(state)
    tf.nest.assert_same_structure(found, before)
    for a, b in zip(tf.nest.flatten(found), tf.nest.flatten(before), strict=True):
        np.testing.assert_array_equal(a, b)
