"""Reads image files as uint8 arrays with Pillow, by explicit rules.

The rules:

- EXIF orientation is applied. Of an animation, the first frame is taken.
- Palette, 1-bit, CMYK, YCbCr, LAB and HSV images are converted; a palette image counts as colour unless all
  its used colours are grey.
- Alpha is composited over white; a fully opaque alpha changes nothing.
- 16-bit grey is scaled to 8 bits (value / 257, rounded). Of 16-bit colour Pillow keeps the high byte.
  32-bit integer and float images are refused, since their range is not defined.
- Resizing is bicubic with antialiasing, on the 8-bit image; an image of the wanted size does not change.
"""

import io
import struct

import numpy as np

from tfgen import settings
from tfgen.settings import Channels, OnError, Resize, Size

# The exceptions that Pillow's readers raise on damaged files: the documented ones and those seen with broken headers.
PILLOW_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error)


class ImageError(ValueError):
    """An image or record cannot be used. The message has what was found; the caller adds the file name."""


def check_options(
    size: Size | None, channels: Channels | None, resize: Resize, on_error: OnError
) -> tuple[int, int] | None:  # fmt: skip
    """Checks the options that all sources of files share; returns `size` as (H, W) or None."""
    settings.check(check_options, size=size, channels=channels, resize=resize, on_error=on_error)
    if size is None:
        return None
    height, width = (size, size) if isinstance(size, (int, np.integer)) else size
    return int(height), int(width)


def open_image(data):
    """Reads encoded bytes or a path into a Pillow image of mode L or RGB. Raises ImageError if that fails."""
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data) as opened:
            opened.load()
            ImageOps.exif_transpose(opened, in_place=True)
            return _to_grey_or_rgb(opened)
    except ImageError:
        raise
    except (*PILLOW_ERRORS, Image.DecompressionBombError) as e:
        raise ImageError(f"not a readable image ({type(e).__name__}: {e})") from e


def plain_file(data, shape):
    """Whether `data` is a PNG or JPEG file that every program reads as the same 8-bit image of `shape` (H, W, C).

    False for files with transparency, a palette or several frames, and for photos with an EXIF orientation.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as opened:
            return (
                opened.format in ("PNG", "JPEG")
                and opened.mode == {1: "L", 3: "RGB"}[shape[2]]
                and opened.size == (shape[1], shape[0])
                and "transparency" not in opened.info
                and getattr(opened, "n_frames", 1) == 1
                and opened.getexif().get(0x0112, 1) == 1
            )
    except (*PILLOW_ERRORS, Image.DecompressionBombError):
        return False


def adapt_image(image, *, size=None, channels=None, resize="center_crop", nearest=False):
    """Converts a Pillow image (mode L or RGB) to an array of the wanted size and channels.

    Args:
      image: the image.
      size: None (keep) or (H, W).
      channels: 1, 3, or None to keep grey as 1 and colour as 3.
      resize: the rule for an image of another size. "center_crop" scales the image to cover `size` and cuts out the centre,
        "pad" scales it to fit inside and fills with black, "stretch" ignores the aspect ratio, "none" raises ImageError.
      nearest: resize by the nearest pixel instead of bicubic interpolation, as for masks.

    Returns:
      uint8 array [H, W, C].

    Raises:
      ImageError: the image has another size and resize="none".
    """
    if channels == 3 and image.mode == "L":
        image = image.convert("RGB")
    elif channels == 1 and image.mode == "RGB":
        image = image.convert("L")  # ITU-R 601: 0.299 R + 0.587 G + 0.114 B
    if size is not None and image.size != size[::-1]:
        if resize == "none":
            raise ImageError(f"found {image.height}x{image.width} pixels, expected {size[0]}x{size[1]} (resize='none')")
        image = _resize(image, size, resize, nearest)
    array = np.asarray(image)
    return array[..., None] if array.ndim == 2 else array


def _to_grey_or_rgb(image):
    from PIL import Image

    if image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ImageError(f"found pixels of Pillow mode {image.mode!r} (32 bit), expected 8 or 16 bit")
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
        pixels = np.asarray(image)
        if np.all(pixels[..., 0] == pixels[..., 1]) and np.all(pixels[..., 1] == pixels[..., 2]):
            image = image.convert("LA" if image.mode == "RGBA" else "L")
    elif image.mode in ("L", "RGB", "1") and "transparency" in image.info:  # one transparent colour (PNG tRNS)
        image = image.convert("RGBA" if image.mode == "RGB" else "LA")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        grey = image.mode in ("LA", "La")
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("L" if grey else "RGB")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _resize(image, size, rule, nearest):
    from PIL import Image

    height, width = size
    filter = Image.Resampling.NEAREST if nearest else Image.Resampling.BICUBIC
    if rule == "stretch":
        return image.resize((width, height), filter)
    ratios = height / image.height, width / image.width
    scale = max(ratios) if rule == "center_crop" else min(ratios)
    h, w = max(1, round(image.height * scale)), max(1, round(image.width * scale))
    image = image.resize((w, h), filter) if (w, h) != image.size else image
    if rule == "center_crop":
        top, left = (h - height) // 2, (w - width) // 2
        return image.crop((left, top, left + width, top + height))
    canvas = Image.new(image.mode, (width, height))
    canvas.paste(image, ((width - w) // 2, (height - h) // 2))
    return canvas
