"""Style transfer on Kodak photos: AdaIN with styles that it never saw, and one network of 16 styles.

    python -m benchmarks.reproduce.style_transfer adain --data FOLDER_OF_KODAK --features FOLDER_OF_LITE0 --picture
    python -m benchmarks.reproduce.style_transfer fast --data FOLDER_OF_KODAK --features FOLDER_OF_LITE0 --picture

Every fourth photo (by name) is held out: contents are the centres, of 256 px, of these photos alone. AdaIN is trained on
random crops of the other photos, as contents and as styles; its test styles are textures cut from the held-out photos, and
each is given to the contents of the other photos. The network of 16 styles is trained on the same contents, and on textures
that are cut from 16 of the training photos. A texture is the square of 128 px, of a grid of them, with the largest total
variation. Features are those of EfficientNet-Lite0, trained on ImageNet.

The style loss is, without weights, the sum over the layers of `statistics_loss` (adain) or `gram_loss` (fast) to the style;
`style_ratio` is the mean of that of the results over the mean of that of the contents, before the transfer. The cosine is
that of the last layer's maps of result and content, each after instance norm, so that a style has no part in it;
`raw_content_cosine` is that of the maps as they are, and both are also given for contents of two photos.

With --validate, the held-out photos are left out, and every fourth of the others takes their part: settings are chosen so.
"""

import glob
import itertools
import pathlib
import time

import keras
import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.record import report, training_of
from benchmarks.reproduce.common import arguments, train_seconds_of
from benchmarks.zoo import keep
from tfgen.data.image_files import adapt_image, open_image
from tfgen.layers.instance_norm import normalize_maps
from tfgen.losses import gram_loss, statistics_loss, total_variation
from tfgen.sampling import save_png
from tfgen_trainers.train import TrainConfig, train

CROPS, CROP, CONTENT, STYLES = 3_000, 128, 256, 16
PRESETS = {"adain": "adain/photos-128", "fast": "fast-style-transfer/photos-16-styles"}
GATES = {
    "adain": {"style_ratio": ("<=", 0.1), "content_cosine": (">=", 0.7), "monotone_pairs": (">=", 1.0),
              "train_seconds": ("<=", 2400.0)},
    "fast": {"style_ratio": ("<=", 0.15), "own_style_best": (">=", 0.9), "monotone_pairs": (">=", 1.0),
             "train_seconds": ("<=", 2400.0)},
}  # fmt: skip
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)


def opened(file):
    return adapt_image(open_image(file), channels=3).astype(np.float32) / 255.0


def centre(image, size=CONTENT):
    top, left = ((n - size) // 2 for n in image.shape[:2])
    return image[top : top + size, left : left + size]


def texture(image, size=CROP):
    """The square of a grid of them with the largest total variation."""
    rows, columns = (n // size for n in image.shape[:2])
    squares = [image[i * size : (i + 1) * size, j * size : (j + 1) * size] for i in range(rows) for j in range(columns)]
    return squares[int(np.argmax([float(total_variation(square[None])) for square in squares]))]


def maps_of(network, images):
    """[float32 [B, h, w, F] of each layer]."""
    return list(network(images).values())


def style_loss(loss, maps, style):
    """The sum over the layers of the loss of each row of maps to those of one style: float [rows]."""
    pairs = list(zip(maps, style, strict=True))
    return np.array([sum(float(loss(a[i : i + 1], b)) for a, b in pairs) for i in range(len(maps[0]))])


def cosines(maps, others):
    """Mean cosine of the last layer's maps of rows: {"content_cosine": after instance norm, "raw_content_cosine"}."""
    found = {}
    for name, change in (("content_cosine", lambda x: normalize_maps(x, 1e-5)), ("raw_content_cosine", lambda x: x)):
        a, b = (tf.reshape(change(x[-1]), [len(x[-1]), -1]) for x in (maps, others))
        found[name] = float(tf.reduce_mean(-keras.losses.cosine_similarity(a, b)))
    return found


def falling(curve):
    return bool(np.all(np.diff(curve) < 0.0))


def measure_adain(model, contents, styles):
    """Each style with the contents of the other photos, at several alphas."""
    results, wanted = {}, [maps_of(model.encoder, style[None]) for style in styles]
    before, after, near, monotone = [], {alpha: [] for alpha in ALPHAS}, [], []
    for k, style in enumerate(styles):
        own = np.delete(contents, k, axis=0)
        content = maps_of(model.encoder, own)
        given = {"image": own, "style": np.repeat(style[None], len(own), axis=0)}
        before.append(style_loss(statistics_loss, content, wanted[k]))
        for alpha in ALPHAS:
            found = maps_of(model.encoder, model.translate(**given, alpha=np.full(len(own), alpha))["image"])
            after[alpha].append(style_loss(statistics_loss, found, wanted[k]))
        near.append(cosines(found, content))  # of the last alpha, 1
        monotone.append(falling([after[alpha][-1].mean() for alpha in ALPHAS]))
    for name in near[0]:
        results[name] = float(np.mean([one[name] for one in near]))
    results["style_loss_before"] = float(np.mean(before))
    results["style_loss_by_alpha"] = {str(alpha): float(np.mean(values)) for alpha, values in after.items()}
    results["style_ratio"] = float(np.mean(after[1.0])) / results["style_loss_before"]
    results["worst_style_ratio"] = max(float(np.mean(a) / np.mean(b)) for a, b in zip(after[1.0], before, strict=True))
    results["monotone_pairs"] = float(np.mean(monotone))
    again = model.translate(image=contents, style=contents[::-1], alpha=np.zeros(len(contents)))["image"]
    results["reconstruction_l1"] = float(np.mean(np.abs(again - contents)))
    return results


def measure_fast(model, contents, styles):
    """All styles with all contents, and mixtures of neighbouring styles."""
    network, num, count, results = model.feature_network, len(contents), len(styles), {}
    content, wanted = maps_of(network, contents), [maps_of(network, style[None]) for style in styles]
    painted = lambda w: maps_of(network, model.translate(image=contents, style_weights=w)["image"])  # noqa: E731
    made = [painted(rows(k, num, count)) for k in range(count)]
    before = np.mean([style_loss(gram_loss, content, style) for style in wanted])
    losses = np.array([[style_loss(gram_loss, maps, style) for maps in made] for style in wanted])
    own = np.array([losses[k, k] for k in range(count)])  # [style, content]
    results["style_loss_before"], results["style_ratio"] = float(before), float(own.mean() / before)
    results["own_style_best"] = float(np.mean(np.argmin(losses, axis=1) == np.arange(count)[:, None]))
    near = [cosines(maps, content) for maps in made]
    for name in near[0]:
        results[name] = float(np.mean([one[name] for one in near]))
    monotone = []
    for a, b in zip(range(count), [*range(1, count), 0], strict=True):
        curve = [losses[b, a].mean()]
        for share in ALPHAS[1:-1]:
            mixed = painted((1 - share) * rows(a, num, count) + share * rows(b, num, count))
            curve.append(style_loss(gram_loss, mixed, wanted[b]).mean())
        monotone.append(falling([*curve, losses[b, b].mean()]))
    results["monotone_pairs"] = float(np.mean(monotone))
    return results


def rows(k, num, count):
    """One-hot weights of style k, float32 [num, count]."""
    return np.eye(count, dtype=np.float32)[[k] * num]


def adain_picture(model, contents, styles):
    """Styles in the first row, contents in the first column."""
    small = lambda image: tf.image.resize(image, [CROP, CROP], "area").numpy()  # noqa: E731
    shown = styles[:5]
    cells = [np.ones([CROP, CROP, 3], np.float32), *shown]
    for content in contents:
        made = model.translate(image=np.repeat(content[None], len(shown), axis=0), style=shown)["image"]
        cells += [small(content), *small(made)]
    return np.stack(cells), 1 + len(shown)


def fast_picture(model, contents, styles):
    """The same of eight of the styles; in the last row a mixture of the first and the last of these."""
    small = lambda image: tf.image.resize(image, [CROP, CROP], "area").numpy()  # noqa: E731
    count, shown = len(styles), min(8, len(styles))
    cells, contents = [np.ones([CROP, CROP, 3], np.float32), *styles[:shown]], contents[:3]
    one_hot = np.eye(count, dtype=np.float32)
    mixed = np.linspace(0.0, 1.0, shown, dtype=np.float32)[:, None]
    weights = [one_hot[:shown]] * len(contents) + [(1 - mixed) * one_hot[0] + mixed * one_hot[shown - 1]]
    for content, w in zip([*contents, contents[0]], weights, strict=True):
        made = model.translate(image=np.repeat(content[None], shown, axis=0), style_weights=w)["image"]
        cells += [small(content), *small(made)]
    return np.stack(cells), 1 + shown


def main(argv=None):
    parser = arguments(__doc__, "KIND_kodak", picture="docs/images/KIND_kodak.png")
    parser.add_argument("kind", choices=sorted(PRESETS))
    parser.add_argument("--data", required=True, help="folder with the photos kodim*.png")
    parser.add_argument("--features", required=True, help="folder, or .npz file, of EfficientNet-Lite0")
    parser.add_argument("--validate", action="store_true", help="leave the held-out photos out; nothing is recorded")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=NUMBER", help="settings, to be validated")
    args = parser.parse_args(argv)
    files = sorted(glob.glob(f"{args.data}/kodim*.png"))
    if len(files) < STYLES * 4 // 3:
        parser.error(f"--data must hold the photos kodim*.png; found {len(files)} in {args.data}.")
    test, seen = files[3::4], [file for file in files if file not in files[3::4]]
    if args.validate:
        test, seen = seen[3::4], [file for file in seen if file not in seen[3::4]]
    started, name = time.perf_counter(), f"{'fast_style_transfer' if args.kind == 'fast' else 'adain'}_kodak"
    kept = tfgen.presets.get(PRESETS[args.kind]).model_args["feature_network"]
    network = {**kept, "arguments": {**kept["arguments"], "path": args.features}}
    overrides = {"feature_network": network, **{key: float(value) for key, value in (one.split("=") for one in args.set)}}
    if args.kind == "fast":
        overrides["num_styles"] = STYLES
    contents_seen = tfgen.data.crops(seen, size=CROP, num=CROPS, seed=args.seed)
    if args.kind == "adain":
        styles_seen = tfgen.data.crops(seen, size=CROP, num=CROPS, seed=args.seed + 1)
    else:
        cut = np.stack([texture(opened(file)) for file in itertools.islice(itertools.cycle(seen), STYLES)])
        styles_seen = tfgen.data.from_arrays(cut, name=f"textures of {STYLES} photos")
    source = tfgen.data.unpaired(contents_seen, styles_seen, second="style")
    config = TrainConfig(PRESETS[args.kind], overrides, args.steps, args.seed, log_every=100, checkpoint_every=500)
    folder = pathlib.Path(args.workdir) / f"{name}{'-validate' if args.validate else ''}-{args.seed}"
    result = train(config, source, folder)
    train_seconds, evaluated = train_seconds_of(folder), time.perf_counter()

    model = type(result.model).from_config({**result.model.get_config(), "any_size": True})  # contents of 256 px
    model.set_weights(result.model.get_weights())
    photos = [opened(file) for file in test]
    contents = np.stack([centre(photo) for photo in photos])
    styles = np.stack([texture(photo) for photo in photos]) if args.kind == "adain" else cut
    measure, draw = {"adain": (measure_adain, adain_picture), "fast": (measure_fast, fast_picture)}[args.kind]
    results = measure(model, contents, styles)
    features = model.encoder if args.kind == "adain" else model.feature_network
    between = cosines(maps_of(features, contents), maps_of(features, np.roll(contents, 1, axis=0)))
    results |= {f"{key}_of_two_photos": value for key, value in between.items()}
    untrained = type(model).from_config(model.get_config())
    anchor = measure(untrained, contents, styles)
    results["untrained"] = {key: anchor[key] for key in ("style_ratio", "content_cosine")}
    results["train_seconds"], results["steps"] = train_seconds, result.step
    out = args.out or f"benchmarks/reproduce/{name}.json"
    report(
        None if args.validate else out, "benchmarks.reproduce.style_transfer",
        seed=args.seed,
        protocol={
            "preset": config.resolve().config(), "train": f"{CROPS} random crops of {CROP} px of {len(seen)} photos",
            "styles": "textures of the test photos, each for the contents of the others" if args.kind == "adain" else
            f"textures of {STYLES} training photos", "test": [pathlib.Path(file).name for file in test],
            "contents": f"centres of {CONTENT} px", "alphas": ALPHAS, "features": features.fingerprint,
            "tuning": "with --validate: on every fourth of the training photos, left out there; never on the test photos",
            "weights": "raw",
        },
        seconds=train_seconds + time.perf_counter() - evaluated,
        results=results,
        gates=GATES[args.kind],
        trainings={"seed": training_of(folder)},
        wall_seconds=round(time.perf_counter() - started, 1),
        paper="pictures alone",
    )  # fmt: skip
    if not args.validate:
        content, style = ((tfgen.data.crops(test, size=64, num=20, seed=k).images() * 255).round() for k in (0, 1))
        style = {"style": (style.astype(np.uint8), tfgen.fields.image((64, 64, 3), "style"))}
        crops = tfgen.data.from_arrays(content.astype(np.uint8), name="crops of photos", split="test", fields=style)
        keep(out, model, "content_l1", training=training_of(folder), test=crops)
    if args.picture or args.validate:
        path = folder / "picture.png" if args.validate else f"docs/images/{name}.png"
        pictures, columns = draw(model, contents, styles)
        print(save_png(path, pictures, columns=columns))


if __name__ == "__main__":
    main()
