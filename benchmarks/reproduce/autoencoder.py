"""The autoencoder beside principal components, and its codes beside raw pixels in two uses.

    python -m benchmarks.reproduce.autoencoder mnist --manual_dir FOLDER --picture

Everything is fitted on the train split: principal components, the scale of codes, k-means, the classes of clusters. Clusters
and classifiers from few labels are scored on the test split. Without labels all training images are used; with labels 10
images of each class, in 10 repetitions.
"""

import argparse

import numpy as np

from benchmarks.reproduce.common import in_parts, main
from tfgen.metrics import codes_of, few_label_accuracy, hungarian_accuracy, k_means
from tfgen.sampling import save_png

# On the small digits codes are not better than pixels for a classifier; with a quarter of the numbers they should not be
# much worse.
GATES = {
    "digits": {"mse": ("<=", 0.0075), "mse_over_pca": ("<=", 0.75), "k_means_accuracy": (">=", 0.76),
               "few_label_gain": (">=", -0.02)},
    "mnist": {"mse": ("<=", 0.010), "mse_over_pca": ("<=", 0.75), "k_means_accuracy": (">=", 0.55),
              "few_label_gain": (">=", 0.0), "train_seconds": ("<=", 900.0)},
}  # fmt: skip


def principal_components(images, size):
    """(mean [D], components [size, D]) of images [N, H, W, C]."""
    flat = images.reshape(len(images), -1).astype("float64")
    mean = flat.mean(axis=0)
    flat -= mean
    return mean, np.linalg.eigh(flat.T @ flat)[1][:, : -size - 1 : -1].T


def pca_reconstructions(images, mean, components):
    flat = images.reshape(len(images), -1) - mean
    return np.clip(flat @ components.T @ components + mean, 0.0, 1.0).reshape(images.shape)


def measure(model, train, test, seed):
    """Errors per pixel of the test images; accuracies of clusters and from few labels, of codes and of pixels."""
    sets = {"train": train, "test": test}
    images, labels = ({name: f(source) for name, source in sets.items()} for f in (_images, lambda s: s.labels()))
    pixels = {name: values.reshape(len(values), -1) for name, values in images.items()}
    codes = {name: codes_of(model, values) for name, values in images.items()}
    pca = principal_components(images["train"], model.latent_dim)
    results = {
        "mse": float(np.mean((in_parts(model.reconstruct, images["test"]) - images["test"]) ** 2)),
        "pca_mse": float(np.mean((pca_reconstructions(images["test"], *pca) - images["test"]) ** 2)),
        "mean_image_mse": float(np.mean((images["train"].mean(axis=0) - images["test"]) ** 2)),
    }
    results["mse_over_pca"] = results["mse"] / results["pca_mse"]
    results["squared_error_per_image"] = results["mse"] * pixels["test"].shape[1]
    for prefix, features, scaled in (("", codes, True), ("pixels_", pixels, False)):
        clusters = k_means(features["train"], train.num_classes, seed=seed, whiten=scaled)
        found = {name: clusters.assign(values) for name, values in features.items()}
        results[f"{prefix}k_means_accuracy"] = hungarian_accuracy(
            found["test"], labels["test"], train.num_classes, fit=(found["train"], labels["train"])
        )
        results[f"{prefix}k_means_accuracy_train"] = hungarian_accuracy(found["train"], labels["train"], train.num_classes)
        few = few_label_accuracy(
            features["train"], labels["train"], features["test"], labels["test"], seed=seed, standardize=scaled
        )
        results[f"{prefix}few_label_accuracy"], results[f"{prefix}few_label_deviation"] = few.accuracy, few.deviation
    results["few_label_gain"] = results["few_label_accuracy"] - results["pixels_few_label_accuracy"]
    return results, {
        "k_means": "10 starts, on train; clusters to classes one to one, on train; scored on test",
        "few_labels": "logistic regression, 10 labels of each class, mean of 10 draws, scored on test",
        "scale": "codes: whitened for k-means, each number standardised for few labels, by train; pixels as they are",
        "pca": f"{model.latent_dim} components of train, clipped to [0, 1] as the autoencoder's output is",
    }


def _images(source):
    return np.concatenate([batch["image"] for batch in source.batches(1000)])


def picture(model, train, test, path):
    """Rows: test images, reconstructions of the autoencoder and of principal components, decoded centroids of k-means."""
    images, seen = _images(test.take(10)), _images(train)
    centroids = k_means(codes_of(model, seen), 10).centroids.astype("float32")
    rows = [images, model.reconstruct(images), pca_reconstructions(images, *principal_components(seen, model.latent_dim))]
    rows = np.concatenate([*rows, model.decode_images(centroids)])
    save_png(path, rows, columns=10, scale=max(1, 56 // model.image_shape[0]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, add_help=False)
    parser.add_argument("data", choices=sorted(GATES), nargs="?", default="digits")
    parser.add_argument("--picture", action="store_true", help="save docs/images/autoencoder_DATA.png")
    args, rest = parser.parse_known_args()

    def measured(model, train, test, seed):
        if args.picture:
            picture(model, train, test, f"docs/images/autoencoder_{args.data}.png")
        return measure(model, train, test, seed)

    main(
        f"autoencoder_{args.data}", f"autoencoder/{args.data}", measured, GATES[args.data], data=args.data,
        tuning="training: none, settings given in advance; how codes are scaled: by digits' train split (few labels: drawn "
        "from one half of it, scored on the other)",
        argv=rest, module="benchmarks.reproduce.autoencoder", zoo="mse",
    )  # fmt: skip
