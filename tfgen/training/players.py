"""Players, which are groups of networks with one optimiser each, and the only function that updates them."""

import collections.abc
import dataclasses

import keras
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Player:
    """Networks that one optimiser trains. A VAE has one player; a GAN has two, which minimise different losses.

    Example:
        >>> network = keras.Sequential([keras.layers.Dense(2)])
        >>> network.build([None, 3])
        >>> len(Player(network).variables)
        2

    Attributes:
        networks: a Keras layer or model, or several.
        constraint: None, or a function of the list of trained variables that is called after every update.
        averaged: whether `compile(ema_decay=)` averages the weights of these networks.
        partial: whether a step may leave some weights out, such as those of a level that has not grown yet. Of other
            players Keras warns of weights without a gradient.
    """

    networks: keras.layers.Layer | tuple
    constraint: collections.abc.Callable | None = None
    averaged: bool = True
    partial: bool = False

    def __post_init__(self):
        if isinstance(self.networks, keras.layers.Layer):
            object.__setattr__(self, "networks", (self.networks,))

    @property
    def variables(self) -> list[keras.Variable]:
        """The variables that the optimiser trains."""
        return _unique(v for network in self.networks for v in network.trainable_variables)

    @property
    def averaged_variables(self) -> list[keras.Variable]:
        """The float variables that are averaged: weights, and the moving statistics of batch norm with them."""
        if not self.averaged:
            return []
        derived = {id(v) for layer in self.deriving_layers for v in layer.derived_variables}
        found = _unique(v for network in self.networks for v in network.variables if keras.backend.is_float_dtype(v.dtype))
        return [v for v in found if id(v) not in derived]

    @property
    def deriving_layers(self) -> list[keras.layers.Layer]:
        """The layers of averaged networks with variables that follow from their weights, such as u of spectral norm."""
        layers = [layer for network in self.networks for layer in network._flatten_layers()] if self.averaged else []
        return _unique(layer for layer in layers if hasattr(layer, "derived_variables"))


def optimizers_of(
    players: dict, given: object, default: collections.abc.Callable, owner: str, *, scaled: bool = False
) -> dict:
    """The optimiser of each player: {player: a Keras optimizer}.

    Args:
        players: {name: Player}.
        given: the optimizers that `compile` takes.
        default: function () -> those of players that are not named.
        owner: name of the model, for messages.
        scaled: whether losses are scaled, for float16.

    Raises:
        ValueError: an unknown player, or one optimizer for several.
    """

    def by_player(optimizer):
        if isinstance(optimizer, dict) and "class_name" not in optimizer:
            unknown = sorted(set(optimizer) - set(players))
            if unknown:
                raise ValueError(f"optimizer has the players {unknown}; {owner} has {', '.join(players)}.")
            return {name: keras.optimizers.get(one) for name, one in optimizer.items() if one is not None}
        optimizer = keras.optimizers.get(optimizer)
        if len(players) == 1:
            return dict.fromkeys(players, optimizer)
        # A built optimizer already has the variables of one player, so every player gets a copy.
        first = 0 if optimizer.built else 1
        copies = [type(optimizer).from_config(optimizer.get_config()) for _ in list(players)[first:]]
        return dict(zip(players, [optimizer, *copies][-len(players) :], strict=True))

    found = {} if given is None else by_player(given)
    if len({id(one) for one in found.values()}) < len(found):
        raise ValueError(f"optimizer has the same object for several of {', '.join(found)}: give each player its own.")
    if found.keys() != players.keys():
        found = {**by_player(default()), **found}
    if scaled:
        loss_scaled = keras.optimizers.LossScaleOptimizer
        found = {name: o if isinstance(o, loss_scaled) else loss_scaled(o) for name, o in found.items()}
    return {name: found[name] for name in players}


def accumulate_gradients(optimizers: dict, accumulate: int | None) -> None:
    """Sets optimisers, {player: one}, to update with the mean gradient of `accumulate` batches; None: as they are set.

    Raises:
        ValueError: `accumulate` is no whole number of at least 2, an optimiser is set to another number or is in use; or one
            accumulates under a strategy.
    """
    if accumulate is not None and (not isinstance(accumulate, int) or isinstance(accumulate, bool) or accumulate < 2):
        raise ValueError(f"accumulate must be None or a whole number of at least 2; received {accumulate!r}.")
    for name, optimizer in optimizers.items():
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        given = inner.gradient_accumulation_steps
        if accumulate not in (None, given):
            if given or inner.built:
                state = f"gradient_accumulation_steps={given}" if given else "variables without those of accumulation"
                raise ValueError(f"accumulate={accumulate}, but the optimizer of {name!r} has {state}: give a new one.")
            inner.gradient_accumulation_steps = accumulate
        if inner.gradient_accumulation_steps and tf.distribute.has_strategy():
            raise ValueError(
                f"The optimizer of {name!r} has gradient_accumulation_steps={inner.gradient_accumulation_steps}. Keras does "
                "not support this on several replicas, or under a strategy of one; `tfgen train` has none with --strategy "
                "one_device and without --devices, on the first device."
            )


def step_players(model, player_losses, losses_fn, when=None, variables=None):
    """See `TrainableModel.step_players`."""
    players, optimizers = model.players(), model.player_optimizers
    trained = {name: (variables or {}).get(name) or players[name].variables for name in player_losses}
    with tf.GradientTape(persistent=len(trained) > 1, watch_accessed_variables=False) as tape:
        tape.watch([v.value for group in trained.values() for v in group])
        losses = losses_fn()
        minimized = {name: tf.cast(losses[loss], tf.float32) for name, loss in player_losses.items()}
        scaled = {name: optimizers[name].scale_loss(loss) for name, loss in minimized.items()}
    # TensorFlow 2.16's graph optimiser can drop the control edge that keeps an update behind the reads of the same variable,
    # where the gradient does not depend on its value (a critic's last layer). A seed of the gradient that depends on the
    # losses makes this a data dependency. It also makes the gradients of a loss that is not finite not finite.
    total = tf.add_n(list(minimized.values()))
    # Keras sums gradients over the replicas; after the division the sum is the mean over the global batch.
    share = 1.0 / tf.distribute.get_strategy().num_replicas_in_sync
    seed = tf.where(tf.math.is_finite(total), share, float("nan"))
    gradients = {
        name: tape.gradient(scaled[name], [v.value for v in group], output_gradients=seed)
        for name, group in trained.items()
    }
    _note_weights(model, players, total)
    turns = {}
    if when is not None:
        turns = when({name: mean_over_replicas(loss) for name, loss in losses.items()})
        if not turns.keys() <= player_losses.keys():
            raise ValueError(f"when() must return players of {sorted(player_losses)}; it returned {sorted(turns)}.")
    for name, group in trained.items():
        update = _Update(model, name, players[name], group)
        agreed = _agreed(optimizers[name], gradients[name])
        _update_where(turns.get(name), update, _clipped(optimizers[name], agreed))
    return losses


def _note_weights(model, players, total):
    """Stores the largest weight of each player before the first update whose losses have a sum that is not finite."""
    noted = model.largest_before_bad_step

    def largest():
        sizes = [[tf.reduce_max(tf.abs(tf.cast(v, tf.float32))) for v in p.variables] for p in players.values()]
        sizes = tf.stack([tf.reduce_max(of_player) if of_player else 0.0 for of_player in sizes])
        return tf.where(tf.math.is_finite(sizes), sizes, float("inf"))

    first = tf.logical_and(tf.reduce_all(noted.value == 0.0), tf.logical_not(tf.math.is_finite(total)))
    # The branch is taken once in a run, so that other steps do not become slower.
    noted.assign(tf.cond(first, largest, lambda: tf.convert_to_tensor(noted)))


@dataclasses.dataclass(frozen=True)
class _Update:
    """One update of a player with its gradients; called in replica context."""

    model: keras.Model
    name: str
    player: Player
    variables: list

    def __call__(self, gradients):
        optimizer, ema = self.model.player_optimizers[self.name], self.model.ema
        # Counters must also wait for the gradients: an invalid batch has none. All operations wait for one group, because an
        # edge from each gradient to each operation of the optimiser would be most of the graph.
        with tf.control_dependencies([tf.group(*[g for g in gradients if g is not None])]):
            before = tf.identity(optimizer.iterations) if _skips(optimizer) else None
            pairs = zip(gradients, self.variables, strict=True)
            optimizer.apply_gradients([pair for pair in pairs if pair[0] is not None or not self.player.partial])
            if self.player.constraint is not None:
                self.player.constraint(self.variables)
            if ema is not None:
                # The optimiser may have only accumulated the gradients, or dropped them because of overflow.
                ema.update(self.name, None if before is None else tf.not_equal(optimizer.iterations, before))


def _skips(optimizer):
    return isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or bool(optimizer.gradient_accumulation_steps)


def _update_where(turn, update, gradients):
    """Calls `update` if `turn`, a bool scalar that is equal on all replicas, is true; None: always."""
    if turn is None:
        update(gradients)
        return

    def across_replicas(strategy, turn, gradients):
        # A branch inside a replica could not exchange gradients with other replicas, so the branch is in cross-replica
        # context.
        def on_replicas():
            strategy.extended.call_for_each_replica(update, args=(gradients,))
            return tf.constant(True)

        tf.cond(strategy.experimental_local_results(turn)[0], on_replicas, lambda: tf.constant(False))

    tf.distribute.get_replica_context().merge_call(across_replicas, args=(turn, gradients))


def _agreed(optimizer, gradients):
    """The gradients; NaN on all replicas if those of one replica overflowed by loss scaling, so that all skip the update."""
    if not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return gradients
    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients if g is not None])
    factor = tf.where(mean_over_replicas(tf.cast(finite, tf.float32)) >= 1.0, 1.0, float("nan"))
    return [None if g is None else g * tf.cast(factor, g.dtype) for g in gradients]


def _clipped(optimizer, gradients):
    """With several replicas: the share of each replica in the global gradient, clipped by the optimiser's settings.

    Keras clips the gradient of each replica before it sums them, so the update would depend on how a batch is divided. It
    clips these shares again, without effect: each is at most the bound divided by the number of replicas.
    """
    clips, context = getattr(optimizer, "inner_optimizer", optimizer), tf.distribute.get_replica_context()
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas == 1 or not (clips.clipnorm or clips.global_clipnorm or clips.clipvalue):
        return gradients
    found = [tf.convert_to_tensor(g) for g in gradients if g is not None]
    scale = optimizer.scale_loss(tf.constant(1.0))  # the bound applies to gradients without loss scaling
    summed = [g / tf.cast(scale, g.dtype) for g in context.all_reduce(tf.distribute.ReduceOp.SUM, found)]
    clipped = iter(clips._clip_gradients(summed))
    return [None if g is None else next(clipped) * tf.cast(scale / replicas, g.dtype) for g in gradients]


def mean_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """The mean of a tensor over the replicas of a step; the tensor itself with one replica or outside a step.

    Example:
        >>> float(tfgen.training.mean_over_replicas(tf.constant(2.0)))  # outside of a step
        2.0
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, value)


def _unique(variables):
    return list({id(v): v for v in variables}.values())
