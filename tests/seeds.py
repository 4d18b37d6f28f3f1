"""Seeds of the tests."""

import random

import numpy as np


def set_seed(seed):
    """As `keras.utils.set_random_seed`, but leaves TensorFlow's own seed, with which neither tfgen nor Keras draws weights.

    Setting that one makes TensorFlow forget how it has optimised the graphs of all models; it would do it again, for
    seconds, where a model that tests share is called the next time.
    """
    random.seed(seed)
    np.random.seed(seed)
