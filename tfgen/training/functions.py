"""The functions that Keras calls for every batch of `fit` and `evaluate`: one graph for each kind of step."""

import tensorflow as tf


def make_step_function(model, step, plan=None):
    """A function (iterator) -> logs that runs `model.steps_per_execution` steps, or those that are left.

    Args:
        model: a `TrainableModel`.
        step: function of a batch -> {name: scalar}, to be run on each replica; `model.kind` is its kind while it is traced.
        plan: function of the number of steps -> a list of (kind, begin) of the next ones. A kind is hashable; one graph is
            made for each when it first comes up. `begin` is None or called before the step, outside of the graph. None: all
            steps are alike.
    """
    strategy, graphs = model.distribute_strategy, {}
    wrap = (lambda function, **kwargs: function) if model.run_eagerly else tf.function

    def graph(kind):
        def on_replica(batch):
            model.kind = kind
            return step(batch)

        def one(batch):
            logs = strategy.run(on_replica, args=(batch,))
            # Keras' own reduction fails for scalars where there are several workers.
            return tf.nest.map_structure(lambda log: strategy.reduce("MEAN", log, axis=None), logs)

        # With one replica the graph around it knows the shapes of the batches; a wrong one is then found in words.
        several = strategy.num_replicas_in_sync > 1
        one = wrap(one, reduce_retracing=several, jit_compile=model.jit_compile, autograph=False)
        if model.run_eagerly or several:  # TensorFlow fails in a loop over several replicas
            return lambda iterator, num: _repeat(one, iterator, num)

        def many(iterator, num):
            logs = one(iterator.get_next())

            def body(i, more, logs):
                batch = iterator.get_next_as_optional()
                more = batch.has_value()
                return i + 1, more, tf.cond(more, lambda: one(batch.get_value()), lambda: logs)

            start = (tf.constant(1), tf.constant(True), logs)
            return tf.while_loop(lambda i, more, logs: (i < num) & more, body, start, parallel_iterations=1)[2]

        once = wrap(lambda iterator: one(iterator.get_next()), autograph=False)
        many = wrap(many, autograph=False)
        return lambda iterator, num: once(iterator) if num == 1 else many(iterator, tf.constant(num))

    def function(iterator):
        logs = None
        for kind, begin, num in _runs(plan, model.steps_per_execution):
            if begin is not None:
                begin()
            if kind not in graphs:
                graphs[kind] = graph(kind)
            try:
                logs = graphs[kind](iterator, num)
            except (tf.errors.OutOfRangeError, StopIteration):  # no batch is left
                if logs is None:
                    raise
                break
        return logs

    return function


def _repeat(one, iterator, num):
    logs = None
    for _ in range(num):
        try:
            batch = next(iterator)
        except (tf.errors.OutOfRangeError, StopIteration):
            if logs is None:
                raise
            break
        logs = one(batch)
    return logs


def _runs(plan, num):
    """[(kind, begin, how many steps of it in a row)] of the next `num` steps."""
    runs = []
    for kind, begin in [(None, None)] * num if plan is None else plan(num):
        if runs and begin is None and runs[-1][0] == kind:
            runs[-1] = (*runs[-1][:2], runs[-1][2] + 1)
        else:
            runs.append((kind, begin, 1))
    return runs
