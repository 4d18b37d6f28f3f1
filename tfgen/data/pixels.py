"""The pixels of one field of all examples, in memory or read from files when they are needed, and their encoded files."""

import io

import numpy as np


class Pixels:
    """Images, clips or masks as uint8 [N, ...].

    Args:
      array: uint8 [N, ...]; None: `read` reads the examples from files and nothing is held in memory.
      from_file: None, or a function from a number in `indices` to uint8 [...].
      encoded: None, or a function from a number in `indices` to a list of files (bytes of a PNG or JPEG, one for each image)
        with the same pixels; it returns None if there are no such files.
      indices: int [N], for `from_file` and `encoded`.
      shape: shape of one example; needed if `array` is None.
    """

    def __init__(self, array=None, *, from_file=None, encoded=None, indices=None, shape=None):
        self.array, self._from_file, self._encoded, self._indices = array, from_file, encoded, indices
        self.shape = tuple(array.shape) if array is not None else (len(indices), *shape)

    def read(self, places):
        """uint8 [len(places), ...]."""
        if self.array is not None:
            return self.array[places]
        out = np.empty((len(places), *self.shape[1:]), np.uint8)
        for k, place in enumerate(places):
            out[k] = self._from_file(self._indices[place])
        return out

    def files(self, place, grey=False):
        """The images of an example as bytes of PNG or JPEG files: the original files if there are any, else new PNGs.

        grey: whether the example has no axis for channels, as of masks; needed for clips of masks.
        """
        found = self._encoded(self._indices[place]) if self._encoded else None
        if found is not None:
            return found
        pixels = self.read(np.array([place]))[0]
        if grey or pixels.ndim == 2:
            pixels = pixels[..., None]
        return [encode_png(image) for image in (pixels if pixels.ndim == 4 else [pixels])]

    def select(self, places):
        """The examples at `places` as Pixels."""
        return Pixels(
            None if self.array is None else self.array[places],
            from_file=self._from_file,
            encoded=self._encoded,
            indices=None if self._indices is None else self._indices[places],
            shape=self.shape[1:],
        )


def encode_png(image):
    """uint8 [H, W, C], C 1 or 3 -> bytes of a PNG file."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(out, "PNG")
    return out.getvalue()
