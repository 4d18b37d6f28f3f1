"""All sample metrics of one set of images at once, with the real-data anchor computed by the same code."""

from __future__ import annotations

import numpy as np

from tfgen.metrics._checks import image_batch
from tfgen.metrics.frechet import frechet_distance
from tfgen.metrics.kernel import kernel_distance
from tfgen.metrics.manifold import prdc
from tfgen.metrics.neighbours import nearest_images, nearest_neighbours, neighbour_ratio
from tfgen.metrics.protocol import Protocol, Result
from tfgen.metrics.score import class_shares, classifier_score, count_classes


def _draw(rng: np.random.Generator, total: int, count: int) -> np.ndarray:
    """`count` of `total` indices without replacement, in stored order; all if `count` is not smaller."""
    return np.arange(total) if count >= total else np.sort(rng.choice(total, count, replace=False))


class Evaluator:
    """Judges sets of images against one reference under one protocol; the real side is computed once.

    Args:
      train, test: `tfgen.data.Source`s. The images must be what the generator was asked to imitate: for a
        model of binarised images give binarised sources (`tfgen.data.from_arrays`).
      classifier: `Classifier` (or any object with image_shape, description, weights_hash and
        `outputs(images) -> (features, logits)`).
      seed: of all subsets drawn here.
      reference: "train" or "test", the real set of the Fréchet and kernel distances and of precision/recall.
        "train" (default) lets held-out test images pass through the same code as the best achievable result.
      n_real: images of the reference that are used (a seeded subset; default up to 10,000).
      k, score_splits, kid_subsets, kid_subset_size: of the metrics. The default subset size is half of the
        smaller side, at most 1,000, so that the subsets differ.
      n_nearest: at most this many judged (and test) images are searched for their nearest training image.
      n_nearest_train: at most this many training images are searched (a seeded subset; default up to 60,000).
      max_shift: pixel shifts tried in the pixel search, see `nearest_images`.
    """

    def __init__(
        self,
        train,
        test,
        classifier,
        *,
        seed: int = 0,
        reference: str = "train",
        n_real: int = 10_000,
        k: int = 5,
        score_splits: int = 1,
        kid_subsets: int = 50,
        kid_subset_size: int | None = None,
        n_nearest: int = 1000,
        n_nearest_train: int = 60_000,
        max_shift: int = 0,
    ):
        if reference not in ("train", "test"):
            raise ValueError(f"reference must be 'train' or 'test'; received {reference!r}")
        for name, source in (("train", train), ("test", test)):
            if tuple(source.image_shape) != tuple(classifier.image_shape):
                raise ValueError(
                    f"the {name} set {source.name!r} has images {tuple(source.image_shape)}; the classifier "
                    f"expects {tuple(classifier.image_shape)}"
                )
        if min(n_real, n_nearest, n_nearest_train) < 1:
            counts = n_real, n_nearest, n_nearest_train
            raise ValueError(f"n_real, n_nearest and n_nearest_train must be at least 1; received {counts}")
        self.train, self.test, self.classifier, self.seed = train, test, classifier, seed
        self.reference = reference
        self.settings = dict(k=k, score_splits=score_splits, kid_subsets=kid_subsets, max_shift=max_shift)
        self.kid_subset_size, self.n_nearest = kid_subset_size, n_nearest
        # one independent stream per purpose, so that changing one number leaves the other subsets as they are
        streams = [np.random.default_rng([seed, purpose]) for purpose in range(4)]
        real = train if reference == "train" else test
        real_images = self._images(real, _draw(streams[0], real.num_examples, n_real))
        self.real_features = classifier.outputs(real_images)[0]
        self.train_images = self._images(train, _draw(streams[1], train.num_examples, n_nearest_train))
        self.train_features = classifier.outputs(self.train_images)[0]
        queries = self._images(test, _draw(streams[2], test.num_examples, n_nearest))
        self.test_distances = self._to_train(queries, classifier.outputs(queries)[0])

    @staticmethod
    def _images(source, indices) -> np.ndarray:
        return source.images() if len(indices) == source.num_examples else source.subset(indices).images()

    def _to_train(self, images, features) -> tuple[np.ndarray, np.ndarray]:
        """Distances (pixels, features) of each image to its nearest training image."""
        pixels = nearest_images(images, self.train_images, max_shift=self.settings["max_shift"])[1]
        return pixels, nearest_neighbours(features, self.train_features)[1]

    def __call__(self, fake_images, *, weights: str, batch_norm: str = "moving", extra=()) -> Result:
        """Metrics of `fake_images` float [N, H, W, C] in [0, 1]; `weights`, `batch_norm`, `extra`: see
        Protocol.

        Values: classifier_score, classifier_score_std, num_classes, class_shares (list),
        frechet_classifier_distance, kernel_distance_mean, kernel_distance_std, precision, recall, density,
        coverage, and for pixel and feature space nn_*_fake_train, nn_*_test_train (median L2 distances) and
        nn_*_ratio.

        Raises:
          ValueError: images of a wrong shape, rank, dtype or range, NaN, or too few images for the features.
        """
        images = image_batch(fake_images, "fake_images", shape=self.classifier.image_shape, min_images=2)
        features, logits = self.classifier.outputs(images)
        smaller = min(len(images), len(self.real_features))
        subset_size = self.kid_subset_size or min(1000, max(2, smaller // 2))
        score = classifier_score(logits, self.settings["score_splits"])
        shares = class_shares(logits)
        kid = kernel_distance(
            self.real_features,
            features,
            subsets=self.settings["kid_subsets"],
            subset_size=subset_size,
            seed=self.seed,
        )
        queries = _draw(np.random.default_rng([self.seed, 3]), len(images), self.n_nearest)
        values = {
            "classifier_score": score.mean,
            "classifier_score_std": score.std,
            "num_classes": count_classes(shares),
            "class_shares": shares.tolist(),
            "frechet_classifier_distance": frechet_distance(self.real_features, features),
            "kernel_distance_mean": kid.mean,
            "kernel_distance_std": kid.std,
            **prdc(self.real_features, features, k=self.settings["k"]),
        }
        fake_distances = self._to_train(images[queries], features[queries])
        for space, fake, test in zip(("pixel", "feature"), fake_distances, self.test_distances, strict=True):
            values[f"nn_{space}_fake_train"] = float(np.median(fake))
            values[f"nn_{space}_test_train"] = float(np.median(test))
            values[f"nn_{space}_ratio"] = neighbour_ratio(fake, test)
        real = self.train if self.reference == "train" else self.test
        protocol = Protocol(
            data=real.name,
            data_fingerprint=real.fingerprint,
            split=self.reference,
            n_real=len(self.real_features),
            n_fake=len(images),
            features=self.classifier.description,
            features_hash=self.classifier.weights_hash,
            seed=self.seed,
            weights=weights,
            batch_norm=batch_norm,
            train_fingerprint=self.train.fingerprint,
            test_fingerprint=self.test.fingerprint,
            kid_subset_size=subset_size,
            n_nearest=len(queries),
            n_nearest_train=len(self.train_images),
            extra=extra,
            **self.settings,
        )
        return Result(values, protocol)

    def real_anchor(self, n_fake: int | None = None) -> Result:
        """The best achievable result: the split that is not the reference, judged as if it were generated.

        With reference "train" these are test images. With reference "test" they are training images, whose
        nearest training images are themselves: then the nn_*_fake_train distances are 0, as for a generator
          that memorised.

        Args:
          n_fake: number of images, as many as the generator is judged by. If the split has fewer, all are
            used; the protocol's n_fake says so, and results of different n_fake refuse to be compared.
        """
        source = self.test if self.reference == "train" else self.train
        count = source.num_examples if n_fake is None else n_fake
        indices = _draw(np.random.default_rng([self.seed, 4]), source.num_examples, count)
        return self(self._images(source, indices), weights="real", batch_norm="none")


def evaluate_samples(
    fake_images,
    *,
    test,
    train,
    classifier,
    weights: str,
    seed: int = 0,
    batch_norm: str = "moving",
    extra=(),
    **settings,
) -> Result:
    """`Evaluator(train, test, classifier, seed=seed, **settings)(fake_images, ...)`; see there.

    To judge several sets (a model, an untrained one, real images) make one `Evaluator`: it does the real
    side once.
    """
    return Evaluator(train, test, classifier, seed=seed, **settings)(
        fake_images, weights=weights, batch_norm=batch_norm, extra=extra
    )


def anchors(train, test, classifier, *, n_fake: int | None = None, seed: int = 0, untrained=None, **settings):
    """The two marks between which a generator's numbers lie.

    Args:
      n_fake: number of real images judged, as many as of the generator (fewer if the split has fewer).
      untrained: images [N, H, W, C] of the untrained generator, if its anchor is wanted here too.
      settings: as for `Evaluator`.

    Returns:
      {"real": Result} and, with `untrained`, {"untrained": Result} (weights "raw"). To compare a generator's
      result with an anchor, name the fields that differ by intent:
      `result.ratio(anchor, name, ignore=("weights", "batch_norm"))`.
    """
    evaluator = Evaluator(train, test, classifier, seed=seed, **settings)
    results = {"real": evaluator.real_anchor(n_fake)}
    if untrained is not None:
        results["untrained"] = evaluator(untrained, weights="raw")
    return results
