"""Improved GAN: five techniques for training, and semi-supervised learning.

Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen, "Improved Techniques for Training GANs", NeurIPS 2016,
arXiv:1606.03498; networks and settings as in the authors' code for MNIST, SVHN and CIFAR-10 (openai/improved-gan).

The idea: a GAN is a game, and gradient descent on two losses need not find its equilibrium. Five techniques help, each on
its own. The discriminator can also be a classifier of K classes. Then it learns from images without labels as well: it must
tell them from generated ones, and with feature matching this makes features that need few labels.

    feature matching         G minimises |E f(x) - E f(G(z))|, f: the features before D's last layer          section 3.1
    minibatch discrimination D's last layer also sees how close an image is to the others of its batch                3.2
    historical averaging     both losses + |theta - mean of theta so far|^2                                           3.3
    one-sided smoothing      D's target is `real_target`, say .9, for real images, and 0 for generated ones           3.4
    virtual batch norm       G normalises each row by fixed reference rows and itself                                 3.5

Semi-supervised (section 5), with class logits l, l_{K+1} = 0, Z = logsumexp(l), p(real) = sigmoid(Z), sp = softplus:

    L_D = E [Z(x) - l_y(x)] + w / 2 (E sp(-Z(u)) + E sp(Z(G)))       x: labelled, u: unlabelled images, w: unlabelled_weight

With num_labels = 0 there is one logit, Z = l_1, and the first term is missing.

What differs from the paper: in the generator's turn the real features are those of the discriminator's unlabelled batch; the
code draws another batch. Averaged weights start as a copy and are those of both networks; in the code they start at 0 and
are those of the discriminator. Latents are uniform in (-1, 1) instead of (0, 1): the same function behind batch norm.
Samples use the moving statistics of batch norm; the code uses those of the batch. Dropout and noise are functions of (seed,
step, row). Strided convolutions pad as TensorFlow does; those of the code pad by the same on each side. The code's Adam adds
1e-8 under the root; epsilon = 1e-4 stands for it here. The code has no historical averaging. Virtual batch norm and label
smoothing are in the code of the ImageNet networks alone, which are not here; the reference batch of virtual batch norm is
one of latents, since only the generator has it. Minibatch discrimination compares the images of one replica; everything else
is computed over the global batch.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import keras
import tensorflow as tf

from tfgen import fields, losses, random
from tfgen.layers import data_dependent_init
from tfgen.models.adversarial.base import AdversarialModel, LatentDistribution
from tfgen.models.adversarial.parts.passes import Pass
from tfgen.models.capabilities import Classifier
from tfgen.networks.weight_normed import WeightNormed, make_weight_normed
from tfgen.settings import ImageShape, NaturalInt, NonNegativeFloat, PositiveFraction, PositiveInt, Rate, TwoOrMore, Widths
from tfgen.training.players import Player, mean_over_replicas
from tfgen.training.state import named_variables


@keras.saving.register_keras_serializable("tfgen")
class ImprovedGAN(Classifier, AdversarialModel):
    """Improved GAN. Each technique is a separate setting, off by default.

    Batches of a semi-supervised model have the fields `image` and `label`, and `unlabelled`, images of any class. If all
    labels are known, batches need no `unlabelled`: `image` is used for both. See `tfgen.data.semi_supervised`.

    Example:
        >>> model = tfgen.models.ImprovedGAN(
        ...     image_shape=(8, 8, 1), widths=(16, 16), generator_widths=(16,), num_labels=10, feature_matching="squared")
        >>> [field.name for field in model.batch_fields()]
        ['image', 'label']
        >>> model.class_logits(model.sample(2, seed=0)).shape
        TensorShape([2, 10])

    Args:
        image_shape: (H, W, C); for "conv" H and W are multiples of 8 and at least 16.
        network: "mlp" (the paper's of MNIST) or "conv" (of CIFAR-10 and SVHN).
        widths: discriminator. mlp: units of each layer; conv: filters of the first three layers, and of the other six.
        generator_widths: mlp: units of each hidden layer; conv: channels of the grid and of the layers up to the last.
        noise: standard deviations of the Gaussian noise in the discriminator, (of its input, within). mlp: before each
            layer, in units of [0, 1] at the input; conv: before each group of three layers, the input in [-1, 1].
        dropout: rates, in the same places.
        num_labels: 0, or K, the number of classes that the discriminator predicts.
        unlabelled_weight: w, of the unsupervised loss; 0: the discriminator learns from labels alone.
        feature_matching: None, or "squared" or "absolute" (see `tfgen.losses.feature_matching`): the generator's loss,
            instead of that of `objective`.
        minibatch_kernels: 0, or the kernels of minibatch discrimination, of 5 dimensions each.
        historical_weight: of historical averaging, in the losses of both networks.
        real_target: in (0, 1]; below 1 for one-sided label smoothing.
        reference_size: 0, or the rows of the reference batch of virtual batch norm.
        scaled_by_data: whether `initialize` sets the scales of the weight-normed layers, as in the code. False: they stay 1,
            the features are smaller beside the noise, and the discriminator separates the images less easily.
        **kwargs: see `AdversarialModel`. Images and labels are not joined: num_classes must be 0.
    """

    def __init__(
        self, *, image_shape: ImageShape, network: WeightNormed = "mlp",
        widths: Widths = (1000, 500, 250, 250, 250), generator_widths: Sequence[PositiveInt] = (500, 500),
        noise: tuple[NonNegativeFloat, NonNegativeFloat] = (0.3, 0.5), dropout: tuple[Rate, Rate] = (0.0, 0.0),
        num_labels: Literal[0] | TwoOrMore = 0, unlabelled_weight: NonNegativeFloat = 1.0,
        feature_matching: Literal["squared", "absolute"] | None = None, minibatch_kernels: NaturalInt = 0,
        historical_weight: NonNegativeFloat = 0.0, real_target: PositiveFraction = 1.0, reference_size: NaturalInt = 0,
        scaled_by_data: bool = True, latent_distribution: LatentDistribution = "uniform", **kwargs,
    ):  # fmt: skip
        super().__init__(image_shape=image_shape, latent_distribution=latent_distribution, **kwargs)
        if self.num_classes:
            raise ValueError(f"ImprovedGAN's generator takes no labels: num_classes must be 0 (K is num_labels); "
                             f"received {self.num_classes}.")  # fmt: skip
        if historical_weight and self.penalty_interval > 1:
            raise ValueError(
                "historical_weight counts the discriminator's updates, of which a lazy penalty has more than one in a step: "
                f"penalty_interval must be 1; received {self.penalty_interval}."
            )
        self.num_labels, self.feature_matching = num_labels, feature_matching
        self.historical_weight, self.network = float(historical_weight), network
        self.scaled_by_data = bool(scaled_by_data)
        if num_labels or real_target != 1.0:  # both need probabilities
            self.objective = losses.label_smoothing(self.objective, real_target)
        self.objective = _weighted(self.objective, 0.5 * unlabelled_weight)
        self.set_networks(
            *make_weight_normed(
                network, image_shape=self.image_shape, widths=widths, generator_widths=generator_widths, noise=noise,
                dropout=dropout, num_logits=max(num_labels, 1), minibatch_kernels=minibatch_kernels,
                reference=self._reference(reference_size) if reference_size else None, dtype=self.dtype_policy,
            )
        )  # fmt: skip
        if num_labels:
            self.loss_names = (*self.loss_names, "supervised_loss")
            self.trackers["supervised_loss"] = keras.metrics.Mean(name="supervised_loss")
        if self.historical_weight:
            self.generator_history = _copies("generator", self.generator)
            self.discriminator_history = _copies("discriminator", self.discriminator)

    def _reference(self, size):
        keys = random.fold(random.fold(random.key(self.seed), -1), tf.range(size))  # -1: no step of training has it
        return self.draw_latents(keys).numpy()

    @classmethod
    def fields_of(cls, config):
        labels = [fields.label(config["num_labels"])] if config["num_labels"] else []
        return (*super().fields_of(config), *labels)

    def conditions(self):
        return ()

    def players(self):
        # The discriminator is the classifier: its weights are averaged, too.
        return {**super().players(), "discriminator": Player(self.discriminator)}

    # ---- training

    @property
    def initialized_by_data(self) -> bool:
        return self.scaled_by_data

    def initialize(self, batch):
        """Sets scales and biases of the weight-normed layers by one batch, to be called once, before training.

        Pre-activations then have mean 0 and a given deviation (see `tfgen.layers.data_dependent_init`); the paper takes 500
        images. With scaled_by_data = False nothing is done.

        Args:
            batch: as in training; only the field `image` is used.

        Raises:
            ValueError: the model has been trained; the images do not fit.
        """
        step = int(keras.ops.convert_to_numpy(self.step))
        if step:
            raise ValueError(f"initialize() is for a model before training; this one is at step {step}.")
        if not self.scaled_by_data:
            return
        raw = 2.0 * self.as_batch(batch, self.batch_fields()[:1])["image"] - 1.0
        if self.network == "conv":  # the last layer of the other generator starts at scale 1 in the code
            data_dependent_init(self.generator, [self.draw_latents(self.noise_keys(len(raw), 0))], training=True)
        data_dependent_init(self.discriminator, [raw], **self.discriminator_noise(len(raw), 0, part=4))

    def check_batch(self, batch):
        if "unlabelled" not in batch:
            return batch
        unlabelled = self.check_images(batch["unlabelled"])
        with tf.control_dependencies([unlabelled]):
            return {**batch, "image": tf.identity(batch["image"]), "unlabelled": unlabelled}

    def update(self, batch):
        if self.num_labels:
            unlabelled = batch.get("unlabelled", batch["image"])
            batch = {"image": unlabelled, "label": batch["label"], "labelled": 2.0 * batch["image"] - 1.0}
        return super().update(batch)

    def discriminator_terms(self, batch, real, fake):
        if not self.num_labels:
            return {}
        outputs = self.passed(Pass(batch["labelled"]), 0, part=3).outputs
        assert outputs is not None
        return {"supervised_loss": losses.supervised_loss(outputs["class_logits"], batch["label"])}

    def update_discriminator(self, batch, stream=0):
        self._remember("discriminator", batch)
        return super().update_discriminator(batch, stream)

    def update_generator(self, batch, turn=0):
        self._remember("generator", batch)
        if self.feature_matching:
            # The features of real images do not depend on the generator.
            real = self.passed(Pass(batch["raw"]), self.generator_stream(turn), part=1)
            assert real.outputs is not None
            batch = {**batch, "target": _global_mean(real.outputs["features"])}
        return super().update_generator(batch, turn)

    def adversarial_loss(self, batch, fake):
        if not self.feature_matching:
            return super().adversarial_loss(batch, fake)
        features = _global_mean(fake.outputs["features"])
        return losses.feature_matching(batch["target"], features, norm=self.feature_matching)

    def _remember(self, name, batch):
        """Follows the mean of the network's weights at the start of each of its updates, this one with them."""
        if self.historical_weight:
            count = tf.convert_to_tensor(self.player_optimizers[name].iterations) + 1
            pairs = zip(getattr(self, f"{name}_history"), getattr(self, name).trainable_variables, strict=True)
            with tf.control_dependencies([batch["raw"]]):  # an invalid batch changes nothing
                for mean, variable in pairs:
                    mean.assign(losses.running_mean(mean, variable, count))

    def regularization(self, network):
        loss = super().regularization(network)
        if self.historical_weight:
            averages = self.generator_history if network is self.generator else self.discriminator_history
            loss += self.historical_weight * losses.historical(network.trainable_variables, averages)
        return loss

    # ---- classification

    def class_logits(self, images):
        """l, float32 [B, K], of images float32 [B, H, W, C] in [0, 1].

        With minibatch discrimination they depend on the batch, which must have two images at least. The paper classifies
        with averaged weights: `with model.ema.swapped(): model.classify(images)`.

        Raises:
            ValueError: the model has num_labels = 0; images of another shape or dtype.
        """
        if not self.num_labels:
            raise ValueError("This model classifies nothing: it was built with num_labels=0.")
        return self.discriminate(2.0 * self.check_images(images) - 1.0)["class_logits"]


def _weighted(objective, weight):
    """The objective with its discriminator's loss times `weight`."""
    return dataclasses.replace(objective, discriminator=lambda real, fake: weight * objective.discriminator(real, fake))


def _copies(name, network):
    """Variables that training assigns to and no optimiser knows, with the values of the trainable ones of the network."""
    settings = {"trainable": False, "aggregation": "only_first_replica"}
    paths = {id(v): path.replace("/", ".") for path, v in named_variables(network).items()}
    return [
        keras.Variable(keras.ops.convert_to_numpy(v), name=f"mean_{name}.{paths[id(v)]}", **settings)
        for v in network.trainable_variables
    ]


def _global_mean(features):
    """Mean over the global batch, [1, F]: feature matching is no mean over examples, so replicas must share theirs."""
    return mean_over_replicas(tf.reduce_mean(features, axis=0, keepdims=True))
