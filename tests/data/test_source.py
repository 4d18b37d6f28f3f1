"""`Source` itself and `from_arrays`."""

import numpy as np
import pytest

from tfgen import data, fields


def make(n=6, **options):
    rng = np.random.default_rng(0)
    return data.from_arrays(rng.integers(0, 256, (n, 4, 5, 3), np.uint8), np.arange(n) % 3, **options)


def test_attributes():
    source = make(class_names=["a", "b", "c"], name="x", split="test")
    assert (source.name, source.split, source.num_examples, len(source)) == ("x", "test", 6, 6)
    assert source.image_shape == (4, 5, 3) and source.levels == 256 and source.skipped == []
    assert source.has_labels and source.num_classes == 3 and source.class_names == ["a", "b", "c"]
    assert source.images().shape == (6, 4, 5, 3) and source.images(2).dtype == np.float32
    assert source.labels(4).tolist() == [0, 1, 2, 0] and source.labels().dtype == np.int32


def test_without_labels():
    source = data.from_arrays(np.zeros((2, 3, 3), np.uint8))
    assert source.image_shape == (3, 3, 1)
    assert not source.has_labels and source.num_classes is None and source.class_names is None
    with pytest.raises(ValueError, match="no labels"):
        source.labels()


def test_is_immutable():
    images = np.zeros((2, 3, 3, 1), np.uint8)
    source = data.from_arrays(images, [0, 1])
    before = source.fingerprint
    images[:] = 9
    source.images()[:] = 1
    source.labels()[:] = 1
    assert source.images().max() == 0 and source.labels().tolist() == [0, 1]
    assert data.from_arrays(np.zeros((2, 3, 3, 1), np.uint8), [0, 1]).fingerprint == before


def test_fingerprint_sees_shape_pixels_and_labels():
    zeros = np.zeros((2, 2, 8, 1), np.uint8)
    one = zeros.copy()
    one[1, 1, 7, 0] = 1
    prints = {
        data.from_arrays(zeros).fingerprint,
        data.from_arrays(zeros.reshape(2, 8, 2, 1)).fingerprint,
        data.from_arrays(one).fingerprint,
        data.from_arrays(zeros, [0, 1]).fingerprint,
        data.from_arrays(zeros, [1, 1]).fingerprint,
    }
    assert len(prints) == 5 and all(len(p) == 64 for p in prints)


def test_take_and_subset():
    source = make(class_names=["a", "b", "c"])
    part = source.subset([4, 0])
    np.testing.assert_array_equal(part.images(), source.images()[[4, 0]])
    assert part.labels().tolist() == [1, 0] and part.class_names == ["a", "b", "c"]
    assert source.take(6).fingerprint == source.fingerprint
    for wrong in ([6], [-1], [], [0.5], [[0]]):
        with pytest.raises(ValueError, match="ind"):
            source.subset(wrong)
    for wrong in (0, 7):
        with pytest.raises(ValueError, match=f"received {wrong}"):
            source.take(wrong)


def test_a_share_is_held_out():
    source = data.from_arrays(np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1), name="numbers")
    numbers = lambda part: np.round(255 * part.images().ravel()).astype(int).tolist()  # noqa: E731
    rest, held_out = source.held_out(0.1)
    chosen = sorted(np.random.default_rng(0).permutation(40)[:4].tolist())
    assert numbers(held_out) == chosen and numbers(rest) == [k for k in range(40) if k not in chosen]
    assert numbers(source.held_out(0.1, seed=1)[1]) != chosen
    assert numbers(source.held_out(1e-6)[1]) == [int(np.random.default_rng(0).permutation(40)[0])]
    with pytest.raises(ValueError, match="a share of 1.0 of the 40 examples leaves none"):
        source.held_out(1.0)
    with pytest.raises(ValueError, match="share must be a number in"):
        source.held_out(0)


def test_parts_of_one_thing_are_held_out_together():
    """Also those of a part of the source, and of a Source that was made of it; `origins` do not change the fingerprint."""
    images = np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1)
    origins = [f"photo {k % 10}" for k in range(40)]
    source = data.from_arrays(images, origins=origins)
    assert source.fingerprint == data.from_arrays(images).fingerprint
    for given in (source, source.subset(np.arange(40)[::-1]), source.take(35), data.quadrant_pairs(source)):
        rest, held_out = given.held_out(0.2)
        assert len(set(held_out.origins)) == 2 and not set(held_out.origins) & set(rest.origins)
        assert len(rest) + len(held_out) == len(given)
        for part in (rest, held_out):
            pixels = part.values("target" if "target" in part.fields else "image")
            found = [f"photo {int(v) % 10}" for v in np.round(255 * pixels.ravel())]
            assert found == part.origins.tolist()
    with pytest.raises(ValueError, match="of the 1 photos, clips or objects that its examples are parts of leaves none"):
        data.from_arrays(images, origins=["a"] * 40).held_out(0.1)
    with pytest.raises(ValueError, match="expected 40 origins, one for each image; received 39"):
        data.from_arrays(images, origins=origins[1:])
    for side in (0, 1):
        with pytest.raises(ValueError, match="parts of photos, clips or objects, which both parts"):
            data.unpaired(*[source, data.from_arrays(images)][:: 1 - 2 * side]).held_out(0.1)


def test_float_arrays_are_held_in_8_bits():
    x = np.random.default_rng(0).random((3, 4, 4, 1))
    assert np.abs(data.from_arrays(x).images() - x).max() <= 0.5 / 255 + 1e-7


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full((1, 2, 2), np.nan), r"4 values.*nan at index \(0, 0, 0, 0\)"),
        (np.full((1, 2, 2), np.inf), r"\[0, 1\].*inf"),
        (np.full((1, 2, 2), 1.5, np.float32), r"\[0, 1\].*1.5"),
        (np.full((1, 2, 2), -0.1), r"\[0, 1\].*-0.1"),
        (np.zeros((1, 2, 2), np.int32), "int32"),
        (np.zeros((2, 2), np.uint8), r"\(2, 2\)"),
        (np.zeros((1, 2, 2, 4), np.uint8), r"1 or 3 channels.*\(2, 2, 4\)"),
        (np.zeros((0, 2, 2, 1), np.uint8), "no images"),
    ],
)
def test_wrong_arrays(images, message):
    with pytest.raises(ValueError, match=message):
        data.from_arrays(images)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([0, 10], dict(num_classes=10), r"label 10 of example 1 is outside \[0, 10\)"),
        ([0, -1], {}, r"label -1 of example 1 is outside"),
        ([0, 2], dict(class_names=["a", "b"]), r"label 2 of example 1 is outside \[0, 2\)"),
        ([0], {}, "2 whole numbers"),
        ([0.0, 1.0], {}, "float64"),
        ([0, 1], dict(class_names=["a"], num_classes=2), "num_classes=2"),
    ],
)
def test_wrong_labels(labels, options, message):
    with pytest.raises(ValueError, match=message):
        data.from_arrays(np.zeros((2, 2, 2), np.uint8), labels, **options)


def test_levels():
    v = np.arange(4).reshape(1, 2, 2)
    np.testing.assert_array_equal(np.round(data.from_arrays(v / 3, levels=4).images() * 3)[0, ..., 0], v[0])
    with pytest.raises(ValueError, match="pixel value 1 at index .* not one of the 4 levels"):
        data.from_arrays(v.astype(np.uint8), levels=4)
    with pytest.raises(ValueError, match="received 1"):
        data.from_arrays(v / 3, levels=1)


def with_fields(**options):
    rng = np.random.default_rng(1)
    fields = {"target": rng.integers(0, 256, (6, 4, 5, 1), np.uint8), "embedding": rng.normal(size=(6, 3))}
    return make(fields=fields, **options)


def test_fields_are_declared_from_arrays():
    source = data.from_arrays(
        np.zeros((2, 4, 5), np.uint8), [0, 1],
        fields={
            "target": np.ones((2, 3, 3, 3)), "mask": np.array([np.eye(4, 5, dtype=bool)] * 2), "size": np.array([0.5, -2.0]),
            "frames": np.zeros((2, 7, 4, 5, 1), np.uint8), "attributes": np.array([[True, False]] * 2),
            "view": np.array([[3, 0], [-1, 5]]), "embedding": np.zeros((2, 8), np.float16),
            "codes": (np.array([1, 2]), fields.label(10, "codes")),
        },
    )  # fmt: skip
    expected = {
        "image": fields.image((4, 5, 1)), "target": fields.image((3, 3, 3), "target"), "mask": fields.mask(4, 5),
        "size": fields.Field("size", ()), "frames": fields.frames((7, 4, 5, 1)), "attributes": fields.attributes(2),
        "view": fields.Field("view", (2,), "int32", low=-1, high=5, directional=True),
        "embedding": fields.vector("embedding", 8), "codes": fields.label(10, "codes"), "label": fields.label(2),
    }  # fmt: skip
    assert source.fields == expected and list(source.fields) == list(expected)
    np.testing.assert_array_equal(source.values("mask")[0], np.eye(4, 5))
    assert source.values("target").min() == 1 and source.values("view", 1).tolist() == [[3, 0]]
    assert "and target, mask" in repr(source)
    with pytest.raises(ValueError, match="has no field 'depth'; it has image, target"):
        source.values("depth")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"target": np.zeros((5, 4, 4, 1), np.uint8)}, "'target' has 5 examples, but there are 6 images"),
        ({"embedding": np.full((6, 2), np.nan)}, r"embedding must be finite.*nan at index \(0, 0\)"),
        ({"target": np.full((6, 4, 4, 1), 1.5)}, "float target must lie in"),
        ({"label": np.zeros(6)}, "not image, label or id; received 'label'"),
        ({"name": np.array(["a"] * 6)}, "name must be numbers or booleans"),
        ({"big": np.array([2**31] * 6)}, "big must be whole numbers of 32 bits"),
        ({"codes": (np.zeros(6), fields.label(3, "codes"))}, "codes was declared as int32"),
        ({"codes": (np.full(6, 3), fields.label(3, "codes"))}, r"codes must be finite, in \[0, 2\]; received 3"),
        ({"embedding": (np.zeros((6, 3)), fields.vector("embedding", 4))}, r"declared as float32 \[4\]; received .*\(3,\)"),
        ({"target": np.zeros((6, 4), np.uint8)[None, :, :, None, None, None]}, "images, clips or masks"),
    ],
)
def test_wrong_fields(given, message):
    with pytest.raises(ValueError, match=message):
        make(fields=given)


def test_levels_are_those_of_all_images():
    with pytest.raises(ValueError, match="'target': pixel value 1 .* not one of the 2 levels"):
        data.from_arrays(np.zeros((1, 2, 2), np.uint8), fields={"target": np.ones((1, 2, 2, 1), np.uint8)}, levels=2)


def test_fingerprint_depends_on_further_fields_and_does_not_change_without_them():
    # Recorded runs name their data by these.
    assert make().fingerprint == "ba0c28165481e0dd339589759663ef9e7434694ce125e119b1b63c298c6ce744"
    zeros = data.from_arrays(np.zeros((2, 3, 3), np.uint8))
    assert zeros.fingerprint == "8e16fbba827d22eab265a7e071aacaa3417c48f5e388fe59c62547c31e2e19cb"
    prints = [make().fingerprint, with_fields().fingerprint]
    other = with_fields()
    values = other.values("embedding").copy()
    values[5, 2] += 1e-6
    target = np.round(other.values("target") * 255).astype(np.uint8)
    for name in ("target", "aim"):
        prints.append(make(fields={name: target, "embedding": values}).fingerprint)
    prints.append(make(fields={"target": target}).fingerprint)
    assert len(set(prints)) == 5
    assert with_fields().subset(range(6)).fingerprint == prints[1]


def test_subsets_keep_fields_and_ids():
    source = with_fields(ids=[f"photo {i}" for i in range(6)])
    part = source.subset([4, 0]).take(2)
    for name in source.fields:
        np.testing.assert_array_equal(part.values(name), source.values(name)[[4, 0]])
    assert part.fields == source.fields and part.ids.tolist() == ["photo 4", "photo 0"]
    assert make().ids.tolist() == list("012345") and make().subset([3, 1]).ids.tolist() == ["3", "1"]
    with pytest.raises(ValueError, match="expected 6 ids, one for each image; received 5"):
        make(ids=list("abcde"))
