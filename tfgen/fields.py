"""Fields: the named values of an example, each declared once for batches, records, pipelines, signatures and clients."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Annotated

import numpy as np
import tensorflow as tf

from tfgen.settings import check_values, shown, within


@dataclasses.dataclass(frozen=True)
class Field:
    """One named value of an example.

    Example:
        >>> label = tfgen.fields.label(10)
        >>> label.name, label.argument, label.dtype, label.high
        ('label', 'labels', 'int32', 9)

    Attributes:
        name: name in batches, records and pipelines, such as "label".
        shape: shape of one example; a free size is None.
        dtype: dtype in a batch, "float32", "int32", or "int64" for seeds.
        low: the smallest value allowed, or None.
        high: the largest value allowed, or None.
        argument: name as a Python argument and in requests; "": `name`. Only "label" has another one, "labels".
        encoded: whether the field is an image, stored as the bytes of a PNG or JPEG file. In a batch it is float in [0, 1].
        pixels: whether there is a value for each pixel: images, clips and masks. A Source stores them as uint8, records as
            PNG or JPEG files, and augmentation moves them.
        classes: K of a map of classes [..., H, W, K], a one-hot vector for each pixel, else None. A Source stores the class
            of each pixel.
        names: names of the components of a vector, such as attributes, or None.
        hint: how to make batches with the field; part of the error for a missing field.
        directional: whether the values say where something is or which way it turns, so that an example whose pictures are
            mirrored or shifted would contradict them.
        default: the value that fills the argument of a signature where callers have none, or None; see `with_defaults`.

    Raises:
        ValueError: another dtype, not one name for each component, or `classes` without pixels or with another shape.
    """

    name: str
    shape: tuple
    dtype: str = "float32"
    low: float | None = None
    high: float | None = None
    argument: str = ""
    encoded: bool = False
    pixels: bool = False
    names: tuple | None = None
    hint: str = ""
    classes: int | None = None
    directional: bool = False
    default: float | None = None

    def __post_init__(self):
        if self.dtype not in ("float32", "int32", "int64"):
            raise ValueError(f"dtype of field {self.name!r} must be 'float32', 'int32' or 'int64'; received {self.dtype!r}.")
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "argument", self.argument or self.name)
        object.__setattr__(self, "pixels", self.pixels or self.encoded)
        if self.names is not None:
            object.__setattr__(self, "names", tuple(self.names))
            if len(self.shape) != 1 or len(self.names) != self.shape[0]:
                raise ValueError(
                    f"names of field {self.name!r} must be one for each of its components {self.shape}; received "
                    f"{len(self.names)}."
                )

        if self.classes is not None and (not self.pixels or self.encoded or self.shape[-1:] != (self.classes,)):
            raise ValueError(
                f"Field {self.name!r} with classes={self.classes} must have pixels that are no image, and the shape [..., "
                f"height, width, {self.classes}]; received {list(self.shape)}."
            )

    def config(self) -> dict:
        """The Field as a JSON-able dict, from which `Field(**config)` makes an equal one."""
        found = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}
        # As before there were these: the dict is part of fingerprints and of stored metadata.
        later = {"classes": None, "default": None, "directional": False}
        return {k: v for k, v in found.items() if k not in later or v != later[k]}

    @property
    def stored_shape(self) -> tuple:
        """The shape of one example in a Source: without the last axis of a map of classes."""
        return self.shape if self.classes is None else self.shape[:-1]

    @property
    def files_shape(self) -> tuple:
        """The shape of the files of one example of a field with pixels: (T,) of a clip, () of one picture."""
        return self.stored_shape[: -3 if self.encoded else -2]

    def of_stored(self, shape: Sequence[int | None]) -> "Field":
        """The Field with another `stored_shape`."""
        return dataclasses.replace(self, shape=(*shape, *([] if self.classes is None else [self.classes])))

    def takes(self, other: "Field") -> bool:
        """Whether values of `other` are valid for this field: same name and dtype, compatible shape, integers in range."""
        fits = tf.TensorShape(self.shape).is_compatible_with(other.shape)
        inside = self.dtype == "float32" or self.high is None or (other.high is not None and other.high <= self.high)
        return self.name == other.name and self.dtype == other.dtype and fits and inside

    @property
    def spec(self) -> tf.TensorSpec:
        """The tf.TensorSpec of a batch, [None, *shape]."""
        return tf.TensorSpec([None, *self.shape], self.dtype)

    def check(self, values: tf.Tensor | np.ndarray, owner: str = "The model") -> tf.Tensor:
        """`values` as a tensor of this field's dtype [B, *shape].

        In a graph, operations on the result run after the check of the range.

        Args:
            values: array or tensor. Integers may have any integer dtype; a scalar field may also be [B, 1].
            owner: the model that takes the values, for the message.

        Raises:
            ValueError: wrong shape or dtype, or no rows.
            InvalidArgumentError: at run time, if values are out of range or NaN.
        """
        whole, what = self.dtype != "float32", "images" if self.encoded else self.argument
        values = as_tensor(values, _called(what), self.wanted)
        if values.shape.rank and 0 in values.shape and 0 not in self.shape:
            raise ValueError(f"{_called(what)} must not be empty; received the shape {values.shape}.")
        if whole != values.dtype.is_integer or not (values.dtype.is_integer or values.dtype.is_floating):
            hint = " (divide by 255?)" if self.encoded and values.dtype == tf.uint8 else ""
            kind = "integers" if whole else "float"
            wanted = f"{kind} in [{self.low:g}, {self.high:g}]" if self.encoded else f"{kind} {self._wanted()}"
            raise ValueError(f"{_called(what)} must be {wanted}; received dtype {values.dtype.name}{hint}.")
        if values.shape.rank is None:  # for instance in a graph that was traced with labels [B] and [B, 1]
            values = tf.ensure_shape(values, self.spec.shape) if self.shape else tf.reshape(values, [tf.shape(values)[0]])
        if not self.shape and values.shape.rank == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.shape.rank != 1 + len(self.shape) or not values.shape[1:].is_compatible_with(self.shape):
            if self.encoded:
                raise ValueError(
                    f"{owner} was made for {what} {self._wanted()} (height, width, channels); received {values.shape}."
                )
            raise ValueError(f"{_called(what)} must have the shape {self._wanted()}; received {values.shape}.")
        if self.dtype == "int64":
            return tf.cast(values, self.dtype)
        if not whole:
            values = tf.cast(values, self.dtype)
        inside, wanted = self._inside(values)
        message = f"{_called(what)} must {wanted}; received a range of"
        values = checked(values, inside, message, tf.reduce_min(values), tf.reduce_max(values))
        values = tf.cast(values, self.dtype)  # of integers after the check: 2**40 would become 0
        return tf.ensure_shape(values, [None, *self.shape])

    def _inside(self, values):
        """(whether all values are in range, the rule as a text for the message)."""
        if self.dtype == "int32":
            low, high = (-(2**31) if self.low is None else self.low), (2**31 - 1 if self.high is None else self.high)
            values = tf.cast(values, tf.int64)
            return tf.reduce_all((values >= low) & (values <= high)), f"lie in [{low}, {high + 1})"
        if self.low is None and self.high is None:
            return tf.reduce_all(tf.math.is_finite(values)), "be finite"
        low, high = (-math.inf if self.low is None else self.low), (math.inf if self.high is None else self.high)
        # Both comparisons are false for NaN.
        inside = tf.reduce_all((values >= low) & (values <= high))
        return inside, f"lie in [{low:g}, {high:g}]"

    @property
    def wanted(self) -> str:
        """Dtype, shape and range of a batch in words, for messages: "int32 [batch] in [0, 10)"."""
        if self.low is None or self.high is None:
            return f"{self.dtype} {self._wanted()}"
        whole = self.dtype == "int32"
        return f"{self.dtype} {self._wanted()} in [{self.low:g}, {self.high + whole:g}{')' if whole else ']'}"

    def _wanted(self):
        return "[" + ", ".join(["batch", *("any" if n is None else str(n) for n in self.shape)]) + "]"

    def in_turn(self, first: int, last: int) -> np.ndarray:
        """Every value from `low` to `high` in turn, again and again: elements `first` to `last - 1`, int32 [last - first].

        Raises:
            ValueError: the field is not a scalar integer with `low` and `high`.
        """
        if self.dtype != "int32" or self.shape or self.low is None or self.high is None:
            raise ValueError(
                f"Only a scalar integer with low and high, such as a label, has values in turn; received the field "
                f"{self.name!r}, {self.dtype} {self._wanted()}."
            )
        return (self.low + np.arange(first, last) % (self.high - self.low + 1)).astype(np.int32)

    def example_feature(self) -> tf.io.FixedLenFeature:
        """The tf.io feature that reads a field that is not encoded from a tf.Example; missing values become zeros."""
        dtype = tf.int64 if self.dtype == "int32" else tf.float32
        return tf.io.FixedLenFeature(self.shape, dtype, np.zeros(self.shape, dtype.as_numpy_dtype))


def as_tensor(values: object, name: str, wanted: str) -> tf.Tensor:
    """`values` as a tensor; ValueError, "`name` must be `wanted`; received ...", if they cannot be one."""
    try:
        return tf.convert_to_tensor(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{name} must be {wanted}; received {shown(values)}.") from error


def check_given(
    wanted: Sequence[Field], given: dict[str, object], verb: str, optional: Iterable[str] = ()
) -> dict[str, tf.Tensor]:
    """{argument: tensor [B, ...]} of the arguments of a verb, checked, with the same B for all.

    Args:
        wanted: the fields that it takes.
        given: {argument: values}.
        verb: its name, for messages.
        optional: arguments that may be missing.

    Raises:
        ValueError: an argument is missing or unknown, has another dtype or shape, or another number of rows.
        InvalidArgumentError: at run time, if values are out of range or NaN.
    """
    names = [field.argument for field in wanted]
    if not set(names) - set(optional) <= given.keys() <= set(names):
        raise ValueError(f"{verb} takes {', '.join(names)}; received {', '.join(given) or 'none'}.")
    found = {field.argument: field.check(given[field.argument], verb) for field in wanted if field.argument in given}
    check_rows(found)
    return found


def check_rows(given: dict[str, tf.Tensor]) -> None:
    """Raises ValueError unless all tensors [B, ...] have as many rows as the first one."""
    for name, values in given.items():
        first = next(iter(given))
        rows = given[first].shape[:1]
        if not values.shape[:1].is_compatible_with(rows):
            raise ValueError(f"{name} must have as many rows as {first}, {rows[0]}; received the shape {values.shape}.")


def checked(tensor: tf.Tensor, condition: tf.Tensor, *message) -> tf.Tensor:
    """`tensor` after a check of `condition`; raises InvalidArgumentError with `message` at run time if it is false.

    Use the result and not `tensor` itself: an operation on `tensor` may run before the check, and fail with another error or
    update the weights.
    """
    if tf.executing_eagerly():
        if not condition:
            said = (str(part.numpy() if isinstance(part, tf.Tensor) else part) for part in message)
            raise tf.errors.InvalidArgumentError(None, None, " ".join(said))
        return tensor
    with tf.control_dependencies([tf.debugging.Assert(condition, message)]):
        return tf.identity(tensor)


def image(shape: Sequence[int | None], name: str = "image") -> Field:
    """An image float32 [H, W, C] in [0, 1]; None is a free height or width."""
    return Field(name, tuple(shape), low=0.0, high=1.0, encoded=True)


def label(num_classes: int, name: str = "label") -> Field:
    """A class, int32 in [0, num_classes). As a Python argument and in requests it is called `labels`."""
    return Field(name, (), "int32", low=0, high=num_classes - 1, argument="labels" if name == "label" else "")


def seeds() -> Field:
    """Seeds, int64 of any value."""
    return Field("seed", (), "int64", argument="seeds")


def vector(name: str, size: int) -> Field:
    """A vector of finite numbers, float32 [size], such as an `embedding`."""
    return Field(name, (size,))


def mask(height: int | None, width: int | None, name: str = "mask", *, num_frames: int | None = None) -> Field:
    """A mask float32 [H, W], 1 where a pixel is known or chosen, 0 elsewhere; with `num_frames` T a clip [T, H, W]."""
    return Field(name, (*_clip(num_frames), height, width), low=0.0, high=1.0, pixels=True)


def label_map(
    height: int, width: int, num_classes: int, name: str = "label_map", *, num_frames: int | None = None
) -> Field:  # fmt: skip
    """A class for each pixel, one-hot: float32 [H, W, K], K at most 256; with `num_frames` T a clip [T, H, W, K].

    Example:
        >>> field = tfgen.fields.label_map(32, 32, 11)
        >>> field.shape, field.stored_shape
        ((32, 32, 11), (32, 32))
    """
    check_values({"num_classes": Annotated[int, within(1, 256)]}, {"num_classes": num_classes})
    shape = (*_clip(num_frames), height, width, num_classes)
    return Field(name, shape, low=0.0, high=1.0, pixels=True, classes=num_classes)


def _clip(num_frames):
    return () if num_frames is None else (num_frames,)


def frames(shape: Sequence[int | None], name: str = "frames") -> Field:
    """A clip: images float32 [T, H, W, C] in [0, 1]."""
    return Field(name, tuple(shape), low=0.0, high=1.0, encoded=True)


def start(shape: Sequence[int]) -> Field:
    """The known first frames of a clip that is to be made, float32 [n, H, W, C] in [0, 1]; see `with_start`."""
    return Field("start", tuple(shape), low=0.0, high=1.0, encoded=True)


def with_start(batch: dict, wanted: Iterable[Field]) -> dict:
    """The batch with the field `start`, the first frames of its `target`, if `start` is wanted and missing."""
    lacking = [f for f in wanted if f.name == "start" and "start" not in batch and "target" in batch]
    return {**batch, **{f.name: batch["target"][:, : f.shape[0]] for f in lacking}}


def with_defaults(given: dict, wanted: Sequence[Field]) -> dict:
    """`given`, {argument: array [B, ...]}, with the missing arguments of `wanted` that have a default.

    Their free sizes are those of the first argument of `wanted` that is given, such as the sides of the image for a mask.
    """
    lacking = [field for field in wanted if field.default is not None and field.argument not in given]
    like = next((np.shape(given[field.argument]) for field in wanted if field.argument in given), ())
    for field in lacking:
        shape = [like[i] if n is None else n for i, n in enumerate((None, *field.shape))]
        given = {**given, field.argument: np.full(shape, field.default, field.dtype)}
    return given


def without_start(clips: tf.Tensor | np.ndarray, wanted: Iterable[Field], keep: int = 0) -> tf.Tensor | np.ndarray:
    """Clips [B, T, ...] of results, or of their targets, without the first frames, which are given if `start` is wanted.

    Args:
        clips: array or tensor; without a `start` among the fields it may be anything.
        wanted: the fields from which the results are made.
        keep: how many of the given frames stay, the last ones, such as 1 for differences between frames.
    """
    given = next((field.shape[0] for field in wanted if field.name == "start"), 0)
    return clips[:, max(0, given - keep) :] if given else clips


def attributes(count: int, name: str = "attributes", names: Sequence[str] | None = None) -> Field:
    """Yes/no attributes, float32 [count] in [0, 1], such as the 40 of CelebA."""
    return Field(name, (count,), low=0.0, high=1.0, names=None if names is None else tuple(names))


def check_fields(needed: Sequence[Field], given: dict[str, Field], owner: str, source: str) -> None:
    """Raises ValueError if `given` lacks a field of `needed`, or has one with another dtype, shape or range.

    Args:
        needed: the fields that `owner` must have in its batches.
        given: {name: Field}, such as `Source.fields`.
        owner, source: names of the model and of the source, for the message.
    """
    for field in needed:
        found = given.get(field.name)
        if found is None:
            raise ValueError(
                f"{owner} needs the field {field.name!r}, {field.dtype} {field._wanted()}; {source} has the fields "
                f"{sorted(given)}."
            )
        if not field.takes(found):
            up_to = ["" if f.high is None else f" up to {f.high:g}" for f in (field, found)]
            raise ValueError(
                f"{owner} needs the field {field.name!r} as {field.dtype} {field._wanted()}{up_to[0]}; {source} has it as "
                f"{found.dtype} {found._wanted()}{up_to[1]}."
            )


def _called(what):
    """The beginning of a sentence; names of arguments are not capitalised."""
    return "Images" if what == "images" else what
