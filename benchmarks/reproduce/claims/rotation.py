"""SS-GAN on Fashion-MNIST: a second task without labels makes a discriminator know and remember more of images.

SS-GAN, SNGAN, SNGAN with labels, and rotations alone are trained with the same networks for as many steps; linear probes
say what their discriminators know. A toy shows the forgetting alone: a classifier learns ten tasks one after the other.
"""

import time

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import tfgen
from benchmarks.record import markdown_table
from benchmarks.reproduce.claims.runs import numbers, trained
from benchmarks.reproduce.common import FCD, in_parts
from tfgen.layers.spectral_norm import update_spectral_state
from tfgen.metrics import CriticProbe, Evaluator, linear_probe, train_classifier
from tfgen.models.adversarial.ss_gan import DiscriminatorWithRotations, rotation_loss, with_turned
from tfgen.networks import ConvDiscriminator
from tfgen_trainers.origin import origin

MODELS = {  # name: (preset without the data set, settings)
    "SS-GAN": ("ss-gan", {}), "SNGAN": ("sngan", {}), "SNGAN with labels": ("sngan", {"num_classes": 10}),
    "rotations alone": ("ss-gan", {"adversarial": False}),
}  # fmt: skip
DATA, STEPS, LAYERS, PROBED, TASK_STEPS = "fashion_mnist", 3_000, ("conv_0", "conv_1", "features"), 10_000, 300
CAPTION = "Accuracy of linear probes of four discriminators, and of a network that learns ten tasks in turn"


def measure(args):
    """FCD, rotations and probes of all models, and the toy."""
    steps, task_steps = args.steps or STEPS, min(args.steps or TASK_STEPS, TASK_STEPS)
    source, test = (tfgen.data.load(DATA, split, manual_dir=args.manual_dir) for split in ("train", "test"))
    evaluator = Evaluator(source, test, train_classifier(source, test, seed=0), seed=0)
    probe = CriticProbe(LAYERS, source.take(min(PROBED, len(source))), test)
    results, trainings, zoo, protocol, presets = {}, {}, None, None, {}
    for name, (paper, settings) in MODELS.items():
        preset, settings, load = f"{paper}/mnist", {"data": DATA, **settings}, {"spec": DATA, "split": "train"}
        model, training, seconds = trained(args, source, preset, 0, steps, settings, f"claim_rotation-{name}", **load)
        trainings[name], presets[name] = training, tfgen.presets.get(preset).override(settings).config()
        zoo = zoo or {"model": model, "metric": FCD, "training": training, "train": source, "test": test}
        one, protocol, _ = numbers(evaluator, model, len(test), averaged=True)
        found = probe(model)
        one |= {"probe": {layer: {"train": p.train, "test": p.test, "gap": p.gap} for layer, p in found.items()}}
        if hasattr(model, "rotation_accuracy"):
            one["rotation_accuracy"] = model.rotation_accuracy(test.images())
        results[name] = {**one, "train_seconds": seconds}
        print("rotation", name, results[name])
    started = time.perf_counter()
    trained_by = {"from_step": 0, **origin([ConvDiscriminator.__module__, type(source).__module__], [__name__])}
    results["toy"] = {
        name: forgetting(source, test, rotations=turned, steps=task_steps)
        for name, turned in (("with rotations", True), ("without", False))
    }
    results["toy_seconds"] = time.perf_counter() - started
    trainings["toy"] = {"trained_by": [trained_by], "first_steps": None}
    results["rotation_accuracy"] = results["SS-GAN"]["rotation_accuracy"]
    of_features = {name: 100.0 * results[name]["probe"]["features"]["test"] for name in MODELS}
    ends = [results["toy"][name]["probe"][-1]["test"] for name in ("with rotations", "without")]
    results["toy_probe_gain"] = 100.0 * (ends[0] - ends[1])
    results["probe_over_plain"] = of_features["SS-GAN"] - of_features["SNGAN"]
    protocol = {
        "data": DATA, "steps": steps, "presets": presets, "metrics": protocol, "layers": LAYERS,
        "probe": f"logistic regression of the features of the first {min(PROBED, len(source)):,} train images, raw weights",
        "probe_over_plain": "points of accuracy on test images, layer features, SS-GAN less SNGAN",
        "toy_probe_gain": "points of accuracy on test images after the last task, with rotations less without",
        "toy": {"steps_of_a_task": task_steps, "tasks": "ten, one class against the rest, in turn, twice"},
        "test_images": {FCD: evaluator.real_anchor(len(test)).values[FCD]},
    }  # fmt: skip
    gates = {"rotation_accuracy": (">=", 0.9), "probe_over_plain": (">=", 2.0), "toy_probe_gain": (">=", 2.0)}
    return results, protocol, gates, trainings, zoo


# ---- The toy: one network, ten tasks in turn


def forgetting(train_source, test_source, *, rotations, steps, cycles=2, seed=0, batch_size=64, width=16, rate=1e-3):
    """Trains a network on ten tasks, one after the other: does an image have class 0? class 1? ... and again from class 0.

    It has one logit and, for `rotations`, the head and the loss of SS-GAN beside that of the task. Half of each batch has
    the class. All numbers are of held-out images: those of the first steps of a task show what was kept.

    Args:
        train_source, test_source: labelled `tfgen.data.Source`s of square images. At most 5,000 images are trained on.
        rotations: whether the loss of rotations is added.
        steps: of each task.
        cycles: how often all tasks come.
        seed: of the weights and the batches.
        batch_size, width, rate: images of a step, filters of the first convolution, rate of Adam.

    Returns:
        {"task": [{"step", "accuracy"}, ...], balanced accuracy of the task that is trained, at a fifth of its steps and at
        its end; "probe": [{"step", "train", "test"}, ...], `linear_probe` of the features for all classes, after each task;
        "rotation_accuracy": or None}.
    """
    keras.utils.set_random_seed(seed)
    shape, rng = train_source.image_shape, np.random.default_rng(seed)
    critic = ConvDiscriminator(image_shape=shape, width=width, kernel_size=4, dense_width=4 * width, norm=None, slope=0.1,
                               use_bias=True, convolution="spectral", name="critic")  # fmt: skip
    network = DiscriminatorWithRotations(critic, name="network")
    network.build([(None, *shape)])
    optimizer = keras.optimizers.Adam(rate, beta_1=0.5)
    trained = network.trainable_variables if rotations else critic.trainable_variables
    optimizer.build(trained)

    @tf.function
    def update(images, targets):
        update_spectral_state(network)
        with tf.GradientTape() as tape:
            turned = batch_size // 4 if rotations else 0
            found = network([with_turned(images, turned) if rotations else images], training=True)
            logits = found["logit"][:batch_size, 0]
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(targets, logits))
            if rotations:
                loss += rotation_loss(found["rotation"][batch_size - turned :])
        optimizer.apply_gradients(zip(tape.gradient(loss, trained), trained, strict=True))

    data = {}
    for split, source in (("train", train_source.take(min(5_000, len(train_source)))), ("test", test_source)):
        data[split] = 2.0 * source.images() - 1.0, source.labels()
    look = tf.function(lambda images: network([images]), reduce_retracing=True)
    images, labels = data["train"]
    classes, found, done = train_source.num_classes, {"task": [], "probe": []}, 0
    for number in range(cycles * classes):
        has = labels == number % classes
        for step in range(1, steps + 1):
            rows = balanced_rows(has, batch_size, rng)
            update(tf.constant(images[rows]), tf.constant(has[rows], tf.float32))
            done += 1
            if step in (max(1, steps // 5), steps):
                accuracy = _balanced_accuracy(look, *data["test"], number % classes)
                found["task"].append({"step": done, "accuracy": accuracy})
        features = {name: in_parts(lambda x: look(x)["features"], x) for name, (x, _) in data.items()}
        probe = linear_probe(features["train"], labels, features["test"], data["test"][1])
        found["probe"].append({"step": done, "train": probe.train, "test": probe.test})
    right = None
    if rotations:
        upright = data["test"][0]
        answers = [in_parts(lambda x, k=k: look(tf.image.rot90(x, k))["rotation"], upright).argmax(1) for k in range(4)]
        right = float(np.mean([answer == k for k, answer in enumerate(answers)]))
    print("toy", "with" if rotations else "without", "rotations", found["probe"][-1], right)
    return {**found, "rotation_accuracy": right}


def balanced_rows(has, size, rng):
    """`size` random rows, half of them of those that `has` (bool [N]) names, in random order: the last ones are turned."""
    rows = np.concatenate([rng.choice(np.flatnonzero(has == wanted), size // 2) for wanted in (True, False)])
    return rng.permutation(rows)


def _balanced_accuracy(look, images, labels, task):
    """Mean of the shares of right answers among the images of class `task` and among the rest."""
    positive = in_parts(lambda x: look(x)["logit"], images)[:, 0] > 0
    return float((positive[labels == task].mean() + (~positive[labels != task]).mean()) / 2)


# ---- Figure and table


def draw(found, args):
    results, layers = found["results"], found["protocol"]["layers"]
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
    for i, name in enumerate(MODELS):
        probes = [100 * results[name]["probe"][layer]["test"] for layer in layers]
        left.plot(range(len(layers)), probes, "o-", color=f"C{i}", label=name)
    left.set(title="probes of the discriminators", xticks=range(len(layers)), xticklabels=layers,
             ylabel="accuracy on test images [%]")  # fmt: skip
    left.legend()
    for i, (name, toy) in enumerate(results["toy"].items()):
        for axes, key, value in ((middle, "task", "accuracy"), (right, "probe", "test")):
            steps, values = ([one[part] for one in toy[key]] for part in ("step", value))
            axes.plot(steps, 100 * np.array(values), ".-", color=f"C{2 * i}", label=name)
    middle.set(title="toy: the task that is trained", xlabel="step", ylabel="balanced accuracy [%]")
    right.set(title="toy: probe of all classes", xlabel="step", ylabel="accuracy on test images [%]")
    right.legend()
    return figure


def table(found):
    results, layers = found["results"], found["protocol"]["layers"]
    rows = []
    for name in MODELS:
        one = results[name]
        turns = f"{100 * one['rotation_accuracy']:.1f}" if "rotation_accuracy" in one else "-"
        probes = [f"{100 * one['probe'][layer]['test']:.1f}" for layer in layers]
        gap = f"{100 * one['probe'][layers[-1]]['gap']:.1f}"
        rows.append([name, f"{one[FCD]:.2f}", turns, *probes, gap, f"{one['train_seconds']:.0f}"])
    head = ["model", "FCD", "rotations [%]", *(f"probe of {layer} [%]" for layer in layers), "train - test", "seconds"]
    ends = {name: 100 * toy["probe"][-1]["test"] for name, toy in results["toy"].items()}
    toy = ", ".join(f"{value:.1f} % {name}" for name, value in ends.items())
    return (
        f"{markdown_table(head, rows)}\n\nAll after {found['protocol']['steps']:,} steps. The FCD of test images is "
        f"{found['protocol']['test_images'][FCD]:.2f}. Toy: at the end the probe is right for {toy}."
    )
