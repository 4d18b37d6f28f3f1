"""Encoders of sentences: characters, fixed vectors of words, and a small network that learns what sentences state."""

import math

import keras
import numpy as np
import pytest

from tests.seeds import set_seed
from tfgen.features import BagOfWords, CharacterEncoder, load_text_encoder, to_characters, to_sentences, train_text_encoder
from tfgen.features.text import character_network

_SIZES, _COLOURS = ("a small", "one large"), ("red", "blue")
SENTENCES = [f"{size} {colour}{end}" for size in _SIZES for colour in _COLOURS for end in ("", " box")]
# Of size and colour; the last sentences do not say the colour.
STATED = np.array([[i // 4, i // 2 % 2] for i in range(8)] + [[0, -1], [1, -1]])
SENTENCES += ["a small box", "one large box"]


def test_characters():
    found = to_characters(["A red 7", ""], 10)
    assert found.dtype == np.int32 and found.shape == (2, 10)
    np.testing.assert_array_equal(found[0], [*map(ord, "a red 7"), 0, 0, 0])
    assert not found[1].any() and to_sentences(found) == ["a red 7", ""]
    for bad in ("11 characters"[:11], "café", "a\0b", 3):
        with pytest.raises(ValueError, match="sentences must be texts of at most 10 ASCII characters; received"):
            to_characters(["fine", bad], 10)


def test_bag_of_words():
    encoder = BagOfWords(16)
    found = encoder(["a Red seven", "seven, red; a", "a", "a a", "", "a green seven"])
    assert found.shape == (6, 16) and found.dtype == np.float32
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    np.testing.assert_allclose(found[3], np.sqrt(2) * found[2], rtol=1e-6)
    assert not found[4].any() and np.abs(found[0] - found[5]).max() > 0.1
    np.testing.assert_array_equal(BagOfWords(16)(["a red seven"]), found[:1])  # the same in every process
    assert np.any(BagOfWords(16, seed=1)(["a"]) != found[2:3])
    many = encoder([f"word{i}" for i in range(2000)])
    assert abs(many.mean()) < 0.02 and many.std() == pytest.approx(1.0, abs=0.02)
    with pytest.raises(ValueError, match="size must be an integer >= 1"):
        BagOfWords(0)


def test_the_network_does_not_see_the_padding():
    network = character_network(8, width=4, length=20)
    short = CharacterEncoder(network)(["red box"])
    assert short.shape == (1, 8) and np.abs(short).max() < 1
    longer = character_network(8, width=4, length=60)
    longer.set_weights(network.get_weights())
    np.testing.assert_allclose(CharacterEncoder(longer)(["red box"]), short, atol=1e-6)
    assert not np.array_equal(CharacterEncoder(network)(["blue box"]), short)


@pytest.mark.parametrize("outputs", [[(9, 4)], [(4,), (4,)]], ids=["rank", "two"])
def test_networks_that_return_no_vectors(outputs):
    characters = keras.Input([9])
    flat = [keras.layers.Dense(math.prod(shape))(characters) for shape in outputs]
    network = keras.Model(characters, [keras.layers.Reshape(s)(x) for s, x in zip(outputs, flat, strict=True)])
    with pytest.raises(ValueError, match=r"must return vectors \[N, E\]; received one that returns \(None, [49]"):
        CharacterEncoder(network)


def test_it_learns_what_sentences_state(tmp_path):
    """After training a linear rule of the vectors tells the attributes, also of a sentence that was not seen."""
    set_seed(3)
    encoder = train_text_encoder(SENTENCES, STATED, size=4, epochs=120)
    assert not encoder.network.trainable_variables
    vectors, known = encoder(SENTENCES[:8]), STATED[:8]
    fitted = np.linalg.lstsq(np.c_[vectors, np.ones(8)], known, rcond=None)[0]
    new = encoder(["box: large, blue", "a red, small one"])
    np.testing.assert_array_equal(np.rint(np.clip(np.c_[new, np.ones(2)] @ fitted, 0, 1)), [[1, 1], [0, 0]])
    encoder.network.save(tmp_path / "encoder.keras")
    np.testing.assert_allclose(load_text_encoder(tmp_path / "encoder.keras")(SENTENCES), encoder(SENTENCES), atol=1e-6)


def test_files_that_are_no_encoders(tmp_path):
    path = tmp_path / "encoder.keras"
    with pytest.raises(ValueError, match=f"text_encoder must be the .keras file of a network of characters; {path}: "):
        load_text_encoder(path)
    for shape, received in (([9, 2], r"\(None, 9, 2\)"), ([None], r"\(None, None\)")):
        keras.Sequential([keras.Input(shape), keras.layers.Activation("relu")]).save(path)
        with pytest.raises(ValueError, match=rf"must take int32 \[N, length\] .*; received one that takes {received}"):
            load_text_encoder(path)


@pytest.mark.parametrize("attributes", [STATED[:3], STATED[:, 0], STATED.astype(float)], ids=["rows", "axes", "floats"])
def test_bad_attributes(attributes):
    with pytest.raises(ValueError, match=r"attributes must be whole numbers \[10, any\]"):
        train_text_encoder(SENTENCES, attributes)
