"""Metrics over examples that come in batches and shards: update, merge, result.

An accumulator is a small object that can be pickled. `update` adds a batch and returns the accumulator, `merge` adds
the accumulator of another shard, `result` returns the value of the plain function on all examples. Merging is
associative and commutative, so examples may be split into shards and combined in any way:

    shards = [FrechetDistance().update("real", r).update("fake", f) for r, f in ...]
    functools.reduce(FrechetDistance.merge, shards).result()

Every metric keeps its state in one of three ways. `Moments` and `Sums` have a fixed size; different shards give the
same result up to rounding (about 1e-12 relative). `Rows` keeps all examples, for metrics that compare every pair; it
sorts them by id, so that the result does not depend on the shards at all.

Ids are non-negative integers, unique within a set, for instance positions in the data set. They determine
every random draw (subsets, patches, pairs). An id that occurs twice, for example because a shard ran twice, is an error.
Without ids, examples are numbered from 0 in the order of the updates; this works for one accumulator, but merging two
such accumulators fails.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfgen.metrics._checks import activations, chunks, finite, generator


class Accumulator:
    """Base class: named `parts`, which are merged one by one, and `settings`, which must be equal to merge.

    Example:
        >>> class Count(tfgen.metrics.Accumulator):
        ...     seen = 0
        ...     def update(self, rows):
        ...         self.seen += len(rows)
        ...         return self
        ...     def result(self):
        ...         return self.seen
        >>> Count().update([1, 2, 3]).update([4]).result()
        4
    """

    def __init__(self, **settings):
        self.settings, self.parts = settings, {}

    def merge(self, other: Accumulator) -> Accumulator:
        """Adds the examples of `other`, which is not changed. ValueError if `other` was made with different arguments."""
        if type(other) is not type(self) or other.settings != self.settings:
            raise ValueError(
                f"only accumulators of the same class and with equal arguments can be merged; received {self} and {other}"
            )
        for name, part in self.parts.items():
            part.merge(other.parts[name])
        return self

    def result(self) -> object:
        raise NotImplementedError

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.settings.items())})"


class Moments(Accumulator):
    """Mean and covariance of activations [N, F] in float64, by pairwise updates, which avoid cancellation.

    Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979):
        M = M_a + M_b + (m_b - m_a)(m_b - m_a)^T n_a n_b / (n_a + n_b),  where M is the sum of centred outer products.

    Example:
        >>> moments = tfgen.metrics.Moments().update([[1.0, 0.0]]).update([[3.0, 0.0]])
        >>> mean, covariance = moments.result()
        >>> mean.tolist(), covariance.tolist()
        ([2.0, 0.0], [[2.0, 0.0], [0.0, 0.0]])

    Attributes:
      count: number of examples; mean: float64 [F]; scatter: float64 [F, F], the matrix M. Both are None while count is 0.
    """

    def __init__(self):
        super().__init__()
        self.count = 0
        self.mean: Any = None
        self.scatter: Any = None

    def update(self, rows: ArrayLike, ids: ArrayLike | None = None) -> Moments:
        """Adds rows [N, F], N >= 0; `ids` are ignored. One update costs O((N + 1) F^2)."""
        rows = activations(rows, "rows", min_rows=0, cast=False)
        for part in chunks(*rows.shape):
            block = rows[part].astype(np.float64)
            mean = block.mean(axis=0)
            block -= mean
            self._add(len(block), mean, block.T @ block)
        return self

    def merge(self, other: Moments) -> Moments:
        super().merge(other)
        if other.count:
            self._add(other.count, other.mean, other.scatter)
        return self

    def _add(self, count, mean, scatter):
        if not self.count:
            self.count, self.mean, self.scatter = count, mean.copy(), scatter.copy()
            return
        if mean.shape != self.mean.shape:
            raise ValueError(f"all rows must have the same number of features; received {len(self.mean)} and {len(mean)}")
        total, difference = self.count + count, mean - self.mean
        self.scatter += scatter
        self.scatter += np.outer(difference, difference * (self.count * count / total))
        self.mean += difference * (count / total)
        self.count = total

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """(mean [F], covariance [F, F], divided by N - 1). ValueError for fewer than 2 examples."""
        if self.count < 2:
            raise ValueError(f"moments need at least 2 examples; received {self.count}")
        return self.mean.copy(), self.scatter / (self.count - 1)


class Sums(Accumulator):
    """Sums of named arrays, in `totals`; empty before the first update."""

    def __init__(self):
        super().__init__()
        self.totals: dict[str, np.ndarray] = {}

    def update(self, **arrays):
        for name, array in arrays.items():
            array = np.asarray(array)
            before = self.totals.get(name, np.zeros_like(array))
            if before.shape != array.shape:
                raise ValueError(f"all updates must have the same classes; received {name} {before.shape} and {array.shape}")
            self.totals[name] = before + array
        return self

    def merge(self, other):
        super().merge(other)
        return self.update(**other.totals)

    def result(self) -> dict[str, np.ndarray]:
        """The totals. ValueError before the first example."""
        if not self.totals:
            raise ValueError("result() needs at least 1 example; update() has received none")
        return dict(self.totals)


class Rows(Accumulator):
    """Keeps the examples with their ids; float32 stays float32, any other type becomes float64.

    Example:
        >>> rows, others = tfgen.metrics.Rows(), tfgen.metrics.Rows()
        >>> rows = rows.update([[5.0], [6.0]], ids=[1, 2]).merge(others.update([[4.0]], ids=[0]))
        >>> rows.result().tolist()  # in the order of the ids
        [[4.0], [5.0], [6.0]]

    Args:
      rank: rank of the batches: 2 for activations [N, F], 4 for images [N, H, W, C].
      limit: keep only this many examples, a uniform draw without replacement. Each example gets a random number from
        (seed, id), and those with the smallest numbers are kept, so the draw does not depend on the shards.
      seed: seed of the draw.
    """

    def __init__(self, rank: int = 2, limit: int | None = None, seed: int = 0):
        super().__init__(rank=rank, limit=limit, seed=seed)
        self._chunks: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # ids, order keys, rows
        self._seen = 0

    def update(self, rows: ArrayLike, ids: ArrayLike | None = None) -> Rows:
        """Adds rows [N, ...] with ids int [N] >= 0; N = 0 adds nothing."""
        rows, settings = finite(rows, "rows"), self.settings
        if rows.ndim != settings["rank"]:
            raise ValueError(f"rows must have rank {settings['rank']}; received shape {rows.shape}")
        ids = checked_ids(np.arange(self._seen, self._seen + len(rows)) if ids is None else ids, len(rows))
        if self._chunks and rows.shape[1:] != self._chunks[0][2].shape[1:]:
            kept = self._chunks[0][2].shape[1:]
            raise ValueError(f"all rows must have the same shape; received {kept} and {rows.shape[1:]}")
        self._seen += len(rows)
        if len(rows):
            # a copy, because the caller may reuse its buffer
            rows = np.array(rows, dtype=np.float32 if rows.dtype == np.float32 else np.float64)
            keys = ids if settings["limit"] is None else np.array([generator(settings["seed"], i).random() for i in ids])
            self._chunks.append((ids, keys, rows))
            self._shrink()
        return self

    def merge(self, other: Rows) -> Rows:
        super().merge(other)
        if self._chunks and other._chunks and self._chunks[0][2].shape[1:] != other._chunks[0][2].shape[1:]:
            shapes = [accumulator._chunks[0][2].shape[1:] for accumulator in (self, other)]
            raise ValueError(f"all rows must have the same shape; received {shapes[0]} and {shapes[1]}")
        self._chunks = self._chunks + other._chunks
        self._seen += other._seen
        self._shrink()
        return self

    def _sorted(self):
        if not self._chunks:
            raise ValueError("result() needs at least 1 example; update() has received none")
        ids, keys, rows = (np.concatenate(column) for column in zip(*self._chunks, strict=True))
        order = np.lexsort((ids, keys))[: self.settings["limit"]]
        return ids[order], keys[order], rows[order]

    def _shrink(self):
        limit = self.settings["limit"]
        if limit is not None and sum(len(ids) for ids, _, _ in self._chunks) > 2 * limit:
            self._chunks = [self._sorted()]

    def __len__(self):
        """Number of examples received, whether kept or not."""
        return self._seen

    def result(self) -> np.ndarray:
        """All rows, sorted by id; with `limit`, the drawn rows in random order. ValueError without rows or with a
        repeated id."""
        ids, _, rows = self._sorted()
        unique, counts = np.unique(ids, return_counts=True)
        if len(unique) < len(ids):
            raise ValueError(
                f"each id must occur once; id {unique[counts > 1][0]} occurs {counts.max()} times. "
                "Give each shard its own ids, and merge each shard once"
            )
        return rows


class OneSet(Accumulator):
    """A function of one set of rows that arrives in batches. A subclass sets `function` and the `rank` of the rows."""

    function: Callable[..., Any]
    rank = 2

    def __init__(self, **settings):
        inspect.signature(self.function).bind(None, **settings)  # raises for a wrong name now, not after all shards
        super().__init__(**settings)
        self.parts = {"rows": Rows(self.rank)}

    def update(self, rows, ids=None):
        """Adds a batch of rows; `ids`: see the module docstring."""
        self.parts["rows"].update(rows, ids)
        return self

    def result(self):
        """The value of `function` on all rows."""
        return self.function(self.parts["rows"].result(), **self.settings)


class TwoSets(Accumulator):
    """A function of real and fake rows that arrive in batches. A subclass sets `function` and the order of `sides`."""

    function: Callable[..., Any]
    sides, rank = ("real", "fake"), 2

    def __init__(self, **settings):
        inspect.signature(self.function).bind(None, None, **settings)
        super().__init__(**settings)
        self.parts = {side: self._part(side) for side in self.sides}

    def _part(self, side):
        return Rows(self.rank)

    def update(self, side: str, rows, ids=None):
        """Adds a batch to the side "real" or "fake"; `ids`: see the module docstring."""
        if side not in self.parts:
            raise ValueError(f"side must be one of {', '.join(self.parts)}; received {side!r}")
        self.parts[side].update(rows, ids)
        return self

    def result(self):
        """The value of `function` on all rows of both sides."""
        return self.function(*(self.parts[side].result() for side in self.sides), **self.settings)


def checked_ids(ids, count: int) -> np.ndarray:
    """`ids` as int64 [count], all >= 0; ValueError otherwise."""
    ids = np.asarray(ids)
    if ids.shape != (count,) or (count and (ids.dtype.kind not in "iu" or ids.min() < 0)):
        raise ValueError(
            f"ids must be {count} non-negative integers, one per row; received shape {ids.shape}, dtype {ids.dtype}"
        )
    return ids.astype(np.int64)
