"""Presets of DCIGN."""

from typing import Any

from tfgen.models.autoencoders.dc_ign import DCIGN
from tfgen.models.preset import Preset, adam, cosine_decay

# The update rule of the released code is Adam's, with these decays; 5,000 batches are its epoch. Its epsilon of 1e-4 is for
# gradients of sums over the 20 images of a batch: 5e-6 for those of means.
_PAPER: dict[str, Any] = {
    "batch_size": 20,
    "steps": 500_000,
    "compile_args": adam(5e-4, beta_1=0.9, beta_2=0.99, epsilon=5e-6),
    "paper": "figures only: inferred against true pose and light",
}
# With 22 times fewer pixels than in the paper, this weight of KL keeps the balance. Invariance: with weights .1, 1 and 5 the
# |Spearman| of latent 0 with the azimuth of validation shapes was .16, .76 and .70 after 3,000 steps, one run each. In one
# batch of 13 the azimuth varies: with weight 1 it was .74 after 5,000 steps, .96 after 18,000.
_SMALL: dict[str, Any] = {
    "image_shape": (32, 32, 1), "latent_dim": 32, "filters": (16, 32), "kernel_size": 5, "decoder_filters": (16,),
    "decoder_kernel_size": 5, "invariance": 1.0, "kl_weight": 0.05,
}  # fmt: skip

PRESETS = [
    Preset(
        "dc-ign/faces-paper",
        DCIGN,
        {"image_shape": (150, 150, 1)},
        data="folder:faces",
        source="the faces of section 4 and the released code; the number of steps is not given. Images as a FactorSource",
        **_PAPER,
    ),
    Preset(
        "dc-ign/chairs-paper",
        DCIGN,
        {"image_shape": (150, 150, 1), "factors": ("azimuth",)},
        data="folder:chairs",
        source="the chairs of section 4: azimuth only; the number of steps is not given. Images as a FactorSource",
        **_PAPER,
    ),
    Preset(
        "dc-ign/rendered-shapes",
        DCIGN,
        _SMALL,
        data="rendered_shapes",
        source="the paper's kind of network for 32x32 pixels; for 5 minutes on two cores",
        batch_size=20,
        steps=18_000,
        compile_args=adam(cosine_decay(2e-3)),
    ),
    Preset(
        "dc-ign/coil20",
        DCIGN,
        {**_SMALL, "factors": ("azimuth",)},
        data="coil20",
        source="the network of dc-ign/rendered-shapes on real turntables",
        batch_size=20,
        steps=12_000,
        compile_args=adam(cosine_decay(2e-3)),
    ),
]
