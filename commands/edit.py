"""`tfgen edit`: photos edited with strokes of colour, sketched edges and moved pieces, by a trained generator."""

from __future__ import annotations

import argparse
import contextlib
import re

import numpy as np

from tfgen.settings import Text
from tfgen_commands.models import place
from tfgen_commands.pictures import check_size, files_and_targets, of_name, picture_or_pictures
from tfgen_commands.project import MODEL, add_shared_arguments, batches, load, write_row
from tfgen_trainers.arguments import option

SUMMARY = "edit photos with strokes, sketched edges and moved pieces, by a trained generator"
DESCRIPTION = f"""\
Changes one photo, or each photo of a folder, so that it looks as you draw, and stays an image that the generator knows: the
code of the photo is moved until the generator's image meets the strokes, and its change is transferred to the photo.

--colour is a picture of the photo's size with strokes: their pixels are what you want to see there, in the colour that you
want. What is transparent in it is free; or --mask is white where it counts. --edges is a sketch: white lines where an edge
is wanted; what is transparent, or else black, in it is free. --warp takes a square of the photo to another place.
A folder has the strokes of each photo under the photo's name.

{MODEL}"""
EPILOG = """\
examples:
  tfgen edit shoe.png -o red.png --model runs/igan-shoes --colour strokes.png --grid
  tfgen edit digit.png -o other.png --model runs/dcgan-mnist --colour grey.png --mask where.png
  tfgen edit digit.png -o taller.png --model runs/igan-mnist --warp 6,14,3,14,8
"""
SIDE = 24 / 64  # of the square that --warp moves, of the picture's
_WARP = re.compile(r"\d{1,5}(,\d{1,5}){3,4}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `tfgen edit`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add = add_shared_arguments(parser)
    add("--colour", "--color", type=option(Text), metavar="FILE", help="picture with strokes, or folder of such")
    add("--mask", type=option(Text), metavar="FILE", help="white where --colour counts (default: where it is opaque)")
    add("--edges", type=option(Text), metavar="FILE", help="sketch of edges, or folder of such")
    add("--edge_mask", type=option(Text), metavar="FILE",
        help="white where --edges counts (default: where it is opaque, or its lines)")  # fmt: skip
    add("--warp", type=_warp, action="append", default=[], metavar="ROW,COLUMN,ROW,COLUMN[,SIDE]",
        help="move the square around the first pixel to the second, in the model's images (repeatable)")  # fmt: skip
    add("--generated", action="store_true", help="write the generator's image, not the photo with its change")
    parser.set_defaults(run=run)


def _warp(text):
    if not _WARP.fullmatch(text):
        raise argparse.ArgumentTypeError(f"got {text!r}, expected ROW,COLUMN,ROW,COLUMN or ROW,COLUMN,ROW,COLUMN,SIDE")
    return tuple(map(int, text.split(",")))


def run(args: argparse.Namespace) -> None:
    """Runs the command.

    Args:
        args: the options of `add_arguments`.

    Raises:
        ValueError: invalid options or files, or a model that cannot edit them.
    """
    files, targets, out = files_and_targets(args.input, args.out)
    if not (args.colour or args.edges or args.warp):
        raise ValueError("give what to change: --colour, --edges or --warp")
    for mask, of in (("mask", "colour"), ("edge_mask", "edges")):
        if getattr(args, mask) and not getattr(args, of):
            raise ValueError(f"--{mask} is for --{of}")
    given = {
        name: picture_or_pictures(value, f"--{name}")
        for name in ("colour", "mask", "edges", "edge_mask") if (value := getattr(args, name)) is not None
    }  # fmt: skip
    with contextlib.ExitStack() as stack:
        model = load(args, stack)
        if not {"strokes", "mask", "edges", "edge_mask"} <= set(model.edit_inputs):
            takes = ", ".join(model.edit_inputs)
            raise ValueError(f"{place(args)}: its edits take {takes}, and no strokes")
        for names, photos in batches(files, model, args):
            drawn = [_drawn(photo, name, given, args) for name, photo in zip(names, photos, strict=True)]
            wanted = {key: np.stack([one[key] for one in drawn]) for key in drawn[0]}
            found = model.edit(photos, **wanted)
            results = found["image" if args.generated else "transferred"]
            for i, name in enumerate(names):
                row = [photos[i], _shown(photos[i], drawn[i]), found["image"][i]] if args.grid else []
                write_row([*row, results[i]], targets[name])
    print(f"{out}: {len(files):,} pictures" if out.is_dir() else out)


def _drawn(photo, name, given, args):
    """{"strokes", "mask", "edges", "edge_mask"} for one photo."""
    from tfgen.models.synthesis.parts.constraints import add_stroke, moved_piece

    found = {}
    for picture, mask, key in (("colour", "mask", "strokes"), ("edges", "edge_mask", "edges")):
        found[key], found[mask] = np.zeros_like(photo), np.zeros(photo.shape[:2], np.float32)
        if picture in given:
            found[key], opaque = _opened(of_name(given[picture], name, f"--{picture}"), photo.shape, args.resize, picture)
            if mask in given:
                file = of_name(given[mask], name, f"--{mask}")
                opaque = _opened(file, (*photo.shape[:2], 1), args.resize, mask)[0][..., 0] >= 0.5
            elif opaque is None and picture == "colour":
                raise ValueError(f"--colour: nothing in {args.colour} is transparent, so say with --mask where it counts")
            elif opaque is None:
                opaque = found[key].max(axis=-1) >= 0.5
            found[mask] = opaque.astype(np.float32)
    for row, column, to_row, to_column, *side in args.warp:
        side = side[0] if side else max(2, round(SIDE * min(photo.shape[:2])))
        try:
            moved, place = moved_piece(photo[None], (row, column), (to_row, to_column), side)
        except ValueError as error:
            raise ValueError(f"--warp: {error}") from error
        for key, mask in (("strokes", "mask"), ("edges", "edge_mask")):
            found[key], found[mask] = (
                part[0].numpy() for part in add_stroke(found[key][None], found[mask][None], moved, place)
            )
    return found


def _opened(path, shape, resize, name):
    """(float32 [H, W, C] in [0, 1]; bool [H, W], where it is opaque, or None if it is so everywhere) of a drawing."""
    from PIL import Image

    from tfgen.data.image_files import adapt_image, open_image

    rule = {"size": tuple(shape[:2]), "resize": resize or "none", "nearest": True}
    try:
        image, alpha = open_image(path), None
        check_size(image.size, shape, resize)
        with Image.open(path) as opened:
            if "A" in opened.getbands() or "transparency" in opened.info:
                image = opened.convert("RGBA")
                alpha = adapt_image(image.getchannel("A"), **rule)[..., 0] >= 128
                image = image.convert("RGB")  # without the white behind what is half transparent
        pixels = adapt_image(image, channels=shape[2], **rule)
    except (ValueError, OSError) as error:
        raise ValueError(f"--{name}: {path}: {error}") from error
    return pixels.astype(np.float32) / np.float32(255), None if alpha is None or alpha.all() else alpha


def _shown(photo, drawn):
    """The photo with what was drawn on it."""
    edges = np.where(drawn["edge_mask"][..., None] > 0, drawn["edges"], photo)
    return np.where(drawn["mask"][..., None] > 0, drawn["strokes"], edges)
