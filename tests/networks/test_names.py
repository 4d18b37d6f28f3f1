"""Names of layers, on which checkpoints rest: unique in their network, whatever else was built before."""

import keras
import pytest
import tensorflow as tf

from tfgen.layers import Maxout
from tfgen.networks import NETWORKS, make_networks
from tfgen.networks.weight_normed import make_weight_normed

WEIGHT_NORMED = {"widths": (3, 4), "noise": (0.1, 0.2), "dropout": (0.1, 0.2), "num_logits": 3, "minibatch_kernels": 2}


def pair(kind):
    if kind.startswith("weight_normed"):
        widths = {"generator_widths": (4, 5, 6), "reference": tf.zeros([2, 3]) if kind.endswith("virtual") else None}
        shape = {"image_shape": (16, 16, 3), "dtype": "float32"}
        return make_weight_normed("conv" if "conv" in kind else "mlp", **shape, **widths, **WEIGHT_NORMED)
    more = {"conv": {"dense_width": 4}, "resnet": {"generator": {"num_classes": 2}}}.get(kind, {})
    return make_networks(kind, image_shape=(32, 32, 1), width=4, **more)


def paths(layer, above=()):
    """[(name, ..., name) of every layer inside]."""
    found = []
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        found += [(*above, inner.name), *paths(inner, (*above, inner.name))]
    return found


def names(kind):
    """Of all layers in both networks of a kind, built."""
    found = []
    for network in pair(kind):
        image = (16, 16, 3) if kind.startswith("weight_normed") else (32, 32, 1)
        inputs = [(None, *((3,) if network.name == "generator" else image))]
        network.build([*inputs, *([(None, 2)] if kind == "resnet" else [])])
        variables = [v.path for v in network.variables]
        assert len(variables) == len(set(variables))
        found += [(network.name, *path) for path in paths(network)]
    return found


@pytest.mark.parametrize("kind", [*NETWORKS, "weight_normed_mlp", "weight_normed_conv", "weight_normed_mlp_virtual"])
def test_names_are_unique_and_do_not_depend_on_what_else_was_built(kind):
    first = names(kind)
    assert len(first) == len(set(first)) > 5
    for _ in range(3):  # what Keras numbers
        keras.layers.Activation("relu"), keras.layers.Dense(1), keras.layers.LeakyReLU(), keras.layers.ReLU()
        keras.layers.Flatten(), keras.layers.Rescaling(1.0), keras.layers.Reshape((1,)), Maxout(2)
    assert names(kind) == first
