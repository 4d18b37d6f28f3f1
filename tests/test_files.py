"""Atomic writes of .keras files."""

import os

import pytest

from tfgen import files


class Model:
    """A model whose file is a text; `fails`: saving stops half way."""

    def __init__(self, text, fails=False):
        self.text, self.fails = text, fails

    def save(self, path):
        self.path = path
        path.write_text(self.text[:3] if self.fails else self.text)
        if self.fails:
            raise KeyboardInterrupt


def test_a_keras_file_is_the_old_one_or_the_new_one(tmp_path):
    path = tmp_path / "folder/model.keras"
    files.save_keras(Model("the old one"), path)
    broken = Model("the new one", fails=True)
    with pytest.raises(KeyboardInterrupt):
        files.save_keras(broken, path)
    assert path.read_text() == "the old one" and list(path.parent.iterdir()) == [path]
    files.save_keras(Model("the new one"), path)
    assert path.read_text() == "the new one" and list(path.parent.iterdir()) == [path]


def test_two_processes_do_not_write_one_temporary_file(tmp_path, monkeypatch):
    """Else one could rename what the other has half written."""
    first, second = Model("one"), Model("two")
    files.save_keras(first, tmp_path / "model.keras")
    monkeypatch.setattr(os, "getpid", lambda: 1)
    files.save_keras(second, tmp_path / "model.keras")
    assert first.path != second.path
    assert all(model.path.suffix == ".keras" and model.path.name.startswith(".") for model in (first, second))


def test_a_keras_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    path, seen = tmp_path / "model.keras", []
    monkeypatch.setattr(files, "to_disk", lambda flushed: seen.append((flushed, path.exists())))
    model = Model("one")
    files.save_keras(model, path)
    assert seen == [(model.path, False), (tmp_path, True)]
