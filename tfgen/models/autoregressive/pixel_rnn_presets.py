"""Presets of PixelRNN."""

from tfgen.models.autoregressive.pixel_cnn_presets import adam, rmsprop
from tfgen.models.autoregressive.pixel_rnn import PixelRNN
from tfgen.models.preset import Preset

_MNIST = {"image_shape": (28, 28, 1), "levels": 2}
_COLOUR = {"image_shape": (32, 32, 3), "width": 128, "depth": 12, "head_width": 1024}
_DIGITS = {"image_shape": (8, 8, 1), "levels": 17, "width": 16, "depth": 2, "first_kernel_size": 7}
_RATE = "RMSProp; rate and number of steps are not published"

PRESETS = [
    Preset(
        "pixel-rnn/mnist-paper", PixelRNN, {**_MNIST, "width": 16, "depth": 7}, data="mnist", binarization="fixed",
        source=f"table 1 and section 5.3: Diagonal BiLSTM, 7 layers, h = 16; batch 16, {_RATE}", batch_size=16,
        steps=400_000, compile_args=rmsprop(1e-3), paper="79.20 nats (table 4)",
    ),
    Preset(
        "pixel-rnn/mnist-1-layer-paper", PixelRNN, {**_MNIST, "width": 32, "depth": 1}, data="mnist", binarization="fixed",
        source=f"table 4: Diagonal BiLSTM, 1 layer, h = 32; batch 16, {_RATE}", batch_size=16, steps=400_000,
        compile_args=rmsprop(1e-3), paper="80.75 nats (table 4)",
    ),
    Preset(
        "pixel-rnn/mnist-row-paper", PixelRNN, {**_MNIST, "cell": "row", "width": 16, "depth": 7}, data="mnist",
        binarization="fixed", source="table 4: Row LSTM; its sizes are not published, these are those of the Diagonal "
        f"BiLSTM; batch 16, {_RATE}", batch_size=16, steps=400_000, compile_args=rmsprop(1e-3), paper="80.54 nats (table 4)",
    ),
    Preset(
        "pixel-rnn/cifar10-paper", PixelRNN, _COLOUR, data="cifar10",
        source=f"table 1 and section 5.4: Diagonal BiLSTM, 12 layers, h = 128; batch 16, {_RATE}", batch_size=16,
        steps=400_000, compile_args=rmsprop(1e-3), paper="3.00 bits/dim test, 2.93 train (table 5)",
    ),
    Preset(
        "pixel-rnn/cifar10-row-paper", PixelRNN, {**_COLOUR, "cell": "row"}, data="cifar10",
        source=f"table 1 and section 5.4: Row LSTM, 12 layers, h = 128; batch 16, {_RATE}", batch_size=16, steps=400_000,
        compile_args=rmsprop(1e-3), paper="3.07 bits/dim test, 3.00 train (table 5)",
    ),
    Preset(
        "pixel-rnn/imagenet32-paper", PixelRNN, {**_COLOUR, "cell": "row", "width": 384},
        data="downsampled_imagenet/32x32", source=f"section 5.5: Row LSTM, 12 layers, h = 384; batch 64, {_RATE}",
        batch_size=64, steps=400_000, compile_args=rmsprop(1e-4), paper="3.86 bits/dim validation (table 6)",
    ),
    Preset(
        "pixel-rnn/imagenet64-paper", PixelRNN,
        {**_COLOUR, "image_shape": (64, 64, 3), "cell": "row", "width": 512, "depth": 4},
        data="downsampled_imagenet/64x64", source=f"section 5.5: Row LSTM, 4 layers, h = 512; batch 32, {_RATE}",
        batch_size=32, steps=400_000, compile_args=rmsprop(1e-4), paper="3.63 bits/dim validation (table 6)",
    ),
    Preset(
        "pixel-rnn/mnist", PixelRNN, {**_MNIST, "width": 16, "depth": 2}, data="mnist", binarization="fixed",
        source="for a short run: Diagonal BiLSTM, 2 layers, h = 16, Adam", batch_size=32, steps=6_000,
        compile_args={**adam(2e-3), "ema_decay": 0.999},
    ),
    Preset(
        "pixel-rnn/digits", PixelRNN, _DIGITS, data="digits",
        source="scikit-learn's 8x8 digits: Diagonal BiLSTM, 2 layers, h = 16, Adam 3e-3", batch_size=100, steps=1_000,
        compile_args=adam(3e-3),
    ),
    Preset(
        "pixel-rnn/digits-row", PixelRNN, {**_DIGITS, "cell": "row"}, data="digits",
        source="scikit-learn's 8x8 digits: Row LSTM, 2 layers, h = 16, Adam 3e-3", batch_size=100, steps=1_000,
        compile_args=adam(3e-3),
    ),
]  # fmt: skip
