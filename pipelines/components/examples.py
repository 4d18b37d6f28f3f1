"""From a TFX Examples artifact to a `tfgen.data.Source`."""

import glob
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

    pattern = os.path.join(artifact_utils.get_split_uri(examples, split), "*")
    return data.described(sorted(glob.glob(pattern)), description, split)
