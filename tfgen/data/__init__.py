"""Data: a `Source` of named fields, from arrays, TensorFlow Datasets, folders or TFRecords, and its `tf.data` batches."""

from tfgen.data.augmentation import augmented_shape, check_augmentation
from tfgen.data.batches import check_batch_size
from tfgen.data.captions import captioned, embedded, named_classes
from tfgen.data.catalog import from_tfds, load
from tfgen.data.clips import clips, from_clips
from tfgen.data.cluttered import cluttered_canvas, two_digits
from tfgen.data.coloured_digits import coloured_digits
from tfgen.data.crops import crops
from tfgen.data.factors import FactorSource
from tfgen.data.folder import from_folder, from_folders, side_by_side
from tfgen.data.label_maps import from_label_maps, instance_edges, label_maps, label_pictures
from tfgen.data.modified import modified_classes
from tfgen.data.moving_digits import moving_digits
from tfgen.data.records import described, from_tfrecords
from tfgen.data.rendered_views import rendered_views
from tfgen.data.semi_supervised import SemiSupervisedSource, semi_supervised
from tfgen.data.source import Source, from_arrays
from tfgen.data.textures import textured, textures
from tfgen.data.translations import domains, edge_pairs, quadrant_pairs, segment_maps
from tfgen.data.turntables import coil20_views
from tfgen.data.unpaired import UnpairedSource, from_unpaired, unpaired

__all__ = [
    "FactorSource",
    "SemiSupervisedSource",
    "Source",
    "UnpairedSource",
    "augmented_shape",
    "captioned",
    "check_augmentation",
    "check_batch_size",
    "clips",
    "cluttered_canvas",
    "coil20_views",
    "coloured_digits",
    "crops",
    "described",
    "domains",
    "edge_pairs",
    "embedded",
    "from_arrays",
    "from_clips",
    "from_folder",
    "from_folders",
    "from_label_maps",
    "from_tfds",
    "from_tfrecords",
    "from_unpaired",
    "instance_edges",
    "label_maps",
    "label_pictures",
    "load",
    "modified_classes",
    "moving_digits",
    "named_classes",
    "quadrant_pairs",
    "rendered_views",
    "segment_maps",
    "semi_supervised",
    "side_by_side",
    "textured",
    "textures",
    "two_digits",
    "unpaired",
]
