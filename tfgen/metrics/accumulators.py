"""Metrics over examples that come in batches and shards: update, merge, result.

An accumulator is a small object that pickles. `update` takes a batch and returns the accumulator, `merge` takes in
the accumulator of another shard, `result` gives what the plain function gives for all examples at once. Merging is
associative and commutative, so shards may be cut and combined in any way:

    shards = [FrechetDistance().update("real", r).update("fake", f) for r, f in ...]
    functools.reduce(FrechetDistance.merge, shards).result()

Three kinds of state carry every metric. `Moments` and `Sums` are of fixed size; they agree to rounding (about 1e-12
relative) whatever the shards. `Rows` keeps the examples themselves, for metrics that compare each with each; it puts
them in the order of their ids, so that the result is the same to the last bit.

Ids: non-negative integers that tell examples of one set apart, for instance their places in the data set. They decide
every random draw (subsets, patches, pairs), and an id that comes twice, as from a shard that ran twice, is an error.
Left out, they count on from 0 in the order of the updates; that is right for one accumulator and fails when two merge.
"""

from __future__ import annotations

import inspect

import numpy as np

from tfgen.metrics._checks import activations, chunks, finite, generator


class Accumulator:
    """Base: named `parts` that are merged one by one, and `settings` that must be equal for it."""

    def __init__(self, **settings):
        self.settings, self.parts = settings, {}

    def merge(self, other: Accumulator):
        """Takes in the examples of `other`, which stays as it is. ValueError if it was made with other arguments."""
        if type(other) is not type(self) or other.settings != self.settings:
            raise ValueError(f"only accumulators of one kind and with equal arguments merge; received {self} and {other}")
        for name, part in self.parts.items():
            part.merge(other.parts[name])
        return self

    def result(self):
        raise NotImplementedError

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.settings.items())})"


class Moments(Accumulator):
    """Mean and covariance of activations [N, F] in float64, by pairwise updates that do not cancel.

    Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979):
        M = M_a + M_b + (m_b - m_a)(m_b - m_a)^T n_a n_b / (n_a + n_b),  M the sum of centred outer products.

    Attributes:
      count: examples seen; mean: float64 [F]; scatter: float64 [F, F], the matrix M. Both None while count is 0.
    """

    def __init__(self):
        super().__init__()
        self.count, self.mean, self.scatter = 0, None, None

    def update(self, rows, ids=None):
        """Adds rows [N, F], N >= 0; `ids` are not needed and not read. One update costs O((N + 1) F^2)."""
        rows = activations(rows, "rows", min_rows=0, cast=False)
        for part in chunks(*rows.shape):
            block = rows[part].astype(np.float64)
            mean = block.mean(axis=0)
            block -= mean
            self._add(len(block), mean, block.T @ block)
        return self

    def merge(self, other):
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
    """Arrays that add up, by name, in `totals`; empty before the first update."""

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
            raise ValueError("there is no result of no examples; update() has not received any")
        return dict(self.totals)


class Rows(Accumulator):
    """The examples themselves, each under its id; float32 stays float32, any other type becomes float64.

    Args:
      rank: of the batches, the first axis counting examples: 2 for activations, 4 for images.
      limit: keep this many examples only, those of the smallest random number of (seed, id). Any way of sharding
        keeps the same ones, a uniform draw without replacement, in bounded memory.
      seed: of that draw.
    """

    def __init__(self, rank: int = 2, limit: int | None = None, seed: int = 0):
        super().__init__(rank=rank, limit=limit, seed=seed)
        self._chunks: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # ids, order keys, rows
        self._seen = 0

    def update(self, rows, ids=None):
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
            # a copy, as the caller may use its buffer again
            rows = np.array(rows, dtype=np.float32 if rows.dtype == np.float32 else np.float64)
            keys = ids if settings["limit"] is None else np.array([generator(settings["seed"], i).random() for i in ids])
            self._chunks.append((ids, keys, rows))
            self._shrink()
        return self

    def merge(self, other):
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
            raise ValueError("there is no result of no examples; update() has not received any")
        ids, keys, rows = (np.concatenate(column) for column in zip(*self._chunks, strict=True))
        order = np.lexsort((ids, keys))[: self.settings["limit"]]
        return ids[order], keys[order], rows[order]

    def _shrink(self):
        limit = self.settings["limit"]
        if limit is not None and sum(len(ids) for ids, _, _ in self._chunks) > 2 * limit:
            self._chunks = [self._sorted()]

    def __len__(self):
        """Examples received, kept or not."""
        return self._seen

    def result(self) -> np.ndarray:
        """All rows in the order of their ids; with `limit` those drawn, in random order. ValueError for none, or an id
        that came twice."""
        ids, _, rows = self._sorted()
        unique, counts = np.unique(ids, return_counts=True)
        if len(unique) < len(ids):
            raise ValueError(
                f"every example must come once; id {unique[counts > 1][0]} came {counts.max()} times. "
                "Give each shard its own ids, and take each shard once"
            )
        return rows


class OneSet(Accumulator):
    """A function of one set of rows, streamed. A subclass names the `function` and the `rank` of its rows."""

    function, rank = None, 2

    def __init__(self, **settings):
        inspect.signature(self.function).bind(None, **settings)  # a wrong name fails now, not after the last shard
        super().__init__(**settings)
        self.parts = {"rows": Rows(self.rank)}

    def update(self, rows, ids=None):
        """Adds a batch of rows; `ids`: see the module."""
        self.parts["rows"].update(rows, ids)
        return self

    def result(self):
        """The function of all rows."""
        return self.function(self.parts["rows"].result(), **self.settings)


class TwoSets(Accumulator):
    """A function of real and fake rows, streamed. A subclass names the `function` and the order of its two `sides`."""

    function, sides, rank = None, ("real", "fake"), 2

    def __init__(self, **settings):
        inspect.signature(self.function).bind(None, None, **settings)
        super().__init__(**settings)
        self.parts = {side: self._part(side) for side in self.sides}

    def _part(self, side):
        return Rows(self.rank)

    def update(self, side: str, rows, ids=None):
        """Adds a batch to the side "real" or "fake"; `ids`: see the module."""
        if side not in self.parts:
            raise ValueError(f"side must be one of {', '.join(self.parts)}; received {side!r}")
        self.parts[side].update(rows, ids)
        return self

    def result(self):
        """The function of all rows of both sides."""
        return self.function(*(self.parts[side].result() for side in self.sides), **self.settings)


def checked_ids(ids, count: int) -> np.ndarray:
    """`ids` as int64 [count], all >= 0; ValueError otherwise."""
    ids = np.asarray(ids)
    if ids.shape != (count,) or (count and (ids.dtype.kind not in "iu" or ids.min() < 0)):
        raise ValueError(
            f"ids must be {count} non-negative integers, one per row; received shape {ids.shape}, dtype {ids.dtype}"
        )
    return ids.astype(np.int64)
