"""Papers to come, as skeletons: each trains, resumes, exports and divides over replicas without a change of the base."""

import dataclasses
import json
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.skeletons import (
    clips,
    cycle_gan,
    fractal_net,
    frozen_encoder,
    inversion,
    networks,
    ppgn,
    progressive_gan,
    ss_gan,
    three_players,
)
from tfgen.models.capabilities import CAPABILITIES, capabilities_of

SHAPE, STEPS = (8, 8, 1), 20


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """How a skeleton is built.

    Attributes:
        model: its class.
        args: function () -> constructor arguments, made anew for each model.
        frames: None, or the number of frames of its clips.
        batch_size: function of the step.
    """

    model: type
    args: object = dict
    batch_size: object = staticmethod(lambda step: 8)

    def build(self, **extra):
        return self.model(image_shape=SHAPE, **self.args(), **extra)

    def batch(self, step, size):
        rng = np.random.default_rng(step)
        made = {}
        for field in self.build().batch_fields():
            low, high = (0, 1) if field.low is None else (field.low, field.high)
            values = rng.uniform(low, high, (size, *field.shape))
            made[field.name] = np.round(values).astype("int32") if field.dtype == "int32" else values.astype("float32")
        return made

    def batches(self, first, steps):
        """Steps `first` ... of a data set in which the batch is a function of the step."""
        made = [self.batch(step, self.batch_size(step)) for step in range(first, first + steps)]
        signature = {k: tf.TensorSpec([None, *v.shape[1:]], v.dtype) for k, v in made[0].items()}
        return tf.data.Dataset.from_generator(lambda: iter(made), output_signature=signature)


def _encoder():
    keras.utils.set_random_seed(5)
    return networks.conv("encoder", SHAPE, 4)


def _generator():
    keras.utils.set_random_seed(6)
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(64, "sigmoid"), keras.layers.Reshape(SHAPE)])
    return network


def _classifier():
    keras.utils.set_random_seed(7)
    return keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(3)])


def _lazy_penalty():
    """The model of docs/architecture.md whose penalty belongs to every fourth step."""
    text = (pathlib.Path(tfgen.__file__).parents[1] / "docs" / "architecture.md").read_text()
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "LazyR1" in block]
    exec(code, found := {"__name__": "architecture"})
    return found["LazyR1"]


_SMALL_GAN = {"latent_dim": 3, "width": 4, "stages": 1}
SKELETONS = {
    "cycle-gan": Skeleton(cycle_gan.CycleGAN),
    "progressive-gan": Skeleton(
        progressive_gan.ProgressiveGAN,
        batch_size=lambda step: [size for first, size in progressive_gan.PHASES if first <= step][-1],
    ),
    "ss-gan": Skeleton(ss_gan.SSGAN, lambda: _SMALL_GAN),
    "lazy-penalty": Skeleton(_lazy_penalty(), lambda: _SMALL_GAN),
    "three-players": Skeleton(three_players.ThreePlayers),
    "frozen-encoder": Skeleton(frozen_encoder.StyleTransfer, lambda: {"encoder": _encoder()}),
    "clips": Skeleton(clips.ClipTranslator),
    "fractal-net": Skeleton(fractal_net.FractalNet, lambda: {"num_classes": 3}),
    "inversion": Skeleton(inversion.Inversion, lambda: {"generator": _generator()}),
    "ppgn": Skeleton(ppgn.PPGN, lambda: {"generator": _generator(), "classifier": _classifier()}),
}  # fmt: skip


# What they ask of the base, the others ask too.
LONG = ("frozen-encoder", "inversion", "lazy-penalty", "ss-gan")


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.long] * (name in LONG)) for name in sorted(SKELETONS)]
)  # fmt: skip
def case(request):
    return SKELETONS[request.param]


@pytest.fixture(scope="module")
def trained(case, tmp_path_factory):
    """A model after all steps, the kinds of the steps that were traced, and a folder with a checkpoint of the middle."""
    model = compiled(case, steps_per_execution=10)
    traces, step = [], model.train_step
    object.__setattr__(model, "train_step", lambda data: traces.append(model.kind) or step(data))
    fit(model, case, 0, STEPS // 2)
    folder = tmp_path_factory.mktemp("checkpoints")
    tfgen.training.Checkpoints(model, folder).save()
    fit(model, case, STEPS // 2, STEPS // 2)
    return model, traces, folder


def compiled(case, **settings):
    keras.utils.set_random_seed(0)
    model = case.build(seed=0)
    model.compile(keras.optimizers.SGD(0.02, momentum=0.5), ema_decay=0.9, **settings)
    return model


def fit(model, case, first, steps):
    model.fit(case.batches(first, steps), steps_per_epoch=steps, verbose=0)


def values(model):
    return {key: v.numpy() for key, v in model.state().items()}


def assert_same(a, b, atol=0.0):
    assert a.keys() == b.keys()
    for key in a:
        if atol:
            np.testing.assert_allclose(a[key].astype("float64"), b[key], atol=atol, rtol=1e-3, err_msg=key)
        else:
            np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def test_one_trace_for_each_kind_of_step(case, trained):
    model, traces, _ = trained
    assert sorted(traces, key=str) == sorted({model.step_kind(step) for step in range(STEPS)}, key=str)
    assert model.step.numpy() == STEPS


def test_killed_and_resumed_equals_uninterrupted(case, trained):
    """Step 10 lies in the middle of the progressive GAN's fade."""
    second = compiled(case, steps_per_execution=10)
    for variable in second.trainable_variables:
        variable.assign(tf.zeros_like(variable.value))
    assert tfgen.training.Checkpoints(second, trained[2]).restore() == STEPS // 2
    fit(second, case, STEPS // 2, STEPS // 2)
    assert_same(values(trained[0]), values(second))


@pytest.mark.parametrize(
    "case", [pytest.param(name, marks=[pytest.mark.long] * (name != "three-players")) for name in sorted(SKELETONS)],
    indirect=True, scope="module",
)  # fmt: skip
def test_two_replicas_agree_with_one(case, trained):
    reduction = tf.distribute.ReductionToOneDevice()
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=reduction).scope():
        model = compiled(case, steps_per_execution=10)
    fit(model, case, 0, STEPS)
    assert model.step.numpy() == STEPS and all(np.all(np.isfinite(v)) for v in values(model).values())
    if case.model is not cycle_gan.CycleGAN:  # whose replicas have pools of other images
        assert_same(values(trained[0]), values(model), atol=2e-4)


def test_config_round_trip(case):
    model = case.build()
    config = json.loads(json.dumps(model.get_config()))
    twin = case.model.from_config({**config, **case.args()})
    assert twin.get_config() == model.get_config()


def test_export_has_the_signatures_of_the_capabilities(case, trained, tmp_path):
    model = trained[0]
    path = tfgen.export.export_saved_model(model, tmp_path, warmup=False)
    loaded = tf.saved_model.load(str(path)).signatures
    found = capabilities_of(loaded)
    assert found == model.capabilities() and found == tuple(c for c in CAPABILITIES if isinstance(model, c))
    rng = np.random.default_rng(0)
    with model.ema.swapped():
        for name, (function, specs) in model.signatures().items():
            if name == "serve_examples":
                continue
            inputs = {key: tf.constant(rng.uniform(size=[2, *spec.shape[1:]]), spec.dtype) if spec.dtype.is_floating
                      else tf.constant([1, 2], spec.dtype) for key, spec in specs.items()}  # fmt: skip
            expected, got = function(**inputs), loaded[name](**inputs)
            assert got.keys() == expected.keys()
            for key in got:
                if got[key].dtype != tf.string:
                    np.testing.assert_allclose(got[key], expected[key], atol=1e-5)


def test_fixed_networks_are_in_no_checkpoint_and_no_weight_file(tmp_path):
    case = SKELETONS["ppgn"]
    model = compiled(case)
    assert [key for key in model.state() if key.startswith("weights/")] == [
        "weights/step", "weights/bad_step", "weights/prior/kernel", "weights/prior/bias",
    ]  # fmt: skip
    assert model.count_params() == 3 * 3 + 3 + 2
    networks.conv("encoder", SHAPE, 4).save(tmp_path / "encoder.keras")
    by_path = frozen_encoder.StyleTransfer(image_shape=SHAPE, encoder=str(tmp_path / "encoder.keras"))
    by_path.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    assert again.encoder.fingerprint == by_path.encoder.fingerprint
    by_path.compile()
    tfgen.training.Checkpoints(by_path, tmp_path / "checkpoints").save()
    networks.conv("encoder", SHAPE, 4).save(tmp_path / "encoder.keras")  # another network in its place
    other = frozen_encoder.StyleTransfer(image_shape=SHAPE, encoder=str(tmp_path / "encoder.keras"))
    other.compile()
    with pytest.raises(ValueError, match="another encoder: its fingerprint"):
        tfgen.training.Checkpoints(other, tmp_path / "checkpoints").restore()
    with pytest.raises(ValueError, match="fingerprint"):
        keras.saving.load_model(tmp_path / "model.keras", compile=False)


def test_projections_of_generated_images_come_close():
    """From the code that an untrained predictor starts at, and from that of a generator's own images."""
    model = SKELETONS["inversion"].build()
    codes = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    images = model.decode_images(codes)
    errors = [np.mean((made - images) ** 2, axis=(1, 2, 3)) for made in (model.reconstruct(images),
                                                                          model.project(images)["image"])]  # fmt: skip
    assert np.all(errors[1] < 0.01 * errors[0]), errors
    np.testing.assert_allclose(model.project(images)["latent"], codes, atol=0.1)
    target = model.decode_images(codes + 0.5 * np.float32([1, 0, -1]))
    edited = model.edit(images, direction=np.tile(np.float32([2, 0, -2]), [8, 1]), amount=np.full(8, 0.25))["image"]
    assert np.all(np.mean((edited - target) ** 2, axis=(1, 2, 3)) < 0.01 * np.mean((images - target) ** 2, axis=(1, 2, 3)))


@pytest.mark.parametrize("name, verb", [
    ("inversion", lambda model: model.project(np.full([2, *SHAPE], 0.5, "float32"))),
    ("ppgn", lambda model: model.maximize([0, 1], [2, 3])),
    ("frozen-encoder", lambda model: model.translate(image=np.zeros([2, *SHAPE]), style=np.ones([2, *SHAPE]))),
])  # fmt: skip
def test_fixed_networks_stay_as_they_are(name, verb):
    model = compiled(SKELETONS[name])
    fit(model, SKELETONS[name], 0, 2)
    verb(model)
    for held in tfgen.training.state.fixed_networks(model).values():
        assert tfgen.features.frozen.fingerprint(held.network) == held.fingerprint


def test_strength_of_a_style():
    model = SKELETONS["frozen-encoder"].build()
    image, style = np.random.default_rng(0).random((2, 3, *SHAPE)).astype("float32")
    given = {"image": image, "style": style}
    half, none, full = (model.translate(**given, alpha=a)["image"] for a in ([0.5, 0.0, 1.0], [0.0] * 3, [1.0] * 3))
    for row, whole in ((1, none), (2, full)):
        np.testing.assert_allclose(half[row], whole[row], atol=1e-6)
    assert np.abs(half - none)[0].max() > 1e-3 and np.abs(half - full)[0].max() > 1e-3
    np.testing.assert_allclose(none, model.decoder(model.encoder.network(image)), atol=1e-6)
    np.testing.assert_allclose(full, model.translate(**given)["image"], atol=1e-6)
    shown = tfgen.training.callbacks.grid_of(model, 6, {"image": tf.constant(image), "style": tf.constant(style)})
    np.testing.assert_allclose(shown[2], full[: shown.shape[1]], atol=1e-6)  # below images and styles


@pytest.mark.long
def test_a_penalty_of_every_fourth_step_is_counted_four_times():
    case = SKELETONS["lazy-penalty"]
    model, raw = compiled(case), 2.0 * case.batch(0, 8)["image"] - 1.0
    penalty = tfgen.losses.r1_penalty(lambda images: model.logits(images, training=True), tf.constant(raw), None, None)
    logs = [model.fit(case.batches(step, 1), steps_per_epoch=1, verbose=0).history["r1"][0] for step in range(5)]
    assert logs[0] == pytest.approx(4.0 * float(penalty), rel=1e-4)
    assert logs[1:4] == [0.0] * 3 and logs[4] > 0.0
