"""DRAW: -ELBO on binary images, on digits beside the fully connected VAE, and samples step by step.

python -m benchmarks.reproduce.draw digits
python -m benchmarks.reproduce.draw mnist --manual_dir FOLDER --picture
"""

import argparse

import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.reproduce.common import likelihood, main
from tfgen.sampling import save_animation, save_png

BOUND_IMAGES, BOUND_SAMPLES = 1000, 100


def bounds(model, test_source, binarization, seed):
    """({name: nats}, protocol): -ELBO of the whole split, and the importance weighted bound of some images."""
    results, protocol = likelihood(binarization, k=1)(model, None, test_source, seed)
    del results["iwae1_nats"], protocol["importance_samples"]
    chosen = np.random.RandomState(seed).permutation(len(test_source))[:BOUND_IMAGES]
    some, found = tf.function(lambda x: model.log_prob(x, num_importance_samples=BOUND_SAMPLES, seed=seed)), []
    for batch in test_source.subset(np.sort(chosen)).batches(100, binarization=binarization, seed=seed):
        found.append(some(batch["image"]))
    results[f"iwae{BOUND_SAMPLES}_nats"] = -float(np.mean(np.concatenate(found)))
    return results, {**protocol, "importance_samples": BOUND_SAMPLES, "importance_images": len(chosen)}


def digits(model, train_source, test_source, seed):
    results, protocol = bounds(model, test_source, "threshold", seed)
    preset = tfgen.presets.get("vae/digits")
    vae = preset.build(seed=seed)
    batches = train_source.batches(preset.batch_size, shuffle=True, repeat=True, seed=seed, binarization="threshold")
    vae.fit(batches, steps_per_epoch=preset.steps, verbose=0)
    beside, _ = likelihood("threshold", k=1)(vae, None, test_source, seed)
    results["vae_negative_elbo_nats"] = beside["negative_elbo_nats"]
    results["nats_below_vae"] = beside["negative_elbo_nats"] - results["negative_elbo_nats"]
    return results, {**protocol, "vae": preset.config()}


def mnist(model, train_source, test_source, seed):
    return bounds(model, test_source, None, seed)


def picture(model, name, rows=4, columns=8):
    """Saves samples, and the steps of the first ones."""
    scale = max(1, 56 // model.image_shape[0])
    save_png(f"docs/images/{name}.png", model.sample(rows * columns), columns=columns, scale=scale)
    canvases, boxes = model.canvases(model.latents(tf.range(rows * columns, dtype=tf.int64)))
    size = model.write_window and model.write_window.size
    save_animation(f"docs/images/{name}.gif", canvases, boxes, window_size=size, columns=columns, scale=scale)


# data set of the run: (preset, data, measure, gates, tuning)
RUNS = {
    "digits": (
        "draw/digits", "digits", digits, {"negative_elbo_nats": ("<=", 18.2), "nats_below_vae": (">=", 0.3)},
        "steps and rate on 200 held-out training images",
    ),
    "mnist": (
        "draw/mnist", "binarized_mnist", mnist, {"negative_elbo_nats": ("<=", 96.0), "train_seconds": ("<=", 1800.0)},
        "none: settings given in advance",
    ),
}  # fmt: skip

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, add_help=False)
    parser.add_argument("run", choices=sorted(RUNS), nargs="?", default="digits")
    parser.add_argument("--preset", help="use another preset for this run, e.g. draw/mnist-attention")
    parser.add_argument("--picture", action="store_true", help="save samples and their canvases in docs/images")
    args, rest = parser.parse_known_args()
    preset, data, measure, gates, tuning = RUNS[args.run]
    preset = args.preset or preset
    name = preset.replace("/", "_").replace("-", "_")
    model = main(
        name, preset, measure, gates, data=data, tuning=tuning, argv=rest,
        module="benchmarks.reproduce.draw", zoo="negative_elbo_nats",
    )  # fmt: skip
    if args.picture:
        picture(model, name)
