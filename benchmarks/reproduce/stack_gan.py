"""StackGAN and its second version: do images show what their text says, and do discriminators read it?

    python -m benchmarks.reproduce.stack_gan stack_gan_mnist --manual_dir FOLDER
    python -m benchmarks.reproduce.stack_gan stack_gan_captions --manual_dir FOLDER --picture

The first draws digits of the names of their classes. The others draw of captions, whose vectors are those of a network of
characters that is trained on the captions first; some pairs of class and colour are in no training image.
"""

import argparse
import contextlib
import functools
import pathlib

import keras
import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.reproduce.common import in_parts, main
from tfgen.data.captions import COLOURS
from tfgen.features import CharacterEncoder, to_sentences, train_text_encoder
from tfgen.metrics import train_classifier
from tfgen.sampling import save_png

THIS, MATCH = "benchmarks.reproduce.stack_gan", "match_rate"
_NAMES = {"accuracy": (">=", 0.9), MATCH: (">=", 0.95)}
_CAPTIONS = {
    "seen_class": (">=", 0.85), "seen_colour": (">=", 0.95), "seen_place": (">=", 0.85), "held_out_colour": (">=", 0.85),
    "held_out_class": (">=", 0.70), "held_out_both": (">=", 0.60), "both_held_out_over_seen": (">=", 0.7),
    MATCH: (">=", 0.9), "diversity": (">=", 0.3),
}  # fmt: skip
# name: (preset, data, gates)
RUNS = {
    "stack_gan_mnist": ("stack-gan/mnist", "named:mnist", _NAMES),
    "stack_gan_v2_mnist": ("stack-gan-v2/mnist", "named:mnist", _NAMES),
    "stack_gan_captions": (
        "stack-gan/captions-mnist", "captioned:mnist", {**_CAPTIONS, "energy": (">=", 0.8, "<=", 1.2), "energy_of_stage_1":
        ("<=", 0.6)},
    ),
    "stack_gan_v2_captions": ("stack-gan-v2/captions-mnist", "captioned:mnist", _CAPTIONS),
}  # fmt: skip
DRAWN, NOISES, SCENES = 2_000, 16, 40  # images of a number; noises of one caption and captions, for diversity


def drawn(model, embedding, seed=0):
    """Images of embeddings, with averaged weights if the model has them."""
    with contextlib.nullcontext() if model.ema is None else model.ema.swapped():
        return model.sample(len(embedding), seed=seed, embedding=embedding).numpy()


def match_rate(model, images, others, embedding):
    """Share of texts with a larger logit for their own image than for another one, with the weights of the training."""
    own, other = (in_parts(model.match_logits, shown, embedding) for shown in (images, others))
    return float(np.mean(own > other))


def match_rate_of_batches(model, images, others, embedding):
    """`match_rate` of the first version, with the statistics of batches of 64, by which its discriminator is trained."""
    judge = lambda x, text: model.judge(2, 2.0 * x - 1.0, tf.constant(text), training=True)  # noqa: E731
    own, other = (in_parts(judge, shown, embedding, size=64) for shown in (images, others))
    return float(np.mean(own > other))


def untrained(model):
    return type(model).from_config(model.get_config())


# ---- Digits of the names of their classes


def of_names(model, train_source, test_source, seed):
    """Accuracy of samples by a classifier of the data set, for each class in turn, and the rate of matches."""
    classifier = train_classifier(train_source, test_source, seed=0)
    labels, vectors = train_source.labels(), train_source.values("embedding")
    wanted = np.arange(DRAWN) % train_source.num_classes
    given = np.stack([vectors[labels == k][0] for k in range(train_source.num_classes)])[wanted]

    def accuracy(model):
        return float(np.mean(classifier.logits(drawn(model, given, seed)).argmax(axis=1) == wanted))

    images, classes = test_source.images(), test_source.labels()
    other = np.random.default_rng(0).permutation(len(images))
    differs = classes != classes[other]
    results = {
        "accuracy": accuracy(model), "accuracy_of_untrained": accuracy(untrained(model)),
        "classifier_accuracy": classifier.accuracy,
    }  # fmt: skip
    pairs = images[differs], images[other][differs], test_source.values("embedding")[differs]
    results[MATCH] = match_rate(model, *pairs)
    if hasattr(model, "small_shape"):
        results[f"{MATCH}_of_batches"] = match_rate_of_batches(model, *pairs)  # the last: it changes moving statistics
    return results, {"samples": DRAWN, MATCH: f"{int(differs.sum()):,} test images, and others of another class"}


# ---- Captions


class Captions:
    """The sources of the run, with vectors of one encoder, and the measurement."""

    def sources(self, args):
        load = functools.partial(tfgen.data.load, args.data, manual_dir=args.manual_dir)
        train_source, test, held_out = load("train"), load("test"), load("test", combinations="held_out", num=DRAWN)
        path = pathlib.Path(args.workdir) / "stack_gan_encoder.keras"
        if not path.exists():
            scenes, stated = train_source.values("scene"), train_source.values("stated")
            said = np.where(np.pad(stated, [(0, 0), (2, 0)], constant_values=1) > 0, scenes, -1)
            encoder = train_text_encoder(to_sentences(train_source.values("caption")), said)
            path.parent.mkdir(parents=True, exist_ok=True)
            encoder.network.save(path)
        encoder = CharacterEncoder(keras.saving.load_model(path, compile=False))
        train_source, test, self.held_out = (tfgen.data.embedded(one, encoder) for one in (train_source, test, held_out))
        return train_source, test

    def measure(self, model, train_source, test_source, seed):
        judge = Judge(train_source, test_source)
        seen, unseen = test_source.take(min(DRAWN, len(test_source))), self.held_out
        results = {"judges": judge.of_test}
        for name, source in (("seen", seen), ("held_out", unseen)):
            images = drawn(model, source.values("embedding"), seed)
            results |= {f"{name}_{key}": value for key, value in judge(images, source).items()}
        results["both_held_out_over_seen"] = results["held_out_both"] / results["seen_both"] if results["seen_both"] else 0.0
        vectors = seen.values("embedding")
        results["shuffled_both"] = judge(drawn(model, np.roll(vectors, 1, axis=0), seed), seen)["both"]
        results["untrained_both"] = judge(drawn(untrained(model), vectors, seed), seen)["both"]
        results[MATCH] = match_rate(model, seen.images(), seen.values("mismatched"), vectors)
        results["diversity"] = diversity(model, train_source, seen)
        real = energy(seen.images())
        results["energy"] = energy(drawn(model, vectors, seed)) / real
        if hasattr(model, "small_shape"):
            latents = model.latents(tf.range(len(vectors), dtype=tf.int64))
            small = in_parts(lambda z, e: 0.5 + 0.5 * model.made(1, z, e)["image"], latents.numpy(), vectors)
            results["energy_of_stage_1"] = energy(tf.image.resize(small, seen.image_shape[:2]).numpy()) / real
        return results, {
            "samples": DRAWN, "both": "class and colour", "place": "of captions that say it",
            "held_out": "class k in colour k mod 6", MATCH: "test captions, their image and a mismatched one",
            "diversity": f"mean L1 between {NOISES} images of a caption, over that of real images of its scene, mean of "
            f"{SCENES} captions", "energy": "mean absolute difference of neighbours, over that of real images",
            "encoder": "characters, trained on the captions of the training split",
        }  # fmt: skip


class Judge:
    """Tells class, colour, size and place of images: a classifier of grey images, and rules of pixels.

    Attributes:
        of_test: its accuracies for real images of the test split.
    """

    def __init__(self, train_source, test_source):
        sides = box(train_source.images())[1]
        large = train_source.values("scene")[:, 2] == 1
        self.border = 0.5 * (sides[large].mean() + sides[~large].mean())
        self.classifier = train_classifier(*(grey(source) for source in (train_source, test_source)), seed=0)
        self.of_test = self(test_source.images(), test_source)

    def __call__(self, images, source):
        """{"class", "colour", "size", "place", "both"}: shares of images [N, H, W, 3] as the first N scenes want them."""
        scenes, stated = source.values("scene")[: len(images)], source.values("stated")[: len(images)]
        kind = self.classifier.logits(images.max(axis=-1, keepdims=True)).argmax(axis=1) == scenes[:, 0]
        colours = np.array(list(COLOURS.values()), float)
        colours /= np.linalg.norm(colours, axis=1, keepdims=True)
        colour = (images.mean(axis=(1, 2)) @ colours.T).argmax(axis=1) == scenes[:, 1]
        centres, sides = box(images)
        size = (sides > self.border) == (scenes[:, 2] == 1)
        step = 3 * images.shape[1] // 16  # of the centre of a small item from that of the image
        places = step * np.array([(-1, 0), (1, 0), (0, -1), (0, 1), (0, 0)])  # x, y
        place = np.linalg.norm(centres[:, None] - places, axis=2).argmin(axis=1) == scenes[:, 3]
        size, place = (value[stated[:, k] == 1].mean() for k, value in enumerate((size, place)))
        found = {"class": kind.mean(), "colour": colour.mean(), "size": size, "place": place, "both": (kind & colour).mean()}
        return {name: float(value) for name, value in found.items()}


def grey(source):
    """A Source of the brightest channel, with labels."""
    pixels = np.round(255 * source.images().max(axis=-1, keepdims=True)).astype(np.uint8)
    name, classes = f"{source.name}, grey", source.num_classes
    return tfgen.data.from_arrays(pixels, source.labels(), name=name, split=source.split, num_classes=classes)


def box(images):
    """(centre [N, 2], x and y from that of the image; larger side [N]) of the box around the bright pixels."""
    bright = images.max(axis=-1) > 0.3
    ends = []
    for axis in (1, 2):  # columns, then rows
        line = bright.any(axis=axis)
        ends.append((line.argmax(axis=1), line.shape[1] - 1 - line[:, ::-1].argmax(axis=1)))
    centres = np.stack([0.5 * (first + last) - 0.5 * (images.shape[1] - 1) for first, last in ends], axis=1)
    return centres, np.max([last - first + 1 for first, last in ends], axis=0)


def energy(images):
    """Mean absolute difference of neighbouring pixels, down and across."""
    return float(np.abs(np.diff(images, axis=1)).mean() + np.abs(np.diff(images, axis=2)).mean())


def diversity(model, train_source, test_source):
    """Mean L1 between images of one caption, over that between real images of its scene."""
    scenes, images, shares = train_source.values("scene"), train_source.images(), []
    wanted, vectors = test_source.values("scene"), test_source.values("embedding")
    for k in range(min(SCENES, len(wanted))):
        real = images[np.all(scenes == wanted[k], axis=1)][:NOISES]
        if len(real) > 1:
            made = drawn(model, np.repeat(vectors[k : k + 1], NOISES, axis=0), seed=k)
            shares.append(spread(made) / spread(real))
    return float(np.mean(shares)) if shares else None


def spread(images):
    """Mean L1 between all pairs of images."""
    distances = np.abs(images[:, None] - images[None]).mean(axis=(2, 3, 4))
    return distances.sum() / (len(images) * (len(images) - 1))


def picture(model, source, path, columns=10):
    """Test images above the images that are drawn of their texts."""
    part = source.take(3 * columns)
    made = drawn(model, part.values("embedding")).reshape(3, columns, *source.image_shape)
    rows = np.stack([part.images().reshape(made.shape), made], axis=1)
    save_png(path, rows.reshape(-1, *source.image_shape), columns=columns, scale=2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=RUNS)
    parser.add_argument("--picture", action="store_true", help="save drawn images in docs/images")
    parser.add_argument("--steps", type=int, help="of the training, half of them of Stage I, for a trial")
    args, rest = parser.parse_known_args()
    preset, data, gates = RUNS[args.name]
    captions = Captions()
    further = {"sources": captions.sources} if data.startswith("captioned") else {}
    if args.steps:
        rest += ["--steps", str(args.steps)]
        if "stage_1_steps" in tfgen.presets.get(preset).model_args:
            further["stage_1_steps"] = max(1, args.steps // 2)
    model = main(
        args.name, preset, captions.measure if "sources" in further else of_names, gates, data=data, tuning="none",
        argv=rest, module=THIS, zoo=MATCH, **further,
    )  # fmt: skip
    if args.picture:
        options = argparse.ArgumentParser(add_help=False)
        options.add_argument("--manual_dir")
        options.add_argument("--workdir", default="runs")
        given, _ = options.parse_known_args(rest)
        source = captions.sources(argparse.Namespace(data=data, **vars(given)))[1] if "sources" in further else (
            tfgen.data.load(data, "test", manual_dir=given.manual_dir))  # fmt: skip
        picture(model, source, f"docs/images/{args.name}.png")
