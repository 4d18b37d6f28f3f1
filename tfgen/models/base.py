"""`TrainableModel`, the base class of all models of tfgen."""

import math
from collections.abc import Callable, Hashable, Iterable, Sequence

import keras
import tensorflow as tf
from absl import logging

from tfgen import onednn, random
from tfgen.models.batches import BatchMixin
from tfgen.models.capabilities import CAPABILITIES
from tfgen.models.capabilities.capability import Capability, serve_examples
from tfgen.models.config import ConfigMixin
from tfgen.models.evaluation import EvaluationMixin
from tfgen.models.saving import SavingMixin
from tfgen.settings import ImageShape, Seed
from tfgen.training.ema import EMA
from tfgen.training.functions import make_step_function
from tfgen.training.players import Player, accumulate_gradients, mean_over_replicas, optimizers_of, step_players
from tfgen.training.state import named_variables


class TrainableModel(ConfigMixin, BatchMixin, EvaluationMixin, SavingMixin, keras.Model):
    """A Keras model with one or more optimisers that tfgen can train, resume and distribute.

    A model also inherits its capabilities (see `tfgen.models.capabilities`): a VAE is
    `class VAE(Sampler, Encoder, Likelihood, TrainableModel)`.

    The keyword-only constructor arguments of a class and its base classes are its config; `get_config` reads them from the
    signatures. A subclass declares only the arguments that it adds or whose default it changes, and passes on **kwargs. All
    weights exist when the constructor returns. Images are float32 NHWC in [0, 1]; a batch is a dict of named fields (see
    `tfgen.fields`).

    A subclass names its losses in `loss_names` and implements `update(batch)`. If several of its networks have losses of
    their own, it also implements `players`; if its steps differ, `step_kind`.

    Keras' methods depend on the capabilities:

    - `fit` takes images, (images, labels), a dict of fields, or a `tf.data.Dataset` of them. An invalid batch (wrong shape,
      values out of range, NaN) raises an error and changes no variable.
    - `evaluate`, and `validation_data` of `fit`, return the model's losses (`evaluation_losses`) and the number of each
      capability: "bits_per_dim" of a Likelihood, "reconstruction_error" of an Encoder, "l1" of a Translator whose batches
      have the field `target`, "accuracy" of a Classifier whose batches have labels. The noise is the same in every call, and
      no variable of `state()` changes. A model that has none of these, such as most GANs, raises an error.
    - `predict` returns the output of the first capability that the model has in this order: translated images (Translator),
      probabilities of the classes (Classifier), reconstructions (Encoder), log p(x) in nats (Likelihood), images of integer
      seeds [B] (Sampler). A model with conditions takes a dict of fields, such as {"seed": ..., "label": ...}.
    - `class_weight` and `sample_weight` raise an error, since the losses are means over the batch.
    - Callbacks that set `model.optimizer.learning_rate`, such as `LearningRateScheduler` and `ReduceLROnPlateau`, change the
      rate of the first player only. For the other players, compile with schedules, `compile({player: Adam(schedule)})`, or
      set `model.player_optimizers[player].learning_rate`.

    Example:
        >>> model = tfgen.models.VAE(image_shape=(8, 8, 1), latent_dim=2)
        >>> [capability.NAME for capability in model.capabilities()], list(model.players())
        (['sampler', 'encoder', 'likelihood'], ['model'])

    Args:
        image_shape: (H, W, C) of the images.
        seed: int in [0, 2**31); training noise is a pure function of (seed, step), so a checkpoint has no
            other state of it.
        **kwargs: `name` and `dtype` of `keras.Model`. The dtype is "float32", "mixed_bfloat16", which computes in bfloat16,
            or "mixed_float16", which computes in float16 with loss scaling. Others, such as "float16", are refused: the
            weights, losses and images of a model are float32.

    Raises:
        TypeError: an unknown argument; the message has the nearest known one.
        ValueError: an argument is not of its declared type or range (see `tfgen.settings`), or does not fit another one.
    """

    train_function: Callable | None  # of Keras
    loss_names: tuple[str, ...] = ("loss",)
    num_classes = 0  # of a conditional model
    kind = None  # the kind, see `step_kind`, of the step that is being traced
    initialized_by_data = False  # whether `initialize` sets weights
    concluded_by_data = False  # whether `conclude` sets anything
    concluded = True  # whether that is set

    def __init__(self, *, image_shape: ImageShape, seed: Seed = 0, **kwargs):
        super().__init__(**kwargs)
        height, width, channels = image_shape
        self.image_shape = int(height), int(width), int(channels)
        self.seed = int(seed)
        self.ema = None
        self.player_optimizers = {}
        counter = {"dtype": "int64", "trainable": False, "aggregation": "only_first_replica"}
        self.step = keras.Variable(0, name="step", **counter)
        # The first step whose loss was not finite, or -1. The graph sets it, so it is exact even if Keras runs many steps in
        # one call.
        self.bad_step = keras.Variable(-1, name="bad_step", **counter)
        self.trackers = {name: keras.metrics.Mean(name=name) for name in self.loss_names}
        # Only `evaluate` updates these.
        numbers = {c.NUMBER for c in CAPABILITIES if isinstance(self, c) and c.NUMBER} - set(self.loss_names)
        self.number_trackers = {name: keras.metrics.Mean(name=name) for name in sorted(numbers)}
        self.jit_compile = False  # Keras' default would compile `predict` of a model that was not compiled

    def __setattr__(self, name, value):
        if isinstance(value, keras.layers.Layer) and getattr(self, "built", False) and name in vars(self):
            raise AttributeError(
                f"{type(self).__name__}.{name} cannot be replaced after construction: the config, the optimisers and the "
                "averages belong to the network that the model was built with. Give it to the constructor, if that has the "
                f"argument {name}, or copy weights with model.{name}.set_weights(...) and then call model.ema.restart(), if "
                "the weights are averaged."
            )
        super().__setattr__(name, value)

    # ---- capabilities

    def capabilities(self) -> tuple[type[Capability], ...]:
        """Tuple of the capabilities (classes of `tfgen.models.capabilities`) that this instance has."""
        return tuple(c for c in CAPABILITIES if isinstance(self, c) and c.offered_by(self))

    def signatures(self) -> dict:
        """{signature name: (function of tensors -> dict of tensors, {input name: tf.TensorSpec})} for export.

        These are the signatures of all capabilities, and `serve_examples`, which computes the signature of the first
        capability from serialized tf.Examples. A subclass may add its own.
        """
        found: dict[str, tuple] = {}
        for capability in self.capabilities():
            found |= capability.signatures_of(self)
        for capability in self.capabilities()[:1]:
            of_examples = serve_examples(found[capability.SIGNATURE], capability.request_fields_of(self))
            found |= {} if of_examples is None else {"serve_examples": of_examples}
        return found

    # ---- players

    def players(self) -> dict[str, Player]:
        """{name: `tfgen.training.Player`}: the groups of networks that have an optimiser each.

        By default one player, "model", has all networks. The optimiser of the first player is also `model.optimizer`.
        """
        return {"model": Player(self)}

    def default_optimizer(self) -> keras.optimizers.Optimizer | dict:
        """The optimiser, or {player: optimiser}, that `compile()` uses by default."""
        return keras.optimizers.Adam(1e-3)

    def compile(
        self, optimizer=None, *, ema_decay=None, ema_start=None, accumulate=None, jit_compile=False, steps_per_execution=1,
        run_eagerly=False, **kwargs
    ):  # fmt: skip
        """Prepares `fit` and creates all variables that training needs.

        If the model already has averaged weights, loaded or from an earlier `compile`, averaging continues from them.

        Args:
            optimizer: a Keras optimizer, its name or its config dict, of which every player gets a copy; or
                {player: optimizer}. Players that are not named, and all players for None, use `default_optimizer`.
            ema_decay: None, or the decay of an exponential moving average of the weights (see `tfgen.training.EMA`).
            ema_start: None, or the number of updates for which the averages are copies of the weights.
            accumulate: None, or the number of batches, at least 2, of whose gradients each update of a player uses the mean.
                The weights are then those of batches as many times larger, but for what depends on the batch as a whole,
                such as batch norm; the memory is that of one batch. Steps and learning-rate schedules still count batches.
            jit_compile: whether XLA compiles the steps. On CPU it makes convolutional steps several times slower.
            steps_per_execution: number of steps in one call of the graph.
            run_eagerly: whether every step runs in Python, for debugging.

        Raises:
            ValueError: a player is unknown; `loss`, `metrics` or another argument of Keras is given, since a model of tfgen
                has its own; `accumulate` is no such number; or gradients are accumulated under a strategy.
        """
        kwargs = {name: value for name, value in kwargs.items() if value is not None}
        if kwargs:
            raise ValueError(
                f"{type(self).__name__}.compile takes no {', '.join(sorted(kwargs))}: its losses are those of its paper and "
                "appear in the logs; see tfgen.metrics for metrics."
            )
        players = self.players()
        self.player_optimizers = optimizers_of(
            players, optimizer, self.default_optimizer, type(self).__name__, scaled=self.dtype_policy.name == "mixed_float16"
        )
        accumulate_gradients(self.player_optimizers, accumulate)
        super().compile(
            optimizer=next(iter(self.player_optimizers.values())), jit_compile=jit_compile, run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
        )  # fmt: skip
        for name, player in players.items():
            self.player_optimizers[name].build(player.variables)
        self._keep_averages(players, ema_decay, ema_start)
        # Of each player, see `StopOnNonFinite`. Not through __setattr__: it is no part of the state.
        noted = keras.Variable([0.0] * len(players), trainable=False, aggregation="only_first_replica")
        object.__setattr__(self, "largest_before_bad_step", noted)
        onednn.hint(any(len(v.shape) == 4 for v in self.trainable_variables))  # kernels of convolutions

    def _keep_averages(self, players, decay, start):
        before = self.ema
        if decay is None:
            if before is not None:
                logging.warning("The averaged weights of the model are dropped, since compile was called without ema_decay.")
            self.ema = None
            return
        self.ema = self._new_averages(players, decay, start)
        if before is not None:
            self.ema.load({path: keras.ops.convert_to_numpy(v) for path, v in before.named().items()})

    def _new_averages(self, players, decay, start=None):
        layers = [layer for player in players.values() for layer in player.deriving_layers]
        return EMA(self._averaged(players), decay, start, list({id(layer): layer for layer in layers}.values()))

    def _averaged(self, players):
        paths, taken = {id(v): path for path, v in named_variables(self).items()}, set()
        groups = {}
        for name, player in players.items():
            groups[name] = {paths[id(v)]: v for v in player.averaged_variables if id(v) not in taken}
            taken |= {id(v) for v in groups[name].values()}
        return groups

    def updates_of(self, player: str, steps: int) -> int:
        """The number of updates of the player in `steps` steps; learning-rate schedules decay over this number."""
        return steps

    def step_players(
        self, player_losses: dict[str, str], losses_fn: Callable[[], dict], *, when: Callable[[dict], dict] | None = None,
        variables: dict | None = None,
    ) -> dict[str, tf.Tensor]:  # fmt: skip
        """Updates players once: one forward pass, and one gradient for each player.

        All training of weights uses this function. It averages over the global batch of all replicas, scales losses in
        float16, checks that losses are finite, accumulates gradients if `compile` was told so, applies constraints and
        updates the averages. For sequential updates, call it once for each player. For simultaneous updates, call it once
        for all players: all gradients are computed before the first update.

        Args:
            player_losses: {player: name of the loss that it minimises}.
            losses_fn: function () -> {name: scalar}, the mean over the examples of this replica.
            when: None, or a function {name: loss, averaged over all replicas} -> {player: bool scalar}, which decides who is
                updated. Players that it does not name are always updated.
            variables: None, or {player: list of variables}, to update only these variables of a player.

        Returns:
            The dict that `losses_fn` returned.
        """
        return step_players(self, player_losses, losses_fn, when, variables)

    # ---- steps

    def initialize(self, batch: dict) -> None:
        """Sets weights from data, once, before the first step. By default it does nothing.

        A model that implements it also sets `initialized_by_data`; `tfgen train` then calls it with a few hundred examples.

        Args:
            batch: a batch of training.
        """

    def conclude(self, batches: Iterable[dict]) -> None:
        """Sets what is computed from data with the trained weights, after the last step. By default nothing.

        A model that implements it also sets `concluded_by_data` and `concluded`; `tfgen train` then calls it with a few
        thousand examples, in a context in which the model has its averaged weights. After a `fit` of your own, call it.

        Args:
            batches: batches of training.
        """

    def update(self, batch: dict) -> dict[str, tf.Tensor]:
        """Trains on one batch with `step_players`.

        Args:
            batch: a dict of checked fields, see `as_batch`.

        Returns:
            {loss name: scalar mean over the examples of this replica}. If a name of `loss_names` is missing, the running
            mean of that loss does not change.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement update(batch).")

    def step_kind(self, step: int) -> Hashable:
        """The kind of step `step` (an int, counted from 0): a hashable value, which is `self.kind` while a step is traced.

        Steps of one kind share one graph. The kind must depend on `step` alone, so that a run can be resumed. Values that
        change with every step (a rate, a fade) are tensors computed from `self.step`, and not part of the kind.
        """
        return None

    def phase(self, step: int) -> Hashable:
        """The phase of step `step`: a hashable value that depends on `step` alone; see `begin_phase`."""
        return None

    def begin_phase(self, phase: Hashable) -> None:
        """Called before the first step of every phase except the first, outside of graphs, for instance to reset optimisers.

        It is called again if training continues at that step: in a resumed run, or after the data ended just before it.
        """

    def reset_optimizers(self, *names) -> None:
        """Resets the optimisers of the named players, by default of all, to their initial state.

        A learning rate is kept, and a schedule of it begins anew, as the count of updates does.
        """
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
        # An invalid batch must change nothing, not even variables that do not depend on it, such as those of spectral norm.
        with tf.control_dependencies([batch[field.name] for field in self.batch_fields()]):
            losses = self.update(batch)
        losses = {name: tf.cast(loss, tf.float32) for name, loss in losses.items() if name in self.loss_names}
        for name, loss in losses.items():
            self.trackers[name].update_state(loss)
        finite = tf.reduce_all([tf.math.is_finite(mean_over_replicas(loss)) for loss in losses.values()])
        first = tf.logical_and(self.bad_step < 0, tf.logical_not(finite))
        self.bad_step.assign(tf.where(first, tf.convert_to_tensor(self.step), tf.convert_to_tensor(self.bad_step)))
        with tf.control_dependencies([finite]):  # an invalid batch does not count as a step
            self.step.assign_add(1)
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    @property
    def metrics(self):
        return [*self.trackers.values(), *self.number_trackers.values()]

    def make_train_function(self, force=False):
        if self.train_function is None or force:
            self.train_function = make_step_function(self, self.train_step, self.as_batch, self._plan)
        return self.train_function

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
        """Does nothing: all layers are built. Keras would run a whole step here, which fails with several workers."""

    # ---- random numbers

    def noise(
        self, shape: Sequence[int], batch_size: int | tf.Tensor, stream: int, distribution: str = "normal"
    ) -> tf.Tensor:
        """Training noise float32 [batch_size, *shape], a pure function of (seed, step, stream, row of the global batch).

        Two replicas with half of a batch each draw the same noise as one replica with the whole batch.

        Args:
            shape: of the noise of one row.
            batch_size: number of rows on this replica.
            stream: int, the number of a stream of random numbers; different noise in one step needs different streams.
            distribution: "normal" N(0, 1), or "uniform" in (-1, 1).
        """
        drawn = random.DISTRIBUTIONS[distribution](self.noise_keys(batch_size, stream), math.prod(shape))
        return tf.reshape(drawn, [batch_size, *shape])

    def noise_keys(self, batch_size: int | tf.Tensor, stream: int) -> tf.Tensor:
        """The keys uint64 [batch_size] (see `tfgen.random`) from which `noise` draws."""
        context = tf.distribute.get_replica_context()
        first = tf.convert_to_tensor(context.replica_id_in_sync_group) * batch_size if context else 0
        keys = random.fold(random.fold(random.key(self.seed), tf.convert_to_tensor(self.step)), stream)
        return random.fold(keys, first + tf.range(batch_size))
