"""The statistics of a generator's batch norm during sampling."""

import contextlib

import keras

from tfgen.layers.batch_norm import norms_of


@contextlib.contextmanager
def kept_statistics(network):
    """Yields the batch norm layers of `network`; their moving statistics are restored afterwards."""
    norms = norms_of(network)
    variables = [v for norm in norms for v in (norm.moving_mean, norm.moving_variance)]
    values = [keras.ops.convert_to_numpy(v) for v in variables]
    try:
        yield norms
    finally:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def set_standing_statistics(norms, forward, batches):
    """Sets moving statistics to the mean over `batches` batches; `forward(i)` runs batch i in training mode, eagerly."""
    momenta = [norm.momentum for norm in norms]
    try:
        for i in range(batches):
            for norm in norms:
                norm.momentum = i / (i + 1)  # makes the moving average the running mean
            forward(i)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
