"""Data sets by name: `load` for every kind, and `from_tfds` for TensorFlow Datasets, by default without download."""

import contextlib
import difflib
import functools
import inspect
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from absl import logging

from tfgen import fields as declared
from tfgen import settings
from tfgen.data.binarized_mnist import binarized_mnist
from tfgen.data.captions import captioned, named_classes
from tfgen.data.clips import clip_folders, from_clips
from tfgen.data.coloured_digits import coloured_digits
from tfgen.data.crops import crops
from tfgen.data.factors import coil20
from tfgen.data.folder import from_folder, from_folders, image_folders, side_by_side
from tfgen.data.image_files import check_options
from tfgen.data.label_maps import from_label_maps, label_map_folders
from tfgen.data.modified import modified_classes
from tfgen.data.moving_digits import moving_digits
from tfgen.data.records import Records, from_tfrecords
from tfgen.data.rendered_views import rendered_views
from tfgen.data.source import Source, build_source, from_arrays
from tfgen.data.textures import textured
from tfgen.data.translations import domains, edge_pairs, quadrant_pairs, segment_maps
from tfgen.data.turntables import coil20_views
from tfgen.data.unpaired import from_unpaired, unpaired, unpaired_folders
from tfgen.data.usps import usps
from tfgen.progress import Progress
from tfgen.settings import Channels, Levels, OnError, Resize, Size

# What begins with "KIND:" and a path: (function, the arguments that name its files). `load` adds the options.
_OF_FILES: dict[str, tuple[Callable[..., Source], Callable]] = {
    "folder": (from_folder, lambda path, split: {"path": path}),
    "folders": (from_folders, lambda path, split: image_folders(path)),
    "pairs": (side_by_side, lambda path, split: {"path": path}),
    "unpaired": (from_unpaired, unpaired_folders),
    "styles": (
        functools.partial(from_unpaired, second="style"), functools.partial(unpaired_folders, second="style")
    ),
    "clips": (from_clips, clip_folders),
    "label_maps": (from_label_maps, label_map_folders),
    "crops": (crops, lambda path, split: {"photos": path}),
}
FOLDERS = tuple(_OF_FILES)
# Arguments of these functions that are no options: folders, and arguments of `load`.
_GIVEN = ("image", "other", "frames", "label_map", "target", "instances", "split", "in_memory", "second")
# What begins with "KIND:" and the name of another data set: the function that makes the one of the other.
_MADE: dict[str, Callable[..., Source]] = {
    "edges": edge_pairs,
    "quadrants": quadrant_pairs,
    "segments": segment_maps,
    "inverted": functools.partial(domains, other="inverted"),
    "tinted": functools.partial(domains, other="tinted"),
    "moving": moving_digits,
    "coloured": coloured_digits,
    "modified": modified_classes,
    "captioned": captioned,
    "named": named_classes,
    "outlined": functools.partial(domains, other="edges"),
    "textured": textured,
}


def default_data_dir():
    """The folder of prepared TFDS data sets: $TFGEN_DATA_DIR, else ~/.cache/tfgen/tfds."""
    return os.environ.get("TFGEN_DATA_DIR") or os.path.join(os.path.expanduser("~"), ".cache", "tfgen", "tfds")


def load(spec: str, split: str | None = "train", *, in_memory: bool | None = None, **options) -> Source:
    """Loads a Source by name.

    Example:
        >>> source = tfgen.data.load("digits")
        >>> len(source), source.image_shape, source.num_classes
        (1400, (8, 8, 1), 10)
        >>> tfgen.data.load("inverted:digits", "test").fields["target"].shape
        (8, 8, 1)

    Args:
      spec: "digits" (scikit-learn's, nothing is downloaded or written); "binarized_mnist" and "usps" (from `manual_dir`, see
        `tfgen.data.binarized_mnist` and `tfgen.data.usps`); "rendered_shapes" (rendered, no files) and "coil20" (from
        `manual_dir`), both a `tfgen.data.FactorSource`; the name of a tensorflow-datasets image data set such as "mnist" or
        "emnist/letters"; "tfrecord:/glob", in which "{split}" stands for the split; the path of an existing folder. If a
        folder has the name of a tensorflow-datasets data set, the data set is loaded; write "./mnist" for the folder. Other
        files:

        - "folder:/path": images (see `tfgen.data.from_folder`); "crops:/path": random crops of photos (`crops`)
        - "folders:/path": sub-folders `image`, `target`, `mask`, ... with files of the same names (`from_folders`)
        - "pairs:/path": files of two pictures side by side (`side_by_side`)
        - "unpaired:/path": sub-folders `image` and `other`, or trainA, trainB, testA and testB (`from_unpaired`);
          "unpaired:DATA+DATA", such as "unpaired:mnist+usps": two data sets, each with the options that it takes
        - "styles:/path": sub-folders `image` and `style` (`from_unpaired` with second="style")
        - "clips:/path": a folder of frames for each clip, or sub-folders `frames` and `target` of them (`from_clips`)
        - "label_maps:/path": sub-folders `label_map`, `target` and `instances` (`from_label_maps`)

        Translations that are made of another data set, such as "edges:mnist": "edges:DATA" (`edge_pairs`), "quadrants:DATA"
        (`quadrant_pairs`), "segments:DATA" (`segment_maps`), "inverted:DATA", "tinted:DATA" and "outlined:DATA" (`domains`),
        "coloured:DATA" (`coloured_digits`), "textured:DATA" (`textured`), "moving:DATA" (`moving_digits`), "captioned:DATA"
        (`captioned`), "named:DATA" (`named_classes`). Classes beside modified ones: "modified:DATA" (`modified_classes`).
        Views of objects: "rendered_views" (`rendered_views`, without files), "coil20_views" (`coil20_views`, from
        `manual_dir`).
      split: "train", "test", ...; for TFDS also slices such as "train[:80%]".
      in_memory: False reads images from files when they are needed, see `from_folder`.
      **options: the options of the function that makes the Source. None means the option's default.

    Raises:
      ValueError: unknown spec, split or option; the message lists the known ones.
    """
    spec = os.fspath(spec)
    options = {k: v for k, v in options.items() if v is not None}
    kind, colon, rest = spec.partition(":")
    kind = kind if colon else ""  # of "folder", as of every other word, the folder of this name
    if kind in (*_OF_FILES, *_MADE, "tfrecord") and not rest.strip():  # for the system that is the current folder
        what = "DATA, the name of another data set" if kind in _MADE else "PATH"
        raise ValueError(f"data must be {kind}:{what}; received {spec!r}")
    of_files: dict[str, Any] = {} if in_memory is None else {"in_memory": in_memory}
    if kind in _MADE:
        make = _MADE[kind]
        own = {k: options.pop(k) for k in _own_options(make) if k in options}
        return make(load(rest, split, in_memory=in_memory, **options), **own)
    if kind == "unpaired" and rest.count("+") == 1 and not os.path.isdir(os.path.expanduser(rest)):
        names = rest.split("+")
        for name in names:
            path, is_path = os.path.expanduser(name), (os.sep in name or name[:1] in ("~", ".")) and ":" not in name
            if is_path and not os.path.isdir(path) and not _known(name):  # some of tfds' names have a "/"
                raise ValueError(f"{spec!r}: there is no folder {path}, and no folder {os.path.expanduser(rest)}")
        taken = [_taken(name, options) for name in names]
        if unknown := sorted(set(options).difference(*taken)):
            raise ValueError(f"{spec!r}: neither of the two data sets takes the options {unknown}")
        sides = zip(names, taken, strict=True)
        return unpaired(*(load(n, split, in_memory=in_memory, **{k: options[k] for k in of}) for n, of in sides))
    if kind in _OF_FILES:
        function, find = _OF_FILES[kind]
        options = _checked(options, function, spec)
        if "in_memory" in inspect.signature(function).parameters:
            options.update(of_files)
        return function(**{"split": split, **find(rest, split)}, **options)
    if kind == "tfrecord":
        if "{split}" not in rest and split != "train":
            raise ValueError(
                f"{spec!r} names the same files for every split, so all of them are training data; received "
                f"split={split!r}. Put {{split}} into the pattern for the part of the file names that is the split"
            )
        options = _checked(options, from_tfrecords, spec)
        if split is None:
            raise ValueError(f"{spec!r} needs the name of a split; received None")
        return from_tfrecords(rest.replace("{split}", split), split=split, **options, **of_files)
    if spec == "digits" and "data_dir" not in options:
        _checked(options, _digits, spec)
        return _digits(split)
    if spec == "binarized_mnist":  # TFDS's version stores 1 as grey value 1 of 255, and must be downloaded
        return binarized_mnist(split, **_checked(options, binarized_mnist, spec))
    if spec == "usps":
        return usps(split, **_checked(options, usps, spec))  # type: ignore[arg-type]  # it says which splits there are
    if spec == "coil20":
        return coil20(split, **_checked(options, coil20, spec))
    if spec == "coil20_views":
        return coil20_views(split, **_checked(options, coil20_views, spec))  # type: ignore[arg-type]  # so does it
    if spec == "rendered_shapes" and "data_dir" not in options:
        from tfgen.data.rendered_shapes import rendered_shapes

        _checked(options, rendered_shapes, spec)
        return rendered_shapes(split)
    if spec == "rendered_views":
        _checked(options, rendered_views, spec)
        return rendered_views(split)  # type: ignore[arg-type]  # so does it
    if (os.sep in spec or spec in (".", "..") or spec.startswith("~")) and os.path.isdir(os.path.expanduser(spec)):
        return from_folder(spec, split=split, **_checked(options, from_folder, spec), **of_files)
    name = "sklearn_digits" if spec == "digits" else spec
    if _known(name):
        options = _checked(options, from_tfds, spec)
        if split is None:
            raise ValueError(f"{spec!r} needs the name of a split; received None")
        return from_tfds(name, split, **options, **of_files)
    if os.path.isdir(spec):
        return from_folder(spec, split=split, **_checked(options, from_folder, spec), **of_files)
    raise ValueError(
        f"unknown data set {spec!r}{_close(spec, ['digits', *_names()])} Expected 'digits', the name of a "
        "tensorflow-datasets image data set ('mnist', 'cifar10', ...), 'folder:/path', 'folders:/path', 'pairs:/path', "
        "'unpaired:/path', 'tfrecord:/glob', 'edges:' and the name of another data set, or an existing folder"
    )


def from_tfds(
    name: str, split: str = "train", *, data_dir: str | os.PathLike | None = None,
    manual_dir: str | os.PathLike | None = None, download: bool = False, size: Size | None = None,
    channels: Channels | None = None, resize: Resize = "center_crop", on_error: OnError = "raise",
    levels: Levels | None = None, in_memory: bool | None = None,
) -> Source:  # fmt: skip
    """A Source of a tensorflow-datasets image data set, in the order in which TFDS stores it.

    The Source has the image, the label if the data set has one, and these fields: `attributes` [A], if the data set has a
    dict of booleans of that name, such as the 40 of CelebA, in the order of `source.fields["attributes"].names` (sorted by
    name; for CelebA the order of its own file); and `target`, `mask` and `frames`, if the data set has images, or a video of
    a fixed length, of these names.

    A data set that is not prepared yet is prepared in `data_dir`: from the original files in `manual_dir`, or from the
    network if download=True. For MNIST, Fashion-MNIST and KMNIST `manual_dir` is a folder with the four .gz files under
    their original names; it may be read-only. TFDS checks their checksums.

    Example:
        mnist = tfgen.data.from_tfds("mnist", download=True)
        mnist = tfgen.data.from_tfds("mnist", "test", manual_dir="/data/mnist")  # a folder with the four .gz files
        faces = tfgen.data.from_tfds("celeb_a", "train[:10%]", download=True, size=64)

    Args:
      name: TFDS name, with optional config and version ("emnist/letters").
      split: TFDS split, also "train[:80%]" or "train+test".
      data_dir: folder of prepared data sets; default `default_data_dir()`.
      manual_dir: folder with the original files.
      download: whether the network may be used.
      size, channels, resize, on_error, in_memory: as in `from_folder`.
      levels: number of grey levels; default 256, for sklearn_digits 17.

    Raises:
      ValueError: unknown name or split; the data set is not prepared and cannot be prepared from the given files; it has no
        image feature, or several.
    """
    import tensorflow_datasets as tfds

    size = check_options(size, channels, resize, on_error)
    if not _known(name):
        raise ValueError(f"unknown tensorflow-datasets name {name!r}{_close(name, _names())}")
    data_dir = os.path.expanduser(data_dir or default_data_dir())
    builder = tfds.builder(name, data_dir=data_dir)
    image_key, label_key = _feature_keys(builder)
    fields, keys = _further_fields(builder)
    if not (builder.data_path / "dataset_info.json").exists():  # is_prepared() would log a warning
        _prepare(builder, data_dir, manual_dir, download)
    if builder.info.file_format.value != "tfrecord":
        raise ValueError(
            f"{name!r} in {data_dir} is prepared as {builder.info.file_format.value}, expected tfrecord: "
            "pass another data_dir to prepare it again"
        )
    splits = sorted(builder.info.splits)
    try:
        instructions = builder.info.splits[split].file_instructions
    except (KeyError, ValueError, AssertionError) as e:
        raise ValueError(
            f"{name!r} has no split {split!r}{_close(split, splits)} Its splits are {splits}; slices such as "
            "'train[:80%]' are possible"
        ) from e
    reader = Records(
        [(os.fspath(i.filename), i.skip, i.take) for i in instructions],
        image_shape=None,
        options=dict(size=size, channels=channels, resize=resize),
        fields=fields,
        image_key=image_key,
        label_key=label_key,
        keys=keys,
    )
    return build_source(
        reader,
        on_error=on_error,
        skipped=reader.skipped,
        name=builder.info.full_name,
        split=split,
        levels=levels or (17 if builder.name == "sklearn_digits" else 256),
        class_names=builder.info.features[label_key].names if label_key else None,
        in_memory=in_memory,
    )


def _digits(split):
    from tfgen.data.digits import LEVELS, digits_arrays

    images, labels = digits_arrays(split)
    return from_arrays(images, labels, levels=LEVELS, name="digits", split=split, num_classes=10)


def _prepare(builder, data_dir, manual_dir, download):
    import tensorflow_datasets as tfds

    if manual_dir is not None:
        manual_dir = os.path.abspath(os.path.expanduser(manual_dir))
        if not os.path.isdir(manual_dir):
            raise ValueError(f"manual_dir must be a folder with the original files; received {manual_dir}")
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
        _count_examples(builder)
    config = tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=False)
    # TFDS announces downloads on stdout, which is for the program's results. Offline there are none: the text is dropped.
    logging.info("preparing %s in %s from manual_dir=%s", builder.info.full_name, data_dir, manual_dir)
    printed = contextlib.redirect_stdout(sys.stderr if download else io.StringIO())
    network = contextlib.nullcontext() if download else _offline(builder, data_dir, manual_dir)
    with printed, network:
        # One folder for each data set: TFDS identifies extracted files by name, and MNIST and Fashion-MNIST have the same
        # names.
        downloads = os.path.join(data_dir, "downloads", builder.name)
        builder.download_and_prepare(download_dir=downloads, download_config=config)


def _count_examples(builder):
    """Reports how many examples the builder has read, where TFDS shows no bars."""
    generate, progress = builder._generate_examples, Progress(f"preparing {builder.info.full_name}, images")

    @functools.wraps(generate)
    def counted(*args, **kwargs):
        examples = generate(*args, **kwargs)
        return each(examples) if isinstance(examples, Iterator) else examples  # else it is a part of a Beam pipeline

    def each(examples):
        for example in examples:
            yield example
            progress.add()

    builder._generate_examples = counted


@contextlib.contextmanager
def _offline(builder, data_dir, manual_dir):
    """A context in which TFDS's download manager raises ValueError instead of using the network.

    TFDS has no option for that. It still uses files in manual_dir and files that it downloaded before.
    """
    from tensorflow_datasets.core.download import download_manager
    from tensorflow_datasets.core.download.downloader import _Downloader

    wanted = sorted({info.filename for info in (builder.url_infos or {}).values() if info.filename})
    files = ", ".join(wanted[:8]) + (", ..." if len(wanted) > 8 else "")

    class Offline(_Downloader):
        def download(self, url, *args, **kwargs):
            raise ValueError(
                f"tensorflow-datasets {builder.name!r} is not prepared in {data_dir}, and {url} is not in "
                f"manual_dir={manual_dir!r}. Pass manual_dir, a folder that holds the original files under "
                f"their own names ({files or 'see its TFDS page'}), or "
                "download=True to fetch them from the network"
            )

    original = download_manager.get_downloader
    download_manager.get_downloader = Offline
    try:
        yield
    finally:
        download_manager.get_downloader = original


def _feature_keys(builder):
    """(key of the image, key of the label or None) among the top-level features."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    top = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
    images = [k for k, f in top.items() if isinstance(f, tfds.features.Image) and k not in ("target", "mask")]
    if len(images) != 1 and "image" not in images:
        raise ValueError(f"{builder.name!r}: expected one image feature, found {images or sorted(top)}")
    image = images[0] if len(images) == 1 else "image"
    if np.dtype(top[image].np_dtype) != np.uint8:
        raise ValueError(f"{builder.name!r}: expected 8-bit images, found feature {image!r} of {top[image].np_dtype}")
    labels = [k for k, f in top.items() if isinstance(f, tfds.features.ClassLabel)]
    supervised = (builder.info.supervised_keys or (None, None))[1]
    for key in (supervised, "label", labels[0] if len(labels) == 1 else None):
        if isinstance(key, str) and key in labels:
            return image, key
    return image, None


def _further_fields(builder):
    """(the Fields other than image and label, {field: its features in a record}) of a TFDS builder; see `from_tfds`."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    top = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
    fields, keys = [], {}
    attributes = top.get("attributes")
    if isinstance(attributes, tfds.features.FeaturesDict) and all(f.np_dtype == np.bool_ for f in attributes.values()):
        names = sorted(attributes)
        fields.append(declared.attributes(len(names), names=names))
        keys["attributes"] = [f"attributes/{name}" for name in names]
    for name in ("target", "mask"):
        if isinstance(top.get(name), tfds.features.Image) and top[name].np_dtype == np.uint8:
            fields.append(declared.mask(None, None) if name == "mask" else declared.image((None, None, None), name))
    if isinstance(top.get("frames"), tfds.features.Video) and top["frames"].shape[0] is not None:
        fields.append(declared.frames(top["frames"].shape))
    return fields, keys


def _known(name):
    import tensorflow_datasets as tfds

    import tfgen.data.digits  # noqa: F401  (registers SklearnDigits)
    import tfgen.data.rendered_shapes  # noqa: F401  (registers RenderedShapes)

    base = name.split("/")[0].split(":")[0]
    if not base.isidentifier():
        return False
    try:
        tfds.builder_cls(base)
    except ValueError:  # tfds' DatasetNotFoundError is one
        return False
    return True


def _names():
    import tensorflow_datasets as tfds

    return tfds.list_builders(with_community_datasets=False)


def _close(wrong, names):
    close = difflib.get_close_matches(wrong, names, n=5)
    return f" (close: {', '.join(close)})." if close else "."


def _own_options(make):
    """The names of the options of a function of `_MADE`."""
    bound = make.keywords if isinstance(make, functools.partial) else {}
    return [p.name for p in inspect.signature(make).parameters.values() if p.kind == p.KEYWORD_ONLY and p.name not in bound]


class _UnknownOptions(ValueError):
    """A data set does not take the options `args[1]`."""

    def __str__(self):
        return self.args[0]


def _taken(spec, options):
    """The names of those options that a data set takes, found without loading it: an unknown option is refused before."""
    try:
        load(spec, None, **options, **{"": True})
    except _UnknownOptions as error:
        return [name for name in options if name not in error.args[1]]


def _checked(options, function, spec):
    """The options, after a check that `function` takes all of them as keywords."""
    parameters = inspect.signature(function).parameters.values()
    allowed = [p.name for p in parameters if p.kind == p.KEYWORD_ONLY and p.name not in _GIVEN]
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise _UnknownOptions(f"{spec!r} takes the options {allowed or 'data_dir'}; received {unknown}", unknown)
    settings.check(getattr(function, "func", function), **options)  # of a partial, the function
    return options
