import pytest

from tfgen import data, metrics


@pytest.fixture(autouse=True)
def _fresh_keras():
    """Replaces the suite's reset of Keras (a second per test): nothing here reads Keras' global state."""


@pytest.fixture(scope="session")
def sources():
    """(train, test) of scikit-learn's digits."""
    return data.load("digits", "train"), data.load("digits", "test")


@pytest.fixture(scope="session")
def classifier(sources, tmp_path_factory):
    """A short training on the real digits; saved in `classifier.folder`."""
    folder = tmp_path_factory.mktemp("classifier")
    trained = metrics.train_classifier(*sources, epochs=10, workdir=folder)
    trained.folder = folder
    return trained
