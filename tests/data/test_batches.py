"""The sequence of batches: resume, determinism, order and noise."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen import data
from tfgen.data import source as source_module

N = 13
MODES = [
    {},
    {"binarization": "threshold"},
    {"binarization": "fixed"},
    {"binarization": "dynamic"},
    {"dequantize": True},
]


def arrays(n=N, shape=(5, 4, 1), seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, *shape), np.uint8), rng.integers(0, 3, n)


@pytest.fixture(params=["memory", "lazy"])
def source(request, tmp_path, monkeypatch):
    made = data.from_arrays(*arrays())
    if request.param == "memory":
        return made
    made.write_tfrecords(tmp_path / "a.tfrecord", shards=2)
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", 10)
    lazy = data.from_tfrecords(str(tmp_path / "a*.tfrecord"), num_classes=3)
    assert not lazy.in_memory
    return lazy


def collect(dataset, n=None):
    return list((dataset if n is None else dataset.take(n)).as_numpy_iterator())


def assert_same(a, b):
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert sorted(x) == sorted(y)
        for key in x:
            np.testing.assert_array_equal(x[key], y[key])


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("drop_remainder", [True, False])
def test_start_step_continues_bit_for_bit(source, mode, drop_remainder):
    options = dict(shuffle=True, repeat=True, seed=3, drop_remainder=drop_remainder, **mode)
    steps_per_epoch = 3 if drop_remainder else 4
    whole = collect(source.batches(4, **options), 3 * steps_per_epoch)
    for start in (1, steps_per_epoch - 1, steps_per_epoch, steps_per_epoch + 2):
        resumed = collect(source.batches(4, start_step=start, **options), len(whole) - start)
        assert_same(resumed, whole[start:])


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_lazy_and_memory_give_the_same_batches(mode, tmp_path, monkeypatch):
    memory = data.from_arrays(*arrays())
    memory.write_tfrecords(tmp_path / "a.tfrecord")
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", 10)
    lazy = data.from_tfrecords(tmp_path / "a.tfrecord")
    options = dict(shuffle=True, repeat=True, seed=5, **mode)
    assert_same(collect(lazy.batches(4, **options), 8), collect(memory.batches(4, **options), 8))


def test_one_epoch_resumes_to_its_end(source):
    whole = collect(source.batches(4, shuffle=True, seed=1))
    assert [len(b["image"]) for b in whole] == [4, 4, 4, 1]
    assert_same(collect(source.batches(4, shuffle=True, seed=1, start_step=2)), whole[2:])
    assert collect(source.batches(4, start_step=4)) == []
    assert source.batches(4, start_step=1).cardinality().numpy() == 3


def test_far_start_needs_no_history():
    source = data.from_arrays(*arrays())
    options = dict(shuffle=True, repeat=True, binarization="dynamic")
    at = 10**12
    two = collect(source.batches(4, start_step=at, **options), 2)
    assert_same(collect(source.batches(4, start_step=at + 1, **options), 1), two[1:])


def test_each_epoch_is_a_new_permutation():
    images = np.arange(N, dtype=np.uint8)[:, None, None]
    source = data.from_arrays(images, np.arange(N))
    epochs = np.stack([b["label"] for b in collect(source.batches(N, shuffle=True, repeat=True, seed=2), 6)])
    for order in epochs:
        assert sorted(order) == list(range(N))
    assert len({tuple(order) for order in epochs}) == 6
    other = collect(source.batches(N, shuffle=True, repeat=True, seed=3), 1)[0]["label"]
    assert tuple(other) != tuple(epochs[0])
    plain = collect(source.batches(4, repeat=True), 4)
    np.testing.assert_array_equal(np.concatenate([b["label"] for b in plain]), [*range(12), *range(4)])


def test_labels_stay_with_their_images(source):
    image_of = {x.tobytes(): y for x, y in zip(source.images(), source.labels(), strict=True)}
    for batch in collect(source.batches(4, shuffle=True, seed=9)):
        assert [image_of[x.tobytes()] for x in batch["image"]] == list(batch["label"])


def test_plain_batches_are_the_stored_images_exactly():
    every_value = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    source = data.from_arrays(every_value)
    batch = collect(source.batches(1))[0]
    assert list(batch) == ["image"] and batch["image"].dtype == np.float32
    np.testing.assert_array_equal(batch["image"], source.images())
    np.testing.assert_array_equal(batch["image"].ravel(), np.arange(256, dtype=np.float32) / np.float32(255))


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_same_seed_same_batches_other_seed_other_batches(mode):
    source = data.from_arrays(*arrays())
    options = dict(shuffle=True, repeat=True, **mode)
    first = collect(source.batches(4, seed=1, **options), 5)
    assert_same(first, collect(source.batches(4, seed=1, **options), 5))
    other = collect(source.batches(4, seed=2, **options), 5)
    assert any(not np.array_equal(a["image"], b["image"]) for a, b in zip(first, other, strict=True))


def test_threshold_rule():
    source = data.from_arrays(np.arange(256, dtype=np.uint8).reshape(1, 16, 16))
    image = collect(source.batches(1, binarization="threshold"))[0]["image"].ravel()
    np.testing.assert_array_equal(image, np.arange(256) >= 128)  # 128 / 255 is the first value >= 0.5
    image = collect(source.batches(1, binarization="threshold", threshold=1.0))[0]["image"].ravel()
    np.testing.assert_array_equal(image, np.arange(256) == 255)


def test_dynamic_binarization_is_bernoulli_and_fresh():
    values = np.array([0, 26, 128, 230, 255], np.uint8)
    source = data.from_arrays(np.broadcast_to(values, (200, 100, 5)))
    first, second = (b["image"][..., 0] for b in collect(source.batches(200, repeat=True, binarization="dynamic"), 2))
    p = values / 255
    tolerance = 4.5 * np.sqrt(p * (1 - p) / 20_000)  # of the mean of 20,000 draws
    for draw in (first, second):
        assert set(np.unique(draw)) <= {0.0, 1.0}
        assert np.all(np.abs(draw.mean((0, 1)) - p) <= tolerance)
        assert draw[..., 0].max() == 0 and draw[..., 4].min() == 1
    fresh = np.mean((first != second)[..., 2])  # independent fair draws differ half of the time
    assert abs(fresh - 0.5) < 0.02
    assert abs(np.mean(first[1:, :, 2] != first[:-1, :, 2]) - 0.5) < 0.02  # and so do neighbours


def test_fixed_binarization_depends_on_the_image_not_on_the_position():
    source = data.from_arrays(np.full((N, 6, 6, 1), 128, np.uint8), np.arange(N))
    seen = {}
    for batch in collect(source.batches(4, shuffle=True, repeat=True, binarization="fixed", seed=4), 12):
        for label, image in zip(batch["label"], batch["image"], strict=True):
            np.testing.assert_array_equal(seen.setdefault(int(label), image), image)
    assert len({image.tobytes() for image in seen.values()}) == N
    other = collect(source.batches(N, binarization="fixed", seed=5))[0]["image"]
    assert not np.array_equal(other[0], seen[0])


def test_noise_does_not_depend_on_the_batch_size(source):
    for mode in ({"binarization": "dynamic"}, {"dequantize": True}):
        small = np.concatenate([b["image"] for b in collect(source.batches(3, **mode))])
        large = collect(source.batches(N, **mode))[0]["image"]
        np.testing.assert_array_equal(small, large)


@pytest.mark.parametrize("levels", [2, 17, 255, 256])
def test_dequantisation_is_uniform_and_invertible(levels):
    v = np.repeat(np.arange(levels), 512).reshape(1, 512, levels)
    source = data.from_arrays((v / (levels - 1)).astype(np.float32), levels=levels)
    y = collect(source.batches(1, dequantize=True))[0]["image"][0, ..., 0]
    assert y.min() > 0 and y.max() < 1
    np.testing.assert_array_equal(np.floor(y * np.float32(levels)), v[0])
    u = y * levels - v[0]
    assert abs(u.mean() - 0.5) < 4.5 * np.sqrt(1 / 12 / u.size)
    assert abs(u.var() - 1 / 12) < 0.01


def test_shapes_are_static_where_they_can_be():
    source = data.from_arrays(*arrays())
    spec = source.batches(4, repeat=True).element_spec
    assert spec["image"].shape == (4, 5, 4, 1) and spec["label"].shape == (4,)
    assert source.batches(4).element_spec["image"].shape.as_list() == [None, 5, 4, 1]


def test_two_replicas_share_each_global_batch(source):
    options = dict(shuffle=True, repeat=True, binarization="dynamic")
    alone = collect(source.batches(4, **options), 5)
    strategy = tf.distribute.MirroredStrategy([d.name for d in tf.config.list_logical_devices("CPU")[:2]])
    shared = iter(strategy.experimental_distribute_dataset(source.batches(4, **options)))
    for batch in alone:
        parts = strategy.experimental_local_results(next(shared)["image"])
        np.testing.assert_array_equal(np.concatenate([p.numpy() for p in parts]), batch["image"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(batch_size=0), "batch_size"),
        (dict(batch_size=14, repeat=True), "larger than the 13 examples"),
        (dict(batch_size=4, start_step=-1), "start_step"),
        (dict(batch_size=4, start_step=5), "beyond the 4 steps"),
        (dict(batch_size=4, seed=2**63), "seed"),
        (dict(batch_size=4, binarization="stochastic"), "threshold.*received 'stochastic'"),
        (dict(batch_size=4, binarization="threshold", threshold=0), "threshold"),
        (dict(batch_size=4, binarization="fixed", dequantize=True), "cannot be combined"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.from_arrays(*arrays()).batches(**arguments)


def test_keras_epochs_over_one_dataset_are_the_epochs_of_the_endless_sequence():
    source = data.from_arrays(*arrays())
    n = source.num_examples
    once = source.batches(1, shuffle=True, binarization="dynamic", seed=3)
    endless = iter(source.batches(1, shuffle=True, binarization="dynamic", seed=3, repeat=True))
    for _ in range(3):
        for batch in once:
            np.testing.assert_array_equal(batch["image"], next(endless)["image"])
    fixed = source.batches(n, binarization="dynamic", seed=3)  # an evaluation set stays the same
    first, second = (next(iter(fixed))["image"].numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)


def with_fields():
    """Fields whose values say which example they are of."""
    images, labels = arrays()
    rng = np.random.default_rng(1)
    fields = {
        "target": rng.integers(0, 256, (N, 3, 3, 3), np.uint8), "frames": rng.integers(0, 256, (N, 2, 4, 4, 1), np.uint8),
        "mask": images[..., 0] > 99, "embedding": rng.normal(size=(N, 6)), "attributes": rng.random((N, 3)) < 0.5,
        "view": rng.integers(-3, 9, (N, 2)),
    }  # fmt: skip
    return data.from_arrays(images, labels, fields=fields)


@pytest.fixture(params=["memory", "lazy"])
def fields_source(request, tmp_path, monkeypatch):
    made = with_fields()
    if request.param == "memory":
        return made
    made.write_tfrecords(tmp_path / "a.tfrecord", shards=2)
    monkeypatch.setattr(source_module, "MEMORY_LIMIT", 10)
    return data.from_tfrecords(str(tmp_path / "a*.tfrecord"), num_classes=3, fields=made.fields.values())


def test_every_field_stays_with_its_image(fields_source):
    source = with_fields()
    assert fields_source.fields == source.fields
    place = {x.tobytes(): i for i, x in enumerate(source.images())}
    batches = collect(fields_source.batches(4, shuffle=True, repeat=True, seed=9), 6)
    for batch in batches:
        indices = [place[x.tobytes()] for x in batch["image"]]
        assert batch.keys() == source.fields.keys()
        for name, field in source.fields.items():
            assert batch[name].dtype == field.dtype and batch[name].shape == (4, *field.shape)
            np.testing.assert_array_equal(batch[name], source.values(name)[indices])
            assert field.low is None or batch[name].min() >= field.low
            assert field.high is None or batch[name].max() <= field.high
    spec = fields_source.batches(4, repeat=True).element_spec
    assert spec["frames"].shape == (4, 2, 4, 4, 1) and spec["embedding"].shape == (4, 6)


@pytest.mark.parametrize("mode", [MODES[0], *MODES[2:]], ids=str)
def test_fields_resume_and_have_their_own_noise(fields_source, mode):
    options = dict(shuffle=True, repeat=True, seed=3, **mode)
    whole = collect(fields_source.batches(4, **options), 8)
    assert_same(collect(fields_source.batches(4, start_step=5, **options), 3), whole[5:])
    images, _ = arrays()
    source = data.from_arrays(np.full_like(images, 128), fields={"target": np.full_like(images, 128)})
    batch = collect(source.batches(N, **mode))[0]
    assert np.array_equal(batch["image"], batch["target"]) == (mode == {})
    alone = data.from_arrays(np.full_like(images, 128))
    np.testing.assert_array_equal(collect(alone.batches(N, **mode))[0]["image"], batch["image"])


PHASES = [(0, 2), (3, 5), (10, 3)]


@pytest.mark.parametrize("drop_remainder", [True, False])
def test_a_schedule_of_batch_sizes_resumes_in_any_phase(drop_remainder):
    source = data.from_arrays(*arrays())
    options = dict(shuffle=True, repeat=True, seed=3, drop_remainder=drop_remainder, binarization="dynamic")
    whole = collect(source.batches(PHASES, **options), 20)
    if drop_remainder:
        assert [len(b["image"]) for b in whole] == [2] * 3 + [5] * 7 + [3] * 10
    for start in (2, 3, 8, 10, 16):
        assert_same(collect(source.batches(PHASES, start_step=start, **options), 20 - start), whole[start:])
    assert_same(collect(source.batches([(0, 2)], **options), 8), collect(source.batches(2, **options), 8))
    assert_same(collect(source.batches(2, **options), 3), whole[:3])


def test_each_phase_begins_with_a_new_epoch_and_no_noise_comes_twice():
    images = np.full((N, 5, 5, 1), 128, np.uint8)
    source = data.from_arrays(images, np.arange(N))
    batches = collect(source.batches([(0, 4), (2, 6), (6, 13)], shuffle=True, repeat=True, binarization="dynamic"), 8)
    for part in (batches[2:4], batches[4:6], batches[6:7], batches[7:8]):  # whole epochs, but for a remainder
        labels = np.concatenate([b["label"] for b in part])
        assert len(set(labels)) == len(labels) >= 12
    draws = [image.tobytes() for b in batches for image in b["image"]]
    assert len(set(draws)) == len(draws)
    assert source.batches([(0, 4), (2, 6)], repeat=True).element_spec["image"].shape[0] is None
    assert source.batches([(0, 4), (2, 6)], repeat=True, start_step=2).element_spec["image"].shape[0] == 6


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ([(1, 4)], r"must start at 0 and increase; received \[1\]"),
        ([(0, 4), (5, 2), (5, 3)], r"must start at 0 and increase; received \[0, 5, 5\]"),
        ([(0, 4), (7, 2), (5, 3)], r"received \[0, 7, 5\]"),
        ([(0, 4), (2, 0)], "positive whole number; received 0"),
        ([(0, 4), (2, 14)], "larger than the 13 examples"),
        ([], r"list of \(first step, batch size\); received \[\]"),
        ([4, 8], "list of"),
        ([(0.0, 4)], "must start at 0"),
    ],
    ids=str,
)
def test_wrong_schedules(phases, message):
    with pytest.raises(ValueError, match=message):
        data.from_arrays(*arrays()).batches(phases, repeat=True)


def test_a_schedule_needs_an_endless_sequence():
    with pytest.raises(ValueError, match="needs repeat=True"):
        data.from_arrays(*arrays()).batches(PHASES)
