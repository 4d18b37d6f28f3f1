"""vid2vid: its losses and whom they reach, what is constant, its schedule, and clips that are made frame by frame."""

import dataclasses
import functools
import types

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.seeds import set_seed
from tfgen import fields
from tfgen.models import Vid2Vid
from tfgen.models.translation.parts.clip_losses import backprop_length, compared, masked_l1, triplets_of
from tfgen.networks import PatchGAN, halved
from tfgen.training.schedules import HeldDecay

RNG = np.random.default_rng(0)
CLASSES, T = 3, 5
SMALL = {"image_shape": (8, 8, 3), "num_frames": T, "map_classes": CLASSES, "width": 4, "halvings": 1, "blocks": 0,
         "discriminator_width": 2, "discriminator_halvings": 1, "discriminator_scales": 1, "temporal_scales": 1}  # fmt: skip
BATCH = {
    "label_map": np.eye(CLASSES, dtype="float32")[RNG.integers(0, CLASSES, (2, T, 8, 8))],
    "edges": RNG.integers(0, 2, (2, T, 8, 8)).astype("float32"),
    "target": RNG.random((2, T, 8, 8, 3), dtype="float32"),
    "flow": RNG.integers(-2, 3, (2, T, 8, 8, 2)).astype("float32"),
}
MAPS = {name: BATCH[name] for name in ("label_map", "edges")}
START = {**MAPS, "start": BATCH["target"][:, :2]}
PHASES = {"scales": 2, "local_blocks": 1, "scale_steps": (2,), "frozen_steps": 3}
PLAYERS = ("generator", "discriminator", "temporal_1")


def sgd(rate=0.1):
    return {"class_name": "SGD", "config": {"learning_rate": rate}}


@functools.cache
def _built(settings):
    set_seed(0)
    model = Vid2Vid(**{**SMALL, **dict(settings)})
    model.compile(sgd(), run_eagerly=True)
    return model, [v.numpy() for v in model.variables], dict(model.term_weights)


def made(optimizer=None, **settings):
    """A model with its first weights; those of equal settings are one."""
    model, start, weights = _built(tuple(sorted(settings.items())))
    for name in ("judge", "judge_triplets", "kind"):  # what tests have set
        vars(model).pop(name, None)
    model.backprop, model.flow_weight = 1, model.get_config()["flow_weight"]
    model.term_weights = weights
    vars(model.generator).pop("call", None)
    for variable, value in zip(model.variables, start, strict=True):
        variable.assign(value)
    model.compile(optimizer or sgd(), run_eagerly=True)
    return model


def test_given_frames_do_not_count_in_the_error():
    model = made()
    made_frames = model.translate(**START)["frames"][:, 2:]
    expected = np.abs(made_frames - BATCH["target"][:, 2:]).mean(axis=(1, 2, 3, 4))
    np.testing.assert_allclose(model.number_of(model, BATCH, {}), expected, rtol=1e-5)


def update(model, batch=BATCH):
    return {name: float(v) for name, v in model.update({k: tf.constant(v) for k, v in batch.items()}).items()}


def copies(model):
    return {name: [v.numpy() for v in player.variables] for name, player in model.players().items()}


def changed(before, model):
    after = copies(model)
    return [name for name in after if any(np.any(a != b) for a, b in zip(before[name], after[name], strict=True))]


def watched(model, method):
    """The arguments and results of all calls of a method of the model from now on."""
    calls, function = [], getattr(model, method)

    def call(*args):
        calls.append((args, function(*args)))
        return calls[-1][1]

    object.__setattr__(model, method, call)
    return calls


# ---- formulas


def test_triplets_of_the_code():
    """One frame at a time, and chunks of six; with three distances frames of 18 earlier ones are needed."""
    assert [triplets_of(n, 1, 1) for n in (1, 2, 3, 4)] == [[], [], [(0, 1, 2)], [(1, 2, 3)]]
    assert [triplets_of(n, 1, 3) for n in (6, 7)] == [[], [(0, 3, 6)]]
    assert triplets_of(6, 6, 1) == [(3, 4, 5), (0, 1, 2)] and triplets_of(6, 6, 3) == []
    assert triplets_of(12, 6, 1) == [(9, 10, 11), (6, 7, 8)] and triplets_of(12, 6, 3) == [(5, 8, 11), (2, 5, 8)]


def test_lengths_of_backpropagation():
    assert [backprop_length(6, 4, k) for k in range(4)] == [1, 2, 3, 3]
    assert [backprop_length(6, 1, k) for k in range(4)] == [1] * 4


def test_losses_of_two_scales():
    """D .28875 and G 1.075: sums over the scales of means over their maps; 4 if all maps differ by 1."""
    logits = ([[[0.9, 1.2], [0.4, 0.8]], [[0.7]]], [[[0.1, -0.3], [0.6, 0.2]], [[0.5]]])
    real, fake = (
        [{"logit": tf.constant(one)[None, ..., None], "maps": [tf.fill([1, 2, 2, 1], level)] * 3} for one in of]
        for of, level in zip(logits, (0.0, 1.0), strict=True)
    )
    found = {name: float(value) for name, value in compared(real, fake, "d").items()}
    assert found == pytest.approx({"adversarial_loss": 1.075, "matching_loss": 4.0, "d": 0.28875}, abs=1e-6)
    found = {name: float(value) for name, value in compared(real[:1], fake[:1], "d").items()}
    assert found == pytest.approx({"adversarial_loss": 0.825, "matching_loss": 4.0, "d": 0.11875}, abs=1e-6)


def test_masked_pixels_are_counted():
    flow, reference = tf.constant([[1.0, 0], [2, -1], [0, 3]]), tf.constant([[1.5, 0], [0, 0], [0, 1]])
    assert float(masked_l1(flow, reference, tf.constant([[1.0], [0], [1]]))) == pytest.approx(0.4166666667, abs=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("channels, wanted", [(39, 2_803_393), (13, 2_776_769)])
def test_parameters_of_larger_discriminators(channels, wanted):
    """Of frames with 35 classes and borders, and of triplets with two flows."""
    network = PatchGAN(width=64, halvings=3, padding=2)
    network.build([(None, 32, 32, channels)])
    assert sum(int(np.prod(v.shape)) for v in network.trainable_variables) == wanted


def test_parameters_of_the_small_preset():
    model = tfgen.presets.get("vid2vid/moving-digits").build()
    counts = [sum(int(np.prod(v.shape)) for v in player.variables) for player in model.players().values()]
    assert counts == [191_334, 46_129, 45_617]
    assert (model.flow_weight, *model.term_weights.values()) == (10.0, 10.0, 10.0, 10.0, 10.0, 1.0)
    (judge,) = model.discriminator.discriminators
    assert judge.size_of_maps(32) == 11 and judge.patch == 34


# ---- losses


def numpy_moved(images, flow):
    """[N, H, W, C] read at whole steps, cut off at the border."""
    n, height, width, _ = images.shape
    rows = np.clip(np.arange(height)[:, None] + flow[..., 1].astype(int), 0, height - 1)
    columns = np.clip(np.arange(width) + flow[..., 0].astype(int), 0, width - 1)
    return images[np.arange(n)[:, None, None], rows, columns]


def test_losses_of_frames():
    """Against NumPy: frames are compared with the made ones before, the flow also by how it moves the real ones."""
    model, n = made(), T - 2
    clip = model._clip({name: tf.constant(value) for name, value in BATCH.items()}, T, 1)
    real = 2 * BATCH["target"] - 1
    before = np.concatenate([real[:, :1], real[:, :-1]], axis=1)
    difference = np.stack([real[:, t] - numpy_moved(before[:, t], BATCH["flow"][:, t]) for t in range(T)], axis=1)
    confidence = (np.sum(difference**2, axis=-1, keepdims=True) < 0.02).astype("float32")
    confidence[:, 0] = 0
    np.testing.assert_array_equal(clip["confidence"], confidence)
    confidence = RNG.integers(0, 2, (2, n, 8, 8, 1)).astype("float32")  # the real one is nearly 0 on noise
    part = {**{name: value[:, 2:] for name, value in clip.items()}, "confidence": tf.constant(confidence)}
    frames, images = RNG.uniform(-1, 1, (2, 2, n, 8, 8, 3)).astype("float32")
    flow = RNG.integers(-2, 3, (2, n, 8, 8, 2)).astype("float32")
    made_up = {"frame": frames, "image": images, "flow": flow, "weight": tf.ones([2, n, 8, 8, 1])}
    found = model._frame_losses(part, {k: tf.constant(v) for k, v in made_up.items()}, tf.constant(real[:, 1:2]), 1)
    last = np.concatenate([real[:, 1:2], frames[:, :-1]], axis=1)
    by_reference = np.stack([numpy_moved(last[:, t], BATCH["flow"][:, 2 + t]) for t in range(n)], axis=1)
    by_flow = np.stack([numpy_moved(before[:, 2 + t], flow[:, t]) for t in range(n)], axis=1)
    wanted = {
        "temporal_error": np.mean(confidence * np.abs(frames - by_reference)),
        "flow_error": np.mean(confidence * np.abs(flow - BATCH["flow"][:, 2:])),
        "warp_error": np.mean(confidence * np.abs(by_flow - real[:, 2:])),
        "absolute_error": np.mean(np.abs(frames - real[:, 2:])) + np.mean(np.abs(images - real[:, 2:])),
    }
    assert {name: float(found[name]) for name in wanted} == pytest.approx(wanted, rel=1e-5)
    assert "occlusion" not in found


def test_both_the_frame_and_the_new_image_are_judged():
    model = made()
    calls = watched(model, "judge")
    losses = update(model)
    (maps, real), (_, frame), (_, image) = (args for args, _ in calls)
    np.testing.assert_array_equal(maps, model.inputs_of(BATCH)[:, 2:])
    np.testing.assert_allclose(real, 2 * BATCH["target"][:, 2:] - 1, atol=1e-6)
    assert np.any(frame != image)
    said = [result for _, result in calls]
    wanted = sum(np.mean((said[i][0]["logit"] - 1) ** 2) for i in (1, 2))
    wanted_d = sum(0.5 * (np.mean((said[0][0]["logit"] - 1) ** 2) + np.mean(said[i][0]["logit"] ** 2)) for i in (1, 2))
    assert losses["discriminator_loss"] == pytest.approx(wanted_d, rel=1e-5)
    assert losses["adversarial_loss"] > wanted  # and that of triplets


def test_what_the_discriminator_of_triplets_sees():
    """The three last made frames, and the flow between them in units of `flow_scale`."""
    model = made(flow_scale=2.0)
    frames, triplets = watched(model, "judge"), watched(model, "judge_triplets")
    losses = update(model)
    made_frames = frames[1][0][1]
    ((_, real, flows), on_real), ((_, fake, same), on_fake) = triplets
    np.testing.assert_allclose(real, np.concatenate(list(np.moveaxis(2 * BATCH["target"][:, 2:] - 1, 1, 0)), -1), atol=1e-6)
    np.testing.assert_array_equal(fake, tf.concat(tf.unstack(made_frames, axis=1), axis=-1))
    np.testing.assert_allclose(flows, np.concatenate([BATCH["flow"][:, 3], BATCH["flow"][:, 4]], -1) / 2.0)
    np.testing.assert_array_equal(flows, same)
    wanted = 0.5 * (np.mean((on_real[0]["logit"] - 1) ** 2) + np.mean(on_fake[0]["logit"] ** 2))
    assert losses["temporal_loss"] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.long
def test_frames_further_apart():
    """The second discriminator sees frames 0, 3 and 6, and flows over three frames."""
    batch = {name: np.concatenate([value, value[:, :4]], axis=1) for name, value in BATCH.items()}
    batch["flow"] = np.broadcast_to(np.array([1.0, 0.0], "float32"), batch["flow"].shape)
    model = made(num_frames=9, temporal_scales=2, flow_scale=1.0)
    triplets = watched(model, "judge_triplets")
    update(model, batch)
    assert [args[0] for args, _ in triplets] == [0, 0, 1, 1]
    (_, real, flows), _ = triplets[2]
    wanted = 2 * np.concatenate([batch["target"][:, t] for t in (2, 5, 8)], axis=-1) - 1
    np.testing.assert_allclose(real, wanted, atol=1e-6)
    np.testing.assert_array_equal(flows, np.broadcast_to(np.array([3.0, 0.0, 3.0, 0.0], "float32"), flows.shape))


def test_the_loss_of_the_generator_is_the_weighted_sum():
    weights = {"matching_loss": 3.0, "absolute_error": 11.0, "temporal_error": 7.0, "warp_error": 7.0, "occlusion": 1.0}
    for scales, settings in ((1, {}), (2, PHASES)):
        model = made(**settings)
        object.__setattr__(model, "kind", (0, scales, False))
        model.term_weights, model.flow_weight = weights, 5.0
        found = update(model, {**BATCH, "target": np.repeat(BATCH["target"][:, :1], T, axis=1), "flow": 0 * BATCH["flow"]})
        assert min(found[name] for name in ("flow_error", "warp_error", "temporal_error")) > 1e-3
        wanted = found["adversarial_loss"] + 3 * found["matching_loss"] + 11 * found["absolute_error"]
        wanted += 5 / scales * found["flow_error"] + 7 * (found["warp_error"] + found["temporal_error"])
        assert found["generator_loss"] == pytest.approx(wanted, rel=1e-5)


def test_every_loss_reaches_its_own_networks_alone_and_all_are_updated_at_once():
    ends = {}
    for players in ([0], [1], [2], [0, 1, 2]):
        model = made({name: sgd(0.1 if i in players else 0.0) for i, name in enumerate(PLAYERS)})
        before = copies(model)
        update(model)
        assert changed(before, model) == [PLAYERS[i] for i in players]
        ends[tuple(players)] = copies(model)
    for i, name in enumerate(PLAYERS):
        for a, b in zip(ends[i,][name], ends[0, 1, 2][name], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("weight, parts", [("flow_weight", ["flow"]), ("pixel_weight", ["flow", "image", "weight"])])
def test_what_a_term_trains(weight, parts):
    """The reference flow trains the flow alone; pixels train all parts, the flow by what it moves."""
    batch = {**BATCH, "target": np.repeat(BATCH["target"][:, :1], T, axis=1), "flow": np.zeros_like(BATCH["flow"])}
    off = dict.fromkeys(("matching_weight", "flow_weight", "warp_weight", "pixel_weight"), 0.0)
    model = made({"generator": sgd(), "discriminator": sgd(0.0), "temporal_1": sgd(0.0)}, **{**off, weight: 10.0})
    with tf.GradientTape(persistent=True) as tape:
        found = model.update({k: tf.constant(v) for k, v in batch.items()})
    (network,) = model.generator.generators
    kernels = {name: getattr(network, name).kernel.value for name in ("image", "flow", "weight")}
    name = {"flow_weight": "flow_error", "pixel_weight": "absolute_error"}[weight]
    reached = tape.gradient(found[name], kernels)
    assert sorted(key for key, value in reached.items() if value is not None and np.any(value)) == parts


@pytest.mark.parametrize("backprop, linked", [(1, [False] * 3), (2, [True, False, True])])
def test_earlier_frames_are_constants(backprop, linked):
    """The gradient of a frame for the one before is exactly zero, or not with a longer backpropagation."""
    batch = {name: np.concatenate([value, value[:, :1]], axis=1) for name, value in BATCH.items()}
    model, made_up = made(num_frames=6, norm="instance"), []
    model.backprop = backprop
    call = model.generator.call

    def recorded(*args, **kwargs):
        found = call(*args, **kwargs)
        made_up.append(found[0]["frame"])
        return found

    object.__setattr__(model.generator, "call", recorded)
    with tf.GradientTape(persistent=True) as tape:
        update(model, batch)
    found = [tape.gradient(b, a) for a, b in zip(made_up, made_up[1:], strict=False)]
    assert [g is not None and bool(np.any(g)) for g in found] == linked


def test_made_first_frames():
    """Without given frames all are made; where the frame before explains a pixel, the mask is to be 0."""
    model = made(start="generated", flow="matched")
    batch = {name: value for name, value in BATCH.items() if name != "flow"}
    batch["target"] = np.repeat(batch["target"][:, :1], T, axis=1)  # nothing moves
    found, calls = update(model, batch), watched(model, "judge")
    update(model, batch)
    np.testing.assert_array_equal(calls[1][0][1][:, 0], calls[2][0][1][:, 0])  # the first frame is the image
    weights = {"matching_loss": 10, "temporal_error": 10, "flow_error": 10, "warp_error": 10, "adversarial_loss": 1}
    assert found["occlusion"] > 0.1
    wanted = found["occlusion"] + sum(weight * found[name] for name, weight in weights.items())
    assert found["generator_loss"] == pytest.approx(wanted, rel=1e-5)
    assert [field.name for field in model.translated_fields()] == ["label_map", "edges"]
    assert "start_state" not in model.signatures() and "next_frame" in model.signatures()


@pytest.mark.parametrize("reach, found", [(3, False), (4, True)])
def test_steps_of_matched_flow(reach, found):
    """A step of four pixels is found if the reach is as long."""
    model = made(start="generated", flow="matched", flow_reach=reach)
    first = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    clip = np.stack([np.roll(first, 4 * t, axis=2) for t in range(T)], axis=1)
    flow = model._clip(BATCH | {"target": clip}, T, 1)["flow"]
    assert bool(np.all(flow[:, 1:, 3:5, 6] == [-4.0, 0.0])) == found


def test_without_warping_the_frame_is_the_image():
    model = made(warping=False)
    calls = watched(model, "judge")
    found = update(model)
    np.testing.assert_array_equal(calls[1][0][1], calls[2][0][1])
    assert not {"flow_error", "warp_error"} & (found.keys() | set(model.loss_names)) and "temporal_error" in found


# ---- schedule


def test_chunks_are_updates_that_go_on_from_each_other():
    """With constant weights their frames and losses are those of the whole clip, and triplets have earlier frames."""
    batch = {name: np.concatenate([value, value[:, 2:3]], axis=1) for name, value in BATCH.items()}
    found = []
    for chunk in (None, 2):
        model = made(sgd(0.0), num_frames=6, chunk=chunk, norm="instance")
        frames, triplets = watched(model, "judge"), watched(model, "judge_triplets")
        losses = update(model, batch)
        updates = [int(optimizer.iterations.numpy()) for optimizer in model.player_optimizers.values()]
        whole = tf.concat([args[1] for args, _ in frames[1::3]], axis=1)
        found.append((losses, whole, updates, triplets[-1][0][1]))
        assert [model.updates_of(name, 7) for name in PLAYERS] == [7 * count for count in updates]
    (whole, frames, updates, triplet), (parts, chunked, more_updates, other) = found
    assert (updates, more_updates) == ([1, 1, 1], [2, 2, 1])  # two frames are no triplet
    np.testing.assert_allclose(frames, chunked, atol=1e-5)
    np.testing.assert_allclose(triplet, other, atol=1e-5)
    for name in ("temporal_error", "flow_error", "warp_error", "absolute_error", "discriminator_loss"):
        assert parts[name] == pytest.approx(whole[name], rel=1e-4), name


class Schedule:
    """The schedule of a model, without its networks."""

    step_kind, updates_of, _chunks = Vid2Vid.step_kind, Vid2Vid.updates_of, Vid2Vid._chunks

    def __init__(self, scales=1, scale_steps=(), frozen_steps=0, double_every=0, first_length=6, chunk=None, num_frames=30):
        self.generator = types.SimpleNamespace(generators=[None] * scales)
        self.scale_steps, self.frozen_steps, self.double_every = scale_steps, frozen_steps, double_every
        self.first_length, self.chunk, self.num_frames, self.first = first_length, chunk, num_frames, 2


def test_clips_become_longer():
    model = Schedule(double_every=10, chunk=6)
    kinds = [model.step_kind(step)[0] for step in (0, 9, 10, 20, 30, 1000)]
    assert kinds == [0, 0, 1, 2, 3, 3]
    assert [model._chunks(k)[-1][1] for k in range(4)] == [8, 14, 26, 30]
    assert model._chunks(1) == [(2, 8), (8, 14)] and model._chunks(3)[-1] == (26, 30)
    assert model.updates_of("generator", 21) == 10 * 1 + 10 * 2 + 4
    short = made(double_every=2, first_length=2)
    calls = watched(short, "judge")
    object.__setattr__(short, "kind", short.step_kind(0))
    update(short)
    assert calls[0][0][1].shape[1] == 2


def test_phases_of_scales():
    two = Schedule(scales=2, scale_steps=(2,), frozen_steps=3)
    assert [two.step_kind(step)[1:] for step in range(7)] == [(1, False)] * 2 + [(2, True)] * 3 + [(2, False)] * 2
    three = Schedule(scales=3, scale_steps=(2, 4), frozen_steps=1)
    kinds = [three.step_kind(step)[1:] for step in (1, 2, 3, 6, 7, 8)]
    assert kinds == [(1, False), (2, True), (2, False), (2, False), (3, True), (3, False)]
    assert [Schedule(scales=2).step_kind(step)[1:] for step in (0, 9)] == [(2, False)] * 2


def test_which_generators_are_trained_at_what_size():
    model = made(**PHASES)
    calls = watched(model, "judge")
    for step, size, trained in ((0, 4, [True, False]), (2, 8, [False, True]), (5, 8, [True, True])):
        object.__setattr__(model, "kind", model.step_kind(step))
        before = [[v.numpy() for v in scale.trainable_variables] for scale in model.generator.generators]
        calls.clear()
        update(model)
        maps, real = calls[0][0]
        assert real.shape == (2, T - 2, size, size, 3) and maps.shape[2:4] == (size, size)
        after = [scale.trainable_variables for scale in model.generator.generators]
        found = [any(np.any(a != b.numpy()) for a, b in zip(x, y, strict=True)) for x, y in zip(before, after, strict=True)]
        assert found == trained, step
    object.__setattr__(model, "kind", model.step_kind(0))
    clip = model._clip({name: tf.constant(value) for name, value in BATCH.items()}, T, 1)
    np.testing.assert_allclose(clip["flow"][:, 1], 0.5 * halved(tf.constant(BATCH["flow"][:, 1])), atol=1e-6)


def test_optimisers_begin_anew():
    model = made({"class_name": "Adam", "config": {"learning_rate": 1e-3}}, **PHASES)
    for phase, wanted in (((2, True), [0, 0, 0]), ((2, False), [0, 5, 5])):
        for optimizer in model.player_optimizers.values():
            optimizer.iterations.assign(5)
        model.begin_phase(phase)
        assert [int(optimizer.iterations.numpy()) for optimizer in model.player_optimizers.values()] == wanted
    assert [model.phase(step) for step in (1, 2, 5)] == [(1, False), (2, True), (2, False)]


def test_rates_of_the_presets():
    """They fall from 2e-4 in the second half, at the beginning of epochs 12, 16, 20 to 1.8e-4, 1e-4, 2e-5; that of the
    discriminators of triplets never does.
    """
    preset = tfgen.presets.get("vid2vid/street-512-code")
    rates = {name: one["config"]["learning_rate"] for name, one in preset.compile_args["optimizer"].items()}
    assert list(rates) == ["generator", "discriminator", "temporal_1", "temporal_3"]
    assert rates["temporal_1"] == rates["temporal_3"] == 2e-4
    for name in ("generator", "discriminator"):
        rate = HeldDecay(**{**rates[name]["config"], "decay_steps": 20 * 2975})
        found = [float(rate((epoch - 1) * 2975)) for epoch in (1, 11, 12, 16, 20)]
        np.testing.assert_allclose(found, [2e-4, 2e-4, 1.8e-4, 1e-4, 2e-5], rtol=1e-5)


# ---- translation


def frame_by_frame(next_frame, state, first):
    """The clip that calls of `next_frame` make after `state`."""
    found = []
    for t in range(first, T):
        out = next_frame(**({} if state is None else {"state": state}), **{k: tf.constant(v[:, t]) for k, v in MAPS.items()})
        state = out["state"]
        found.append(out["image"])
    return tf.stack(found, axis=1)


STATES = {
    "given": {},
    "generated": {"start": "generated", "flow": "matched"},
    "scales": {"scales": 2, "local_blocks": 1, "foreground": (1,), "norm": "instance"},
}


@pytest.mark.parametrize("name", ["given", "generated", pytest.param("scales", marks=pytest.mark.long)])
def test_frame_by_frame_is_the_clip(name):
    model = made(**STATES[name])
    if model.first:
        whole = model.translate(**START)["frames"]
        np.testing.assert_array_equal(whole[:, :2], START["start"])
        state = model.start_state(**{key: value[:, :2] for key, value in START.items()})["state"]
    else:
        whole, state = model.translate(**MAPS)["frames"], None
    assert whole.shape == (2, T, 8, 8, 3)
    np.testing.assert_allclose(frame_by_frame(model.next_frame, state, model.first), whole[:, model.first :], atol=1e-5)


def test_frame_by_frame_is_the_clip_in_an_export(tmp_path):
    model = made()
    whole = model.translate(**START)["frames"]
    exported = tfgen.metrics.load_exported(tfgen.export.export_saved_model(model, tmp_path, warmup=False))
    assert exported.missing("translate", BATCH) == [] and exported.missing("translate", MAPS) == ["start"]
    np.testing.assert_allclose(exported.ask("translate", BATCH)["frames"], whole, atol=1e-4)  # by the target's first frames
    served = exported.signatures
    found = served["translate"](**{key: tf.constant(value) for key, value in START.items()})
    np.testing.assert_allclose(found["frames"], whole, atol=1e-4)  # each frame carries on the rounding of earlier ones
    state = served["start_state"](**{key: tf.constant(value[:, :2]) for key, value in START.items()})["state"]
    np.testing.assert_allclose(frame_by_frame(served["next_frame"], state, 2), whole[:, 2:], atol=1e-4)


def test_the_state_of_an_empty_clip_is_zero():
    model = made(start="generated", flow="matched")
    first = model.next_frame(**{name: value[:, 0] for name, value in MAPS.items()})
    same = model.next_frame(state=model.empty_state(2), **{name: value[:, 0] for name, value in MAPS.items()})
    np.testing.assert_array_equal(first["image"], same["image"])
    assert not np.any(model.empty_state(2)) and np.any(first["state"])


def test_frames_depend_on_earlier_frames_and_maps():
    model = made()
    whole = model.translate(**START)["frames"]
    for name, t in (("start", 1), ("label_map", 3), ("edges", 0)):
        other = {**START, name: START[name].copy()}
        other[name][:, t] = other[name][:, t, ::-1]
        differs = np.any(model.translate(**other)["frames"] != whole, axis=(0, 2, 3, 4)).tolist()
        first = {"start": 1, "label_map": 3, "edges": 2}[name]
        assert differs == [t >= first for t in range(T)], name


def test_batch_norm_in_translation():
    """Of a batch of one it is that of training, and it changes no variable."""
    one = {name: tf.constant(value[:1]) for name, value in START.items()}
    for statistics in ("image", "moving"):
        model = made(statistics=statistics)
        before = [v.numpy() for v in model.variables]
        found = model.translate(**one)["frames"][:, 2]
        for a, b in zip(before, model.variables, strict=True):
            np.testing.assert_array_equal(a, b)
        maps = model.inputs_of(one)
        trained, _ = model.generator(model.generator.beginning(maps[:, :2], 2 * one["start"] - 1), maps[:, 2], training=True)
        same = np.allclose(found, 0.5 * trained["frame"] + 0.5, atol=1e-5)
        assert same == (statistics == "image")


def test_pictures_of_maps():
    model = made(map_classes=0, edges=False)
    assert [field.name for field in model.batch_fields()] == ["frames", "target", "flow"]
    assert [field.name for field in model._fields(None, "state")] == ["image", "state"]
    frames = RNG.random((2, T, 8, 8, 3), dtype="float32")
    np.testing.assert_allclose(model.inputs_of({"frames": frames}), 2 * frames - 1)
    state = model.start_state(frames=frames[:, :2], start=START["start"])["state"]
    assert model.next_frame(state=state, image=frames[:, 2])["image"].shape == (2, 8, 8, 3)


def test_it_is_evaluated_and_shown_by_the_first_frames_of_the_target(tmp_path):
    model = made()
    batch = {name: value for name, value in BATCH.items() if name != "flow"}
    whole = model.translate(**START)["frames"].numpy()
    found = model.evaluate(tf.data.Dataset.from_tensors(batch), verbose=0, return_dict=True)
    assert found["l1"] == pytest.approx(np.mean(np.abs(whole - BATCH["target"])[:, 2:]), rel=1e-5)  # without the given ones
    np.testing.assert_allclose(model.predict(batch, verbose=0), whole, atol=1e-5)
    grid = tfgen.training.SampleGrid(model, tmp_path, examples=BATCH)
    pictures = tfgen.training.callbacks.grid_of(model, 64, {k: tf.constant(v) for k, v in BATCH.items()})
    maps, edges, *pictures = pictures
    assert maps.shape == edges.shape == whole[0].shape
    np.testing.assert_allclose(pictures, np.stack([whole[0], BATCH["target"][0]]), atol=1e-5)
    grid.params, grid.step = {"epochs": 1}, 0
    grid.on_epoch_end(0)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["step-00000000.gif", "step-00000000.png"]
    (capability,) = model.capabilities()
    clips = capability.animation_of(model, 10, {k: tf.constant(v) for k, v in BATCH.items()})
    np.testing.assert_allclose(clips, np.stack([whole, BATCH["target"]], axis=1), atol=1e-5)


# ---- wrong input


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"num_frames": 2}, "num_frames must be at least 3, as the first 2 frames of a clip are given; received 2"),
        ({"num_frames": 4}, "With temporal_scales=1 num_frames must be at least 5: 3 frames .* 1 apart; received 4"),
        ({"num_frames": 8, "temporal_scales": 2}, "at least 9: 7 frames that are made, for a triplet of frames 3 apart"),
        ({"halvings": 3, "width": 1, "image_shape": (16, 16, 3), "foreground": (1,)}, "foreground needs a width of at"),
        ({"image_shape": (9, 8, 3)}, "multiples of 2, at least 4.* received 9 x 8"),
        ({"scales": 2, "image_shape": (8, 9, 3)}, "With 2 scales the sides .* multiples of 2; received 8 x 9 and 4"),
        ({"scales": 2, "width": 3}, "received 8 x 8 and 3"),
        ({"foreground": (3,)}, r"foreground must be classes of label_map, in \[0, 3\); received \(3,\)"),
        ({"scale_steps": (5,)}, r"scale_steps must be \(\) or have a number for each of the 1 scales but the first"),
        ({"frozen_steps": 5}, r"frozen_steps has no effect with scale_steps=\(\)"),
        ({"local_blocks": 1}, "local_blocks has no effect with scales=1"),
        ({"warping": False, "flow_weight": 2.0}, "flow_weight has no effect with warping=False"),
        ({"norm": "instance", "statistics": "moving"}, "statistics has no effect with norm='instance'"),
        ({"first_length": 4}, "first_length has no effect with double_every=0"),
        ({"flow_reach": 5}, "flow_reach has no effect with flow='given'"),
        ({"flow": "estimated"}, "flow must be 'given' or 'matched'"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Vid2Vid(**{**SMALL, **settings})


def test_clips_that_do_not_fit():
    model = made()
    wrong = {
        r"flow must have the shape \[batch, 5, 8, 8, 2\]; received \(2, 5, 8, 8, 3\)": {"flow": BATCH["target"]},
        r"was made for images \[batch, 5, 8, 8, 3\].*received \(2, 4, 8, 8, 3\)": {"target": BATCH["target"][:, :4]},
        r"label_map must have the shape \[batch, 5, 8, 8, 3\]; received \(2, 6,": {
            "label_map": np.repeat(BATCH["label_map"][:, :1], 6, axis=1)
        },
    }
    for message, change in wrong.items():
        with pytest.raises(ValueError, match=message):
            model.fit({**BATCH, **change}, verbose=0)
    with pytest.raises(ValueError, match="needs the field 'flow'.*flow='matched' finds it in the frames"):
        model.fit({name: value for name, value in BATCH.items() if name != "flow"}, verbose=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="flow must be finite"):
        model.fit({**BATCH, "flow": np.full_like(BATCH["flow"], np.inf)}, verbose=0)
    with pytest.raises(ValueError, match="translate takes label_map, edges, start; received label_map, edges"):
        model.translate(**MAPS)
    with pytest.raises(ValueError, match=r"label_map must have the shape \[batch, 5, 8, 8, 3\]"):
        model.translate(**{**START, "label_map": MAPS["label_map"][:, :3]})
    one = {name: value[:, 2] for name, value in MAPS.items()}
    with pytest.raises(ValueError, match=r"state must have the shape \[batch, 2, 8, 8, 8\]; received \(2, 1, 8, 8, 8\)"):
        model.next_frame(state=model.empty_state(2)[:, :1], **one)
    with pytest.raises(ValueError, match="edges must have as many rows as label_map|state must have as many rows"):
        model.next_frame(state=model.empty_state(3), **one)
    with pytest.raises(ValueError, match="next_frame takes label_map, edges, state; received label_map, state"):
        model.next_frame(label_map=one["label_map"], state=model.empty_state(2))
    with pytest.raises(ValueError, match="next_frame needs a state: that of the 2 given frames"):
        model.next_frame(**one)


def test_fields_of_clips():
    model = made()
    wanted = [fields.label_map(8, 8, CLASSES, num_frames=T), fields.mask(8, 8, "edges", num_frames=T),
              fields.frames((T, 8, 8, 3), "target"), fields.Field("flow", (T, 8, 8, 2))]  # fmt: skip
    assert [dataclasses.replace(field, hint="") for field in model.batch_fields()] == wanted
    source = tfgen.data.load("moving:digits", num=2, num_frames=5)
    fitting = Vid2Vid(**{**SMALL, "image_shape": (32, 32, 3), "map_classes": 11, "num_frames": 5})
    tfgen.fields.check_fields(fitting.batch_fields(), source.fields, "Vid2Vid", source.name)
