"""The protocol of an evaluation, stored with its numbers. Comparing numbers of different protocols raises an error."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from typing import Any

_WEIGHTS = ("ema", "raw", "real", "files")
_BATCH_NORM = ("moving", "batch", "standing", "none")
# Identifies the evaluated model, not the protocol: results of different generators may be compared.
_MODEL_FIELDS = frozenset(["generator_hash"])


class ProtocolMismatch(ValueError):
    """Two results with different protocols were compared; the message names the fields that differ.

    Example:
        >>> settings = {"data": "a", "data_fingerprint": "0", "split": "b", "features": "c", "features_hash": "0", "seed": 0}
        >>> ema, raw = (
        ...     tfgen.metrics.Result({"fid": 1.0}, tfgen.metrics.Protocol(**settings, n_real=9, n_fake=9, weights=weights))
        ...     for weights in ("ema", "raw"))
        >>> try:
        ...     ema.difference(raw)
        ... except tfgen.metrics.ProtocolMismatch as error:
        ...     print("weights" in str(error))
        True
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """All settings that determine a metric's value, except the evaluated images.

    Example:
        >>> settings = {"data": "digits", "data_fingerprint": "0", "split": "train", "n_real": 9, "features": "inception"}
        >>> protocol = tfgen.metrics.Protocol(**settings, n_fake=9, features_hash="0", seed=0, weights="ema")
        >>> other = tfgen.metrics.Protocol(**settings, n_fake=500, features_hash="0", seed=0, weights="ema")
        >>> protocol.differences(other)
        {'n_fake': (9, 500)}

    Attributes:
      data, data_fingerprint, split: name, content hash and split of the reference (real) images.
      train_fingerprint, test_fingerprint: content hashes of the two sets used for nearest-neighbour ratios.
      n_real, n_fake: number of reference and of evaluated images.
      features, features_hash: the feature extractor's description and the sha256 of its weights.
      seed: seed of all random choices of the evaluation.
      weights: weights of the generator, "ema" or "raw"; "real" if the evaluated images are real, "files" if they were
        read from files.
      batch_norm: batch norm statistics used for sampling, "moving", "batch" or "standing" (see
        `AdversarialModel.sample`); "none" without batch norm.
      resize: resize rule of the data set's images, e.g. "center_crop to 64x64"; None if they were not
        resized. The extractor's own resize rule is part of `features`.
      truncation: factor or bound of the latents, or None.
      generator_hash: sha256 of the generator's weights, if known. Comparable results may differ in this field only.
      k: number of the neighbour that sets the radii in precision, recall, density and coverage.
      score_splits, kid_subsets, kid_subset_size: arguments of the classifier score and of the kernel distance.
      n_nearest, n_nearest_train, max_shift: number of queries and of training images in the neighbour search, and pixel
        shifts tried.
      extra: further (name, value) pairs, e.g. truncation; a mapping is accepted and stored sorted by name.
    """

    data: str
    data_fingerprint: str
    split: str
    n_real: int
    n_fake: int
    features: str
    features_hash: str
    seed: int
    weights: str
    batch_norm: str = "moving"
    resize: str | None = None
    truncation: float | None = None
    generator_hash: str | None = None
    train_fingerprint: str | None = None
    test_fingerprint: str | None = None
    k: int = 5
    score_splits: int = 1
    kid_subsets: int | None = None
    kid_subset_size: int | None = None
    n_nearest: int | None = None
    n_nearest_train: int | None = None
    max_shift: int = 0
    extra: Any = ()

    def __post_init__(self):
        if self.weights not in _WEIGHTS:
            raise ValueError(f"weights must be one of {', '.join(_WEIGHTS)}; received {self.weights!r}")
        if self.batch_norm not in _BATCH_NORM:
            raise ValueError(f"batch_norm must be one of {', '.join(_BATCH_NORM)}; received {self.batch_norm!r}")
        pairs = dict(self.extra)
        for name, value in pairs.items():
            if not isinstance(name, str) or not isinstance(value, str | int | float | bool | None):
                raise ValueError(f"extra must map names to plain values; received {name!r}: {value!r}")
        object.__setattr__(self, "extra", tuple(sorted(pairs.items())))

    def to_dict(self) -> dict[str, Any]:
        """A dict of plain values, which `from_dict` turns back into an equal protocol, also after JSON."""
        return {**dataclasses.asdict(self), "extra": dict(self.extra)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Protocol:
        """The protocol of the dict of `to_dict`; ValueError for an unknown field."""
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown protocol field(s) {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        return cls(**values)

    def differences(self, other: Protocol, *, ignore: Iterable[str] = ()) -> dict[str, tuple]:
        """{field: (mine, theirs)} of the fields that differ, without `generator_hash` and those in `ignore`."""
        mine, theirs, ignore = self.to_dict(), other.to_dict(), set(ignore)
        if unknown := sorted(ignore - set(mine)):
            raise ValueError(f"cannot ignore unknown protocol field(s) {', '.join(unknown)}")
        names = [name for name in mine if name not in ignore | _MODEL_FIELDS]
        return {name: (mine[name], theirs[name]) for name in names if mine[name] != theirs[name]}

    def __str__(self):
        """One line with every field that is set, hashes cut to 12 digits."""
        fields = {**self.to_dict(), **dict(self.extra)}
        fields.pop("extra")
        short = {
            name: value[:12] if name.endswith(("hash", "fingerprint")) else value
            for name, value in fields.items()
            if value is not None
        }
        return ", ".join(f"{name} {value}" for name, value in short.items())


@dataclasses.dataclass(frozen=True)
class Result:
    """Values by name (numbers, lists of numbers, None if undefined) and their protocol.

    Example:
        >>> protocol = tfgen.metrics.Protocol(
        ...     data="digits", data_fingerprint="0", split="train", n_real=9, n_fake=9, features="inception",
        ...     features_hash="0", seed=0, weights="ema")
        >>> a, b = tfgen.metrics.Result({"fid": 1.5}, protocol), tfgen.metrics.Result({"fid": 1.0}, protocol)
        >>> a.difference(b), a.ratio(b, "fid")
        ({'fid': 0.5}, 1.5)
    """

    values: dict[str, Any]
    protocol: Protocol

    def __post_init__(self):
        for name, value in self.values.items():
            for number in value if isinstance(value, list | tuple) else (value,):
                if number is None:
                    continue
                if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
                    raise ValueError(f"result {name!r} must be a finite number, a list of them or None; got {value!r}")

    def __getitem__(self, name: str):
        if name not in self.values:
            raise KeyError(f"no value {name!r}; this result has {', '.join(sorted(self.values))}")
        return self.values[name]

    def check_comparable(self, other: Result, *, ignore: Iterable[str] = ()) -> None:
        """Raises ProtocolMismatch unless both protocols are equal outside the fields named in `ignore`."""
        if different := self.protocol.differences(other.protocol, ignore=ignore):
            parts = ", ".join(f"{name} {mine!r} != {theirs!r}" for name, (mine, theirs) in different.items())
            raise ProtocolMismatch(f"results of different protocols cannot be compared: {parts}")

    def difference(self, other: Result, *, ignore: Iterable[str] = ()) -> dict[str, float]:
        """self - other for every scalar that both have; raises ProtocolMismatch."""
        self.check_comparable(other, ignore=ignore)
        return {
            name: value - other.values[name]
            for name, value in self.values.items()
            if isinstance(value, int | float) and isinstance(other.values.get(name), int | float)
        }

    def ratio(self, other: Result, name: str, *, ignore: Iterable[str] = ()) -> float | None:
        """self[name] / other[name]; None if undefined or the divisor is 0. Raises ProtocolMismatch."""
        self.check_comparable(other, ignore=ignore)
        mine, theirs = self[name], other[name]
        return None if mine is None or not theirs else mine / theirs

    def to_dict(self) -> dict[str, Any]:
        """{"values": {metric: number}, "protocol": the dict of the protocol}."""
        return {"values": dict(self.values), "protocol": self.protocol.to_dict()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Result:
        """The result of the dict of `to_dict`; ValueError if it has other keys."""
        if set(content) != {"values", "protocol"}:
            raise ValueError(f"a result holds 'values' and 'protocol'; received {sorted(content)}")
        return cls(dict(content["values"]), Protocol.from_dict(content["protocol"]))

    def to_json(self) -> str:
        """`to_dict` as JSON text; ValueError if a value is NaN or infinite."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Result:
        """The result of the text of `to_json`; ValueError if the text is not that."""
        return cls.from_dict(json.loads(text))
