"""Procedural textures, as styles that need no files: stripes, checks, dots and noise."""

import numpy as np

from tfgen import settings
from tfgen.data.source import Source, from_arrays, level_values
from tfgen.data.unpaired import UnpairedSource
from tfgen.settings import Channels, Levels, PositiveInt, Seed, Size

KINDS = ("horizontal", "vertical", "diagonal", "checks", "dots", "noise")


def textures(
    num: PositiveInt = 16, *, size: Size = 28, channels: Channels = 1, levels: Levels = 256, seed: Seed = 0
) -> Source:  # fmt: skip
    """A Source of random textures: stripes (horizontal, vertical, diagonal), checks, dots and noise, in turn.

    Period, phase and both colours of a texture, or the grain of the noise, are drawn from `seed`; no two are alike.

    Example:
        >>> source = tfgen.data.textures(8, size=32, channels=3)
        >>> len(source), source.image_shape, source.ids[6]
        (8, (32, 32, 3), 'horizontal-6')

    Args:
      num: number of textures.
      size: int, or (height, width).
      channels: 1 or 3.
      levels: number of grey levels.
      seed: texture k is a function of `seed`, k and the other arguments but `num`.

    Raises:
      ValueError: an argument is not of its type.
    """
    settings.check(textures, num=num, size=size, channels=channels, levels=levels, seed=seed)
    height, width = (size, size) if isinstance(size, (int, np.integer)) else size
    found = [_texture(k, height, width, channels, np.random.default_rng([seed, k])) for k in range(num)]
    pixels = level_values(levels)[np.rint(np.stack(found) * (levels - 1)).astype(int)]
    ids = [f"{KINDS[k % len(KINDS)]}-{k}" for k in range(num)]
    return from_arrays(pixels, levels=levels, name=f"{num} textures", ids=ids)


def textured(source: Source, *, num: PositiveInt = 16, seed: Seed = 0) -> UnpairedSource:
    """Images as contents, and procedural `textures` of their size as styles.

    Example:
        >>> source = tfgen.data.load("textured:digits", num=6)
        >>> len(source.image_source), len(source.other_source), list(source.fields)
        (1400, 6, ['image', 'style', 'places', 'style_label', 'label'])

    Args:
      source: a Source without the fields `style`, `places` and `style_label`.
      num: number of textures.
      seed: of the textures. They are the same in every split; for textures that no training saw take another seed.
    """
    height, width, channels = source.image_shape
    styles = textures(num, size=(height, width), channels=1 if channels == 1 else 3, levels=source.levels, seed=seed)
    return UnpairedSource(source, styles, name=f"textured:{source.name}", split=source.split, second="style")


def _texture(k, height, width, channels, rng):
    """float [height, width, channels] in [0, 1]."""
    rows, columns = np.mgrid[:height, :width].astype(float)
    period, phase = rng.uniform(3.0, 8.0), rng.uniform(0.0, 8.0, 2)
    dark, light = rng.uniform(0.0, 0.4, channels), rng.uniform(0.6, 1.0, channels)
    high = lambda x: (x % period) < period / 2  # noqa: E731
    kind, y, x = KINDS[k % len(KINDS)], rows + phase[0], columns + phase[1]
    if kind == "horizontal":
        amount = high(y)
    elif kind == "vertical":
        amount = high(x)
    elif kind == "diagonal":
        amount = high((x + y) / np.sqrt(2.0))
    elif kind == "checks":
        amount = high(y) ^ high(x)
    elif kind == "dots":
        amount = ((y % period) - period / 2) ** 2 + ((x % period) - period / 2) ** 2 < (period / 3.5) ** 2
    else:
        grain = int(rng.integers(1, 4))
        coarse = rng.random((-(-height // grain), -(-width // grain)))
        amount = np.kron(coarse, np.ones((grain, grain)))[:height, :width]
    return dark + (light - dark) * amount[..., None].astype(float)
