"""Image arrays -> PNG files: sample grid, reconstructions, translations, nearest training neighbours."""

import numpy as np

from tfgen.models.capabilities.capability import one_above_another

MIN_TILE = 32  # pixels; smaller images are enlarged by a whole factor, so that they can be looked at


def grid(images, columns, *, gap=2):
    """Images [N, H, W, C] in [0, 1] -> uint8 [rows, columns, C or 3]: row by row, white gaps, enlarged if small."""
    images = np.asarray(images)
    if images.ndim != 4 or not len(images):
        raise ValueError(f"A grid needs images [N, H, W, C] with N >= 1; received shape {images.shape}.")
    n, height, width, channels = images.shape
    factor = max(1, -(-MIN_TILE // max(height, width)))
    rows = -(-n // columns)
    pixels = np.round(np.clip(np.nan_to_num(images), 0.0, 1.0) * 255.0).astype(np.uint8)
    pixels = pixels.repeat(factor, axis=1).repeat(factor, axis=2)
    height, width = pixels.shape[1:3]
    canvas = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, channels), 255, np.uint8)
    for i, image in enumerate(pixels):
        y, x = gap + (i // columns) * (height + gap), gap + (i % columns) * (width + gap)
        canvas[y : y + height, x : x + width] = image
    return canvas


def write_png(path, pixels):
    """uint8 [H, W, C], C in 1 to 4, to a PNG file."""
    import tensorflow as tf

    tf.io.write_file(str(path), tf.io.encode_png(pixels))


def write_samples(path, samples, columns=16):
    write_png(path, grid(samples[: columns * 10], min(columns, len(samples))))


def write_reconstructions(path, images, reconstructions, columns=16):
    """Pairs of rows: the image above, its reconstruction below."""
    columns = min(columns, len(images))
    rows = []
    for i in range(0, len(images) - columns + 1, columns):  # whole rows only: a short one would shift the next
        rows += [images[i : i + columns], reconstructions[i : i + columns]]
    write_png(path, grid(np.concatenate(rows), columns))


def write_neighbours(path, samples, source, *, k=5, rows=12, part=None):
    """A row per sample: the sample, then its `k` nearest images of `source` (L2 on pixels).

    `part` images are in memory at a time; None: 64 MiB of them.
    """
    samples, count = np.asarray(samples[:rows]), source.num_examples
    part = part or max(1, 2**23 // samples[0].size)
    nearest = [(np.empty(0), np.empty((0, *samples.shape[1:]), np.float32)) for _ in samples]
    for first in range(0, count, part):
        images = source.subset(range(first, min(first + part, count))).images()
        for row, sample in enumerate(samples):
            squared = ((images.astype(np.float64) - sample) ** 2).sum(axis=(1, 2, 3))
            squared, known = np.concatenate([nearest[row][0], squared]), np.concatenate([nearest[row][1], images])
            order = np.argsort(squared, kind="stable")[:k]
            nearest[row] = squared[order], known[order]
    tiles = [tile for sample, (_, found) in zip(samples, nearest, strict=True) for tile in (sample, *found)]
    write_png(path, grid(np.stack(tiles), min(k, count) + 1))


def write_translations(path, groups, *, num=96, columns=16):
    """Picture i of each group above picture i of the next; groups: see `Translator.pictures`."""
    images = one_above_another(groups, num, columns)
    write_png(path, grid(images.reshape(-1, *images.shape[2:]), images.shape[1]))
