"""Rendered heads: 128 solids in every pose and light of a grid, 32x32 grey, with a TensorFlow Datasets builder.

A solid is a union of ellipsoids: a head, a darker nose in front of it, two ears, and dark hair behind, with random sizes and
places. The camera is orthographic, and one lamp at infinity lights the solid:

    grey = albedo (0.3 + 0.7 max(0, n . l)) with surface normal n and lamp direction l; the background is 0.

The factors, each on an even grid: `azimuth`, the turn about the vertical axis, -60 to 60 degrees in 9 values (at positive
angles the nose points to the right of the image; it is always visible); `elevation` of the camera above the solid, -30 to 30
degrees in 4 values; `light`, the azimuth of the lamp relative to the camera, -75 to 75 degrees in 4 values, 25 degrees up.
Over these ranges each image has one value of each factor. Nothing is downloaded; rendering a split takes seconds.
"""

import numpy as np
import tensorflow_datasets as tfds

from tfgen.data.factors import FactorSource

SIZE = 32
NUM_SHAPES = 128
GRID = {
    "azimuth": np.linspace(-60.0, 60.0, 9),
    "elevation": np.linspace(-30.0, 30.0, 4),
    "light": np.linspace(-75.0, 75.0, 4),
}  # degrees
# The splits share no shape.
SPLITS = {"train": range(0, 96), "validation": range(96, 112), "test": range(112, 128)}
_AMBIENT, _LAMP_HEIGHT, _SAMPLES = 0.3, np.deg2rad(25.0), 2  # samples: rays per pixel and axis
_HALF_WIDTH = 1.25  # of the field of view


def shapes(indices):
    """The ellipsoids of the solids `indices`: (centres [N, 5, 3], semi-axes [N, 5, 3], albedos [N, 5]).

    Axes: x to the right, y up, z towards the camera at azimuth and elevation 0. The parts are head, nose, two ears, hair.
    """
    indices = np.asarray(indices)
    if indices.ndim != 1 or np.any((indices < 0) | (indices >= NUM_SHAPES)):
        raise ValueError(f"indices must be a list of numbers in [0, {NUM_SHAPES}); received {indices.tolist()}")
    u = np.random.RandomState(0).uniform(size=(NUM_SHAPES, 16))[indices].T  # a sequence that NumPy guarantees
    between = lambda k, low, high: low + (high - low) * u[k]  # noqa: E731
    head = np.stack([between(0, 0.5, 0.75), between(1, 0.6, 0.85), between(2, 0.5, 0.75)], axis=-1)  # [N, 3]
    nose = np.stack([between(3, 0.15, 0.25), between(4, 0.15, 0.3), between(5, 0.3, 0.45)], axis=-1)
    ear = np.stack([between(6, 0.06, 0.15), between(7, 0.15, 0.35), between(8, 0.1, 0.25)], axis=-1)
    hair = head * np.stack([between(9, 0.85, 1.05), between(10, 0.7, 1.0), between(11, 0.75, 1.0)], axis=-1)
    zero, ear_height = np.zeros(len(indices)), between(12, -0.2, 0.4)
    centres = [
        np.zeros_like(head),
        np.stack([zero, between(13, -0.25, 0.15), head[:, 2]], axis=-1),
        np.stack([head[:, 0], ear_height, zero], axis=-1),
        np.stack([-head[:, 0], ear_height, zero], axis=-1),
        np.stack([zero, 0.3 * head[:, 1], -0.4 * head[:, 2]], axis=-1),
    ]
    skin, dark = between(14, 0.7, 1.0), between(15, 0.15, 0.4)
    albedo = np.stack([skin, 0.5 * skin, skin, skin, dark], axis=-1)
    return np.stack(centres, axis=1), np.stack([head, nose, ear, ear, hair], axis=1), albedo


def render(centres, axes, albedo, azimuth, elevation, light, size=SIZE):
    """Images of solids.

    Args:
      centres, axes: [N, K, 3], of the K ellipsoids of each solid; albedo: [N, K], in [0, 1].
      azimuth, elevation, light: [N], degrees.

    Returns:
      uint8 [N, size, size, 1].
    """
    m, centres = _seen(centres, axes, rotation_of(azimuth, elevation))
    lamp = np.deg2rad(light)
    lamp = np.stack(
        [np.sin(lamp) * np.cos(_LAMP_HEIGHT), np.full_like(lamp, np.sin(_LAMP_HEIGHT)), np.cos(lamp) * np.cos(_LAMP_HEIGHT)]
    )  # [3, N]
    m, centres, lamp, albedo = (np.array(values, np.float32) for values in (m, centres, lamp, albedo))
    lamp, albedo = lamp[..., None, None], albedo[..., None, None]
    places = np.array(((np.arange(size * _SAMPLES) + 0.5) / (size * _SAMPLES) * 2.0 - 1.0) * _HALF_WIDTH, np.float32)
    x, y = places[None, None, :], -places[None, :, None]

    depth = np.full((len(m), len(places), len(places)), -np.inf, np.float32)
    shade = np.zeros_like(depth)
    for k in range(m.shape[1]):
        hit, w, normal = _hit(m[:, k], centres[:, k], x, y)
        length = np.sqrt(normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2])
        cosine = (normal[0] * lamp[0] + normal[1] * lamp[1] + normal[2] * lamp[2]) / length
        lit = albedo[:, k] * (np.float32(_AMBIENT) + np.float32(1.0 - _AMBIENT) * np.maximum(cosine, 0.0))
        nearest = hit & (w > depth)
        depth, shade = np.where(nearest, w, depth), np.where(nearest, lit, shade)
    pixels = shade.reshape(len(m), size, _SAMPLES, size, _SAMPLES).mean(axis=(2, 4))
    return np.rint(255.0 * pixels).astype(np.uint8)[..., None]


def visibility(centres, axes, azimuth, target_azimuth, elevation=None, size=SIZE):
    """What of each solid's view at `target_azimuth` is also seen at `azimuth`, exactly, at the centres of pixels.

    Args:
      centres, axes: [N, K, 3], see `render`.
      azimuth, target_azimuth: [N], degrees, of the two views.
      elevation: [N], degrees, of both; None: 0.

    Returns:
      (solid bool [N, size, size]: where the target's pixel shows the solid; visible bool: where it shows a point that is
      seen in the other view too; flow float64 [N, size, size, 2]: (dx, dy) in pixels from a pixel of the target to the place
      of the same point in the other view, 0 where `solid` is false).
    """
    elevation = np.zeros(len(centres)) if elevation is None else elevation
    there, here = rotation_of(target_azimuth, elevation), rotation_of(azimuth, elevation)  # [N, 3, 3]
    places = ((np.arange(size) + 0.5) / size * 2.0 - 1.0) * _HALF_WIDTH
    x, y = places[None, None, :], -places[None, :, None]
    depth = _depth(centres, axes, there, x, y)
    solid = np.isfinite(depth)
    points = np.stack(np.broadcast_arrays(x, y, np.where(solid, depth, 0.0)), axis=-1)  # [N, size, size, 3]
    points = np.einsum("nij,nkj,nhwk->nhwi", here, there, points)  # in the frame of the other camera
    nearest = _depth(centres, axes, here, points[..., 0], points[..., 1])
    # A visible point is itself the nearest one, up to rounding.
    visible = solid & (points[..., 2] >= nearest - 1e-6)
    pixel = size / (2.0 * _HALF_WIDTH)
    flow = np.stack([points[..., 0] - x, y - points[..., 1]], axis=-1) * pixel
    return solid, visible, np.where(solid[..., None], flow, 0.0)


def _seen(centres, axes, rotation):
    """(M [N, K, 3, 3], centres [N, K, 3]) of ellipsoids in a camera's frame: with R the rotation into it, an ellipsoid is
    (p - R c)' M (p - R c) = 1, M = R diag(1 / axes^2) R'."""
    rotation = rotation[:, None]  # [N, 1, 3, 3]
    scaled = rotation / axes[:, :, None, :]  # [N, K, 3, 3]
    m = np.sum(scaled[..., :, None, :] * scaled[..., None, :, :], axis=-1)  # [N, K, 3, 3]
    return m, np.sum(rotation * centres[:, :, None, :], axis=-1)


def _hit(m, centre, x, y):
    """(whether the rays at x, y meet the ellipsoids, depth, normal) for m [N, 3, 3], centre [N, 3]: each [N, H, W]."""
    entry = lambda i, j: m[:, i, j, None, None]  # noqa: E731
    u, v = x - centre[:, 0, None, None], y - centre[:, 1, None, None]
    # Along a ray: m22 w^2 + 2 b w + c = 0; the camera sees the larger root.
    b = entry(0, 2) * u + entry(1, 2) * v
    c = entry(0, 0) * u * u + 2.0 * entry(0, 1) * u * v + entry(1, 1) * v * v - np.float32(1.0)
    discriminant = b * b - entry(2, 2) * c
    w = (np.sqrt(np.maximum(discriminant, 0.0)) - b) / entry(2, 2)
    normal = [entry(i, 0) * u + entry(i, 1) * v + entry(i, 2) * w for i in range(3)]
    return discriminant > 0, w + centre[:, 2, None, None], normal


def _depth(centres, axes, rotation, x, y):
    """float64 [N, H, W]: the depth of the nearest point on each ray, larger is nearer; -inf where there is none."""
    m, centres = _seen(centres, axes, rotation)
    depth = np.full(np.broadcast_shapes((len(m), 1, 1), x.shape, y.shape), -np.inf)
    for k in range(m.shape[1]):
        hit, w, _ = _hit(m[:, k], centres[:, k], x, y)
        depth = np.where(hit & (w > depth), w, depth)
    return depth


def rotation_of(azimuth, elevation):
    """[N, 3, 3], of degrees [N]: a rotation about y, then about x. A camera that moves up sees the front turn down."""
    azimuth, elevation = np.deg2rad(azimuth), np.deg2rad(elevation)
    (sa, ca), (se, ce) = ((np.sin(angle), np.cos(angle)) for angle in (azimuth, elevation))
    zero = np.zeros_like(sa)
    rows = [[ca, zero, sa], [-se * -sa, ce, -se * ca], [ce * -sa, se, ce * ca]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=1)


def rendered_shapes_arrays(split):
    """(images uint8 [N, 32, 32, 1], indices int64 [N, 4]) of split "train", "validation" or "test".

    Indices: the number of the shape, and the place on the grid of azimuth, elevation and light; the last varies fastest.
    """
    if split not in SPLITS:
        raise ValueError(f"rendered_shapes has the splits {list(SPLITS)}; received {split!r}")
    poses = np.indices([len(values) for values in GRID.values()]).reshape(len(GRID), -1)  # [3, 144]
    angles = [values[place] for values, place in zip(GRID.values(), poses, strict=True)]
    images, indices = [], []
    for shape in SPLITS[split]:
        images.append(render(*(part.repeat(poses.shape[1], axis=0) for part in shapes([shape])), *angles))
        indices.append(np.concatenate([np.full_like(poses[:1], shape), poses]).T)
    return np.concatenate(images), np.concatenate(indices)


def rendered_shapes(split="train"):
    """The `FactorSource` of a split; its label is the number of the shape."""
    images, indices = rendered_shapes_arrays(split)
    return FactorSource(
        images, indices, ("shape", *GRID), groups=tuple(GRID), labels=indices[:, 0], num_classes=NUM_SHAPES,
        name="rendered_shapes", split=split,
    )  # fmt: skip


class RenderedShapes(tfds.core.GeneratorBasedBuilder):
    """Rendered heads; see the module's docstring."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}

    def _info(self):
        return self.dataset_info_from_configs(
            description="128 rendered solids in 9 azimuths, 4 elevations and 4 lights, 32x32 grey; splits by solid.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(SIZE, SIZE, 1)),
                    "label": tfds.features.ClassLabel(num_classes=NUM_SHAPES),
                    "factors": tfds.features.Tensor(shape=(len(GRID),), dtype=np.int64),  # places on the grid
                    **{name: tfds.features.Scalar(np.float32) for name in GRID},  # degrees
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,  # stored order is the order of rendered_shapes_arrays
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in SPLITS}

    def _generate_examples(self, split):
        for i, (image, (shape, *places)) in enumerate(zip(*rendered_shapes_arrays(split), strict=True)):
            angles = {name: values[place] for (name, values), place in zip(GRID.items(), places, strict=True)}
            yield i, {"image": image, "label": int(shape), "factors": np.array(places), **angles}
