"""`tfgen project`: the images of a generator that are closest to photos, and images between two photos."""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import pathlib
from typing import Annotated

import numpy as np

from tfgen.files import write_whole
from tfgen.settings import PositiveInt, Resize, Text, within
from tfgen_commands import models
from tfgen_commands.arguments import output_file
from tfgen_commands.pictures import GAP, files_and_targets, read_picture, write_picture
from tfgen_trainers.arguments import option

SUMMARY = "find photos in a trained generator, and images between two photos"
MODEL = f"""\
The model is an IGAN, or one that draws images from codes, such as a DCGAN or a StyleGAN without classes; an exported folder
can only be that of an IGAN. An IGAN predicts codes and improves them; with another model they are found by optimisation
alone, from several starts. A generator shows what it was trained on: other photos come out as the nearest thing that it
knows. A photo of another size than the model's needs --resize, such as --resize center_crop.

{models.MODEL}"""
DESCRIPTION = f"""\
Writes, for one photo or each photo of a folder, the generator's image that is closest to it; with --latents also its code.
With --to it writes images on the way from the photo to another one: a strip, or an animation if --out ends in .gif.

{MODEL}"""
EPILOG = """\
examples:
  tfgen project digit.png -o found.png --preset gan/digits --grid
  tfgen project face.png -o found.png --model runs/dcgan-faces --grid
  tfgen project faces/ -o found/ --model runs/igan-faces --latents codes.npz --resize center_crop
  tfgen project face.png -o morph.gif --model runs/igan-faces --to other.png --frames 24
"""
BATCH = 8  # photos at once
STARTS = 4  # of each photo, with a model that predicts no codes
FRAMES = 9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `tfgen project`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    add = add_shared_arguments(parser)
    add("--latents", type=option(Text), metavar="FILE.npz", help="write the codes too: arrays `name` and `latent`")
    add("--to", type=option(Text), metavar="PHOTO", help="write images from each photo to this one")
    add("--frames", type=option(Annotated[int, within(2, 1000)]), default=FRAMES,
        help=f"number of images with --to (default: {FRAMES})")  # fmt: skip
    add("--generated", action="store_true", help="with --to: images of the generator alone, without the photos' own detail")
    parser.set_defaults(run=run)


def add_shared_arguments(parser: argparse.ArgumentParser):
    """Adds the options that `tfgen edit` has too; returns `parser.add_argument`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("input", type=option(Text), help="photo, or folder of photos")
    add("-o", "--out", type=option(Text), required=True, help="file or folder to write")
    models.add_model(parser)
    add("--resize", type=option(Resize), help="way of resizing to the model's size: center_crop, pad, stretch or none")
    add("--grid", action="store_true", help="write photo and result side by side")
    add("--batch_size", type=option(PositiveInt), default=BATCH, help=f"photos at once (default: {BATCH})")
    return add


def run(args: argparse.Namespace) -> None:
    """Runs the command.

    Args:
        args: the options of `add_arguments`.

    Raises:
        ValueError: invalid options or files, or a model that cannot project them.
    """
    files, targets, out = files_and_targets(args.input, args.out)
    if args.to is None and args.generated:
        raise ValueError("--generated is for --to")
    if args.to is not None and not pathlib.Path(args.to).is_file():
        raise ValueError(f"--to must be an image file; there is no {args.to}")
    if args.latents is not None and not args.latents.endswith(".npz"):
        raise ValueError(f"--latents must be the path of a .npz file to write; received {args.latents}")
    codes_file = None if args.latents is None else output_file(args.latents, args.input)
    codes = {}
    with contextlib.ExitStack() as stack:
        model = load(args, stack)
        other = None if args.to is None else read_picture(args.to, model.image_shape, args.resize, "--to")
        for names, photos in batches(files, model, args):
            found = model.project(photos)
            codes |= dict(zip(names, found["latent"], strict=True))
            if other is None:
                rows = list(zip(photos, found["image"], strict=True)) if args.grid else [[one] for one in found["image"]]
            else:
                rows = _morphed(model, photos, other, args)
            for name, row in zip(names, rows, strict=True):
                write_row(row, targets[name])
    if codes_file is not None:
        content = io.BytesIO()
        np.savez(content, name=np.array(list(codes)), latent=np.stack(list(codes.values())))
        write_whole(codes_file, content.getvalue())
    print(f"{out}: {len(files):,} pictures" if out.is_dir() else out)


def _morphed(model, photos, other, args):
    from tfgen import sampling

    others = np.repeat(other[None], len(photos), axis=0)
    made = sampling.morph(model, photos, others, args.frames, keep_detail=not args.generated)
    return [[photo, *row, other] for photo, row in zip(photos, made, strict=True)] if args.grid else list(made)


def write_row(row: list[np.ndarray], path: pathlib.Path) -> None:
    """Writes one picture, or several: side by side, or as an animation if the file is a GIF."""
    from tfgen import sampling

    if len(row) > 1 and path.suffix.lower() == ".gif":
        sampling.save_animation(path, np.stack(row)[None], scale=1, hold=1000)
    else:
        write_picture(row[0] if len(row) == 1 else sampling.image_grid(np.stack(row), len(row), padding=GAP), path)


def batches(files: dict, model: object, args: argparse.Namespace):
    """Yields ([names], float32 [n, H, W, C]) of files {name: path}, with a line of progress."""
    from tfgen.progress import Progress

    progress = Progress(f"{args.command}, photos", len(files))
    names = iter(files)
    while part := list(itertools.islice(names, args.batch_size)):
        yield part, np.stack([read_picture(files[name], model.image_shape, args.resize) for name in part])
        for _ in part:
            progress.add()


# ---- models


class OfRun:
    """A model in memory: a `Projector`.

    Attributes:
        image_shape: (H, W, C).
        edit_inputs: the names of what its edits take besides photos.
    """

    def __init__(self, model):
        self._model, self.image_shape = model, model.image_shape
        self.edit_inputs = [field.argument for field in model.edit_fields()]

    def project(self, photos: np.ndarray) -> dict[str, np.ndarray]:
        """{"latent", "image"} of photos."""
        return _arrays(self._model.project(photos))

    def edit(self, photos: np.ndarray, **given) -> dict[str, np.ndarray]:
        """{"latent", "image", ...} of photos and the fields of edits."""
        return _arrays(self._model.edit(photos, **given))

    def decode_images(self, latents: np.ndarray) -> np.ndarray:
        return self._model.decode_images(latents).numpy()


class OfExport:
    """A SavedModel, as `OfRun`."""

    def __init__(self, exported):
        self._signatures, self._path, self.image_shape = exported.signatures, exported.path, exported.image_shape
        self.edit_inputs = sorted(exported.inputs("edit") - {"image"})

    def project(self, photos):
        return self._call("project", image=photos)

    def edit(self, photos, **given):
        return self._call("edit", image=photos, **given)

    def decode_images(self, latents):
        if "decode" not in self._signatures:
            raise ValueError(f"--to: {self._path} has no signature decode, which draws images of codes")
        return self._call("decode", latent=latents)["image"]

    def _call(self, signature, **given):
        import tensorflow as tf

        return _arrays(self._signatures[signature](**{name: tf.constant(value) for name, value in given.items()}))


def _arrays(found):
    return {name: value.numpy() for name, value in found.items()}


def load(args: argparse.Namespace, stack: contextlib.ExitStack) -> OfRun | OfExport:
    """The model that the options name; ValueError if it can neither project photos nor draw images from codes."""
    from tfgen import metrics
    from tfgen.models import IGAN
    from tfgen.models.capabilities import Projector, Sampler
    from tfgen.training.callbacks import averaged_weights

    (model, _), path = models.load(args), models.place(args)
    if isinstance(model, metrics.ExportedModel):
        hint = "; give the run folder of the generator, which has its gradients" if Sampler in model.capabilities else ""
        models.require(model, Projector, path, hint)
        return OfExport(model)
    if Projector in model.capabilities():
        stack.enter_context(averaged_weights(model))
        return OfRun(model)
    models.require(model, Sampler, path)
    cell = 8 if model.image_shape[2] == 3 and min(model.image_shape[:2]) >= 32 else 4
    try:
        return OfRun(IGAN(image_shape=model.image_shape, generator=model, method="optimization", starts=STARTS, width=1,
                          edge_cell=cell))  # fmt: skip
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
