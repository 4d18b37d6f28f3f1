"""VAE/GAN beside a VAE with a loss of pixels, with the same encoder and decoder, on Fashion-MNIST.

    python -m benchmarks.reproduce.vae_gan --manual_dir FOLDER --picture

Both are trained on the same batches for the same number of steps; the VAE is the same model with the similarity in pixels
and without adversarial gradient. Reconstructions of test pictures are compared in the trained discriminator's layer Dis_l,
which the VAE/GAN was trained with, and in the features of a classifier that was used in neither training. Classes are
attributes: the mean code of training pictures of class b minus that of class a is added to the codes of test pictures of
class a; the classifier tests whether they show b.
"""

import pathlib
import time

import numpy as np

import tfgen
from benchmarks.record import report, training_of
from benchmarks.reproduce.common import arguments, in_parts
from benchmarks.zoo import keep
from tfgen.metrics import sharpness, train_classifier
from tfgen.sampling import attribute_vector, save_png
from tfgen_trainers.train import TrainConfig, train

PRESET = "vae-gan/fashion-mnist"
MODELS = {"vae_gan": {}, "vae": {"similarity_layer": None, "similarity_weight": 1.0}}  # overrides of the preset
TUNING = (
    "latent_dim from runs of 400 to 800 steps by pictures, which also showed 20 reconstructed test images; an earlier "
    "record, with all images in one batch, was judged on the test images; w, r, the fakes and batches by runs of 400 to "
    "1,200 steps on 58,000 training images, judged on the other 2,000"
)
LAST = 0.3  # the last share of the steps, in which the costs must be in balance
GATES = {
    "lowest_cost": (">=", 0.2), "highest_cost": ("<=", 1.5), "dis_l_relative_to_vae": ("<=", 0.8), "flipped": (">=", 0.6),
}  # fmt: skip


def balance(history):
    """Lowest and highest mean cost over the intervals of the last steps, and the share of skipped turns."""
    last = [line for line in history if line["step"] > (1.0 - LAST) * history[-1]["step"]]
    costs = [line[name] for line in last for name in ("real_cost", "fake_cost")]
    skipped = [f"{name}_skipped" for name in ("decoder", "discriminator")]
    shares = {name: float(np.mean([line[name] for line in history])) for name in skipped}
    return {"lowest_cost": min(costs), "highest_cost": max(costs), **shares}


def distances(features, pictures, made):
    """Mean of half the squared distance between features."""
    return 0.5 * float(np.mean(in_parts(lambda a, b: np.sum((features(a) - features(b)) ** 2, axis=-1), pictures, made)))


def flipped(model, classifier, train_source, test_source, per_class=100):
    """Share of reconstructions of class a that show class b after the attribute vector from a to b is added.

    Returns:
        float64 [K, K]: the share of test pictures of class a (row); NaN on the diagonal.
    """
    classes, train_source = train_source.num_classes, train_source.take(min(10_000, len(train_source)))
    (train_codes, train_labels), (codes, labels) = (
        (in_parts(lambda x: model.encode(x).mean(), source.images()), source.labels())
        for source in (train_source, test_source)
    )
    shares = np.full((classes, classes), np.nan)
    for a in range(classes):
        own = codes[labels == a][:per_class]
        own = own[classifier.logits(in_parts(model.decode_images, own)).argmax(axis=1) == a]
        for b in range(classes):
            if a != b and len(own):
                vector = attribute_vector(train_codes[train_labels == b], train_codes[train_labels == a])
                changed = in_parts(model.decode_images, (own + vector).astype("float32"))
                shares[a, b] = np.mean(classifier.logits(changed).argmax(axis=1) == b)
    return shares


def main():
    args = arguments(__doc__, "vae_gan", data="fashion_mnist", picture="docs/images/vae_gan.png").parse_args()
    started = time.perf_counter()
    train_source, test_source = (
        tfgen.data.load(args.data, split, manual_dir=args.manual_dir) for split in ("train", "test")
    )
    runs, configs = {}, {}
    for name, overrides in MODELS.items():
        overrides = {**overrides, "image_shape": list(train_source.image_shape)}
        configs[name] = TrainConfig(PRESET, overrides, args.steps, args.seed, log_every=100, checkpoint_every=5000)
        runs[name] = train(configs[name], train_source, pathlib.Path(args.workdir) / f"vae_gan-{name}-{args.seed}")
    classifier = train_classifier(train_source, test_source, seed=args.seed)

    models = {name: run.model for name, run in runs.items()}
    pictures, labels = test_source.images(), test_source.labels()
    made = {name: in_parts(model.reconstruct, pictures) for name, model in models.items()}
    results = balance(runs["vae_gan"].history)
    for space, features in (("dis_l", models["vae_gan"].features), ("classifier", classifier.features)):
        found = {name: distances(features, pictures, images) for name, images in made.items()}
        results |= {f"{space}_distance_{name}": value for name, value in found.items()}
        results[f"{space}_relative_to_vae"] = found["vae_gan"] / found["vae"]
    for name, images in made.items():
        results |= {
            f"squared_error_{name}": float(np.mean((images - pictures) ** 2)),
            f"sharpness_{name}": sharpness(images) / sharpness(pictures),
            f"recognised_{name}": float(np.mean(classifier.logits(images).argmax(axis=1) == labels)),
            f"train_seconds_{name}": runs[name].seconds,
        }
        shares = flipped(models[name], classifier, train_source, test_source)
        results["flipped" if name == "vae_gan" else f"flipped_{name}"] = float(np.nanmean(shares))
        results[f"flipped_pairs_{name}"] = np.round(shares, 3).tolist()
    results["recognised_pictures"] = classifier.accuracy
    trainings = {name: training_of(run.workdir, spec=args.data, split="train") for name, run in runs.items()}
    report(
        args.out, "benchmarks.reproduce.vae_gan",
        seed=args.seed,
        protocol={
            "preset": configs["vae_gan"].resolve().config(), "vae": MODELS["vae"],
            "train": f"{train_source.name} {train_source.split}", "n_train": len(train_source),
            "test": f"{test_source.name} {test_source.split}", "n_test": len(test_source),
            "costs": f"means of {configs['vae_gan'].log_every} steps, over the last {LAST:.0%} of them",
            "dis_l": "of the trained VAE/GAN's discriminator, moving statistics", "weights": "raw",
            "flipped": "mean over ordered pairs of classes; 10,000 training codes, up to 100 test pictures of a class",
            "sharpness": "variance of the Laplacian, over that of the pictures", "tuning": TUNING,
        },
        seconds=time.perf_counter() - started,
        results=results,
        gates=GATES,
        trainings=trainings,
        paper="pictures alone",
    )  # fmt: skip
    keep(args.out, models["vae_gan"], "mse", training=trainings["vae_gan"], train=train_source, test=test_source)
    if args.picture:  # rows: pictures, the VAE's, the VAE/GAN's; samples of both
        ones = [np.flatnonzero(labels == k)[0] for k in np.unique(labels)[:10]]
        samples = [models[name].sample(len(ones), seed=args.seed) for name in ("vae", "vae_gan")]
        rows = np.concatenate([pictures[ones], made["vae"][ones], made["vae_gan"][ones], *samples])
        save_png("docs/images/vae_gan.png", rows, columns=len(ones), scale=2)


if __name__ == "__main__":
    main()
