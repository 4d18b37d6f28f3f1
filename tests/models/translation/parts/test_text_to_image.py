"""What both StackGANs share: mismatched pairs, latents, and the checks of embeddings."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.seeds import set_seed
from tfgen import data
from tfgen.export import export_saved_model
from tfgen.features import BagOfWords, CharacterEncoder
from tfgen.features.text import character_network
from tfgen.models import StackGAN, StackGANv2
from tfgen.training.callbacks import grid_of
from tfgen_trainers.train import check_fields_fit, check_images_fit

SMALL = {"image_shape": (8, 8, 1), "embedding_dim": 3, "noise_dim": 2, "condition_dim": 4, "width": 4, "ups": 1, "blocks": 0,
         "discriminator_width": 2}  # fmt: skip
RNG = np.random.default_rng(0)
IMAGES, VECTORS = RNG.random((4, 8, 8, 1), "float32"), RNG.normal(size=(4, 3)).astype("float32")


def made(kind=StackGANv2, **settings):
    set_seed(0)
    own = {"stage_1_steps": 2, "factor": 2, "downs": 1} if kind is StackGAN else {"branches": 2}
    return kind(**{**SMALL, **own, **settings})


@pytest.fixture(scope="module")
def model():
    return made()


def test_mismatched_images_are_those_of_the_next_row(model):
    vectors = VECTORS.copy()
    vectors[2] = vectors[1]
    images, differs = model.mismatched({"image": tf.constant(IMAGES), "embedding": tf.constant(vectors)})
    np.testing.assert_array_equal(images, IMAGES[[1, 2, 3, 0]])
    np.testing.assert_array_equal(differs, [1, 0, 1, 1])
    with pytest.raises(ValueError, match='mismatches="batch" needs batches of two or more rows.*received one of 1 row'):
        model.mismatched({"image": tf.constant(IMAGES[:1]), "embedding": tf.constant(VECTORS[:1])})


def test_given_mismatches_are_a_field(model):
    assert [field.name for field in model.batch_fields()] == ["image", "embedding"]
    given = made(mismatches="given")
    assert [field.name for field in given.batch_fields()] == ["image", "embedding", "mismatched"]
    assert [field.name for field in given.conditions()] == ["embedding"]
    batch = {"image": tf.constant(IMAGES), "mismatched": tf.constant(IMAGES[::-1]), "embedding": tf.constant(VECTORS)}
    images, differs = given.mismatched(batch)
    np.testing.assert_array_equal(images, IMAGES[::-1])
    np.testing.assert_array_equal(differs, np.ones(4))
    given.compile()
    with pytest.raises(ValueError, match='needs the field \'mismatched\'.*mismatches="batch" takes other images'):
        given.fit({"image": IMAGES, "embedding": VECTORS}, verbose=0)


@pytest.mark.parametrize("kind, parts", [(StackGAN, [2, 4, 4]), (StackGANv2, [2, 4])])
def test_latents(kind, parts):
    """Normal noise, and that of each conditioning augmentation: in the first paper from -2 to 2."""
    one = made(kind, condition_dim=4)
    latents = one.latents(tf.range(3000))
    found = [part.numpy() for part in one.parts(latents)]
    assert [part.shape[1] for part in found] == parts and one.latent_dim == sum(parts)
    np.testing.assert_allclose(one.latents([7])[0], latents[7], rtol=1e-6)
    for part in found:
        assert abs(part.mean()) < 0.05
    assert found[0].std() == pytest.approx(1.0, abs=0.03) and np.abs(found[0]).max() > 2.5
    for part in found[1:]:
        if kind is StackGAN:
            assert np.abs(part).max() <= 2.0 and part.std() == pytest.approx(0.8796, abs=0.02)
        else:
            assert np.abs(part).max() > 3.0 and part.std() == pytest.approx(1.0, abs=0.02)
    joined = np.concatenate(found, axis=1)
    assert np.abs(np.corrcoef(joined.T) - np.eye(joined.shape[1])).max() < 0.1, "parts have noise of their own"


def test_noise_differs_between_updates_and_steps(model):
    batch = {"image": tf.constant(IMAGES)}
    first, second = (model.training_latents(batch, stream).numpy() for stream in (0, 1))
    assert first.shape == (4, 6) and np.all(first != second)
    np.testing.assert_array_equal(first, model.training_latents(batch, 0))


def test_missing_and_wrong_embeddings(model):
    latents = model.latents([0, 1])
    for call in (lambda **given: model.sample(2, **given), lambda **given: model.decode_images(latents, **given)):
        with pytest.raises(ValueError, match=r"needs embedding, float32 \[batch, 3\]; received None"):
            call()
        with pytest.raises(ValueError, match=r"embedding must have the shape \[batch, 3\]; received \(2, 4\)"):
            call(embedding=np.zeros([2, 4]))
        with pytest.raises(ValueError, match="embedding must have one row for each of the 2 images"):
            call(embedding=np.zeros([3, 3]))
        with pytest.raises(tf.errors.InvalidArgumentError, match="embedding must be finite"):
            call(embedding=np.full([2, 3], np.nan))
    with pytest.raises(ValueError, match="takes no labels: its conditions are embedding"):
        model.sample(2, labels=[0, 1])
    with pytest.raises(ValueError, match=r"one row for each of the 4 images"):
        model.match_logits(IMAGES, VECTORS[:2])
    one = made()
    one.compile()
    with pytest.raises(ValueError, match="needs the field 'embedding'.*tfgen.data.captioned"):
        one.fit({"image": IMAGES}, verbose=0)
    with pytest.raises(ValueError, match=r"embedding must have the shape \[batch, 3\]; received \(.*, 2\)"):
        one.fit({"image": IMAGES, "embedding": VECTORS[:, :2]}, verbose=0)


def test_images_depend_on_noise_and_embedding(model):
    latents = model.latents([0, 1]).numpy()
    images = model.decode_images(latents, VECTORS[:2]).numpy()
    np.testing.assert_allclose(images, model.generate([0, 1], embedding=VECTORS[:2]), atol=1e-6)
    assert images.min() >= 0 and images.max() <= 1
    for part in (slice(0, 2), slice(2, 6)):
        other = latents.copy()
        other[:, part] += 1.0
        assert np.any(model.decode_images(other, VECTORS[:2]).numpy() != images)
    assert np.any(model.decode_images(latents, VECTORS[2:]).numpy() != images)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"embedding_dim": 0}, "embedding_dim must be an integer >= 1; received 0"),
        ({"mismatches": "random"}, "mismatches must be 'batch' or 'given'; received 'random'"),
        ({"kl_weight": -1.0}, "kl_weight must be a number >= 0"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        made(**settings)


def test_grids_show_the_images_of_the_embeddings(model):
    grid = grid_of(model, 4, {"image": tf.constant(IMAGES), "embedding": tf.constant(VECTORS)})
    np.testing.assert_array_equal(grid[0], IMAGES[:2])
    np.testing.assert_allclose(grid[1], model.sample(2, embedding=VECTORS[:2]), atol=1e-6)


def test_presets_fit_their_data():
    """Those of the authors, for records with embeddings, and small ones, whose data are made of digits."""
    presets = {n: p for n, p in tfgen.presets.all_presets().items() if n.startswith("stack-gan")}
    assert len(presets) == 10
    digits = data.from_arrays(np.full([80, 28, 28, 1], 200, "uint8"), np.arange(80) % 10)
    for name, preset in presets.items():
        preset.check()
        assert preset.steps > preset.model_args.get("stage_1_steps", 0)
        kind, _, what = preset.data.partition(":")
        if kind == "tfrecord":
            assert "-code" in name
            vectors = {"embedding": np.zeros([1, 1024])}
            check_fields_fit(preset, data.from_arrays(np.zeros([1, 256, 256, 3], "uint8"), fields=vectors))
            continue
        assert what in ("mnist", "digits")
        source = data.named_classes(digits) if kind == "named" else data.captioned(digits, num=80)
        check_fields_fit(preset, source)
        check_images_fit(preset, source)
    cub = presets["stack-gan/cub-code"]
    assert (cub.model_args["stage_1_steps"], cub.steps) == (82_800, 165_600)
    assert presets["stack-gan-v2/cub-code"].steps == 220_800


# ---- texts

LENGTH = 20
TEXTS = ["a Red seven, (7)", "x", "~" * LENGTH]


@pytest.fixture(scope="module")
def encoder():
    return CharacterEncoder(character_network(3, width=8, length=LENGTH, seed=1))


@pytest.fixture(scope="module", params=[StackGAN, StackGANv2])
def exported(request, encoder, tmp_path_factory):
    """(model, {signature: function} of its export)."""
    model = made(request.param)
    model.compile(ema_decay=0.9)
    for variable in model.trainable_variables:  # as after training: those of a new model are almost 0
        variable.assign_add(tf.random.stateless_normal(variable.shape, [len(variable.shape), 3], stddev=0.2))
    model.ema.restart()
    model.text_encoder = encoder
    path = export_saved_model(model, tmp_path_factory.mktemp("model"), warmup=False)
    return model, tf.saved_model.load(str(path)).signatures


def test_an_export_draws_sentences_as_their_embeddings(exported, encoder):
    model, served = exported
    seeds = tf.constant([3, 4, 2**40], tf.int64)
    found = served["sample_text"](seeds=seeds, text=tf.constant(TEXTS))["image"]
    wanted = served["sample"](seeds=seeds, embedding=tf.constant(encoder(TEXTS)))["image"]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_allclose(found, model.generate(seeds, text=TEXTS), atol=1e-5)
    same = served["sample_text"](seeds=tf.zeros([3], tf.int64), text=tf.constant(TEXTS))["image"].numpy()
    assert np.abs(same[0] - same[1]).max() > 1e-2 and np.abs(same[1] - same[2]).max() > 1e-2, "the sentence counts"


def test_capitals_are_small_letters(exported):
    seeds = tf.constant([3, 4], tf.int64)
    small, large = (exported[1]["sample_text"](seeds=seeds, text=tf.constant(text))["image"]
                    for text in (["a red seven", "z"], ["A RED Seven", "Z"]))  # fmt: skip
    np.testing.assert_array_equal(small, large)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"", r"\[0\] \[bytes, which begins\] \[\]"),
        (b"a" * (LENGTH + 1), rf"\[{LENGTH + 1}\] \[bytes, which begins\] \[a{{{LENGTH + 1}}}\]"),
        (b"a" * 100_000, r"\[100000\] \[bytes, which begins\] \[a{40}\]"),
        ("caf\u00e9".encode(), r"\[5\] \[bytes, which begins\] \[caf\u00e9\]"),
        (b"a\0b", r"\[3\] \[bytes, which begins\] \[a.b\]"),
        (b"\xff\xfe", r"\[2\] \[bytes, which begins\] "),
        (("e" * 17 + "\u20ac").encode(), r"\[20\] \[bytes"),  # as many bytes as characters are allowed
    ],
)
def test_other_texts_are_refused(exported, text, what):
    given = {"seeds": tf.constant([0, 1], tf.int64), "text": tf.constant([b"good", text])}
    wanted = rf"text must be sentences of 1 to {LENGTH} ASCII characters; received one of\] {what}"
    with pytest.raises(tf.errors.InvalidArgumentError, match=wanted):
        exported[1]["sample_text"](**given)


def test_the_card_names_the_text(exported):
    model, served = exported
    described = json.loads(served["card"](unused=tf.constant([0]))["card"].numpy()[0])["signatures"]["sample_text"]
    assert described["inputs"] == {
        "seeds": {"dtype": "int64", "shape": [None]}, "text": {"dtype": "string", "shape": [None]}
    }  # fmt: skip
    assert described["outputs"]["image"]["shape"] == [None, *model.image_shape]


def test_no_encoder_no_signature(model, caplog):
    assert "sample_text" not in model.signatures()
    with pytest.raises(ValueError, match="This StackGANv2 has no text_encoder: set model.text_encoder, or give embedding"):
        model.sample(1, text=["a"])
    other = made()
    other.text_encoder = BagOfWords(3)
    with caplog.at_level("WARNING", logger="absl"):
        assert "sample_text" not in other.signatures()
    assert "for one, text_encoder must be a tfgen.features.CharacterEncoder; it is a BagOfWords" in caplog.text
    np.testing.assert_array_equal(other.sample(1, text=["a b"]), other.sample(1, embedding=BagOfWords(3)(["a b"])))


def test_an_encoder_is_no_part_of_the_model(encoder):
    model = made()
    model.compile()
    before = sorted(model.state()), len(model.variables), model.get_config()
    model.text_encoder = encoder
    assert (sorted(model.state()), len(model.variables), model.get_config()) == before
    model.text_encoder = None
    assert "sample_text" not in model.signatures()


class Unsized(keras.layers.Layer):
    def call(self, x):
        return keras.ops.zeros([keras.ops.shape(x)[0], 3])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (CharacterEncoder(character_network(4)), r"to vectors \[N, 3\], the embedding_dim .* returned the shape \(1, 4\)"),
        (BagOfWords(2), r"to vectors \[N, 3\], the embedding_dim .* returned the shape \(1, 2\)"),
        (lambda sentences: np.zeros(3), r"returned the shape \(3,\)"),
        (character_network(3), "such as a tfgen.features.CharacterEncoder; received <Functional"),
        ("encoder.keras", "received 'encoder.keras'"),
    ],
)
def test_wrong_encoders(model, wrong, message):
    with pytest.raises(ValueError, match=message):
        model.text_encoder = wrong
    assert model.text_encoder is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"text": "ab"}, "text must be a list of sentences, none of them empty; received 'ab'"),
        ({"text": ["a", ""]}, "none of them empty"),
        ({"text": [1, 2]}, "list of sentences"),
        ({"text": ["a", "\u00e9"]}, f"at most {LENGTH} ASCII characters"),
        ({"text": ["a"]}, "one row for each of the 2 images"),
        ({"text": ["a", "b"], "embedding": VECTORS[:2]}, "Give text or embedding, not both"),
    ],
)
def test_wrong_texts(encoder, given, message):
    model = made()
    model.text_encoder = encoder
    with pytest.raises(ValueError, match=message):
        model.sample(2, **given)
