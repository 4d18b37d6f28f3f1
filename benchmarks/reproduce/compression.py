"""Learned compression on Kodak: files of two models at three rates, beside JPEG.

    python -m benchmarks.reproduce.compression --data FOLDER_OF_KODAK

Every fourth photo (by name) is held out. The models are trained for a fixed number of steps on random crops of the other
photos, and evaluated on the whole held-out photos. The size of crops is the one with the lowest loss in short trainings that
leave out every fourth of the photos that are not held out, and are judged on these; a batch has as many pixels with each.
All rates are those of files with headers. After an interruption the same command continues. Rate and quality for each lambda
are means over the photos (PSNR of each photo, not of the mean error). JPEG is Pillow's, 4:2:0 with optimised tables. A curve
is interpolated linearly in log rate.
"""

import argparse
import glob
import io
import pathlib
import time

import numpy as np
from PIL import Image

import tfgen
from benchmarks.record import report, training_of
from benchmarks.reproduce.common import train_seconds_of
from benchmarks.zoo import keep
from tfgen.metrics.similarity import ms_ssim
from tfgen_commands.compress import codec_for_writing
from tfgen_trainers.train import TrainConfig, train

MODELS = ("factorized-prior", "scale-hyperprior")
LAMBDAS = (0.002, 0.01, 0.05)
JPEG_QUALITIES = (1, 2, 3, 5, 7, 10, 13, 17, 22, 28, 35, 45, 55, 65, 75, 85, 90, 95)
CROPS = 4_000
SIZES = {128: 4, 256: 1}  # the sizes to choose from: crops in a batch
TRIAL_STEPS, TRIAL_LAMBDA = 2_000, 0.01
LOW = 0.3  # bits per pixel; below this rate the models must be better than JPEG
GATES = {
    "file_off_estimate": ("<=", 0.02),
    "monotone": (">=", 1),
    "hyperprior_over_factorized_db": (">=", 0.0),
    **{f"{name}_over_jpeg_below_{LOW}_db": (">=", 0.0) for name in MODELS},
}


def psnr(a, b):
    """10 log10(255^2 / MSE) dB of two images uint8 [H, W, C]."""
    return 10 * np.log10(255.0**2 / np.mean((a.astype(np.float64) - b) ** 2))


def quality(image, decoded):
    similarity = ms_ssim(image[None] / np.float32(255), decoded[None] / np.float32(255))[0]
    return {"psnr_db": psnr(image, decoded), "ms_ssim": similarity}


def measure_codec(codec, photos):
    """Means over the photos of rate, estimated rate, PSNR and MS-SSIM, and the rates of each photo."""
    found = []
    for image in photos:
        code, pixels = codec.code(image), image.shape[0] * image.shape[1]
        data = codec.write(code, image.shape)
        read, size = codec.read(data)
        if not all(np.array_equal(a, b) for a, b in zip(code, read, strict=True)):
            raise RuntimeError("latents were not read as they were written")
        rates = {"bits_per_pixel": 8 * len(data) / pixels, "estimated_bits_per_pixel": codec.bits(image) / pixels}
        found.append({**rates, **quality(image, codec.decode(read[0], *size[:2]))})
    return {**means(found), "photos": found}


def loss_of(measured, weight):
    """The models' loss, mean over photos: estimated bits per pixel plus lambda times the squared error of levels."""
    errors = [255.0**2 / 10 ** (photo["psnr_db"] / 10) for photo in measured["photos"]]
    return measured["estimated_bits_per_pixel"] + weight * float(np.mean(errors))


def measure_jpeg(photos, level):
    found = []
    for image in photos:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=level, subsampling=2, optimize=True)
        rate = 8 * len(file.getvalue()) / (image.shape[0] * image.shape[1])
        found.append({"bits_per_pixel": rate, **quality(image, np.asarray(Image.open(file)))})
    return {"quality": level, **means(found)}


def means(found):
    """Mean of each number over the photos."""
    return {key: float(np.mean([one[key] for one in found])) for key in found[0]}


def psnr_at(points, rates):
    """PSNR in dB of a curve [{bits_per_pixel, psnr_db}] at `rates`, linear in log rate and constant beyond its ends."""
    points = sorted(points, key=lambda point: point["bits_per_pixel"])
    logs, values = (np.array([point[key] for point in points]) for key in ("bits_per_pixel", "psnr_db"))
    return np.interp(np.log(rates), np.log(logs), values)


def mean_gain(points, reference):
    """Mean difference of two curves in dB, over the rates (in log scale) that both have."""
    low = max(min(point["bits_per_pixel"] for point in curve) for curve in (points, reference))
    high = min(max(point["bits_per_pixel"] for point in curve) for curve in (points, reference))
    if low >= high:
        return None
    rates = np.geomspace(low, high, 200)
    return float(np.mean(psnr_at(points, rates) - psnr_at(reference, rates)))


def compare(curves, jpeg):
    """The results for the gates, from {model: points in the order of lambda}."""
    points = [point for curve in curves.values() for point in curve]
    off = max(abs(point["bits_per_pixel"] / point["estimated_bits_per_pixel"] - 1) for point in points)
    rising = all(
        np.all(np.diff([point[key] for point in curve]) > 0)
        for curve in curves.values()
        for key in ("bits_per_pixel", "psnr_db")
    )
    results = {"file_off_estimate": off, "monotone": int(rising)}
    results["hyperprior_over_factorized_db"] = mean_gain(curves["scale-hyperprior"], curves["factorized-prior"])
    for name, curve in curves.items():
        low = [point for point in curve if point["bits_per_pixel"] < LOW]
        gains = [point["psnr_db"] - float(psnr_at(jpeg, point["bits_per_pixel"])) for point in low]
        results[f"{name}_over_jpeg_below_{LOW}_db"] = min(gains, default=None)
        results[f"{name}_over_jpeg_db"] = mean_gain(curve, jpeg)
    return results


def opened(files):
    return [np.asarray(Image.open(file).convert("RGB")) for file in files]


def draw(path, curves, jpeg):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), constrained_layout=True)
    for name, curve in {**curves, "JPEG 4:2:0": jpeg}.items():
        rates = [point["bits_per_pixel"] for point in curve]
        style = {"marker": None if curve is jpeg else "o", "label": name}
        left.plot(rates, [point["psnr_db"] for point in curve], **style)
        right.plot(rates, [-10 * np.log10(1 - point["ms_ssim"]) for point in curve], **style)
    for axes, label in ((left, "PSNR [dB]"), (right, "MS-SSIM [dB]")):
        top = 1.15 * max(point["bits_per_pixel"] for curve in curves.values() for point in curve)
        axes.set(xlabel="bits per pixel (files)", ylabel=label, xlim=(0, top))
        axes.grid(alpha=0.3)
    left.legend(loc="lower right")
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with the photos kodim*.png")
    parser.add_argument("--out", default="benchmarks/reproduce/compression.json", help="the record")
    parser.add_argument("--picture", default="docs/images/compression_rd.png", help="the curves")
    parser.add_argument("--workdir", default="runs", help="where run folders go")
    parser.add_argument("--steps", type=int, help="of each training (default: the presets')")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    files = sorted(glob.glob(f"{args.data}/kodim*.png"))
    if len(files) < 8:
        parser.error(f"--data must hold the photos kodim*.png; found {len(files)} in {args.data}.")
    held_out = files[3::4]
    seen = [file for file in files if file not in held_out]
    left_out = seen[3::4]
    evaluation_seconds, train_seconds, curves, runs, presets, trainings, sizes = 0.0, 0.0, {}, {}, {}, {}, {}

    def trained(name, weight, size, photos, steps, trial=""):
        """Trains on crops of photos: (the last step, the codec, the seconds)."""
        source = tfgen.data.crops(photos, size=size, num=CROPS, seed=args.seed)
        overrides = {"distortion_weight": weight, "image_shape": [size, size, 3], "batch_size": SIZES[size]}
        config = TrainConfig(
            preset=f"{name}/kodak", overrides=overrides, steps=steps, seed=args.seed, log_every=500, checkpoint_every=1000,
            sample_every=10**9,
        )  # fmt: skip
        key = f"{name}-{weight}{trial}"
        workdir = pathlib.Path(args.workdir) / f"compression-{key}-{args.seed}"
        runs[key] = train(config, source, workdir)
        trainings[key] = training_of(workdir)
        presets[key] = config.resolve().config()
        return runs[key].step, codec_for_writing(workdir), train_seconds_of(workdir)

    for name in MODELS:
        sizes[name] = {}
        for size in SIZES:
            photos = [file for file in seen if file not in left_out]
            _, codec, seconds = trained(name, TRIAL_LAMBDA, size, photos, args.steps or TRIAL_STEPS, f"-crops-{size}")
            train_seconds, started = train_seconds + seconds, time.perf_counter()
            sizes[name][size] = loss_of(measure_codec(codec, opened(left_out)), TRIAL_LAMBDA)
            evaluation_seconds += time.perf_counter() - started
        print(name, "loss by size of crops", sizes[name], flush=True)
    photos = opened(held_out)
    for name, losses in sizes.items():
        curves[name] = []
        for weight in LAMBDAS:
            step, codec, seconds = trained(name, weight, min(losses, key=losses.get), seen, args.steps)
            train_seconds, started = train_seconds + seconds, time.perf_counter()
            measured = {"lambda": weight, **measure_codec(codec, photos), "train_seconds": seconds, "steps": step}
            curves[name].append(measured)
            evaluation_seconds += time.perf_counter() - started
            print({key: value for key, value in measured.items() if key != "photos"}, flush=True)
    jpeg = [measure_jpeg(photos, level) for level in JPEG_QUALITIES]
    results = compare(curves, jpeg)
    report(
        args.out, "benchmarks.reproduce.compression",
        seed=args.seed,
        protocol={
            "train": f"{CROPS} random crops of {len(seen)} photos",
            "crops": {
                "sizes": f"{SIZES} (size: crops in a batch); the lower loss of {args.steps or TRIAL_STEPS} steps at lambda "
                f"{TRIAL_LAMBDA}, for each model; trained on {len(seen) - len(left_out)} of the training photos",
                "judged_on": [pathlib.Path(file).name for file in left_out],
            },
            "presets": presets,
            "test": [pathlib.Path(file).name for file in held_out], "rates": "of whole files, headers included",
            "jpeg": f"Pillow, 4:2:0, optimize, qualities {JPEG_QUALITIES}",
            "tuning": "how the transforms begin, M and the steps by runs of up to 6,000 steps that were judged on four of "
            "the training photos, left out there",
        },
        seconds=train_seconds + evaluation_seconds,
        results={**results, **curves, "jpeg": jpeg, "loss_by_size_of_crops": sizes},
        gates=GATES,
        trainings=trainings,
        train_seconds=round(train_seconds, 1),
    )  # fmt: skip
    draw(args.picture, curves, jpeg)
    smaller, source = f"{MODELS[0]}-{LAMBDAS[1]}", tfgen.data.crops(held_out, size=64, num=60, seed=args.seed)
    keep(args.out, runs[smaller].model, "mse", training=trainings[smaller], test=source)


if __name__ == "__main__":
    main()
