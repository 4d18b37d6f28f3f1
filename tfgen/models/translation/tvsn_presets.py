"""Presets of TVSN."""

from tfgen.models.preset import Preset, adam, cosine_decay
from tfgen.models.translation.tvsn import TVSN


def _adams(**rates):
    """Compile arguments: Adam for each player; the decay of the first moment is .9 for DOAFN, else .5, as in the code."""
    first = {"flow": 0.9, "generator": 0.5, "discriminator": 0.5}
    return {"optimizer": {name: adam(rate, beta_1=first[name], epsilon=1e-8)["optimizer"] for name, rate in rates.items()}}


def _then(rate, updates, later):
    """Learning-rate spec of `rate` for so many updates, then `later`."""
    return {
        "module": "keras.optimizers.schedules", "class_name": "PiecewiseConstantDecay",
        "config": {"boundaries": [updates], "values": [rate, later]},
    }  # fmt: skip


_EPOCH = 1_000  # iterations; each of G and D is two steps here
_FLOW = 200 * _EPOCH
# 32 px: a quarter of the filters, three levels.
_SMALL = {
    "image_shape": (32, 32, 1), "filters": (16, 32, 64), "dense_width": 128, "view_widths": (32, 32),
    "completion_view_width": 32, "discriminator_filters": (32, 64, 128), "near_identity": True, "variation_weight": 0.0,
    "pixel_weight": 1.0,
}  # fmt: skip
_RATES = _adams(flow=cosine_decay(1e-3), generator=cosine_decay(5e-4), discriminator=5e-4)

PRESETS = [
    *(
        Preset(
            f"tvsn/{name}-paper", TVSN,
            {"image_shape": (256, 256, 3), "flow_steps": _FLOW, "feature_network": "vgg16",
             "feature_layers": tuple(f"block{i}_pool" for i in (1, 2, 3)), "pixel_start": _FLOW + 400 * _EPOCH},
            data=f"tfrecord:{name}/{{split}}*",
            source="section 4 and the code: ShapeNet at 256 px in 18 views; 200 epochs of 1,000 batches of 25 for DOAFN, "
            "220 of 15 for the completion, the last 20 with the term of pixels. Records of a Source with the fields of "
            "rendered_views",
            batch_size=[(0, 25), (_FLOW, 15)], steps=_FLOW + 440 * _EPOCH,
            compile_args=_adams(
                flow=_then(5e-5, 100 * _EPOCH, 1e-5), generator=_then(1e-4, 200 * _EPOCH, 1e-5),
                discriminator=_then(1e-4, 100 * _EPOCH, 1e-5),
            ),
            paper=paper,
        )
        for name, paper in (
            ("cars", "L1 .119, SSIM .913 as quoted by Sun et al., ECCV 2018"),
            ("chairs", "L1 .202, SSIM .889 as quoted by Sun et al., ECCV 2018"),
        )
    ),
    Preset(
        "tvsn/rendered-views", TVSN, {**_SMALL, "view_size": 7, "flow_steps": 12_000}, data="rendered_views",
        source="the paper's networks for 32 px, on solids in 8 views with exact visibility; for 20 minutes on two cores",
        batch_size=25, steps=24_000, compile_args=_RATES,
    ),
    Preset(
        "tvsn/coil20", TVSN, {**_SMALL, "visibility": False, "flow_steps": 12_000}, data="coil20_views",
        source="the same on real turntables, turns by 20, 40, ..., 340 degrees; without masks, since none are known",
        batch_size=25, steps=24_000, compile_args=_RATES,
    ),
]  # fmt: skip
