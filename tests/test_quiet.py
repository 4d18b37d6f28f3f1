"""What is left out of the start-up, seen with a stand-in for TensorFlow."""

import os
import pathlib
import subprocess
import sys

import pytest

from tfgen import quiet

ROOT = pathlib.Path(__file__).resolve().parents[1]
# As TensorFlow 2.16 and 2.21 write them.
HARMLESS = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795914698.422036   22590 port.cc:153] oneDNN custom operations are on. You may see slightly different results
2026-11-29 01:08:11.163836: E external/local_xla/xla/stream_executor/cuda/cuda_fft.cc:479] Unable to register cuFFT \
factory: Attempting to register factory for plugin cuFFT when one has already been registered
2026-11-29 01:08:11: I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary is optimized to use \
available CPU instructions in performance-critical operations.
To enable the following instructions: AVX2 AVX512F FMA, in other operations, rebuild TensorFlow with the appropriate flags.
2026-11-29 01:08:19: W tensorflow/compiler/tf2tensorrt/utils/py_utils.cc:38] TF-TRT Warning: Could not find TensorRT
"""
FAILURE = "F tensorflow/core/platform/cpu_feature_guard.cc:110] compiled to use AVX instructions\\xff\\n"


@pytest.fixture
def start(tmp_path):
    """A function (code of a stand-in for TensorFlow, environment) -> the process that imports it after tfgen."""

    def start(then="", code="import tfgen, tensorflow, os; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])", **environment):
        (tmp_path / "tensorflow.py").write_text(
            f"import os\nos.write(2, {HARMLESS!r}.encode())\nos.write(2, '{FAILURE}'.encode('latin-1'))\n{then}"
        )
        environment = {name: value for name, value in os.environ.items() if name != quiet.LEVEL} | environment
        environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(ROOT)])
        run = [sys.executable, "-c", code]
        return subprocess.run(run, env=environment, capture_output=True, encoding="latin-1", cwd=tmp_path)

    return start


FAILURE_SHOWN = FAILURE.encode().decode("unicode_escape")


def test_harmless_lines_are_left_out_and_others_are_shown(start):
    run = start()
    assert run.returncode == 0 and run.stderr == FAILURE_SHOWN
    assert run.stdout.strip() == ("1" if quiet._has_gpu() else "3")


def test_the_level_of_the_user_wins(start):
    run = start(TF_CPP_MIN_LOG_LEVEL="0")
    assert run.stdout.strip() == "0" and run.stderr == HARMLESS + FAILURE_SHOWN


def test_a_crash_and_an_error_say_their_reason(start):
    run = start(then="os.abort()")
    assert run.returncode < 0 and run.stderr == FAILURE_SHOWN
    run = start(then="raise ImportError('a library is missing')")
    assert run.stderr.startswith(FAILURE_SHOWN) and "ImportError: a library is missing" in run.stderr


def test_missing_drivers_are_harmless_where_there_is_no_gpu_alone(start, tmp_path):
    line = f"I0000 cudart_stub.cc:31] {quiet.NO_DRIVERS}.\n"
    code = "from tfgen import quiet; import sys; quiet.DEVICES = (sys.argv[1],); import tensorflow"
    for device, shown in (("/nowhere", ""), (str(tmp_path), line)):
        run = start(then=f"os.write(2, {line!r}.encode())", code=code.replace("sys.argv[1]", repr(device)))
        assert run.stderr == FAILURE_SHOWN + shown


@pytest.mark.long
def test_nothing_is_written_when_the_models_are_imported():
    environment = {name: value for name, value in os.environ.items() if name not in (quiet.LEVEL, "PYTHONWARNINGS")}
    command = [sys.executable, "-c", "import tfgen.models"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0 and run.stderr == ""


def test_memory_of_gpus_grows_with_the_need_unless_the_user_says_otherwise():
    code = "import tfgen, os; print(os.environ['TF_FORCE_GPU_ALLOW_GROWTH'])"
    unset = {name: value for name, value in os.environ.items() if name != "TF_FORCE_GPU_ALLOW_GROWTH"}
    for given, expected in ({}, "true"), ({"TF_FORCE_GPU_ALLOW_GROWTH": "false"}, "false"):
        run = [sys.executable, "-c", code]
        found = subprocess.run(run, env={**unset, **given, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
        assert found.stdout.strip() == expected, found.stderr
