"""A classifier that reads an image through a window that it moves: DRAW's reader without its writer.

Gregor et al., "DRAW: A Recurrent Neural Network For Image Generation", ICML 2015, arXiv:1502.04623, section 4.1.

    g_t = read(x, h_{t-1}),   h_t = LSTM(h_{t-1}, g_t),   p(label | x) = softmax(W h_T)

What differs from the paper: at first the window's filters are wide, each with a deviation of half the stride; the paper does
not give their initial width.
"""

import math

import keras
import tensorflow as tf

from tfgen.layers.attention_window import AttentionWindow, read, to_rows
from tfgen.layers.row_lstm import lstm
from tfgen.models.autoencoders.draw import every_step, recur
from tfgen.models.classification.base import ClassifierModel
from tfgen.settings import Count, ImageShape, PositiveInt, SomeClasses, TwoOrMore


@keras.saving.register_keras_serializable("tfgen")
class GlimpseClassifier(ClassifierModel):
    """DRAW's reader as a classifier.

    Example:
        >>> model = tfgen.models.GlimpseClassifier(image_shape=(8, 8, 1), num_classes=3, glimpses=2, hidden=16, read_size=3)
        >>> logits, boxes = model.look(tf.zeros([2, 8, 8, 1]))
        >>> logits.shape, boxes.shape
        (TensorShape([2, 3]), TensorShape([2, 2, 5]))

    Args:
        image_shape: (H, W, C).
        num_classes: number of classes.
        glimpses: T, number of reads.
        hidden: width of the LSTM.
        read_size: N of the window's N x N filters, at least 2.
        **kwargs: see `TrainableModel`.
    """

    def __init__(
        self, *, image_shape: ImageShape, num_classes: SomeClasses, glimpses: Count = 8, hidden: PositiveInt = 256,
        read_size: TwoOrMore = 12, **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, num_classes=num_classes, **kwargs)
        self.glimpses = glimpses
        height, width, channels = self.image_shape
        dtype = self.dtype_policy
        self.window = AttentionWindow(read_size, (height, width), dtype=dtype, name="window")
        self.gates = keras.layers.Dense(4 * hidden, dtype=dtype, name="gates")
        self.classes = keras.layers.Dense(num_classes, dtype=dtype, name="classes")
        self.window.build((None, hidden))
        # ln sigma^2 for sigma of half a stride. Narrower filters of a window that covers the image miss pixels between them.
        stride = (max(height, width) - 1) / (read_size - 1)
        self.window.parameters.bias.assign([0.0, 0.0, 2.0 * math.log(max(1.0, stride / 2.0)), 0.0, 0.0])
        self.gates.build((None, channels * read_size**2 + hidden))
        self.classes.build((None, hidden))
        self.initial = self.add_weight(name="initial", shape=[2, hidden], initializer="zeros", autocast=False)  # h and c
        self.built = True

    def logits(self, images, training=False):
        return self._look(images)[0]

    def look(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """(logits float32 [B, num_classes], boxes float32 [B, T, 5] of its glimpses, as `Window.box` has them)."""
        return self._look(self.check_images(images))

    def _look(self, images):
        rows = to_rows(images)
        start = tf.unstack(tf.repeat(tf.convert_to_tensor(self.initial)[:, None], tf.shape(rows)[0], axis=1))
        gates = every_step(self.gates)

        def step(_, state):
            window = self.window(state[0])
            glimpse = read(window, rows)
            glimpse = tf.reshape(glimpse, [-1, glimpse.shape[1] * glimpse.shape[2]])
            return lstm(gates(glimpse, state[0]), state[1]), (window.box,)

        (h, _), (boxes,) = recur(step, tf.zeros([self.glimpses]), tuple(start), [[None, 5]])
        return tf.cast(self.classes(h), tf.float32), tf.transpose(boxes, [1, 0, 2])
