"""A trained compression model, frozen, and the files that it makes.

Guarantee: latents are read back bit for bit, whatever the number of threads, the process or the machine. The decoder reads
them with whole numbers alone (tables, and the network of the hyperprior), which the codec stores. The image is then computed
in float32 and rounded to 8 bits. A pixel may differ by one grey level where another machine or library sums in another
order.
"""

import hashlib
import io
import json
import os
import pathlib
import zipfile
import zlib
from collections.abc import Sequence
from typing import Annotated, Any

import keras
import numpy as np
import tensorflow as tf

from tfgen import fields, settings
from tfgen.files import write_whole
from tfgen.models.compression import container
from tfgen.models.compression.entropy import LARGEST

Bytes = Annotated[bytes | bytearray | memoryview, "bytes"]
VERSION = 2  # of the transforms; in version 1 black was 0 at their input and latents had no scale
MAX_PIXELS = 2**26  # of one image: the transforms need memory for about 32 to 64 times its values


class Codec:
    """Images to bytes and back.

    Made by `model.codec()`, or read from a file by `Codec.load`. Its files state its `model_id`, and no other codec can read
    them: tables are never computed again for reading.

    Args:
        model: a `CompressionModel` that is not trained any more.
        arrays: the arrays of its entropy coder, {name: array}; None: they are computed from the weights.

    Attributes:
        model: the model.
        coder: its entropy coder.
        model_id: bytes, a hash of everything that decompression depends on.
    """

    def __init__(self, model: keras.Model, arrays: dict[str, np.ndarray] | None = None):
        self.model, self.coder = model, model.entropy_coder(arrays)
        self.model_id = self._hash()
        self.channels = model.image_shape[2]
        image = tf.TensorSpec([1, None, None, self.channels], tf.float32)
        latents = tf.TensorSpec([1, None, None, model.latent_shape[2]], tf.float32)
        size = tf.TensorSpec([], tf.int32)
        self._code = tf.function(model.code, input_signature=[image], autograph=False)
        self._pixels = tf.function(_pixels_of(model), input_signature=[latents, size, size], autograph=False)

    @classmethod
    def of(cls, model: keras.Model) -> "Codec":
        """A codec with a copy, in float32, of a model's current weights."""
        twin = type(model).from_config({**model.get_config(), "dtype": "float32"})
        for mine, theirs in zip(_weights(twin), _weights(model), strict=True):
            mine.assign(theirs)
        return cls(twin)

    # ---- files

    def compress(self, image: np.ndarray) -> bytes:
        """The file of an image, as bytes.

        Args:
            image: uint8 [H, W, C].

        Raises:
            ValueError: another dtype or shape, or more than `MAX_PIXELS` pixels.
        """
        image = self._check(image)
        return self.write(self.code(image), image.shape)

    def decompress(self, data: bytes) -> np.ndarray:
        """The image uint8 [H, W, C] of a file's bytes.

        Raises:
            ValueError: no bytes, not a file of this codec, or damaged; says what is wrong.
        """
        code, size = self.read(data)
        return self.decode(code[0], *size[:2])

    def code(self, image: np.ndarray) -> tuple[np.ndarray, ...]:
        """All latents in the file of an image uint8 [H, W, C]: a tuple of int32 [h, w, channels]."""
        image = self._check(image)
        code = [tensor[0].numpy() for tensor in self._code(tf.constant(image[None] / np.float32(255)))]
        if not all(np.isfinite(latents).all() for latents in code):
            raise ValueError("The model gives latents that are not finite: its weights are not those of a good run.")
        return tuple(np.clip(latents, -LARGEST, LARGEST).astype(np.int32) for latents in code)

    def _check(self, image):
        """An image as an array uint8 [H, W, C]; ValueError if it is none, or too large."""
        wanted = f"uint8 [H, W, {self.channels}]"
        found = np.asarray(fields.as_tensor(image, "image", wanted))
        if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] != self.channels or 0 in found.shape:
            raise ValueError(f"image must be {wanted}; received {found.dtype} {found.shape}.")
        _check_size(*found.shape[:2])
        return found

    def write(self, code: tuple[np.ndarray, ...], size: Sequence[int]) -> bytes:
        """The file, as bytes, of latents from `code` and the image's size (H, W, C)."""
        return container.Container(tuple(size), self.model_id, self.coder.compress(code)).pack()

    def read(self, data: Bytes) -> tuple[tuple[np.ndarray, ...], tuple[int, int, int]]:
        """(latents as from `code`, (H, W, C)) of the bytes of a file. Raises ValueError as `decompress`."""
        settings.check(self.read, data=data)
        file = container.Container.unpack(bytes(data))
        if file.model_id != self.model_id:
            raise ValueError(
                f"the file was written by model {file.model_id.hex()}; this one, {self.model_id.hex()}, cannot read it"
            )
        height, width, channels = file.size
        if channels != self.channels or len(file.segments) != self.coder.num_segments:
            raise ValueError(
                f"damaged: {channels} channels in {len(file.segments)} segments, "
                f"expected {self.channels} in {self.coder.num_segments}"
            )
        _check_size(height, width)
        stride = self.model.stride
        return self.coder.decompress(file.segments, -(-height // stride), -(-width // stride)), file.size

    def decode(self, latents: np.ndarray, height: int, width: int) -> np.ndarray:
        """The image uint8 [height, width, C] of latents int32 [h, w, M]."""
        pixels = self._pixels(tf.constant(latents[None], tf.float32), tf.constant(height), tf.constant(width))
        return pixels[0].numpy()

    def bits(self, image: np.ndarray) -> float:
        """Bits of an image uint8 [H, W, C] under the entropy model, in floating point: float. Raises as `compress`."""
        return float(self.model.bits(tf.constant(self._check(image)[None] / np.float32(255)))[0])

    # ---- the codec itself as a file

    def save(self, path: str | os.PathLike) -> pathlib.Path:
        """Writes the codec to one file and returns its path. A file of this name is always complete."""
        path = pathlib.Path(path)
        content = io.BytesIO()
        np.savez_compressed(content, **self._stored())
        write_whole(path, content.getvalue())
        return path

    @classmethod
    def load(cls, path: str | os.PathLike, model_class: type | None = None) -> "Codec":
        """Reads the codec from a file of `save`.

        Args:
            path: the file.
            model_class: the class of its model, if that is one of your own whose preset is not installed.

        Raises:
            ValueError: there is no such file, it is damaged, or its model is of another class, or of one that is not known.
        """
        from tfgen import presets

        try:
            with np.load(path, allow_pickle=False) as file:
                stored = dict(file)
            about = json.loads(str(stored["about"]))
            if about.get("version") != VERSION:
                raise ValueError(
                    f"it is of version {about.get('version', 1)}, and this tfgen makes and reads version {VERSION}; its "
                    "model and its files need the tfgen that made them"
                )
            known: Any = model_class or presets.model_class(about["model"])
            if known is None or known.__name__ != about["model"]:
                found = "is not known: give model_class" if known is None else f"is not {known.__name__}"
                raise ValueError(f"its model is of the class {about['model']}, which {found}")
            model = known.from_config(about["config"])
            for k, variable in enumerate(_weights(model)):
                variable.assign(stored[f"weight/{k}"])
            prefix = "table/"
            codec = cls(model, {name[len(prefix) :]: array for name, array in stored.items() if name.startswith(prefix)})
        except _UNREADABLE as error:
            raise _unreadable(path, error) from error
        if codec.model_id.hex() != about["id"]:
            raise ValueError(f"{path} is damaged: its content has id {codec.model_id.hex()}, and it says {about['id']}.")
        return codec

    @staticmethod
    def stored_id(path: str | os.PathLike) -> bytes:
        """The `model_id` stated in a file of `save`. Raises ValueError as `load`."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return bytes.fromhex(json.loads(str(file["about"]))["id"])
        except _UNREADABLE as error:
            raise _unreadable(path, error) from error

    def _stored(self):
        about = {**self._about(), "id": self.model_id.hex()}
        return {"about": np.array(json.dumps(about)), **self._arrays()}

    def _about(self):
        return {"version": VERSION, "model": type(self.model).__name__, "config": self.model.get_config()}

    def _arrays(self):
        weights = {f"weight/{k}": v.numpy() for k, v in enumerate(_weights(self.model))}
        return {**weights, **{f"table/{name}": array for name, array in self.coder.arrays.items()}}

    def _hash(self):
        digest = hashlib.sha256(json.dumps(self._about(), sort_keys=True).encode())
        for name, array in sorted(self._arrays().items()):
            array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
        return digest.digest()[: container.ID_BYTES]


# Raised while reading files that are damaged or of another kind.
_UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, KeyError, TypeError, EOFError, ValueError)


def _unreadable(path, error):
    return ValueError(f"{path} is no codec file that can be read ({type(error).__name__}: {error}).")


def _weights(model):
    return model.trainable_variables


def _pixels_of(model):
    def pixels(latents, height, width):
        images = tf.clip_by_value(model.synthesize(latents, height, width), 0.0, 1.0)
        return tf.cast(tf.round(255.0 * images), tf.uint8)

    return pixels


def _check_size(height, width):
    if max(height, width) > container.MAX_SIDE or height * width > MAX_PIXELS:
        raise ValueError(
            f"an image of {height}x{width} pixels is too large: "
            f"at most {container.MAX_SIDE} on a side and {MAX_PIXELS} in all"
        )
