"""Whole numbers to bits and back: integer tables, and a range coder that uses them.

A table gives each symbol a frequency out of 2^16. Compression and decompression must use the same frequencies: nothing
behind the first difference can be decompressed. So tables are computed once, as integers, and are stored.

A table holds the values from `low` on and, as its last symbol, an escape for all other values. Escaped values follow behind
the other symbols of the segment in Elias' gamma code: n zeros, a one and the n low bits of a number from 2^n to 2^(n+1) - 1.
"""

import dataclasses
import math

import numpy as np

PRECISION = 16  # bits of a frequency
TAIL_MASS = 2.0**-8  # probability of the values that a table does not hold, and that are escaped
LARGEST = 2**20  # largest absolute value of a latent
_MAX_VALUES = 4095  # of a table
_EXPONENTS = 22  # the numbers of escapes are below 2^22


@dataclasses.dataclass(frozen=True)
class Tables:
    """Frequency tables.

    Attributes:
        low: int32 [T], the first value of each table.
        counts: int32 [T, S]; each row sums to 2^16. Rows are padded with zeros; the last entry that is not zero is the
            escape.
    """

    low: np.ndarray
    counts: np.ndarray

    def __post_init__(self):
        low, counts = self.low, self.counts
        if low.dtype != np.int32 or counts.dtype != np.int32 or counts.ndim != 2 or low.shape != counts.shape[:1]:
            raise ValueError(
                f"low must be int32 [T] and counts int32 [T, S]; received {low.dtype} {low.shape} and "
                f"{counts.dtype} {counts.shape}."
            )
        sizes = self.sizes
        inside = np.arange(counts.shape[1]) < sizes[:, None]
        if np.any(sizes < 2) or np.any(counts.sum(axis=1) != 2**PRECISION) or np.any((counts > 0) != inside):
            raise ValueError(f"Each table needs two or more positive frequencies with a sum of {2**PRECISION}, then zeros.")

    @classmethod
    def of(cls, arrays, name):
        """The tables of the arrays of `tables.arrays(name)`."""
        return cls(arrays[f"{name}_low"], arrays[f"{name}_counts"])

    def arrays(self, name):
        """{name of an array: array}, for storing."""
        return {f"{name}_low": self.low, f"{name}_counts": self.counts}

    @property
    def sizes(self):
        """int [T]: number of symbols of each table, the escape included."""
        return np.count_nonzero(self.counts, axis=1)

    @property
    def least_bits(self):
        """float [T]: bits of the most probable symbol of each table."""
        return PRECISION - np.log2(self.counts.max(axis=1))

    def bits(self, values, index):
        """float [n]: ideal code length of each value in bits, of an escaped value with its gamma code."""
        symbols, escaped = self._symbols(values, index)
        exponents = np.frexp(_number(values, index, escaped, self))[1] - 1
        bits = PRECISION - np.log2(self.counts[index, symbols])
        bits[escaped] += 2 * exponents + 1
        return bits

    def _symbols(self, values, index):
        """(symbol of each value, whether it is the escape)."""
        escape = self.sizes[index] - 1
        symbols = values.astype(np.int64) - self.low[index]
        escaped = (symbols < 0) | (symbols >= escape)
        return np.where(escaped, escape, symbols).astype(np.int32), escaped


def frequencies(pmf):
    """Frequencies of at least 1 with a sum of 2^16 for symbols distributed as `pmf`: int32 [S] of float [S].

    Probabilities are rounded to frequencies. Single frequencies are then raised or lowered by 1, always the one whose change
    gives the shortest expected code, until the sum is right.

    Raises:
        ValueError: not a distribution over 2 to 2^15 symbols.
    """
    pmf = np.asarray(pmf, np.float64)
    fits = pmf.ndim == 1 and 2 <= pmf.size <= 2 ** (PRECISION - 1)
    if not (fits and np.all(pmf >= 0) and np.isclose(pmf.sum(), 1, atol=1e-3)):
        raise ValueError(f"pmf must be 2 to {2 ** (PRECISION - 1)} probabilities with a sum of 1; received {pmf}.")
    counts = np.maximum(1, np.round(pmf * 2**PRECISION)).astype(np.int64)
    while (excess := counts.sum() - 2**PRECISION) != 0:
        step = -int(np.sign(excess))
        with np.errstate(divide="ignore"):
            cost = np.where(counts + step > 0, pmf * np.log2(counts / np.maximum(counts + step, 0.5)), np.inf)
        cost[counts + step < 1] = np.inf
        counts[np.argmin(cost)] += step
    return counts.astype(np.int32)


def make_tables(low, pmfs):
    """`Tables` of distributions.

    Args:
        low: int [T], the first value of each table.
        pmfs: for each table the probabilities of its values, from the first one on. The escape gets the rest to a sum of 1.
    """
    rows = [frequencies(np.append(pmf, max(0.0, 1.0 - np.sum(pmf, dtype=np.float64)))) for pmf in pmfs]
    counts = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for row, found in zip(counts, rows, strict=True):
        row[: len(found)] = found
    return Tables(np.asarray(low, np.int32), counts)


def factorized_tables(prior):
    """Tables of the channels of a `tfgen.distributions.DeepFactorized`, [C]."""
    tail = np.log(TAIL_MASS / 2) - np.log1p(-TAIL_MASS / 2)  # the logit of the lower tail
    edges = np.full((2, prior.channels), [[tail], [-tail]], np.float32)
    low, high = (np.rint(edge).astype(np.int32) for edge in prior.quantile(edges).numpy())
    middle = (low + high) // 2
    low, high = np.maximum(low, middle - _MAX_VALUES // 2), np.minimum(high, middle + _MAX_VALUES // 2)
    values = low + np.arange((high - low).max() + 1, dtype=np.int32)[:, None]  # [values, C]
    mass = np.exp(prior.log_prob(values.astype(np.float32)).numpy().astype(np.float64))
    return make_tables(low, [mass[: size + 1, c] for c, size in enumerate(high - low)])


def normal_tables(scales):
    """Tables of N(0, scale^2) plus uniform noise, for `scales` [T]."""
    from scipy.special import ndtr, ndtri

    reach = np.maximum(1, np.ceil(-ndtri(TAIL_MASS / 2) * scales - 0.5).astype(np.int32))
    edges = [np.arange(-k, k + 2) - 0.5 for k in reach]
    return make_tables(-reach, [np.diff(ndtr(e / scale)) for e, scale in zip(edges, scales, strict=True)])


# ---- segments


def compress(tables, values, index):
    """The bytes of one segment of a file.

    Args:
        tables: `Tables`.
        values: int32 [n] within +- `LARGEST`.
        index: int [n] in [0, T): the table of each value.
    """
    coder = _constriction().queue.RangeEncoder()
    symbols, escaped = tables._symbols(values, index)
    for table, rows in _by_table(index):
        coder.encode(symbols[rows], _model(tables, table))
    # The escapes: the exponents of all, then their low bits, those with the same number of bits together.
    numbers = _number(values, index, escaped, tables)
    exponents = np.frexp(numbers)[1] - 1
    if len(numbers):
        coder.encode(exponents.astype(np.int32), _exponent_model())
    for n, rows in _by_table(exponents):
        if n > 0:
            coder.encode((numbers[rows] - 2**n).astype(np.int32), _constriction().model.Uniform(2**n))
    return coder.get_compressed().astype("<u4").tobytes()


def decompress(tables, data, index):
    """int32 [n], the values of `compress(tables, values, index)`.

    Raises:
        ValueError: the bytes are not such a segment. An altered segment may also give other values without an error:
            store segments with a checksum.
    """
    _check_room(data, tables.least_bits[index].sum(), len(index))
    try:
        return _decompress(tables, _constriction().queue.RangeDecoder(np.frombuffer(data, "<u4").astype(np.uint32)), index)
    except AssertionError as error:  # `compress` writes no such bytes
        raise ValueError("damaged: the bytes are no segment of these tables") from error


def _decompress(tables, coder, index):
    symbols = np.zeros(len(index), np.int32)
    for table, rows in _by_table(index):
        symbols[rows] = coder.decode(_model(tables, table), len(rows))
    values = symbols + tables.low[index]
    escapes = np.flatnonzero(symbols == tables.sizes[index] - 1)
    if len(escapes):
        exponents = coder.decode(_exponent_model(), len(escapes))
        numbers = 2**exponents
        for n, rows in _by_table(exponents):
            if n > 0:
                numbers[rows] += coder.decode(_constriction().model.Uniform(2**n), len(rows))
        beyond, below = (numbers - 1) // 2, (numbers - 1) % 2 == 1
        low, high = tables.low[index[escapes]], tables.low[index[escapes]] + tables.sizes[index[escapes]] - 2
        values[escapes] = np.where(below, low - 1 - beyond, high + 1 + beyond)
    if not coder.maybe_exhausted():
        raise ValueError("bytes are left over behind the latents")
    return values


def compress_channels(tables, latents):
    """The bytes of latents int32 [h, w, C], with one table for each channel."""
    return compress(tables, latents.reshape(-1), _channels(latents.shape))


def decompress_channels(tables, data, height, width):
    """int32 [height, width, C] of a segment of `compress_channels`. Raises ValueError as `decompress`."""
    shape = (height, width, len(tables.low))
    # Checked before allocating memory for the size stated in a file.
    _check_room(data, height * width * tables.least_bits.sum(), math.prod(shape))
    return decompress(tables, data, _channels(shape)).reshape(shape)


def _channels(shape):
    return np.tile(np.arange(shape[2]), shape[0] * shape[1])


def _check_room(data, least_bits, number):
    """Raises ValueError if even the shortest codes of `number` latents need more bytes than `data` has."""
    if len(data) % 4 or 0.99 * least_bits > 8 * len(data) + 32:
        raise ValueError(f"{len(data)} bytes cannot hold {number} latents")


def _number(values, index, escaped, tables):
    """Escaped values as numbers 1, 2, ...: alternately above and below the values of their table."""
    values, low = values[escaped].astype(np.int64), tables.low[index[escaped]]
    high = low + tables.sizes[index[escaped]] - 2
    return np.where(values < low, 2 * (low - 1 - values) + 2, 2 * (values - high - 1) + 1)


def _by_table(index):
    """(table, positions at which it is used), in the order of the tables."""
    order = np.argsort(index, kind="stable")
    tables, starts = np.unique(index[order], return_index=True)
    return zip(tables.tolist(), np.split(order, starts[1:]), strict=True) if len(order) else ()


def _model(tables, table):
    # Frequencies over 2^16 and their sums are exact as floats, so every machine gets the same model.
    probabilities = tables.counts[table, : tables.sizes[table]] / 2.0**PRECISION
    return _constriction().model.Categorical(probabilities, perfect=False)


def _exponent_model():
    """Distribution of the exponent n of an escape: probability 2^-(n+1)."""
    return _constriction().model.Categorical(2.0 ** -np.arange(1, _EXPONENTS + 1), perfect=False)


def _constriction():
    """The module of range coders."""
    try:
        from constriction import stream
    except ImportError as error:
        raise ImportError(
            "Files of learned compression need the range coder `constriction`: install tfgen[compression]."
        ) from error
    return stream
