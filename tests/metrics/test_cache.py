import numpy as np
import pytest

from tfgen.metrics import Cache

KEY = {"data_fingerprint": "ab", "n_real": 10}


@pytest.fixture
def cache(tmp_path):
    said = []
    cache = Cache(tmp_path / "cache", said.append)
    cache.said = said
    return cache


def make(value=1.0):
    make.calls += 1
    return {"mean": np.full(3, value), "rows": np.arange(6, dtype=np.float32).reshape(3, 2), "count": np.array(3)}


@pytest.fixture(autouse=True)
def _fresh():
    make.calls = 0


def check(arrays):
    expected = make()
    make.calls -= 1
    assert arrays.keys() == expected.keys()
    for name, array in expected.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array)


def test_hit_and_miss(cache):
    check(cache.get(KEY, make))
    check(cache.get(dict(reversed(KEY.items())), make))  # the same key
    assert make.calls == 1
    for change in ({"data_fingerprint": "cd"}, {"n_real": 11}, {"resize": None}):
        cache.get({**KEY, **change}, make)
    assert make.calls == 4 and cache.said == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-20],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: content.replace(b'"format": 1', b'"format": 2'),
        lambda content: content.replace(b'"ab"', b'"xy"'),
        lambda content: b"not json\n" + content,
    ],
)
def test_a_damaged_file_is_reported_and_computed_again(cache, damage):
    cache.get(KEY, make)
    path = cache.path(KEY)
    path.write_bytes(damage(path.read_bytes()))
    check(cache.get(KEY, make))
    assert make.calls == 2 and "damaged" in cache.said[0] and str(path) in cache.said[0]
    check(cache.get(KEY, make))
    assert make.calls == 2 and len(cache.said) == 1


def test_nothing_but_the_file_is_left_behind(cache):
    cache.get(KEY, make)
    assert [p.name for p in cache.folder.iterdir()] == [cache.path(KEY).name]


def test_a_folder_that_cannot_be_written_does_not_stop_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    said = []
    check(Cache(tmp_path / "file" / "cache", said.append).get(KEY, make))
    assert "could not be written" in said[0]
