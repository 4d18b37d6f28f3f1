"""Two sets of images without pairs: domains, as CycleGAN is trained on (arXiv:1703.10593), or contents and styles."""

import hashlib
import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from tfgen import fields, settings
from tfgen.data.batches import repeated
from tfgen.data.folder import from_folder
from tfgen.data.source import Source
from tfgen.settings import Channels, Levels, OnError, PositiveFraction, Resize, Seed, Size

_BETWEEN = " | "  # the two ids in the id of an example
_Second = Literal["other", "style"]
_COLUMNS = {"other": ("other", "places"), "style": ("style", "places", "style_label")}  # the fields beside `image`'s own


def unpaired(image: Source, other: Source, *, second: _Second = "other") -> "UnpairedSource":
    """The images of two Sources, which may differ in number and in shape, as the fields `image` and `other` (or `style`).

    Example:
        >>> horses, zebras = (tfgen.data.from_arrays(np.zeros([n, 8, 8, 3], "uint8")) for n in (5, 7))
        >>> source = tfgen.data.unpaired(horses, zebras)
        >>> len(source), list(source.fields)
        (7, ['image', 'other', 'places'])

    Args:
      image: the Source of `image`; its label and its further fields are kept.
      other: the Source of `other`; its labels and further fields are not used.
      second: the name of the second field: "other", or "style" for contents and pictures of styles. The number of the
        picture is then also the field `style_label`.

    Raises:
      ValueError: the Sources differ in `levels`; `image` has a field of the same name as one of the result; an id contains
        " | ".
    """
    settings.check(unpaired, second=second)
    return UnpairedSource(image, other, second=second)


def from_unpaired(
    *, image: str | os.PathLike, other: str | os.PathLike, split: str | None = None, size: Size | None = None,
    channels: Channels | None = None, resize: Resize = "center_crop", on_error: OnError = "raise", levels: Levels = 256,
    in_memory: bool | None = None, second: _Second = "other",
) -> "UnpairedSource":  # fmt: skip
    """The `UnpairedSource` of two folders of images.

    Example:
        source = tfgen.data.from_unpaired(image="horses", other="zebras", size=128)
        source = tfgen.data.from_unpaired(image="photos", other="paintings", size=512, second="style")

    Args:
      image, other: the folders. A folder whose own name begins with `split`, such as testA, is taken as a whole.
      split, size, channels, resize, on_error, levels, in_memory: see `from_folder`; they apply to both.
      second: the name of the second field, see `unpaired`.

    Raises:
      ValueError: see `from_folder` and `unpaired`.
    """
    settings.check(from_unpaired, second=second)
    options: dict[str, Any] = dict(
        size=size, channels=channels, resize=resize, on_error=on_error, levels=levels, in_memory=in_memory
    )
    sides = []
    for path in (image, other):
        whole = split is not None and os.path.basename(os.path.normpath(path)).startswith(split)
        sides.append(from_folder(path, split=None if whole else split, **options))
    return UnpairedSource(*sides, split=split, second=second)


def unpaired_folders(path, split, second="other"):
    """The arguments image and other of `from_unpaired` for the folder `path`; ValueError if it has no such folders.

    Its sub-folders are `image` and `other` (or `style`), or, as in CycleGAN's archives, trainA, trainB, testA, testB.
    """
    root = os.path.abspath(os.path.expanduser(os.fspath(path)))
    choices = [("image", second), *([(f"{split}A", f"{split}B")] if second == "other" else [])]
    for names in choices:
        folders = [os.path.join(root, name) for name in names]
        if all(os.path.isdir(folder) for folder in folders):
            return dict(zip(("image", "other"), folders, strict=True))
    found = sorted(os.listdir(root)) if os.path.isdir(root) else []
    wanted = ", or ".join(" and ".join(names) for names in choices)
    raise ValueError(f"expected the folders {wanted}, in {root}; found {found or 'none'}")


def _seed_of_other(seed):
    """A seed for the second set, unlike those of the first set in runs with seeds nearby."""
    return int.from_bytes(hashlib.blake2b(f"other {int(seed)}".encode(), digest_size=7).digest(), "big")


class UnpairedSource(Source):
    """Two sets of images, made by `unpaired` and `from_unpaired`.

    In stored order, example i holds image i of each set; the shorter set begins again at its end. Which two images stand
    together there has no meaning. In shuffled batches each set has an order of its own.

    Example:
        >>> digits = tfgen.data.load("digits")
        >>> source = tfgen.data.unpaired(digits.take(10), digits.subset(range(10, 50)))
        >>> len(source), len(source.image_source)
        (40, 10)

    Attributes:
      image_source, other_source: the Sources of the two sets.
      second: the name of the second field, "other" or "style".
    """

    def __init__(
        self, image: Source, other: Source, *, name: str | None = None, split: str | None = None, second: str = "other",
        places: np.ndarray | None = None,
    ):  # fmt: skip
        """`places`: int [N, 2], the numbers in the two sets of the images that stand together; None: see the class."""
        if image.levels != other.levels:
            found = f"{image.levels} of {image!r} and {other.levels} of {other!r}"
            raise ValueError(f"levels must be the same for both sets; received {found}")
        taken = [key for key in _COLUMNS[second] if key in image.stored_fields]
        if taken:
            raise ValueError(f"the first of two sets must have no field {taken[0]!r}; received {image!r}")
        for source in (image, other):
            bad = next((key for key in source.ids if _BETWEEN in key), None)
            if bad is not None:
                raise ValueError(f"ids of unpaired images must not contain {_BETWEEN!r}; received {bad!r} in {source!r}")
        self.image_source, self.other_source, self.second = image, other, second
        n = max(len(image), len(other))
        if places is None:
            places = np.stack([np.arange(n) % len(image), np.arange(n) % len(other)], axis=-1)
        part, pictures = (
            source._part(None if np.array_equal(places[:, k], np.arange(len(source))) else places[:, k])
            for k, source in enumerate((image, other))
        )
        part["fields"][second] = (fields.image(other.image_shape, second), pictures["images"])
        declared = fields.Field("places", (2,), "int32", low=0, high=n - 1, names=("image", second))
        part["fields"]["places"] = (declared, places.astype(np.int32))
        if second == "style":
            part["fields"]["style_label"] = (fields.label(len(other), "style_label"), places[:, 1].astype(np.int32))
        part["ids"] = [_BETWEEN.join(pair) for pair in zip(image.ids[places[:, 0]], other.ids[places[:, 1]], strict=True)]
        part["skipped"] = [*image.skipped, *(entry for entry in other.skipped if entry not in image.skipped)]
        part["name"], part["split"] = name or f"{image.name} and {other.name}", split or image.split
        super().__init__(**part)

    @classmethod
    def of(cls, source: Source) -> "UnpairedSource":
        """Makes an UnpairedSource of the examples of one in any order, such as its records.

        Raises:
          ValueError: `source` has no fields `other` and `places` (or `style`, `places` and `style_label`), or its ids are
            not those of an UnpairedSource; it lacks a style whose number is less than that of another one.
        """
        found = source.stored_fields
        second = "style" if "other" not in found and ("style" in found or "style_label" in found) else "other"
        if any(name not in found for name in _COLUMNS[second]):
            wanted = " and ".join(map(repr, _COLUMNS[second]))
            raise ValueError(f"expected the fields {wanted}; {source!r} has {', '.join(found)}")
        ids = [str(key).split(_BETWEEN) for key in source.ids]
        if any(len(pair) != 2 for pair in ids):
            raise ValueError(f"expected ids of two images with {_BETWEEN!r} between; {source!r} has {source.ids[0]!r}")
        sides = []
        for k in range(2):
            numbers, first = np.unique(source.values("places")[:, k], return_index=True)  # in the order of the places
            missing = np.setdiff1d(np.arange(numbers[-1]), numbers)
            if k == 1 and second == "style" and missing.size:  # later styles would get other numbers
                raise ValueError(f"expected all styles up to {numbers[-1]}, the last one; {source!r} lacks {missing[0]}")
            part = source._part(first)
            columns = {key: part["fields"].pop(key) for key in _COLUMNS[second]}
            if k == 1:
                part.update(images=columns[second][1], labels=None, class_names=None, fields={})
            sides.append(Source(**{**part, "ids": [ids[i][k] for i in first], "skipped": ()}))
        made = cls(*sides, name=source.name, split=source.split, second=second)
        made.skipped = list(source.skipped)
        return made

    def __repr__(self):
        return f"{super().__repr__()[:-1]}; {len(self.image_source)} and {len(self.other_source)} without pairs)"

    def description(self) -> dict:
        return {**super().description(), "unpaired": True}

    def subset(self, indices: Sequence[int] | np.ndarray) -> "UnpairedSource":
        """The examples at `indices`, with their images of both sets, each once, as an UnpairedSource.

        The shorter set is repeated in the examples, so parts of one UnpairedSource can have images of it in common. All
        styles stay, so that each keeps its number.

        Raises:
          ValueError: see `Source.subset`; an index occurs twice.
        """
        part = self._part(indices)
        if len(set(np.asarray(indices).tolist())) < len(indices):
            raise ValueError("indices of an UnpairedSource must be different")
        places = part["fields"]["places"][1]
        kept = [list(dict.fromkeys(column.tolist())) for column in places.T]
        if self.second == "style":
            image = self.image_source.subset(kept[0])
            numbers = {old: new for new, old in enumerate(kept[0])}
            places = np.stack([[numbers[old] for old in places[:, 0].tolist()], places[:, 1]], axis=-1)
            return UnpairedSource(image, self.other_source, name=self.name, split=self.split, second="style", places=places)
        sides = (source.subset(k) for source, k in zip((self.image_source, self.other_source), kept, strict=True))
        return UnpairedSource(*sides, name=self.name, split=self.split)

    def held_out(self, share: PositiveFraction, seed: Seed = 0) -> tuple["UnpairedSource", "UnpairedSource"]:
        """As `Source.held_out`; ValueError also if both parts would have the same images, or parts of the same origins."""
        if self.second == "style":
            raise ValueError(f"{self!r}: all its styles would be in both parts, since each keeps its number")
        first, second = len(self.image_source), len(self.other_source)
        if first != second:
            raise ValueError(
                f"{self!r}: of two sets of {first} and {second} images without pairs, images of the shorter one would be in "
                "both parts"
            )
        if any(source.origins is not None for source in (self.image_source, self.other_source)):
            raise ValueError(f"{self!r}: its images are parts of photos, clips or objects, which both parts would share")
        return super().held_out(share, seed)  # type: ignore[return-value]  # two of `subset`, so of this class

    def batches(
        self, batch_size: int | Sequence[tuple[int, int]], *, shuffle: bool = False, repeat: bool = False, seed: int = 0,
        **options,
    ) -> tf.data.Dataset:  # fmt: skip
        """A tf.data.Dataset of {"image": images of one set, "other" or "style": of the other, "places": int32 [B, 2]}.

        With `shuffle` each set has an order, augmentation and noise of its own, from `seed`; further fields are those of
        `image`. With `repeat` each set has its own epochs: each of its images comes at most once in one. What does not fill
        a batch is left out of this epoch, other images in each, so all come equally often in the long run; a set smaller
        than a batch is repeated first. Without `repeat`, an epoch is as long as the longer set, and images of the shorter
        one come several times. Without `shuffle` the examples come in stored order. The batch of a step is a pure function
        of the source, the arguments and the step, like that of `Source.batches`.

        Args:
          batch_size, shuffle, repeat, seed, **options: as in `Source.batches`; with `shuffle`, drop_remainder must not be
            False.

        Raises:
          ValueError: as in `Source.batches`; drop_remainder is False with `shuffle`.
        """
        if not shuffle:
            return super().batches(batch_size, repeat=repeat, seed=seed, **options)
        if options.pop("drop_remainder", True) is False:
            raise ValueError("drop_remainder must be True with shuffle, since all batches have equal size; received False")
        sides = []
        for k, source in enumerate((self.image_source, self.other_source)):
            part = source._part()
            places = np.arange(len(source), dtype=np.int32)
            part["fields"] = {**(part["fields"] if k == 0 else {}), "places": (fields.Field("places", (), "int32"), places)}
            side = Source(**part)
            if repeat:
                side = repeated(side, batch_size)
            elif len(side) < len(self):
                side = side.subset(np.arange(len(self)) % len(side))
            # Of equal seeds both orders would be equal if the sets have the same number of images.
            own = _seed_of_other(seed) if k else seed
            given = {"shuffle": True, "repeat": repeat, "seed": own, "drop_remainder": True, **options}
            sides.append(side.batches(batch_size, **given))

        def join(image, other):
            places = tf.stack([image["places"], other["places"]], axis=-1)
            number = {"style_label": other["places"]} if self.second == "style" else {}
            return {**image, self.second: other["image"], "places": places, **number}

        return tf.data.Dataset.zip(*sides).map(join)
