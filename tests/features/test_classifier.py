"""A data set's classifier as frozen features, from memory and from its file."""

import json

import numpy as np
import pytest

from tfgen import data, features, metrics
from tfgen.features import of_classifier


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    images = np.clip((labels[:, None, None, None] + rng.uniform(0.2, 0.8, (60, 8, 8, 1))) / 2, 0, 1)
    source = data.from_arrays((images * 255).astype(np.uint8), labels, name="tiny")
    folder = tmp_path_factory.mktemp("classifier")
    return metrics.train_classifier(source, source, epochs=1, batch_size=20, workdir=folder), folder, source


def test_layers_are_those_of_the_classifier(trained):
    classifier, folder, source = trained
    images = source.images(5)
    frozen = of_classifier(classifier, ("relu_0", "features", "logits"))
    found = frozen(images)
    assert found["relu_0"].shape == (5, 8, 8, 16)
    for name, expected in zip(("features", "logits"), classifier.outputs(images), strict=True):
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-6)
    assert of_classifier(folder, ("relu_0", "features", "logits")).fingerprint == frozen.fingerprint


def test_made_again_from_the_folder(trained):
    _, folder, source = trained
    frozen = of_classifier(folder)
    config = json.loads(json.dumps(frozen.get_config()))
    assert config["arguments"] == {"classifier": str(folder), "layers": ["features"]}
    again = features.deserialize(config)
    np.testing.assert_array_equal(again(source.images(3))["features"], frozen(source.images(3))["features"])
    gone = features.deserialize({**config, "arguments": {**config["arguments"], "classifier": "no/such/folder"}})
    with pytest.raises(ValueError, match="is missing: .*no/such/folder"):
        gone(source.images(1))
