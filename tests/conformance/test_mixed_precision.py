"""Training in mixed precision: what stays float32, and that nothing overflows."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.conformance.harness import STEPS, compiled, for_cases, train, weights
from tests.conformance.registry import CASES


@pytest.mark.long
@for_cases()
def test_float16_is_finite_and_keeps_float32_weights(case):
    check(case, "mixed_float16")


# Of each kind of layers one. The other models differ from these in what float16 shows, too.
@pytest.mark.long
@for_cases(
    only=(
        "adain", "biggan", "dcgan", "draw-attention", "fractal-net", "joint-ppgn", "pix2pix", "pixel-cnn-pp",
        "factorized-prior", "pixel-rnn-diagonal", "style-gan", "vae-mlp-bernoulli",
    )
)  # fmt: skip
def test_bfloat16_is_finite_and_keeps_float32_weights(case):
    check(case, "mixed_bfloat16")


@for_cases(only=[name for name, case in CASES.items() if not case.bfloat16])
def test_bfloat16_is_refused(case):
    with pytest.raises(ValueError, match="bfloat16"):
        compiled(case, dtype="mixed_bfloat16")


def check(case, dtype):
    model = compiled(case, dtype=dtype)
    before = weights(model)
    # In float16 the first steps are skipped until the scale of the loss is small enough.
    history = train(model, case, STEPS if dtype == "mixed_float16" else 2).history
    assert all(np.isfinite(v).all() for v in history.values())
    after = weights(model)
    for player in model.players():
        scaled = isinstance(model.player_optimizers[player], keras.optimizers.LossScaleOptimizer)
        assert scaled == (dtype == "mixed_float16")
    assert all(v.dtype == "float32" for v in model.trainable_variables)
    assert not [key for key, value in after.items() if not np.isfinite(value).all()]
    trained = [f"weights/{path}" for path in tfgen.training.state.named_variables(model)]
    assert any(np.any(before[key] != after[key]) for key in trained if key != "weights/step")
    for name, (function, specs) in model.signatures().items():
        for key, value in function(**case.inputs(specs, 2)).items():
            assert value.dtype in (tf.float32, tf.string), f"{key} of {name}"
            assert value.dtype == tf.string or np.isfinite(value).all(), f"{key} of {name}"
