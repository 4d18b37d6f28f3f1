"""The TFX Trainer's `run_fn`: transformed examples in, SavedModel out."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import shutil
import tempfile
import typing

import numpy as np
import tensorflow as tf

import tfgen
from tfgen import progress
from tfgen.export import export_saved_model
from tfgen_trainers import workers
from tfgen_trainers.train import TrainConfig, export_metadata, run_name, train

if typing.TYPE_CHECKING:
    from tfx.components import FnArgs


def run_fn(fn_args: FnArgs) -> None:
    """Trains a preset on the materialised examples of Transform and exports it for serving.

    Keys of `fn_args.custom_config`: `preset` (name), `data` (`Source.description` of the data set; without it the records
    are read by `from_tfrecords`; a model that draws of texts is exported with the encoder in its file `text_encoder`),
    `overrides` ({name: value}), `workdir` (a folder that is kept after the execution; the run folder in it is named by
    configuration and data, so an interrupted training continues), `seed`, `steps`,
    `mixed_precision`, the intervals of `TrainConfig`, `code` (a hash of the code: changed code starts a new run), and
    `resolved` (the preset with all overrides; only part of TFX's cache key).

    Where TF_CONFIG names several workers, each of them calls this function, with the same `workdir`, and the chief exports.

    Raises:
        ValueError: an unknown key of custom_config, an unknown preset or override, or no `preset`; `text_encoder` is no
            file of an encoder, or not the one that made the vectors of the captions.
    """
    workers.strategy()  # before TensorFlow is used
    settings = dict(fn_args.custom_config or {})
    root, code = settings.pop("workdir", None) or fn_args.model_run_dir, settings.pop("code", "")
    description = settings.pop("data", None)
    settings.pop("resolved", None)
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    if "preset" not in settings or set(settings) - known:
        raise ValueError(
            f"custom_config needs 'preset' and may have data, workdir, code, {', '.join(sorted(known))}; has "
            f"{sorted(settings)}."
        )
    config = TrainConfig(**{name: value for name, value in settings.items() if value is not None})
    files = [file for pattern in fn_args.train_files for file in sorted(tf.io.gfile.glob(pattern))]
    source = tfgen.data.described(files, description) if description else tfgen.data.from_tfrecords(files)
    encoder = _text_encoder((description or {}).get("text_encoder"), source)
    result = train(config, source, pathlib.Path(root) / run_name(config, source, code), report=progress.LOGGER.info)
    if (worker := workers.mine()) is not None and not worker.is_chief:
        return

    if encoder is not None and hasattr(result.model, "text_encoder"):
        result.model.text_encoder = encoder
    record = json.loads((result.workdir / "config.json").read_text())
    serving = pathlib.Path(fn_args.serving_model_dir)
    # Written to a sibling of serving_model_dir and then renamed: TFX expects a complete model there, or none.
    serving.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(_Folder(tempfile.mkdtemp(dir=serving.parent))) as folder:
        version = export_saved_model(
            result.model, folder.path, version=1, class_names=record.get("class_names"), metadata=export_metadata(record)
        )
        if serving.exists():
            shutil.rmtree(serving)
        version.replace(serving)
    logs = pathlib.Path(fn_args.model_run_dir)
    shutil.copytree(result.workdir / "tensorboard", logs, dirs_exist_ok=True)
    if (result.workdir / "samples").exists():
        shutil.copytree(result.workdir / "samples", logs / "samples", dirs_exist_ok=True)
    (logs / "history.json").write_text(json.dumps(result.history))


def _text_encoder(path, source):
    """The encoder in a file, which may have been replaced: it must give the captions of `source` their vectors."""
    if path is None:
        return None
    encoder = tfgen.features.load_text_encoder(path)
    if "caption" in source.stored_fields:
        few = source.take(min(100, len(source)))
        found = encoder(tfgen.features.to_sentences(few.values("caption")))
        given = few.values("embedding")
        if found.shape != given.shape or not np.allclose(found, given, atol=1e-3):
            raise ValueError(f"text_encoder {path} is not the one that made the vectors of {source!r}.")
    return encoder


@dataclasses.dataclass
class _Folder:
    path: str

    def close(self):
        shutil.rmtree(self.path, ignore_errors=True)
