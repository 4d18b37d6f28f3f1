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


def test_a_style_keeps_its_number(tmp_path):
    """In parts of any order, their batches and records; records that would change the numbers are an error."""
    source = data.unpaired(numbered(8), numbered(5, 100), second="style")
    for indices in ([5, 4, 3, 2, 1, 0], [7, 3, 1]):
        part = source.subset(indices)
        assert which(part.images()) == indices and which(part.other_source.images()) == [100, 101, 102, 103, 104]
        assert part.values("style_label").tolist() == [i % 5 for i in indices] and part.fields["style_label"].high == 4
        for batch in [*take(part, 3), *part.batches(2).as_numpy_iterator()]:
            np.testing.assert_array_equal(np.array(which(batch["style"])) - 100, batch["style_label"])
            np.testing.assert_array_equal(np.array(indices)[batch["places"][:, 0]], which(batch["image"]))
    few = data.unpaired(numbered(2), numbered(5, 100), second="style").subset([4, 1, 2])  # images 0, 1, 0
    assert which(few.images()) == [0, 1, 0] and which(few.image_source.images()) == [0, 1]
    paths = source.write_tfrecords(tmp_path / "x.tfrecord", shards=2)  # styles 0 to 3; and 4, 0, 1, 2
    assert which(data.described(paths[:1], source.description()).other_source.images()) == [100, 101, 102, 103]
    with pytest.raises(ValueError, match=r"expected all styles up to 4, the last one; .* lacks 3"):
        data.described(paths[1:], source.description())
    with pytest.raises(ValueError, match="all its styles would be in both parts"):
        data.unpaired(numbered(4), numbered(4), second="style").held_out(0.5)
    partial = source._part()
    del partial["fields"]["places"]
    with pytest.raises(ValueError, match="expected the fields 'style' and 'places' and 'style_label'; .* has image, style,"):
        data.UnpairedSource.of(data.Source(**partial))


def test_contents_and_styles(tmp_path):
    """The second field is called `style`, in batches, parts, records and folders."""
    source = data.unpaired(numbered(6), numbered(3, 100), second="style")
    assert source.fields["style"].shape == (4, 4, 1) and "other" not in source.fields
    for batch in take(source, 4):
        np.testing.assert_array_equal(np.array(which(batch["style"])) - 100, batch["places"][:, 1])
        np.testing.assert_array_equal(batch["style_label"], batch["places"][:, 1])
    (batch,) = source.batches(6).as_numpy_iterator()
    assert batch["style_label"].tolist() == [0, 1, 2] * 2 and source.fields["style_label"].high == 2
    assert source.subset([4, 0]).second == "style"
    (path,) = source.write_tfrecords(tmp_path / "x.tfrecord")
    read = data.described([path], source.description())
    assert read.second == "style" and list(read.fields) == list(source.fields)
    assert which(read.other_source.images()) == [100, 101, 102]
    for folder, n in (("image", 3), ("style", 2)):
        (tmp_path / folder).mkdir()
        for i in range(n):
            Image.fromarray(np.full((5 + i, 6), i, np.uint8)).save(tmp_path / folder / f"{i}.png")
    found = data.load(f"styles:{tmp_path}", size=4)
    assert found.second == "style" and (len(found.image_source), len(found.other_source)) == (3, 2)
    with pytest.raises(ValueError, match="expected the folders image and style, in"):
        data.load(f"styles:{tmp_path / 'style'}")
    with pytest.raises(ValueError, match="^second must be 'other' or 'style'; received 'target'"):
        data.unpaired(numbered(2), numbered(2), second="target")
    with pytest.raises(ValueError, match="takes the options"):
        data.load(f"styles:{tmp_path}", second="other")


def test_names_of_folders_with_a_plus(tmp_path, monkeypatch):
    """An existing folder is no pair of data sets; of a missing one the error names the path."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("image", "other"):
        (tmp_path / "horse+zebra" / name).mkdir(parents=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "horse+zebra" / name / "0.png")
    assert len(data.load("unpaired:~/horse+zebra")) == 1
    with pytest.raises(ValueError, match=f"there is no folder {tmp_path}/cat, and no folder {tmp_path}/cat[+]dog"):
        data.load("unpaired:~/cat+dog")
    with pytest.raises(ValueError, match="there is no folder ./dog, and"):
        data.load("unpaired:digits+./dog")
    folder = (tmp_path / "horse+zebra" / "image").rename(tmp_path / "zeros")
    assert len(data.load(f"unpaired:folder:{folder}+digits", "train", levels=17).image_source) == 1


def test_each_of_two_data_sets_has_the_options_that_it_takes(monkeypatch):
    """data_dir is for mnist alone, size for both, digits for neither."""
    seen, made = {}, numbered(2, levels=256)

    def from_tfds(name, split, *, data_dir=None, size=None, in_memory=None):
        seen["mnist"] = data_dir, size, split
        return made

    def usps(split="train", *, manual_dir=None, size=None):
        seen["usps"] = manual_dir, size, split
        return made

    monkeypatch.setattr("tfgen.data.catalog.from_tfds", from_tfds)
    monkeypatch.setattr("tfgen.data.catalog.usps", usps)
    assert len(data.load("unpaired:mnist+usps", "test", data_dir="here", size=4)) == 2
    assert seen == {"mnist": ("here", 4, "test"), "usps": (None, 4, "test")}
    seen.clear()
    with pytest.raises(ValueError, match=r"neither of the two data sets takes the options \['digits'\]"):
        data.load("unpaired:mnist+usps", data_dir="here", digits=2)
    assert not seen
