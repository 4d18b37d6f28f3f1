"""Picture files that several sub-commands read and write."""

from __future__ import annotations

import argparse
import io
import pathlib
from collections.abc import Sequence

import numpy as np

from tfgen.files import SUFFIXES, natural_order, write_whole
from tfgen.settings import Resize, Text
from tfgen_commands.arguments import MAX_GRID, check_writable, output_file
from tfgen_trainers.arguments import can_hold, option

# A border between the pictures of a grid, in pixels.
GAP = 2


def add_input(parser: argparse.ArgumentParser) -> None:
    """Adds the images of a command, see `read_all`, and --resize."""
    parser.add_argument("input", type=option(Text), nargs="+", help="image files, or folders of images")
    add_resize(parser)


def add_resize(parser: argparse.ArgumentParser) -> None:
    """Adds --resize, see `read_picture`."""
    parser.add_argument("--resize", type=option(Resize), help="resize images of another size than the model's: center_crop, "
                        "pad or stretch (default: none, they are refused)")  # fmt: skip


def files_and_targets(given: str, out: str) -> tuple[dict, dict, pathlib.Path]:
    """The files of the argument `input`, an image file or a folder, and the files to write.

    Returns:
        ({name: path}, {name: path of a picture}, --out as a path); of a folder the names are those of `pictures_in`, and the
        targets are PNG files with these names.

    Raises:
        ValueError: there is no such file, a folder holds no images, or --out does not fit the input or cannot be written.
    """
    source = pathlib.Path(given)
    if not source.exists():
        raise ValueError(f"input must be an image file or a folder; there is no {source}")
    if source.is_dir():
        path, files = _folder(out, source), pictures_in(source)  # in this order: a wrong --out is said at once
        targets = {name: path / f"{name}.png" for name in files}
    else:
        path, files = output_file(out, source), {source.stem: source}
        targets = {source.stem: path}
        picture_format(path)
    if not files:
        raise ValueError(f"input: {source} holds no images")
    return files, targets, path


def _folder(out, source):
    out = pathlib.Path(out)
    if not can_hold(out):
        raise ValueError(f"--out must be a folder, as the input is one; received {out}")
    if out.resolve() == source.resolve() or source.resolve() in out.resolve().parents:
        raise ValueError(f"--out must be outside of the input {source}; received {out}")
    check_writable(out)
    return out


def picture_format(path: pathlib.Path) -> str:
    """Pillow's name of the format of a file; ValueError if it cannot write one."""
    from PIL import Image

    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in Image.SAVE:
        raise ValueError(f"--out must have the suffix of a picture, such as .png; received {path}")
    return kind


def pictures_in(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """{path in the folder without suffix: path} of all image files in a folder and its sub-folders, folder by folder.

    They are ordered by their names, 2.png before 10.png.
    """
    found = {}
    for path in sorted(folder.rglob("*"), key=lambda path: (natural_order(path.parent), natural_order(path.stem))):
        name = path.relative_to(folder)
        if path.suffix.lower() not in SUFFIXES or any(part.startswith(".") for part in name.parts) or path.is_dir():
            continue
        key = str(name.with_suffix(""))
        if key in found:
            raise ValueError(f"expected one image of the name {key!r}; found {found[key]} and {path}")
        found[key] = path
    return found


def picture_or_pictures(value: object, option: str) -> pathlib.Path | dict[str, pathlib.Path]:
    """The path of a further picture, or `pictures_in` of a folder; option: its name for messages, such as "--mask"."""
    path = pathlib.Path(str(value))
    if not path.exists():
        raise ValueError(f"{option} must be an image file or a folder; there is no {path}")
    return pictures_in(path) if path.is_dir() else path


def of_name(value: pathlib.Path | dict, name: str, option: str) -> pathlib.Path:
    """The file for the input `name`: the given file, for all, or that of {name: file}."""
    if not isinstance(value, dict):
        return value
    if name not in value:
        raise ValueError(f"{option}: the folder has no image of the name {name!r}, as the input has")
    return value[name]


def read_picture(path: pathlib.Path, shape: Sequence[int], resize: Resize | None, option: str = "input") -> np.ndarray:
    """float32 [H, W, C] in [0, 1] of a file.

    Args:
        path: of the file.
        shape: (H, W, C).
        resize: the rule for a picture of another size; None: it is refused.
        option: by which it was given, for messages.
    """
    from tfgen.data.image_files import adapt_image, open_image

    try:
        image = open_image(path)
        check_size(image.size, shape, resize)
        pixels = adapt_image(image, size=tuple(shape[:2]), channels=shape[2], resize=resize or "none")
    except (ValueError, OSError) as error:
        raise ValueError(f"{option}: {path}: {error}") from error
    return pixels.astype(np.float32) / np.float32(255)


def read_all(given: Sequence[str], shape: Sequence[int], resize: Resize | None) -> tuple[list[str], np.ndarray]:
    """(paths, `read_picture` of each: float32 [N, H, W, C]) of files and of all images in folders, in this order.

    Raises:
        ValueError: there is no such file, a folder holds no images, or there are more than `MAX_GRID` images.
    """
    paths = []
    for one in given:
        path = pathlib.Path(one)
        if not path.exists():
            raise ValueError(f"input must be an image file or a folder; there is no {path}")
        found = list(pictures_in(path).values()) if path.is_dir() else [path]
        if not found:
            raise ValueError(f"input: {path} holds no images")
        paths += found
    if len(paths) > MAX_GRID:
        raise ValueError(f"input must be at most {MAX_GRID:,} images; received {len(paths):,}")
    return [str(path) for path in paths], np.stack([read_picture(path, shape, resize) for path in paths])


def check_size(size: tuple[int, int], shape: Sequence[int], resize: Resize | None) -> None:
    """Raises ValueError if a picture of the size (W, H) is not of `shape` (H, W, ...) and there is no rule to resize it."""
    if resize is None and size != tuple(shape[1::-1]):
        height, width = shape[:2]
        raise ValueError(
            f"the model takes {height} x {width} pixels, and this has {size[1]} x {size[0]}; --resize center_crop brings "
            f"images to {height} x {width}"
        )


def write_picture(picture: np.ndarray, path: pathlib.Path) -> None:
    """Writes float [H, W, 1 or 3] in [0, 1] in the format of the path's suffix."""
    from PIL import Image

    if picture.shape[-1] not in (1, 3) or not np.isfinite(picture).all():
        raise ValueError(f"the result, with {picture.shape[-1]} channels, is no picture: not 1 or 3, or not finite")
    pixels, content = np.rint(255.0 * picture).astype(np.uint8), io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(content, picture_format(path))
    try:
        write_whole(path, content.getvalue())
    except OSError as error:
        raise ValueError(f"--out: {error.strerror}") from error


def write_grid(rows: np.ndarray, out: str, scale: int, columns: int | None = None) -> None:
    """Writes images as a grid: a .png; or a .gif, in which each row is an animation.

    Args:
        rows: float [R, S, H, W, C] in [0, 1].
        out: the path.
        scale: side of a pixel of the images.
        columns: of a .png; None: S.
    """
    from tfgen import sampling

    if pathlib.Path(out).suffix.lower() == ".gif":
        sampling.save_animation(out, rows, scale=scale)
    else:
        sampling.save_png(out, rows.reshape(-1, *rows.shape[2:]), columns or rows.shape[1], scale)
