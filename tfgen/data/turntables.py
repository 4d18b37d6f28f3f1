"""Pairs of views of the objects of COIL-20, for the synthesis of novel views (Park et al. 2017, arXiv:1703.02921)."""

import os

import numpy as np

from tfgen import fields
from tfgen.data.factors import coil20
from tfgen.data.source import Source

NUM_TURNS = 17  # by 20, 40, ..., 340 degrees, as in the paper
_VIEWS, _STEP = 72, 4  # views of an object, 5 degrees apart; of the smallest turn
_ORDER = np.random.RandomState(0).permutation(_VIEWS)  # a sequence that NumPy guarantees
_HELD_OUT = {"views": _ORDER[:8], "validation": _ORDER[8:16]}  # views of known objects that only these splits have
_SPLITS = ("train", *_HELD_OUT, "test")


def coil20_views(split: str = "train", *, manual_dir: str | os.PathLike | None = None) -> Source:
    """A Source of pairs of views of the objects of COIL-20, 32x32 grey, that differ by a turn of 20, 40, ..., 340 degrees.

    The splits: "train", pairs of 56 views of 16 objects; "views", whose targets are 8 views of these objects that no pair
    of "train" has, and "validation", with 8 others, drawn once for all objects; "test", all pairs of the four objects that
    are in no other split. In "views" and "validation" the given view is one of "train".

    Example:
        views = tfgen.data.coil20_views("train", manual_dir="/data/coil20")

    Args:
      split: one of these.
      manual_dir: the folder with COIL20.mat, see `tfgen.data.load("coil20")`.

    Returns:
      a Source with `image`, the given view; `view`, one-hot [17], the turn; `target`, the turned view. The label is the
      object, and so are `origins`. There is no mask of what is visible: nobody knows the shapes of the objects.

    Raises:
      ValueError: another split; the file is missing or has other arrays.
    """
    if split not in _SPLITS:
        raise ValueError(f"coil20_views has the splits {list(_SPLITS)}; received {split!r}")
    views = coil20("test" if split == "test" else "train", manual_dir=manual_dir)
    pixels = np.rint(255.0 * views.images()).astype(np.uint8).reshape(-1, _VIEWS, *views.image_shape)
    given, turn = (k.ravel() for k in np.meshgrid(np.arange(_VIEWS), np.arange(1, NUM_TURNS + 1), indexing="ij"))
    wanted = (given + _STEP * turn) % _VIEWS
    if split != "test":
        known = np.isin([given, wanted], _ORDER[16:])
        keep = known[0] & (known[1] if split == "train" else np.isin(wanted, _HELD_OUT[split]))
        given, turn, wanted = given[keep], turn[keep], wanted[keep]
    images, targets = (pixels[:, k].reshape(-1, *views.image_shape) for k in (given, wanted))
    view = np.tile(np.eye(NUM_TURNS, dtype=np.float32)[turn - 1], (len(pixels), 1))
    objects = np.repeat(views.labels()[::_VIEWS], len(given))
    return Source(
        images,
        objects,
        fields={
            "view": (fields.Field("view", (NUM_TURNS,), directional=True), view),
            "target": (fields.image(views.image_shape, "target"), targets),
        },
        name="coil20_views",
        split=split,
        num_classes=views.num_classes,
        origins=objects.astype(str),
    )
