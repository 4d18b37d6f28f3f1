"""Images in, `tf.data` out: one `Source` for arrays, TensorFlow Datasets, folders and TFRecords."""

from tfgen.data.catalog import from_tfds, load
from tfgen.data.folder import from_folder
from tfgen.data.records import from_tfrecords
from tfgen.data.semi_supervised import SemiSupervisedSource, semi_supervised
from tfgen.data.source import Source, from_arrays

__all__ = [
    "SemiSupervisedSource",
    "Source",
    "from_arrays",
    "from_folder",
    "from_tfds",
    "from_tfrecords",
    "load",
    "semi_supervised",
]
