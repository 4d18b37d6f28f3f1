"""Two sets without pairs: orders of their own, equal counts, the way through records."""

import numpy as np
import pytest
from PIL import Image

from tfgen import data


def numbered(n, first=0, **options):
    """Images that say which they are: pixel value = number."""
    values = np.broadcast_to(np.arange(first, first + n, dtype=np.uint8)[:, None, None, None], (n, 4, 4, 1))
    return data.from_arrays(values, **{"name": f"from {first}", **options})


def make(n=6, m=10):
    return data.unpaired(numbered(n, labels=np.arange(n) % 2), numbered(m, 100))


def which(images):
    return np.round(np.asarray(images)[:, 0, 0, 0] * 255).astype(int).tolist()


def take(source, steps, batch_size=2, seed=3, **options):
    batches = source.batches(batch_size, **{"shuffle": True, "repeat": True, "seed": seed, **options})
    return list(batches.take(steps).as_numpy_iterator())


def test_stored_order_repeats_the_shorter_set():
    source = make()
    assert len(source) == 10 and "6 and 10 without pairs" in repr(source) and source.fields["other"].shape == (4, 4, 1)
    batches = list(source.batches(4).as_numpy_iterator())
    assert sum((which(b["image"]) for b in batches), []) == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3]
    assert sum((which(b["other"]) for b in batches), []) == list(range(100, 110))
    assert np.concatenate([b["label"] for b in batches]).tolist() == [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]


def test_each_set_has_epochs_and_an_order_of_its_own():
    source = make()
    batches = take(source, 15)  # 5 epochs of 3 steps, and 3 of 5
    image, other = (sum((which(b[name]) for b in batches), []) for name in ("image", "other"))
    for found, n, first in ((image, 6, 0), (other, 10, 100)):
        epochs = [found[i : i + n] for i in range(0, 30, n)]
        assert all(sorted(epoch) == list(range(first, first + n)) for epoch in epochs)
        assert len({tuple(epoch) for epoch in epochs}) == len(epochs)
    for b in batches:
        np.testing.assert_array_equal(np.stack([which(b["image"]), np.array(which(b["other"])) - 100], axis=-1), b["places"])
        np.testing.assert_array_equal(b["label"], b["places"][:, 0] % 2)
    equal = data.unpaired(numbered(20), numbered(20))
    assert any(which(b["image"]) != which(b["other"]) for b in take(equal, 5))
    assert which(take(source, 1, seed=4)[0]["image"]) + which(take(source, 1, seed=4)[0]["other"]) != image[:2] + other[:2]


def test_runs_of_two_seeds_are_not_mirror_images():
    equal = data.unpaired(numbered(40), numbered(40))
    orders = [
        [sum((which(b[name]) for b in take(equal, 10, batch_size=4, seed=seed)), []) for name in ("image", "other")]
        for seed in range(4)
    ]
    assert len({tuple(order) for both in orders for order in both}) == 8


def test_what_does_not_fill_a_batch_is_left_out_of_an_epoch():
    seen = sum((which(b["image"]) for b in take(make(5, 5), 40)), [])
    seen = [seen[k : k + 4] for k in range(0, 80, 4)]
    assert all(len(set(epoch)) == 4 for epoch in seen)
    assert {image for epoch in seen for image in set(range(5)) - set(epoch)} == set(range(5))


def test_a_batch_is_a_pure_function_of_the_step():
    source, options = make(), {"augmentation": {"flip": True, "shift": 1, "colour": 0.2}}
    whole = take(source, 12, **options)
    for start in (1, 4, 7):
        for a, b in zip(take(source, 3, start_step=start, **options), whole[start:], strict=False):
            assert a.keys() == b.keys()
            for name in a:
                np.testing.assert_array_equal(a[name], b[name])


def test_augmentation_is_drawn_for_each_set():
    same = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 1), np.uint8)
    source = data.unpaired(data.from_arrays(same), data.from_arrays(same))
    flipped = [
        (np.array_equal(a, source.images()[0]), np.array_equal(b, source.images()[0]))
        for batch in take(source, 10, batch_size=4, augmentation={"flip": True})
        for a, b in zip(batch["image"], batch["other"], strict=True)
    ]
    assert len(set(flipped)) == 4


def test_an_epoch_without_repeat_is_as_long_as_the_longer_set_and_each_is_another():
    batches = make().batches(2, shuffle=True, seed=1)
    epochs = [list(batches.as_numpy_iterator()) for _ in range(3)]
    images, others = ([sum((which(b[name]) for b in epoch), []) for epoch in epochs] for name in ("image", "other"))
    assert all(sorted(found) == list(range(100, 110)) for found in others)
    assert all(set(found) == set(range(6)) for found in images)
    assert len({tuple(found) for found in images}) == len({tuple(found) for found in others}) == 3


def test_batches_larger_than_a_set():
    source = data.unpaired(numbered(3), numbered(10, 100))
    found = sum((which(b["image"]) for b in take(source, 3, batch_size=5)), [])
    assert np.bincount(found).tolist() == [5, 5, 5]


def test_parts_are_unpaired_too():
    part = make().subset([8, 1, 2])
    assert isinstance(part, data.UnpairedSource) and len(part) == 3
    assert sorted(which(part.image_source.images())) == [1, 2]
    assert sorted(which(part.other_source.images())) == [101, 102, 108]
    assert len(make().take(4)) == 4
    assert part.fingerprint != make().fingerprint
    with pytest.raises(ValueError, match="must be different"):
        make().subset([1, 1])


def test_through_records_in_another_order(tmp_path):
    source = make()
    assert len(set(source.ids)) == 10 and source.ids[7] == "1 | 7"
    order = np.random.default_rng(0).permutation(10)
    (path,) = data.Source(**source._part(order)).write_tfrecords(tmp_path / "x.tfrecord")
    read = data.described([path], source.description())
    assert isinstance(read, data.UnpairedSource) and read.name == source.name
    assert read.image_source.ids.tolist() == source.image_source.ids.tolist()
    for a, b in zip(take(read, 8), take(source, 8), strict=True):
        for name in b:
            np.testing.assert_array_equal(a[name], b[name])
    with pytest.raises(ValueError, match=r"expected the fields 'other' and 'places'"):
        data.UnpairedSource.of(numbered(3))


def test_folders(tmp_path):
    for folder, n in (("trainA", 3), ("trainB", 5), ("testA", 1), ("testB", 2), ("x/image/train", 2), ("x/other/train", 1)):
        (tmp_path / folder).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(np.full((4, 4), i, np.uint8)).save(tmp_path / folder / f"{i}.png")
    train, test = (data.load(f"unpaired:{tmp_path}", split) for split in ("train", "test"))
    assert (len(train), len(test)) == (5, 2) and (train.split, test.split) == ("train", "test")
    assert len(data.load(f"unpaired:{tmp_path}", "train", size=2, in_memory=False).image_source) == 3
    assert len(data.load(f"unpaired:{tmp_path / 'x'}")) == 2
    lazy = data.load(f"unpaired:{tmp_path}", in_memory=False)
    assert not lazy.in_memory and lazy.fingerprint == train.fingerprint
    for a, b in zip(take(lazy, 4), take(train, 4), strict=True):
        np.testing.assert_array_equal(a["other"], b["other"])
    with pytest.raises(ValueError, match="expected the folders image and other, or validA and validB, in .*testA"):
        data.load(f"unpaired:{tmp_path}", "valid")


def test_bad_arguments():
    with pytest.raises(ValueError, match="levels must be the same for both sets; received 256 .* and 17"):
        data.unpaired(numbered(3), data.load("digits", "test"))
    with pytest.raises(ValueError, match="no field 'other'"):
        data.unpaired(make(), numbered(3))
    with pytest.raises(ValueError, match=r"must not contain ' \| '; received 'a \| b'"):
        data.unpaired(numbered(2, ids=["a | b", "c"]), numbered(3))
    with pytest.raises(ValueError, match="drop_remainder must be True with shuffle"):
        make().batches(2, shuffle=True, drop_remainder=False)
