"""The glimpse classifier: MNIST digits at random places of 100x100 pixels, among eight fragments of others.

    python -m benchmarks.reproduce.glimpses --manual_dir FOLDER --picture

Each epoch has new canvases of the training digits; the model is tested on one canvas for each test digit. The picture shows
its glimpses.
"""

import time

import keras
import numpy as np

import tfgen
from benchmarks.record import report
from benchmarks.reproduce.common import arguments, in_parts
from benchmarks.zoo import keep
from tfgen.data import cluttered_canvas
from tfgen.models import GlimpseClassifier
from tfgen.models.autoencoders.glimpse_classifier_presets import PAPER
from tfgen.sampling import save_animation
from tfgen_trainers.first_steps import FirstSteps
from tfgen_trainers.origin import origin

THIS, CANVASES = "benchmarks.reproduce.glimpses", "tfgen.data.cluttered"
PICTURE = "docs/images/glimpses.gif"
EPOCHS, BATCH, RATE = 20, 100, 1e-3
GATES = {"test_error": ("<=", 0.0811)}  # of the recurrent attention model with 8 glimpses, table 1


def fit(source, *, steps=None, seed=0, verbose=2):
    """Trains the classifier on canvases of the digits of `source`: (model, losses and accuracies of epochs, first steps)."""
    keras.utils.set_random_seed(seed)
    per_epoch = len(source) // BATCH
    steps = steps or EPOCHS * per_epoch
    model = GlimpseClassifier(**PAPER)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, steps), clipnorm=5.0))
    first, history = FirstSteps(model), []
    for epoch in range(-(-steps // per_epoch)):
        canvases = cluttered_canvas(source, seed=seed + epoch)
        batches = canvases.batches(BATCH, shuffle=True, drop_remainder=True, seed=seed + epoch)
        left = min(per_epoch, steps - epoch * per_epoch)
        found = model.fit(batches.take(left), initial_epoch=epoch, epochs=epoch + 1, verbose=verbose, callbacks=[first])
        history.append({name: values[0] for name, values in found.history.items()})
    return model, history, first.found


def error(model, canvases):
    """Share of the canvases that are classified wrongly."""
    logits = in_parts(model.class_logits, canvases.images())
    return float(np.mean(logits.argmax(axis=1) != canvases.labels()))


def main():
    args = arguments(__doc__, "glimpses", data="mnist", picture=PICTURE).parse_args()
    started = time.perf_counter()
    train_source, test_source = (
        tfgen.data.load(args.data, split, manual_dir=args.manual_dir) for split in ("train", "test")
    )
    trained_by = {"from_step": 0, **origin([GlimpseClassifier.__module__, type(train_source).__module__, CANVASES], [THIS])}
    model, history, first_steps = fit(train_source, steps=args.steps, seed=args.seed)
    train_seconds = time.perf_counter() - started
    canvases = cluttered_canvas(test_source, seed=10_000 + args.seed)  # differs from the seeds of epochs
    results = {
        "test_error": error(model, canvases), "train_seconds": train_seconds,
        "steps": int(model.optimizer.iterations.numpy()), "epochs": history,
    }  # fmt: skip
    trainings = {"classifier": {"trained_by": [trained_by], "first_steps": first_steps}}
    report(
        args.out, THIS,
        seed=args.seed,
        protocol={
            "model": PAPER, "batch_size": BATCH, "optimizer": f"Adam {RATE}, cosine decay to 0, clipped at norm 5",
            "train": f"{train_source.name} {train_source.split}", "n_train": len(train_source),
            "test": f"{test_source.name} {test_source.split}", "n_test": len(test_source),
            "canvases": "100x100, 8 fragments of 8x8; new ones each epoch, one for each test image",
            "tuning": "by accuracy on the training canvases, that the window begins blurred",
        },
        seconds=time.perf_counter() - started,
        results=results,
        gates=GATES,
        trainings=trainings,
        paper="3.36 % with 8 glimpses, 8.11 % of the recurrent attention model (table 1)",
    )  # fmt: skip
    keep(args.out, model, "error_percent", training=trainings["classifier"], train=train_source, test=canvases)
    if args.picture:
        images = canvases.images(12)
        _, boxes = model.look(images)
        looked_at, window_size = np.repeat(images[:, None], model.glimpses, axis=1), PAPER["read_size"]
        save_animation(PICTURE, looked_at, boxes, window_size=window_size, columns=6, scale=1, milliseconds=500)


if __name__ == "__main__":
    main()
