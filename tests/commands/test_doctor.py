"""`tfgen doctor`: what it says where something is wrong, and that it is quiet where nothing is."""

import builtins
import socket
import tempfile

import pytest

from tfgen_commands import doctor
from tfgen_commands.main import main


def found(look):
    return {finding.name: finding for finding in doctor._looked(look)}


def test_all_is_well_here(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "SECONDS", 0.1)
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    named = [line[6:30].strip() for line in lines if line.startswith(("ok ", "hint "))]
    for name in ("Python", "tensorflow", "keras", "CPU", "GPU", "tfgen serve", "cache", "disk", "memory", "training on CPU"):
        assert name in named
    assert lines[-1] == "Nothing is wrong."


def test_one_thing_that_is_wrong_is_enough(capsys, monkeypatch):
    def broken():
        """Says nothing, and fails."""
        yield doctor.Finding(doctor.OK, "before", "is said")
        raise RuntimeError("no such device\nand more")

    monkeypatch.setattr(doctor, "training", broken)
    assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert f"ok    {'before':24}is said" in out and out.endswith("Something is wrong: see above.\n")
    assert f"WRONG {'broken':24}no such device\n" in out and "RuntimeError while looking" in out


@pytest.mark.parametrize("version, good", [("2.16.2", True), ("2.21.0", True), ("2.22.0", False), ("2.15.1", False)])
def test_versions_of_tensorflow(monkeypatch, version, good):
    real = doctor.metadata.version
    monkeypatch.setattr(doctor.metadata, "version", lambda name: version if name == "tensorflow" else real(name))
    finding = found(doctor.packages)["tensorflow"]
    assert finding.state == (doctor.OK if good else doctor.WRONG)
    assert good or finding.advice == "tfgen needs tensorflow>=2.16,<2.22: pip install it."


def test_a_package_that_is_missing(monkeypatch):
    def version(name):
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    findings = found(doctor.packages)
    assert findings["keras"].state == doctor.WRONG and "tfx" not in findings  # which is an extra


def test_keras_2(monkeypatch):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")
    assert found(doctor.packages)["Keras"].state == doctor.WRONG


def test_a_folder_that_cannot_be_written(monkeypatch, tmp_path):
    def refuse(dir, **kwargs):  # as a file system that is mounted to be read; tests may run as root
        if str(dir) == str(tmp_path):
            raise OSError(30, "Read-only file system")
        return real(dir=dir, **kwargs)

    real = tempfile.TemporaryFile
    monkeypatch.setenv("TFGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    finding = found(doctor.folders)["cache"]
    assert finding.state == doctor.WRONG and "Read-only file system" in finding.found and "TFGEN_CACHE" in finding.advice
    assert not (tmp_path / "cache").exists()


def test_little_disk_and_memory(monkeypatch):
    monkeypatch.setattr(doctor, "DISK", float("inf"))
    monkeypatch.setattr(doctor, "MEMORY", float("inf"))
    assert {name: finding.state for name, finding in found(doctor.disk_and_memory).items()} == {
        "disk": doctor.HINT, "memory": doctor.HINT,
    }  # fmt: skip
    assert 0 < doctor.available_memory() < 1e15
    monkeypatch.setattr(doctor.pathlib.Path, "read_text", lambda path: builtins.open("/nowhere"))
    assert doctor.available_memory() is None
    assert "memory" not in found(doctor.disk_and_memory)


def test_a_port_in_use(monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setattr(doctor, "PORTS", (8500, port))
        finding = found(doctor.ports)[f"port {port}"]
    assert finding.state == doctor.HINT and "--rest_api_port=N" in finding.advice


def test_extras_that_are_missing(monkeypatch):
    monkeypatch.setattr(doctor.extras, "_is_installed", lambda name: name != "constriction")
    findings = found(doctor.optional)
    missing = findings["tfgen compress"]
    assert missing.state == doctor.HINT and "pip install 'tfgen[compression]'" in missing.found
    assert findings["tfgen serve"].found == "can run"
