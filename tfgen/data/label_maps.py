"""Maps of classes and of instances, as pix2pixHD is trained on (Wang et al. 2018, arXiv:1711.11585, sections 3.3 and 3.4).

A map of classes is stored as one number for each pixel; a batch has it as one-hot vectors. Of a map of instances only the
borders are used.
"""

import colorsys
import os
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from tfgen import fields, settings
from tfgen.data.folder import FileReader, image_folders, matched
from tfgen.data.image_files import PILLOW_ERRORS, ImageError, adapt_image, check_options
from tfgen.data.source import Source, build_source, from_arrays
from tfgen.settings import Channels, OnError, Resize, Size, within

NumClasses = Annotated[int, within(1, 256)]


def instance_edges(instances: np.ndarray) -> np.ndarray:
    """Where the number of the instance differs from that of one of the four neighbours: both sides of each border.

    Example:
        >>> tfgen.data.instance_edges(np.array([[1, 1, 2, 2]])).tolist()
        [[False, True, True, False]]

    Args:
      instances: whole numbers [..., H, W].

    Returns:
      bool [..., H, W].
    """
    found = np.zeros(instances.shape, bool)
    down, right = instances[..., 1:, :] != instances[..., :-1, :], instances[..., 1:] != instances[..., :-1]
    found[..., 1:, :] |= down
    found[..., :-1, :] |= down
    found[..., 1:] |= right
    found[..., :-1] |= right
    return found


def instance_numbers(instances: np.ndarray) -> np.ndarray:
    """The instances of each image, numbered from 0 in the order of their own numbers.

    Args:
      instances: whole numbers [..., H, W], of at most 256 different values in each image.

    Returns:
      uint8 [..., H, W].

    Raises:
      ImageError: an image has more instances.
    """
    images = instances.reshape(-1, *instances.shape[-2:])
    found = np.empty(images.shape, np.uint8)
    for i, image in enumerate(images):
        values, numbers = np.unique(image, return_inverse=True)
        if len(values) > 256:
            raise ImageError(f"found {len(values)} instances in an image, expected at most 256")
        found[i] = numbers.reshape(image.shape)
    return found.reshape(instances.shape)


def label_pictures(maps: np.ndarray, num_classes: NumClasses) -> np.ndarray:
    """Pictures of maps of classes: uint8 [..., H, W] -> uint8 [..., H, W, 3]. Class 0 is black, the others are hues.

    Example:
        >>> tfgen.data.label_pictures(np.array([[0, 1, 2]], "uint8"), num_classes=3).tolist()
        [[[0, 0, 0], [255, 0, 0], [0, 255, 255]]]
    """
    hues = [colorsys.hsv_to_rgb(k / max(num_classes - 1, 1), 1.0, 1.0) for k in range(num_classes - 1)]
    return np.rint(255 * np.array([(0.0, 0.0, 0.0), *hues])).astype(np.uint8)[maps]


def label_maps(
    maps: np.ndarray, num_classes: NumClasses, *, target: np.ndarray | None = None, instances: np.ndarray | None = None,
    origins: Sequence[str] | np.ndarray | None = None, name: str = "label maps", split: str = "train",
) -> Source:  # fmt: skip
    """A Source of maps of classes, given as arrays.

    Example:
        >>> maps = np.zeros([4, 16, 16], "uint8")
        >>> source = tfgen.data.label_maps(maps, 3, target=np.zeros([4, 16, 16, 3], "uint8"), instances=maps)
        >>> {name: field.shape for name, field in source.fields.items()}
        {'image': (16, 16, 3), 'label_map': (16, 16, 3), 'edges': (16, 16), 'instances': (16, 16), 'target': (16, 16, 3)}

    Args:
      maps: whole numbers [N, H, W] in [0, num_classes).
      num_classes: K, at most 256.
      target: the images of the maps, as in `from_arrays`.
      instances: whole numbers [N, H, W], different for different instances of an image, at most 256 in each.
      origins: N texts, see `Source`.
      name, split: of the Source.

    Returns:
      a Source with `image`, a picture of the map in colours, `label_map`, in batches one-hot [H, W, K], and, if they are
      given, `edges`, a mask of the `instance_edges`, `instances`, a mask whose values are `instance_numbers` / 255, and
      `target`.

    Raises:
      ValueError: a class is out of range (the message has the class and its place), or the shapes differ.
    """
    settings.check(label_maps, num_classes=num_classes)
    maps = np.asarray(maps)
    if maps.ndim != 3:
        raise ValueError(f"maps must have the shape [N, H, W]; received {maps.shape}")
    height, width = maps.shape[1:]
    field = fields.label_map(height, width, num_classes)
    further: dict[str, Any] = {"label_map": (maps, field)}
    if instances is not None:
        instances = np.asarray(instances)
        if instances.shape != maps.shape or not np.issubdtype(instances.dtype, np.integer):
            raise ValueError(
                f"instances must be whole numbers {maps.shape}, as the maps; received {instances.dtype} {instances.shape}"
            )
        further["edges"] = instance_edges(instances)
        further["instances"] = instance_numbers(instances), fields.mask(height, width, "instances")
    if target is not None:
        further["target"] = target
    checked = np.clip(maps, 0, num_classes - 1)  # `from_arrays` says which are out of range
    return from_arrays(label_pictures(checked, num_classes), fields=further, origins=origins, name=name, split=split)


def from_label_maps(
    *, label_map: str | os.PathLike, num_classes: NumClasses, target: str | os.PathLike | None = None,
    instances: str | os.PathLike | None = None, split: str | None = None, size: Size | None = None,
    channels: Channels | None = None, resize: Resize = "center_crop", on_error: OnError = "raise",
    in_memory: bool | None = None,
) -> Source:  # fmt: skip
    """A Source of folders with maps of classes, and with images and maps of instances of the same names.

    A map is a grey file (8 or 16 bits) whose values are the classes, or a file with a palette, whose indices are. Maps are
    resized to the nearest pixel. The borders of instances are found after resizing.

    Example:
        streets = tfgen.data.from_label_maps(label_map="gtFine", target="photos", num_classes=35, size=(256, 512))

    Args:
      label_map, target, instances: the folders; files belong together as in `from_folders`.
      num_classes: K, at most 256.
      channels: of `target`.
      split, size, resize, on_error, in_memory: see `from_folder`; they apply to all files.

    Returns:
      a Source with the fields of `label_maps`.

    Raises:
      ValueError: see `from_folders`; a class is out of range, or a map has colours (the message names the file).
    """
    size = check_options(size, channels, resize, on_error)
    settings.check(from_label_maps, num_classes=num_classes)
    given = {"label_map": label_map, "target": target, "edges": instances}
    found, labels, class_names, name = matched({k: v for k, v in given.items() if v is not None}, split)
    files = {k: list(v.values()) for k, v in found.items()}
    files |= {"instances": files["edges"]} if "edges" in files else {}
    reader = _Maps({"image": files["label_map"], **files}, labels, list(found["label_map"]), size, channels, resize)
    reader.num_classes = num_classes
    return build_source(
        reader,
        on_error=on_error,
        name=f"label_maps:{name}",
        split=split or "train",
        class_names=class_names,
        in_memory=in_memory,
    )


def whole_numbers(path: str | os.PathLike, *, size: Size | None = None, resize: Resize = "center_crop") -> np.ndarray:
    """int32 [H, W]: the values of the pixels of a grey file (8 or 16 bits), or the indices of one with a palette.

    EXIF orientation is applied.

    Raises:
      ImageError: the file cannot be read, or has colours.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            opened.load()
            ImageOps.exif_transpose(opened, in_place=True)
            if opened.mode not in ("1", "L", "P", "I", "I;16", "I;16B"):
                raise ImageError(f"found an image of Pillow mode {opened.mode!r}, expected grey values or a palette")
            picture = Image.fromarray(np.asarray(opened).astype(np.int32))
    except ImageError:
        raise
    except (*PILLOW_ERRORS, Image.DecompressionBombError) as error:
        raise ImageError(f"not a readable image ({type(error).__name__}: {error})") from error
    return adapt_image(picture, size=size, resize=resize, nearest=True)[..., 0]


def class_map(path: str | os.PathLike, num_classes: NumClasses, **options) -> np.ndarray:
    """uint8 [H, W]: `whole_numbers` of a file, with the same options, which are classes.

    Raises:
      ImageError: see `whole_numbers`; or a class is out of range (the message has the class and its place).
    """
    numbers = whole_numbers(path, **options)
    bad = np.argwhere((numbers < 0) | (numbers >= num_classes))
    if len(bad):
        place = tuple(int(k) for k in bad[0])
        raise ImageError(
            f"found the class {numbers[place]} at {place} (row, column), expected classes in [0, {num_classes}) "
            f"({len(bad)} such pixels)"
        )
    return numbers.astype(np.uint8)


class _Maps(FileReader):
    """The reader of `from_label_maps`; files of "edges" and "instances" are maps of instances."""

    num_classes: int

    def read(self, i, name):
        if name == "target":
            return super().read(i, name)
        path, options = self._files[name][i], {"size": self._options["size"], "resize": self._options["resize"]}
        if name == "edges":
            return instance_edges(whole_numbers(path, **options)) * np.uint8(255)
        if name == "instances":
            return instance_numbers(whole_numbers(path, **options))
        maps = class_map(path, self.num_classes, **options)
        return label_pictures(maps, self.num_classes) if name == "image" else maps

    def files(self, i, name):
        return super().files(i, name) if name == "target" else None

    def declare(self, name, shape):
        if name not in ("label_map", "edges", "instances"):
            return super().declare(name, shape)
        height, width = shape
        return fields.label_map(height, width, self.num_classes) if name == "label_map" else fields.mask(height, width, name)


def label_map_folders(path, split):
    """The arguments label_map, target and instances of `from_label_maps`: the sub-folders of `path` of these names."""
    found = image_folders(path, "label_map", "target and instances")
    return {name: found[name] for name in ("label_map", "target", "instances") if name in found}
