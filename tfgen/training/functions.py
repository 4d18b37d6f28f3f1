"""The functions that Keras calls for every batch of `fit` and `evaluate`: one graph for each kind of step."""

import tensorflow as tf


def make_step_function(model, step, check, plan=None):
    """Makes a function (iterator) -> logs that runs `model.steps_per_execution` steps, or fewer at the end of the data.

    Args:
        model: a `TrainableModel`.
        step: function of a batch -> {name: scalar}, to be run on each replica; `model.kind` is its kind while it is traced.
        check: function of a batch -> tensors. `step` itself begins with these checks. They also run before the step if those
            in the step are not enough: XLA drops them, and an error in a step of several replicas may stop TensorFlow's
            collectives for the rest of the process.
        plan: function of a number of steps -> a list of (kind, begin) of the next steps. A kind is hashable; each kind has
            one graph, which is made at its first step. `begin` is None, or is called before the step, outside the graph.
            None: all steps have the same kind.
    """
    strategy, graphs = model.distribute_strategy, {}
    wrap = (lambda function, **kwargs: function) if model.run_eagerly else tf.function

    def graph(kind, spec):
        def on_replica(batch):
            model.kind = kind
            return step(batch)

        def check_on_replica(batch):
            check(batch)

        def one(batch):
            logs = strategy.run(on_replica, args=(batch,))
            # Keras' own reduction fails for scalars with several workers.
            return tf.nest.map_structure(lambda log: strategy.reduce("MEAN", log, axis=None), logs)

        settings = {"jit_compile": model.jit_compile, "autograph": False}
        if model.run_eagerly or strategy.num_replicas_in_sync > 1:  # TensorFlow fails in a loop over several replicas
            one = wrap(one, reduce_retracing=True, **settings)
            if strategy.num_replicas_in_sync == 1 and not model.jit_compile:
                return lambda iterator, num: _repeat(one, iterator, num)

            def on_replicas(batch):
                strategy.run(check_on_replica, args=(batch,))

            checks = wrap(on_replicas, reduce_retracing=True, autograph=False)

            def checked(batch):
                checks(batch)
                return one(batch)

            return lambda iterator, num: _repeat(checked, iterator, num)
        # Traced with the shapes of the data set: with relaxed shapes, the checks could not find a wrong one.
        one = wrap(one, input_signature=[spec], **settings)
        if model.jit_compile:
            compiled = one

            def after_checks(batch):
                with tf.control_dependencies(tf.nest.flatten(check(batch))):
                    return compiled(tf.nest.map_structure(tf.identity, batch))

            one = wrap(after_checks, input_signature=[spec], autograph=False)

        def many(batch, iterator, num):
            logs = one(batch)

            def body(i, more, logs):
                batch = iterator.get_next_as_optional()
                more = batch.has_value()
                return i + tf.cast(more, tf.int32), more, tf.cond(more, lambda: one(batch.get_value()), lambda: logs)

            start = (tf.constant(1), tf.constant(True), logs)
            done, _, logs = tf.while_loop(lambda i, more, logs: (i < num) & more, body, start, parallel_iterations=1)
            return done, logs

        many = wrap(many, reduce_retracing=True, autograph=False)

        # The first batch is read outside the graph: at the end of the data, a graph that reads it would still run
        # operations that do not depend on it, such as the counters of optimisers.
        def some(iterator, num):
            batch = next(iterator)
            return (1, one(batch)) if num == 1 else many(batch, iterator, tf.constant(num))

        return some

    def function(iterator):
        if not isinstance(iterator, (tf.data.Iterator, tf.distribute.DistributedIterator)):
            iterator = _of_one_batch(iterator)
        logs = None
        for kind, begin, num in _runs(plan, model.steps_per_execution):
            if begin is not None:
                begin()
            key = kind, str(iterator.element_spec)
            if key not in graphs:
                graphs[key] = graph(kind, iterator.element_spec)
            try:
                done, logs = graphs[key](iterator, num)
            except (tf.errors.OutOfRangeError, StopIteration):  # end of the data
                if logs is None:
                    raise
                break
            if int(done) < num:
                break
        return logs

    return function


def _of_one_batch(batches):
    """An iterator over the one batch that `train_on_batch` makes: (values, labels or None, weights or None)."""
    batch = next(iter(batches))
    while isinstance(batch, tuple) and batch[-1] is None:
        batch = batch[:-1]
    return iter(tf.data.Dataset.from_tensors(batch))


def _repeat(one, iterator, num):
    """(the number of steps, at most `num`, for which there was a batch; the logs of the last step)."""
    logs = None
    for done in range(num):
        try:
            batch = next(iterator)
        except (tf.errors.OutOfRangeError, StopIteration):
            if logs is None:
                raise
            return done, logs
        logs = one(batch)
    return num, logs


def _runs(plan, num):
    """[(kind, begin, number of consecutive steps of this kind)] of the next `num` steps."""
    runs: list[tuple] = []
    for kind, begin in [(None, None)] * num if plan is None else plan(num):
        if runs and begin is None and runs[-1][0] == kind:
            runs[-1] = (*runs[-1][:2], runs[-1][2] + 1)
        else:
            runs.append((kind, begin, 1))
    return runs
