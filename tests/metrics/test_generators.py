import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tfgen import data, fields, metrics
from tfgen.export import export_saved_model
from tfgen.models import DCGAN, VAE, GatedPixelCNN, GlimpseClassifier


class Small(VAE):
    """Serves nothing but samples, which is quick to export."""

    def signatures(self):
        return {"sample": super().signatures()["sample"]}


@pytest.fixture(scope="module")
def vae():
    model = Small(image_shape=(8, 8, 1), latent_dim=2, hidden=(4,))
    model.compile(ema_decay=0.9)
    for shadow in model.ema.shadows:
        shadow.assign(0.5 * shadow)
    return model


@pytest.fixture(scope="module")
def exported(vae, tmp_path_factory):
    base = tmp_path_factory.mktemp("models")
    path = export_saved_model(vae, base, version=10, warmup=False, metadata={"binarization": "threshold"})
    shutil.copytree(path, base / "2")
    return base


def test_saved_model_in_ranges_is_sample_in_one(vae, exported):
    generator = metrics.SavedModelGenerator(exported)
    assert generator.path.name == "10" and generator.image_shape == (8, 8, 1)
    assert (generator.weights, generator.batch_norm, generator.binarization) == ("ema", "moving", "threshold")
    take = metrics.Samples(generator, seed=3)
    with vae.ema.swapped():
        whole = vae.sample(10, seed=3).numpy()
    np.testing.assert_allclose(np.concatenate([take(0, 4), take(4, 10)]), whole, atol=1e-6)
    other = metrics.SavedModelGenerator(exported / "2")
    assert other.weights_hash == generator.weights_hash


def test_hash_follows_the_weights(vae, exported):
    first = metrics.SavedModelGenerator(exported).weights_hash
    path = export_saved_model(vae, exported.parent / "raw", use_ema=False, warmup=False)
    assert metrics.SavedModelGenerator(path).weights_hash != first
    assert metrics.SavedModelGenerator(path).weights == "raw"


def test_live_model_with_and_without_average():
    model = VAE(image_shape=(8, 8, 1), latent_dim=2, hidden=(4,))
    model.compile(ema_decay=0.9)
    for shadow in model.ema.shadows:
        shadow.assign(0.5 * shadow)
    raw = metrics.RunGenerator(model, use_ema=False)
    expected, digest = model.sample(5, seed=1).numpy(), raw.weights_hash
    np.testing.assert_allclose(metrics.Samples(raw, 1)(0, 5), expected, atol=1e-6)
    averaged = metrics.RunGenerator(model)
    assert (raw.weights, averaged.weights) == ("raw", "ema") and averaged.weights_hash != digest
    assert np.abs(metrics.Samples(averaged, 1)(0, 5) - expected).max() > 1e-3


def test_statistics_of_batch_norm():
    model = DCGAN(image_shape=(8, 8, 1), latent_dim=3, num_classes=2, width=4)
    drawn = {}
    for mode in ("moving", "batch", "standing"):
        generator = metrics.RunGenerator(model, batch_norm=mode, num=6)
        take = metrics.Samples(generator, 0)
        drawn[mode] = np.concatenate([take(0, 4), take(4, 6)])
        expected = model.sample(6, seed=0, batch_norm=mode, labels=np.arange(6) % 2).numpy()
        np.testing.assert_allclose(drawn[mode], expected, atol=1e-5)
        assert generator.batch_norm == mode
    assert len({array.tobytes() for array in drawn.values()}) == 3


class Bare(tf.Module):
    """A SavedModel that other code wrote."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="seeds")])
    def sample(self, seeds):
        return {"image": tf.zeros([tf.size(seeds), 4, 4, 1])}

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.int64, name="seeds"), tf.TensorSpec([None], tf.int32, name="labels")]
    )
    def of_labels(self, seeds, labels):
        return {"image": tf.zeros([tf.size(seeds), 4, 4, 1])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="z")])
    def wrong(self, z):
        return {"image": tf.zeros([tf.size(z), 4, 4, 1])}


def test_any_saved_model(tmp_path, vae):
    module = Bare()
    tf.saved_model.save(module, str(tmp_path / "bare"), signatures={"sample": module.sample})
    generator = metrics.SavedModelGenerator(tmp_path / "bare")
    assert generator.metadata == {} and generator.weights == "raw" and len(generator.weights_hash) == 64
    tf.saved_model.save(module, str(tmp_path / "wrong"), signatures={"sample": module.wrong})
    tf.saved_model.save(module, str(tmp_path / "other"), signatures={"draw": module.sample})
    tf.saved_model.save(module, str(tmp_path / "labels"), signatures={"sample": module.of_labels})
    classifier = GlimpseClassifier(image_shape=(8, 8, 1), num_classes=3, glimpses=1, hidden=4, read_size=2)
    pixels = GatedPixelCNN(image_shape=(4, 4, 1), levels=4, width=4, depth=1, first_kernel_size=3, embedding_dim=2)
    cases = [
        (lambda: metrics.SavedModelGenerator(tmp_path / "labels"), "takes labels, which .*tfgen.json does not declare"),
        (lambda: metrics.RunGenerator(pixels), "has values in turn; received the field 'embedding'"),
        (lambda: metrics.SavedModelGenerator(tmp_path / "wrong"), r"must take seeds.*it takes \['z'\]"),
        (lambda: metrics.SavedModelGenerator(tmp_path / "other"), r"no signature 'sample'; it has \['draw'\]"),
        (lambda: metrics.SavedModelGenerator(tmp_path), "is not a SavedModel"),
        (lambda: metrics.SavedModelGenerator(tmp_path / "nowhere"), "is not a SavedModel"),
        (lambda: metrics.RunGenerator(vae, batch_norm="batch"), "of Small must be one of moving; received 'batch'"),
        (lambda: metrics.RunGenerator(vae, batch_norm="best"), "must be one of moving; received 'best'"),
        (lambda: metrics.RunGenerator(classifier), "GlimpseClassifier is not a sampler; its capabilities are: classifier"),
        (lambda: metrics.Samples(generator, -1), "seed must be in"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()


def test_every_class_in_turn(tmp_path):
    model = DCGAN(image_shape=(8, 8, 1), latent_dim=3, num_classes=3, width=4, stages=1)
    model.compile()
    exported = metrics.SavedModelGenerator(export_saved_model(model, tmp_path, warmup=False))
    assert [field.argument for field in exported.conditions] == ["labels"]
    expected = model.sample(5, seed=2, labels=[0, 1, 2, 0, 1]).numpy()
    for generator in (exported, metrics.RunGenerator(model)):
        np.testing.assert_allclose(metrics.Samples(generator, 2)(2, 5), expected[2:], atol=1e-5)


class OfEmbeddings(tf.Module):
    """Images that hold the embedding and the class that they were made of."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, name="seeds"),
                                  tf.TensorSpec([None, 2], tf.float32, name="embedding"),
                                  tf.TensorSpec([None], tf.int32, name="labels")])  # fmt: skip
    def sample(self, seeds, embedding, labels):
        parts = [embedding, tf.cast(labels, tf.float32)[:, None] / 4.0, tf.zeros([tf.size(seeds), 1])]
        return {"image": tf.reshape(tf.concat(parts, axis=1), [-1, 2, 2, 1])}


def test_conditions_that_are_not_classes_are_those_of_real_images(tmp_path):
    embeddings, labels = np.random.default_rng(0).random((5, 2), dtype=np.float32), [0, 1, 2, 3, 3]
    real = data.from_arrays(np.zeros((5, 2, 2, 1), np.uint8), labels, fields={"embedding": embeddings})
    module, path = OfEmbeddings(), tmp_path / "model"
    tf.saved_model.save(module, str(path), signatures={"sample": module.sample})
    (path / "assets.extra").mkdir()
    conditions = [fields.vector("embedding", 2), fields.label(4)]
    (path / "assets.extra" / "tfgen.json").write_text(json.dumps({"conditions": [field.config() for field in conditions]}))
    generator = metrics.SavedModelGenerator(path, real)
    images = generator.images(3, 0, 12)
    rows = [int(np.argmin(np.abs(embeddings - image.ravel()[:2]).sum(axis=1))) for image in images]
    np.testing.assert_allclose(images[:, 0, :, 0], embeddings[rows], atol=1e-6)
    np.testing.assert_allclose(images[:, 1, 0, 0] * 4, np.array(labels)[rows])  # of the same example
    assert sorted(rows[:5]) == [0, 1, 2, 3, 4] and rows[5:10] == rows[:5] and rows[10:] == rows[:2]
    np.testing.assert_array_equal(generator.images(3, 4, 7), images[4:7])
    with pytest.raises(ValueError, match="has values in turn; received the field 'embedding'"):
        metrics.SavedModelGenerator(path)
    without = data.from_arrays(np.zeros((5, 2, 2, 1), np.uint8), labels)
    with pytest.raises(ValueError, match="The generator needs the field 'embedding'"):
        metrics.SavedModelGenerator(path, without)


def test_a_model_in_memory_takes_the_conditions_of_real_images():
    model = GatedPixelCNN(image_shape=(4, 4, 1), levels=4, width=4, depth=1, first_kernel_size=3, embedding_dim=2)
    embeddings = np.random.default_rng(0).random((3, 2), dtype=np.float32)
    real = data.from_arrays(np.zeros((3, 4, 4, 1), np.uint8), fields={"embedding": embeddings})
    order = np.random.default_rng(0).permutation(3)[[0, 1, 2, 0]]
    found = metrics.RunGenerator(model, real=real).images(1, 0, 4)
    np.testing.assert_allclose(found, model.sample(4, seed=1, embedding=embeddings[order]), atol=1e-6)


def test_imitated_images():
    source = data.from_arrays(np.array([0, 127, 128, 255], np.uint8).reshape(1, 2, 2, 1), [0], split="test")
    assert metrics.imitated(source, None) is source and metrics.imitated(source, "dynamic") is source
    binary = metrics.imitated(source, "threshold")
    np.testing.assert_array_equal(binary.images().ravel(), [0, 0, 1, 1])
    assert (binary.split, binary.levels, binary.num_classes) == ("test", 2, 1)
    json.dumps(binary.name)
