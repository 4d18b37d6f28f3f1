"""What every generative model of tfgen promises, and the one training step they all share."""

import collections
import inspect
import math

import keras
import numpy as np
import tensorflow as tf

from tfgen import random
from tfgen.models.checks import check_images, check_labels, check_whole
from tfgen.training.ema import EMA


class GenerativeModel(keras.Model):
    """A model that is trained on images and makes images.

    The keyword-only constructor arguments of a subclass and of the classes above it are its config: `get_config` is derived
    from the signatures. So a subclass names only what it adds or whose default it changes, and hands on **kwargs.
    All weights exist when the constructor returns. Public methods take and return float32 NHWC images in [0, 1];
    a batch is a dict with `image` [B, H, W, C] and, where known, `label` int32 [B].

    A subclass names its losses in `loss_names`, and implements `update(batch)` (apply the gradients of one step and
    return the losses), `latents(seeds)` and `decode_images(latents)`.

    Args:
        image_shape: (H, W, C) of the images.
        seed: int; training noise is a pure function of (seed, step), so a checkpoint that holds the step holds it.
        **kwargs: `name` and `dtype` of `keras.Model`. `dtype="mixed_bfloat16"` computes in bfloat16.
    """

    loss_names: tuple[str, ...] = ("loss",)
    num_classes = 0  # of a conditional model

    def __new__(cls, *args, **kwargs):
        model = super().__new__(cls, *args, **kwargs)
        parameters = cls.config_parameters()
        unknown = sorted(set(kwargs) - set(parameters) - {"name", "dtype", "trainable"})
        if unknown:
            known = ", ".join(parameters)
            raise TypeError(f"{cls.__name__} has no argument {', '.join(unknown)}; it has {known}, name, dtype.")
        config = {p.name: p.default for p in parameters.values() if p.default is not p.empty}
        # Not through __setattr__: Keras refuses attributes before its own __init__ has run.
        object.__setattr__(model, "_config", {**config, **kwargs})
        return model

    def __init__(self, *, image_shape, seed=0, **kwargs):
        super().__init__(**kwargs)
        if str(self.dtype_policy.name) == "mixed_float16":
            raise ValueError("dtype 'mixed_float16' needs loss scaling, which tfgen does not do; use 'mixed_bfloat16'.")
        shape = tuple(int(n) for n in image_shape)
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(f"image_shape must be (height, width, channels), all positive; received {image_shape!r}.")
        self.image_shape = shape
        self.seed = int(seed)
        self.ema = None
        counter = {"dtype": "int64", "trainable": False, "aggregation": "only_first_replica"}
        self.step = keras.Variable(0, name="step", **counter)
        # The first step whose loss was not finite, -1 while there is none: found in the graph, so the exact step is
        # known even where Keras runs many steps in one call.
        self.bad_step = keras.Variable(-1, name="bad_step", **counter)
        self.trackers = {name: keras.metrics.Mean(name=name) for name in self.loss_names}

    # ---- config

    @classmethod
    def config_parameters(cls):
        """{name: inspect.Parameter} of the constructor: its own arguments, then those that it hands on as **kwargs."""
        found = {}
        for base in cls.__mro__:
            if not issubclass(base, GenerativeModel) or "__init__" not in base.__dict__:
                continue
            parameters = inspect.signature(base.__init__).parameters.values()
            for parameter in parameters:
                if parameter.kind is parameter.KEYWORD_ONLY:
                    found.setdefault(parameter.name, parameter)
            if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
                break
        return found

    def get_config(self):
        return {k: list(v) if isinstance(v, tuple) else v for k, v in self._config.items()}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    # ---- training

    @classmethod
    def check_source(cls, config, source):
        """ValueError where a model of this config cannot learn from the `tfgen.data.Source`, beside its image shape."""

    def compile(self, optimizer=None, *, ema_decay=None, jit_compile=False, **kwargs):
        """Prepares `fit`; every variable that training needs exists afterwards.

        Args:
            optimizer: a Keras optimizer, its name or its config dict; None: `default_optimizer()`.
            ema_decay: if given, an exponential moving average of the weights is kept (see `tfgen.training.EMA`).
            jit_compile: XLA. Off by default: on CPU it makes convolutional steps several times slower.
            **kwargs: `steps_per_execution`, `run_eagerly` of `keras.Model.compile`.
        """
        optimizer = keras.optimizers.get(optimizer if optimizer is not None else self.default_optimizer())
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        for built, variables in self.optimizers():
            built.build(variables)
        self.ema = None if ema_decay is None else EMA(self.ema_variables(), decay=ema_decay)

    def default_optimizer(self):
        return keras.optimizers.Adam(1e-3)

    def optimizers(self):
        """[(optimizer, the trainable variables it updates)]."""
        return [(self.optimizer, self.trainable_variables)]

    def ema_variables(self):
        """The float variables that sampling uses; the moving statistics of batch norm are averaged with the rest."""
        return [v for v in self.variables if keras.backend.is_float_dtype(v.dtype)]

    def state(self):
        """{key: variable} of all that a checkpoint must hold for training to go on as if it had never stopped."""
        groups = {"model": self.variables}
        for i, (optimizer, _) in enumerate(self.optimizers() if self.optimizer is not None else []):
            groups[f"optimizer_{i}"] = optimizer.variables
        if self.ema is not None:
            groups["ema"] = self.ema.shadows
        skip = {id(v) for tracker in self.trackers.values() for v in tracker.variables}
        # Keys are places, not names: Keras numbers unnamed layers by what else the process has built.
        return {
            f"{group}/{i}": v
            for group, variables in groups.items()
            for i, v in enumerate(v for v in variables if id(v) not in skip)
        }

    @property
    def metrics(self):
        return list(self.trackers.values())

    def train_step(self, data):
        batch = self.as_batch(data)
        losses = {name: tf.cast(loss, tf.float32) for name, loss in self.update(batch).items() if name in self.loss_names}
        for name, loss in losses.items():
            self.trackers[name].update_state(loss)
        finite = tf.reduce_all([tf.math.is_finite(loss) for loss in losses.values()])
        first = tf.logical_and(self.bad_step < 0, tf.logical_not(finite))
        self.bad_step.assign(tf.where(first, tf.convert_to_tensor(self.step), tf.convert_to_tensor(self.bad_step)))
        if self.ema is not None and self.averages_turn():
            self.ema.update(self.step)
        self.step.assign_add(1)
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def apply_gradients(self, optimizer, loss_fn, variables):
        """One descent step on `loss_fn() -> (scalar, outputs)`, the mean over this replica's examples; -> outputs."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in variables])
            loss, outputs = loss_fn()
            # Keras sums gradients over the replicas; dividing makes the sum the mean over the global batch.
            loss = loss / tf.distribute.get_strategy().num_replicas_in_sync
        # TensorFlow 2.16's graph optimiser can drop the control edge that keeps an update behind the reads of the same
        # variable, where the gradient does not depend on its value (a critic's last layer). A seed that depends on the
        # loss makes the order one of data. It also turns a loss that is not finite into gradients that are not.
        seed = tf.where(tf.math.is_finite(loss), tf.ones_like(loss), float("nan"))
        gradients = tape.gradient(loss, [v.value for v in variables], output_gradients=seed)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return outputs

    def averages_turn(self):
        """Whether the step that is being traced moves the averaged weights; not where it leaves the weights alone."""
        return True

    def tracked(self, values):
        """The running means of `values`, {name: scalar or [B]}: what `test_step` answers."""
        for name, value in values.items():
            self.trackers[name].update_state(value)
        return {name: self.trackers[name].result() for name in values}

    def update(self, batch):
        """Applies one step of training to `batch`; -> {loss name: scalar mean over this replica's examples}.

        A name of `loss_names` may be missing where the step has no such loss; its mean stays what it was.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement update(batch).")

    def as_batch(self, data):
        """Makes the batch dict of what `fit` was given: a dict, (image, label), or images alone; checks the images."""
        if isinstance(data, (tuple, list)):
            names = ("image", "label")
            data = {k: v for k, v in zip(names, data, strict=False) if v is not None}
        elif not isinstance(data, dict):
            data = {"image": data}
        if "image" not in data:
            raise ValueError(f"A batch must have the field 'image'; received the fields {sorted(data)}.")
        return {**data, "image": self.check_images(data["image"])}

    def check_images(self, images):
        """See the function `check_images`, for the images that this model was made for."""
        return check_images(images, self.image_shape, type(self).__name__)

    # ---- random numbers

    def noise(self, shape, batch_size, stream, distribution="normal"):
        """Training noise float32 [batch_size, *shape], a pure function of (seed, step, stream, row of the global batch).

        Two replicas that hold one half of a batch each draw what one replica would draw for the whole.

        Args:
            distribution: "normal" N(0, 1), or "uniform" in (-1, 1).
        """
        drawn = random.DISTRIBUTIONS[distribution](self.noise_keys(batch_size, stream), math.prod(shape))
        return tf.reshape(drawn, [batch_size, *shape])

    def noise_keys(self, batch_size, stream):
        """The keys [batch_size] (see `tfgen.random`) from which `noise` draws."""
        context = tf.distribute.get_replica_context()
        first = tf.convert_to_tensor(context.replica_id_in_sync_group) * batch_size if context else 0
        keys = random.fold(random.fold(random.key(self.seed), tf.convert_to_tensor(self.step)), stream)
        return random.fold(keys, first + tf.range(batch_size))

    # ---- sampling

    def latents(self, seeds):
        """Latent codes of integer seeds [B]; row i is a function of seeds[i] alone."""
        raise NotImplementedError(f"{type(self).__name__} must implement latents(seeds).")

    def decode_images(self, latents, **conditions):
        """Images float32 [B, H, W, C] in [0, 1] of latent codes."""
        raise NotImplementedError(f"{type(self).__name__} must implement decode_images(latents).")

    def generate(self, seeds, **conditions):
        """Images of integer seeds.

        Args:
            seeds: int [B]; the image of a seed does not depend on the batch that it is made in.
            **conditions: e.g. `labels` int32 [B], where the model takes any.

        Returns:
            float32 [B, H, W, C] in [0, 1].
        """
        return self.decode_images(self.latents(tf.cast(seeds, tf.int64)), **conditions)

    def sample(self, num, *, seed=0, batch_size=256, **conditions):
        """`num` images, always the same for the same weights and `seed`.

        Row i is the image of the serving seed `seed * 2**32 + i`: a longer sample begins with the shorter one.

        Returns:
            float32 NumPy-compatible tensor [num, H, W, C] in [0, 1].
        """
        check_whole(num=num, batch_size=batch_size)
        num, seed = int(num), int(seed)
        if not 0 <= seed < 2**31:
            raise ValueError(f"seed must be in [0, 2**31); received {seed}.")
        seeds = tf.range(num, dtype=tf.int64) + (seed << 32)
        conditions = {k: tf.convert_to_tensor(v) for k, v in conditions.items() if v is not None}
        for name, values in conditions.items():
            if not values.shape[:1].is_compatible_with([num]):
                raise ValueError(f"{name} must be one for each of the {num} images; received shape {values.shape}.")
        chunks = []
        for i in range(0, num, batch_size):
            part = {k: v[i : i + batch_size] for k, v in conditions.items()}
            chunks.append(self.generate_function(seeds[i : i + batch_size], **part))
        return tf.concat(chunks, axis=0)

    @property
    def generate_function(self):
        """`generate` as a graph, traced once for each set of conditions."""
        if not hasattr(self, "_generate"):
            # TensorFlow 2.16 fails to relax shapes between traces with different arguments: a function for each set.
            functions = collections.defaultdict(lambda: tf.function(self.generate, reduce_retracing=True))
            object.__setattr__(self, "_generate", lambda seeds, **given: functions[tuple(sorted(given))](seeds, **given))
        return self._generate

    # ---- conditions

    def condition_specs(self):
        """{argument of `generate`: (field of a batch, tf.TensorSpec)} of what the model must be told beside the seed."""
        return {"labels": ("label", tf.TensorSpec([None], tf.int32))} if self.num_classes else {}

    def conditions_of(self, batch):
        """{argument of `generate`: tensor} of a batch of training; ValueError where a field is missing."""
        return {name: self.field_of(batch, field) for name, (field, _) in self.condition_specs().items()}

    def field_of(self, batch, field):
        if field not in batch:
            raise ValueError(f"{type(self).__name__} needs `{field}` in its batches; received the fields {sorted(batch)}.")
        return batch[field]

    def one_hot(self, labels):
        """[B, num_classes] of integer labels; an error, at run time, for a label out of range."""
        if not self.num_classes:
            raise ValueError(f"This {type(self).__name__} was built with num_classes=0 and takes no labels.")
        if labels is None:
            raise ValueError(f"{type(self).__name__} is conditional: labels, int [B] in [0, {self.num_classes}), needed.")
        return tf.one_hot(check_labels(labels, self.num_classes), self.num_classes)

    # ---- export

    def signatures(self):
        """{signature name: (function of tensors -> dict of tensors, {input name: tf.TensorSpec})} for export."""
        fields = self.condition_specs()
        conditions = {name: spec for name, (_, spec) in fields.items()}
        seeds = {"seeds": tf.TensorSpec([None], tf.int64)}
        latent = tf.TensorSpec([None, self.latent_dim], tf.float32)

        def sample(seeds, **conditions):
            return {"image": self.generate(seeds, **conditions)}

        def serving_default(seeds, **conditions):
            return {"image_bytes": encode_png(self.generate(seeds, **conditions))}

        def latents(seeds):
            return {"latent": self.latents(seeds)}

        def decode(latent, **conditions):
            return {"image": self.decode_images(latent, **conditions)}

        def serve_examples(examples):
            specs = {"seed": tf.TensorSpec([None], tf.int64), **dict(fields.values())}
            features = parse_features(examples, specs)
            return sample(features["seed"], **{name: features[field] for name, (field, _) in fields.items()})

        return {
            "serving_default": (serving_default, {**seeds, **conditions}),
            "sample": (sample, {**seeds, **conditions}),
            "latents": (latents, seeds),
            "decode": (decode, {"latent": latent, **conditions}),
            "serve_examples": (serve_examples, {"examples": tf.TensorSpec([None], tf.string)}),
        }


def mean_over_replicas(value):
    """The mean of a tensor over the replicas of a step; the tensor itself where there is one, or no step."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, value)


def parse_features(examples, specs):
    """{name: tensor of specs[name]} of serialized tf.Examples, string [B]; 0 where an example lacks the feature."""
    features = {}
    for name, spec in specs.items():
        dtype = tf.int64 if spec.dtype.is_integer else tf.float32
        features[name] = tf.io.FixedLenFeature(spec.shape[1:], dtype, np.zeros(spec.shape[1:], dtype.as_numpy_dtype))
    return {name: tf.cast(value, specs[name].dtype) for name, value in tf.io.parse_example(examples, features).items()}


def encode_png(images):
    """PNG bytes, string [B], of float32 [B, H, W, C] in [0, 1] with 1, 3 or 4 channels."""
    levels = tf.cast(tf.round(tf.clip_by_value(images, 0.0, 1.0) * 255.0), tf.uint8)
    return tf.map_fn(tf.io.encode_png, levels, fn_output_signature=tf.TensorSpec([], tf.string))
