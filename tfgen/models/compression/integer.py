"""A small convolutional network in whole numbers, whose outputs are the same bits on every machine.

The output of a hyperprior's decoder selects the tables with which the following bits are read. In floating point it would
depend on the order of sums, and so on the number of threads, the library and the processor. One difference in rounding makes
the rest of the file unreadable (Balle, Johnston, Minnen, "Integer Networks for Data Compression with Latent-Variable
Models", ICLR 2019). Here weights and activations are whole numbers held in float64, and bounded so that no sum reaches 2^53.
Each product and sum is then exact, in any order.
"""

import dataclasses

import numpy as np

WEIGHT_BITS, ACTIVATION_BITS = 16, 8  # behind the binary point
_EXACT = 2.0**53
_MAX_ACTIVATION = 2.0**30


@dataclasses.dataclass(frozen=True)
class IntegerNetwork:
    """Transposed convolutions with padding "same", a ReLU behind each but the last.

    Attributes:
        kernels: list of int64 [kh, kw, out, in], in units of 2^-16.
        biases: list of int64 [out], in units of the sums of the layer: 2^-16 for the first, 2^-24 for the others.
        strides: list of int.
    """

    kernels: list
    biases: list
    strides: list

    @classmethod
    def of(cls, layers):
        """The nearest network to Keras `Conv2DTranspose` layers of padding "same", the last without activation."""
        kernels = [np.rint(np.asarray(layer.kernel, np.float64) * 2**WEIGHT_BITS).astype(np.int64) for layer in layers]
        units = [WEIGHT_BITS] + [WEIGHT_BITS + ACTIVATION_BITS] * (len(layers) - 1)
        biases = [
            np.rint(np.asarray(layer.bias, np.float64) * 2.0**bits).astype(np.int64)
            for layer, bits in zip(layers, units, strict=True)
        ]
        return cls(kernels, biases, [layer.strides[0] for layer in layers])

    def __call__(self, inputs):
        """Whole numbers [h, w, in] -> the outputs rounded to whole numbers, int64 [h', w', out]."""
        x = inputs.astype(np.float64)
        for k, (kernel, bias, stride) in enumerate(zip(self.kernels, self.biases, self.strides, strict=True)):
            weights = kernel.astype(np.float64)
            # Inputs up to this keep every sum exact.
            largest = (_EXACT / 2 - np.abs(bias).max()) / max(1.0, np.abs(weights).sum(axis=(0, 1, 3)).max())
            if largest < 1:
                raise ValueError(f"The weights of layer {k} are too large for exact sums: up to {np.abs(kernel).max()}.")
            limit = np.floor(min(largest, _MAX_ACTIVATION))
            x = transposed_convolution(np.clip(x, -limit, limit), weights, stride) + bias
            last = k == len(self.kernels) - 1
            bits = WEIGHT_BITS + ACTIVATION_BITS * ((k > 0) - (not last))  # from units of the sum to those of the next layer
            x = np.floor(x / 2.0**bits + 0.5)
            x = x if last else np.maximum(x, 0.0)
        return x.astype(np.int64)


def transposed_convolution(x, kernel, stride):
    """[h, w, in], kernel [kh, kw, out, in] -> [h * stride, w * stride, out], as in TensorFlow with padding "SAME"."""
    height, width, _ = x.shape
    rows, columns, outputs, _ = kernel.shape
    if min(rows, columns) < stride:
        raise ValueError(f"The kernel must be at least as large as the stride; received {kernel.shape} and {stride}.")
    full = np.zeros(((height - 1) * stride + rows, (width - 1) * stride + columns, outputs))
    flat = x.reshape(height * width, -1)
    for i in range(rows):
        for j in range(columns):
            placed = full[i : i + height * stride : stride, j : j + width * stride : stride]
            placed[:height, :width] += (flat @ kernel[i, j].T).reshape(height, width, outputs)
    top, left = (rows - stride) // 2, (columns - stride) // 2
    return full[top : top + height * stride, left : left + width * stride]
