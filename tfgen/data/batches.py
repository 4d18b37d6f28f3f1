"""The input pipeline: batch number t as a pure function of (images, arguments, t).

Nothing here keeps state between steps, so an iteration that starts at step t gives bit for bit what an
uninterrupted one gives from step t on, and it starts at once. Three things make that work:

- the order of an epoch is a stateless shuffle keyed by (seed, epoch), and a batch is a slice of it;
- images are stored with random access, so only the wanted ones are read;
- noise comes from `tfgen.random`: that of example i depends on (seed, stream, i), whatever batch it is in.
"""

import numpy as np
import tensorflow as tf

from tfgen import random

_DYNAMIC, _FIXED, _DEQUANTIZE = 1, 2, 3  # streams: independent noise for the same seed
BINARIZATIONS = (None, "threshold", "fixed", "dynamic")


def make_batches(
    source,
    read,
    batch_size,
    *,
    shuffle=False,
    repeat=False,
    seed=0,
    start_step=0,
    drop_remainder=None,
    binarization=None,
    threshold=0.5,
    dequantize=False,
    choose=None,
):
    """Builds what `Source.batches` documents.

    `read`: int64 [B] indices -> uint8 [B, H, W, C]. `choose`, in place of the shuffled order of an epoch: int64 global
    step -> (indices of its batch, further fields of it).
    """
    n, shape, levels = source.num_examples, source.image_shape, source.levels
    pixels = int(np.prod(shape))
    if drop_remainder is None:
        drop_remainder = repeat
    if int(batch_size) != batch_size or batch_size < 1:
        raise ValueError(f"batch_size must be a positive whole number; received {batch_size!r}")
    if int(start_step) != start_step or start_step < 0:
        raise ValueError(f"start_step must be a whole number >= 0; received {start_step!r}")
    if int(seed) != seed or not -(2**63) <= seed < 2**63:
        raise ValueError(f"seed must be a whole number of 64 bits; received {seed!r}")
    if binarization not in BINARIZATIONS:
        raise ValueError(f"binarization must be one of {BINARIZATIONS}; received {binarization!r}")
    if not 0.0 < threshold <= 1.0:
        raise ValueError(f"threshold must lie in (0, 1]; received {threshold!r}")
    if binarization and dequantize:
        raise ValueError(f"binarization={binarization!r} and dequantize=True exclude each other")
    batch_size, seed, start_step = int(batch_size), int(seed), int(start_step)
    steps = n // batch_size if drop_remainder else -(-n // batch_size)  # per epoch
    if steps == 0:
        raise ValueError(
            f"batch_size={batch_size} is larger than the {n} examples of {source.name!r} and drop_remainder "
            "is True: there is no full batch. Pass a smaller batch_size or drop_remainder=False"
        )
    if not repeat and start_step > steps:
        raise ValueError(f"start_step={start_step} is beyond the {steps} steps of one epoch (repeat=False)")

    # Captured, not embedded: TensorFlow's graph optimiser may turn a division by a constant into a
    # multiplication by its reciprocal, which differs from the division in Source.images in the last bit.
    with tf.init_scope(), tf.device("CPU:0"):
        full_scale = tf.constant(255.0)
        labels = None if source._labels is None else tf.constant(source._labels)

    def epoch_batches(epoch):
        if shuffle and choose is None:
            order = tf.random.experimental.stateless_shuffle(
                tf.range(n, dtype=tf.int64), seed=tf.stack([tf.constant(seed, tf.int64), epoch]), alg="philox"
            )
        first = tf.where(tf.equal(epoch, start_step // steps), np.int64(start_step % steps), np.int64(0))

        def at_step(step):
            begin = step * batch_size
            end = begin + batch_size if drop_remainder else tf.minimum(begin + batch_size, n)
            places = tf.range(begin, end)  # int64 [B]: places within the epoch
            if choose is not None:
                indices, fields = choose(epoch * steps + step)
            else:
                indices, fields = order[begin:end] if shuffle else places, {}
            if drop_remainder:
                places = tf.ensure_shape(places, [batch_size])
                indices = tf.ensure_shape(indices, [batch_size])
            return indices, epoch * n + places, fields

        return tf.data.Dataset.range(first, steps).map(at_step)

    def noise_bits(stream, places):  # uint64 [B, pixels]
        return random.bits(random.fold(random.fold(random.key(seed), stream), places), pixels)

    def fetch(indices, positions, fields):
        image = tf.cast(read(indices), tf.float32) / full_scale  # [B, H, W, C]
        if binarization == "threshold":
            image = tf.cast(image >= threshold, tf.float32)
        elif binarization:
            dynamic = binarization == "dynamic"
            bits = noise_bits(_DYNAMIC if dynamic else _FIXED, positions if dynamic else indices)
            u = tf.cast(tf.bitwise.right_shift(bits, np.uint64(40)), tf.float32) * 2.0**-24  # in [0, 1)
            image = tf.cast(tf.reshape(u, [-1, *shape]) < image, tf.float32)
        elif dequantize:
            # u is the middle of one of 2^15 cells. With more bits (255 + u) / 256 would round up to 1 in
            # float32.
            bits = noise_bits(_DEQUANTIZE, positions)
            u = (tf.cast(tf.bitwise.right_shift(bits, np.uint64(49)), tf.float32) + 0.5) * 2.0**-15
            image = (tf.round(image * (levels - 1.0)) + tf.reshape(u, [-1, *shape])) / levels
        batch = {"image": tf.ensure_shape(image, [batch_size if drop_remainder else None, *shape]), **fields}
        if labels is not None:
            batch["label"] = tf.gather(labels, indices)
        return batch

    if shuffle and not repeat:
        # Keras iterates anew for each of its epochs: the first time over the dataset is epoch 0, the next one epoch 1.
        with tf.init_scope(), tf.device("CPU:0"):
            iterations = tf.Variable(-1, dtype=tf.int64, trainable=False)
        epochs = tf.data.Dataset.range(1).map(lambda _: iterations.assign_add(1))
    else:
        epochs = tf.data.Dataset.range(start_step // steps, np.iinfo(np.int64).max if repeat else 1)
    dataset = epochs.flat_map(epoch_batches)
    cardinality = tf.data.INFINITE_CARDINALITY if repeat else steps - start_step
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(cardinality))
    dataset = dataset.map(fetch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    options = tf.data.Options()
    # There are no files in the graph to shard by; under several workers each takes its part of every batch.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)
