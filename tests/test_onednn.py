"""The choice of CPU kernels, which TensorFlow reads once; so most of it is seen in processes of its own."""

import json
import os
import subprocess
import sys

import pytest

from tfgen import onednn, presets
from tfgen_trainers.train import TrainConfig, train


def choice(code, **variables):
    """The value of the variable after `code` in a new process without TensorFlow."""
    environment = {name: value for name, value in os.environ.items() if name != onednn.VARIABLE} | variables
    code = f"import os, sys; sys.modules['tensorflow'] = None; del sys.modules['tensorflow']\n{code}"
    code += f"\nassert 'tensorflow' not in sys.modules\nprint(os.environ.get({onednn.VARIABLE!r}))"
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.skipif(not onednn.supported(), reason="TensorFlow has oneDNN for x86 CPUs only")
def test_it_is_chosen_by_the_preset_before_tensorflow_starts(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"onednn": False}))
    code = (
        "from tfgen import onednn\nfor presets in ([], ['vae/digits'], ['dcgan/digits'], ['vae/digits', 'dcgan/digits']):\n"
        "    os.environ.pop(onednn.VARIABLE, None); onednn.choose(presets); print(os.environ.get(onednn.VARIABLE))\n"
    )
    assert choice(code).split()[:4] == ["1", "None", "1", "1"]
    (tmp_path / "b").mkdir()
    runs = [str(tmp_path), str(tmp_path / "b"), str(tmp_path / "nowhere")]
    assert choice(f"from tfgen import onednn; onednn.choose(['dcgan/digits'], {runs!r})") == "0"
    (tmp_path / "b" / "config.json").write_text(json.dumps({"onednn": True}))  # runs that differ do not decide
    assert choice(f"from tfgen import onednn; onednn.choose(['dcgan/digits'], {runs!r})") == "1"
    (tmp_path / "config.json").write_text("{}")  # of an older version, which did not choose
    assert choice(f"from tfgen import onednn; onednn.choose(['vae/digits'], {runs!r})") == "None"
    assert choice(f"from tfgen import onednn; onednn.choose(['dcgan/digits'], {runs!r})") == "None"
    (tmp_path / "config.json").write_text(json.dumps({"onednn": False}))
    assert choice(f"from tfgen import onednn; onednn.choose(['vae/digits'], {runs[:1]!r})") == "0"
    assert choice("from tfgen import onednn; onednn.choose(['dcgan/digits'])", **{onednn.VARIABLE: "0"}) == "0"


@pytest.mark.skipif(not onednn.supported(), reason="TensorFlow has oneDNN for x86 CPUs only")
def test_the_command_chooses():
    code = "from tfgen_commands.main import main\ntry:\n    main(['train', '--preset', {0!r}])\nexcept SystemExit: pass"
    assert choice(code.format("draw/digits")) == "None"
    assert choice(code.format("dcgan/digits")) == "1"


@pytest.mark.skipif(not onednn.supported(), reason="TensorFlow has oneDNN for x86 CPUs only")
@pytest.mark.parametrize(
    ("module", "code", "value"),
    [
        ("tfx", "from tfgen_pipelines import local; local.main(['--data', 'x', '--preset', 'vae/digits'])", "None"),
        ("tfx", "from tfgen_pipelines import local; local.demo([])", "1"),
        ("tensorflow_serving", "import tfgen_serving.server.main", "1"),
        ("tfgen", "import tfgen_trainers.train", "1"),
    ],
)
def test_applications_choose_before_they_import_tensorflow(module, code, value):
    """The blocked import of TensorFlow ends each at the place where it comes."""
    pytest.importorskip(module)
    block = "class Block:\n    def find_spec(self, name, *_):\n        if name == 'tensorflow': raise ImportError(name)\n"
    code = f"{block}sys.meta_path.insert(0, Block())\ntry:\n    {code}\nexcept ImportError: pass"
    assert choice(code) == value


@pytest.mark.long
def test_dense_presets_have_no_convolution():
    without = ("adain/", "deepsim/", "dfc-vae/", "dgn-am/", "fast-style-transfer/", "igan/", "ppgn/")
    for name in presets.names():
        if name.startswith(without) or (name.endswith(("-code", "-paper")) and not onednn.is_dense(name)):
            continue  # some need files, or have convolutions in frozen networks; those of papers are slow to build
        convolutions = [v.path for v in presets.get(name).build().trainable_variables if len(v.shape) == 4]
        assert onednn.is_dense(name) == (not convolutions), name


def test_patterns_name_presets():
    for pattern in onednn.DENSE:
        assert any(onednn.fnmatch.fnmatchcase(name, pattern) for name in presets.names()), pattern


def test_a_run_keeps_its_choice(digits, tmp_path):
    from tfgen import data

    source = data.from_arrays(*digits).subset(range(40))
    config = TrainConfig("vae/digits", overrides={"hidden": (4,), "batch_size": 10}, steps=2)
    train(config, source, tmp_path, report=None)
    path = tmp_path / "config.json"
    record = json.loads(path.read_text())
    assert record["onednn"] is onednn.enabled()
    path.write_text(json.dumps({**record, "onednn": not onednn.enabled()}))
    with pytest.raises(ValueError, match=f"{onednn.VARIABLE}={int(not onednn.enabled())} before TensorFlow"):
        train(config, source, tmp_path, report=None)


def test_hint_comes_once_where_it_helps(monkeypatch, caplog):
    monkeypatch.delenv(onednn.VARIABLE, raising=False)
    monkeypatch.setattr(onednn, "_hinted", False)
    monkeypatch.setattr(onednn, "enabled", lambda: False)
    monkeypatch.setattr(onednn, "supported", lambda: True)
    onednn.hint(False)
    assert not caplog.records
    presets.get("dcgan/digits").build()
    presets.get("dcgan/digits").build()
    assert [onednn.VARIABLE in record.getMessage() for record in caplog.records] == [True]
