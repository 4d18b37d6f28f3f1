"""`tfgen compress` and `tfgen decompress`: photos to files and back, with the codec of a run or an exported model.
"""

import io
import os
import pathlib
import re

from tfgen.data.image_files import adapt_image, open_image
from tfgen.export import CODEC
from tfgen.files import write_whole
from tfgen.models.capabilities import Codec as CodecCapability
from tfgen.models.compression.codec import Codec
from tfgen.models.compression.container import Container
from tfgen.training.callbacks import averaged_weights
from tfgen_commands.arguments import output_file
from tfgen_commands.models import require

# A run folder has a codec file for each step at which photos were compressed.
OF_RUN = "codec-{step:08d}.npz"
LOSSLESS = ("PNG", "BMP", "TIFF", "PPM")


def compress(photo: str, out: str | None, model: str) -> str:
    """Compresses a photo to a file.

    Args:
        photo: path of an image file of any size.
        out: path of the file to write; None: the photo's with the suffix .tfgc.
        model: path of a run folder, an exported folder or a codec file.

    Returns:
        A line about the result.

    Raises:
        ValueError: a path cannot be read or written, `model` holds no codec, or it compresses grey images only and the photo
            is in colour.
    """
    image = _image_of(photo)
    out = output_file(out or pathlib.Path(photo).with_suffix(".tfgc"), photo)
    codec = codec_for_writing(model)
    if codec.channels == 1 and len({band.tobytes() for band in image.split()}) > 1:
        raise ValueError(f"{photo} is in colour, but {model} compresses grey images only.")
    image = adapt_image(image, channels=codec.channels)
    data = codec.compress(image)
    write_whole(out, data)
    height, width, _ = image.shape
    return (
        f"{out}: {len(data)} bytes, {8 * len(data) / (height * width):.3f} bits per pixel ({width}x{height}); "
        f"{photo} has {os.path.getsize(photo)}"
    )


def decompress(file: str, out: str | None, model: str) -> str:
    """Decompresses a file to an image.

    Args:
        file: path of a file that `compress` wrote.
        out: path of the image to write, of a lossless format; None: the file's with the suffix .png.
        model: path of the model that wrote the file, as for `compress`.

    Returns:
        A line about the result.

    Raises:
        ValueError: a path cannot be read or written, the format is not lossless, or the file is damaged or of another model.
    """
    from PIL import Image

    data = _bytes_of(file, "file")
    out = output_file(out or pathlib.Path(file).with_suffix(".png"), file)
    if (kind := Image.registered_extensions().get(out.suffix.lower())) not in LOSSLESS:
        raise ValueError(f"--out: the format must be lossless, one of {', '.join(LOSSLESS)}; received {str(out)!r}")
    try:
        image = codec_for_reading(model, Container.unpack(data).model_id).decompress(data)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    content = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(content, kind)
    write_whole(out, content.getvalue())
    return f"{out}: {image.shape[1]}x{image.shape[0]}"


def _image_of(photo):
    data = _bytes_of(photo, "photo")
    try:
        return open_image(data)
    except ValueError as error:
        raise ValueError(f"{photo}: {error}") from error


def _bytes_of(path, name):
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{name} must be a file that can be read; received {path} ({error.strerror})") from error


def codec_for_writing(path: str | os.PathLike) -> Codec:
    """The codec of a codec file, of the newest version of an exported model, or of a run folder at its last checkpoint.

    The codec of a run is made at its first use and kept in the folder, since only this codec can read its files.

    Args:
        path: of the file or folder.

    Raises:
        ValueError: there is no codec, or it is damaged.
    """
    path = pathlib.Path(path)
    if (path / "config.json").exists():
        from tfgen_trainers.train import load_run

        model, _ = load_run(path)
        require(model, CodecCapability, path)
        stored = path / OF_RUN.format(step=int(model.step.value.numpy()))
        if not stored.exists():
            with averaged_weights(model):
                model.codec().save(stored)
        return Codec.load(stored)
    return Codec.load(_stored(path)[-1])


def codec_for_reading(path: str | os.PathLike, model_id: bytes) -> Codec:
    """The codec with this id, from the same places as `codec_for_writing`. It makes no new codec.

    Args:
        path: of the file or folder.
        model_id: the `Codec.model_id` that a compressed file states.

    Raises:
        ValueError: there is no codec of this id.
    """
    stored = _stored(pathlib.Path(path))
    for candidate in stored:
        if Codec.stored_id(candidate) == model_id:
            return Codec.load(candidate)
    known = ", ".join(f"{candidate} ({Codec.stored_id(candidate).hex()})" for candidate in stored)
    raise ValueError(f"written by model {model_id.hex()}; the models here are {known}")


def _stored(path):
    """The codec files at `path`, sorted by step or version."""
    if path.is_file():
        return [path]
    found = [*path.glob("codec-*.npz"), *path.glob(CODEC), *path.glob(f"[0-9]*/{CODEC}")]
    if not found:
        raise ValueError(
            f"{path} holds no codec: expected a run folder of a compression preset after its first `tfgen compress`, "
            "a folder of `tfgen export`, or a codec file."
        )
    return sorted(found, key=lambda p: [int(n) for n in re.findall(r"\d+", str(p.relative_to(path)))])
