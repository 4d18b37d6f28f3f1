"""SAGAN: where attention and spectral norm are, and the maps of attention."""

import numpy as np
import pytest
import tensorflow as tf

from tests.seeds import set_seed
from tfgen.layers import SelfAttention2D
from tfgen.layers.spectral_norm import SpectralNorm
from tfgen.losses import OBJECTIVES
from tfgen.models import SAGAN
from tfgen.sampling import attention_grid

ARGS = {"image_shape": (8, 8, 1), "width": 8, "latent_dim": 3, "attention_size": 4, "num_classes": 3,
        "network_args": {"generator": {"stages": 2}, "discriminator": {"downs": 1}}}  # fmt: skip
IMAGES = np.random.default_rng(0).random((4, 8, 8, 1), dtype="float32")


def attentions(network):
    return [layer for layer in network._flatten_layers() if isinstance(layer, SelfAttention2D)]


def test_one_attention_and_spectral_norm_in_both_networks():
    model = SAGAN(**ARGS)
    for network in (model.generator, model.discriminator):
        (layer,) = attentions(network)
        assert layer.size == (4, 4) and layer.spectral
        raw = {id(one.raw_weight) for one in network._flatten_layers() if isinstance(one, SpectralNorm)}
        assert {id(v) for v in network.trainable_variables if "kernel" in v.name} <= raw
    assert not attentions(SAGAN(**ARGS | {"attention_size": None}).generator)


def test_parameters_of_the_papers_networks():
    model = SAGAN(image_shape=(32, 32, 1), width=64, attention_size=16, num_classes=10)
    assert sum(int(np.prod(v.shape)) for v in model.generator.trainable_variables) == 379_650


def test_both_networks_update_their_u_and_rates_differ():
    model = SAGAN(**ARGS)
    model.compile(run_eagerly=True)
    rates = {name: float(one.learning_rate) for name, one in model.default_optimizer().items()}
    assert rates == {"generator": pytest.approx(1e-4), "discriminator": pytest.approx(4e-4)}
    for optimizer in model.default_optimizer().values():
        assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0.0, 0.9, 1e-8)
    assert model.objective is OBJECTIVES["hinge"]
    u = {name: attentions(getattr(model, name))[0].out.u for name in ("generator", "discriminator")}
    before = {name: one.numpy() for name, one in u.items()}
    model.fit(tf.data.Dataset.from_tensors({"image": IMAGES, "label": [0, 1, 2, 0]}), verbose=0)
    assert all(np.any(u[name].numpy() != before[name]) for name in u)


def test_attention_maps_of_latents_and_of_images():
    set_seed(0)
    model, queries = SAGAN(**ARGS), [[0, 0], [7, 7], [3, 5]]
    labels = [0, 1, 2, 0]
    made = model.attention_maps(model.latents(tf.range(4, dtype=tf.int64)), queries, labels=labels)
    seen = model.attention_maps(IMAGES, queries, labels=labels)
    for maps in (made, seen):
        assert maps.shape == (4, 3, 2, 2)
        np.testing.assert_allclose(maps.sum((2, 3)), 1.0, atol=1e-5)
    # The same as the layer for the map inside, whose positions are 2 x 2 pixels.
    raw = 2 * IMAGES - 1
    inside = model.discriminator.blocks[0](raw)
    weights = attentions(model.discriminator)[0].attention(inside).numpy().reshape(4, 4, 4, 2, 2)
    np.testing.assert_allclose(seen, np.stack([weights[:, 0, 0], weights[:, 3, 3], weights[:, 1, 2]], 1), atol=1e-5)
    np.testing.assert_array_equal(seen, model.attention_maps(IMAGES, [[1, 1], [6, 6], [2, 4]], labels=labels))

    picture = attention_grid(IMAGES, queries, seen, scale=2)
    assert picture.shape == (4 * 17 + 1, 4 * 17 + 1, 3) and 0 <= picture.min() and picture.max() <= 1
    assert tuple(picture[1, 1]) == (1, 0, 0) and tuple(picture[1, 18]) == (1, 0, 0), "the first query is red"


def test_wrong_arguments_of_attention_maps():
    model = SAGAN(**ARGS)
    for change, what in (
        ({"queries": [[0, 8]]}, r"queries must lie in the image, below \(8, 8\)"), ({"queries": [[-1, 0]]}, "lie"),
        ({"queries": [[0.5, 1]]}, "integers"), ({"queries": [0, 1]}, "integers"),
        ({"queries": np.zeros((0, 2), int)}, "integers"),
        ({"inputs": np.zeros((2, 4), "float32")}, r"latents \[B, 3\] or images"), ({"labels": None}, "label"),
        ({"labels": [0]}, "labels must have as many rows as inputs, 4"), ({"inputs": "ab"}, "inputs must be latents"),
        ({"labels": [0]}, "labels must have as many rows as inputs, 4"), ({"inputs": "ab"}, "inputs must be latents"),
    ):  # fmt: skip
        given = {"inputs": IMAGES, "queries": [[0, 0]], "labels": [0, 1, 2, 0], **change}
        with pytest.raises(ValueError, match=what):
            model.attention_maps(given.pop("inputs"), **given)


def test_wrong_sizes():
    with pytest.raises(ValueError, match="must be a height of the generator's feature maps, 4 or 8 .*; received 3"):
        SAGAN(**ARGS | {"attention_size": 3})
    with pytest.raises(ValueError, match="no layer SelfAttention2D"):
        SAGAN(**ARGS | {"attention_size": None}).attention_maps(IMAGES, [[0, 0]], labels=[0, 1, 2, 0])
    with pytest.raises(ValueError, match="attention_size"):
        SAGAN(**ARGS | {"attention_size": 0})
    for images, maps in (
        (np.ones((1, 8, 8, 2)), np.ones((1, 1, 2, 2))), (IMAGES, np.ones((4, 2, 2, 2))), (IMAGES, np.ones((4, 1, 2))),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="expected images"):
            attention_grid(images, [[0, 0]], maps)
    with pytest.raises(ValueError, match="queries int"):
        attention_grid(IMAGES, [[0.5, 0]], np.ones((4, 1, 2, 2)))
    ones = np.ones((4, 1, 2, 2))
    for maps, what in ((np.nan * ones, "NaN"), (-ones, "-1"), (np.ones((4, 1, 16, 2)), "16")):
        with pytest.raises(ValueError, match=f"maps must be finite numbers >= 0, h x w up to 8 x 8; received .*{what}"):
            attention_grid(IMAGES, [[0, 0]], maps)
    for scale in (0, 1.5, True):
        with pytest.raises(ValueError, match="scale must be a whole number >= 1; received"):
            attention_grid(IMAGES, [[0, 0]], np.ones((4, 1, 2, 2)), scale=scale)
    with pytest.raises(ValueError, match="lie in the image"):
        attention_grid(IMAGES, [[8, 0]], np.ones((4, 1, 2, 2)))


@pytest.mark.parametrize("network, args", [("resnet", ARGS["network_args"]), ("conv", {"stages": 1})])
def test_the_class_enters_the_discriminator_by_projection(network, args):
    model = SAGAN(**ARGS | {"network": network, "network_args": args})
    logits = np.stack([model.logits(IMAGES, tf.one_hot([k] * 4, 3)) for k in range(3)], -1)
    features = model.discriminate(IMAGES, tf.one_hot([0] * 4, 3))["features"].numpy()
    table = model.discriminator.embedding(np.arange(3)).numpy()
    np.testing.assert_allclose(logits - logits[:, :1], features.reshape(4, -1) @ (table - table[:1]).T, atol=1e-4)
    assert np.ptp(logits, axis=1).min() > 0


def test_conv_networks_take_attention_too():
    model = SAGAN(image_shape=(8, 8, 1), network="conv", width=8, latent_dim=3, attention_size=4, network_args={"stages": 1})
    assert len(attentions(model.generator)) == len(attentions(model.discriminator)) == 1
