"""`TrainableModel`: what every model of tfgen is built on, whatever it can do once it is trained."""

import math
from collections.abc import Callable, Hashable, Sequence

import keras
import tensorflow as tf
from absl import logging

from tfgen import random
from tfgen.models.batches import BatchMixin
from tfgen.models.capabilities import CAPABILITIES
from tfgen.models.capabilities.capability import serve_examples
from tfgen.models.config import ConfigMixin
from tfgen.models.evaluation import EvaluationMixin
from tfgen.models.saving import SavingMixin
from tfgen.training.ema import EMA
from tfgen.training.functions import make_step_function
from tfgen.training.players import Player, step_players
from tfgen.training.state import named_variables


class TrainableModel(ConfigMixin, BatchMixin, EvaluationMixin, SavingMixin, keras.Model):
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
    initialized_by_data = False  # whether `initialize` sets anything

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
        self, player_losses: dict[str, str], losses_fn: Callable[[], dict], *, when: Callable[[dict], dict] | None = None,
        variables: dict | None = None,
    ) -> dict[str, tf.Tensor]:  # fmt: skip
        """One update of players: one forward pass, one gradient for each of them.

        This is the one place where weights are trained: it takes the mean over the global batch where replicas share it,
        scales losses in float16, checks that losses are finite, accumulates gradients where the optimiser asks for it,
        applies constraints and moves the averages. Players that move one after the other have a call each; players that
        move at once share one, and all gradients are taken before the first of them moves.

        Args:
            player_losses: {player: name of the loss that it minimises}.
            losses_fn: function () -> {name: scalar}, the mean over the examples of this replica.
            when: None, or a function of the losses, {name: mean over all replicas}, -> {player: bool scalar}: who moves.
                Those it does not name always do. The losses are the global means so that all replicas decide alike.
            variables: None, or {player: list of variables} where only a part of its variables takes part in this step.

        Returns:
            what `losses_fn` returned.
        """
        return step_players(self, player_losses, losses_fn, when, variables)

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

    @property
    def metrics(self):
        return [*self.trackers.values(), *self.number_trackers.values()]

    def make_train_function(self, force=False):
        if self.train_function is None or force:
            self.train_function = make_step_function(self, self.train_step, self._plan)
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
        """Everything is built: Keras would run a whole step to find that out, which fails with several workers."""

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
