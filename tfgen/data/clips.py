"""Clips: runs of frames of equal length, from folders of frames or from arrays."""

import os
from collections.abc import Sequence

import numpy as np

from tfgen import fields
from tfgen.data.folder import FileReader, image_folders, matched
from tfgen.data.image_files import ImageError, check_options
from tfgen.data.source import Source, build_source, from_arrays
from tfgen.files import natural_order
from tfgen.settings import Channels, Levels, OnError, PositiveInt, Resize, Size, check


def clips(
    frames: np.ndarray | Sequence[np.ndarray], *, target: np.ndarray | Sequence[np.ndarray] | None = None, **attributes
) -> Source:  # fmt: skip
    """A Source of clips, given as arrays.

    Example:
        >>> source = tfgen.data.clips(np.zeros([4, 6, 16, 16, 3], "uint8"))
        >>> source.fields["frames"].shape, source.image_shape
        ((6, 16, 16, 3), (16, 16, 3))

    Args:
      frames: uint8, or floats in [0, 1], [N, T, H, W, C]; or a list of N arrays [T, H, W, C].
      target: other clips of the same examples.
      **attributes: labels and the other arguments of `from_arrays`.

    Returns:
      a Source with `frames`, `image`, the first frame of each, and `target` if it is given.

    Raises:
      ValueError: clips differ in length (the message names two of them) or shape; see also `from_arrays`.
    """
    further = {"frames": _stacked(frames, "frames"), **(attributes.pop("fields", None) or {})}
    if target is not None:
        further["target"] = _stacked(target, "target")
        if further["target"].shape[1] != further["frames"].shape[1]:
            raise ValueError(
                f"target must have as many frames as frames, {further['frames'].shape[1]}; received "
                f"{further['target'].shape[1]}"
            )
    return from_arrays(further["frames"][:, 0], fields=further, **{"name": "clips", **attributes})


def from_clips(
    *, frames: str | os.PathLike, target: str | os.PathLike | None = None, split: str | None = None,
    num_frames: PositiveInt | None = None, size: Size | None = None, channels: Channels | None = None,
    resize: Resize = "center_crop", on_error: OnError = "raise", levels: Levels = 256, in_memory: bool | None = None,
) -> Source:  # fmt: skip
    """A Source of clips, each a folder of frames, which are ordered by their paths, 2.png before 10.png.

    Example:
        streets = tfgen.data.from_clips(frames="labels", target="photos", split="train", num_frames=6, size=(64, 128))

    Args:
      frames: the folder of the folders of frames; with `split`, they are in its sub-folder of this name.
      target: a folder of other clips whose files have the same names up to the suffix.
      num_frames: None: all clips have the same length. T: a clip is cut into pieces of T frames, one after the other; the
        rest of it, of less than T frames, is not used.
      split, size, channels, resize, on_error, levels, in_memory: see `from_folder`. With on_error="skip" a clip with a frame
        that cannot be used is left out.

    Returns:
      a Source with the fields of `clips`. The id of an example is the path of its first frame; pieces of one clip have one
      of the `origins`, so they are held out together.

    Raises:
      ValueError: clips differ in length, or one has less than `num_frames` frames (the message names them); see also
        `from_folders`.
    """
    size = check_options(size, channels, resize, on_error)
    check(from_clips, num_frames=num_frames)
    folders = {"frames": frames} if target is None else {"frames": frames, "target": target}
    found, of_clip, names, where = matched(folders, split)
    if names is None:
        raise ValueError(f"expected a folder for each clip in {where}; found images such as {next(iter(found['frames']))!r}")
    numbered = sorted(zip(of_clip, found["frames"], strict=True), key=lambda one: (one[0], natural_order(one[1])))
    stems = [stem for _, stem in numbered]
    starts = np.flatnonzero(np.diff(of_clip, prepend=-1))  # the files of a clip follow each other
    lengths = np.diff(starts, append=len(of_clip))
    shortest, longest = int(lengths.argmin()), int(lengths.argmax())
    if num_frames is None and lengths[shortest] != lengths[longest]:
        a, b = (f"{names[of_clip[starts[k]]]!r} has {lengths[k]}" for k in (longest, shortest))
        raise ValueError(
            f"clips must have the same number of frames; {a}, {b} (in {where}); num_frames=T cuts clips into pieces of T "
            "frames"
        )
    length = int(num_frames or lengths[0])
    if lengths[shortest] < length:
        short = [names[of_clip[start]] for start, n in zip(starts, lengths, strict=True) if n < length]
        raise ValueError(
            f"clips must have num_frames={length} frames or more; {short[0]!r} has {lengths[shortest]} ({len(short)} such "
            f"clips in {where})"
        )
    first = [start + k for start, n in zip(starts, lengths, strict=True) for k in range(0, n - length + 1, length)]
    files = {name: [[of[stem] for stem in stems[k : k + length]] for k in first] for name, of in found.items()}
    return build_source(
        _Clips({"image": files["frames"], **files}, None, [stems[k] for k in first], size, channels, resize),
        on_error=on_error,
        name=f"clips:{where}",
        split=split or "train",
        levels=levels,
        in_memory=in_memory,
    )


class _Clips(FileReader):
    """The reader of `from_clips`; files: {field: [[path] of the frames]}."""

    def where(self, i, name):
        return self._files[name][i][0]

    def origin(self, i):
        return os.path.dirname(self._files["frames"][i][0])

    def read(self, i, name):
        if name == "image":
            return self._picture(self._files[name][i][0])
        pictures = []
        for path in self._files[name][i]:
            try:
                pictures.append(self._picture(path))
            except ImageError as error:
                raise ImageError(f"the frame {path}: {error}") from error
            if pictures[-1].shape != pictures[0].shape:
                raise ImageError(f"the frame {path} has the shape {pictures[-1].shape}, the first one {pictures[0].shape}")
        return np.stack(pictures)

    def files(self, i, name):
        found = []
        for path in self._files[name][i][: 1 if name == "image" else None]:
            with open(path, "rb") as file:
                found.append(file.read())
        return found

    def declare(self, name, shape):
        return fields.frames(shape, name)


def clip_folders(path, split):
    """The arguments frames and target of `from_clips`: the sub-folders of `path` of these names, else `path` itself."""
    try:
        found = image_folders(path, "frames", "target")
    except ValueError:
        return {"frames": path}
    return {name: found[name] for name in ("frames", "target") if name in found}


def _stacked(values, name):
    """[N, T, H, W, C] of an array or of a list of arrays."""
    shapes = [np.shape(value) for value in values]
    if not shapes or any(len(shape) != 4 for shape in shapes):
        found = np.shape(values) if len(set(shapes)) < 2 else shapes
        raise ValueError(f"{name} must be clips [N, T, H, W, C]; received the shape {found}")
    other = next((k for k, shape in enumerate(shapes) if shape[0] != shapes[0][0]), None)
    if other is not None:
        raise ValueError(
            f"{name} must be clips of the same number of frames; clip 0 has {shapes[0][0]}, clip {other} has "
            f"{shapes[other][0]}"
        )
    other = next((k for k, shape in enumerate(shapes) if shape != shapes[0]), None)
    if other is not None:
        raise ValueError(f"{name} must be clips of one shape; clip 0 has {shapes[0]}, clip {other} has {shapes[other]}")
    return np.asarray(values)
