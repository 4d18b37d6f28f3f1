"""Images with generated captions: one grey item in a colour, a size and a place, and a sentence that says so.

A small task for images from text, such as StackGAN's (Zhang et al. 2017, arXiv:1612.03242). Some combinations of attributes
can be left out of training, to see what a model draws of a sentence about one of them.
"""

import re
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from tfgen import fields, settings
from tfgen.data.source import Source, from_arrays
from tfgen.features.text import LENGTH, BagOfWords, load_text_encoder, to_characters, to_sentences
from tfgen.settings import PositiveInt, Seed, Text

ATTRIBUTES = ("class", "colour", "size", "place")  # the components of the field `scene`
COLOURS = {
    "red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0), "magenta": (255, 0, 255),
    "cyan": (0, 255, 255),
}  # fmt: skip
SIZES = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
PLACES = {
    "left": ("on the left", "at the left side"), "right": ("on the right", "at the right side"),
    "top": ("at the top", "in the upper part"), "bottom": ("at the bottom", "in the lower part"),
    "centre": ("in the centre", "in the middle"),
}  # fmt: skip
_LARGE, _CENTRE = 1, 4  # their numbers; a large item is always in the centre
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_FORMS = (
    "a {size} {colour} {noun} {place}", "the {noun}, {colour}, {size}, {place}", "{size} {noun} in {colour} {place}",
    "{place} a {colour} {noun}, {size}", "{colour} {size} {noun} {place}",
    "this is a {noun} of {colour} colour, {size}, {place}",
)  # fmt: skip
_SILENT = 0.2  # share of the captions that do not say the size, or the place of a small item

Combinations = Literal["seen", "held_out", "all"]
Held = Literal["class_colour", "colour_place"]


def held_out(scenes: np.ndarray, held: Held = "class_colour") -> np.ndarray:
    """Which scenes int [N, 4] (see `ATTRIBUTES`) are combinations that training does not see: bool [N].

    Args:
        scenes: values of the attributes, as in the field `scene` of `captioned`.
        held: "class_colour": class k in colour k mod 6, a sixth of the pairs. "colour_place": small items of colour k at
            place k, 5 of 30 pairs.
    """
    settings.check(held_out, held=held)
    kind, colour, size, place = np.asarray(scenes).T
    if held == "class_colour":
        return colour == kind % len(COLOURS)
    return (size != _LARGE) & (colour == place)


def captioned(
    source: Source, *, num: PositiveInt = 20_000, size: PositiveInt = 32, combinations: Combinations = "seen",
    held: Held = "class_colour", embedding_dim: PositiveInt | None = None, text_encoder: Text | None = None, seed: Seed = 0,
) -> Source:  # fmt: skip
    """Images of one item of `source` in a colour, a size and a place, with a caption and its vector.

    A small item has 5/8 and a large one 7/8 of the image's side; a large one is in the centre. Captions have several forms
    and synonyms; a fifth of them do not say the size or the place. The place of a large item is never said.

    Example:
        >>> source = tfgen.data.load("captioned:digits", num=4, size=16)
        >>> {name: field.shape for name, field in source.fields.items()}  # doctest: +NORMALIZE_WHITESPACE
        {'image': (16, 16, 3), 'caption': (80,), 'embedding': (32,), 'mismatched': (16, 16, 3), 'scene': (4,),
         'stated': (2,), 'label': ()}
        >>> tfgen.features.to_sentences(source.values("caption"))[0]
        'large digit 7 in yellow'

    Args:
      source: grey images with labels of two classes or more; they are resized.
      num: number N of images. An item may occur several times.
      size: side of the images, at least 8.
      combinations: "seen": none of those that `held_out` names, neither in `image` nor in `mismatched`; "held_out": they
        alone are in `image`; "all".
      held: see `held_out`.
      embedding_dim: width of the vectors of `tfgen.features.BagOfWords`; None: 32.
      text_encoder: None, or the file of another encoder, see `tfgen.features.load_text_encoder`. With any function of
        sentences see `embedded`.
      seed: of the items, attributes and captions.

    Returns:
      a Source with `image`; `caption`, the characters of the sentence (see `tfgen.features.to_sentences`); `embedding`, its
      vector; `mismatched`, an image of the scene of another row, which contradicts the sentence: nearly a half differ in
      the class, the colour, or size and place alone (fewer with "held_out", in which no two differ in the colour alone);
      `scene`, the values of `ATTRIBUTES`; `stated`, whether the caption says the size, and the place; and the label of the
      item.

    Raises:
      ValueError: the images have colours or no labels of two classes, `size` is too small, both embedding_dim and
        text_encoder are given, or the file is no encoder.
    """
    settings.check(
        captioned, num=num, size=size, combinations=combinations, held=held, embedding_dim=embedding_dim,
        text_encoder=text_encoder, seed=seed,
    )  # fmt: skip
    encoder = _encoder(embedding_dim, text_encoder)
    if not source.has_labels or source.image_shape[2] != 1 or len(np.unique(source.labels())) < 2:
        raise ValueError(f"captions need grey images with labels of two classes or more; received {source!r}")
    if size < 8:
        raise ValueError(f"size must be at least 8; received {size}")
    rng, labels = np.random.default_rng(seed), source.labels()

    def allowed(scenes, of):
        return np.full(len(scenes), True) if of == "all" else held_out(scenes, held) == (of == "held_out")

    scenes = _accepted(
        num, lambda rows: _random_scenes(rng, labels, len(rows)), lambda new, rows: allowed(new, combinations)
    )
    assert source.class_names is not None and source.num_classes is not None
    nouns = [_nouns(name) for name in source.class_names]
    kinds = np.array([nouns.index(noun) for noun in nouns])  # one number for classes of the same noun, such as "O" and "o"
    captions, stated = zip(*(_caption(rng, nouns[scene[0]], scene) for scene in scenes), strict=True)
    said = np.concatenate([np.ones([num, 2], bool), np.array(stated, bool)], axis=1)  # class and colour always are

    def contradicts(new, row):  # scenes [..., 4] and rows [...]
        differs = new != scenes[row]
        differs[..., 0] = kinds[new[..., 0]] != kinds[scenes[row, 0]]
        return np.any(differs & said[row], axis=-1)

    # Scenes of other rows, so that no mismatched image is told by its scene alone: large ones are as many as in `image`.
    wrong, left = scenes[_exchanged(rng, scenes, lambda new, row: contradicts(scenes[new], row))], np.arange(num)
    left = left[~contradicts(wrong, left)]  # of few rows
    if len(left):
        others = "seen" if combinations == "seen" else "all"
        wrong[left] = _accepted(
            len(left), lambda rows: _random_scenes(rng, labels, len(rows)),
            lambda new, rows: contradicts(new, left[rows]) & allowed(new, others),
        )  # fmt: skip
    vectors = encoder(captions)
    images, mismatched = (_drawn(rng, source, labels, chosen, size) for chosen in (scenes, wrong))
    highest = max(source.num_classes, len(COLOURS)) - 1
    return from_arrays(
        images,
        scenes[:, 0],
        fields={
            "caption": (
                to_characters(captions), fields.Field("caption", (LENGTH,), "int32", low=0, high=127, directional=True)
            ),
            "embedding": (vectors, fields.Field("embedding", vectors.shape[1:], directional=True)),
            "mismatched": mismatched,
            "scene": (
                scenes, fields.Field("scene", (4,), "int32", low=0, high=highest, names=ATTRIBUTES, directional=True)
            ),
            "stated": (np.array(stated), fields.Field("stated", (2,), "int32", low=0, high=1, names=ATTRIBUTES[2:])),
        },
        name=f"captioned:{source.name}",
        split=source.split,
        class_names=source.class_names,
    )


def named_classes(
    source: Source, *, embedding_dim: PositiveInt | None = None, text_encoder: Text | None = None
) -> Source:
    """The images of `source` with the vector of the name of their class.

    Example:
        >>> tfgen.data.load("named:digits").fields["embedding"].shape
        (32,)

    Args:
      source: a Source with labels and without a field `embedding`.
      embedding_dim, text_encoder: as in `captioned`.

    Returns:
      a Source with `embedding` and all fields of `source`. Names that are digits are read as words.

    Raises:
      ValueError: `source` has no labels, or has the field; and of the encoder as in `captioned`.
    """
    settings.check(named_classes, embedding_dim=embedding_dim, text_encoder=text_encoder)
    if not source.has_labels:
        raise ValueError(f"names of classes need labels; received {source!r}")
    assert source.class_names is not None
    vectors = _encoder(embedding_dim, text_encoder)([_nouns(name)[0] for name in source.class_names])
    return _with_embedding(source, vectors[source.labels()], f"named:{source.name}")


def embedded(source: Source, encoder: Callable[[Sequence[str]], np.ndarray]) -> Source:
    """A captioned Source whose `embedding` is that of another encoder.

    Example:
        >>> source = tfgen.data.load("captioned:digits", num=4, size=16)
        >>> lengths = tfgen.data.embedded(source, lambda sentences: np.array([[len(text)] for text in sentences], "float32"))
        >>> lengths.fields["embedding"].shape
        (1,)

    Args:
      source: a Source with the field `caption`, such as `captioned`.
      encoder: a function of a list of N sentences that returns float [N, E], such as one of `tfgen.features`.

    Raises:
      ValueError: `source` has no captions, or the encoder returns no finite vector for each of them.
    """
    if "caption" not in source.stored_fields:
        raise ValueError(f"embedded needs the field 'caption'; received {source!r}")
    vectors = np.asarray(encoder(to_sentences(source.values("caption"))), np.float32)
    directional = source.stored_fields["caption"].directional
    return _with_embedding(source, vectors, source.name, replace=True, directional=directional)


def _encoder(embedding_dim, text_encoder):
    if text_encoder is None:
        return BagOfWords(32 if embedding_dim is None else embedding_dim)
    if embedding_dim is not None:
        raise ValueError(f"give embedding_dim or text_encoder, not both; received {embedding_dim} and {text_encoder!r}")
    return load_text_encoder(text_encoder)


def _with_embedding(source, vectors, name, replace=False, directional=False):
    """`source` with another `embedding`, float32 [N, E]."""
    part = source._part()
    if "embedding" in part["fields"] and not replace:
        raise ValueError(f"the Source must have no field 'embedding'; received {source!r}")
    if vectors.ndim != 2 or len(vectors) != len(source):
        raise ValueError(
            f"an encoder must return vectors [{len(source)}, E] of {len(source)} sentences; received {vectors.shape}"
        )
    bad = np.argwhere(~np.isfinite(vectors))
    if len(bad):
        value, place = vectors[tuple(bad[0])], bad[0].tolist()
        raise ValueError(f"an encoder must return finite numbers; received {value} at {place}, one of {len(bad)}")
    vector = fields.Field("embedding", vectors.shape[1:], directional=directional)
    part["fields"] = {**part["fields"], "embedding": (vector, np.ascontiguousarray(vectors))}
    return Source(**{**part, "name": name})


def _random_scenes(rng, labels, num):
    """int [num, 4]; classes as often as among the labels."""
    size, place = rng.integers(2, size=num), rng.integers(len(PLACES), size=num)
    place = np.where(size == _LARGE, _CENTRE, place)
    return np.stack([rng.choice(labels, num), rng.integers(len(COLOURS), size=num), size, place], axis=1).astype(np.int32)


def _accepted(num, propose, accept):
    """int [num, 4]: what `propose` of rows returned when `accept` of it and the rows was true."""
    found, left = np.zeros([num, len(ATTRIBUTES)], np.int32), np.arange(num)
    while len(left):
        proposed = propose(left)
        good = accept(proposed, left)
        found[left[good]], left = proposed[good], left[~good]
    return found


def _exchanged(rng, scenes, contradicts, rounds=20):
    """A permutation int [N] of rows that contradict each other, where it can be found: contradicts(new, row) of two rows.

    A sixth of the rows each are exchanged within scenes that differ in the class alone, in the colour alone, and in size
    and place alone. The others, and those of these that found no partner, are exchanged with any.
    """
    found = np.arange(len(scenes))
    kind = rng.integers(6, size=len(scenes))
    for one, equal in enumerate(((1, 2, 3), (0, 2, 3), (0, 1))):
        rows = np.flatnonzero(kind == one)
        group = np.unique(scenes[rows][:, equal], axis=0, return_inverse=True)[1].ravel()
        for number in range(group.max(initial=-1) + 1):
            _exchange(rng, found, rows[group == number], contradicts, rounds)
    rows = np.arange(len(scenes))
    _exchange(rng, found, rows[(kind > 2) | ~contradicts(found, rows)], contradicts, rounds)
    return found


def _exchange(rng, found, rows, contradicts, rounds):
    """Exchanges what `found` has at `rows`, until each contradicts its row or in `rounds` passes that was not to be had."""
    found[rows] = rng.permutation(found[rows])
    for _ in range(rounds):
        wrong = rows[~contradicts(found[rows], rows)]
        for i, j in zip(wrong, rng.choice(rows, len(wrong)), strict=True):
            if contradicts(found[j], i) and contradicts(found[i], j):
                found[[i, j]] = found[[j, i]]
        if not len(wrong):
            return


def _nouns(name):
    """How captions call a class."""
    if name.isdigit() and int(name) < len(_DIGITS):
        return _DIGITS[int(name)], f"digit {int(name)}"
    return (name.split("/")[0].replace("_", " ").lower(),)


def _caption(rng, nouns, scene):
    """(a sentence, (whether it says the size, whether the place))."""
    _, colour, size, place = scene
    says = [True, size != _LARGE]
    if rng.random() < _SILENT:
        says[rng.integers(1 + says[1])] = False
    words = {"noun": rng.choice(nouns), "colour": list(COLOURS)[colour]}
    for key, known, value, said in (("size", SIZES, size, says[0]), ("place", PLACES, place, says[1])):
        words[key] = rng.choice(list(known.values())[value]) if said else ""
    text = re.sub(r"(\s*,)+\s*", ", ", rng.choice(_FORMS).format(**words))
    text = re.sub(r"\ba (?!one\b)(?=[aeiou])", "an ", " ".join(text.split()).strip(" ,"))
    return text.replace(" ,", ","), tuple(map(int, says))


def _drawn(rng, source, labels, scenes, size):
    """uint8 [N, size, size, 3] of scenes, each with a random item of its class."""
    from PIL import Image

    order, counts = np.argsort(labels, kind="stable"), np.bincount(labels, minlength=scenes[:, 0].max() + 1)
    first = np.cumsum(counts) - counts
    items = order[first[scenes[:, 0]] + (rng.random(len(scenes)) * counts[scenes[:, 0]]).astype(int)]
    colours = np.array(list(COLOURS.values()), bool)
    found = np.zeros([len(scenes), size, size, 3], np.uint8)
    for canvas, (_, colour, large, place), item in zip(found, scenes, items, strict=True):
        side = size * 7 // 8 if large else size * 5 // 8
        grey = Image.fromarray(source._read("image", np.array([item]))[0, :, :, 0])
        grey = np.asarray(grey.resize((side, side), Image.Resampling.BILINEAR))
        middle, end = (size - side) // 2, size - side
        top, left = ((middle, 0), (middle, end), (0, middle), (end, middle), (middle, middle))[place]
        canvas[top : top + side, left : left + side, colours[colour]] = grey[..., None]
    return found
