"""Two logical CPU devices for the distribution tests, set before TensorFlow starts; quiet logs."""

import collections
import itertools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import tfgen  # noqa: F401, E402, I001 (before TensorFlow: it sets what TensorFlow reads at import)
import pytest  # noqa: E402
import tensorflow as tf  # noqa: E402

from tests.seeds import set_seed  # noqa: E402

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
tf.random.set_seed(0)


def group(nodeid):
    """Tests of one group share fixtures and run in one process: those of a file; of the conformance suite, of a model."""
    file, _, test = nodeid.partition("::")
    folder = file.rpartition("/")[0]
    parameters = test.partition("[")[2].removesuffix("]")
    return f"{folder} {parameters}" if folder == "tests/conformance" and parameters else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Groups by hand: with pytest 9.2 the groups of pytest-xdist 3.8, `--dist loadgroup`, fall apart without a word."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group(nodeid)

    return Scheduling(config, log)


def pytest_addoption(parser):
    parser.addoption("--part", help="I/N: every N-th group of tests, from the I-th on, in processes that end with them")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--part"):
        part, parts = map(int, config.getoption("--part").split("/"))
        groups = {name: i for i, name in enumerate(dict.fromkeys(group(item.nodeid) for item in items))}
        others = [item for item in items if groups[group(item.nodeid)] % parts != part - 1]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if groups[group(item.nodeid)] % parts == part - 1]


def pytest_terminal_summary(terminalreporter):
    """Where the time went: seconds of the tests of each folder and of the slowest models, of all processes together."""
    seconds, tests, models, processes = collections.Counter(), collections.Counter(), collections.Counter(), {}
    for report in itertools.chain.from_iterable(terminalreporter.stats.values()):
        if hasattr(report, "duration"):
            name = group(report.nodeid)
            folder = report.nodeid.split("::")[0].rpartition("/")[0]
            seconds[folder] += report.duration
            tests[folder] += report.when == "call"
            processes.setdefault(name, set()).add(getattr(report, "worker_id", ""))
            if folder in name.split():
                models[name] += report.duration
    terminalreporter.section("time per folder")
    for folder, time in seconds.most_common():
        terminalreporter.write_line(f"{time:8.1f} s  {tests[folder]:5d} tests  {folder}")
    terminalreporter.write_line(f"{seconds.total():8.1f} s  {tests.total():5d} tests")
    for name, time in models.most_common(5):
        terminalreporter.write_line(f"{time:8.1f} s  {name}")
    for name in sorted(name for name, found in processes.items() if len(found) > 1):
        terminalreporter.write_line(f"{name} ran in several processes, which made its fixtures several times.", red=True)


@pytest.fixture(autouse=True)
def _fresh_keras():
    set_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _untuned_data():
    """Without TensorFlow 2.16's tuner of data sets, after which `fit` can stand still, see `tfgen.data.batches`."""
    options, iterate = tf.data.Options(), tf.data.Dataset.__iter__
    options.autotune.enabled = False
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.data.Dataset, "__iter__", lambda self: iterate(self.with_options(options)))
        yield


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's 8x8 digits: (images float32 [1797, 8, 8, 1] in [0, 1], labels int32 [1797])."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images[..., None] / 16.0).astype("float32"), data.target.astype("int32")
