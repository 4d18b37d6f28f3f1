"""Computes all sample metrics of a set of images, and the same metrics of real images for comparison."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfgen.data.source import Source
from tfgen.metrics._checks import image_batch
from tfgen.metrics.accumulators import Moments
from tfgen.metrics.birthday import closest_pairs, duplicate_rate
from tfgen.metrics.cache import Cache
from tfgen.metrics.frechet import frechet_distance, frechet_distance_infinity
from tfgen.metrics.kernel import kernel_distance
from tfgen.metrics.manifold import prdc
from tfgen.metrics.neighbours import nearest_neighbours, neighbour_ratio
from tfgen.metrics.path_length import path_distances, trimmed_mean
from tfgen.metrics.protocol import Protocol, Result
from tfgen.metrics.score import count_classes
from tfgen.metrics.separability import linear_separability
from tfgen.metrics.statistics import InProcess, NearestImages, NotFinite, Statistics, Walk, draw
from tfgen.metrics.wasserstein import PATCH, sliced_wasserstein

# {metric: (statistics of the real images, statistics of the evaluated images)}, with names from `statistics.PARTS`.
METRICS = {
    "score": ((), ("score",)),
    "fid": (("moments",), ("moments",)),
    "fid_infinity": (("moments",), ("rows",)),
    "kid": (("rows",), ("rows",)),
    "prdc": (("rows",), ("rows",)),
    "nearest": ((), ("queries",)),
    "ms_ssim": ((), ("similarity",)),
    "swd": ((), ("queries",)),
    "birthday": (("rows",), ("rows",)),
    "path_length": ((), ()),
    "separability": ((), ("logits",)),
}
DEFAULT = ("score", "fid", "kid", "prdc", "nearest")
WITHOUT_FEATURES = frozenset(["ms_ssim", "swd"])
OF_LATENTS = frozenset(["path_length", "separability"])  # need a generator with latents
SPACES = ("z", "w")
PATH_PAIRS, PATH_STEP = 1000, 1e-3
BIRTHDAY_BATCHES, BIRTHDAY_SIZE = 50, 500


class Drawn:
    """A function (first, last) -> float32 [last - first, H, W, C]: the images of a source at indices[first:last]."""

    def __init__(self, source, indices):
        self.source, self.indices = source, indices

    def __call__(self, first, last):
        return self.source.subset(self.indices[first:last]).images()

    def all(self):
        return self(0, len(self.indices))


class Evaluator:
    """Evaluates sets of images against one reference under one protocol; statistics of real images are computed once.

    Example:
        >>> train, test = tfgen.data.load("digits"), tfgen.data.load("digits", "test")
        >>> network = tfgen.features.random_conv((8,), channels=3)
        >>> extractor = tfgen.metrics.FeatureExtractor(network)
        >>> evaluator = tfgen.metrics.Evaluator(train, test, extractor, metrics=["fid"])
        >>> real, noise = evaluator.real_anchor(), evaluator(np.random.default_rng(0).random([300, 8, 8, 1]), weights="raw")
        >>> name = "frechet_feature_distance"
        >>> real.values[name] < noise.values[name]
        True

    Args:
      train, test: `tfgen.data.Source`s of images with the same preprocessing as the generator's training images: for a
        model of binarised images give binarised sources (`imitated`). The one that is not the reference may be None
        unless "nearest" is among the metrics.
      classifier: `Classifier` or any other extractor (see `tfgen.metrics.extractors`); None if all metrics use pixels.
      metrics: names from `METRICS`.
      seed: seed of all subsets drawn here.
      reference: "train" or "test", the real set of the Fréchet and kernel distances and of precision/recall.
        With "train" (default), the held-out test images can be evaluated like samples (`real_anchor`).
      n_real: maximum number of reference images (a random subset).
      k, score_splits, kid_subsets, kid_subset_size: arguments of the metrics. The default subset size is half of the
        smaller set, at most 1,000, so that the subsets differ.
      n_nearest: maximum number of evaluated images, and of test images, whose nearest training image is searched.
      n_nearest_train: maximum number of training images in that search (a random subset).
      max_shift: shifts tried in the search in pixel space, see `nearest_images`.
      n_features: maximum number of evaluated images whose features are kept, for "fid_infinity", "kid", "prdc" and
        "birthday" (a random subset). "score" and "fid" are of all images.
      force: whether to compute Fréchet distances also of fewer images than features.
      resize: the rule by which the sources' images were resized, for the protocol.
      run: runs walks over images: `InProcess()` (default) or a callable with the same signature. The reference is walked
        with the first images that are evaluated.
      cache: a `Cache` for the statistics of the reference, or None.
      space: the latent space of "path_length" and "separability": "z", the latents; or "w", the styles of a StyleGAN, the
        same in all its layers and without truncation. The protocol of "w" names it.
    """

    def __init__(
        self,
        train: Source | None,
        test: Source | None,
        classifier: Any,
        *,
        metrics: Sequence[str] = DEFAULT,
        seed: int = 0,
        reference: str = "train",
        n_real: int = 10_000,
        k: int = 5,
        score_splits: int = 1,
        kid_subsets: int = 50,
        kid_subset_size: int | None = None,
        n_nearest: int = 1000,
        n_nearest_train: int = 60_000,
        n_features: int = 50_000,
        max_shift: int = 0,
        force: bool = False,
        resize: str | None = None,
        run: Callable | None = None,
        cache: Cache | None = None,
        space: str = "z",
    ):
        metrics = tuple(metrics)
        if unknown := sorted(set(metrics) - set(METRICS)):
            raise ValueError(f"unknown metric(s) {', '.join(unknown)}; the metrics are {', '.join(METRICS)}")
        if not metrics:
            raise ValueError(f"metrics must name at least one of {', '.join(METRICS)}; received none")
        if not isinstance(space, str) or space not in SPACES:
            raise ValueError(f"space must be one of {', '.join(SPACES)}; received {space!r}")
        self.space = space
        if reference not in ("train", "test"):
            raise ValueError(f"reference must be 'train' or 'test'; received {reference!r}")
        self.train, self.test, self.classifier, self.seed = train, test, classifier, seed
        self.metrics, self.reference, self.force, self.resize = metrics, reference, force, resize
        for name, source in (("train", train), ("test", test)):
            if source is None and (name == reference or "nearest" in metrics):
                why = "is the reference" if name == reference else "is needed by the metric 'nearest'"
                raise ValueError(f"the {name} set {why}; received None")
            shape = None if classifier is None else classifier.image_shape
            if source is not None and shape is not None and tuple(source.image_shape) != tuple(shape):
                raise ValueError(
                    f"the {name} set {source.name!r} has images {tuple(source.image_shape)}; the classifier "
                    f"expects {tuple(shape)}"
                )
        self.real: Source = train if reference == "train" else test  # type: ignore[assignment]  # it is not None, see above
        if classifier is None and (with_features := [m for m in metrics if m not in WITHOUT_FEATURES]):
            raise ValueError(f"the metrics {', '.join(with_features)} need a feature extractor; received None")
        for name in {"score", "separability"} & set(metrics):
            if not getattr(classifier, "num_logits", 1):
                raise ValueError(f"the metric {name!r} needs logits; {classifier.description} has none")
        counts = {"n_real": n_real, "n_nearest": n_nearest, "n_nearest_train": n_nearest_train, "n_features": n_features}
        if min(counts.values()) < 1:
            raise ValueError(f"{', '.join(counts)} must be at least 1; received {counts}")
        if n_features <= k:
            raise ValueError(f"n_features must be larger than k={k}, the number of the neighbour; received {n_features}")
        self.settings = dict(k=k, score_splits=score_splits, kid_subsets=kid_subsets, max_shift=max_shift)
        self.kid_subset_size, self.n_nearest, self.n_nearest_train = kid_subset_size, n_nearest, n_nearest_train
        self.n_features, self.run, self._cache = n_features, InProcess() if run is None else run, cache
        # one random generator per purpose, so that changing one number does not change the other subsets
        rngs = [np.random.default_rng([seed, purpose]) for purpose in range(4)]
        self._indices = draw(rngs[0], self.real.num_examples, n_real)
        self.n_real = len(self._indices)
        # What `_take_reference` keeps. None: no metric needs it, or nothing was evaluated yet.
        self.moments: Any = None
        self.rows: Any = None
        self.test_distances: Any = None
        self._train_features: Any = None
        self._is_walked = False
        if "nearest" in metrics:
            assert train is not None and test is not None
            self._nearest_train = Drawn(train, draw(rngs[1], train.num_examples, n_nearest_train))
            self._test_queries = Drawn(test, draw(rngs[2], test.num_examples, n_nearest))

    def _job(self, needs, images, count, what, **settings):
        """A job for `run`, see `InProcess`, whose result is a `Statistics`."""
        make = functools.partial(Statistics, tuple(sorted(set(needs))), count, seed=self.seed, **settings)
        # All statistics but "similarity" use features; without a classifier, "queries" holds only images.
        features = any(need != "similarity" for need in needs)
        return make, Walk(images, count, self.classifier if features else None), what

    def _walk(self, jobs: dict) -> dict:
        return dict(zip(jobs, self.run(list(jobs.values())), strict=True)) if jobs else {}

    # ---- The reference: walked once, with the first images

    def _reference_jobs(self) -> dict:
        jobs, train_indices = {}, self._nearest_train.indices if "nearest" in self.metrics else None
        needs = sorted({need for metric in self.metrics for need in METRICS[metric][0]})
        self._key: dict = {
            "data_fingerprint": self.real.fingerprint, "split": self.reference, "n_real": self.n_real, "seed": self.seed,
            "resize": self.resize, "features": self.classifier.description, "features_hash": self.classifier.weights_hash,
            "statistics": needs,
        } if needs else {}  # fmt: skip
        self._stored = self._cache.read(self._key) if needs and self._cache is not None else None
        if needs and self._stored is None:
            jobs["real"] = self._job(needs, Drawn(self.real, self._indices), self.n_real, "real images")
        if train_indices is not None:
            same = self.reference == "train" and np.array_equal(self._indices, train_indices) and "rows" in needs
            if not same:
                assert self.train is not None
                jobs["train"] = self._job(["rows"], self._nearest_train, len(train_indices), f"{self.train.split} images")
            jobs["test"] = self._job(["queries"], self._test_queries, len(self._test_queries.indices), "test images")
        return jobs

    def _take_reference(self, found: dict) -> None:
        stored = self._stored or {}
        if "real" in found:
            stored = self._arrays(found["real"])
        if "mean" in stored:
            self.moments = Moments()
            self.moments.count, self.moments.mean, self.moments.scatter = (
                int(stored["count"]), stored["mean"], stored["scatter"]
            )  # fmt: skip
        self.rows = stored.get("rows")
        if "nearest" in self.metrics:
            self._train_features = self.rows
            if "train" in found:
                assert self.train is not None
                self._train_features = found["train"].check(f"{self.train.split} images").parts["rows"].result()

    @staticmethod
    def _arrays(found: Statistics) -> dict:
        """What the cache keeps of the statistics of the reference."""
        parts: dict = found.check("real images").parts
        arrays: dict = {}
        if "moments" in parts:
            moments = parts["moments"]
            arrays |= {"count": np.array(moments.count), "mean": moments.mean, "scatter": moments.scatter}
        if "rows" in parts:
            arrays["rows"] = parts["rows"].result()
        return arrays

    # ---- Nearest training images

    def _nearest_job(self, found: Statistics):
        """A job for `run` that finds the distance in pixels of each query image to its nearest training image."""
        images = found.parts["query_images"].result()
        near = self._nearest_train
        batch = max(1, 2**23 // images[0].size)  # the search uses about 64 MiB in addition to the queries
        make = functools.partial(NearestImages, images, self.settings["max_shift"])
        return make, Walk(near, len(near.indices), batch=batch), "nearest training images"

    def _distances(self, found: Statistics, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances (pixels, features) of each query image to its nearest training image."""
        return pixels, nearest_neighbours(found.parts["query_features"].result(), self._train_features)[1]

    def __call__(
        self, fake_images: ArrayLike, *, weights: str, batch_norm: str = "moving", extra: Sequence = ()
    ) -> Result:
        """Evaluates `fake_images` float [N, H, W, C] in [0, 1]; see `evaluate`.

        Raises:
          ValueError: a wrong shape, rank, dtype or range, NaN, or too few images for the number of features.
        """
        return self.evaluate(**self.request(fake_images, weights=weights, batch_norm=batch_norm, extra=extra))

    def request(self, fake_images: ArrayLike, **arguments) -> dict:
        """The arguments of `evaluate` for images float [N, H, W, C] in [0, 1], for `evaluate_all`; errors as of a call."""
        images = image_batch(fake_images, "fake_images", shape=tuple(self.real.image_shape), min_images=2)
        return {"images": lambda first, last: images[first:last], "count": len(images), **arguments}

    def evaluate(
        self, images: Callable[[int, int], np.ndarray], count: int, *, weights: str, batch_norm: str = "moving",
        truncation: float | None = None, generator_hash: str | None = None, extra: Sequence = (),
    ) -> Result:  # fmt: skip
        """Metrics of `count` images, given by a function (first, last) -> float32 [last - first, H, W, C] in [0, 1].

        Only one batch of images is kept in memory at a time, plus `n_nearest` images and the pairs of "ms_ssim".

        Args:
          images: the function; it must be picklable if `run` uses other processes.
          count: number of images.
          weights, batch_norm, truncation, generator_hash, extra: see `Protocol`.

        Values:
          score: classifier_score, classifier_score_std, num_classes, class_shares (list).
          fid: frechet_<kind>_distance, with the kind of the extractor: "classifier", "inception" (FID as
            published) or "keras_inception" (not comparable with it).
          fid_infinity: frechet_<kind>_distance_infinity.
          kid: kernel_distance_mean, kernel_distance_std. prdc: precision, recall, density, coverage.
          nearest: for pixel and feature space nn_*_fake_train, nn_*_test_train (median L2 distances), nn_*_ratio.
          ms_ssim: ms_ssim_mean, ms_ssim_std of 100 random pairs; higher means less diverse.
          swd: swd and swd_<side> of each level, the sliced Wasserstein distance of at most `n_nearest` images of each set.
          birthday: birthday_duplicate_rate, the share of random batches of samples whose closest pair is at most as far
            apart as the closest pair of a batch of real images (median over batches of the same size): about 0.5 for
            samples as diverse as real images, 1 for many duplicates.
          path_length: path_length, path_length_std: the squared distance of features over the squared size of a small
            step from one latent towards another; both are drawn like the latents of samples.
          separability: linear_separability of the classes in latent space, 1 is perfect.

        The last two need `images` with latents (`Samples.has_latents`), in space "w" with styles (`Samples.has_styles`), and
        separability also needs a generator without conditions. Results of real images do not have them.

        Raises:
          NotFinite (a ValueError): images with NaN or infinity.
          ValueError: a wrong shape or range, or too few images for the number of features.
        """
        (found,) = self.evaluate_all(
            [{"images": images, "count": count, "weights": weights, "batch_norm": batch_norm, "truncation": truncation,
              "generator_hash": generator_hash, "extra": extra}]
        )  # fmt: skip
        if isinstance(found, NotFinite):
            raise found
        return found

    def evaluate_all(self, requests: Sequence[dict]) -> list[Result | NotFinite]:
        """The results of several sets of images, each a dict of the arguments of `evaluate`.

        All walks over images are given to `run` in two calls, so that what it starts for a call, such as the processes of
        a Beam pipeline, is started twice, however many sets there are. (With a `cache` there is one call more, the first
        time: the reference is stored before the sets are walked.) The features and query images of all sets are in memory
        at once. If images are not finite, their result is the `NotFinite` error.

        Example:
            >>> train, test = tfgen.data.load("digits"), tfgen.data.load("digits", "test")
            >>> extractor = tfgen.metrics.FeatureExtractor(tfgen.features.random_conv((8,), channels=3))
            >>> evaluator = tfgen.metrics.Evaluator(train, test, extractor, metrics=["fid"])
            >>> noise = evaluator.request(np.random.default_rng(0).random((300, 8, 8, 1)), weights="raw")
            >>> found = evaluator.evaluate_all([evaluator.real_request(), noise])
            >>> len(found)
            2
        """
        if not requests:
            return []
        wanted = [self._metrics_of(**request) for request in requests]
        jobs = {} if self._is_walked else self._reference_jobs()
        known = {}
        if "real" in jobs and self._cache is not None:
            # The sets may take long, and may fail.
            known = self._walk({"real": jobs.pop("real")})
            self._cache.write(self._key, self._arrays(known["real"]))
        for i, (request, metrics) in enumerate(zip(requests, wanted, strict=True)):
            jobs[i] = self._samples_job(metrics, request["images"], request["count"])
        found = known | self._walk(jobs)
        if not self._is_walked:
            self._take_reference(found)
        results: list[Statistics | NotFinite] = []
        queries: dict[int | str, Statistics] = {}
        for i in range(len(requests)):
            try:
                results.append(found[i].check("fake_images"))
            except NotFinite as error:
                results.append(error)
        if "nearest" in self.metrics:
            queries = {i: one for i, one in enumerate(results) if isinstance(one, Statistics)}
            if not self._is_walked:
                queries["test"] = found["test"].check("test images")
        pixels = self._walk({name: self._nearest_job(one) for name, one in queries.items()})
        distances = {name: self._distances(queries[name], found) for name, found in pixels.items()}
        if not self._is_walked:
            self.test_distances = distances.get("test")
        self._is_walked = True
        return [
            one if isinstance(one, NotFinite) else self._result(one.parts, metrics, distances.get(i), **request)
            for i, (one, metrics, request) in enumerate(zip(results, wanted, requests, strict=True))
        ]

    def _metrics_of(self, images, count, weights, **_) -> list[str]:
        if count < 2:
            raise ValueError(f"at least 2 images are needed; received {count}")
        metrics = [name for name in self.metrics if weights != "real" or name not in OF_LATENTS]
        for name in metrics:
            check_applies(name, images, self.real.image_shape, self.space)
        return metrics

    def _samples_job(self, metrics, images, count):
        needs = {need for metric in metrics for need in METRICS[metric][1]}
        settings: dict[str, Any] = {
            "splits": self.settings["score_splits"], "n_queries": self.n_nearest, "n_rows": self.n_features
        }  # fmt: skip
        if "similarity" in needs:
            settings["similarity"] = min(100, count // 2), similarity_scales(self.real.image_shape)
        return self._job(needs, images, count, "fake_images", **settings)

    def _result(
        self, fake, metrics, distances, *, images, count, weights, batch_norm="moving", truncation=None, generator_hash=None,
        extra=(),
    ):  # fmt: skip
        extra = dict(extra)
        if "rows" in fake and count > self.n_features:
            extra["n_features"] = self.n_features
        features: Any = fake["rows"].result() if "rows" in fake else None
        subset_size = self.kid_subset_size or min(1000, max(2, min(count, self.n_real, self.n_features) // 2))
        frechet = f"frechet_{getattr(self.classifier, 'kind', 'classifier')}_distance"
        values: dict[str, Any] = {}
        if "score" in self.metrics:
            score, shares = fake["score"].result(), fake["shares"].result()
            values |= {"classifier_score": score.mean, "classifier_score_std": score.std,
                       "num_classes": count_classes(shares), "class_shares": shares.tolist()}  # fmt: skip
        if "fid" in self.metrics:
            values[frechet] = frechet_distance(self.moments, fake["moments"], force=self.force)
        if "fid_infinity" in self.metrics:
            kept, width = features.shape
            smallest = max(2, kept // 10) if self.force else max(kept // 10, width + 1)
            limit = frechet_distance_infinity(
                self.moments, features, smallest=smallest, seed=self.seed, force=self.force
            )
            values[f"{frechet}_infinity"] = limit.value
        if "kid" in self.metrics:
            kid = kernel_distance(
                self.rows, features, subsets=self.settings["kid_subsets"], subset_size=subset_size, seed=self.seed
            )
            values |= {"kernel_distance_mean": kid.mean, "kernel_distance_std": kid.std}
        if "prdc" in self.metrics:
            values |= prdc(self.rows, features, k=self.settings["k"])
        if "nearest" in self.metrics:
            for space, near, test in zip(("pixel", "feature"), distances, self.test_distances, strict=True):
                values[f"nn_{space}_fake_train"] = float(np.median(near))
                values[f"nn_{space}_test_train"] = float(np.median(test))
                values[f"nn_{space}_ratio"] = neighbour_ratio(near, test)
        if "ms_ssim" in self.metrics:
            similarity = fake["similarity"].result()
            values |= {"ms_ssim_mean": similarity.mean, "ms_ssim_std": similarity.std}
        if "swd" in self.metrics:
            values |= self._sliced_wasserstein(fake["query_images"].result())
        if "birthday" in self.metrics:
            values["birthday_duplicate_rate"] = self._duplicate_rate(features)
        if "path_length" in metrics:
            length = self._path_length(images, min(count, PATH_PAIRS))
            values |= {"path_length": length.mean, "path_length_std": length.std}
            extra |= {"path_pairs": min(count, PATH_PAIRS), "path_step": PATH_STEP}
        if "separability" in metrics:
            logits = fake["logits"].result()
            # Log-odds of each class against all others.
            others = [np.logaddexp.reduce(np.delete(logits, k, axis=1), axis=1) for k in range(logits.shape[1])]
            samples: Any = images  # they have latents, see `check_applies`
            latents = samples.latents(0, count) if self.space == "z" else samples.styles(0, count)
            found = linear_separability(latents, logits - np.stack(others, axis=1), seed=self.seed)
            values["linear_separability"] = found.score
        if self.space != "z" and OF_LATENTS & set(metrics):
            extra["space"] = self.space
        if self.force:
            extra["force"] = True
        protocol = Protocol(
            data=self.real.name,
            data_fingerprint=self.real.fingerprint,
            split=self.reference,
            n_real=self.n_real,
            n_fake=count,
            features="none" if self.classifier is None else self.classifier.description,
            features_hash="none" if self.classifier is None else self.classifier.weights_hash,
            seed=self.seed,
            weights=weights,
            batch_norm=batch_norm,
            resize=self.resize,
            truncation=truncation,
            generator_hash=generator_hash,
            train_fingerprint=None if self.train is None else self.train.fingerprint,
            test_fingerprint=None if self.test is None else self.test.fingerprint,
            kid_subset_size=subset_size,
            n_nearest=min(self.n_nearest, count),
            n_nearest_train=None if self.train is None else min(self.n_nearest_train, self.train.num_examples),
            extra=extra,
            **self.settings,
        )
        return Result(values, protocol)

    def _sliced_wasserstein(self, fake) -> dict[str, float]:
        real = draw(np.random.default_rng([self.seed, 7]), self.real.num_examples, len(fake))
        smallest = min(16, *self.real.image_shape[:2])
        return sliced_wasserstein(self.real.subset(real).images(), fake[: len(real)], smallest=smallest, seed=self.seed)

    def _duplicate_rate(self, features) -> float:
        size = min(BIRTHDAY_SIZE, max(2, min(len(features), len(self.rows)) // 2))
        rng = np.random.default_rng([self.seed, 8])
        batches = [rng.choice(len(self.rows), size, replace=False) for _ in range(BIRTHDAY_BATCHES)]
        threshold = float(np.median([closest_pairs(self.rows[rows], 1)[1][0] for rows in batches]))
        return duplicate_rate(features, batch_size=size, threshold=threshold, batches=BIRTHDAY_BATCHES, seed=self.seed)

    def _path_length(self, samples, pairs):
        latents_of, decode = (
            (samples.latents, samples.decode) if self.space == "z" else (samples.styles, samples.synthesize)
        )

        def generate(latents):  # both ends of a step under the same conditions
            return np.concatenate([decode(part) for part in np.split(latents, 2)])

        def distance(a, b):
            a, b = (np.asarray(self.classifier.outputs(images)[0], np.float64) for images in (a, b))
            return ((a - b) ** 2).sum(axis=1)

        ids = np.arange(pairs)
        ends = np.stack([latents_of(0, pairs), latents_of(pairs, 2 * pairs)])
        distances = path_distances(
            generate, distance, ids, ends=lambda rows: ends[:, rows], space="w", sampling="end", epsilon=PATH_STEP
        )
        return trimmed_mean(distances)

    def real_anchor(self, n_fake: int | None = None) -> Result:
        """The best achievable result: metrics of the split that is not the reference, evaluated like generated images.

        With reference "train" these are test images. With reference "test" they are training images. Their
        nearest training images are themselves, so the nn_*_fake_train distances are 0, as for a generator
        that memorised.

        Args:
          n_fake: number of images; use the number of the generator's samples. If the split has fewer, all are
            used; the protocol records the number, and results of different n_fake cannot be compared.
        """
        return self.evaluate(**self.real_request(n_fake))

    def real_request(self, n_fake: int | None = None) -> dict:
        """The arguments of `evaluate` for `real_anchor`, for `evaluate_all`."""
        source = self.test if self.reference == "train" else self.train
        if source is None:
            raise ValueError("the anchor of real images needs the split that is not the reference; it is None")
        count = source.num_examples if n_fake is None else n_fake
        images = Drawn(source, draw(np.random.default_rng([self.seed, 4]), source.num_examples, count))
        return {"images": images, "count": len(images.indices), "weights": "real", "batch_norm": "none"}


def check_applies(name, images, image_shape, space: str = "z") -> None:
    """Raises ValueError if the metric `name` cannot be computed for `images` (for instance `Samples`) of this shape.

    `space`: see `Evaluator`.
    """
    if name == "ms_ssim":
        similarity_scales(image_shape)
    if name == "swd" and min(image_shape[:2]) < PATCH:
        raise ValueError(f"swd needs images of at least {PATCH} pixels; received {tuple(image_shape)}")
    if name not in OF_LATENTS:
        return
    if not getattr(images, "has_latents", False):
        raise ValueError(f"{name} needs a generator whose images are a smooth function of latents")
    if space == "w" and not getattr(images, "has_styles", False):
        raise ValueError(f"{name} in the space 'w' needs a generator with styles, such as StyleGAN")
    if name == "separability" and images.is_conditional:
        raise ValueError(f"{name} needs a generator without conditions: conditions, and not latents, determine the classes")


def similarity_scales(image_shape) -> int:
    """Number of scales, 1 to 5, at which images (H, W, C) are large enough for `ms_ssim`; ValueError if none."""
    side, scales = min(image_shape[:2]), 0
    while scales < 5 and side >= 11:
        side, scales = -(-side // 2), scales + 1
    if not scales:
        raise ValueError(f"ms_ssim needs images of at least 11 pixels; received {tuple(image_shape)}")
    return scales


def evaluate_samples(
    fake_images: ArrayLike,
    *,
    test: Source,
    train: Source | None,
    classifier: Any,
    weights: str,
    seed: int = 0,
    batch_norm: str = "moving",
    extra: Sequence = (),
    **settings,
) -> Result:
    """`Evaluator(train, test, classifier, seed=seed, **settings)(fake_images, ...)`; see there.

    To evaluate several sets (a model, an untrained one, real images), make one `Evaluator`: it computes the
    statistics of the real images once.

    Example:
        >>> train, test = tfgen.data.load("digits"), tfgen.data.load("digits", "test")
        >>> extractor = tfgen.metrics.FeatureExtractor(tfgen.features.random_conv((8,), channels=3))
        >>> result = tfgen.metrics.evaluate_samples(
        ...     test.images()[:200], train=train, test=test, classifier=extractor, weights="files", metrics=["prdc"])
        >>> sorted(result.values)
        ['coverage', 'density', 'precision', 'recall']
    """
    return Evaluator(train, test, classifier, seed=seed, **settings)(
        fake_images, weights=weights, batch_norm=batch_norm, extra=extra
    )


def anchors(
    train: Source, test: Source, classifier: Any, *, n_fake: int | None = None, seed: int = 0,
    untrained: ArrayLike | None = None, **settings,
) -> dict:  # fmt: skip
    """Results of real images and of an untrained generator, to compare a generator's result with.

    Example:
        >>> train, test = tfgen.data.load("digits"), tfgen.data.load("digits", "test")
        >>> extractor = tfgen.metrics.FeatureExtractor(tfgen.features.random_conv((8,), channels=3))
        >>> noise = np.random.default_rng(0).random([300, 8, 8, 1])
        >>> found = tfgen.metrics.anchors(train, test, extractor, metrics=["prdc"], untrained=noise)
        >>> found["real"].values["precision"] > found["untrained"].values["precision"]
        True

    Args:
      n_fake: number of real images to evaluate; use the number of the generator's samples (fewer if the split has fewer).
      untrained: images [N, H, W, C] of the untrained generator, or None.
      settings: arguments of `Evaluator`.

    Returns:
      {"real": Result} and, with `untrained`, {"untrained": Result} (weights "raw"). To compare a generator's
      result with one of these, name the fields that differ on purpose:
      `result.ratio(anchor, name, ignore=("weights", "batch_norm"))`.
    """
    evaluator = Evaluator(train, test, classifier, seed=seed, **settings)
    results = {"real": evaluator.real_anchor(n_fake)}
    if untrained is not None:
        results["untrained"] = evaluator(untrained, weights="raw")
    return results
