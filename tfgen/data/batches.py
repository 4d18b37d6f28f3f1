"""The input pipeline: batch number t as a pure function of (source, arguments, t).

Nothing here keeps state between steps. So an iteration that starts at step t returns the same bits as an uninterrupted one
from step t on, and does not compute the batches before t. Three things make that possible:

- the order of an epoch is a stateless shuffle keyed by (seed, epoch), and a batch is a slice of it;
- images are stored with random access, so a batch reads only its own images;
- noise and augmentation come from `tfgen.random`: those of example i depend on (seed, stream, i) and not on the rest of the
  batch.

If the batch size changes with the step, each phase begins with a new epoch.
"""

import math
import os
import zlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import tensorflow as tf

from tfgen import random, settings
from tfgen.data.augmentation import Augmentation
from tfgen.settings import NaturalInt, PositiveFraction

_DYNAMIC, _FIXED, _DEQUANTIZE, _AUGMENT = 1, 2, 3, 4  # random streams: independent noise for the same seed
Binarization = Literal["threshold", "fixed", "dynamic"]


def check_batch_size(batch_size: int | Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The phases of a batch size as [(first step, examples in a batch)]; `batch_size` is a number or such a list.

    Example:
        >>> tfgen.data.check_batch_size(64)
        [(0, 64)]
        >>> tfgen.data.check_batch_size([(0, 64), (1000, 32)])
        [(0, 64), (1000, 32)]

    Raises:
      ValueError: a batch size is not a positive whole number; the first steps of the phases do not begin at 0 or do not
        increase.
    """
    if isinstance(batch_size, (list, tuple)):
        if not batch_size or any(not isinstance(p, (list, tuple)) or len(p) != 2 for p in batch_size):
            raise ValueError(
                f"batch_size must be a positive whole number or a list of (first step, batch size); received {batch_size!r}"
            )
        firsts = [first for first, _ in batch_size]
        if not all(_is_whole(first) for first in firsts) or firsts[0] != 0 or np.any(np.diff(firsts) <= 0):
            raise ValueError(f"The first steps of the phases of batch_size must start at 0 and increase; received {firsts}")
        phases: list[tuple] = list(batch_size)
    else:
        phases = [(0, batch_size)]
    for _, size in phases:
        if not _is_whole(size) or size < 1:
            raise ValueError(f"batch_size must be a positive whole number; received {size!r}")
    return [(int(first), int(size)) for first, size in phases]


def repeated(source, batch_size):
    """`source` so often repeated that its examples fill a whole number of batches, if it is smaller than a batch."""
    n, sizes = source.num_examples, [size for _, size in check_batch_size(batch_size)]
    times = math.lcm(*(1 if n >= size else size // math.gcd(n, size) for size in sizes))
    return source if times == 1 else source.subset(np.tile(np.arange(n), times))


def make_batches(
    source,
    batch_size,
    *,
    shuffle: bool = False,
    repeat: bool = False,
    seed: int = 0,
    start_step: NaturalInt = 0,
    drop_remainder: bool | None = None,
    binarization: Binarization | None = None,
    threshold: PositiveFraction = 0.5,
    dequantize: bool = False,
    augmentation=None,
    part: Sequence[int] | None = None,
    choose=None,
):
    """Builds the dataset of `Source.batches`.

    `choose` replaces the shuffled order of an epoch. It is a function (int64 global step, batch size) -> (indices of the
    batch, its additional fields).
    """
    settings.check(
        make_batches, shuffle=shuffle, repeat=repeat, seed=seed, start_step=start_step, drop_remainder=drop_remainder,
        binarization=binarization, threshold=threshold, dequantize=dequantize, part=part,
    )  # fmt: skip
    n, levels, fields = source.num_examples, source.levels, source.stored_fields
    if drop_remainder is None:
        drop_remainder = repeat
    phases = check_batch_size(batch_size)
    if len(phases) > 1 and not repeat:
        raise ValueError(f"batch_size={batch_size!r} changes with the step, which needs repeat=True")
    if binarization and dequantize:
        raise ValueError(f"binarization={binarization!r} and dequantize=True cannot be combined")
    seed, start_step = int(seed), int(start_step)
    for _, size in phases:
        if drop_remainder and size > n:
            raise ValueError(
                f"batch_size={size} is larger than the {n} examples of {source.name!r} and drop_remainder "
                "is True: there is no full batch. Pass a smaller batch_size or drop_remainder=False"
            )
    index, parts = (0, 1) if part is None else part
    for _, size in phases:
        if not 0 <= index < parts or size % parts or (parts > 1 and not drop_remainder):
            raise ValueError(
                f"part must be (k, n) with 0 <= k < n, n must divide batch_size={batch_size!r}, and drop_remainder must be "
                f"True; received part={part!r}, drop_remainder={drop_remainder}."
            )
    augment = Augmentation(augmentation, fields, source.name)

    def steps_per_epoch(size):
        return n // size if drop_remainder else -(-n // size)

    if not repeat and start_step > steps_per_epoch(phases[0][1]):
        raise ValueError(
            f"start_step={start_step} is beyond the {steps_per_epoch(phases[0][1])} steps of one epoch (repeat=False)"
        )

    # Captured by the graph, not a constant in it: TensorFlow's graph optimiser may turn a division by a constant into a
    # multiplication by its reciprocal, which differs from the division in Source.images in the last bit.
    with tf.init_scope(), tf.device("CPU:0"):
        full_scale = tf.constant(255.0)

    def phase(first_step, size, first_epoch, begin, length):
        """The batches of a phase from its step `begin` on, as (indices, positions, additional fields).

        Epoch 0 of the phase is epoch `first_epoch` of the whole sequence.
        """
        steps = steps_per_epoch(size)

        def epoch_batches(number):
            epoch = first_epoch + number
            if shuffle and choose is None:
                order = tf.random.experimental.stateless_shuffle(
                    tf.range(n, dtype=tf.int64), seed=tf.stack([tf.constant(seed, tf.int64), epoch]), alg="philox"
                )
            first = tf.where(tf.equal(number, begin // steps), np.int64(begin % steps), np.int64(0))

            def at_step(step):
                start = step * size
                end = start + size if drop_remainder else tf.minimum(start + size, n)
                places = tf.range(start, end)  # int64 [B]: places within the epoch
                if choose is not None:
                    indices, further = choose(first_step + number * steps + step, size)
                else:
                    indices, further = order[start:end] if shuffle else places, {}
                if drop_remainder:
                    places = tf.ensure_shape(places, [size])
                    indices = tf.ensure_shape(indices, [size])
                found = indices, epoch * n + places, further
                if parts == 1:
                    return found
                share = size // parts
                return tf.nest.map_structure(lambda rows: rows[index * share : (index + 1) * share], found)

            return tf.data.Dataset.range(first, steps).map(at_step)

        if shuffle and not repeat:
            # Keras starts a new iteration in each of its epochs: the first one is epoch 0, the next one epoch 1.
            with tf.init_scope(), tf.device("CPU:0"):
                iterations = tf.Variable(-1, dtype=tf.int64, trainable=False)
            epochs = tf.data.Dataset.range(1).map(lambda _: iterations.assign_add(1))
        else:
            epochs = tf.data.Dataset.range(begin // steps, np.iinfo(np.int64).max - first_epoch if repeat else 1)
        batches = epochs.flat_map(tf.autograph.experimental.do_not_convert(epoch_batches))
        return batches if length is None else batches.take(length)

    dataset, epoch = None, 0
    for k, (first, size) in enumerate(phases):
        last = phases[k + 1][0] if k + 1 < len(phases) else None
        if last is None or start_step < last:
            begin = max(start_step - first, 0)
            added = phase(first, size, epoch, begin, None if last is None else last - first - begin)
            dataset = added if dataset is None else dataset.concatenate(added)
        if last is not None:  # a phase begins with a new epoch
            epoch += -(-(last - first) // steps_per_epoch(size))
    # None: batches differ in size
    size = phases[-1][1] // parts if drop_remainder and start_step >= phases[-1][0] else None

    def noise_bits(name, stream, places, count):  # uint64 [B, count]
        key = random.fold(random.key(seed), stream)
        if name != "image":
            key = random.fold(key, zlib.crc32(name.encode()))
        return random.bits(random.fold(key, places), count)

    def finish(name, image, indices, positions):
        """The values of an image or clip, float32 in [0, 1], binarised or dequantised."""
        shape = augment.shapes[name]
        count = int(np.prod(shape))
        if binarization == "threshold":
            image = tf.cast(image >= threshold, tf.float32)
        elif binarization:
            dynamic = binarization == "dynamic"
            bits = noise_bits(name, _DYNAMIC if dynamic else _FIXED, positions if dynamic else indices, count)
            u = tf.cast(tf.bitwise.right_shift(bits, np.uint64(40)), tf.float32) * 2.0**-24  # in [0, 1)
            image = tf.cast(tf.reshape(u, [-1, *shape]) < image, tf.float32)
        elif dequantize:
            # u is the middle of one of 2^15 cells. With more bits (255 + u) / 256 would round up to 1 in
            # float32.
            bits = noise_bits(name, _DEQUANTIZE, positions, count)
            u = (tf.cast(tf.bitwise.right_shift(bits, np.uint64(49)), tf.float32) + 0.5) * 2.0**-15
            image = (tf.round(image * (levels - 1.0)) + tf.reshape(u, [-1, *shape])) / levels
        return image

    def fetch(indices, positions, further):
        keys = random.fold(random.fold(random.key(seed), _AUGMENT), positions) if augment.settings else None
        read = {name: source.graph_read(name, indices) for name in fields}
        pixels = augment.move({name: value for name, value in read.items() if fields[name].pixels}, keys)
        batch = {}
        for name, value in read.items():
            if fields[name].classes is not None:
                value = tf.one_hot(tf.cast(pixels[name], tf.int32), fields[name].classes)
                value = tf.ensure_shape(value, [size, *augment.shapes[name]])
            elif name in pixels:
                value = tf.cast(pixels[name], tf.float32) / full_scale
                if fields[name].encoded:
                    value = augment.colour(name, pixels[name], value, keys)
                    value = finish(name, value, indices, positions)
                value = tf.ensure_shape(value, [size, *augment.shapes[name]])
            batch[name] = value
        return {**batch, **further}

    assert dataset is not None  # the last phase has no end
    cardinality = tf.data.INFINITE_CARDINALITY if repeat else steps_per_epoch(phases[0][1]) - start_step
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(cardinality))
    fetch = tf.autograph.experimental.do_not_convert(fetch)  # it has no Python control flow that depends on tensors
    dataset = dataset.map(fetch, num_parallel_calls=os.cpu_count(), deterministic=True)
    dataset = dataset.prefetch(2)
    options = tf.data.Options()
    # TensorFlow 2.16's autotuning of the map and of the prefetch can miss the end of the iterator: `fit` then waits for as
    # long as it ran, at most a minute.
    options.autotune.enabled = False
    # The graph has no files to shard by; with several workers, each worker takes its part of every batch.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)


def _is_whole(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
