"""Captioned images: pictures and sentences against the scenes that they are of, and combinations that are held out."""

import re

import numpy as np
import pytest

from tfgen import data
from tfgen.data.captions import ATTRIBUTES, COLOURS, PLACES, SIZES, held_out
from tfgen.features import BagOfWords, CharacterEncoder, character_network, to_sentences

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture(scope="module")
def source():
    return data.load("captioned:digits", num=400)


def seen_in(image):
    """(colour, size, place) of a picture, by its pixels."""
    bright = image > 0.3 * image.max()
    colour = tuple(int(255 * channel) for channel in bright.any(axis=(0, 1)))
    rows, columns = (np.flatnonzero(bright.any(axis=(axis, 2))) for axis in (1, 0))
    top, bottom, left, right = rows[0], 31 - rows[-1], columns[0], 31 - columns[-1]
    size = "large" if max(rows[-1] - rows[0], columns[-1] - columns[0]) > 19 else "small"
    # A small item of 20 pixels leaves 12: all on one side, or 6 on both.
    place = "centre"
    if size == "small":
        across, down = int(left < 3.5) - int(right < 3.5), int(top < 3.5) - int(bottom < 3.5)
        place = {(1, 0): "left", (-1, 0): "right", (0, 1): "top", (0, -1): "bottom"}.get((across, down), "centre")
    return list(COLOURS).index({v: k for k, v in COLOURS.items()}[colour]), list(SIZES).index(size), place


def test_fields(source):
    assert list(source.fields) == ["image", "caption", "embedding", "mismatched", "scene", "stated", "label"]
    assert source.fields["scene"].names == ATTRIBUTES and len(source) == 400 and source.num_classes == 10
    np.testing.assert_array_equal(source.labels(), source.values("scene")[:, 0])
    np.testing.assert_array_equal(source.values("embedding"), BagOfWords(32)(to_sentences(source.values("caption"))))


def test_pictures_show_their_scenes(source):
    """Colour and size exactly; of digits, which are narrower than their square, most places."""
    scenes, found = source.values("scene"), [seen_in(image) for image in source.images()]
    np.testing.assert_array_equal([one[0] for one in found], scenes[:, 1])
    assert np.mean([one[1] == size for one, size in zip(found, scenes[:, 2], strict=True)]) == 1.0
    vertical = np.isin(scenes[:, 3], [2, 3])
    right = [one[2] == list(PLACES)[place] for one, place in zip(found, scenes[:, 3], strict=True)]
    assert np.mean(np.array(right)[vertical]) > 0.95
    assert np.all(scenes[scenes[:, 2] == 1, 3] == 4)


def test_captions_say_what_is_shown(source):
    words = [set(re.findall("[a-z0-9]+", caption)) for caption in to_sentences(source.values("caption"))]
    stated = source.values("stated")
    for said, (kind, colour, size, place), says in zip(words, source.values("scene"), stated, strict=True):
        assert len(said & {WORDS[kind], str(kind)}) == 1 or kind == 1
        assert said & COLOURS.keys() == {list(COLOURS)[colour]}
        sizes = {name for name, synonyms in SIZES.items() if said & set(synonyms)}
        assert sizes == ({list(SIZES)[size]} if says[0] else set())
        of_place = {"left": "left", "right": "right", "top": "top", "upper": "top", "bottom": "bottom", "lower": "bottom",
                    "centre": "centre", "middle": "centre"}  # fmt: skip
        assert {of_place[word] for word in said & of_place.keys()} == ({list(PLACES)[place]} if says[1] else set())
    articles = {two for caption in to_sentences(source.values("caption")) for two in re.findall(r"\ban? one\b", caption)}
    assert articles == {"a one"}
    large = source.values("scene")[:, 2] == 1
    assert np.mean(stated[large, 0]) == pytest.approx(0.8, abs=0.08) and not stated[large, 1].any()
    assert np.mean(stated[~large].all(axis=1)) == pytest.approx(0.8, abs=0.08)
    assert np.all(stated[~large].sum(axis=1) >= 1) and not np.any(stated[~large].all(axis=0))


@pytest.mark.parametrize("held, share", [("class_colour", 1 / 6), ("colour_place", 1 / 12)])
def test_combinations(held, share):
    found = {
        which: data.load("captioned:digits", num=300, size=8, held=held, combinations=which)
        for which in ("seen", "held_out", "all")
    }
    shares = {which: held_out(one.values("scene"), held).mean() for which, one in found.items()}
    assert shares["seen"] == 0.0 and shares["held_out"] == 1.0
    assert shares["all"] == pytest.approx(share, abs=0.06)
    # By hand: a red zero, a green one, a red six; a small red item on the left.
    scenes = np.array([[0, 0, 1, 4], [1, 1, 0, 2], [6, 0, 1, 4], [7, 0, 0, 0], [7, 5, 0, 4], [7, 0, 1, 4]])
    wanted = [True, True, True, False, False, False] if held == "class_colour" else [False, False, False, True, False, False]
    np.testing.assert_array_equal(held_out(scenes, held), wanted)


def test_no_mismatched_image_is_held_out():
    """Of small blue items none is at the top, of yellow ones none at the bottom; in a test of all combinations some are."""
    counts = {}
    for which in ("seen", "held_out"):
        part = data.load("captioned:digits", num=500, held="colour_place", combinations=which)
        found = [seen_in(image) for image in part.values("mismatched")]
        counts[which] = sum((colour, size, place) in ((2, 0, "top"), (3, 0, "bottom")) for colour, size, place in found)
    assert counts["seen"] == 0 < counts["held_out"]


def test_mismatched_images_differ(source):
    """Of a half of them exactly one attribute is another one."""
    scenes, other = source.values("scene"), source.values("mismatched")
    found = [seen_in(image) for image in other]
    colour, size = (np.array([one[i] for one in found]) for i in (0, 1))
    assert not np.all(colour == scenes[:, 1])
    same = (colour == scenes[:, 1]) & (size == scenes[:, 2])
    # A sixth of the rows each differ in class, colour, or size and place alone; others agree in both by chance.
    assert 0.2 < same.mean() < 0.45 and 0.3 < np.mean(colour == scenes[:, 1]) < 0.6


@pytest.mark.parametrize("names", [("disc", "square"), ("O", "o")], ids=str)
def test_mismatched_images_contradict_their_sentences(names):
    """In class, colour, or a size or place that the sentence says; classes that sentences call alike are no difference.

    Bright squares are of class 0, dim ones of class 1, so that pictures show the whole scene.
    """
    labels = np.arange(20) % 2
    pixels = np.broadcast_to(np.where(labels, 128, 255).astype(np.uint8)[:, None, None, None], (20, 8, 8, 1))
    source = data.captioned(data.from_arrays(pixels, labels, class_names=names), num=500)
    kinds = {name.lower() for name in names}
    only_class, shown = 0, []
    for scene, stated, image in zip(*(source.values(k) for k in ("scene", "stated", "mismatched")), strict=True):
        colour, size, place = seen_in(image)
        found = np.array([image.max() < 0.75, colour, size, list(PLACES).index(place)])
        shown.append(found)
        wrong = (found != scene) & [len(kinds) > 1, True, *stated]
        assert wrong.any()
        only_class += wrong.tolist() == [True, False, False, False]
    assert (only_class > 0) == (len(kinds) > 1)
    # No scene is more frequent among them than among the images, so that it does not tell them.
    for one, other in zip(*(np.unique(x, axis=0, return_counts=True) for x in (shown, source.values("scene"))), strict=True):
        np.testing.assert_array_equal(one, other)


def test_few_rows_find_a_contradiction_too():
    """In one or two rows no other row may contradict the sentence; then the image is of any scene that does."""
    for seed in range(20):
        few = data.load("captioned:digits", num=1, size=8, seed=seed)
        assert np.abs(few.values("mismatched") - few.images()).max() > 0.1


def test_it_is_a_function_of_its_arguments():
    first, again, other = (data.load("captioned:digits", num=20, size=8, seed=seed) for seed in (1, 1, 2))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert data.load("captioned:digits", "test", num=20, size=8, seed=1).fingerprint != first.fingerprint


def test_names_of_classes():
    source = data.load("named:digits", embedding_dim=8)
    np.testing.assert_array_equal(source.values("embedding"), BagOfWords(8)([WORDS[k] for k in source.labels()]))
    named = data.from_arrays(np.zeros([2, 4, 4, 1], "uint8"), [0, 1], class_names=["T-shirt/top", "Ankle boot"])
    np.testing.assert_array_equal(data.named_classes(named).values("embedding"), BagOfWords(32)(["t-shirt", "ankle boot"]))
    sentences = to_sentences(data.captioned(named, num=30, size=8).values("caption"))
    assert all("t-shirt" in one or "ankle boot" in one for one in sentences)
    assert any("an ankle boot" in one for one in sentences) and not any(re.search(r"\ba ankle", one) for one in sentences)


def test_an_encoder_of_a_file(tmp_path):
    network = character_network(3, width=4)
    network.save(tmp_path / "encoder.keras")
    encoder = CharacterEncoder(network)
    for spec, options in (("captioned:digits", {"num": 5, "size": 8}), ("named:digits", {})):
        found = data.load(spec, text_encoder=str(tmp_path / "encoder.keras"), **options)
        sentences = to_sentences(found.values("caption")) if options else [WORDS[k] for k in found.labels()]
        np.testing.assert_allclose(found.values("embedding"), encoder(sentences), atol=1e-6)
        with pytest.raises(ValueError, match="give embedding_dim or text_encoder, not both; received 4 and 'a.keras'"):
            data.load(spec, text_encoder="a.keras", embedding_dim=4)


def test_other_encoders(source):
    few = source.take(5)
    found = data.embedded(few, lambda sentences: np.array([[len(s), 1.0] for s in sentences]))
    np.testing.assert_array_equal(found.values("embedding")[:, 0], [len(s) for s in to_sentences(few.values("caption"))])
    assert found.fields["embedding"].shape == (2,) and list(found.fields) == list(few.fields)
    with pytest.raises(ValueError, match=r"must return vectors \[5, E\] of 5 sentences; received \(3, 2\)"):
        data.embedded(few, lambda sentences: np.zeros([3, 2]))
    with pytest.raises(ValueError, match=r"must return finite numbers; received inf at \[3, 1\], one of 3$"):
        data.embedded(few, lambda sentences: np.where(np.arange(10).reshape(5, 2) < 7, 0.0, [np.nan, np.inf]))
    with pytest.raises(ValueError, match="embedded needs the field 'caption'"):
        data.embedded(data.load("digits"), lambda sentences: sentences)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"size": 7}, "size must be at least 8; received 7"),
        ({"num": 0}, "num must be an integer >= 1"),
        ({"combinations": "none"}, "combinations must be 'seen', 'held_out' or 'all'"),
        ({"held": "class"}, "held must be 'class_colour' or 'colour_place'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        data.captioned(data.load("digits").take(20), **options)


def test_bad_sources():
    for bad in (
        data.from_arrays(np.zeros([4, 8, 8, 3], "uint8"), [0, 1, 0, 1]), data.from_arrays(np.zeros([4, 8, 8, 1], "uint8")),
        data.from_arrays(np.zeros([4, 8, 8, 1], "uint8"), [1] * 4),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="captions need grey images with labels of two classes or more"):
            data.captioned(bad)
    with pytest.raises(ValueError, match="names of classes need labels"):
        data.named_classes(data.from_arrays(np.zeros([4, 8, 8, 1], "uint8")))
    with pytest.raises(ValueError, match="must have no field 'embedding'"):
        data.named_classes(data.load("named:digits").take(10))
