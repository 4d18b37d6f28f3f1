"""`tfgen translate`: images, maps of classes and clips to others, with a trained model.

What the model takes is read from its fields (see `tfgen.fields`), not from its class. The first field with pixels is the
input; every other one is given by name: a file or a folder where it has pixels, else a number or a list.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import pathlib

import numpy as np

from tfgen.settings import PositiveInt, Resize, Seed, Text
from tfgen_commands import models
from tfgen_commands.pictures import GAP, files_and_targets, of_name, picture_or_pictures, write_picture
from tfgen_trainers.arguments import assignment, option, overrides, size

SUMMARY = "translate an image, a folder of images, or clips, with a trained model"
DESCRIPTION = f"""\
Translates one image file; a folder of them, with its sub-folders, to a folder of PNG files with the same names; or, with a
model of clips, each folder of frames.

What the model takes beside the input is given by name: --set style=FILE, --set alpha=0.5. A value for pixels is a file, for
all, or a folder with files of the same names.

A map of classes is a grey PNG whose values are the classes, or one with a palette whose indices are. Borders of instances
(the field edges) are those of --set instances=FILE, a map of the instances' numbers, or else those of the classes.

Images keep their size where the network allows it, which an exported folder cannot; --resize brings them to another.

{models.MODEL}"""
EPILOG = """\
examples:
  tfgen translate horse.jpg -o zebra.png --model runs/horse2zebra
  tfgen translate zebras/ -o horses/ --model runs/horse2zebra --reverse --grid
  tfgen translate street.png -o street-photo.png --model runs/streets --set instances=ids.png
"""
# Images that are translated at once.
BATCH = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `tfgen translate`."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("input", type=option(Text), help="image file, or folder of images or of clips")
    add("-o", "--out", type=option(Text), required=True, help="file or folder to write")
    models.add_model(parser)
    add("--reverse", action="store_true", help="from the second domain back to the first, as a CycleGAN can")
    add("--style", type=option(Text), metavar="FILE", help="the same as --set style=FILE")
    add("--set", action="append", type=assignment, default=[], metavar="NAME=VALUE", dest="given",
        help="another input of the model, e.g. alpha=0.5 or mask=FILE (repeatable)")  # fmt: skip
    add("--seed", type=option(Seed), default=0, help="seed of models that draw noise (default: 0)")
    add("--size", type=size, help="resize the input to N or HxW pixels (with --resize, default: the model's size)")
    add("--resize", type=option(Resize), help="way of resizing: center_crop (default), pad, stretch or none")
    add("--grid", action="store_true", help="write the inputs and the result side by side")
    add("--batch_size", type=option(PositiveInt), default=BATCH, help=f"images at once (default: {BATCH})")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Runs the command.

    Args:
        args: the options of `add_arguments`.

    Raises:
        ValueError: invalid options or files, or a model that cannot translate them.
    """
    given, source = dict(overrides(args.given)), pathlib.Path(args.input)
    if args.style is not None:
        if "style" in given:
            raise ValueError("give --style or --set style=FILE, not both")
        given["style"] = args.style
    files, targets, out = files_and_targets(args.input, args.out)
    with contextlib.ExitStack() as stack:
        model = _model(args, stack)
        work = Work(model, given, size=args.size, resize=args.resize, seed=args.seed)
        if work.main.files_shape and not source.is_dir():
            raise ValueError(f"input must be a folder of frames, since the model takes clips; received the file {source}")
        work.translate(files, targets, batch_size=args.batch_size, grid=args.grid)
    print(f"{out}: {len(files):,} pictures" if source.is_dir() else out)


# ---- models


class _OfRun:
    """A model in memory, of a run folder.

    Attributes:
        fields: the `tfgen.fields.Field`s that it takes. optional: the arguments that may be missing.
        image_shape: (H, W, C).
    """

    def __init__(self, model, reverse):
        self._model, self._reverse = model, reverse
        self.fields, self.optional = model.translated_fields(), model._optional_arguments()
        self.image_shape = model.image_shape

    def __call__(self, given):
        """The outputs {name: array} for {argument: array [B, ...]}."""
        made = (self._model.translate_back if self._reverse else self._model.translate)(**given)
        return {name: value.numpy() for name, value in made.items()}

    def resized(self, sides):
        """The same for images of another size; ValueError if the networks depend on it."""
        return _OfRun(self._model.resized(*sides), self._reverse)


class _OfExport:
    """A SavedModel, as `_OfRun`. What has a default may be missing; that of a state, an input and an output, is zeros."""

    def __init__(self, exported, signature):
        from tfgen.fields import Field

        self._call, self._path, self.image_shape = exported.signatures[signature], exported.path, exported.image_shape
        specs, known = self._call.structured_input_signature[1], exported.input_fields(signature)
        names = {field.argument for field in known}
        further = [Field(name, spec.shape[1:], spec.dtype.name) for name, spec in specs.items() if name not in names]
        states = self._call.structured_outputs.keys() - {"image", "frames"}
        declared = (*known, *further)
        self.fields = tuple(dataclasses.replace(f, default=0.0) if f.argument in states else f for f in declared)
        self.optional = [field.argument for field in self.fields if field.default is not None]

    def __call__(self, given):
        import tensorflow as tf

        from tfgen.fields import with_defaults

        made = self._call(**{name: tf.constant(value) for name, value in with_defaults(given, self.fields).items()})
        return {name: value.numpy() for name, value in made.items()}

    def resized(self, sides):
        height, width = self.image_shape[:2]
        raise ValueError(f"{self._path} is an export for {height} x {width} pixels; received {sides[0]} x {sides[1]}")


def _model(args, stack):
    from tfgen import metrics
    from tfgen.models.capabilities import Translator
    from tfgen.training.callbacks import averaged_weights

    (model, _), path, reverse = models.load(args), models.place(args), args.reverse
    models.require(model, Translator, path)
    if isinstance(model, metrics.ExportedModel):
        if (signature := "translate_back" if reverse else "translate") in model.signatures:
            return _OfExport(model, signature)
    elif hasattr(model, "translate_back") or not reverse:
        stack.enter_context(averaged_weights(model))
        return _OfRun(model, reverse)
    raise ValueError(f"--reverse: {path} translates in one direction only")


# ---- work


class Work:
    """Translates files with one model and one set of further inputs.

    Args:
        model: `_OfRun` or `_OfExport`.
        given: {name or argument of a field, or `instances`: a path, a number or a list}.
        size: None, or the size to which pictures are resized.
        resize: None, or the rule of `tfgen.data.from_folder`; without `size`, that of the model is meant.
        seed: of noise; picture i has the seed 2^32 seed + i.

    Raises:
        ValueError: an input is missing or unknown, or has a wrong value.
    """

    def __init__(self, model, given, *, size=None, resize=None, seed=0):
        self.model, self.seed = model, seed
        self.main = next((f for f in model.fields if f.pixels and f.argument not in model.optional), None)
        if self.main is None:
            raise ValueError("--model takes no picture")
        if size is None and resize is not None:
            size = model.image_shape[:2]
        self.options = {"size": (size, size) if isinstance(size, int) else size, "resize": resize or "center_crop"}
        self.given = self._named(dict(given))
        self._resized = None, None  # size, model

    def _named(self, given):
        """{argument: (name by which it was given, path or array of one example)}."""
        found, known = {}, {}
        fields = [field for field in self.model.fields if field is not self.main and field.argument != "seeds"]
        alone = all(field.name != "instances" for field in fields)  # then `instances` gives the edges alone
        for field in fields:
            names = dict.fromkeys((field.name, field.argument, *(["instances"] if field.name == "edges" else [])))
            known |= names
            here = [name for name in names if name in given]
            if len(here) > 1 and alone:
                raise ValueError(f"give --set {here[0]} or --set {here[1]}, not both")
            if here:
                found[field.argument] = here[0], self._value(field, here[0], given[here[0]])
            elif not self._follows(field) and field.argument not in self.model.optional:
                value = "FILE" if field.pixels else "VALUE"
                raise ValueError(f"the model also takes {field.argument}, {field.wanted}: give --set {field.name}={value}")
        if unknown := [name for name in given if name not in known]:
            takes = f"further inputs of the model are {', '.join(known)}" if known else "the model has no further inputs"
            raise ValueError(f"--set {unknown[0]}: {takes}")
        return found

    @staticmethod
    def _value(field, key, value):
        return picture_or_pictures(value, f"--set {key}") if field.pixels else _number(field, key, value)

    def _follows(self, field):
        """Whether a field is made of the main input where it is not given: of a map of classes, what is of instances."""
        return field.name in _OF_INSTANCES and self.main.classes is not None

    def translate(self, files: dict, targets: dict, *, batch_size: int = BATCH, grid: bool = False) -> None:
        """Translates the files {name: path} to files {name: path}; of a model of clips, the files of a folder are a clip."""
        from tfgen.progress import Progress

        progress = Progress("translating, pictures", len(files))
        for name, picture in self._clips(files, grid) if self.main.files_shape else self._images(files, batch_size, grid):
            write_picture(picture, targets[name])
            progress.add()

    def _images(self, files, batch_size, grid):
        """Yields (name, picture); images of equal size that follow each other are translated together."""
        numbered = enumerate(files.items())
        read = ((name, self._example(self._read(self.main, path), [name], i)) for i, (name, path) in numbered)
        for _, group in itertools.groupby(read, lambda one: [value.shape for value in one[1].values()]):
            while part := list(itertools.islice(group, batch_size)):
                batch = {key: np.stack([one[key] for _, one in part]) for key in part[0][1]}
                pictures = self._pictures(batch, self._called(batch, files[part[0][0]]), grid)
                yield from zip([name for name, _ in part], pictures, strict=True)

    def _clips(self, files, grid):
        """Yields (name, picture) of the frames of all clips, each a folder, in pieces of as many frames as the model takes.

        An output that is an input too is a state, which goes from a piece to the next. If the model takes n first frames as
        `start`, a piece begins with the last n made frames of the one before, with which it has the n inputs in common. The
        last piece of a clip is filled with its last frame.
        """
        arguments = {field.argument for field in self.model.fields if field is not self.main}
        known = next((field.files_shape[0] for field in self.model.fields if field.name == "start"), 0)
        for _, clip in itertools.groupby(files.items(), lambda one: pathlib.PurePath(one[0]).parent):
            names, paths = zip(*clip, strict=True)
            frames = [self._read(self.main, path) for path in paths]
            for path, frame in zip(paths, frames, strict=True):
                if frame.shape != frames[0].shape:
                    raise ValueError(f"input: {path} has {frame.shape[:2]} pixels, the first frame {frames[0].shape[:2]}")
            length, state = self.main.files_shape[0] or len(frames), {}
            for start in range(0, max(len(frames) - known, 1), length - known):
                places = [min(start + k, len(frames) - 1) for k in range(length)]
                example = self._example(np.stack([frames[k] for k in places]), [names[k] for k in places], start, state)
                batch = {name: value[None] for name, value in example.items()}
                outputs = self._called(batch, paths[start])
                state = {name: value[0] for name, value in outputs.items() if name in arguments}
                if known:
                    state["start"] = outputs["frames"][0, -known:]
                made = zip(names[start : start + length], self._pictures(batch, outputs, grid), strict=False)
                yield from itertools.islice(made, known if start else 0, None)

    # ---- one example

    def _example(self, main, names, i, state=None):
        """{argument: array} of one example: its main input, the names of its files, its number, known inputs."""
        found, sides = {self.main.argument: main, **(state or {})}, self._sides(main)
        for field in self.model.fields:
            if field.argument in found:
                continue
            if field.argument == "seeds":
                found["seeds"] = np.int64((self.seed << 32) + i)
            elif field.argument in self.given:
                key, value = self.given[field.argument]
                if field.pixels:
                    count = (field.files_shape or (1,))[0]  # frames; None: as many as the main input has
                    files = [self._read(field, of_name(value, name, f"--set {key}"), sides, key) for name in names[:count]]
                    value = np.stack(files) if field.files_shape else files[0]
                found[field.argument] = value
            elif self._follows(field):
                found[field.argument] = _OF_INSTANCES[field.name](main.argmax(axis=-1))
        return found

    def _sides(self, value):
        """(H, W) of a value of the main input."""
        axis = value.ndim - (3 if self.main.encoded or self.main.classes is not None else 2)
        return tuple(value.shape[axis : axis + 2])

    def _read(self, field, path, sides=None, key=None):
        """float32 [H, W, ...] of a file: one picture of a field with pixels.

        Args:
            sides: None, or (H, W) of the main input.
            key: None, or the name by which it was given.
        """
        from tfgen.data.image_files import adapt_image, open_image
        from tfgen.data.label_maps import class_map, whole_numbers

        options, channels = dict(self.options), field.shape[-1]
        try:
            if field.classes is not None:
                found = np.eye(field.classes, dtype=np.float32)[class_map(path, field.classes, **options)]
            elif key == "instances":
                found = _OF_INSTANCES[field.name](whole_numbers(path, **options))
            elif not field.encoded:
                found = np.float32(adapt_image(open_image(path), **options, channels=1, nearest=True)[..., 0] / 255.0)
            elif channels not in (None, 1, 3):
                raise ValueError(f"{field.argument} has {channels} channels, and a picture 1 or 3")
            else:
                if sides is not None:  # a further image may have any size
                    options["size"] = None if None in field.stored_shape[-3:-1] else sides
                found = np.float32(adapt_image(open_image(path), **options, channels=channels) / 255.0)
        except (ValueError, OSError) as error:
            raise ValueError(f"{'input' if key is None else f'--set {key}'}: {path}: {error}") from error
        if sides is not None and not field.encoded and found.shape[:2] != sides:
            raise ValueError(
                f"--set {key}: {path} has {found.shape[0]} x {found.shape[1]} pixels; expected those of the input, "
                f"{sides[0]} x {sides[1]}"
            )
        return found

    # ---- translating

    def _called(self, batch, path):
        """The outputs of the model, or of one for another size, for a batch; path: of its first file, for errors."""
        import tensorflow as tf

        sides, wanted = self._sides(batch[self.main.argument]), self.main.stored_shape[len(self.main.files_shape) :][:2]
        fits = all(n in (None, m) for n, m in zip(wanted, sides, strict=True))
        if not fits and self._resized[0] != sides:
            try:
                self._resized = sides, self.model.resized(sides)
            except ValueError as error:
                hint = f"--resize center_crop brings images to {wanted[0]} x {wanted[1]}"
                raise ValueError(f"input: {path}: {str(error).rstrip('.')}; {hint}") from error
        try:
            return (self.model if fits else self._resized[1])(batch)
        except (ValueError, tf.errors.InvalidArgumentError) as error:  # as of images that are too small to be padded
            why = getattr(error, "message", str(error)).rpartition("}} ")[2]  # without the name of TensorFlow's node
            raise ValueError(f"input: {path}: the model cannot take {sides[0]} x {sides[1]} pixels: {why}") from error

    def _pictures(self, batch, outputs, grid):
        """[float32 [h, w, C]]: the results, or inputs and results side by side."""
        from tfgen import sampling
        from tfgen.models.capabilities.translator import translation_pictures

        if not grid:
            return outputs["image"] if "image" in outputs else outputs["frames"][0]
        fields = [field for field in self.model.fields if field.argument in batch]
        groups = translation_pictures(fields, {field.name: batch[field.argument] for field in fields}, outputs)
        count = len(groups[-1])  # beside a clip one image may stand
        rows = zip(*(np.repeat(group, count // len(group), axis=0) for group in groups), strict=True)
        return [sampling.image_grid(np.stack(row), len(row), padding=GAP) for row in rows]


# ---- files and values


def _edges(numbers):
    from tfgen.data import instance_edges

    return instance_edges(numbers).astype(np.float32)


def _instances(numbers):
    from tfgen.data.label_maps import instance_numbers

    return instance_numbers(numbers) / np.float32(255)


# Functions of the numbers of instances [..., H, W] -> the values of a field.
_OF_INSTANCES = {"edges": _edges, "instances": _instances}


def _number(field, key, value):
    """A number, or a list of them, as the array of one example of a field without pixels."""
    found = np.asarray(value) if not isinstance(value, str) else np.empty(0)
    fits = found.dtype.kind in ("if" if field.dtype == "float32" else "i") and len(found.shape) == len(field.shape)
    fits = fits and all(n in (None, m) for n, m in zip(field.shape, found.shape, strict=True)) and np.isfinite(found).all()
    low, high = (-np.inf if field.low is None else field.low), (np.inf if field.high is None else field.high)
    if not (fits and ((found >= low) & (found <= high)).all()):
        wanted = field.wanted.replace("[batch, ", "[").replace(" [batch]", "")
        raise ValueError(f"--set {key} must be {wanted}; received {value!r}")
    return found.astype(field.dtype)
