import pytest


@pytest.fixture(autouse=True)
def _fresh_keras():
    """Replaces the suite's reset of Keras (a second per test): nothing here uses Keras."""
