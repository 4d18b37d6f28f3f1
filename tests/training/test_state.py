"""State by name: checkpoints that outlive what else was built, and are refused where they do not fit.

    python -m tests.training.test_state     makes the golden checkpoint anew, for a new format
"""

import pathlib
import shutil
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.models import VAE, WGANGP, TrainableModel
from tfgen.training import Checkpoints, Player
from tfgen.training.state import FORMAT, named_optimizer_variables, named_variables

GOLDEN = pathlib.Path(__file__).parent / "golden"


class Small(TrainableModel):
    """Two players, with layers in attributes, a list, a Sequential model; batch norm; a variable of the model itself."""

    def __init__(self, *, image_shape=(2, 2, 1), **kwargs):
        super().__init__(image_shape=image_shape, **kwargs)
        self.encoder = keras.Sequential(
            [keras.layers.Flatten(name="flat"), keras.layers.Dense(3, name="hidden"), keras.layers.Dense(3, name="code")],
            name="encoder",
        )
        self.encoder.build((None, *self.image_shape))
        self.blocks = [keras.layers.Dense(3, name=f"block_{i}") for i in range(2)]
        self.norm = keras.layers.BatchNormalization(name="norm")
        for layer in (*self.blocks, self.norm):
            layer.build((None, 3))
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        self.built = True

    def players(self):
        return {"encoder": Player(self.encoder), "rest": Player((*self.blocks, self.norm))}


class Swapped(Small):
    """The same layers, made in another order."""

    def __init__(self, *, image_shape=(2, 2, 1), **kwargs):
        TrainableModel.__init__(self, image_shape=image_shape, **kwargs)
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        self.norm = keras.layers.BatchNormalization(name="norm")
        self.blocks = [keras.layers.Dense(3, name=f"block_{i}") for i in (1, 0)]
        for layer in (self.norm, *self.blocks):
            layer.build((None, 3))
        self.encoder = keras.Sequential(
            [keras.layers.Flatten(name="flat"), keras.layers.Dense(3, name="hidden"), keras.layers.Dense(3, name="code")],
            name="encoder",
        )
        self.encoder.build((None, *self.image_shape))
        self.built = True


def compiled(cls=Small, optimizer="adam"):
    model = cls()
    model.compile(optimizer, ema_decay=0.9)
    return model


def value_of(key, shape, dtype):
    """A number for every place of every variable, a function of the key and the place alone."""
    first = zlib.crc32(key.encode()) % 1000
    return ((first + np.arange(np.prod(shape, dtype=int))).reshape(shape) / (1 if "int" in dtype else 8)).astype(dtype)


def fill(model):
    for key, variable in model.state().items():
        variable.assign(value_of(key, variable.shape, variable.dtype))


def assert_filled(model):
    for key, variable in model.state().items():
        np.testing.assert_array_equal(variable.numpy(), value_of(key, variable.shape, variable.dtype), err_msg=key)


def build_other_layers():
    for i in range(10):  # what Keras numbers
        keras.layers.Dense(i + 1).build((None, 1))
        keras.layers.BatchNormalization().build((None, 1))
        keras.layers.Conv2D(1, 1).build((None, 1, 1, 1))
        keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)]).build((None, 1))


# ---- names


def test_keys_are_paths():
    found = {key: tuple(v.shape) for key, v in compiled(optimizer="sgd").state().items()}
    weights = {
        "encoder/hidden/kernel": (4, 3), "encoder/hidden/bias": (3,), "encoder/code/kernel": (3, 3),
        "encoder/code/bias": (3,), "blocks/block_0/kernel": (3, 3), "blocks/block_0/bias": (3,),
        "blocks/block_1/kernel": (3, 3), "blocks/block_1/bias": (3,), "norm/gamma": (3,), "norm/beta": (3,),
        "norm/moving_mean": (3,), "norm/moving_variance": (3,),
    }  # fmt: skip
    expected = {f"{group}/{path}": shape for path, shape in weights.items() for group in ("weights", "averages")}
    expected |= {f"weights/{path}": () for path in ("step", "bad_step", "scale")}
    for player in ("encoder", "rest"):
        expected |= {f"optimizers/{player}/{name}": () for name in ("iteration", "learning_rate")}
        expected[f"averages/updates/{player}"] = ()
    assert found == expected


def test_slots_of_optimizers_are_named_after_their_variables():
    model = compiled()
    state = {key: tuple(v.shape) for key, v in model.state().items() if key.startswith("optimizers/rest/")}
    trained = [(p, v) for p, v in named_variables(model).items() if p.startswith(("blocks/", "norm/")) and v.trainable]
    slots = {f"optimizers/rest/{slot}/{p}": tuple(v.shape) for slot in ("momentum", "velocity") for p, v in trained}
    assert len(slots) == 12
    assert state == {**slots, "optimizers/rest/iteration": (), "optimizers/rest/learning_rate": ()}


def test_slots_of_variables_with_one_path_are_told_apart():
    """Keras' path of a variable depends on where its layer was built; here two are equal, and one begins like another."""
    one, two, three = (keras.Variable(np.zeros(2, "float32"), name=name) for name in ("k", "k", "k_k"))
    optimizer = keras.optimizers.SGD(1.0, momentum=0.5)
    optimizer.build([one, two, three])
    named = named_optimizer_variables(optimizer, {"a/k": one, "b/k": two, "c/k_k": three})
    optimizer.apply_gradients([(tf.fill([2], 1.0), one), (tf.fill([2], 2.0), two), (tf.fill([2], 3.0), three)])
    assert sorted(named) == ["iteration", "learning_rate", "momentum/a/k", "momentum/b/k", "momentum/c/k_k"]
    assert [float(named[f"momentum/{path}"][0]) for path in ("a/k", "b/k", "c/k_k")] == [-1.0, -2.0, -3.0]


def test_an_optimizer_that_scales_losses_keeps_the_names_of_the_one_inside():
    model = Small(dtype="mixed_float16")
    model.compile("adam", ema_decay=0.9)
    plain, scaled = set(compiled().state()), set(model.state())
    own = {"iteration", "learning_rate", "step_counter", "dynamic_scale"}
    assert plain < scaled
    assert scaled - plain == {f"optimizers/{player}/loss_scale/{name}" for player in model.players() for name in own}


def test_an_export_and_keras_files_leave_the_names(tmp_path):
    """TensorFlow and Keras keep books of their own in the attributes of a model."""
    model = VAE(image_shape=(8, 8, 1), latent_dim=2, hidden=(4,))
    model.compile(ema_decay=0.9)
    before = list(model.state())
    assert not [key for key in before if "/_" in key]
    model.fit(tf.data.Dataset.from_tensors(np.zeros([2, 8, 8, 1], "float32")), verbose=0)
    tfgen.export.export_saved_model(model, tmp_path / "exported", warmup=False)
    model.save(tmp_path / "model.keras")
    tf.train.Checkpoint(model=model).save(tmp_path / "tensorflow")
    assert list(model.state()) == before


def test_two_variables_of_one_name_are_refused():
    class Twins(Small):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.more = [keras.layers.Dense(3, name="twin"), keras.layers.Dense(3, name="twin")]
            for layer in self.more:
                layer.build((None, 3))

    with pytest.raises(ValueError, match="Two variables are called 'more/twin/kernel'.*different names"):
        Twins().state()


def test_a_variable_that_no_attribute_leads_to_is_an_error():
    model = Small()
    lost = keras.layers.Dense(3)
    lost.build((None, 3))
    model._layers.append(lost)
    with pytest.raises(ValueError, match="No attribute .* leads to its variables .*kernel"):
        model.state()


# ---- checkpoints


def test_other_layers_built_before_change_nothing(tmp_path):
    model = compiled()
    fill(model)
    Checkpoints(model, tmp_path).save()
    build_other_layers()
    twin = compiled()
    Checkpoints(twin, tmp_path).restore()
    assert_filled(twin)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: VAE(image_shape=(8, 8, 1), latent_dim=2, hidden=(4,)), id="vae"),
        pytest.param(
            lambda: WGANGP(image_shape=(8, 8, 1), latent_dim=2, width=4, network_args={"stages": 1}), id="wgan-gp"
        ),
    ],
)  # fmt: skip
def test_models_of_papers_are_restored_among_other_layers(make, tmp_path):
    model = make()
    model.compile(ema_decay=0.9)
    fill(model)
    Checkpoints(model, tmp_path).save()
    build_other_layers()
    twin = make()
    twin.compile(ema_decay=0.9)
    Checkpoints(twin, tmp_path).restore()
    assert_filled(twin)


def test_layers_of_equal_shape_that_are_made_in_another_order_are_loaded_by_name(tmp_path):
    model = compiled()
    fill(model)
    Checkpoints(model, tmp_path).save()
    assert [v.path for v in Swapped().variables] != [v.path for v in Small().variables]
    twin = compiled(Swapped)
    Checkpoints(twin, tmp_path).restore()
    assert_filled(twin)


def test_names_may_have_dots(tmp_path):
    """TensorFlow writes dots and slashes of names in another way."""

    class Dotted(Small):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.mean = self.add_weight(name="mean.S.of..all", shape=(2,), initializer="zeros")

    model = compiled(Dotted)
    fill(model)
    assert "weights/mean.S.of..all" in model.state()
    Checkpoints(model, tmp_path).save()
    twin = compiled(Dotted)
    Checkpoints(twin, tmp_path).restore()
    assert_filled(twin)
    with pytest.raises(ValueError, match=r"1 of its values are unknown to this model, such as weights/mean\.S\.of\.\.all "):
        Checkpoints(compiled(), tmp_path).restore()


def test_the_golden_checkpoint_is_restored(tmp_path):
    """It was written once; what this code reads from it must stay what it was."""
    folder = tmp_path / "golden"
    shutil.copytree(GOLDEN, folder)
    build_other_layers()
    model = compiled()
    assert Checkpoints(model, folder).restore() == value_of("weights/step", (), "int64")
    assert_filled(model)


def test_a_checkpoint_with_numbered_variables_is_refused(tmp_path):
    model = compiled()
    numbered = {f"model/{i}": v.value for i, v in enumerate(model.variables)}
    numbered |= {f"optimizer_0/{i}": v.value for i, v in enumerate(model.optimizer.variables)}
    old = tf.train.CheckpointManager(tf.train.Checkpoint(variables=numbered), str(tmp_path), max_to_keep=1)
    old.save(checkpoint_number=7)
    before = {key: v.numpy() for key, v in model.state().items()}
    with pytest.raises(ValueError, match=rf"ckpt-7 has the format 1 .*numbered.* reads the format {FORMAT}"):
        Checkpoints(model, tmp_path).restore()
    for key, v in model.state().items():
        np.testing.assert_array_equal(v, before[key])


def test_a_checkpoint_of_a_later_format_is_refused(tmp_path, monkeypatch):
    model = compiled()
    monkeypatch.setattr("tfgen.training.checkpoint.FORMAT", FORMAT + 1)
    Checkpoints(model, tmp_path).save()
    monkeypatch.undo()
    with pytest.raises(ValueError, match=rf"has the format {FORMAT + 1} .*newer.* reads the format {FORMAT}"):
        Checkpoints(model, tmp_path).restore()


def test_a_checkpoint_without_averages_names_them(tmp_path):
    model = Small()
    model.compile("adam")
    Checkpoints(model, tmp_path).save()
    with pytest.raises(ValueError, match="another model: averages/"):
        Checkpoints(compiled(), tmp_path).restore()


if __name__ == "__main__":
    made = compiled()
    fill(made)
    shutil.rmtree(GOLDEN, ignore_errors=True)
    Checkpoints(made, GOLDEN).save()
