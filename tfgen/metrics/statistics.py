"""Statistics of a set of images for the metrics, computed in one pass over the images by one or more processes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics.accumulators import Accumulator, Moments, Rows
from tfgen.metrics.neighbours import nearest_images
from tfgen.metrics.score import ClassifierScore, ClassShares
from tfgen.metrics.similarity import MultiScaleSimilarity
from tfgen.progress import Progress

# Batches for generators and extractors start at multiples of this for any number of shards: rounding makes a network's
# float32 outputs depend on the batch size, but the metrics must not depend on the number of shards.
BATCH = 256
PARTS = ("moments", "rows", "logits", "score", "queries", "similarity")


class NotFinite(ValueError):
    """Images hold NaN or infinity, so no metrics can be computed.

    Example:
        >>> statistics = tfgen.metrics.Statistics(["queries"], total=2)
        >>> statistics.update(np.full([2, 8, 8, 1], np.nan), [0, 1]).check("images")
        Traceback (most recent call last):
            ...
        tfgen.metrics.statistics.NotFinite: images must be finite; 2 of 2 images hold NaN or infinity
    """


def draw(rng: np.random.Generator, total: int, count: int) -> np.ndarray:
    """`count` of `total` indices without replacement, sorted; all indices if `count` >= `total`."""
    return np.arange(total) if count >= total else np.sort(rng.choice(total, count, replace=False))


class Statistics(Accumulator):
    """Statistics of `total` images with ids 0 ... total - 1; `parts` holds those named in `needs`.

    Example:
        >>> statistics = tfgen.metrics.Statistics(["moments", "rows"], total=4)
        >>> for ids in ([0, 1], [2, 3]):
        ...     statistics = statistics.update(np.zeros([2, 8, 8, 1]), ids, features=np.ones([2, 5]))
        >>> statistics.result().parts["rows"].result().shape
        (4, 5)

    Args:
      needs: names from `PARTS`. "moments": moments of the features; "rows": the features; "logits": the logits; "score":
        score of the logits and shares of the classes; "queries": `n_queries` images with their features; "similarity":
        MS-SSIM of random pairs.
      total: number of images.
      splits: splits of the score. n_queries, n_rows: of which images "queries" and "rows" are, a random subset; None: all.
      similarity: (pairs, scales). seed: seed of the draws.
    """

    def __init__(
        self, needs: Sequence[str], total: int, *, splits: int = 1, n_queries: int | None = None, n_rows: int | None = None,
        similarity: tuple[int, int] = (100, 1), seed: int = 0,
    ):  # fmt: skip
        needs = tuple(needs)
        if unknown := sorted(set(needs) - set(PARTS)):
            raise ValueError(f"unknown statistics {', '.join(unknown)}; known are {', '.join(PARTS)}")
        super().__init__(
            needs=needs, total=total, splits=splits, n_queries=n_queries, n_rows=n_rows, similarity=tuple(similarity),
            seed=seed,
        )  # fmt: skip
        make: dict[str, Callable[[], dict]] = {
            "moments": lambda: {"moments": Moments()},
            "rows": lambda: {"rows": Rows()},
            "logits": lambda: {"logits": Rows()},
            "score": lambda: {"score": ClassifierScore(splits, total), "shares": ClassShares()},
            "queries": lambda: {"query_images": Rows(4), "query_features": Rows()},
            "similarity": lambda: {"similarity": MultiScaleSimilarity(pairs=similarity[0], scales=similarity[1], seed=seed)},
        }
        for need in needs:
            self.parts |= make[need]()
        self.seen = self.bad = 0
        count = total if n_queries is None else n_queries
        self._queries = draw(np.random.default_rng([seed, 3]), total, count) if "queries" in needs else np.empty(0, np.int64)
        self._rows = None if n_rows is None or n_rows >= total else draw(np.random.default_rng([seed, 9]), total, n_rows)

    def update(
        self, images: ArrayLike, ids: ArrayLike, features: ArrayLike | None = None, logits: ArrayLike | None = None
    ) -> Statistics:
        """Adds a batch of images [N, H, W, C] with their ids, and features and logits if they are needed.

        A batch with NaN or infinity is counted but not used.
        """
        ids = np.asarray(ids)
        self.seen += len(ids)
        if bad := count_bad(images):
            self.bad += bad
            return self
        parts = self.parts
        for name, values in (("moments", features), ("logits", logits), ("score", logits), ("shares", logits)):
            if name in parts:
                parts[name].update(values, ids)
        if "rows" in parts:
            kept = slice(None) if self._rows is None else np.isin(ids, self._rows)
            parts["rows"].update(np.asarray(features)[kept], ids[kept])
        if "similarity" in parts:
            parts["similarity"].update(images, ids)
        if "query_images" in parts:
            queries = np.isin(ids, self._queries)
            parts["query_images"].update(np.asarray(images)[queries], ids[queries])
            if features is not None:
                parts["query_features"].update(np.asarray(features)[queries], ids[queries])
        return self

    def merge(self, other: Statistics) -> Statistics:
        super().merge(other)
        self.seen, self.bad = self.seen + other.seen, self.bad + other.bad
        return self

    def result(self) -> Statistics:
        """Returns self; ValueError if the number of images is not `total`. See `check` for NaN and infinity."""
        if self.seen != self.settings["total"]:
            raise ValueError(f"the statistics need total={self.settings['total']} images; received {self.seen}")
        return self

    def check(self, name: str) -> Statistics:
        """Returns self; raises `NotFinite` if images hold NaN or infinity."""
        if self.bad:
            raise NotFinite(f"{name} must be finite; {self.bad} of {self.seen} images hold NaN or infinity")
        return self


def count_bad(images) -> int:
    """Number of images in [N, H, W, C] that hold NaN or infinity."""
    return int((~np.isfinite(images).all(axis=(1, 2, 3))).sum())


class NearestImages(Accumulator):
    """Distance in pixels from each query image [Q, H, W, C] to its nearest among images that come in batches.

    The distances are those of `nearest_images`; only one number per query is kept.

    Example:
        >>> images = np.zeros([3, 8, 8, 1])
        >>> tfgen.metrics.NearestImages(images).update(images + 0.5).update(images + 0.25).result().tolist()
        [2.0, 2.0, 2.0]
    """

    def __init__(self, queries: ArrayLike, max_shift: int = 0):
        queries = np.asarray(queries)
        super().__init__(queries=len(queries), max_shift=max_shift)
        self._images, self._best = queries, np.full(len(queries), np.inf)

    def update(self, images: ArrayLike, ids: ArrayLike | None = None) -> NearestImages:
        found = nearest_images(self._images, images, max_shift=self.settings["max_shift"])[1]
        self._best = np.minimum(self._best, found)
        return self

    def merge(self, other: NearestImages) -> NearestImages:
        super().merge(other)
        self._best = np.minimum(self._best, other._best)
        return self

    def result(self) -> np.ndarray:
        """float64 [Q]."""
        return self._best


class Walk:
    """Iterates over `count` images: a function of (first, last) that yields arguments of an accumulator's `update`.

    Example:
        >>> walk = tfgen.metrics.Walk(lambda first, last: np.zeros([last - first, 8, 8, 1]), count=10, batch=4)
        >>> [batch["ids"].tolist() for batch in walk((0, 10))]
        [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        >>> walk.shards(2)
        [(0, 4), (4, 10)]

    Args:
      images: function (first, last) -> float32 [last - first, H, W, C].
      count: number of images.
      extractor: computes features and logits of the images; None: neither.
      batch: number of images in a batch.

    It can be pickled if its arguments can.
    """

    def __init__(self, images: Callable[[int, int], np.ndarray], count: int, extractor: Any = None, batch: int = BATCH):
        self.images, self.count, self.extractor, self.batch = images, count, extractor, batch

    def shards(self, number: int) -> list[tuple[int, int]]:
        """At most `number` ranges of about equal size that cover all images and start at batches."""
        batches = math.ceil(self.count / self.batch)
        cuts = np.unique(np.linspace(0, batches, min(max(1, number), batches) + 1).astype(int)) * self.batch
        return [(int(a), int(min(b, self.count))) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]

    def __call__(self, bounds: tuple[int, int]) -> Iterator[dict]:
        first, last = bounds
        for start in range(first, last, self.batch):
            stop = min(start + self.batch, last)
            element = {"images": self.images(start, stop), "ids": np.arange(start, stop)}
            if self.extractor is not None and not count_bad(element["images"]):
                element["features"], element["logits"] = self.extractor.outputs(element["images"])
            yield element


class InProcess:
    """Runs walks in this process. `run(jobs)` returns the results of jobs (make, walk, what).

    make() is updated with all batches of the walk, `what` names it in the progress. Jobs do not depend on each other.

    Example:
        >>> images = tfgen.data.load("digits").take(10).images()
        >>> walk = tfgen.metrics.Walk(lambda first, last: images[first:last], count=10)
        >>> run = tfgen.metrics.InProcess()
        >>> (nearest,) = run([(lambda: tfgen.metrics.NearestImages(images[:2]), walk, "nearest images")])
        >>> nearest.tolist()
        [0.0, 0.0]

    Args:
      report, every: see `tfgen.progress.Progress`.
    """

    def __init__(self, report: Callable[[str], object] | None = None, every: float | None = None):
        self.report, self.every = report, every

    def __call__(self, jobs: Sequence[tuple[Callable[[], Accumulator], Walk, str]]) -> list:
        return [self.walked(*job) for job in jobs]

    def walked(self, make: Callable[[], Accumulator], walk: Walk, what: str) -> Any:
        """The result of one job."""
        accumulator: Any = make()  # the arguments of `update` are its own
        progress = Progress(what, walk.count, self.report, every=self.every)
        for element in walk((0, walk.count)):
            accumulator.update(**element)
            progress.add(len(element["ids"]))
        return accumulator.result()
