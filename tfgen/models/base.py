"""`TrainableModel`: what every model of tfgen is built on, whatever it can do once it is trained."""

import collections
import copy
import inspect
import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tfgen import fields, onednn, random
from tfgen.models.capabilities import CAPABILITIES, PREDICTING
from tfgen.models.capabilities.capability import serve_examples
from tfgen.networks.given import given_network, serialized
from tfgen.training.ema import EMA
from tfgen.training.functions import make_step_function
from tfgen.training.players import Player, step_players
from tfgen.training.state import named_optimizer_variables, named_variables


class TrainableModel(keras.Model):
    """A Keras model whose training tfgen knows how to run, resume and divide over devices.

    What a model can do is said by the capabilities that it inherits besides (see `tfgen.models.capabilities`): a VAE is
    `class VAE(Sampler, Encoder, Likelihood, TrainableModel)`.

    The keyword-only constructor arguments of a subclass and of the classes above it are its config: `get_config` is derived
    from the signatures. So a subclass names only what it adds or whose default it changes, and hands on **kwargs. All
    weights exist when the constructor returns. Images are float32 NHWC in [0, 1]; a batch is a dict of named fields (see
    `tfgen.fields`).

    A subclass names its losses in `loss_names` and implements `update(batch)`. Where it has several networks with losses of
    their own it also says who they are (`players`); where steps differ, what kind a step is (`step_kind`).

    What Keras' verbs do follows from the capabilities:

    - `fit` takes images, (images, labels), a dict of fields, or a `tf.data.Dataset` of them. A batch that is refused (other
      shapes, values out of range, NaN) changes nothing.
    - `evaluate`, and `validation_data` of `fit`, give the model's losses (`evaluation_losses`) and the number of each
      capability: "bits_per_dim" of a Likelihood, "reconstruction_error" of an Encoder, "l1" of a Translator whose batches
      have the field `target`, "accuracy" of a Classifier whose batches have labels. The noise is the same in every call, and
      no variable of `state()` changes. A model with none of these, as most GANs are, refuses.
    - `predict` gives, of the first capability that the model has: translated images (Translator), probabilities of the
      classes (Classifier), reconstructions (Encoder), log p(x) in nats (Likelihood), or the images of integer seeds [B]
      (Sampler). Where conditions are needed, it takes a dict of fields, such as {"seed": ..., "label": ...}.
    - `class_weight` and `sample_weight` are refused: the losses are means over the batch.
    - Callbacks that set `model.optimizer.learning_rate`, such as `LearningRateScheduler` and `ReduceLROnPlateau`, reach the
      first player alone, whose optimiser it is: the players of a model often have different rates. Give each its own
      schedule, `compile({player: Adam(schedule)})`, or set `model.player_optimizers[player].learning_rate`.

    Args:
        image_shape: (H, W, C) of the images.
        seed: int; training noise is a pure function of (seed, step), so a checkpoint that holds the step holds it.
        **kwargs: `name` and `dtype` of `keras.Model`. `dtype="mixed_bfloat16"` computes in bfloat16, "mixed_float16" in
            float16 with loss scaling.
    """

    loss_names: tuple[str, ...] = ("loss",)
    num_classes = 0  # of a conditional model
    kind = None  # what `step_kind` says of the step that is being traced
    # {(constructor arguments that take a network, ...): settings that are of no use where all of these are given}
    own_networks: dict[tuple[str, ...], tuple[str, ...]] = {}
    initialized_by_data = False  # whether `initialize` sets anything

    def __new__(cls, *args, **kwargs):
        model = super().__new__(cls, *args, **kwargs)
        parameters = cls.config_parameters()
        unknown = sorted(set(kwargs) - set(parameters) - {"name", "dtype", "trainable"})
        if unknown:
            known = ", ".join(parameters)
            raise TypeError(f"{cls.__name__} has no argument {', '.join(unknown)}; it has {known}, name, dtype.")
        defaults = {p.name: p.default for p in parameters.values() if p.default is not p.empty}
        config = {**defaults, **kwargs}
        for networks, settings in cls.own_networks.items():
            if all(config[name] is not None for name in networks):
                for name in settings:
                    if _plain(config[name]) != _plain(defaults[name]):
                        raise ValueError(
                            f"{name}={config[name]!r} describes built-in networks of {cls.__name__}, and "
                            f"{' and '.join(networks)} take their place: leave {name} out."
                        )
        cls._check_untied({name: config[name] for name in cls.network_arguments()})
        # Not through __setattr__: Keras refuses attributes before its own __init__ has run.
        # No dict: Keras would save the networks in it.
        object.__setattr__(model, "_config", collections.UserDict(config))
        return model

    def __init__(self, *, image_shape: Sequence[int], seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        shape = tuple(int(n) for n in image_shape)
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(f"image_shape must be (height, width, channels), all positive; received {image_shape!r}.")
        self.image_shape = shape
        self.seed = int(seed)
        self.ema = None
        self.player_optimizers = {}
        counter = {"dtype": "int64", "trainable": False, "aggregation": "only_first_replica"}
        self.step = keras.Variable(0, name="step", **counter)
        # The first step whose loss was not finite, -1 while there is none: found in the graph, so the exact step is
        # known even where Keras runs many steps in one call.
        self.bad_step = keras.Variable(-1, name="bad_step", **counter)
        self.trackers = {name: keras.metrics.Mean(name=name) for name in self.loss_names}
        # Those of `evaluate` alone.
        numbers = {c.NUMBER for c in CAPABILITIES if isinstance(self, c) and c.NUMBER} - set(self.loss_names)
        self.number_trackers = {name: keras.metrics.Mean(name=name) for name in sorted(numbers)}
        self.jit_compile = False  # else Keras compiles `predict` of a model that was not compiled

    def __setattr__(self, name, value):
        if isinstance(value, keras.layers.Layer) and getattr(self, "built", False) and name in vars(self):
            raise AttributeError(
                f"{type(self).__name__}.{name} cannot be replaced after construction: its config, optimisers and averages "
                f"are of the network that it was built with. Give the constructor {name}=, where it takes one, or copy "
                f"weights with model.{name}.set_weights(...) and, where they are averaged, call model.ema.restart()."
            )
        super().__setattr__(name, value)

    # ---- config

    @classmethod
    def config_parameters(cls) -> dict[str, inspect.Parameter]:
        """{name: inspect.Parameter} of the constructor: its own arguments, then those that it hands on as **kwargs."""
        found = {}
        for base in cls.__mro__:
            if not issubclass(base, TrainableModel) or "__init__" not in base.__dict__:
                continue
            parameters = inspect.signature(base.__init__).parameters.values()
            for parameter in parameters:
                if parameter.kind is parameter.KEYWORD_ONLY:
                    found.setdefault(parameter.name, parameter)
            if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
                break
        return found

    def get_config(self):
        """The constructor arguments, as JSON holds them: objects (layers, an `Objective`, ...) serialised as Keras does."""
        return {k: _plain(v) for k, v in self._config.items()}

    @classmethod
    def from_config(cls, config):
        networks = cls.network_arguments()
        for name in networks:
            if isinstance(config.get(name), str):  # a file says what a network is; it calls no function of its choice
                raise ValueError(f"In a config {name} is a network's Keras config or None; received {config[name]!r}.")
        return cls(**{name: value if name in networks else _restored(value) for name, value in config.items()})

    # ---- the user's own networks

    @classmethod
    def network_arguments(cls) -> tuple[str, ...]:
        """The names of the constructor arguments that take a network of the user's own, see `own_networks`."""
        return tuple(dict.fromkeys(name for names in cls.own_networks for name in names))

    @staticmethod
    def _check_untied(networks):
        """ValueError where two of the user's networks have weights in common: each is copied, which would untie them."""
        parts = {}
        for name, network in networks.items():
            if isinstance(network, keras.Model):
                # Layers that are not built may still get weights.
                unbuilt = {id(layer): layer.name for layer in network._flatten_layers() if not layer.built}
                parts[name] = {id(v): v.path for v in network.trainable_variables} | unbuilt
        for one, other in itertools.combinations(parts, 2):
            shared = [path for key, path in parts[one].items() if key in parts[other]]
            if shared:
                raise ValueError(
                    f"{one} and {other} share {', '.join(shared)}; each network is copied, so what they share would not "
                    "stay tied. Give each its own layers."
                )

    def own_network(
        self, name: str, given: keras.Model | dict | str | None, inputs: list[tuple], outputs: tuple | dict,
        needed: tuple[str, ...] | None = None,
    ) -> keras.Model | None:  # fmt: skip
        """The network that was given as constructor argument `name`, see `tfgen.networks.given_network`; None for None.

        Makers are called with those of `image_shape`, `latent_dim`, `num_classes` and `output_shape` (of the first output,
        without the batch) that they have as arguments.
        """
        if given is None:
            return None
        if name not in self.network_arguments():
            takes = ", ".join(self.network_arguments()) or "none"
            raise ValueError(f"{type(self).__name__} takes no {name} of your own: its paper fixes it. It takes: {takes}.")
        settings = {"image_shape": self.image_shape, "latent_dim": getattr(self, "latent_dim", None),
                    "num_classes": self.num_classes,
                    "output_shape": next(iter(outputs.values())) if isinstance(outputs, dict) else outputs}  # fmt: skip
        network = given_network(given, name, inputs, outputs, needed=needed, **settings)
        self._config[name] = serialized(network, name)
        return network

    def choose_networks(self, make: Callable, **wanted: tuple) -> None:
        """Sets networks as attributes and builds them: the user's own where there are any, else the built-in ones.

        Args:
            make: function () -> the built-in networks in the order of `wanted`; not called where all are the user's.
            **wanted: {attribute and constructor argument: (what was given, input shape, output shape)}, without the batch.
        """
        own = {name: self.own_network(name, given, [inputs], outputs) for name, (given, inputs, outputs) in wanted.items()}
        made = [None] * len(own) if None not in own.values() else make()
        for (name, network), built_in in zip(own.items(), made, strict=True):
            if network is None:
                network = built_in
                network.build((None, *wanted[name][1]))
            setattr(self, name, network)

    # ---- capabilities

    def capabilities(self) -> tuple[type, ...]:
        """Tuple of the capabilities (classes of `tfgen.models.capabilities`) that this instance has."""
        return tuple(c for c in CAPABILITIES if isinstance(self, c) and c.offered_by(self))

    def signatures(self) -> dict:
        """{signature name: (function of tensors -> dict of tensors, {input name: tf.TensorSpec})} for export.

        Those of all capabilities, and `serve_examples`: that of the first capability for serialized tf.Examples. A subclass
        may add its own.
        """
        found = {}
        for capability in self.capabilities():
            found |= capability.signatures_of(self)
        for capability in self.capabilities()[:1]:
            of_examples = serve_examples(found[capability.SIGNATURE], capability.request_fields_of(self))
            found |= {} if of_examples is None else {"serve_examples": of_examples}
        return found

    # ---- fields

    @classmethod
    def fields_of(cls, config: dict) -> tuple[fields.Field, ...]:
        """The `tfgen.fields.Field`s of a training batch, `image` first, of a config with all constructor arguments."""
        found = [fields.image(config["image_shape"])]
        if config.get("num_classes"):
            found.append(fields.label(config["num_classes"]))
        return tuple(found)

    def batch_fields(self) -> tuple[fields.Field, ...]:
        """The fields of a training batch of this model, a tuple of `tfgen.fields.Field`."""
        return self.fields_of(self._config)

    def conditions(self) -> tuple[fields.Field, ...]:
        """The fields that the verbs of this model take beside images or seeds, a tuple of `tfgen.fields.Field`."""
        return tuple(field for field in self.batch_fields() if field.name != "image")

    def conditions_of(self, batch: dict) -> dict[str, tf.Tensor]:
        """{argument: tensor} of the conditions in a training batch."""
        return {field.argument: batch[field.name] for field in self.conditions()}

    @classmethod
    def check_source(cls, config: dict, source: object) -> None:
        """ValueError where a model of this config cannot learn from the `tfgen.data.Source`, beside its image shape."""

    def as_batch(self, data: dict | tuple | tf.Tensor, wanted: Iterable[fields.Field] | None = None) -> dict[str, tf.Tensor]:
        """The batch dict of what `fit` was given: a dict, (image, label), or images alone. All fields are checked.

        Whatever uses a field of the result waits for the checks of all: a batch that is refused changes nothing.

        Args:
            wanted: the `tfgen.fields.Field`s that it must have; None: those of training.

        Raises:
            ValueError: a field is missing, or has another shape or dtype.
            InvalidArgumentError: at run time, values out of range, or NaN.
        """
        data, checked = self.named(data), {}
        wanted = self.batch_fields() if wanted is None else wanted
        for field in wanted:
            if field.name not in data:
                hint = f" ({field.hint})" if field.hint else ""
                raise ValueError(
                    f"{type(self).__name__} needs the field {field.name!r} in its batches{hint}; received the fields "
                    f"{sorted(data)}."
                )
            checked[field.name] = field.check(data[field.name], type(self).__name__)
        checked = self.check_batch({**data, **checked})
        names = [field.name for field in wanted]
        with tf.control_dependencies([checked[name] for name in names]):
            return {**checked, **{name: tf.identity(checked[name]) for name in names}}

    def check_batch(self, batch: dict) -> dict:
        """The batch, a dict of checked fields, after all that is to be checked besides, with `tfgen.fields.checked`.

        Training waits for it. A check in `update` may come after a part of the update. Fields may be missing that the
        caller did not want.
        """
        return batch

    def named(self, data: object, first: str = "image") -> dict:
        """The dict {field name: values} of what `fit`, `evaluate` or `predict` was given; nothing is checked.

        Args:
            data: a dict, (values, label), or values alone; `first` is the name of the values.

        Raises:
            ValueError: weights of the examples.
        """
        values, label, weights = (*data, None, None, None)[:3] if isinstance(data, (tuple, list)) else (data, None, None)
        if weights is not None:
            raise ValueError(
                f"{type(self).__name__} takes no sample_weight: its losses are means over the batch. Received batches "
                "(images, labels, sample_weight)."
            )
        found = values if isinstance(values, dict) else {first: values}
        return found if label is None else {**found, "label": label}

    def check_images(self, images: tf.Tensor) -> tf.Tensor:
        """Images float [B, H, W, C] in [0, 1] as a tensor; errors as `tfgen.fields.Field.check`."""
        return fields.image(self.image_shape).check(images, type(self).__name__)

    def one_hot(self, labels: tf.Tensor) -> tf.Tensor:
        """[B, num_classes] of integer labels [B]; an error, at run time, for a label out of range."""
        if not self.num_classes:
            raise ValueError(f"This {type(self).__name__} was built with num_classes=0 and takes no labels.")
        if labels is None:
            raise ValueError(f"{type(self).__name__} is conditional: labels, int [B] in [0, {self.num_classes}), needed.")
        return tf.one_hot(fields.label(self.num_classes).check(labels), self.num_classes)

    # ---- players

    def players(self) -> dict[str, Player]:
        """{name: `tfgen.training.Player`}: which networks have an optimiser of their own.

        Here one, "model", that trains all. The optimiser of the first is Keras' `model.optimizer`.
        """
        return {"model": Player(self)}

    def default_optimizer(self) -> keras.optimizers.Optimizer | dict:
        """The optimiser, or {player: optimiser}, of `compile()`."""
        return keras.optimizers.Adam(1e-3)

    def compile(
        self, optimizer=None, *, ema_decay=None, jit_compile=False, steps_per_execution=1, run_eagerly=False, **kwargs
    ):  # fmt: skip
        """Prepares `fit`; every variable that training needs exists afterwards.

        Args:
            optimizer: a Keras optimizer, its name or its config dict, of which every player gets a copy; or
                {player: optimizer}, where players that are not named have that of `default_optimizer`. None: that one.
            ema_decay: if given, an exponential moving average of the weights is kept (see `tfgen.training.EMA`).
            jit_compile: XLA. Off by default: on CPU it makes convolutional steps several times slower.
            steps_per_execution: steps in one call of the graph.
            run_eagerly: run every step in Python, to look for errors.

        A model that has averaged weights, loaded or of an earlier `compile`, goes on from them.

        Raises:
            ValueError: an unknown player; `loss`, `metrics` and the like, which a model of tfgen brings itself; an optimiser
                that accumulates gradients, on several replicas.
        """
        kwargs = {name: value for name, value in kwargs.items() if value is not None}
        if kwargs:
            raise ValueError(
                f"{type(self).__name__}.compile takes no {', '.join(sorted(kwargs))}: its losses are its paper's and stand "
                "in the logs; see tfgen.metrics for metrics."
            )
        players = self.players()
        self.player_optimizers = self._optimizers(optimizer, players)
        super().compile(
            optimizer=next(iter(self.player_optimizers.values())), jit_compile=jit_compile, run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
        )  # fmt: skip
        for name, player in players.items():
            optimizer = self.player_optimizers[name]
            inner = getattr(optimizer, "inner_optimizer", optimizer)
            if inner.gradient_accumulation_steps and self.distribute_strategy.num_replicas_in_sync > 1:
                raise ValueError(
                    f"The optimizer of {name!r} has gradient_accumulation_steps={inner.gradient_accumulation_steps}, which "
                    "Keras' optimizers cannot do on several replicas; give each replica a larger batch instead."
                )
            optimizer.build(player.variables)
        self._keep_averages(players, ema_decay)
        onednn.hint(any(len(v.shape) == 4 for v in self.trainable_variables))  # kernels of convolutions

    def _optimizers(self, given, players):
        def by_player(optimizer):
            if isinstance(optimizer, dict) and "class_name" not in optimizer:
                unknown = sorted(set(optimizer) - set(players))
                if unknown:
                    raise ValueError(
                        f"optimizer has the players {unknown}; {type(self).__name__} has {', '.join(players)}."
                    )
                return {name: keras.optimizers.get(one) for name, one in optimizer.items() if one is not None}
            optimizer = keras.optimizers.get(optimizer)
            if len(players) == 1:
                return dict.fromkeys(players, optimizer)
            # One that has been trained with belongs to one of them: all begin anew.
            first = 0 if optimizer.built else 1
            copies = [type(optimizer).from_config(optimizer.get_config()) for _ in list(players)[first:]]
            return dict(zip(players, [optimizer, *copies][-len(players):], strict=True))

        found = {} if given is None else by_player(given)
        if len({id(one) for one in found.values()}) < len(found):
            raise ValueError(f"optimizer has one object for several of {', '.join(found)}: give each player one of its own.")
        if found.keys() != players.keys():
            found = {**by_player(self.default_optimizer()), **found}
        if self.dtype_policy.name == "mixed_float16":
            scaled = keras.optimizers.LossScaleOptimizer
            found = {name: o if isinstance(o, scaled) else scaled(o) for name, o in found.items()}
        return {name: found[name] for name in players}

    def _keep_averages(self, players, decay):
        before = self.ema
        if decay is None:
            if before is not None:
                logging.warning("The averaged weights of the model are given up: compile(ema_decay=) would keep them.")
            self.ema = None
            return
        self.ema = EMA(self._averaged(players), decay)
        if before is not None:
            self.ema.load({path: keras.ops.convert_to_numpy(v) for path, v in before.named().items()})

    def _averaged(self, players):
        paths, taken = {id(v): path for path, v in named_variables(self).items()}, set()
        groups = {}
        for name, player in players.items():
            groups[name] = {paths[id(v)]: v for v in player.averaged_variables if id(v) not in taken}
            taken |= {id(v) for v in groups[name].values()}
        return groups

    def updates_of(self, player: str, steps: int) -> int:
        """How often the player is updated in `steps` steps: what a schedule of its rate decays over."""
        return steps

    def step_players(
        self, losses_of: dict[str, str], losses_fn: Callable[[], dict], *, when: Callable[[dict], dict] | None = None,
        variables: dict | None = None,
    ) -> dict[str, tf.Tensor]:  # fmt: skip
        """One update of players: one forward pass, one gradient for each of them.

        This is the one place where weights are trained: it takes the mean over the global batch where replicas share it,
        scales losses in float16, checks that losses are finite, accumulates gradients where the optimiser asks for it,
        applies constraints and moves the averages. Players that move one after the other have a call each; players that
        move at once share one, and all gradients are taken before the first of them moves.

        Args:
            losses_of: {player: name of the loss that it minimises}.
            losses_fn: function () -> {name: scalar}, the mean over the examples of this replica.
            when: None, or a function of the losses, {name: mean over all replicas}, -> {player: bool scalar}: who moves.
                Those it does not name always do. The losses are the global means so that all replicas decide alike.
            variables: None, or {player: list of variables} where only a part of its variables takes part in this step.

        Returns:
            what `losses_fn` returned.
        """
        return step_players(self, losses_of, losses_fn, when, variables)

    # ---- steps

    def initialize(self, batch: dict) -> None:
        """Sets weights by data, once, before the first step; here none.

        A model that does so has `initialized_by_data`; `tfgen train` then gives it some hundred examples.

        Args:
            batch: as in training.
        """

    def update(self, batch: dict) -> dict[str, tf.Tensor]:
        """Trains on one batch, see `step_players`; -> {loss name: scalar mean over the examples of this replica}.

        A name of `loss_names` may be missing where the step has no such loss; its mean stays what it was.

        Args:
            batch: a dict of checked fields, see `as_batch`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement update(batch).")

    def step_kind(self, step: int) -> Hashable:
        """What step `step` (an int, counted from 0) does, hashable; `self.kind` while it is traced.

        Steps of one kind share one graph. It must be a function of the step alone, so that a run can be resumed. Values that
        change with every step (a rate, a fade) are tensors made of `self.step` and no part of the kind.
        """
        return None

    def phase(self, step: int) -> Hashable:
        """The phase that step `step` belongs to, hashable and a function of the step alone; see `begin_phase`."""
        return None

    def begin_phase(self, phase: Hashable) -> None:
        """Called before the first step of every phase but the first, outside of graphs, e.g. to reset optimisers.

        It is called again where training goes on at that step: in a resumed run, or where the data ended just before it.
        """

    def reset_optimizers(self, *names) -> None:
        """Sets the optimisers of the named players (default: all) to what they are before their first step."""
        for name in names or self.player_optimizers:
            optimizer = self.player_optimizers[name]
            inner = getattr(optimizer, "inner_optimizer", optimizer)
            rates = {id(one._learning_rate) for one in (optimizer, inner)}
            fresh = type(optimizer).from_config(optimizer.get_config())
            fresh.build(self.players()[name].variables)
            for variable, value in zip(optimizer.variables, fresh.variables, strict=True):
                if id(variable) not in rates:
                    variable.assign(keras.ops.convert_to_numpy(value))

    def train_step(self, data):
        batch = self.as_batch(data)
        # A batch that is refused changes nothing, not even what does not depend on it, as the state of spectral norm.
        with tf.control_dependencies([batch[field.name] for field in self.batch_fields()]):
            losses = self.update(batch)
        losses = {name: tf.cast(loss, tf.float32) for name, loss in losses.items() if name in self.loss_names}
        for name, loss in losses.items():
            self.trackers[name].update_state(loss)
        finite = tf.reduce_all([tf.math.is_finite(loss) for loss in losses.values()])
        first = tf.logical_and(self.bad_step < 0, tf.logical_not(finite))
        self.bad_step.assign(tf.where(first, tf.convert_to_tensor(self.step), tf.convert_to_tensor(self.bad_step)))
        with tf.control_dependencies([finite]):  # a batch that was refused is no step
            self.step.assign_add(1)
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    # ---- evaluation and prediction

    def evaluation_fields(self) -> tuple[fields.Field, ...]:
        """The fields of a batch of `evaluate`, a tuple of `tfgen.fields.Field`; here those of training."""
        return self.batch_fields()

    def evaluation_losses(self, batch: dict) -> dict[str, tf.Tensor]:
        """{name of `loss_names`: scalar mean or float32 [B]} of a batch of checked fields, with noise of the seed alone.

        No variable changes. Here {}: the losses of a GAN say nothing about images that it was not trained on. The numbers of
        the capabilities need not be among them, see `Capability.number_of`.
        """
        return {}

    def test_step(self, data):
        self._check_evaluation()
        wanted = self.evaluation_fields()
        batch = self.as_batch(data, wanted)
        values = self.evaluation_losses(batch)
        for capability in self.capabilities():
            if capability.NUMBER and capability.NUMBER not in values:
                number = capability.number_of(self, batch, values)
                values = values if number is None else {**values, capability.NUMBER: number}
        if not values:
            self._refuse_evaluation()
        trackers, size = {**self.trackers, **self.number_trackers}, tf.shape(batch[wanted[0].name])[0]
        for name, value in values.items():  # the mean of a batch counts as often as the batch has images
            trackers[name].update_state(value, None if value.shape.rank else size)
        return {name: trackers[name].result() for name in values}

    def predict_step(self, data):
        for capability in PREDICTING:
            if capability in self.capabilities():
                return capability.prediction_of(self, data)
        raise ValueError(f"{type(self).__name__} has none of the capabilities that predict: {PREDICTING}.")

    def _check_evaluation(self):
        if type(self).evaluation_losses is TrainableModel.evaluation_losses and not any(
            capability.NUMBER for capability in self.capabilities()
        ):
            self._refuse_evaluation()

    def _refuse_evaluation(self):
        raise ValueError(
            f"{type(self).__name__} has no number to evaluate on images: how good its samples are is measured by "
            "tfgen.metrics, e.g. `tfgen evaluate`. Call fit without validation_data and validation_split."
        )

    def fit(self, *args, **kwargs):
        """As `keras.Model.fit`; see the class for what it takes.

        Raises:
            ValueError: `class_weight` or `sample_weight`; validation of a model that has no number to evaluate.
        """
        given = self._without_weights(keras.Model.fit, args, kwargs)
        if given.get("validation_data") is not None or given.get("validation_split"):
            self._check_evaluation()
        return super().fit(*args, **kwargs)

    def evaluate(self, *args, **kwargs):
        """As `keras.Model.evaluate`; see the class for what it returns. ValueError: `sample_weight`."""
        self._without_weights(keras.Model.evaluate, args, kwargs)
        found = super().evaluate(*args, **kwargs)
        return tf.nest.map_structure(float, found)  # Keras leaves tensors where a model has further metrics

    def _without_weights(self, verb, args, kwargs):
        """{argument: value} of a call of Keras' `fit` or `evaluate`. Keras drops weights where there are no labels."""
        given = inspect.signature(verb).bind(self, *args, **kwargs).arguments
        for name in ("class_weight", "sample_weight"):
            if given.get(name) is not None:
                raise ValueError(
                    f"{type(self).__name__}.{verb.__name__} takes no {name}: its losses are means over the batch."
                )
        return given

    @property
    def metrics(self):
        return [*self.trackers.values(), *self.number_trackers.values()]

    def make_train_function(self, force=False):
        if self.train_function is None or force:
            self.train_function = make_step_function(self, self.train_step, self._plan)
        return self.train_function

    def make_test_function(self, force=False):
        if self.test_function is None or force:
            self.test_function = make_step_function(self, self.test_step)
        return self.test_function

    def _plan(self, num):
        """[(kind, function to call before the first step of it, or None)] of the next `num` steps."""
        if self.ema is not None:
            self.ema.check_not_swapped("Training")
            self.ema.settle()
        first = int(self.step.value.numpy())
        plan = []
        for step in range(first, first + num):
            phase = self.phase(step)
            begins = step > 0 and phase != self.phase(step - 1)
            plan.append((self.step_kind(step), (lambda phase=phase: self.begin_phase(phase)) if begins else None))
        return plan

    def _maybe_symbolic_build(self, *args, **kwargs):
        """Everything is built: Keras would run a whole step to find that out, which fails with several workers."""

    # ---- saving

    def state(self) -> dict[str, keras.Variable]:
        """{key: variable} of all that a checkpoint must hold for training to go on as if it had never stopped."""
        weights = named_variables(self)
        state = {f"weights/{path}": v for path, v in weights.items()}
        for name, optimizer in self.player_optimizers.items():
            trained = {id(v) for v in self.players()[name].variables}
            named = named_optimizer_variables(optimizer, {path: v for path, v in weights.items() if id(v) in trained})
            state |= {f"optimizers/{name}/{key}": v for key, v in named.items()}
        if self.ema is not None:
            state |= {f"averages/{path}": v for path, v in self.ema.named().items()}
        return state

    def get_compile_config(self):
        if not self.compiled:
            return {}
        return {
            "optimizer": {n: keras.saving.serialize_keras_object(o) for n, o in self.player_optimizers.items()},
            "ema_decay": self.ema.decay if self.ema else None,
            "jit_compile": self.jit_compile, "steps_per_execution": self.steps_per_execution,
            "run_eagerly": self.run_eagerly,
        }  # fmt: skip

    def compile_from_config(self, config):
        config = dict(config)
        optimizers = {n: keras.saving.deserialize_keras_object(o) for n, o in config.pop("optimizer").items()}
        self.compile(optimizers, **config)

    def save_own_variables(self, store):
        """Called by all of Keras' ways to save: the model's own variables by name, and the averaged weights.

        Raises:
            RuntimeError: the averaged weights are in the model, so that they would be saved as the trained ones.
        """
        if self.ema is not None:
            self.ema.check_not_swapped("Saving")
        for variable in [*self._trainable_variables, *self._non_trainable_variables]:
            store[variable.name] = variable
        if self.ema is not None:
            for path, shadow in self.ema.named().items():
                store[_AVERAGE + path.replace("/", ".")] = shadow

    def load_own_variables(self, store):
        """Called by all of Keras' ways to load. Averaged weights in the file are kept, see `compile`.

        Raises:
            ValueError: the file is of another model, or of a version of tfgen that numbered the variables.
        """
        own, stored = [*self._trainable_variables, *self._non_trainable_variables], set(store.keys())
        if "step" not in stored and "0" in stored:
            raise ValueError(
                "The file is of an older version of tfgen, which numbered variables where this one names them. Load it with "
                "that version, or train anew."
            )
        for variable in own:
            if variable.name not in stored:
                raise ValueError(f"The file is of another model: it has no {variable.name!r} of {type(self).__name__}.")
            value = store[variable.name]
            if tuple(value.shape) != tuple(variable.shape):
                raise ValueError(
                    f"The file is of another model: {variable.name!r} has the shape {tuple(value.shape)} there and "
                    f"{tuple(variable.shape)} in this {type(self).__name__}."
                )
        for variable in own:
            variable.assign(store[variable.name])
        self._load_averages({key: store[key] for key in stored if key.startswith(_AVERAGE)})

    def _load_averages(self, stored):
        if not stored:
            if self.ema is not None:
                self.ema.restart()  # not now: Keras loads the layers after this
                logging.warning("The file has no averaged weights: averaging starts anew from the weights that are loaded.")
            return
        if self.ema is None and self.compiled:
            logging.warning("The averaged weights in the file are left out: this model was compiled without ema_decay.")
            return
        ema = EMA(self._averaged(self.players()), None) if self.ema is None else self.ema
        paths = {_AVERAGE + path.replace("/", "."): path for path in ema.named()}
        try:
            ema.load({paths.get(key, key): value for key, value in stored.items()})
        except ValueError:
            ema.restart()  # with skip_mismatch Keras goes on: the average must not be of other weights
            raise
        self.ema = ema

    # ---- random numbers

    def noise(
        self, shape: Sequence[int], batch_size: int | tf.Tensor, stream: int, distribution: str = "normal"
    ) -> tf.Tensor:
        """Training noise float32 [batch_size, *shape], a pure function of (seed, step, stream, row of the global batch).

        Two replicas that hold one half of a batch each draw what one replica would draw for the whole.

        Args:
            distribution: "normal" N(0, 1), or "uniform" in (-1, 1).
        """
        drawn = random.DISTRIBUTIONS[distribution](self.noise_keys(batch_size, stream), math.prod(shape))
        return tf.reshape(drawn, [batch_size, *shape])

    def noise_keys(self, batch_size: int | tf.Tensor, stream: int) -> tf.Tensor:
        """The keys [batch_size] (see `tfgen.random`) from which `noise` draws."""
        context = tf.distribute.get_replica_context()
        first = tf.convert_to_tensor(context.replica_id_in_sync_group) * batch_size if context else 0
        keys = random.fold(random.fold(random.key(self.seed), tf.convert_to_tensor(self.step)), stream)
        return random.fold(keys, first + tf.range(batch_size))


_AVERAGE = "average:"  # in front of the keys of averaged weights in Keras' files


def _plain(value):
    """A constructor argument as JSON holds it."""
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if hasattr(value, "get_config") or callable(value) or isinstance(value, np.generic):
        return keras.saving.serialize_keras_object(value)
    return value


def _restored(value):
    if isinstance(value, dict) and {"class_name", "config"} <= value.keys():
        return keras.saving.deserialize_keras_object(copy.deepcopy(value))  # Keras changes the configs that it reads
    return value
