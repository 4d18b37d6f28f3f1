"""Time of a training step of pix2pix and CycleGAN at 32 pixels beside PyTorch.

    python -m benchmarks.translation_speed --out benchmarks/reproduce/translation_speed.json

Batches of random images; only time is measured, in turns (see `benchmarks.turns`).

    pix2pix, cycle           model.fit, 10 steps in a call, with input and checks of the images: pix2pix/edges-digits, a
                             U-Net of five levels and patches of 34 pixels, batches of 16; cycle-gan/mnist-usps at 32x32,
                             with the identity loss and pools, batches of 4
    torch_MODEL_*            the same networks and losses in PyTorch, without input pipeline, see torch_translation.py in
                             benchmarks/peers; __init__.py there says how to make its environment. Left out if it did not run

Which way of PyTorch is the fastest is measured too, and ours is compared with that one.
"""

import contextlib

import numpy as np

import tfgen
from benchmarks.fit_overhead import STEPS, measure, prepare
from benchmarks.turns import Turns
from tfgen_trainers.train import STEPS_PER_CALL

SHAPE = (32, 32, 1)
# {way: (preset, its changes)}
WAYS = {"pix2pix": ("pix2pix/edges-digits", {}), "cycle": ("cycle-gan/mnist-usps", {"image_shape": SHAPE})}
KINDS = ("eager", "compile", "channels_last")
GATES = {f"torch_over_{name}": (">=", 0.9) for name in WAYS}


def source_for(way):
    rng = np.random.default_rng(0)
    images, others = (rng.integers(0, 256, (10_000, *SHAPE), dtype="uint8") for _ in range(2))
    if way == "cycle":
        return tfgen.data.unpaired(tfgen.data.from_arrays(images), tfgen.data.from_arrays(others))
    return tfgen.data.from_arrays(images, fields={"target": others})


def main():
    turns = Turns(__doc__, rounds=5, steps=20)
    args = turns.start(multiple_of=STEPS_PER_CALL)
    presets = {}
    for way, (name, changes) in WAYS.items():
        presets[way] = preset = tfgen.presets.get(name).override(changes)
        STEPS[preset.name] = args.steps  # names that `prepare` knows
        run = prepare(preset, source_for(way), "fit")
        turns.add(way, lambda run=run: measure(run, "fit"), 1e3 / args.steps)
    with contextlib.ExitStack() as stack:
        asked = {f"{name}_{kind}": (args.steps, 1e3 / args.steps) for name in WAYS for kind in KINDS}
        turns.add_peer(stack, "torch_translation.py", asked)
        turns.take()
    results = {"ms_per_step": turns.medians()}
    for name in WAYS:
        best = turns.best([f"torch_{name}_{kind}" for kind in KINDS])
        results[f"torch_over_{name}"], results[f"torch_best_of_{name}"] = turns.ratio(best, name), best
    turns.report(
        "benchmarks.translation_speed", results, GATES, {"presets": {way: one.config() for way, one in presets.items()}}
    )


if __name__ == "__main__":
    main()
