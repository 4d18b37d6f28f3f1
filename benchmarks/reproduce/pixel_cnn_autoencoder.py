"""Sharpness of reconstructions: the PixelCNN autoencoder beside an ordinary one with a code of the same size.

    python -m benchmarks.reproduce.pixel_cnn_autoencoder --manual_dir FOLDER --picture

Both have the same encoder, data, batch size and number of steps; the ordinary decoder returns the means of pixels and is
trained on squared error. Sharpness is the variance of the Laplacian of a picture, averaged over test pictures; the goal is
the sharpness of the test pictures. MNIST is rounded to 16 grey levels.
"""

import time

import keras
import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.record import report
from benchmarks.reproduce.autoregressive import bits_per_dim
from benchmarks.reproduce.common import arguments, training_here
from benchmarks.zoo import keep
from tfgen.metrics import sharpness
from tfgen.sampling import save_png
from tfgen.training.callbacks import averaged_weights
from tfgen_trainers.first_steps import FirstSteps
from tfgen_trainers.train import STEPS_PER_CALL, TrainConfig, make_strategy, prepared

LEVELS = 16
# Sharpness should be near that of the pictures, since noise is sharper. The code should have information: with the code of
# another picture the likelihood is lower.
GATES = {
    "pixel_cnn_sharpness": (">=", 0.8, "<=", 1.25), "sharper_than_plain": (">=", 1.2),
    "bits_saved_by_own_code": (">=", 0.05),
}  # fmt: skip

layers = keras.layers


def plain_autoencoder(model):
    """An ordinary autoencoder with an encoder like that of `model`, and its mirror image as decoder."""
    height, width, channels = model.image_shape
    widths = list(model.get_config()["encoder_widths"])
    factor = 2 ** len(widths)
    encoder = keras.Sequential.from_config(model.encoder.get_config())
    decoder = [layers.Dense(height // factor * (width // factor) * widths[-1], activation="relu")]
    decoder.append(layers.Reshape((height // factor, width // factor, widths[-1])))
    for filters in [*widths[-2::-1], None]:
        settings = {"activation": "sigmoid" if filters is None else "relu", "strides": 2, "padding": "same"}
        decoder.append(layers.Conv2DTranspose(filters or channels, 3, **settings))
    plain = keras.Sequential([keras.Input(model.image_shape), encoder, *decoder])
    plain.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse", steps_per_execution=STEPS_PER_CALL)
    return plain


def main():
    name = "pixel_cnn_autoencoder"
    parser = arguments(__doc__, name, data="mnist", picture=f"docs/images/{name}.png")
    parser.set_defaults(steps=5000)
    args = parser.parse_args()
    started = time.perf_counter()
    sources = (tfgen.data.load(args.data, split, manual_dir=args.manual_dir) for split in ("train", "test"))
    train, test = (tfgen.data.from_arrays(s.images(), levels=LEVELS, name=s.name, split=s.split) for s in sources)
    overrides = {"levels": LEVELS, "binarization": None, "image_shape": list(train.image_shape)}
    config = TrainConfig("pixel-cnn-autoencoder/mnist", overrides, args.steps, args.seed, log_every=500)
    training, preset = training_here(config, train, "benchmarks.reproduce.pixel_cnn_autoencoder"), config.resolve()
    with make_strategy().scope():
        model, batches_from = prepared(config, train)
    model.steps_per_execution, first = STEPS_PER_CALL, FirstSteps(model)
    plain, batches = plain_autoencoder(model), batches_from(0)
    settings = {"epochs": max(1, args.steps // 500), "steps_per_epoch": min(500, args.steps), "verbose": 2}
    model.fit(batches, **settings, callbacks=[first])
    training["first_steps"] = first.found
    trained = time.perf_counter()
    plain.fit(batches.map(lambda batch: (batch["image"], batch["image"])), **settings)
    plain_seconds = time.perf_counter() - trained

    pictures = test.images(min(1000, len(test)))
    with averaged_weights(model):
        drawn = np.concatenate([model.reconstruct(part, seed=args.seed) for part in np.array_split(pictures, 10)])
        bits = bits_per_dim(model, test.take(len(pictures)))
        given_others = bits_given_other_codes(model, pictures)
        again = model.reconstruct(pictures[:10], seed=args.seed + 1).numpy()
    means = plain.predict(pictures, verbose=0)
    real = sharpness(pictures)
    results = {
        "sharpness_of_pictures": real,
        "pixel_cnn_sharpness": sharpness(drawn) / real,
        "plain_sharpness": sharpness(means) / real,
        "pixel_cnn_squared_error": float(np.mean((drawn - pictures) ** 2)),
        "plain_squared_error": float(np.mean((means - pictures) ** 2)),
        "pixel_cnn_bits_per_dim_given_code": float(bits.mean()),
        "pixel_cnn_bits_per_dim_given_code_of_another": given_others,
        "pixel_cnn_seconds": trained - started,
        "plain_seconds": plain_seconds,
        "pixel_cnn_parameters": model.count_params(),
        "plain_parameters": plain.count_params(),
    }
    results["sharper_than_plain"] = results["pixel_cnn_sharpness"] / results["plain_sharpness"]
    results["bits_saved_by_own_code"] = given_others - results["pixel_cnn_bits_per_dim_given_code"]
    report(
        args.out, "benchmarks.reproduce.pixel_cnn_autoencoder",
        seed=args.seed,
        protocol={
            "preset": preset.config(), "train": f"{train.name} {train.split}, {LEVELS} levels", "n_train": len(train),
            "test": f"{test.name} {test.split}, first {len(pictures)}", "plain": "same encoder, mirrored decoder, squared "
            "error, Adam 1e-3, as many steps", "sharpness": "variance of the Laplacian of each picture, mean over pictures, "
            "over that of the test pictures", "weights": "ema, of the plain one raw", "tuning": "none",
        },
        seconds=time.perf_counter() - started,
        results=results,
        gates=GATES,
        trainings={"pixel_cnn": training},  # the ordinary one is a baseline of this script
        paper="figure 6: pictures alone",
    )  # fmt: skip
    keep(args.out, model, "bits_per_dim", training=training, train=train, test=test)
    if args.picture:  # rows: pictures, two draws of the PixelCNN autoencoder, the ordinary one
        rows = np.concatenate([pictures[:10], drawn[:10], again, means[:10]])
        save_png("docs/images/pixel_cnn_autoencoder.png", np.clip(rows, 0.0, 1.0), columns=10, scale=2)


def bits_given_other_codes(model, pictures):
    """Bits of each picture given the code of the next picture; they would not rise if the decoder ignored codes."""
    total = 0.0
    for part in np.array_split(pictures, 10):
        codes = tf.roll(model.encode(part), 1, axis=0)
        total += float(tf.reduce_sum(model.bits_per_dim(part, embedding=codes)))
    return total / len(pictures)


if __name__ == "__main__":
    main()
