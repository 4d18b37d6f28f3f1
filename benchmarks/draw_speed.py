"""Time of a training step of DRAW, beside a bare loop, beside PyTorch, and by the number of glimpses.

    python -m benchmarks.draw_speed --out benchmarks/reproduce/draw_speed.json

The sizes of draw/mnist-attention (28x28, h 256, windows 5x5, batch 100) on random images: only time is measured, in turns
(see `benchmarks.turns`).

    fit_T              model.fit with T glimpses, 10 steps in a call: the work of `tfgen train`, with its input, checks of
                       the images and mean losses
    bare_T             a Python loop that calls tf.function(model.train_step) on the next batch
    torch_eager_T, torch_compile_T     the same network in PyTorch, without input pipeline: torch_draw.py in
                       benchmarks/peers; see __init__.py there for its environment. Left out if it did not run
"""

import contextlib

import numpy as np

import tfgen
from benchmarks.fit_overhead import STEPS, measure, prepare
from benchmarks.turns import Turns
from tfgen_trainers.train import STEPS_PER_CALL

GLIMPSES = (5, 10, 20)
PRESET = "draw/mnist-attention"
GATES = {
    "fit_over_bare": ("<=", 1.05), "torch_eager_over_fit": (">=", 1.5), "torch_compile_over_fit": (">=", 0.95),
    "twice_the_glimpses": ("<=", 2.1),
}  # fmt: skip


def main():
    turns = Turns(__doc__, rounds=7, steps=20)
    steps = turns.start(multiple_of=STEPS_PER_CALL).steps
    images = np.random.default_rng(0).integers(0, 2, (10_000, 28, 28, 1), dtype="uint8") * np.uint8(255)
    source, preset = tfgen.data.from_arrays(images, levels=2), tfgen.presets.get(PRESET)
    STEPS[preset.name] = steps  # names that `prepare` knows
    ours = {f"fit_{t}": prepare(preset.override({"glimpses": t}), source, "fit") for t in GLIMPSES}
    ours["bare_10"] = prepare(preset, source, "bare")
    for way, run in ours.items():
        turns.add(way, lambda way=way, run=run: measure(run, way), 1e3 / steps)
    with contextlib.ExitStack() as stack:
        turns.add_peer(stack, "torch_draw.py", scale=1e3 / steps)
        turns.take()
    results = {
        "ms_per_step": turns.medians(),
        "fit_over_bare": turns.ratio("fit_10", "bare_10"),
        "torch_eager_over_fit": turns.ratio("torch_eager_10", "fit_10"),
        "torch_compile_over_fit": turns.ratio("torch_compile_10", "fit_10"),
        "twice_the_glimpses": max(turns.ratio("fit_10", "fit_5"), turns.ratio("fit_20", "fit_10")),
    }
    turns.report("benchmarks.draw_speed", results, GATES, {"preset": preset.config(), "glimpses": GLIMPSES})


if __name__ == "__main__":
    main()
