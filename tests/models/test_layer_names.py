"""Layers of built-in networks have names of their own: keys of checkpoints have no positions in them."""

import re

import pytest

from tests.conformance.registry import CASES
from tfgen import models
from tfgen.training.state import named_variables

_SMALL = {"image_shape": (16, 16, 1), "latent_dim": 3}
OTHERS = {
    "autoencoder-mlp": lambda: models.Autoencoder(**_SMALL, network="mlp", hidden=(3, 4)),
    "gmvae-conv": lambda: models.GMVAE(**_SMALL, style_dim=2, network="conv", hidden=(2, 3, 4, 5)),
    "gan-dense-width": lambda: models.DCGAN(**_SMALL, width=4, dense_width=5),
    "improved-gan-conv": lambda: models.ImprovedGAN(**_SMALL, network="conv", widths=(3, 4), generator_widths=(3, 4, 5)),
    "sngan-mlp": lambda: models.SNGAN(**_SMALL, network="mlp", width=4),
}


@pytest.mark.parametrize("name", [*CASES, *OTHERS])
def test_no_key_has_a_position(name):
    model = OTHERS[name]() if name in OTHERS else CASES[name].build()
    keys = list(named_variables(model))
    assert len(keys) > 3
    assert not [key for key in keys if re.search(r"(^|/)\d+/", key)]
