"""Types of settings, and their check by the constructors of models."""

import collections
import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.conformance.registry import CASES, STAND_INS
from tfgen import models, presets, settings
from tfgen.models import TrainableModel
from tfgen.settings import (
    DIFFERENT,
    MAX_CLASSES,
    ImageShape,
    NaturalInt,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Rate,
    Seed,
    Size,
    Text,
    Widths,
)

NAN, INF = math.nan, math.inf
Kind = Literal["mlp", "conv"]


@pytest.mark.parametrize(
    ("hint", "right", "wrong", "text"),
    [
        (int, [0, -5, np.int64(3), 2**63 - 1], [True, 1.0, "1", None, 2**63, np.bool_(True), [1]], "an integer"),
        (float, [0.5, 1, -2, np.float32(1.5)], [NAN, INF, -INF, True, "1", None, 10**400], "a number"),
        (bool, [True, False], [0, 1, "true", None], "True or False"),
        (str, ["", "a"], [b"a", 1, None], "a string"),
        (PositiveInt, [1, np.int32(7)], [0, -1, True, 1.5], "an integer >= 1"),
        (NaturalInt | None, [0, None], [-1, False, "0"], "an integer >= 0 or None"),
        (Seed, [0, 2**31 - 1], [-1, 2**31, 1.5, True], "an integer in [0, 2147483647]"),
        (PositiveFloat, [1e-9, 3], [0, 0.0, -1, NAN], "a number > 0"),
        (NonNegativeFloat, [0, 0.0], [-1e-9, INF], "a number >= 0"),
        (Rate, [0, 0.5], [1, 1.0, -0.1], "a number in [0, 1)"),
        (Text, ["a"], ["", " ", "a\0", 3], "a string that is not empty"),
        (Kind, ["mlp"], ["MLP", "", None, 0], "'mlp' or 'conv'"),
        (Literal[1, 3], [1, 3, np.int64(3)], [True, 2, 1.0, "1"], "1 or 3"),
        (Literal["ebgan"], ["ebgan"], ["gan"], "'ebgan'"),
        (Widths, [(1,), [2, 3], np.array([4])], [(), (0,), 5, "12", (1, 2.5), {1: 2}], "a sequence of integers >= 1"),
        (Annotated[Sequence[str], DIFFERENT], [("a", "b")], ["ab", ("a", "a")], "a sequence of strings that are all differ"),
        (tuple[float, Rate], [(3, 0.5), [1.0, 0]], [(3,), (3, 1), 3], "(a number, a number in [0, 1))"),
        (ImageShape, [(8, 8, 1), [8, 8, 3], tf.TensorShape([8, 8, 1])],
         [(8, 8), (8, 8, 1, 1), (0, 8, 1), (8.0, 8, 1), ("8", 8, 1), (8193, 8, 1), 8, None, tf.TensorShape([None, 8, 1])],
         "(height, width, channels), integers >= 1, sides <= 8192 (8192 x 8192 x 3 float32 have 805 MB)"),
        (Size, [1, 8192, (8, 16)], [0, 8193, (8,), True, "8"], "an integer in [1, 8192] or two, (height, width)"),
        (dict[str, PositiveInt], [{}, {"a": 1}], [{"a": 0}, {1: 1}, [], None], "a dict"),
        (Callable, [len], ["len", None], "a function"),
        (keras.Model | dict | None, [{}, None], [3, "x"], "a keras.Model or a dict or None"),
        (object, [None, 3], [], "a builtins.object"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # the words of the type: its text holds addresses
)  # fmt: skip
def test_types(hint, right, wrong, text):
    assert all(settings.fits(hint, value) for value in right), right
    assert not any(settings.fits(hint, value) for value in wrong), wrong
    assert settings.wanted(hint).startswith(text)


@pytest.mark.parametrize(
    ("hint", "texts"),
    [
        (PositiveInt, {"1": 1, "+5": 5, "007": 7}), (NonNegativeFloat, {"0": 0, ".5": 0.5, "1e-3": 1e-3}),
        (Kind, {"mlp": "mlp"}), (Literal[1, 3], {"3": 3}), (Text, {"a b": "a b", "3": "3"}),
    ],
)  # fmt: skip
def test_words_are_read(hint, texts):
    read = settings.reader(hint)
    for text, value in texts.items():
        assert read(text) == value and type(read(text)) is type(value)


@pytest.mark.parametrize(
    ("hint", "text", "message"),
    [
        (PositiveInt, "-1", "got -1, expected an integer >= 1"),
        (PositiveInt, "1_0", "got 1_0, expected an integer >= 1"),
        (PositiveInt, "", "got '', expected an integer >= 1"),
        (PositiveInt, "9" * 20, f"got {'9' * 20}, expected an integer >= 1"),
        (NonNegativeFloat, "nan", "got nan, expected a number >= 0"),
        (NonNegativeFloat, "1e999", "got 1e999, expected a number >= 0"),
        (Kind, "mpl", "got mpl, expected 'mlp' or 'conv' Did you mean 'mlp'?"),
        (Text, "x\0", "got 'x\\x00', expected a string that is not empty"),
    ],
)
def test_wrong_words_are_shown(hint, text, message):
    with pytest.raises(KeyError) as caught:
        settings.reader(hint, KeyError)(text)
    assert caught.value.args == (message,)


def test_functions_dataclasses_and_classes_declare_settings():
    def draw(num: PositiveInt, other=None, *, kind: Kind = "mlp") -> int: ...

    @dataclasses.dataclass
    class Options:
        num: PositiveInt
        kind: Kind | None = None

    class Base:
        def __init__(self, num: NaturalInt, rate: Rate = 0.0): ...

    class Derived(Base):
        def __init__(self, *, num: PositiveInt, **kwargs): ...

    for owner in (draw, Options, Derived):
        settings.check(owner, num=1, unknown=object())
        with pytest.raises(ValueError, match="^num must be an integer >= 1; received True.$"):
            settings.check(owner, num=True)
    with pytest.raises(ValueError, match="^rate must be a number in .0, 1.; received 1.$"):
        settings.check(Derived, rate=1)
    with pytest.raises(ValueError, match="^kind must be 'mlp' or 'conv'; received 'con'. Did you mean 'conv'.$"):
        settings.check(draw, kind="con")


def test_a_value_is_shown_in_one_short_line():
    text = settings.shown(np.arange(10000).reshape(100, 100))
    assert len(text) <= 200 and "\n" not in text and "..." in text
    assert settings.shown("a\nb") == "'a\\nb'"


# ---- constructors


def test_all_settings_of_all_models_have_types_that_their_defaults_and_cases_fit():
    for model in models.MODELS.values():
        types = model.setting_types()
        for name, parameter in model.config_parameters().items():
            assert name in types and not settings.fits(types[name], object()), (model, name)
            assert parameter.default is parameter.empty or settings.fits(types[name], parameter.default), (model, name)
    for case in CASES.values():
        case.model.check_settings(case.args)


@pytest.mark.parametrize("name", presets.names())
def test_settings_of_presets_fit_their_types(name):
    presets.get(name).check()


# {setting: wrong values}, for all models that have it.
WRONG = {
    "image_shape": [(8, 8), (8, 8, 1, 1), (0, 8, 1), (-8, 8, 1), ("8", 8, 1), (8.0, 8, 1), (True, 8, 1), 8, "8x8x1", None,
                    (100_000, 100_000, 1)],
    "seed": [-1, 2**31, 2**40, 1.5, True, "0", None],
    "latent_dim": [0, -1, 1.5, True, "3", [3]],
    "width": [0, -1, 2.5, True, "8"],
    "num_classes": [-1, 2.5, True, "10", 2**40],
    "levels": [1, 0, 256.0, True],
    "kl_weight": [-1, NAN, INF, True, "1"],
    "penalty_weight": [-1, NAN, INF, True],
    "regularizer_weight": [-1e-9, NAN],
    "discriminator_steps": [0, -1, 1.5, True],
    "weight_clip": [0, -0.01, NAN, True],
    "distortion_weight": [0, -1, NAN],
    "dropout": [1.0, -0.1, NAN, (0.5, 1.0)],
    "hidden": [0, (0,), (8, 1.5), "8"],
    "kernel_size": [0, 3.0, True],
    "depth": [0, -1, 1.5, True],
    "network": ["transformer", 3, None],
    "likelihood": ["normal", None],
    "objective": ["l1", None],
    "free_bits": [-0.1, NAN],
    "categorical": [(1,), 10, (2.5,)],
    "real_weight": [0.0, 1.0, NAN],
    "fakes": [(), ("prior", "prior"), ("noise",), "prior"],
    "factors": ["azimuth", ("a", "a"), (1,)],
    "encoder": [3, True],
    "generator": [3, True],
    "dtype": ["float16", "bfloat16", "float64", "float17", 3],
    "trainable": [1, "yes"],
}  # fmt: skip


@pytest.mark.parametrize("model", models.MODELS.values(), ids=lambda model: model.__name__)
def test_wrong_settings_are_refused_before_anything_is_built(model, monkeypatch):
    monkeypatch.setattr(keras.layers.Layer, "__init__", lambda *_, **__: pytest.fail("a layer was made"))
    args = {"image_shape": (8, 8, 1), "num_classes": 3}
    args = {name: value for name, value in args.items() if name in model.config_parameters()}
    for name in (model.config_parameters().keys() & WRONG.keys()) | {"dtype", "trainable"}:
        for value in WRONG[name]:
            if name != "dtype" and settings.fits(model.setting_types()[name], value):
                continue  # some models have another type under this name
            with pytest.raises(ValueError, match=f"^{name} must be .*; received") as caught:
                model(**{**args, name: value})
            assert settings.shown(value) in str(caught.value)


def test_wrong_settings_are_wrong_for_the_models_that_have_them():
    """The values that the test above leaves out, as another model has another type: few."""
    left_out = collections.Counter(
        (name, repr(value)) for model in models.MODELS.values() for name, values in WRONG.items() if name != "dtype"
        for value in values if name in model.config_parameters() and settings.fits(model.setting_types()[name], value)
    )  # fmt: skip
    assert set(left_out) <= {
        ("latent_dim", "None"), ("dropout", "(0.5, 1.0)"), ("encoder", "(64, 128, 256)"), ("factors", "(2,)"),
    }  # fmt: skip


def test_an_unknown_setting_is_refused_with_the_nearest_one():
    with pytest.raises(TypeError, match="VAE has no argument latent_dims. Did you mean 'latent_dim'. It has image_shape"):
        models.VAE(image_shape=(8, 8, 1), latent_dims=3)


def test_the_global_dtype_policy_is_checked():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float16")
    try:
        with pytest.raises(ValueError, match=r"keras.config.dtype_policy\(\) must be 'float32', .* received 'float16'"):
            models.VAE(image_shape=(8, 8, 1))
    finally:
        keras.config.set_dtype_policy(before)
    for dtype in (None, "float32", "mixed_float16", keras.DTypePolicy("mixed_bfloat16")):
        assert models.VAE(image_shape=(8, 8, 1), hidden=(4,), latent_dim=2, dtype=dtype).built


def test_a_model_of_the_user_declares_its_own_types():
    class Mine(TrainableModel):
        def __init__(self, *, image_shape, size: PositiveInt = 8, anything=None, **kwargs):
            super().__init__(image_shape=image_shape, **kwargs)

    Mine(image_shape=tf.TensorShape([8, 8, 1]), anything=object())
    for name, value in (("size", 0), ("image_shape", (8, 8)), ("seed", -1)):  # that of `TrainableModel` without a hint
        with pytest.raises(ValueError, match=f"^{name} must be"):
            Mine(**{"image_shape": (8, 8, 1), name: value})
    assert Mine(image_shape=tf.TensorShape([8, 8, 1])).get_config()["image_shape"] == [8, 8, 1]


def test_settings_of_networks_are_checked():
    for kind, values in (("mlp", {"depth": -1}), ("conv", {"slope": -0.1}), ("resnet", {"pooling": "max"}),
                         ("maxout", {"dropout": 0.5}), ("mlp", {"conditioning": "add"})):  # fmt: skip
        with pytest.raises(ValueError, match=f"^{next(iter(values))} must be"):
            tfgen.networks.NETWORKS[kind][1](image_shape=(8, 8, 1), **values)


# ---- methods


@pytest.fixture(scope="module")
def vae():
    return CASES["vae-mlp-bernoulli"].build()


@pytest.fixture(scope="module")
def gan():
    return CASES["dcgan-conditional-wgan-gp"].build()


@pytest.fixture(scope="module")
def pixels():
    return CASES["gated-pixel-cnn-classes"].build()


NUMBERS = [
    ("num", 0), ("num", -1), ("num", True), ("num", "3"), ("num", 1.5), ("num", None),
    ("seed", 1.5), ("seed", 2**40), ("seed", 2**31), ("seed", -1), ("seed", True), ("seed", "0"), ("seed", None),
    ("batch_size", 0), ("batch_size", True), ("batch_size", 2.5),
]  # fmt: skip


@pytest.mark.parametrize("model", ["vae", "gan", "pixels"])
@pytest.mark.parametrize(("name", "value"), NUMBERS)
def test_wrong_numbers_of_sample(model, name, value, request):
    model = request.getfixturevalue(model)
    conditions = {"labels": [0, 1]} if model.num_classes else {}
    with pytest.raises(ValueError, match=f"^{name} must be an integer .*; received {value!r}.$"):
        model.sample(**{"num": 2, **conditions, name: value})


def test_a_gan_has_three_kinds_of_statistics(gan):
    with pytest.raises(ValueError, match="batch_norm must be 'moving', 'batch' or 'standing'; received 'live'"):
        gan.sample(2, labels=[0, 1], batch_norm="live")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, r"needs labels, int32 \[batch\] in \[0, 3\); received None"),
        ([0], "labels must have one row for each of the 2 images; received the shape"),
        ([0, 1, 2], "labels must have one row for each of the 2 images; received the shape"),
        (1, r"labels must have the shape \[batch\]; received \(\)"),
        ([[0, 1]], r"labels must have the shape \[batch\]"),
        ([0.0, 1.0], r"labels must be integers \[batch\]; received dtype float32"),
        ([True, False], "labels must be integers .* received dtype bool"),
        (["0", "1"], "labels must be integers .* received dtype string"),
        ([[0], [1, 2]], r"labels must be int32 \[batch\] in \[0, 3\); received \[\[0\], \[1, 2\]\]"),
        ([0, 2**70], r"labels must be int32 \[batch\] in \[0, 3\); received"),
        ([0, 3], r"labels must lie in \[0, 3\); received a range of(?s:.*)3"),
        ([-1, 0], r"labels must lie in \[0, 3\); received a range of"),
        ([0, 2**40], r"labels must lie in \[0, 3\); received a range of(?s:.*)1099511627776"),
        (np.array([0, 2**32], "uint64"), r"labels must lie in \[0, 3\)"),
    ],
    ids=str,
)
@pytest.mark.parametrize("model", ["gan", "pixels"])
def test_wrong_labels_of_a_conditional_model(model, labels, message, request):
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=message):
        request.getfixturevalue(model).sample(2, labels=labels)


def test_conditions_that_a_model_does_not_have(vae, gan):
    with pytest.raises(ValueError, match=r"VAE takes no labels: it was built without conditions; received \[0, 1\]"):
        vae.sample(2, labels=[0, 1])
    with pytest.raises(ValueError, match="DCGAN takes no label: its conditions are labels; .*Did you mean 'labels'"):
        gan.sample(2, label=[0, 1])
    assert vae.sample(2, labels=None).shape == (2, 8, 8, 1)


@pytest.mark.parametrize(("name", "value"), [case for case in NUMBERS if case[0] != "batch_size"])
def test_wrong_numbers_of_complete(name, value, pixels):
    image, mask = np.zeros((8, 8, 1), "float32"), np.ones((8, 8), bool)
    with pytest.raises(ValueError, match=f"^{name} must be an integer .*; received {value!r}.$"):
        pixels.complete(image, mask, **{"labels": [0], name: value})


@pytest.mark.parametrize("labels", [None, [0, 1], [3], [2**40], ["a"]])
def test_wrong_labels_of_complete(labels, pixels):
    image, mask = np.zeros((8, 8, 1), "float32"), np.ones((8, 8), bool)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="labels"):
        pixels.complete(image, mask, labels=labels)


@pytest.mark.parametrize("name", ["num_importance_samples", "chunk", "seed"])
@pytest.mark.parametrize("value", [-1, 1.5, True, "3", 2**40])
def test_wrong_numbers_of_log_prob(name, value, vae):
    if (name, value) in (("num_importance_samples", 2**40), ("chunk", 2**40)):
        return
    with pytest.raises(ValueError, match=f"^{name} must be an integer .*; received {value!r}.$"):
        vae.log_prob(np.zeros((1, 8, 8, 1), "float32"), **{"num_importance_samples": 2, name: value})


# ---- verbs of the other capabilities


@pytest.fixture(scope="module")
def built():
    """A function of a case's name -> its model, built once."""
    return functools.cache(lambda name: {**CASES, **STAND_INS}[name].build())


HALF = np.full((2, 8, 8, 1), 0.5, "float32")
MASK = np.ones((8, 8), bool)
EDIT = {"direction": np.ones((2, 3), "float32"), "amount": np.ones(2, "float32")}
WRONG_IMAGES = {
    "uint8": (255 * HALF).astype("uint8"), "bool": HALF > 0, "text": "abc", "None": None, "lists": [[0.5], [0.5, 0.5]],
    "one axis": np.zeros(8), "channels": np.repeat(HALF, 3, -1), "empty": HALF[:0], "NaN": HALF * NAN, "large": HALF * 255,
    "negative": -HALF,
}  # fmt: skip
VERBS = {
    "bits": ("factorized-prior", lambda model, images: model.bits(images)),
    "project": ("skeleton-inversion", lambda model, images: model.project(images)),
    "edit": ("skeleton-inversion", lambda model, images: model.edit(images, **EDIT)),
    "translate": ("adain", lambda model, images: model.translate(image=images, style=HALF)),
    "style": ("adain", lambda model, images: model.translate(image=HALF, style=images)),
    "complete": ("gated-pixel-cnn-classes", lambda model, images: model.complete(images, MASK, labels=[0, 1])),
    "classify": ("glimpse-classifier", lambda model, images: model.classify(images)),
    "encode": ("autoencoder", lambda model, images: model.encode(images)),
    "reconstruct": ("autoencoder", lambda model, images: model.reconstruct(images)),
    "log_prob": ("gated-pixel-cnn-classes", lambda model, images: model.log_prob(images, labels=[0, 1])),
}


@pytest.mark.parametrize("wrong", WRONG_IMAGES)
@pytest.mark.parametrize("verb", VERBS)
def test_wrong_images(verb, wrong, built):
    case, call = VERBS[verb]
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="received") as caught:
        call(built(case), WRONG_IMAGES[wrong])
    assert any(text in str(caught.value) for text in ("Images must", "made for images", "known must")), caught.value
    assert "Summarized" not in str(caught.value)


WRONG_ARGUMENTS = [
    ("seeds", [1.5, 2.0], "must be integers"), ("seeds", [True, False], "received dtype bool"), ("seeds", 1, "the shape"),
    ("seeds", [NAN, 1.0], "must be integers"), ("seeds", ["a", "b"], "received dtype string"), ("seeds", None, "None"),
    ("seeds", [], "must not be empty"), ("unit", [0], "as many rows as seeds, 2"), ("seeds", [2**70, 0], "must be int64"),
    ("unit", [0.0, 1.0], "must be integers"), ("unit", [True, False], "received dtype bool"), ("unit", [0, 3], "lie in"),
    ("unit", [-1, 0], "lie in"), ("unit", None, "None"), ("unit", "a", "received dtype string"),
    ("steps", -1, "lie in"), ("steps", [1, -1], "lie in"), ("steps", 1001, "lie in"), ("steps", 1.5, "must be integers"),
    ("steps", True, "received dtype bool"), ("steps", [1, 2, 3], "as many rows"), ("steps", 2**70, "must be an integer"),
    ("steps", [[1, 2]], "the shape"), ("steps", "3", "received dtype string"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "message"), WRONG_ARGUMENTS)
def test_wrong_arguments_of_maximize(name, value, message, built):
    given = {"seeds": [1, 2], "unit": [0, 1], "steps": 1, name: value}
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=f"^{name} .*{message}"):
        built("skeleton-ppgn").maximize(**given)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("direction", EDIT["direction"][:1], "as many rows as images, 2"), ("direction", np.ones(3), "the shape"),
        ("direction", EDIT["direction"] * NAN, "be finite"), ("direction", [[1, 2, 3]] * 2, "must be float"),
        ("amount", 1.0, "the shape"), ("amount", [1.0], "as many rows as images, 2"), ("amount", True, "must be float"),
        ("amount", [INF, 1.0], "be finite"), ("amount", "much", "must be float"), ("amount", None, "received None"),
    ],
    ids=str,
)
def test_wrong_arguments_of_edit(name, value, message, built):
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match=f"^{name} .*{message}"):
        built("skeleton-inversion").edit(HALF, **{**EDIT, name: value})


def test_arguments_that_are_missing_or_unknown(built):
    with pytest.raises(ValueError, match="edit takes images, direction, amount; received images, direction.$"):
        built("skeleton-inversion").edit(HALF, direction=EDIT["direction"])
    with pytest.raises(ValueError, match="translate takes image, style, alpha; received image.$"):
        built("adain").translate(image=HALF)
    with pytest.raises(ValueError, match="translate takes image, style, alpha; received image, style, strength.$"):
        built("adain").translate(image=HALF, style=HALF, strength=[1.0, 1.0])
    for alpha in (0.5, [True, False], [0.5], [2.0, 0.0], [NAN, 0.0], "a", None):
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="^alpha must"):
            built("adain").translate(image=HALF, style=HALF, alpha=alpha)


@pytest.mark.parametrize("mask", [None, "a", [[True], [True, False]], MASK * 1.0, MASK[1:], MASK[None], [MASK] * 3])
def test_wrong_masks_of_complete(mask, pixels):
    with pytest.raises(ValueError, match="^mask must .*received"):
        pixels.complete(HALF, mask, labels=[0, 1])


@pytest.mark.parametrize("labels", [None, [0], [0, 1, 2], [0.0, 1.0], [True, False], ["a", "b"], [0, 3]], ids=str)
def test_wrong_labels_of_log_prob_and_generate(labels, pixels):
    for verb in (lambda: pixels.log_prob(HALF, labels=labels), lambda: pixels.generate([0, 1], labels=labels)):
        with pytest.raises((ValueError, tf.errors.InvalidArgumentError), match="labels"):
            verb()


@pytest.mark.parametrize("seeds", [[1.5, 2.0], [True, False], ["a", "b"], 1, None, [], [[1, 2]], [2**70, 1]], ids=str)
def test_wrong_seeds_of_generate_and_latents(seeds, vae):
    for verb in (vae.generate, vae.latents):
        with pytest.raises(ValueError, match="^seeds must .*received"):
            verb(seeds)


def test_wrong_arguments_of_a_codec(built):
    codec, image = built("factorized-prior").codec(), np.zeros((8, 8, 1), "uint8")
    wrong = [image > 0, image / 255, image[None], image[..., 0], image[:0], image.tolist(), None, "abc", b"a", [[1], [1, 2]]]
    for verb in (codec.compress, codec.bits):
        for value in wrong:
            with pytest.raises(ValueError, match=r"^image must be uint8 \[H, W, 1\]; received"):
                verb(value)
    for value in (None, "abc", 5, True, 10**12, [1, 2, 3], image):
        with pytest.raises(ValueError, match="^data must be bytes; received"):
            codec.decompress(value)


@pytest.mark.parametrize("version", [0, -1, True, 1.5, "3", 2**63])
def test_wrong_versions_of_an_export(version, vae, tmp_path):
    with pytest.raises(ValueError, match=f"^version must be an integer >= 1 or None; received {version!r}.$"):
        tfgen.export.export_saved_model(vae, tmp_path / "models", version=version)
    with pytest.raises(ValueError, match="^base_dir must be a string that is not empty or a os.PathLike; received ''.$"):
        tfgen.export.export_saved_model(vae, "")
    assert list(tmp_path.iterdir()) == []


# ---- data


@pytest.mark.parametrize("label", [2**40, MAX_CLASSES, -1, 2**63 - 1])
def test_a_record_with_an_impossible_label(label, tmp_path):
    path = str(tmp_path / "a.tfrecord")
    image = tf.io.encode_png(np.zeros((8, 8, 1), "uint8")).numpy()
    with tf.io.TFRecordWriter(path) as writer:
        for value in (0, label):
            features = {"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
                        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))}  # fmt: skip
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    with pytest.raises(ValueError, match=rf"record 1.*expected 'label' in \[0, {MAX_CLASSES}\), found {label}"):
        tfgen.data.load(f"tfrecord:{path}")
    assert tfgen.data.load(f"tfrecord:{path}", on_error="skip").num_classes == 1


def test_arrays_with_an_impossible_label():
    with pytest.raises(ValueError, match=f"at most {MAX_CLASSES} classes; received labels of {2**40 + 1}"):
        tfgen.data.from_arrays(np.zeros((2, 8, 8, 1), "uint8"), np.array([0, 2**40]))


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", True), ("seed", 1.0), ("seed", "0"), ("seed", 2**63), ("start_step", True), ("start_step", -1),
     ("start_step", 1.5), ("shuffle", 1), ("repeat", "yes"), ("drop_remainder", 0), ("binarization", "often"),
     ("threshold", 0.0), ("threshold", NAN), ("threshold", "half"), ("dequantize", None)],
)  # fmt: skip
def test_wrong_options_of_batches(name, value):
    source = tfgen.data.from_arrays(np.zeros((4, 8, 8, 1), "uint8"))
    with pytest.raises(ValueError, match=f"^{name} must be .*; received {value!r}"):
        source.batches(2, **{name: value})


def test_wrong_numbers_of_a_source(tmp_path):
    source = tfgen.data.from_arrays(np.zeros((4, 8, 8, 1), "uint8"))
    for value in (0, 5, True, 1.0, "a"):
        with pytest.raises(ValueError, match=f"n must be an integer in .1, 4.; received {value!r}"):
            source.take(value)
        with pytest.raises(ValueError, match=f"^shards must be an integer in .1, 4.; received {value!r}"):
            source.write_tfrecords(tmp_path / "a.tfrecord", shards=value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("size", 0), ("size", 100_000), ("size", (8,)), ("size", True), ("size", "8"), ("channels", 2), ("channels", True),
     ("resize", "crop"), ("on_error", "ignore"), ("levels", 1), ("levels", 257), ("levels", 17.0)],
)  # fmt: skip
def test_wrong_options_of_a_folder(name, value, tmp_path):
    (tmp_path / "a.png").write_bytes(tf.io.encode_png(np.zeros((8, 8, 1), "uint8")).numpy())
    with pytest.raises(ValueError, match=f"^{name} must be .*; received") as caught:
        tfgen.data.load(f"folder:{tmp_path}", **{name: value})
    assert repr(value) in str(caught.value)
