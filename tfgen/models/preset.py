"""Presets: the settings of a paper on a data set, as data: constructor arguments, optimiser, number of steps."""

import copy
import dataclasses
import typing
from collections.abc import Sequence

import keras

from tfgen import settings
from tfgen.data import augmented_shape
from tfgen.models.base import TrainableModel
from tfgen.settings import NaturalInt, PositiveFloat, PositiveInt, Rate, Text
from tfgen.training.schedules import HeldDecay


@dataclasses.dataclass(frozen=True)
class Preset:
    """All settings of a training run.

    Attributes:
        name: "<paper>/<data set or variant>".
        model: the model class.
        model_args: its constructor arguments, `image_shape` included. A network of your own is the dotted name of a function
            that makes it, such as "my_package.my_module.make_encoder" (see `TrainableModel.own_network`).
        data: the `tfgen.data` specification of its images.
        source: the origin of the values: a table or section of the paper, the authors' code, or our own runs.
        batch_size: examples per step, over all replicas; or [(first step, examples), ...] for phases with different sizes.
        steps: training steps, one batch each (of a GAN: discriminator steps).
        compile_args: keyword arguments of `model.compile`; `optimizer` is a dict {"class_name", "config"}, of which every
            player gets a copy, or {player: such a dict}.
        binarization: None, "threshold", "fixed" or "dynamic" (see `tfgen.data.Source.batches`).
        dequantize: whether uniform noise of the width of one level is added.
        augmentation: None, or the settings of random flips, shifts, crops and colours, such as {"flip": True, "shift": 2};
            see `tfgen.data.augmentation`.
        labels_per_class: None, or the number of images of each class whose labels are known: the batches are then
            those of `tfgen.data.semi_supervised`.
        data_options: None, or options of `tfgen.data.load` for `data`, and for other data of its kind, where no others are
            asked for; `size` is then that of `image_shape`.
        own_images: whether it is for images of the user's own, of any size: these are resized to the height and width of
            `image_shape` where no other size is asked for, and `image_shape` becomes theirs, see `for_images`.
        paper: the paper's result, with its metric, or None.
    """

    name: Text
    model: type[TrainableModel]
    model_args: dict
    data: Text
    source: Text
    batch_size: PositiveInt | Sequence[tuple[NaturalInt, PositiveInt]] = 100
    steps: PositiveInt = 10_000
    compile_args: dict = dataclasses.field(default_factory=dict)
    binarization: typing.Literal["threshold", "fixed", "dynamic"] | None = None
    dequantize: bool = False
    augmentation: dict | None = None
    labels_per_class: PositiveInt | None = None
    data_options: dict | None = None
    own_images: bool = False
    paper: str | None = None

    TRAINING_FIELDS: typing.ClassVar[tuple[str, ...]] = (
        "data", "batch_size", "steps", "binarization", "dequantize", "augmentation", "labels_per_class", "ema_decay",
        "ema_start", "accumulate", "jit_compile", "learning_rate",
    )  # fmt: skip

    def override(self, overrides: dict) -> "Preset":
        """This preset with some values replaced by name.

        Args:
            overrides: {name: value}; a constructor argument of the model or one of `TRAINING_FIELDS`. `learning_rate`
                replaces that of every optimiser. A network of your own also removes the preset's settings of the network
                that it replaces.

        Raises:
            ValueError: an unknown name; the message lists the known ones. Or a value that is not of the declared type.
        """
        settings.check_values(_COMPILE_TYPES, overrides)
        args, compile_args, fields = dict(self.model_args), dict(self.compile_args), {}
        arguments = set(self.model.config_parameters()) - {"seed"}
        for name, value in overrides.items():
            if name == "learning_rate":
                if "optimizer" not in compile_args:
                    raise ValueError(f"Preset {self.name!r} has no optimizer of its own, so it takes no learning_rate.")
                spec = compile_args["optimizer"]
                compile_args["optimizer"] = (
                    _with_rate(spec, value) if "class_name" in spec else {n: _with_rate(s, value) for n, s in spec.items()}
                )
            elif name in ("ema_decay", "ema_start", "accumulate", "jit_compile"):
                compile_args[name] = value
            elif name in self.TRAINING_FIELDS:
                fields[name] = value
            elif name in arguments:
                args[name] = value
            else:
                known = sorted({*arguments, *self.TRAINING_FIELDS})
                hint = settings.did_you_mean(name, known)
                raise ValueError(f"Preset {self.name!r} has no setting {name!r}.{hint} It has: {', '.join(known)}.")
        for networks, replaced in self.model.own_networks.items():
            if set(networks) & set(overrides) and all(args.get(name) is not None for name in networks):
                args = {name: value for name, value in args.items() if name not in replaced or name in overrides}
        changed = dataclasses.replace(self, model_args=args, compile_args=compile_args, **fields)
        changed.check()
        return changed

    def check(self) -> None:
        """Raises ValueError if a setting, or a constructor argument of the model, is not of its declared type and range."""
        settings.check(Preset, **{field.name: getattr(self, field.name) for field in dataclasses.fields(self)})
        self.model.check_settings(self.model_args)

    def size(self) -> tuple[int, int] | None:
        """The size to which images are resized where no other is asked for; None: they stay as they are."""
        resized = self.own_images or self.data_options is not None
        return tuple(self.model_args["image_shape"][:2]) if resized else None

    def options_for(self, spec: str) -> dict:
        """The options with which the data set `spec` of `tfgen.data.load` is loaded where no others are asked for."""
        of_kind = self.data_options is not None and spec.partition(":")[0] == self.data.partition(":")[0]
        if not of_kind and not self.own_images:
            return {}
        of_one_size = spec.rpartition(":")[2] in ("digits", "binarized_mnist")  # which have no option `size`
        return {**(self.data_options or {}), **({} if of_one_size else {"size": self.size()})}

    def for_images(self, image_shape: Sequence[int], overrides: dict) -> dict:
        """The overrides with which the preset fits images of this shape: `overrides` themselves but for `own_images`."""
        if not self.own_images or "image_shape" in overrides:
            return overrides
        return {**overrides, "image_shape": tuple(augmented_shape(image_shape, self.augmentation))}

    def build(self, **extra) -> keras.Model:
        """The compiled model. `extra` are further constructor arguments, such as `dtype` and `seed` (of the training noise).

        For the same initial weights in each process call `keras.utils.set_random_seed` before.
        """
        model = self.model(**{**self.model_args, **extra})
        model.compile(**{**self.compile_args, **self._optimizers(model)})
        return model

    def _optimizers(self, model):
        """{"optimizer": {player: spec}}, where schedules of decay_steps=None decay over all updates of the player."""
        if "optimizer" not in self.compile_args:
            return {}
        given, found = self.compile_args["optimizer"], {}
        for player in model.players():
            # A copy: Keras writes into the configs that it reads.
            spec = copy.deepcopy(given if "class_name" in given else given.get(player))
            schedule = spec and spec["config"].get("learning_rate")
            if isinstance(schedule, dict) and schedule["config"].get("decay_steps", 0) is None:
                schedule["config"]["decay_steps"] = max(1, model.updates_of(player, self.steps))
            found[player] = spec
        return {"optimizer": found}

    def config(self) -> dict:
        """The preset as JSON-compatible data."""
        # `own_images` says where image_shape came from; image_shape itself is here. A run knows its data by a fingerprint.
        names = (field.name for field in dataclasses.fields(self) if field.name not in ("own_images", "data_options"))
        return {**{name: getattr(self, name) for name in names}, "model": self.model.__name__}


def _is_schedule(spec):
    spec = copy.deepcopy(spec)
    try:
        if spec["config"].get("decay_steps", 0) is None:
            spec["config"]["decay_steps"] = 1
        return isinstance(keras.saving.deserialize_keras_object(spec), keras.optimizers.schedules.LearningRateSchedule)
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


# The settings of `compile` that `override` takes.
_SCHEDULE = typing.Annotated[dict, "the config of a schedule of Keras", settings.Rule("", _is_schedule)]
_COMPILE_TYPES = {"learning_rate": PositiveFloat | _SCHEDULE, "ema_decay": Rate | None, "ema_start": NaturalInt | None,
                  "accumulate": typing.Annotated[int, settings.at_least(2)] | None, "jit_compile": bool}  # fmt: skip


def _with_rate(spec, learning_rate):
    return {**spec, "config": {**spec["config"], "learning_rate": learning_rate}}


def adam(learning_rate: float | dict, **config) -> dict:
    """Compile arguments: Adam with a rate or one of the schedules below; `config`: arguments of `keras.optimizers.Adam`."""
    return {"optimizer": {"class_name": "Adam", "config": {"learning_rate": learning_rate, **config}}}


def cosine_decay(learning_rate: float, alpha: float = 0.01) -> dict:
    """Learning-rate spec that falls from `learning_rate` to `alpha` times it over all steps of the run."""
    return {
        "module": "keras.optimizers.schedules",
        "class_name": "CosineDecay",
        "config": {"initial_learning_rate": learning_rate, "decay_steps": None, "alpha": alpha},
    }


def linear_decay(learning_rate: float) -> dict:
    """Learning-rate spec that falls from `learning_rate` to 0 in a straight line over all steps of the run."""
    return {
        "module": "keras.optimizers.schedules",
        "class_name": "PolynomialDecay",
        "config": {"initial_learning_rate": learning_rate, "decay_steps": None, "end_learning_rate": 0.0},
    }


def held_decay(learning_rate: float, held: float) -> dict:
    """Learning-rate spec that stays for the fraction `held` of the run, then falls to 0 in a straight line."""
    return keras.saving.serialize_keras_object(HeldDecay(learning_rate, decay_steps=None, held=held))
