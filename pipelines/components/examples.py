"""From a TFX Examples artifact to a `tfgen.data.Source`."""

import os

from tfx.types import artifact_utils


def source(examples, split, description):
    """The transformed examples of a split as a Source.

    Args:
        examples: list of one Examples artifact.
        split: "train" or "eval".
        description: `tfgen_pipelines.data.Data.description()`.
    """
    from tfgen import data

    result = data.from_tfrecords(
        os.path.join(artifact_utils.get_split_uri(examples, split), "*"),
        image_shape=tuple(description["image_shape"]),
        num_classes=description["num_classes"],
        class_names=description["class_names"],
        levels=description["levels"],
        split=split,
    )
    result.name = description["name"]  # for protocols: the data set, not the folder of this run
    return result
