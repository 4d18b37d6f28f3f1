"""The 1,797 handwritten digits of scikit-learn (8x8, 17 grey levels) as a TensorFlow Datasets builder.

They are the test part of the UCI set "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak,
1998), and come inside scikit-learn: nothing is downloaded.
"""

import numpy as np
import tensorflow_datasets as tfds

LEVELS = 17
NUM_TRAIN = 1400


def digits_arrays(split):
    """(uint8 [N, 8, 8, 1], int64 [N]) of split "train" (1,400) or "test" (397).

    Level v of 0..16 is stored as round(255 * v / 16), so v >= 8 means x >= 0.5 for x = stored / 255.
    The splits are the first 1,400 and the last 397 of RandomState(0).permutation(1797), a sequence that NumPy
    guarantees.
    """
    from sklearn.datasets import load_digits

    if split not in ("train", "test"):
        raise ValueError(f"digits has the splits 'train' and 'test'; received {split!r}")
    data = load_digits()
    order = np.random.RandomState(0).permutation(len(data.images))
    order = order[:NUM_TRAIN] if split == "train" else order[NUM_TRAIN:]
    images = np.round(data.images[order] / 16 * 255).astype(np.uint8)
    return images[..., None], data.target[order]


class SklearnDigits(tfds.core.GeneratorBasedBuilder):
    """scikit-learn's digits; see the module's docstring."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}

    def _info(self):
        return self.dataset_info_from_configs(
            description="1,797 handwritten digits of 8x8 pixels with 17 grey levels, from scikit-learn.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1)),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://scikit-learn.org/stable/modules/generated/sklearn.datasets.load_digits.html",
            disable_shuffling=True,  # stored order is the order of digits_arrays
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in ("train", "test")}

    def _generate_examples(self, split):
        for i, (image, label) in enumerate(zip(*digits_arrays(split), strict=True)):
            yield i, {"image": image, "label": int(label)}
