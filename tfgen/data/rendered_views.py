"""Two views of each rendered head, for the synthesis of novel views (Park et al. 2017, arXiv:1703.02921).

The solids are those of `tfgen.data.rendered_shapes`, turned about the vertical axis in steps of 45 degrees. The lamp turns
with the solid, so a point of its surface has the same grey in all views: what two views have in common is a pure warp.
"""

import numpy as np

from tfgen import fields
from tfgen.data.rendered_shapes import NUM_SHAPES, SIZE, SPLITS, render, shapes, visibility
from tfgen.data.source import Source

STEP = 45.0  # degrees between neighbouring views
NUM_VIEWS = 8
_LAMP = 30.0  # azimuth of the lamp relative to the solid's front


def rendered_views(split: str = "train") -> Source:
    """A Source of all pairs of different views of each solid: 32x32 grey, without files.

    Example:
        >>> source = tfgen.data.load("rendered_views", "test")
        >>> {name: field.shape for name, field in source.fields.items()}  # doctest: +NORMALIZE_WHITESPACE
        {'image': (32, 32, 1), 'view': (7,), 'target': (32, 32, 1), 'mask': (32, 32), 'foreground': (32, 32),
         'flow': (32, 32, 2), 'label': ()}

    Args:
      split: "train" (96 solids), "validation" (16) or "test" (16); the splits share no solid.

    Returns:
      a Source with `image`, the given view; `view`, one-hot [7], the turn from it by 45, 90, ..., 315 degrees; `target`, the
      turned view; and of each pixel of the target, at its centre and exactly: `foreground`, whether it shows the solid;
      `mask`, whether it shows a point of the solid that is seen in `image` too; `flow` (dx, dy), float32 [32, 32, 2], the
      way to the place of that point in `image`, in pixels. The label is the number of the solid, and so are `origins`.

    Raises:
      ValueError: another split.
    """
    if split not in SPLITS:
        raise ValueError(f"rendered_views has the splits {list(SPLITS)}; received {split!r}")
    numbers = np.array(SPLITS[split])
    start, turn = (k.ravel() for k in np.meshgrid(np.arange(NUM_VIEWS), np.arange(1, NUM_VIEWS), indexing="ij"))  # [56]
    pictures, seen, angles, flows = [], [], STEP * np.arange(NUM_VIEWS), []
    for number in numbers:
        centres, axes, albedo = (part.repeat(len(start), axis=0) for part in shapes([number]))
        solid = centres[:NUM_VIEWS], axes[:NUM_VIEWS], albedo[:NUM_VIEWS]
        pictures.append(render(*solid, angles, np.zeros(NUM_VIEWS), angles + _LAMP))
        where, visible, flow = visibility(centres, axes, STEP * start, STEP * (start + turn))
        seen.append(np.stack([visible, where]))
        flows.append(flow.astype(np.float32))
    pictures, seen = np.stack(pictures), np.stack(seen, axis=1).reshape(2, -1, SIZE, SIZE) * np.uint8(255)
    images, targets = (pictures[:, k % NUM_VIEWS].reshape(-1, SIZE, SIZE, 1) for k in (start, start + turn))
    view = np.tile(np.eye(NUM_VIEWS - 1, dtype=np.float32)[turn - 1], (len(numbers), 1))
    return Source(
        images,
        np.repeat(numbers, len(start)),
        fields={
            "view": (fields.Field("view", (NUM_VIEWS - 1,), directional=True), view),
            "target": (fields.image((SIZE, SIZE, 1), "target"), targets),
            "mask": (fields.mask(SIZE, SIZE), seen[0]),
            "foreground": (fields.mask(SIZE, SIZE, "foreground"), seen[1]),
            "flow": (fields.Field("flow", (SIZE, SIZE, 2)), np.concatenate(flows)),
        },
        name="rendered_views",
        split=split,
        num_classes=NUM_SHAPES,
        origins=np.repeat(numbers, len(start)).astype(str),
    )
