"""Image folders: `path/*.png`, `path/<class>/**/*.jpg`, `path/train/<class>/...`."""

import os

from tfgen.data.decode import adapt_image, check_options, open_image
from tfgen.data.source import build_source

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
SPLIT_FOLDERS = ("train", "test", "val", "valid", "validation")


def from_folder(path, *, split=None, size=None, channels=None, resize="center_crop", on_error="raise", levels=256):
    """A Source of the images in a folder, ordered by path.

    Files with the suffixes of `SUFFIXES`, in any case, are images; other files and hidden ones are ignored,
    symbolic links are followed. Images directly in the folder have no labels. Sub-folders (searched to any
    depth) are classes, numbered in the order of their names; with split folders the classes are those of all
    splits together, so that a number means the same everywhere. `tfgen.data.decode` says how each kind of
    image is read.

    Args:
      path: the folder.
      split: a sub-folder, where the folder has such ("train", "test", ...). In a folder without splits, None
        and "train" mean the whole folder.
      size: None if all images have one size, else int or (height, width).
      channels: 1 or 3 converts all images; None expects all to be grey or all to be colour.
      resize: "center_crop", "pad", "stretch" or "none"; see `tfgen.data.decode.adapt_image`.
      on_error: "raise", or "skip" to leave out what cannot be used, listed in `Source.skipped`.
      levels: number of grey levels.

    Raises:
      ValueError: no such folder or split, no images in it, images beside class folders, or (naming the file)
        an image that cannot be read or does not fit.
    """
    size = check_options(size, channels, resize, on_error)
    root, files, labels, class_names = _find(path, split)
    return build_source(
        _Files(files, labels, dict(size=size, channels=channels, resize=resize)),
        on_error=on_error,
        name=f"folder:{root}",
        split=split or "train",
        levels=levels,
        class_names=class_names,
    )


def image_files(path, split=None):
    """The image files of a folder or of its split, as `from_folder` finds and orders them; same errors."""
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
            f"{folder} has images beside class folders: expected either; found {len(flat)} images such as "
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


class _Files:
    """The reader of `build_source`."""

    def __init__(self, files, labels, options):
        self._files, self._labels, self._options = files, labels, options

    def __len__(self):
        return len(self._files)

    def label(self, i):
        return self._labels and self._labels[i]

    def where(self, i):
        return self._files[i]

    def decode(self, i):
        return adapt_image(open_image(self._files[i]), **self._options)


def _folders(path):
    """Names of the visible sub-folders, sorted; none if there is no such folder."""
    if not os.path.isdir(path):
        return []
    return sorted(n for n in os.listdir(path) if not n.startswith(".") and os.path.isdir(os.path.join(path, n)))


def _is_image(path):
    name = os.path.basename(path)
    return not name.startswith(".") and name.lower().endswith(SUFFIXES) and not os.path.isdir(path)


def _walk(folder, seen):
    """Image paths below `folder`, sorted; `seen` holds the real paths above, against loops of links."""
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
