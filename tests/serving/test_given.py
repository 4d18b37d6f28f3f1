"""The wire cases and golden replies that were given for this project, unedited, over the wire.

given/cases.json: requests and expected answers from TensorFlow Serving's own tests and sources (2.16.1).
given/json_golden.jsonl: request bodies with the replies of its JSON code, here of echo models.
"""

import hashlib
import json
import pathlib

import pytest

from tfgen_serving import conformance
from tfgen_serving.server import main

GIVEN = pathlib.Path(__file__).with_name("given")
SHA256 = {
    "cases.json": "b2fa27d23b5a92d9d439490870d031a4be90aef0474f1df5c234c6127678d828",
    "json_golden.jsonl": "3c7a9ceab157c190807686dba6fee87fd902f6d25594a763ca2eae65aed402d6",
}
CASES = {case["id"]: case for case in json.loads((GIVEN / "cases.json").read_text())["cases"]}
LINES = [json.loads(line) for line in (GIVEN / "json_golden.jsonl").read_text().splitlines()]
LIFECYCLE = [name for name, case in CASES.items() if case["kind"] == "lifecycle"]
REQUESTS = [name for name in CASES if name not in LIFECYCLE]


@pytest.fixture(scope="module")
def fixtures(tmp_path_factory):
    return conformance.build_fixtures(tmp_path_factory.mktemp("given") / "models")


@pytest.fixture(scope="module")
def server(fixtures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("config")
    (folder / "models.config").write_text(conformance.config_text(fixtures))
    (folder / "monitoring.config").write_text("prometheus_config { enable: true }")
    flags = [f"--model_config_file={folder}/models.config", f"--monitoring_config_file={folder}/monitoring.config"]
    with main.start(["--port=0", "--rest_api_port=0", *flags]) as running:
        # After the version is loaded: before that, a label on it is refused.
        labels = {"half_plus_two": {"stable": conformance.VERSION}}
        conformance.reload_config(running.grpc_port, conformance.config_text(fixtures, labels))
        assert conformance.predict_half(running.rest_port, "half_plus_two") == 3.0  # for the page of metrics
        yield running


@pytest.mark.parametrize("name", SHA256)
def test_given_files_are_unedited(name):
    assert hashlib.sha256((GIVEN / name).read_bytes()).hexdigest() == SHA256[name]


def test_there_are_100_cases_and_600_lines():
    assert (len(CASES), len(REQUESTS), len(LINES)) == (100, 93, 600)


@pytest.mark.parametrize("name", REQUESTS)
def test_given_case(name, server, fixtures):
    case = CASES[name]
    if case["kind"] == "rest":
        assert conformance.check_rest(case, server.rest_port) is None
    else:
        assert conformance.check_grpc(case, server.grpc_port, fixtures) is None


@pytest.mark.long  # each starts servers of its own, in other processes
@pytest.mark.parametrize("name", LIFECYCLE)
def test_given_case_of_the_life_of_a_server(name, fixtures, tmp_path):
    assert conformance.LIFECYCLE[name](conformance.OWN_SERVER, tmp_path, fixtures) is None


def test_golden_replies(tmp_path):
    config = conformance.golden_config(LINES, tmp_path)
    with main.start(["--port=0", "--rest_api_port=0", f"--model_config_file={config}"]) as running:
        outcome = conformance.check_golden(LINES, running.rest_port)
    wrong = {number: text for number, text in outcome.items() if text}
    assert len(outcome) == 600 and not wrong
