"""InfoGAN, three seeds: accuracy of its categorical code, which is learnt without labels, as the class of digits.

    python -m benchmarks.reproduce.infogan mnist --picture

Categories are matched to digits on the train split, and scored on the test split.
"""

import argparse

import numpy as np
import tensorflow as tf

from benchmarks.reproduce.common import adversarial, main
from tfgen.metrics import hungarian_accuracy, majority_accuracy
from tfgen.sampling import save_png

# data set: (preset, gate of the best seed's accuracy)
RUNS = {"digits": ("infogan/digits", 0.75), "mnist": ("infogan/mnist", 0.90)}


def measure(model, train_source, test_source, seed):
    """Accuracy of the category as a classifier, the bound on mutual information, and the quality of samples.

    Accuracies are those of the test split, except those named _train. Samples have seed 0 and are evaluated with one
    classifier for all runs.
    """
    classes = train_source.num_classes
    train, test = (
        (np.concatenate([model.classify(batch["image"]) for batch in source.batches(500)]), source.labels())
        for source in (train_source, test_source)
    )
    results = {
        "hungarian_accuracy": hungarian_accuracy(*test, classes, fit=train),
        "hungarian_accuracy_train": hungarian_accuracy(*train, classes),
        "majority_accuracy": majority_accuracy(*test, classes, classes, fit=train),
        "majority_accuracy_train": majority_accuracy(*train, classes, classes),
    }
    samples, protocol = adversarial(model, train_source, test_source, 0)
    with model.ema.swapped():
        latents = model.latents(tf.range(1000, dtype=tf.int64))
        outputs = model.discriminate(2.0 * model.decode_images(latents) - 1.0)["code"]
        information = {f"{kind}_information": float(bound) for kind, bound in model.information(outputs, latents).items()}
    loss = {"categorical_loss": float(np.log(classes)) - information["categorical_information"]}
    protocol |= {"n_information": len(latents), "category_to_class": "fitted on train"}
    return {**results, **information, **loss, **samples}, protocol


def picture(model, path, rows=4):
    """A sweep of each code, `rows` rows each: the category in its 10 values, the continuous codes from -2 to 2."""
    with model.ema.swapped():
        sweeps = [model.traversal(code, rows=rows) for code in range(model.layout.num_codes)]
    images = tf.concat([tf.reshape(sweep, [-1, *model.image_shape]) for sweep in sweeps], axis=0)
    save_png(path, images, columns=10, scale=max(1, 48 // model.image_shape[0]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, add_help=False)
    parser.add_argument("data", choices=sorted(RUNS), nargs="?", default="digits")
    parser.add_argument("--picture", action="store_true", help="save the best seed's sweeps in docs/images")
    args, rest = parser.parse_known_args()
    preset, gate = RUNS[args.data]
    name = f"infogan_{args.data}"
    best = main(
        name, preset, measure, {"hungarian_accuracy": (">=", gate)}, data=args.data, tuning="none", argv=rest,
        module="benchmarks.reproduce.infogan", seeds=(0, 1, 2), rank="hungarian_accuracy",
        zoo="hungarian_accuracy_of_codes",
    )  # fmt: skip
    if args.picture:
        picture(best, f"docs/images/{name}.png")
