"""Which images are labelled, and batches of labelled and unlabelled ones as a pure function of the step."""

import numpy as np
import pytest

from tfgen import data


def make(n=60, classes=3):
    """Images that say which they are: pixel value = index, label = index % classes."""
    images = np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, 2, 2, 1))
    return data.from_arrays(images, np.arange(n) % classes, name="numbers")


def indices(images):
    return np.round(np.asarray(images)[:, 0, 0, 0] * 255).astype(int)


def take(source, steps, batch_size, **options):
    batches = source.batches(batch_size, shuffle=True, repeat=True, seed=3, **options)
    return [{k: v.numpy() for k, v in batch.items()} for batch in batches.take(steps)]


def test_chosen_labels_are_balanced_nested_and_a_function_of_the_seed():
    chosen = {n: set(indices(data.semi_supervised(make(), n, seed=5).labelled.images())) for n in (2, 4)}
    assert {len(c) for c in chosen.values()} == {6, 12} and chosen[2] < chosen[4]
    assert np.bincount([i % 3 for i in chosen[4]]).tolist() == [4, 4, 4]
    assert chosen[4] == set(indices(data.semi_supervised(make(), 4, seed=5).labelled.images()))
    assert chosen[4] != set(indices(data.semi_supervised(make(), 4, seed=6).labelled.images()))


def test_batches_hold_only_known_labels_and_all_images():
    source = data.semi_supervised(make(), 2)
    batches = take(source, 6, 10)  # an epoch of 60 images
    assert set(batches[0]) == {"image", "label", "unlabelled"}
    assert sorted(np.concatenate([indices(b["unlabelled"]) for b in batches])) == list(range(60))
    known = set(indices(source.labelled.images()))
    for batch in batches:
        assert set(indices(batch["image"])) <= known
        np.testing.assert_array_equal(indices(batch["image"]) % 3, batch["label"])


@pytest.mark.parametrize(("per_class", "batch_size", "steps"), [(2, 12, 1), (2, 10, 3), (4, 6, 2)])
def test_every_labelled_image_comes_equally_often(per_class, batch_size, steps):
    """Also where a batch is larger than the labelled set and no multiple of it."""
    batches = take(data.semi_supervised(make(), per_class), steps, batch_size)
    counts = np.unique(np.concatenate([indices(b["image"]) for b in batches]), return_counts=True)[1]
    assert len(counts) == 3 * per_class and set(counts) == {batch_size * steps // (3 * per_class)}


def test_a_batch_is_a_pure_function_of_the_step():
    source = data.semi_supervised(make(), 3)
    whole = take(source, 20, 10)
    for begin in (1, 7, 13):
        for a, b in zip(whole[begin : begin + 3], take(source, 3, 10, start_step=begin), strict=True):
            for name in a:
                np.testing.assert_array_equal(a[name], b[name])


def test_orders_differ_where_every_image_is_labelled():
    batch = take(data.semi_supervised(make(), 20), 1, 30)[0]
    assert np.any(batch["image"] != batch["unlabelled"])


def test_options_reach_both_fields():
    batch = take(data.semi_supervised(make(), 3), 1, 10, binarization="threshold", threshold=30 / 255)[0]
    assert set(np.unique(batch["image"])) <= {0.0, 1.0} and set(np.unique(batch["unlabelled"])) == {0.0, 1.0}


def test_it_is_a_source_of_the_whole_set_with_a_fingerprint_of_its_own():
    whole = make()
    source = data.semi_supervised(whole, 2)
    assert isinstance(source, data.Source)
    assert (source.name, source.split, len(source), source.num_classes) == ("numbers", "train", 60, 3)
    assert source.image_shape == (2, 2, 1) and "6 labelled" in repr(source)
    np.testing.assert_array_equal(source.labels(), whole.labels())
    prints = {whole.fingerprint, *(data.semi_supervised(whole, n, seed=s).fingerprint for n, s in ((2, 0), (2, 1), (3, 0)))}
    assert len(prints) == 4 and source.fingerprint in prints


def test_bad_arguments():
    with pytest.raises(ValueError, match="has no labels"):
        data.semi_supervised(data.from_arrays(np.zeros((2, 3, 3), np.uint8)), 1)
    with pytest.raises(ValueError, match="class '0' .* has 20 images"):
        data.semi_supervised(make(), 21)
    for bad in (0, -1, 1.5, True, "2"):
        with pytest.raises(ValueError, match=f"labels_per_class must be an integer >= 1; received {bad!r}"):
            data.semi_supervised(make(), bad)
    with pytest.raises(ValueError, match="drop_remainder must be True"):
        data.semi_supervised(make(), 1).batches(8, drop_remainder=False)
