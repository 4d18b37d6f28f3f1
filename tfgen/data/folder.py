"""Image folders: `path/*.png`, `path/<class>/**/*.jpg`, `path/train/<class>/...`; pairs of folders, and of halves."""

import os
from typing import Literal

from tfgen import fields, settings
from tfgen.data.image_files import ImageError, adapt_image, check_options, open_image
from tfgen.data.source import Source, build_source
from tfgen.files import SUFFIXES
from tfgen.settings import Channels, Levels, OnError, Resize, Size

SPLIT_FOLDERS = ("train", "test", "val", "valid", "validation")


def from_folder(
    path: str | os.PathLike, *, split: str | None = None, size: Size | None = None,
    channels: Channels | None = None, resize: Resize = "center_crop", on_error: OnError = "raise", levels: Levels = 256,
    in_memory: bool | None = None,
) -> Source:  # fmt: skip
    """A Source of the images in a folder, ordered by path.

    Files with a suffix in `SUFFIXES`, in lower or upper case, are images; other files and hidden ones are ignored,
    symbolic links are followed. Images directly in the folder have no labels. Sub-folders (searched to any
    depth) are classes, numbered in the order of their names; with split folders the classes are the union over all splits,
    so a number means the same class in each split. See `tfgen.data.image_files` for the rules by which images are read. The
    id of an image is its path in the folder.

    Example:
        >>> for name in ("cat", "dog"):
        ...     path = tfgen.sampling.save_png(f"photos/{name}/a.png", [[[[0.5]] * 12] * 8], padding=0)
        >>> source = tfgen.data.from_folder("photos", size=8, channels=3)
        >>> source.class_names, source.image_shape
        (['cat', 'dog'], (8, 8, 3))

    Args:
      path: the folder.
      split: name of a sub-folder ("train", "test", ...). In a folder without such sub-folders, None and "train" mean the
        whole folder.
      size: None if all images have one size, else int or (height, width).
      channels: 1 or 3 converts all images; None expects all to be grey or all to be colour.
      resize: "center_crop", "pad", "stretch" or "none"; see `tfgen.data.image_files.adapt_image`.
      on_error: "raise", or "skip" to leave out images that cannot be used and list them in `Source.skipped`.
      levels: number of grey levels.
      in_memory: None: all images are read now if they fit in memory. False: images are read when they are needed, so an
        image that cannot be used raises only then (with on_error="skip" all are checked now).

    Raises:
      ValueError: the folder or split does not exist or has no images; there are both images and class folders; an image
        cannot be read or has another size or number of channels (the message names the file).
    """
    size = check_options(size, channels, resize, on_error)
    root, files, labels, class_names = _find(path, split)
    return build_source(
        FileReader({"image": files}, labels, [_path_in(root, file) for file in files], size, channels, resize),
        on_error=on_error,
        name=f"folder:{root}",
        split=split or "train",
        levels=levels,
        class_names=class_names,
        in_memory=in_memory,
    )


def from_folders(
    *, image: str | os.PathLike, split: str | None = None, size: Size | None = None,
    channels: Channels | None = None, resize: Resize = "center_crop", on_error: OnError = "raise", levels: Levels = 256,
    in_memory: bool | None = None, **paired,
) -> Source:  # fmt: skip
    """A Source with several images in each example: one folder for each field, with files of the same names.

    Example:
        pairs = tfgen.data.from_folders(image="edges", target="photos", split="train", size=256)

    Files belong to one example if their paths within their folders are equal up to the suffix. A field called "mask" is a
    mask [H, W] (made grey, resized to the nearest pixel); all others are images. Labels are those of the folder `image`.

    Args:
      image: the folder of the images.
      **paired: the folders of the other fields, such as target= and mask=.
      split, size, channels, resize, on_error, levels, in_memory: see `from_folder`; they apply to all fields.

    Raises:
      ValueError: see `from_folder`; an image has no counterpart in a folder, or several (the message names it).
    """
    size = check_options(size, channels, resize, on_error)
    found, labels, class_names, name = matched({"image": image, **paired}, split)
    return build_source(
        FileReader({k: list(v.values()) for k, v in found.items()}, labels, list(found["image"]), size, channels, resize),
        on_error=on_error,
        name=f"folders:{name}",
        split=split or "train",
        levels=levels,
        class_names=class_names,
        in_memory=in_memory,
    )


def matched(folders, split):
    """The files of several folders that belong together, see `from_folders`.

    Args:
      folders: {field: path}.
      split: see `from_folder`.

    Returns:
      ({field: {path in the folder without suffix: file}}, all in the order of the first field; labels and class names of the
      first field; the folders as a text).
    """
    found: dict[str, dict] = {}
    roots, labels, class_names, main = {}, None, None, next(iter(folders))
    for name, path in folders.items():
        roots[name], files, *classes = _find(path, split)
        found[name] = {}
        for file in files:
            stem = os.path.splitext(_path_in(roots[name], file))[0]
            if stem in found[name]:
                raise ValueError(f"expected one {name} of {stem!r}; found {found[name][stem]} and {file}")
            found[name][stem] = file
        if name == main:
            labels, class_names = classes
        alone = []
        for here, there in ((main, name), (name, main)):
            missing = [stem for stem in found[here] if stem not in found[there]]
            if missing:
                alone.append(
                    f"{found[here][missing[0]]} has no {there}: expected {missing[0]!r} with the suffix of an image in "
                    f"{roots[there]} ({len(missing)} such files)"
                )
        if alone:
            raise ValueError("; ".join(alone))
    stems = list(found[main])
    return {k: {stem: v[stem] for stem in stems} for k, v in found.items()}, labels, class_names, ",".join(roots.values())


def side_by_side(
    path: str | os.PathLike, *, split: str | None = None, input: Literal["left", "right"] = "left",
    size: Size | None = None, channels: Channels | None = None, resize: Resize = "center_crop", on_error: OnError = "raise",
    levels: Levels = 256, in_memory: bool | None = None,
) -> Source:  # fmt: skip
    """A Source of pairs that are stored as one file, two pictures of equal size side by side, as in the archives of pix2pix.

    Example:
        labels_to_facades = tfgen.data.side_by_side("facades", split="train", input="right", size=256)

    One half is the field `image`, the other is `target`. The options apply to each half.

    Args:
      path, split, size, channels, resize, on_error, levels, in_memory: see `from_folder`.
      input: the half that is `image`, "left" or "right". The archives call the left half A and the right half B: "right" is
        the direction BtoA.

    Raises:
      ValueError: see `from_folder`; the width of a file is not even (the message names the file).
    """
    size = check_options(size, channels, resize, on_error)
    settings.check(side_by_side, input=input)
    root, files, labels, class_names = _find(path, split)
    sides = ("image", "target") if input == "left" else ("target", "image")
    return build_source(
        _Halves(sides, files, labels, [_path_in(root, file) for file in files], size, channels, resize),
        on_error=on_error,
        name=f"pairs:{root}",
        split=split or "train",
        levels=levels,
        class_names=class_names,
        in_memory=in_memory,
    )


def image_folders(path, main="image", others="target, mask, ..."):
    """{field: folder} of the sub-folders of `path`, for `from_folders`; ValueError if none is called `main`."""
    root = os.path.abspath(os.path.expanduser(os.fspath(path)))
    names = _folders(root)
    if main not in names:
        raise ValueError(f"expected the folders {main}, and {others}, in {root}; found {names or 'none'}")
    return {name: os.path.join(root, name) for name in names}


def _path_in(root, file):
    return os.path.relpath(file, root).replace(os.sep, "/")


def image_files(path, split=None):
    """The image files of a folder or of its split, found and ordered like those of `from_folder`, with the same errors."""
    return _find(path, split)[1]


def _find(path, split):
    """(absolute path of the folder, image files, their labels or None, class names or None)."""
    root = os.path.abspath(os.path.expanduser(os.fspath(path)))
    if not os.path.isdir(root):
        found = "a file" if os.path.exists(root) else "nothing"
        raise ValueError(f"expected a folder of images, found {found}: {root}")
    splits = [s for s in _folders(root) if s.lower() in SPLIT_FOLDERS]
    if {"train", "test"} & {s.lower() for s in splits}:
        if split not in splits:
            raise ValueError(f"{root} has the splits {splits}; received split={split!r}")
        folder, class_names = (
            os.path.join(root, split),
            sorted({c for s in splits for c in _folders(f"{root}/{s}")}),
        )
    elif split in (None, "train"):
        folder, class_names = root, _folders(root)
    else:
        raise ValueError(
            f"{root} has no split folders (train, test, ...), so it is all training data; received split={split!r}"
        )

    flat = [os.path.join(folder, f) for f in sorted(os.listdir(folder)) if _is_image(os.path.join(folder, f))]
    by_class = [(k, f) for k, c in enumerate(class_names) for f in _walk(os.path.join(folder, c), set())]
    if flat and by_class:
        raise ValueError(
            f"{folder} has both images and class folders: expected one of them; found {len(flat)} images such as "
            f"{flat[0]} and {len(by_class)} in folders such as {by_class[0][1]}"
        )
    if not flat and not by_class:
        raise ValueError(
            f"{folder} holds no images: expected files ending in {', '.join(SUFFIXES)}; "
            f"found {sorted(os.listdir(folder))[:5] or 'nothing'}"
        )
    if flat:
        return root, flat, None, None
    return root, [f for _, f in by_class], [k for k, _ in by_class], class_names


class FileReader:
    """The reader of `build_source`; files: {field: [path]}."""

    def __init__(self, files, labels, ids, size, channels, resize):
        self._files, self._labels, self._ids = files, labels, ids
        self._options = dict(size=size, channels=channels, resize=resize)
        self.pixels = tuple(files)

    def __len__(self):
        return len(self._ids)

    def label(self, i):
        return self._labels and self._labels[i]

    def id(self, i):
        return self._ids[i]

    def where(self, i, name):
        return self._files[name][i]

    def read(self, i, name):
        if name == "mask":
            image = open_image(self._files[name][i])
            return adapt_image(image, **{**self._options, "channels": 1}, nearest=True)[..., 0]
        return self._picture(self._files[name][i])

    def _picture(self, path):
        return adapt_image(open_image(path), **self._options)

    def files(self, i, name):
        with open(self._files[name][i], "rb") as file:
            return [file.read()]

    def declare(self, name, shape):
        if name != "mask":
            return fields.image(shape, name)
        height, width = shape
        return fields.mask(height, width, name)

    def further(self, keep):
        return {}


class _Halves(FileReader):
    """The reader of `side_by_side`; sides: the fields of the left and of the right half."""

    def __init__(self, sides, files, *options):
        super().__init__({"image": files, "target": files}, *options)
        self._sides = sides

    def read(self, i, name):
        both = open_image(self._files[name][i])
        if both.width % 2:
            raise ImageError(f"found a width of {both.width} pixels, expected an even one: two pictures side by side")
        left = self._sides.index(name) * (both.width // 2)
        return adapt_image(both.crop((left, 0, left + both.width // 2, both.height)), **self._options)

    def files(self, i, name):
        return None


def _folders(path):
    """Names of the visible sub-folders, sorted; none if there is no such folder."""
    if not os.path.isdir(path):
        return []
    return sorted(n for n in os.listdir(path) if not n.startswith(".") and os.path.isdir(os.path.join(path, n)))


def _is_image(path):
    name = os.path.basename(path)
    return not name.startswith(".") and name.lower().endswith(SUFFIXES) and not os.path.isdir(path)


def _walk(folder, seen):
    """Image paths below `folder`, sorted; `seen` holds the real paths of the parent folders, to stop at loops of links."""
    real = os.path.realpath(folder)
    if real in seen or not os.path.isdir(folder):
        return []
    files = []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if _is_image(path):
            files.append(path)
        elif os.path.isdir(path) and not name.startswith("."):
            files += _walk(path, seen | {real})
    return files
