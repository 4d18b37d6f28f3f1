"""Where to sample z, and the way between two images: the zoo's autoencoder, VAE and GAN of digits."""

import matplotlib.pyplot as plt
import numpy as np

import tfgen
from benchmarks.record import markdown_table
from benchmarks.reproduce.claims import digits
from benchmarks.reproduce.common import in_parts
from tfgen.metrics import codes_of
from tfgen.sampling import decoded, latent_path

CAPTION = "Samples of an autoencoder and a VAE from distributions of codes, and ways between two test digits or latents"
ENCODERS = {"autoencoder/digits": "autoencoder", "vae/digits": "VAE"}
GAN, COUNT, STEPS, SHOWN = "sngan/digits", 1_400, 9, 10


def measure(args):
    """Distances of samples and of the points of paths from images of the same decoder with codes of real images."""
    train, test, classifier = digits.sources()
    real = {"autoencoder/digits": (train.images(), test.images())}
    real["vae/digits"] = tuple(np.float32(images >= 0.5) for images in real["autoencoder/digits"])  # as it was trained
    rng = np.random.default_rng(0)
    first, second = pairs(test.labels(), rng)
    sampled, paths, pictures = {}, {}, {"samples": {}, "paths": {}}
    for name, (training, held_out) in real.items():
        model = tfgen.from_preset(name)
        codes = codes_of(model, training)
        make = lambda z, model=model: in_parts(model.decode_images, np.float32(z))  # noqa: E731
        reference = make(codes)
        drawn = {
            "test": codes_of(model, held_out), "normal": rng.normal(size=codes.shape),
            "fitted": codes.mean(axis=0) + codes.std(axis=0) * rng.normal(size=codes.shape),
        }  # fmt: skip
        sampled[name] = {"code_deviation": float(codes.std(axis=0).mean())}
        for what, z in drawn.items():
            images = make(z)
            sampled[name][what] = digits.distance(classifier, reference, images)
            pictures["samples"][f"{name} {what}"] = digits.to_record(images[:SHOWN])
        for rule in ("lerp", "slerp"):
            path = decoded(model, latent_path(drawn["test"][first], drawn["test"][second], STEPS, rule=rule))
            paths[f"{name} {rule}"] = along(classifier, reference, path)
            pictures["paths"][f"{name} {rule}"] = digits.to_record(path[1])
        if name == "autoencoder/digits":
            path = latent_path(*(held_out[i].reshape(COUNT, -1) for i in (first, second)), STEPS)
            path = np.float32(path).reshape(COUNT, STEPS, *test.image_shape)
            paths["pixels lerp"] = along(classifier, training, path)
            pictures["paths"]["pixels lerp"] = digits.to_record(path[1])
        print(name, sampled[name])
    model = tfgen.from_preset(GAN)
    ends = [model.latents(np.arange(start, start + COUNT)).numpy() for start in (0, COUNT)]
    reference = in_parts(model.decode_images, model.latents(np.arange(2 * COUNT, 3 * COUNT)).numpy())
    for rule in ("lerp", "slerp"):
        path = decoded(model, latent_path(*ends, STEPS, rule=rule))
        paths[f"{GAN} {rule}"] = along(classifier, reference, path)
        pictures["paths"][f"{GAN} {rule}"] = digits.to_record(path[1])
    middle = {name: one["distance"][STEPS // 2] for name, one in paths.items()}
    results = {
        "normal_autoencoder_over_vae": sampled["autoencoder/digits"]["normal"] / sampled["vae/digits"]["normal"],
        "fitted_over_normal_autoencoder": sampled["autoencoder/digits"]["fitted"] / sampled["autoencoder/digits"]["normal"],
        "autoencoder_over_pixels": middle["autoencoder/digits lerp"] / middle["pixels lerp"],
        "vae_over_pixels": middle["vae/digits lerp"] / middle["pixels lerp"],
        **{f"slerp_over_lerp_{name.split('/')[0]}": middle[f"{name} slerp"] / middle[f"{name} lerp"]
           for name in (*ENCODERS, GAN)},
        "samples": sampled, "paths": paths, "pictures": pictures,
    }  # fmt: skip
    protocol = {
        "weights": digits.weights_of([*ENCODERS, GAN]), "classifier": classifier.weights_hash, "pairs": COUNT,
        "steps": STEPS,
        "reference": "decoded codes of train images; for pixels the train images; for the GAN other samples",
        "codes": "normal: standard normal; fitted: normal with mean and deviation of the train codes; test: of test images",
        "paths": "between test images of different classes; of the GAN between latents", "seed": 0,
        "distance": "FCD from the reference", "confidence": "mean of the classifier's largest probability",
    }  # fmt: skip
    gates = {
        "normal_autoencoder_over_vae": (">=", 2.0), "fitted_over_normal_autoencoder": ("<=", 0.5),
        "autoencoder_over_pixels": ("<=", 0.5), "vae_over_pixels": ("<=", 0.5), "slerp_over_lerp_sngan": ("<=", 0.8),
    }  # fmt: skip
    return results, protocol, gates, {}, None


def pairs(labels, rng):
    """Two lists of `COUNT` places of images, of different classes."""
    first, second = rng.integers(0, len(labels), [2, 2 * COUNT])
    differ = np.flatnonzero(labels[first] != labels[second])[:COUNT]
    return first[differ], second[differ]


def along(classifier, reference, path):
    """Distance and confidence at each step of paths [N, S, H, W, C]."""
    steps = range(path.shape[1])
    return {"distance": [digits.distance(classifier, reference, path[:, i]) for i in steps],
            "confidence": [float(digits.confidence(classifier, path[:, i]).mean()) for i in steps]}  # fmt: skip


NAMES = {"pixels": "pixels", **ENCODERS, GAN: "SNGAN"}


def _title(name):
    model, what = name.split(" ")
    return f"{NAMES[model]}, {what}"


def draw(found, args):
    results = found["results"]
    figure, axes = plt.subplots(1, 4, figsize=(12, 2.8), layout="constrained", width_ratios=(1.5, 1.4, 1.2, 1.2))
    for panel, pictures in zip(axes, results["pictures"].values(), strict=False):
        digits.show(panel, list(pictures.values()), labels=[_title(name) for name in pictures])
    for panel, key in zip(axes[2:], ("distance", "confidence"), strict=True):
        for name, one in results["paths"].items():
            style = "--" if name.endswith("slerp") else "-"
            colour = f"C{list(NAMES).index(name.split(' ')[0])}"
            panel.plot(np.linspace(0, 1, len(one[key])), one[key], style, color=colour, label=_title(name))
        panel.set(xlabel="share of the way", ylabel={"distance": "FCD"}.get(key, key))
    figure.legend(*axes[2].get_legend_handles_labels(), loc="outside right center", fontsize=7)
    return figure


def table(found):
    results, head = found["results"], ["codes", *ENCODERS.values()]
    titles = {"test": "of test images", "fitted": "normal, moments of the train codes", "normal": "standard normal"}
    rows = [[title, *(f"{results['samples'][name][key]:.2f}" for name in ENCODERS)] for key, title in titles.items()]
    deviations = ", ".join(f"{results['samples'][name]['code_deviation']:.2f} ({NAMES[name]})" for name in ENCODERS)
    ends = [[_title(name), *(f"{one[key][i]:.2f}" for key in ("distance", "confidence") for i in (0, STEPS // 2))]
            for name, one in results["paths"].items()]  # fmt: skip
    paths = markdown_table(["way", "FCD at its begin", "in its middle", "confidence at its begin", "in its middle"], ends)
    return (
        f"{markdown_table(head, rows)}\n\nFCD of decoded codes from the decoded codes of train images. Mean deviation of "
        f"the train codes: {deviations}.\n\n{paths}"
    )
