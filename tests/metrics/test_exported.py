"""An exported model is asked by the names of fields; its capabilities are told from its signatures."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.export import export_saved_model
from tfgen.metrics import ExportedModel
from tfgen.models import GatedPixelCNN, GlimpseClassifier
from tfgen.models.capabilities import Classifier, Completer, Likelihood, Sampler


@pytest.fixture(scope="module")
def pixels(tmp_path_factory):
    model = GatedPixelCNN(image_shape=(4, 4, 1), levels=4, num_classes=3, width=4, depth=1, first_kernel_size=3)
    model.compile()
    path = export_saved_model(model, tmp_path_factory.mktemp("pixels"), warmup=False, metadata={"dequantize": True})
    return model, ExportedModel(path)


def test_metadata_of_an_export(pixels):
    _, exported = pixels
    assert exported.capabilities == (Sampler, Likelihood, Completer)
    assert exported.image_shape == (4, 4, 1) and exported.weights == "raw"
    assert exported.dequantize and exported.binarization is None
    assert [(field.name, field.high) for field in exported.conditions] == [("label", 2)]


def test_signatures_are_called_with_the_names_of_fields(pixels):
    model, exported = pixels
    images = np.random.default_rng(0).integers(0, 4, (2, 4, 4, 1)).astype("float32") / 3.0
    batch = {"image": images, "label": np.int32([2, 0]), "more": np.zeros(2)}
    found = exported.ask("log_prob", batch)
    np.testing.assert_allclose(found["log_prob"], model.log_prob(images, labels=[2, 0]), rtol=1e-5)
    assert exported.missing("log_prob", batch) == [] and exported.missing("log_prob", {"image": images}) == ["labels"]
    assert exported.missing("sample", {"label": 0}) == []
    assert exported.missing("complete", batch) == ["mask"]


def test_no_sampler(tmp_path):
    model = GlimpseClassifier(image_shape=(8, 8, 1), num_classes=3, glimpses=1, hidden=4, read_size=2)
    model.compile()
    exported = ExportedModel(export_saved_model(model, tmp_path, warmup=False).parent)
    assert exported.path.name == "1" and exported.capabilities == (Classifier,)
    images = np.random.default_rng(0).random((2, 8, 8, 1)).astype("float32")
    probability = exported.ask("classify", {"image": images})["probability"]
    np.testing.assert_allclose(probability, tf.nn.softmax(model.class_logits(images)), rtol=1e-5)


def test_the_image_shape_of_a_foreign_saved_model_is_unknown(tmp_path):
    module = tf.Module()
    module.f = tf.function(lambda image: {"probability": image}, input_signature=[tf.TensorSpec([None, 2], name="image")])
    tf.saved_model.save(module, str(tmp_path / "m"), signatures={"classify": module.f})
    with pytest.raises(ValueError, match="image shape of .* is unknown: .*tfgen.json is missing"):
        _ = ExportedModel(tmp_path / "m").image_shape
