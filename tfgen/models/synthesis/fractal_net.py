"""FractalNet: a classifier of columns of different depth that are joined, and trained so that each also works alone.

A rule that is applied again and again makes a deep network without residuals. Each join takes the mean of its inputs;
training drops inputs of joins, or all columns but one, so every path must be of use by itself. After training one column can
be taken out: a shallow one answers fast, the deepest one is a plain network that is as good as the whole.

Larsson, Maire, Shakhnarovich, "FractalNet: Ultra-Deep Neural Networks without Residuals", ICLR 2017, arXiv:1605.07648.

    f_1(z) = conv(z),   f_{C+1}(z) = join[(f_C o f_C)(z), conv(z)]      equations 1 and 2
    conv: convolution 3x3, dropout, batch norm, ReLU
    join(x_1, ..., x_k) = sum_i m_i x_i / sum_i m_i                     m_i in {0, 1}: the inputs that are kept

Joins that follow directly on each other are one join. A network is B blocks f_C, each followed by max-pooling of 2x2, and a
linear layer. Column c = 0, ..., C - 1 of a block has 2^c convolutions. Drop-path of section 3, drawn for a whole batch:

- local: each join drops each input with probability `local_drop`; if all are dropped, one of them, drawn uniformly, is kept.
- global, in a share `global_share` of the steps: one column, drawn uniformly, is the whole network.

The authors' code (github.com/gustavla/fractalnet) has, in place of global drop-path, `column_losses`: each step trains all
columns together, under local drop-path, and each column alone, with the loss CE(all) + 1/C sum_c CE(column c). As there, a
column is max-pooled by itself before the last join of a block, batch norm has neither gain nor shift, and columns alone have
statistics of their own in batch norm.

What differs from the paper:
- A global step computes only its column, and leaves the weights of the others as they are, without an update by momentum.
- The rate of biases is that of kernels (the paper doubles it), and there is no weight decay.
- The images are in [0, 1]. Where the last block leaves more than one pixel, the mean over them goes to the linear layer.
- Max-pooling rounds odd sides up, as Caffe does.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import keras
import numpy as np
import tensorflow as tf

from tfgen import random, settings
from tfgen.layers import Dropout
from tfgen.models.classification.base import ClassifierModel
from tfgen.networks.slots import batch_norm
from tfgen.settings import Fraction, ImageShape, NaturalInt, PositiveInt, Rate, SomeClasses, Widths, within
from tfgen.training.players import Player

ALL, ALONE = "all", "alone"  # the statistics of batch norm: of the joined network, and of columns alone
_JOINS, _COIN = 100, 101  # streams of random numbers; dropout has 0 for the joined network, 1 + c for column c
_OF_PATHS = ("local_drop", "global_share", "column_losses", "own_statistics")  # without effect for one column


def schedule(columns: int) -> list[list[int]]:
    """For each layer of a block, the columns that have a convolution there; these are joined after it, if there are several.

    Example:
        >>> tfgen.models.synthesis.fractal_net.schedule(3)
        [[2], [1, 2], [2], [0, 1, 2]]
    """
    layers = range(1, 2 ** (columns - 1) + 1)
    return [[c for c in range(columns) if layer % 2 ** (columns - 1 - c) == 0] for layer in layers]


def join(inputs: Sequence[tf.Tensor], keep: tf.Tensor) -> tf.Tensor:
    """The mean of those of the k inputs, of equal shape, for which `keep`, float32 [k], is 1; zeros if there is none.

    The gradient is divided by the number of kept inputs too; it is exactly 0 for the others.
    """
    keep = tf.cast(keep, inputs[0].dtype)
    kept = tf.add_n([x * keep[i] for i, x in enumerate(inputs)])
    return kept / tf.maximum(tf.reduce_sum(keep), 1)


class _Conv(keras.layers.Layer):
    """Convolution, dropout, batch norm, ReLU.

    Args:
        filters, channels, kernel_size, strides: of the convolution; `channels` are those of its input.
        modes: those of `ALL` and `ALONE` for which batch norm has statistics.
        affine: whether batch norm has a gain and a shift; all modes share them.
        rate, stream: of dropout.
    """

    def __init__(self, filters, channels, modes, affine, *, rate=0.0, stream=0, kernel_size=3, strides=1, **kwargs):
        super().__init__(**kwargs)
        dtype = self.dtype_policy
        self.conv = keras.layers.Conv2D(filters, kernel_size, strides, padding="same", dtype=dtype, name="conv")
        self.dropout = Dropout(rate, stream=stream, dtype=dtype, name="dropout")
        self.norms = {mode: batch_norm(dtype, mode, center=False, scale=False) for mode in modes}
        self.conv.build((None, None, None, channels))
        for norm in self.norms.values():
            norm.build((None, None, None, filters))
        self.gain = self.add_weight(name="gain", shape=[filters], initializer="ones") if affine else None
        self.shift = self.add_weight(name="shift", shape=[filters], initializer="zeros") if affine else None
        self.built = True

    def norm_of(self, mode):
        """The batch norm of a mode; the only one where there is one."""
        return self.norms.get(mode) or next(iter(self.norms.values()))

    def call(self, x, *, mode, training, keys):
        x = self.norm_of(mode)(self.dropout(self.conv(x), keys), training=training)
        return tf.nn.relu(x if self.gain is None else x * self.gain + self.shift)

    def copy_from(self, other):
        """Copies the weights, and the statistics of a column alone, of a layer with at least these modes."""
        mine, theirs = (
            [*one.conv.weights, *([] if one.gain is None else [one.gain, one.shift]), *one.norm_of(ALONE).weights]
            for one in (self, other)
        )
        for variable, value in zip(mine, theirs, strict=True):
            variable.assign(value)


@keras.saving.register_keras_serializable("tfgen")
class FractalNet(ClassifierModel):
    """A classifier of C columns in B blocks.

    In the logs of `fit`, "loss" and "accuracy" are those of the paths that the steps trained.

    Example:
        >>> model = tfgen.models.FractalNet(image_shape=(8, 8, 1), num_classes=10, filters=(4, 8), columns=2)
        >>> len(model.convs), [len(model.column(c).convs) for c in range(2)]  # B (2^C - 1), B 2^c
        (6, [2, 4])

    Args:
        image_shape: (H, W, C).
        num_classes: number of classes.
        filters: of the convolutions of each block; there are B blocks, and each halves the sides.
        columns: C, the number of columns, in [1, 8]. The longest path has B 2^(C-1) convolutions. With one there is no
            drop-path, and its settings must be left out.
        dropout: rate of each block, in [0, 1); None: 0.
        local_drop: probability that local drop-path drops an input of a join, in [0, 1).
        global_share: probability of a step with one column, in [0, 1]; without effect with `column_losses`.
        column_losses: whether each step trains all columns together and each alone, in place of a draw.
        own_statistics: whether batch norm has statistics of its own for a column alone; else all paths share them.
        affine: whether batch norm has a gain and a shift.
        stem: None, or the filters of a convolution 7x7 of stride 2 with max-pooling of 3x3 before the first block, as in
            ResNet (He et al. 2016, arXiv:1512.03385, table 1).
        only_column: None, or the column, in [0, C), that is the whole network: a plain network. The settings of drop-path
            have no effect then.
        **kwargs: see `TrainableModel`.

    Raises:
        ValueError: `dropout` has not one rate for each block; the image is too small for so many blocks; there is no
            `only_column`; a setting has no effect.
    """

    def __init__(
        self, *, image_shape: ImageShape, num_classes: SomeClasses, filters: Widths = (64, 128, 256, 512, 512),
        columns: Annotated[int, within(1, 8)] = 3, dropout: Sequence[Rate] | None = None, local_drop: Rate = 0.15,
        global_share: Fraction = 0.5, column_losses: bool = False, own_statistics: bool = True, affine: bool = False,
        stem: PositiveInt | None = None, only_column: NaturalInt | None = None, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, num_classes=num_classes, **kwargs)
        rates = [0.0] * len(filters) if dropout is None else list(dropout)
        if len(rates) != len(filters):
            raise ValueError(
                f"dropout must have one rate for each of the {len(filters)} blocks of filters={tuple(filters)}; received "
                f"{tuple(rates)}."
            )
        self.columns, self.only_column = columns, only_column
        self.local_drop, self.column_losses = local_drop, column_losses
        if only_column is not None:
            self._check_column(only_column, "only_column")
            self.check_without_effect(f"only_column={only_column}", *_OF_PATHS)
        elif columns == 1:
            self.check_without_effect("columns=1", "local_drop", "global_share", "column_losses")
        if column_losses:
            self.check_without_effect("column_losses=True", "global_share")
        self.global_share = 0.0 if column_losses or only_column is not None else global_share
        side = min(self.image_shape[:2]) if stem is None else -(-min(self.image_shape[:2]) // 4)
        if side <= 2 ** (len(filters) - 1):
            least = 2 ** (len(filters) - 1) * (1 if stem is None else 4) + 1
            raise ValueError(
                f"filters={tuple(filters)} has {len(filters)} blocks, each of which halves the sides: they need at least "
                f"{least} pixels; received image_shape={self.image_shape}."
            )
        self.own_statistics = own_statistics and only_column is None
        modes = (ALL, ALONE) if self.own_statistics else (ALL,)
        layer, channels = {"dtype": self.dtype_policy}, self.image_shape[-1]
        self.stem: Any = stem and _Conv(stem, channels, modes, affine, kernel_size=7, strides=2, name="stem", **layer)
        channels = stem or channels
        self.schedule, self.blocks = schedule(columns), len(filters)
        self.convs: dict[str, Any] = {}
        for block, width in enumerate(filters):
            for i, ending in enumerate(self.schedule):
                for c in ending:
                    if only_column in (None, c):
                        first = all(c not in before for before in self.schedule[:i])
                        name = _name(block, c, i)
                        self.convs[name] = _Conv(
                            width, channels if first else width, modes, affine, rate=rates[block], stream=len(self.convs),
                            name=name, **layer,
                        )  # fmt: skip
            channels = width
        self.classes = keras.layers.Dense(num_classes, name="classes", **layer)
        self.classes.build((None, channels))
        self.built = True

    def players(self):
        return {"model": Player(self, partial=True)}  # a step of one column leaves the others out

    # ---- drop-path

    @property
    def joins(self) -> list[int]:
        """The number of inputs of each join, in the order in which they are computed."""
        return self.blocks * [len(ending) for ending in self.schedule if len(ending) > 1]

    def local_paths(self, steps: tf.Tensor) -> list[tf.Tensor]:
        """For each join the inputs that local drop-path keeps, float32 [N, k] of 0 and 1: a function of (seed, step).

        Args:
            steps: int64 [N].
        """
        keys, found = random.fold(random.fold(random.key(self.seed), steps), _JOINS), []
        for place, size in enumerate(self.joins):
            numbers = random.uniform(random.fold(keys, place), size + 1)
            kept = tf.cast(numbers[:, 1:] >= self.local_drop, tf.float32)
            restored = tf.one_hot(tf.cast(numbers[:, 0] * size, tf.int32), size)
            found.append(tf.where(tf.reduce_any(kept > 0, axis=1, keepdims=True), kept, restored))
        return found

    def step_kind(self, step: int) -> int | None:
        """The only column that step `step` trains; None: all. A function of (seed, step)."""
        coin, place = _tosses(self.seed, step // 1000)[step % 1000] if self.global_share else (1.0, 0.0)
        return int(place * self.columns) if coin < self.global_share else None

    def losses_of(self, batch, training):
        images, labels = batch["image"], batch["label"]
        found = self.judged(self.logits(images, training, column=self.kind if training else None), labels)
        if training and self.column_losses:
            for c in range(self.columns):
                found["loss"] += self.judged(self.logits(images, training, column=c), labels)["loss"] / self.columns
        return found

    # ---- the network

    def logits(
        self, images: tf.Tensor, training: bool = False, *, column: int | None = None,
        keep: Sequence[tf.Tensor] | None = None,
    ) -> tf.Tensor:  # fmt: skip
        """Logits float32 [B, num_classes] of checked images float32 [B, H, W, C] in [0, 1].

        Args:
            images: see above.
            training: whether there is dropout, and batch norm uses, and moves, statistics of the batch.
            column: the only column of the network; None: all are joined.
            keep: for each of `joins`, float32 [k] of 0 and 1: the inputs that it keeps. None: in training those of
                `local_paths` at this step, else all.
        """
        stream = 0 if column is None else 1 + column
        keys = self.noise_keys(tf.shape(images)[0], stream) if training else None
        if keep is None and training and self.local_drop:
            keep = [paths[0] for paths in self.local_paths(tf.convert_to_tensor(self.step)[None])]
        return self._logits(images, column, keep, training, keys)

    def _logits(self, images, column, keep, training, keys):
        mode = ALL if column is None else ALONE
        column = self.only_column if column is None else column
        keep = iter([tf.ones([size]) for size in self.joins] if keep is None else keep)
        x = images
        if self.stem:
            x = tf.nn.max_pool2d(self.stem(x, mode=mode, training=training, keys=None), 3, 2, "SAME")
        for block in range(self.blocks):
            state = {c: x for c in range(self.columns) if column in (None, c)}
            for i, ending in enumerate(self.schedule):
                ending = [c for c in ending if c in state]
                for c in ending:
                    state[c] = self.convs[_name(block, c, i)](state[c], mode=mode, training=training, keys=keys)
                    if i == len(self.schedule) - 1:
                        state[c] = tf.nn.max_pool2d(state[c], 2, 2, "SAME")
                if len(ending) > 1:
                    state.update(dict.fromkeys(ending, join([state[c] for c in ending], next(keep))))
            x = state[max(state)]
        return tf.cast(self.classes(tf.reduce_mean(x, axis=[1, 2])), tf.float32)

    # ---- columns alone

    def column(self, index: NaturalInt) -> "FractalNet":
        """A new model, not compiled, of one column with a copy of its weights: a plain network of B 2^index convolutions.

        A column that was never trained alone needs `recalibrate`, of this model before or of the new one afterwards.

        Args:
            index: in [0, C); 0 is the shallowest, C - 1 the deepest.

        Raises:
            ValueError: there is no such column, or the model is itself one column.
        """
        self._check_column(index, "index")
        if self.only_column is not None:
            raise ValueError(f"This FractalNet has only the column {self.only_column}, so no column can be taken out.")
        config = {name: value for name, value in self.get_config().items() if name not in _OF_PATHS}
        alone = type(self).from_config({**config, "only_column": int(index)})
        for name, conv in alone.convs.items():
            conv.copy_from(self.convs[name])
        if self.stem:
            alone.stem.copy_from(self.stem)
        alone.classes.set_weights(self.classes.get_weights())
        return alone

    def recalibrate(self, batches: Iterable[dict]) -> None:
        """Sets the moving statistics of batch norm to those of some batches, for the present weights.

        Without dropout and drop-path: of all columns together, and of each column alone where it has statistics of its own.
        In training they lag behind the weights, and local drop-path makes what is joined vary more than it does afterwards.

        Args:
            batches: batches of training images, such as `source.batches(100, shuffle=True).take(30)`.

        Raises:
            ValueError: there is no batch.
        """
        norms = [norm for layer in self._flatten_layers() for norm in getattr(layer, "norms", {}).values()]
        before = [(v, v.numpy()) for norm in norms for v in (norm.moving_mean, norm.moving_variance)]
        columns = [None, *range(self.columns)] if self.own_statistics else [None]

        def of_batch(images):
            for column in columns:
                self._logits(images, column, None, True, None)
            return [(tf.identity(norm.moving_mean), tf.identity(norm.moving_variance)) for norm in norms]

        momentum, of_batch = norms[0].momentum, tf.function(of_batch, autograph=False, reduce_retracing=True)
        try:
            for norm in norms:
                norm.momentum = 0.0  # so that the moving statistics are those of the last batch
            images = (self.check_images(batch["image"]) for batch in batches)
            found = [(len(part), tf.nest.map_structure(np.array, of_batch(part))) for part in images]
        finally:
            for norm in norms:
                norm.momentum = momentum
            for variable, value in before:  # nothing has changed if a batch is wrong
                variable.assign(value)
        if not found:
            raise ValueError("recalibrate needs at least one batch; received none.")
        sizes, found = zip(*found, strict=True)
        for norm, pairs in zip(norms, zip(*found, strict=True), strict=True):
            means, variances = (np.stack(values) for values in zip(*pairs, strict=True))
            mean = np.average(means, axis=0, weights=sizes)
            norm.moving_mean.assign(mean)
            norm.moving_variance.assign(np.average(variances + (means - mean) ** 2, axis=0, weights=sizes))

    def _check_column(self, index, name):
        settings.check_values({name: Annotated[int, within(0, self.columns - 1)]}, {name: index})


@functools.lru_cache(maxsize=4)
def _tosses(seed, thousand):
    """float32 [1000, 2] in (0, 1), for the steps from 1000 * `thousand` on; at once, since calls of TensorFlow take time."""
    with tf.init_scope(), tf.device("CPU"):
        keys = random.fold(random.fold(random.key(seed), tf.range(1000, dtype=tf.int64) + 1000 * thousand), _COIN)
        return random.uniform(keys, 2).numpy()


def _name(block, column, layer):
    return f"block_{block}_column_{column}_layer_{layer}"
