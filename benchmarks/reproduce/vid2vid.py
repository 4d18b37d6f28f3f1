"""vid2vid on moving digits with exact flow, beside the same network without flow, and anchors that need no training.

    python -m benchmarks.reproduce.vid2vid --picture

Errors are mean absolute differences of values in [-1, 1], on clips of test digits whose first two frames are given; ten are
made. "One step" means that each frame is made from the two real ones before it. "Frame by frame": the trained generator
makes each frame from the two given ones and the map of the frame, without a state. The picture is an animation of real
clips, made ones, and ones that were made frame by frame.
"""

import pathlib
import time

import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.record import report, training_of
from benchmarks.reproduce.common import arguments, train_seconds_of
from benchmarks.zoo import keep
from tfgen.layers import warp_by_flow
from tfgen.metrics import temporal_l1
from tfgen.sampling import save_animation
from tfgen_trainers.train import TrainConfig, train

NAME, PRESET, DATA = "vid2vid", "vid2vid/moving-digits", "moving:digits"
CLIPS, TEST_CLIPS, GIVEN, MADE = 4_000, 100, 2, 10
GATES = {
    "one_step_l1": ("<=", 0.07), "ten_step_l1": ("<=", 0.15), "flow_error_digits": ("<=", 0.5),
    "warp_error": ("<=", 0.05), "warp_error_over_no_flow": ("<=", 0.5), "drift": ("<=", 0.1),
    "drift_over_no_flow": ("<=", 1.0), "weight_hidden_over_seen": (">=", 2.0),
    "temporal_l1_over_frame_by_frame": ("<=", 0.8), "train_seconds": ("<=", 2_400.0),
}  # fmt: skip


def clips(num=TEST_CLIPS):
    """Maps and real frames in [-1, 1], and flow, confidence and classes, of test clips: {name: float32 [B, T, ...]}."""
    source = tfgen.data.load(DATA, "test", num=num, num_frames=GIVEN + MADE, seed=1)
    (batch,) = source.batches(num)
    maps = np.concatenate([batch["label_map"], batch["edges"].numpy()[..., None]], axis=-1)
    return {"maps": maps, "real": 2 * batch["target"].numpy() - 1, "classes": batch["label_map"].numpy().argmax(-1),
            **{name: batch[name].numpy() for name in ("flow", "confidence")}}  # fmt: skip


def stepper(model):
    """A function (frames [B, 2, H, W, C], maps of three frames [B, 3, H, W, I]) -> what the model makes of them."""

    @tf.function(autograph=False)
    def one(frames, maps):
        history = model.generator.beginning(maps[:, :GIVEN], frames)
        return model.generator(history, maps[:, GIVEN], own_statistics=model.own_statistics)[0]

    return lambda frames, maps: {name: value.numpy() for name, value in one(*map(tf.constant, (frames, maps))).items()}


def made_clips(model, test, how):
    """What the model makes of the test clips, {name: float32 [B, MADE, ...]}.

    Args:
        how: "rollout": from its own frames; "one_step": from the real ones; "alone": from those that are given.
    """
    step, found = stepper(model), []
    frames = test["real"][:, :GIVEN]
    for t in range(GIVEN, GIVEN + MADE):
        first = 0 if how == "alone" else t - GIVEN
        maps = np.concatenate([test["maps"][:, first : first + GIVEN], test["maps"][:, t : t + 1]], axis=1)
        found.append(step(test["real"][:, first : first + GIVEN] if how == "one_step" else frames, maps))
        if how == "rollout":
            frames = np.concatenate([frames[:, 1:], found[-1]["frame"][:, None]], axis=1)
    return {name: np.stack([one[name] for one in found], axis=1) for name in found[0]}


def moved(frames, test):
    """Frames [B, MADE, H, W, C], moved by the exact flow of the frames after them."""
    pairs = zip(np.moveaxis(frames, 1, 0), np.moveaxis(test["flow"][:, GIVEN:], 1, 0), strict=True)
    return np.stack([warp_by_flow(tf.constant(frame), tf.constant(flow)) for frame, flow in pairs], axis=1)


def warp_error(frames, test):
    """Mean over all pixels of confidence |x_t - warp(x_{t-1}, reference flow)|, as in the loss."""
    before = np.concatenate([test["real"][:, GIVEN - 1 : GIVEN], frames[:, :-1]], axis=1)
    return float(np.mean(test["confidence"][:, GIVEN:, ..., None] * np.abs(frames - moved(before, test))))


def flicker(frames, test):
    """`tfgen.metrics.temporal_l1` of the made frames, in [0, 1], where the flow is confident."""
    whole = np.concatenate([test["real"][:, GIVEN - 1 : GIVEN], frames], axis=1)
    return float(np.mean(temporal_l1((whole + 1) / 2, test["flow"][:, GIVEN - 1 :], test["confidence"][:, GIVEN - 1 :])))


def drift(frames, test, least=5):
    """By how much the mean colour of the pixels of a digit differs between the first and the last made frame."""
    found = []
    for clip, classes in zip(frames, test["classes"][:, GIVEN:], strict=True):
        for digit in set(classes[0].ravel()) & set(classes[-1].ravel()) - {0}:
            at = [classes[t] == digit for t in (0, -1)]
            if min(mask.sum() for mask in at) >= least:
                found.append(np.abs(clip[0][at[0]].mean(axis=0) - clip[-1][at[1]].mean(axis=0)).mean())
    return float(np.mean(found))


def measure(model, test):
    """The results of one model, {name: number}."""
    real, digits = test["real"][:, GIVEN:], test["classes"][:, GIVEN:] > 0
    one_step, rollout = made_clips(model, test, "one_step"), made_clips(model, test, "rollout")
    errors = np.abs(rollout["frame"] - real).mean(axis=(0, 2, 3, 4))
    found = {
        "one_step_l1": float(np.mean(np.abs(one_step["frame"] - real))),
        "ten_step_l1": float(errors.mean()), "l1_of_steps": errors.tolist(),
        "ten_step_l1_digits": float(np.abs(rollout["frame"] - real).mean(axis=-1)[digits].mean()),
        "warp_error": warp_error(rollout["frame"], test), "temporal_l1": flicker(rollout["frame"], test),
        "drift": drift(rollout["frame"], test),
    }  # fmt: skip
    if "flow" in one_step:
        confident = test["confidence"][:, GIVEN:] > 0
        distance = np.linalg.norm(one_step["flow"] - test["flow"][:, GIVEN:], axis=-1)
        weight = one_step["weight"][..., 0]
        found |= {
            "flow_error": float(distance[confident].mean()),
            "flow_error_digits": float(distance[confident & digits].mean()),
            "weight_seen": float(weight[confident].mean()), "weight_hidden": float(weight[~confident].mean()),
            "weight_hidden_over_seen": float(weight[~confident].mean() / weight[confident].mean()),
        }  # fmt: skip
    return found


def anchors(test):
    """{name: results} of answers without a network."""
    real, last = test["real"][:, GIVEN:], test["real"][:, GIVEN - 1 : -1]
    kept = np.repeat(test["real"][:, GIVEN - 1 : GIVEN], MADE, axis=1)
    errors = np.abs(kept - real).mean(axis=(0, 2, 3, 4))
    zero = np.linalg.norm(test["flow"][:, GIVEN:], axis=-1)
    digits = (test["classes"][:, GIVEN:] > 0) & (test["confidence"][:, GIVEN:] > 0)
    copied = {"one_step_l1": float(np.mean(np.abs(last - real))), "ten_step_l1": float(errors.mean()),
              "l1_of_steps": errors.tolist(), "warp_error": warp_error(kept, test), "temporal_l1": flicker(kept, test),
              "drift": drift(kept, test), "flow_error_digits": float(zero[digits].mean())}  # fmt: skip
    oracle = {"one_step_l1": float(np.mean(np.abs(moved(last, test) - real)))}
    return {"copy": copied, "exact_flow": oracle, "real": {"temporal_l1": flicker(real, test), "drift": drift(real, test)}}


def main(argv=None):
    parser = arguments(__doc__, NAME, picture="an animation of real and made clips")
    parser.add_argument("--clips", type=int, default=CLIPS, help="number of training clips")
    args = parser.parse_args(argv)
    source = tfgen.data.load(DATA, num=args.clips)
    models, trainings, seconds = {}, {}, 0.0
    for name, overrides in {"full": {}, "no_flow": {"warping": False}}.items():
        config = TrainConfig(
            PRESET, overrides, args.steps, args.seed, log_every=250, checkpoint_every=1000, sample_every=1000
        )  # fmt: skip
        workdir = pathlib.Path(args.workdir) / f"{NAME}-{name}-{args.seed}"
        models[name] = train(config, source, workdir).model
        trainings[name] = training_of(workdir, spec=DATA, split="train", num=args.clips)
        seconds += train_seconds_of(workdir)
    started, test = time.perf_counter(), clips()
    found = {name: measure(model, test) for name, model in models.items()}
    untrained = measure(type(models["full"]).from_config(models["full"].get_config()), test)
    alone = made_clips(models["full"], test, "alone")["frame"]
    full, no_flow = found["full"], found["no_flow"]
    results = {
        **full, "train_seconds": seconds, "steps": int(models["full"].step.value.numpy()),
        "warp_error_over_no_flow": full["warp_error"] / no_flow["warp_error"],
        "drift_over_no_flow": full["drift"] / no_flow["drift"],
        "temporal_l1_over_frame_by_frame": full["temporal_l1"] / flicker(alone, test),
        "no_flow": no_flow, "untrained": untrained, **anchors(test),
        "frame_by_frame": {"temporal_l1": flicker(alone, test),
                           "ten_step_l1": float(np.mean(np.abs(alone - test["real"][:, GIVEN:])))},
    }  # fmt: skip
    evaluation_seconds = time.perf_counter() - started
    report(
        args.out, "benchmarks.reproduce.vid2vid", seed=args.seed, seconds=seconds + evaluation_seconds, results=results,
        gates=GATES, trainings=trainings, evaluation_seconds=round(evaluation_seconds, 1),
        protocol={
            "preset": PRESET, "train": f"{source.name} {source.split}", "n_train": len(source),
            "test": f"{DATA} test, {TEST_CLIPS} clips of {GIVEN} given and {MADE} made frames, seed 1", "weights": "raw",
            "tuning": "settings of the sheet of facts, none tried out on these test clips",
        },
    )  # fmt: skip
    if args.picture:
        real = test["real"][:8]
        made = np.concatenate([real[:, :GIVEN], made_clips(models["full"], test, "rollout")["frame"][:8]], axis=1)
        shown = np.stack([real, made, np.concatenate([real[:, :GIVEN], alone[:8]], axis=1)], axis=1)
        clips_of = np.clip((shown.reshape(-1, *real.shape[1:]) + 1) / 2, 0, 1)
        save_animation(pathlib.Path(args.workdir) / "vid2vid.gif", clips_of, columns=6, scale=3)
    keep(args.out, models["full"], "moving_digits_l1", training=trainings["full"])


if __name__ == "__main__":
    main()
