"""Sampling pixel by pixel with caches, so that nothing is computed twice: one mechanism for all autoregressive networks.

A network in which pixel (i, j) depends on the rows above i, and on the pixels to the left in row i, has values of two kinds:

    row-level     functions of only the rows above; a whole row of them is computed at once, when row i begins
    pixel-level   functions of the pixels to the left too; computed for one pixel at a time

The network is written once, with a scope, and runs in two ways. `Whole` computes all positions at once, for training and
for likelihoods. `Stepwise` computes one row of the row-level values, or one pixel of the pixel-level values, and stores the
rows and pixels that later passes need. In a pass over a row all pixel-level values are None, in a pass over a pixel all
row-level values are None. So operations on values of one kind are wrapped in `scope.rows(function)` or
`scope.pixels(function)`, which call the function in the passes of this kind. Every operation that combines positions is a
method of the scope, and is called in every pass:

    above = scope.below(x, channels)                                 # pixel-level x, seen from the row below: row-level
    window = scope.rows_before(above, 1, channels)                   # with the row before it
    y = scope.across(scope.rows(lambda: convolve(window)), filters)  # row-level, for use in pixel-level work
    left = scope.pixels_before(x, 1, channels)                       # pixel-level x with its left neighbour
    z = scope.pixels(lambda: y + convolve_row(left))

The work for a pixel does not depend on the size of the image; the stored values grow only with the length of a row. See
Ramachandran et al. 2017, "Fast Generation for Convolutional Autoregressive Models", arXiv:1704.06001; for the two kinds van
den Oord et al. 2016, arXiv:1606.05328.

All values are float [B, rows, columns, channels]. In a pass of `Stepwise` there is 1 row, of all columns or of 1 column.
"""

from typing import Any

import tensorflow as tf


class Whole:
    """All rows and columns at once. The methods are explained in `Stepwise`."""

    whole = True

    def rows(self, function):
        return function()

    def pixels(self, function):
        return function()

    def across(self, x, channels):
        return x

    def below(self, x, channels):
        return shift_down(x)

    def rows_before(self, x, num, channels):
        return tf.pad(x, [[0, 0], [num, 0], [0, 0], [0, 0]])

    def pixels_before(self, x, num, channels):
        return tf.pad(x, [[0, 0], [0, 0], [num, 0], [0, 0]])

    def place(self, x):
        return x

    def constant(self, owner, function):
        return function()

    def half(self):
        return self


class Stepwise:
    """One row, or one pixel, in each pass. Made by `scan`.

    Every pass must call the methods that store values (all but `rows`, `pixels` and `half`) in the same order.

    Attributes:
        row, column: int32 scalars, the position in this scope's resolution.
    """

    whole = False

    def __init__(self, batch, width, dtype, parent=None):
        self.batch, self.width, self.dtype = batch, width, dtype
        self.parent, self.root = parent, self if parent is None else parent.root
        self.depth = 0 if parent is None else parent.depth + 1
        self._half = None
        if parent is None:
            self.slots, self.constants, self.depths = [], {}, 0
            self.phase, self.cursor = None, 0
            self.level: Any = None  # an integer in a pass
            self.at, self.input, self.input_slots = (0, 0), None, []

    # ---- position and kind of pass

    @property
    def row(self):
        return self.root.at[0] // 2**self.depth

    @property
    def column(self):
        return self.root.at[1] // 2**self.depth

    def _in(self, phase):
        return self.root.phase == phase and self.depth <= self.root.level

    def rows(self, function):
        """function() in a pass over a row, else None."""
        return function() if self._in("rows") else None

    def pixels(self, function):
        """function() in a pass over a pixel, else None."""
        return function() if self._in("pixels") else None

    def half(self):
        """The scope of half the resolution; it takes part in the passes over even rows and columns."""
        if self._half is None:
            self._half = Stepwise(self.batch, self.width // 2, self.dtype, parent=self)
            self.root.depths = max(self.root.depths, self._half.depth)
        return self._half

    # ---- stored values

    def _slot(self, kind, shape, initial=None):
        """The next slot. The first pass makes it, filled with zeros or with `initial`, float [channels]."""
        root = self.root
        index, root.cursor = root.cursor, root.cursor + 1
        if index == len(root.slots):
            value = tf.zeros(shape, self.dtype)
            root.slots.append(_Slot(kind, value if initial is None else value + tf.cast(initial, self.dtype)))
        slot = root.slots[index]
        if slot.kind != kind:
            raise RuntimeError(f"A network must use its scope in the same order in every pass; {kind} follows {slot.kind}.")
        return slot

    def across(self, x, channels):
        """Row-level x [B, 1, W, channels] as a pixel-level value, for each pixel of the row."""
        slot = self._slot("row", [self.width, self.batch, channels])
        if self._in("rows"):
            slot.value = tf.transpose(x[:, 0], [1, 0, 2])
        return slot.value[self.column][:, None, None] if self._in("pixels") else None

    def below(self, x, channels):
        """Pixel-level x of the row above, as a row-level value [B, 1, W, channels]; zeros for the first row."""
        return self.buffer(channels).write(x).above()

    def buffer(self, channels, initial=None):
        """A `Buffer`: a row of pixel-level values."""
        return Buffer(self, self._slot("pixels", [self.width, self.batch, channels], initial))

    def rows_before(self, x, num, channels):
        """The `num` rows before and row-level x itself: [B, num + 1, W, channels]; zeros above the image."""
        if not num:
            return x
        slot = self._slot("row", [self.batch, num, self.width, channels])
        if not self._in("rows"):
            return None
        window = tf.concat([slot.value, x], axis=1)
        slot.value = window[:, 1:]
        return window

    def pixels_before(self, x, num, channels):
        """The `num` pixels before and pixel-level x itself: [B, 1, num + 1, channels]; zeros left of the image."""
        if not num:
            return x
        slot = self._slot("window", [self.batch, 1, num, channels])
        if not self._in("pixels"):
            return None
        window = tf.concat([slot.value, x], axis=2)
        self._remember(slot, x, lambda pixel: tf.concat([window[:, :, 1:-1], pixel], axis=2))
        return window

    def memory(self, channels, initial=None):
        """A `Memory`: a row of row-level values."""
        return Memory(self, self._slot("row", [self.batch, 1, self.width, channels], initial))

    def held(self, x, channels):
        """Row-level x of this scope for the rows of its parent: the latest row, [B, 1, W, channels]."""
        slot = self._slot("row", [self.batch, 1, self.width, channels])
        if self._in("rows"):
            slot.value = x
        return slot.value if self.root.phase == "rows" else None

    def held_pixels(self, x, channels):
        """Pixel-level x of this scope for the pixels of its parent: x at the parent's position, [B, 1, 1, channels]."""
        slot = self.buffer(channels).write(x).slot
        return slot.value[self.column][:, None, None] if self.root.phase == "pixels" else None

    def place(self, x):
        """The current row of a map [B, H, W, channels] that does not depend on pixels: row-level."""
        return self.rows(lambda: tf.gather(x, [self.row], axis=1))

    def constant(self, owner, function):
        """function(), called once for `owner`, before the loops; e.g. a kernel that is computed from weights."""
        constants = self.root.constants
        if id(owner) not in constants:
            constants[id(owner)] = function()
        return constants[id(owner)]

    def _remember(self, slot, x, update):
        """slot <- update(x). If x is the network's input, `scan` repeats this once the pixel is complete."""
        slot.value = update(x)
        if x is self.root.input:
            self.root.input_slots.append((slot, update))


class _Slot:
    def __init__(self, kind, value):
        self.kind, self.value, self.initial = kind, value, value


class Buffer:
    """A row of pixel-level values. Before a pixel is written, the row above and the pixel to the left can be read."""

    def __init__(self, scope, slot):
        self.scope, self.slot = scope, slot

    def above(self):
        """The row above, row-level [B, 1, W, channels]."""
        return self.scope.rows(lambda: tf.transpose(self.slot.value, [1, 0, 2])[:, None])

    def left(self, initial=0.0):
        """The pixel to the left, pixel-level [B, 1, 1, channels]; `initial` at the first pixel of a row."""
        scope, value = self.scope, self.slot.value
        column = scope.column
        return scope.pixels(lambda: tf.where(column > 0, value[tf.maximum(column - 1, 0)], initial)[:, None, None])

    def write(self, x):
        """Writes pixel-level x; returns the buffer."""
        scope, slot = self.scope, self.slot
        if scope._in("pixels"):
            value, column = slot.value, scope.column
            scope._remember(slot, x, lambda pixel: tf.tensor_scatter_nd_update(value, [[column]], pixel[None, :, 0, 0]))
        return self


class Memory:
    """A row of row-level values. Before a row is written, the row before can be read."""

    def __init__(self, scope, slot):
        self.scope, self.slot = scope, slot

    def read(self):
        """The row before, row-level [B, 1, W, channels]."""
        return self.scope.rows(lambda: self.slot.value)

    def write(self, x):
        """Writes row-level x."""
        if self.scope._in("rows"):
            self.slot.value = x


def scan(network, choose, *, batch, shape, passes, prepare, dtype="float32", keep_parameters=False):
    """Draws images pixel by pixel, in raster order. In a graph: one loop over rows and one over the pixels of a row.

    Args:
        network: (x, scope) -> parameters of the pixels' distributions, float [B, rows, columns, P], pixel-level. They may
            depend only on the rows above and the pixels to the left, and with several passes also on the earlier channels
            of the pixel itself.
        choose: (parameters float32 [B, P], pixel [B, C], channel, row, column) -> pixel with the values of `channel` set
            (with one pass: of all channels).
        batch: B, an int or an int32 scalar.
        shape: (H, W, C).
        passes: 1, or C: the channels of a pixel are drawn one after the other, each given the ones before. The parameters
            are then C equal blocks.
        prepare: pixels [..., C] -> the network's input [..., C'].
        dtype: dtype of the network's values.
        keep_parameters: whether to return the parameters too.

    Returns:
        The images, float32 [B, H, W, C]; with `keep_parameters` a pair: images and parameters float32 [B, H, W, P].

    Raises:
        ValueError: a side is not a multiple of 2^n, where n is how often the network halves its input.
    """
    height, width, channels = shape
    scope = Stepwise(batch, width, dtype)

    def run(phase, level, x=None):
        scope.phase, scope.level, scope.cursor, scope.input, scope.input_slots = phase, level, 0, x, []
        return network(x, scope)

    empty = tf.zeros([batch, channels])
    # One pass of each kind, to make the slots, and to compute constants outside of the loops.
    scope.at = tf.constant(0), tf.constant(0)
    run("rows", 0)
    run("rows", scope.depths)
    example = run("pixels", scope.depths, prepare(empty[:, None, None]))
    for slot in scope.slots:
        slot.value = slot.initial
    slots, factor = scope.slots, 2**scope.depths
    if height % factor or width % factor:
        raise ValueError(f"This network halves its input {scope.depths} times; received sides {height} and {width}.")
    # Slots of rows change in passes over a row, the others in passes over a pixel.
    of_pixels = [slot for slot in slots if slot.kind != "row"]
    size = example.shape[-1]

    def values(some):
        return [slot.value for slot in some]

    def put(some, new):
        for slot, value in zip(some, new, strict=True):
            slot.value = tf.ensure_shape(value, slot.initial.shape)

    def at_level(where, some, function):
        """Calls function(level), level = number of halved scopes with a pass here; sets the slots, returns its tensors."""
        if not scope.depths:
            return function(0)
        levels = tf.reduce_sum([tf.cast(where % 2**d == 0, tf.int32) for d in range(1, scope.depths + 1)])
        start = values(some)

        def branch(level):
            put(some, start)
            found = function(level)
            return [*found, *values(some)]

        out = tf.switch_case(levels, [lambda level=level: branch(level) for level in range(scope.depths + 1)])
        put(some, out[len(out) - len(some) :])
        return out[: len(out) - len(some)]

    def one_pixel(row, column):
        """Draws a pixel and sets the slots of pixels; returns the pixel and its parameters."""

        def function(level):
            drawn, kept = empty, []
            for channel in range(passes):
                before = values(of_pixels)
                found = tf.cast(run("pixels", level, prepare(drawn[:, None, None])), tf.float32)[:, 0, 0]
                found = tf.ensure_shape(found, [None, size])
                kept.append(tf.split(found, passes, axis=-1)[channel])
                drawn = choose(found, drawn, channel, row, column)
                if channel < passes - 1:
                    put(of_pixels, before)
            complete = prepare(drawn[:, None, None])
            for slot, update in scope.input_slots:
                slot.value = update(complete)
            return [drawn, tf.concat(kept, axis=-1)]

        return at_level(row | column, of_pixels, function)

    def one_row(row, arrays, *state):
        put(slots, state)
        for slot in of_pixels:
            if slot.kind == "window":
                slot.value = slot.initial
        scope.at = row, tf.constant(0)

        def begin(level):
            run("rows", level)
            return []

        at_level(row, slots, begin)

        def body(column, arrays, *state):
            put(of_pixels, state)
            scope.at = row, column
            found = one_pixel(row, column)
            arrays = [array.write(column, value) for array, value in zip(arrays, found, strict=False)]
            return column + 1, arrays, *values(of_pixels)

        inner = [tf.TensorArray(tf.float32, width, element_shape=a.element_shape[1:]) for a in arrays]
        _, inner, *state = tf.while_loop(
            lambda column, *_: column < width, body, [tf.constant(0), inner, *values(of_pixels)], parallel_iterations=1
        )
        put(of_pixels, state)
        arrays = [array.write(row, one.stack()) for array, one in zip(arrays, inner, strict=True)]
        return row + 1, arrays, *values(slots)

    sizes = [channels, size] if keep_parameters else [channels]
    static = batch if isinstance(batch, int) else None
    arrays = [tf.TensorArray(tf.float32, height, element_shape=[width, static, n]) for n in sizes]
    _, arrays, *_ = tf.while_loop(
        lambda row, *_: row < height, one_row, [tf.constant(0), arrays, *values(slots)], parallel_iterations=1
    )
    found = [tf.transpose(array.stack(), [2, 0, 1, 3]) for array in arrays]
    return tuple(found) if keep_parameters else found[0]


def shift_down(x):
    """x [B, H, W, C] moved down by one row, with zeros in the first row."""
    return tf.pad(x, [[0, 0], [1, 0], [0, 0], [0, 0]])[:, :-1]
