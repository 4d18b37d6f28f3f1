"""What the metrics need to know of one set of images, gathered on one walk over it, in one process or in many."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tfgen.metrics.accumulators import Accumulator, Moments, Rows
from tfgen.metrics.neighbours import nearest_images
from tfgen.metrics.score import ClassifierScore, ClassShares
from tfgen.metrics.similarity import MultiScaleSimilarity

# Images pass generators and extractors in batches that start at multiples of this, however the work is cut: a network's
# float32 outputs depend on the size of the batch by rounding, the metrics must not depend on the number of shards.
BATCH = 256
PARTS = ("moments", "rows", "score", "queries", "similarity")


class NotFinite(ValueError):
    """Images hold NaN or infinity: they have no metrics."""


def draw(rng: np.random.Generator, total: int, count: int) -> np.ndarray:
    """`count` of `total` indices without replacement, in stored order; all if `count` is not smaller."""
    return np.arange(total) if count >= total else np.sort(rng.choice(total, count, replace=False))


class Statistics(Accumulator):
    """Statistics of `total` images, known by their places 0 ... total - 1; its `parts` are what was asked for.

    Args:
      needs: of `PARTS`. "moments" of the features; "rows": the features; "score": of the logits, with the shares of the
        classes; "queries": `n_queries` images with their features; "similarity" of pairs of images.
      total: number of images.
      splits: of the score. n_queries: how many; None: all. similarity: (pairs, scales). seed: of the draws.
    """

    def __init__(
        self, needs, total: int, *, splits: int = 1, n_queries: int | None = None, similarity=(100, 1), seed: int = 0
    ):
        needs = tuple(needs)
        if unknown := sorted(set(needs) - set(PARTS)):
            raise ValueError(f"unknown statistics {', '.join(unknown)}; known are {', '.join(PARTS)}")
        super().__init__(
            needs=needs, total=total, splits=splits, n_queries=n_queries, similarity=tuple(similarity), seed=seed
        )
        make = {
            "moments": lambda: {"moments": Moments()},
            "rows": lambda: {"rows": Rows()},
            "score": lambda: {"score": ClassifierScore(splits, total), "shares": ClassShares()},
            "queries": lambda: {"query_images": Rows(4), "query_features": Rows()},
            "similarity": lambda: {"similarity": MultiScaleSimilarity(pairs=similarity[0], scales=similarity[1], seed=seed)},
        }
        for need in needs:
            self.parts |= make[need]()
        self.seen = self.bad = 0
        count = total if n_queries is None else n_queries
        self._queries = draw(np.random.default_rng([seed, 3]), total, count) if "queries" in needs else np.empty(0, np.int64)

    def update(self, images, ids, features=None, logits=None):
        """Adds a batch of images [N, H, W, C] with their places, and features and logits where these are needed.

        A batch with NaN or infinity in it is counted, and used for nothing.
        """
        ids = np.asarray(ids)
        self.seen += len(ids)
        if bad := count_bad(images):
            self.bad += bad
            return self
        parts = self.parts
        for name, values in (("moments", features), ("rows", features), ("score", logits), ("shares", logits)):
            if name in parts:
                parts[name].update(values, ids)
        if "similarity" in parts:
            parts["similarity"].update(images, ids)
        if "query_images" in parts:
            asked = np.isin(ids, self._queries)
            parts["query_images"].update(np.asarray(images)[asked], ids[asked])
            if features is not None:
                parts["query_features"].update(features[asked], ids[asked])
        return self

    def merge(self, other):
        super().merge(other)
        self.seen, self.bad = self.seen + other.seen, self.bad + other.bad
        return self

    def result(self) -> Statistics:
        """Itself, whole: `NotFinite` if images were bad, ValueError if not `total` of them came."""
        if self.seen != self.settings["total"]:
            raise ValueError(f"statistics of {self.settings['total']} images; received {self.seen}")
        return self

    def check(self, name: str) -> Statistics:
        """Itself; raises `NotFinite` where images hold NaN or infinity."""
        if self.bad:
            raise NotFinite(f"{name} must be finite; {self.bad} of {self.seen} images hold NaN or infinity")
        return self


def count_bad(images) -> int:
    """How many images [N, H, W, C] hold NaN or infinity."""
    return int((~np.isfinite(images).all(axis=(1, 2, 3))).sum())


class NearestImages(Accumulator):
    """Distance in pixels from each query image [Q, H, W, C] to its nearest among images that come in batches.

    See `nearest_images`, of which the distances are the second result; nothing is kept but one number a query.
    """

    def __init__(self, queries, max_shift: int = 0):
        super().__init__(queries=len(queries), max_shift=max_shift)
        self._images, self._best = queries, np.full(len(queries), np.inf)

    def update(self, images, ids=None):
        found = nearest_images(self._images, images, max_shift=self.settings["max_shift"])[1]
        self._best = np.minimum(self._best, found)
        return self

    def merge(self, other):
        super().merge(other)
        self._best = np.minimum(self._best, other._best)
        return self

    def result(self) -> np.ndarray:
        """float64 [Q]."""
        return self._best


class Walk:
    """One walk over `count` images: a function of (first, last) that yields the arguments of an accumulator's `update`.

    Args:
      images: function (first, last) -> float32 [last - first, H, W, C].
      count: number of images.
      extractor: makes features and logits of them; None: neither.
      batch: images at a time.

    It pickles if its arguments do.
    """

    def __init__(self, images: Callable[[int, int], np.ndarray], count: int, extractor: Any = None, batch: int = BATCH):
        self.images, self.count, self.extractor, self.batch = images, count, extractor, batch

    def shards(self, number: int) -> list[tuple[int, int]]:
        """At most `number` ranges of about equal size that cover all images, cut where batches begin."""
        batches = math.ceil(self.count / self.batch)
        cuts = np.unique(np.linspace(0, batches, min(max(1, number), batches) + 1).astype(int)) * self.batch
        return [(int(a), int(min(b, self.count))) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]

    def __call__(self, bounds):
        first, last = bounds
        for start in range(first, last, self.batch):
            stop = min(start + self.batch, last)
            element = {"images": self.images(start, stop), "ids": np.arange(start, stop)}
            if self.extractor is not None and not count_bad(element["images"]):
                element["features"], element["logits"] = self.extractor.outputs(element["images"])
            yield element


class InProcess:
    """Runs walks here, one after the other: `run(make, walk, what) -> make()` of all batches, its result.

    Args:
      report: function of a line of text about walks that take long, or None.
      every: seconds between two lines.
    """

    def __init__(self, report: Callable[[str], None] | None = None, every: float = 10.0):
        self.report, self.every = report, every

    def __call__(self, make, walk: Walk, what: str):
        accumulator, started = make(), time.monotonic()
        said = started
        for element in walk((0, walk.count)):
            accumulator.update(**element)
            now, done = time.monotonic(), int(element["ids"][-1]) + 1
            if self.report and now - said >= self.every:
                left = (walk.count - done) * (now - started) / done
                self.report(f"{what}: {done} of {walk.count} images, about {left:.0f} s to go")
                said = now
        return accumulator.result()
