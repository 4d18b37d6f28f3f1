"""Two logical CPU devices for the distribution tests, set before TensorFlow starts; quiet logs."""

import collections
import itertools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import tfgen  # noqa: F401, E402, I001 (before TensorFlow: it sets what TensorFlow reads at import)
import keras  # noqa: E402
import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


def pytest_collection_modifyitems(items):
    """Where the suite runs in several processes, a file runs in one of them; of the conformance suite, a model's tests."""
    for item in items:
        case = item.callspec.params.get("case", "") if hasattr(item, "callspec") else ""
        shared = case and item.path.parent.name == "conformance"  # one model's tests are in several files
        item.add_marker(pytest.mark.xdist_group(f"{'conformance' if shared else item.nodeid.split('::')[0]}-{case}"))


def pytest_terminal_summary(terminalreporter):
    """Where the time went: seconds of the tests of each folder, of all processes together."""
    seconds, tests = collections.Counter(), collections.Counter()
    for report in itertools.chain.from_iterable(terminalreporter.stats.values()):
        if hasattr(report, "duration"):
            folder = report.nodeid.split("::")[0].rpartition("/")[0]
            seconds[folder] += report.duration
            tests[folder] += report.when == "call"
    terminalreporter.section("time per folder")
    for folder, time in seconds.most_common():
        terminalreporter.write_line(f"{time:8.1f} s  {tests[folder]:5d} tests  {folder}")
    terminalreporter.write_line(f"{seconds.total():8.1f} s  {tests.total():5d} tests")


@pytest.fixture(autouse=True)
def _fresh_keras():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's 8x8 digits: (images float32 [1797, 8, 8, 1] in [0, 1], labels int32 [1797])."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images[..., None] / 16.0).astype("float32"), data.target.astype("int32")
