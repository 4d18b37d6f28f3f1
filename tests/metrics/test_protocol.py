import dataclasses
import json

import pytest

from tfgen.metrics import Protocol, ProtocolMismatch, Result


def protocol(**changes):
    values = dict(
        data="digits", data_fingerprint="ab", split="train", n_real=10, n_fake=5,
        features="classifier-cnn-32", features_hash="cd", seed=0, weights="ema",
    )  # fmt: skip
    return Protocol(**{**values, **changes})


def test_json_round_trip():
    result = Result(
        {"a": 1.5, "n": 3, "shares": [0.5, 0.5], "ratio": None},
        protocol(extra={"truncation": 0.7, "map": "z"}, kid_subset_size=7),
    )
    again = Result.from_json(result.to_json())
    assert again == result
    assert json.loads(result.to_json())["protocol"]["extra"] == {"map": "z", "truncation": 0.7}
    hash(again.protocol)


def test_protocol_is_frozen_and_checked():
    with pytest.raises(dataclasses.FrozenInstanceError):
        protocol().seed = 1
    for name in ("weights", "batch_norm"):
        with pytest.raises(ValueError, match=f"{name} must be one of .*received 'EMA'"):
            protocol(**{name: "EMA"})
    with pytest.raises(ValueError, match="extra must map names to plain values"):
        protocol(extra={"a": [1]})
    with pytest.raises(ValueError, match="unknown protocol field.*nreal"):
        Protocol.from_dict({**protocol().to_dict(), "nreal": 3})


def test_equal_protocols_compare():
    a, b = Result({"x": 6.0, "shares": [1.0]}, protocol()), Result({"x": 4.0, "y": 1.0}, protocol())
    assert a.difference(b) == {"x": 2.0}
    assert a.ratio(b, "x") == 1.5
    assert b.ratio(Result({"x": 0.0}, protocol()), "x") is None
    with pytest.raises(KeyError, match="no value 'z'.*x"):
        a.ratio(b, "z")


@pytest.mark.parametrize(
    "change",
    [
        {"n_fake": 6}, {"n_real": 11}, {"seed": 1}, {"weights": "raw"}, {"batch_norm": "batch"},
        {"split": "test"}, {"features_hash": "ef"}, {"data_fingerprint": "xx"}, {"k": 3},
        {"extra": {"truncation": 0.5}},
    ],
)  # fmt: skip
def test_different_protocols_refuse(change):
    a, b = Result({"x": 6.0}, protocol()), Result({"x": 4.0}, protocol(**change))
    name = next(iter(change))
    for call in (a.difference, a.check_comparable, lambda other, **k: a.ratio(other, "x", **k)):
        with pytest.raises(ProtocolMismatch, match=name):
            call(b)
        call(b, ignore=(name,))  # by intent
    with pytest.raises(ValueError, match="unknown protocol field.*wieghts"):
        a.difference(b, ignore=("wieghts",))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "1", True, [1.0, float("nan")]])
def test_values_must_be_finite_numbers(value):
    with pytest.raises(ValueError, match="result 'x'"):
        Result({"x": value}, protocol())


def test_the_evaluated_generator_may_differ():
    """Two generators are there to be compared; all else must be equal."""
    a, b = (Result({"x": value}, protocol(generator_hash=digest)) for value, digest in ((6.0, "aa"), (4.0, "bb")))
    assert a.difference(b) == {"x": 2.0}
    assert Result.from_json(a.to_json()) == a and a.protocol != b.protocol
    for change in ({"truncation": 0.7}, {"resize": "pad to 8x8"}, {"batch_norm": "standing"}, {"weights": "files"}):
        with pytest.raises(ProtocolMismatch, match=next(iter(change))):
            a.difference(Result({"x": 4.0}, protocol(**change)))


def test_printed_in_one_line():
    text = str(protocol(generator_hash="0123456789abcdef", extra={"binarization": "threshold"}))
    assert "generator_hash 0123456789ab," in text and "n_fake 5" in text and "binarization threshold" in text
    assert "truncation" not in text and "\n" not in text
