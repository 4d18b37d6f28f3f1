"""Images for every combination of some factors (pose, light, identity), and batches in which one group of factors varies.

Kulkarni et al., "Deep Convolutional Inverse Graphics Network", 2015, arXiv:1503.03167, section 3.2: in a mini-batch one
factor varies and all others are constant, or all intrinsic factors (shape, texture, ...) vary at one pose and light.
"""

import functools
import hashlib
import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.data.batches import check_batch_size, make_batches
from tfgen.data.pixels import Pixels
from tfgen.data.source import Source
from tfgen.fields import Field

INTRINSIC_RATIO = 10  # batches in which the intrinsic factors vary, for one batch of each other factor
_GROUP, _FIXED, _ORDER = 1, 2, 3  # numbers of the random streams


class FactorSource(Source):
    """A Source with known factors of each image, and exactly one image for every combination of their values.

    `where` returns a FactorSource of a part of the images; `subset` and `take` return a plain Source with the field
    `factors`, from which `FactorSource.of` makes a FactorSource if all combinations are there.

    Example:
        >>> indices = np.array([[shape, light] for shape in range(2) for light in range(3)])
        >>> images = np.zeros([6, 8, 8, 1], "uint8")
        >>> source = tfgen.data.FactorSource(
        ...     images, indices, ("shape", "light"), groups=("light",), name="mine", split="train")
        >>> source.where("light", [0, 2]).factor("shape").tolist()
        [0, 0, 1, 1]
        >>> list(source.fields)
        ['image', 'factors', 'active']

    Attributes:
      factor_names: the names of the factors.
      indices: int [N, factors]: the values of the factors, as whole numbers; in batches the field `factors`, int32.
      groups: names of the factors that vary one at a time; all others are intrinsic and vary together.
    """

    def __init__(
        self, images: np.ndarray | Pixels, indices: np.ndarray, factor_names: Sequence[str], *, groups: Sequence[str],
        labels: np.ndarray | None = None, fields: dict | None = None, **attributes,
    ):  # fmt: skip
        """`images`: uint8 [N, H, W, C], not copied; `fields`, `attributes`: of `Source`, which needs `name` and `split`.

        Raises:
          ValueError: a combination of values is missing or occurs twice; a group is not a factor.
        """
        self.factor_names, self.groups = tuple(factor_names), tuple(groups)
        indices = np.asarray(indices)
        wanted = (images.shape[0], len(self.factor_names))
        if indices.shape != wanted or not np.issubdtype(indices.dtype, np.integer):
            raise ValueError(
                f"indices must be whole numbers {wanted} of {self.factor_names}; received {indices.dtype} {indices.shape}"
            )
        factors = Field("factors", wanted[1:], "int32", names=self.factor_names)
        fields = {"factors": (factors, indices.astype(np.int32)), **(fields or {})}
        super().__init__(images, labels, fields=fields, **attributes)
        self.indices: np.ndarray = self._columns["factors"]
        unknown = [name for name in self.groups if name not in self.factor_names]
        if unknown or len(set(self.groups)) < len(self.groups):
            raise ValueError(f"groups must be different names among {self.factor_names}; received {self.groups}")
        values, places = zip(*(np.unique(column, return_inverse=True) for column in self.indices.T), strict=True)
        sizes = [len(v) for v in values]
        flat = np.ravel_multi_index([p.ravel() for p in places], sizes)
        if len(np.unique(flat)) != self.num_examples or self.num_examples != np.prod(sizes):
            sizes = dict(zip(self.factor_names, sizes, strict=True))
            raise ValueError(
                f"{self.name}: there must be one image of each combination of values; received {self.num_examples} images, "
                f"{len(np.unique(flat))} different combinations, of a grid {sizes}"
            )
        # Axes: one for each group, then one for all intrinsic factors together.
        intrinsic = [name for name in self.factor_names if name not in self.groups]
        axes = [self.factor_names.index(name) for name in (*self.groups, *intrinsic)]
        grid = np.argsort(flat).reshape(sizes).transpose(axes)
        self._grid = grid.reshape(*grid.shape[: len(self.groups)], -1)  # [groups..., intrinsic] -> example

    @classmethod
    def of(cls, source: Source, groups: Sequence[str]) -> "FactorSource":
        """Makes a FactorSource of a Source that has the field `factors` with its names; ValueError if it has none."""
        field = source.stored_fields.get("factors")
        if field is None or field.names is None:
            raise ValueError(f"{source!r} has no field 'factors' with the names of the factors")
        return cls._of(source._part(), groups)

    @classmethod
    def _of(cls, part, groups):
        field, indices = part["fields"].pop("factors")
        return cls(part.pop("images"), indices, field.names, groups=groups, **part)

    @property
    def fields(self) -> dict[str, Field]:
        """The fields of an example: those of the images, and "active", the index of the group that varies in the batch."""
        return {**super().fields, "active": Field("active", (), "int32", low=0, high=len(self.groups))}

    def description(self) -> dict:
        return {**super().description(), "groups": list(self.groups)}

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) of the images and their factors."""
        what = f"{self._fingerprint(without=['factors'])} {self.factor_names} {self.groups}".encode()
        return hashlib.sha256(what + self.indices.astype("<i8").tobytes()).hexdigest()

    def factor(self, name: str) -> np.ndarray:
        """The values of a factor: int64 [N]."""
        if name not in self.factor_names:
            raise ValueError(f"{self!r} has no factor {name!r}")
        return self.indices[:, self.factor_names.index(name)]

    def where(self, name: str, values: Sequence[int]) -> "FactorSource":
        """The FactorSource of the images whose factor `name` has one of `values`, in stored order."""
        keep = np.isin(self.factor(name), values)
        if not keep.any():
            raise ValueError(f"no image of {self!r} has {name} among {values!r}")
        return FactorSource._of(self._part(np.flatnonzero(keep)), self.groups)

    def batches(
        self, batch_size: int | Sequence[tuple[int, int]], *, shuffle: bool = False, seed: int = 0,
        ratio: Sequence[float] | None = None, **options,
    ) -> tf.data.Dataset:  # fmt: skip
        """Like `Source.batches`; with `shuffle`, one group of factors varies in each batch: the field "active".

        `active`, int32 [B], has the same number in all rows: k if factor `groups[k]` varies, `len(groups)` if all intrinsic
        factors vary. The group, and the constant values of the other factors, are drawn from (seed, step). The values of the
        group come in random order, each equally often (or once more, if `batch_size` is not a multiple of their number). An
        epoch has as many batches as N images fill, but does not contain each image once. The batch of a step is a pure
        function of the source, the arguments and the step. Without `shuffle` the images come in stored order, without
        `active`.

        Args:
          batch_size: as in `Source.batches`, at least 2 with `shuffle`.
          shuffle, seed, **options: as in `Source.batches`; with `shuffle`, drop_remainder must not be False.
          ratio: relative frequencies of the groups and, last, of the intrinsic factors; default: 1 for each group, then 10.

        Raises:
          ValueError: as in `Source.batches`; `ratio` has the wrong length or a negative number; a group of positive ratio
            has only one value.
        """
        if not shuffle:
            if ratio is not None:
                raise ValueError(f"ratio={ratio!r} needs shuffle=True: without it, no group of factors is chosen")
            return super().batches(batch_size, seed=seed, **options)
        if options.pop("drop_remainder", True) is False:
            raise ValueError("drop_remainder must be True with shuffle, since all batches have equal size; received False")
        if min(size for _, size in check_batch_size(batch_size)) < 2:
            raise ValueError(f"batch_size must be at least 2, so that a group can vary; received {batch_size!r}")
        names, sizes = (*self.groups, "the intrinsic factors"), self._grid.shape
        ratio = np.array([1] * len(self.groups) + [INTRINSIC_RATIO] if ratio is None else ratio, np.float64)
        if ratio.shape != (len(names),) or not np.isfinite(ratio).all() or ratio.min() < 0 or ratio.sum() == 0:
            raise ValueError(f"ratio must be {len(names)} numbers >= 0, for {', '.join(names)}; received {ratio.tolist()}")
        for name, size, weight in zip(names, sizes, ratio, strict=True):
            if size == 1 and weight:
                raise ValueError(f"{self!r} has only one value of {name}, which cannot vary: set its entry in ratio to 0")

        # Captured by the graph, not constants in it: see `make_batches`.
        with tf.init_scope(), tf.device("CPU:0"):
            grid = tf.constant(self._grid.ravel(), tf.int64)
            bounds = tf.constant(np.cumsum(ratio / ratio.sum())[:-1], tf.float32)
        strides = np.array([int(np.prod(sizes[k + 1 :])) for k in range(len(sizes))], np.int64)

        def choose(step, batch_size):
            key = random.fold(random.key(seed), step)
            active = tf.reduce_sum(tf.cast(random.uniform(random.fold(key, _GROUP)[None], 1)[0] >= bounds, tf.int32))
            draws = random.uniform(random.fold(key, _FIXED)[None], len(sizes))[0]  # in (0, 1)
            fixed = tf.minimum(tf.cast(draws * np.array(sizes, np.float32), tf.int64), np.array(sizes, np.int64) - 1)
            size, stride = tf.gather(np.array(sizes, np.int64), active), tf.gather(strides, active)
            begin = tf.reduce_sum(fixed * strides) - tf.gather(fixed, active) * stride
            # Random permutations of all values, one after the other, as many as the batch needs.
            rounds = tf.range((batch_size - 1) // size + 1)
            orders = tf.argsort(random.uniform(random.fold(random.fold(key, _ORDER), rounds), size), axis=-1)
            values = tf.cast(tf.reshape(orders, [-1])[:batch_size], tf.int64)
            indices = tf.ensure_shape(tf.gather(grid, begin + stride * values), [batch_size])
            return indices, {"active": tf.fill([batch_size], active)}

        return make_batches(
            self, batch_size, shuffle=True, seed=seed, drop_remainder=True, choose=choose, **options
        )


def coil20(split="train", *, manual_dir=None):
    """COIL-20 (Nene, Nayar, Murase 1996): 20 objects on a turntable, 72 views of each, 5 degrees apart; 32x32 grey.

    A `FactorSource` with the factors `object` (intrinsic; also the label) and `azimuth`. The split is by object: every fifth
    object (label 4, 9, 14, 19) is in "test", the others in "train". The orientation of an object at azimuth 0 is arbitrary.

    Args:
      manual_dir: the folder with COIL20.mat, the version of Deng Cai: X uint8 [1440, 1024] in column-major order, and Y
        [1440] in 1..20, with the views of an object in order.

    Raises:
      ValueError: the split is unknown; the file is missing or has other arrays.
    """
    if split not in ("train", "test"):
        raise ValueError(f"coil20 has the splits 'train' and 'test'; received {split!r}")
    path = os.path.join(os.path.abspath(os.path.expanduser(manual_dir or ".")), "COIL20.mat")
    if manual_dir is None or not os.path.exists(path):
        raise ValueError(f"coil20 needs manual_dir, a folder with COIL20.mat; received manual_dir={manual_dir!r}")
    from scipy.io import loadmat

    arrays = loadmat(path)
    pixels, labels = arrays.get("X", np.empty(0)), arrays.get("Y", np.empty(0)).ravel()
    if pixels.shape != (1440, 1024) or pixels.dtype != np.uint8 or not np.array_equal(labels, np.arange(1440) // 72 + 1):
        raise ValueError(
            f"expected X uint8 (1440, 1024) and Y 1..20, 72 rows of each, in {path}; found X {pixels.dtype} {pixels.shape}, "
            f"Y {labels.shape}"
        )
    indices = np.stack(np.divmod(np.arange(1440), 72), axis=-1)  # object, view
    keep = (indices[:, 0] % 5 == 4) == (split == "test")
    images = pixels.reshape(-1, 32, 32).transpose(0, 2, 1)[keep, :, :, None]
    return FactorSource(
        np.ascontiguousarray(images), indices[keep], ("object", "azimuth"), groups=("azimuth",), labels=indices[keep, 0],
        num_classes=20, name="coil20", split=split,
    )  # fmt: skip
