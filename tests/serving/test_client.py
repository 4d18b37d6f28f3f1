"""The client against the compatible server, and against stubs that fail in chosen ways."""

import concurrent.futures
import contextlib
import http.server
import json
import subprocess
import sys
import threading
import time

import grpc
import httpx
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

from tfgen import fields
from tfgen.export import export_saved_model
from tfgen.features.text import CharacterEncoder, character_network
from tfgen.models import (
    DCGAN,
    DRAW,
    TVSN,
    VAE,
    BigGAN,
    GatedPixelCNN,
    GlimpseClassifier,
    InfoGAN,
    StackGANv2,
    StyleGAN,
    TrainableModel,
    Vid2Vid,
)
from tfgen.models.capabilities import Maximizer, Projector, Translator
from tfgen.sampling import latent_path
from tfgen_serving.client import Client, ServingError
from tfgen_serving.server import main as server_main

Code = grpc.StatusCode
SEEDS = [5, 0, -3, 2**40]


# ---- against `tfgen serve`


class Painter(Translator, TrainableModel):
    """Adds a colour to a picture, and back."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.built = True

    def translated_fields(self):
        return fields.image(self.image_shape), fields.vector("colour", 1)

    def translate_rows(self, image, colour):
        return {"image": image + colour[:, None, None]}

    def signatures(self):
        found = super().signatures()
        back = lambda image, colour: self.translate_rows(image, -colour)  # noqa: E731
        return {**found, "translate_back": (back, found["translate"][1])}


class Selector(Translator, TrainableModel):
    """Keeps the pixels of a picture whose number is that of the row; the numbers are integers for each pixel."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.built = True

    def translated_fields(self):
        numbers = fields.Field("numbers", self.image_shape[:2], "int32", low=0, high=2**31 - 2)
        return fields.image(self.image_shape), numbers, fields.Field("wanted", (), "int32")

    def translate_rows(self, image, numbers, wanted):
        return {"image": tf.where((numbers == wanted[:, None, None])[..., None], image, 0.0)}


class Plain(Projector, Maximizer, TrainableModel):
    """Pictures of one shade: the code of an image is its mean, and the shade of a unit grows with the steps."""

    latent_dim, num_units = 1, 3

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.built = True

    def decode_images(self, latents):
        return tf.tile(latents[:, None, None], [1, *self.image_shape])

    def invert(self, images):
        return tf.reduce_mean(images, axis=[1, 2])

    def maximize_rows(self, seeds, unit, steps):
        shade = tf.cast(100 * unit + steps, tf.float32) / 1000.0
        return {"image": self.decode_images(shade[:, None]), "activation": shade + tf.cast(seeds, tf.float32)}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """{name: (base path, signatures)}: a VAE with two versions, and a model of each kind."""
    root = tmp_path_factory.mktemp("models")
    vae = VAE(image_shape=(8, 8, 1), latent_dim=3, hidden=(8,))
    gan = DCGAN(image_shape=(8, 8, 3), latent_dim=4, width=4, stages=1, num_classes=3)
    pixels = GatedPixelCNN(image_shape=(6, 5, 1), levels=4, num_classes=3, width=4, depth=1, first_kernel_size=3)
    codes = InfoGAN(image_shape=(8, 8, 1), categorical=(3,), continuous=1, noise_dim=2, width=4,
                    network_args={"stages": 2, "dense_width": 8})  # fmt: skip
    draw = DRAW(image_shape=(8, 8, 1), glimpses=3, hidden=6, z_size=2, read_size=2, write_size=2)
    for model in (vae, gan):
        model.compile()
    export_saved_model(vae, root / "vae", version=3, warmup=False)
    for variable in vae.trainable_variables:
        variable.assign(1.5 * tf.convert_to_tensor(variable.value))
    paths = {"vae": export_saved_model(vae, root / "vae", version=7, warmup=False)}
    paths["gan"] = export_saved_model(gan, root / "gan", class_names=["ant", "bee", "cat"], warmup=False)
    classifier = GlimpseClassifier(image_shape=(8, 8, 1), num_classes=3, glimpses=1, hidden=4, read_size=2)
    embedded = GatedPixelCNN(image_shape=(4, 4, 1), levels=4, width=4, depth=1, first_kernel_size=3, embedding_dim=2)
    others = {"codes": codes, "pixels": pixels, "draw": draw, "classifier": classifier, "embedded": embedded}
    others["big"] = BigGAN(image_shape=(8, 8, 1), width=2, num_classes=3, shared_dim=2, latent_dim=4)
    others["style"] = StyleGAN(image_shape=(8, 8, 1), latent_dim=3, w_size=4, mapping_depth=2, max_filters=4, num_classes=3)
    others["style"].mean_w.value.assign([1.0, -1.0, 0.5, 2.0])
    others["style"].generator.styled[1].noise_weight.assign(np.ones(4))
    others |= {"painter": Painter(image_shape=(4, 4, 1)), "plain": Plain(image_shape=(4, 4, 1))}
    others["selector"] = Selector(image_shape=(4, 4, 1))
    others["clips"] = Vid2Vid(
        image_shape=(4, 4, 3), num_frames=4, map_classes=2, width=2, halvings=1, blocks=0, temporal_scales=0,
        discriminator_width=2, discriminator_halvings=1, discriminator_scales=1,
    )  # fmt: skip
    others["views"] = TVSN(image_shape=(8, 8, 1), view_size=3, filters=(2, 2), dense_width=4, view_widths=(2,), flow_steps=0,
                           completion_view_width=2, discriminator_filters=(2,))  # fmt: skip
    others["texts"] = StackGANv2(image_shape=(4, 4, 1), embedding_dim=3, width=2, ups=0, branches=1, blocks=0, noise_dim=2,
                                 condition_dim=2, discriminator_width=2)  # fmt: skip
    others["texts"].text_encoder = CharacterEncoder(character_network(3, width=4, length=12))
    for name, model in others.items():
        model.compile()
        paths[name] = export_saved_model(model, root / name, warmup=False)
    return {name: (path.parent, tf.saved_model.load(str(path)).signatures) for name, path in paths.items()}


@pytest.fixture(scope="module")
def targets(loaded, tmp_path_factory):
    config = tmp_path_factory.mktemp("config") / "models.config"
    entries = "".join(
        f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" '
        + ("model_version_policy { all {} } " + 'version_labels { key: "stable" value: 3 }' if name == "vae" else "")
        + " }\n"
        for name, (path, _) in loaded.items()
    )
    config.write_text(f"model_config_list {{ {entries} }}")
    arguments = [f"--model_config_file={config}", "--port=0", "--rest_api_port=0"]
    with server_main.start([*arguments, "--allow_version_labels_for_unavailable_models"]) as server:
        target = f"127.0.0.1:{server.grpc_port}"
        with Client(target, "vae", version=7) as newest:  # the ports are open as soon as any version serves
            newest.wait_until_ready(60.0)
        yield {"grpc": target, "rest": f"http://127.0.0.1:{server.rest_port}"}


@pytest.fixture(params=["grpc", "rest"])
def connect(request, targets):
    with contextlib.ExitStack() as stack:
        yield lambda model, **options: stack.enter_context(Client(targets[request.param], model, **options))


def test_samples_are_those_of_the_saved_model(connect, loaded):
    seeds = tf.constant(SEEDS, tf.int64)
    got = connect("vae").sample(SEEDS)
    assert got.dtype == np.float32 and got.shape == (4, 8, 8, 1)
    np.testing.assert_array_equal(got, loaded["vae"][1]["sample"](seeds=seeds)["image"])
    labels = [0, 2, 1, 1]
    expected = loaded["gan"][1]["sample"](seeds=seeds, labels=tf.constant(labels))["image"]
    np.testing.assert_array_equal(connect("gan").sample(np.array(SEEDS), labels=labels), expected)


def test_png(connect):
    client = connect("vae")
    pictures = [tf.io.decode_png(png).numpy() for png in client.sample_png(SEEDS)]
    np.testing.assert_array_equal(np.stack(pictures), np.round(client.sample(SEEDS) * 255).astype("uint8"))


def test_images_in(connect, loaded):
    client, images = connect("vae"), np.random.default_rng(0).integers(0, 2, [3, 8, 8, 1]).astype("float32")
    signatures, image = loaded["vae"][1], tf.constant(images)
    np.testing.assert_array_equal(client.encode(images), signatures["encode"](image=image)["latent"])
    np.testing.assert_array_equal(client.reconstruct(images), signatures["reconstruct"](image=image)["image"])
    np.testing.assert_array_equal(client.log_prob(images.astype("float64")), signatures["log_prob"](image=image)["log_prob"])
    np.testing.assert_array_equal(client.decode(client.latents(SEEDS)), client.sample(SEEDS))


def test_autoregressive_calls(connect, loaded):
    client, signatures = connect("pixels"), loaded["pixels"][1]
    rng = np.random.default_rng(0)
    images, labels, seeds = (rng.integers(0, 4, (2, 6, 5, 1)) / 3.0).astype("float32"), [0, 2], [5, 6]
    inputs = {"labels": tf.constant(labels), "image": tf.constant(images)}
    np.testing.assert_array_equal(client.log_prob(images, labels), signatures["log_prob"](**inputs)["log_prob"])
    mask = np.arange(6)[:, None] < np.full(5, 3)
    got = client.complete(images, mask, seeds, labels)
    known = tf.constant(np.broadcast_to(mask, (2, 6, 5)).astype("float32"))
    expected = signatures["complete"](seeds=tf.constant(seeds, tf.int64), mask=known, **inputs)["image"]
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(got[:, mask], images[:, mask])
    with pytest.raises(ValueError, match=r"mask must be bool \[6, 5\]"):
        client.complete(images, mask.T, seeds, labels)
    with pytest.raises(ValueError, match="the same number of rows, one for each image; received"):
        client.complete(images, mask, [1], labels)


def test_codes_of_each_row(connect, loaded):
    client, signatures = connect("codes"), loaded["codes"][1]
    codes = np.array([[0, 0.5], [2, -1.0]], "float32")
    expected = signatures["sample_codes"](seeds=tf.constant([3, 4], tf.int64), codes=tf.constant(codes))["image"]
    np.testing.assert_array_equal(client.sample([3, 4], codes=codes), expected)
    with pytest.raises(ValueError, match="codes must have one row for each seed"):
        client.sample([3], codes=codes)
    with pytest.raises(ServingError, match="categorical code 0 must be whole"):
        client.sample([3, 4], codes=codes + 0.5)


def test_truncation_of_each_row_or_of_all(connect, loaded):
    client, signatures = connect("big"), loaded["big"][1]
    inputs = {"seeds": tf.constant([3, 4], tf.int64), "labels": tf.constant([0, 2])}
    expected = signatures["sample_truncated"](**inputs, truncation=tf.constant([0.5, 0.5]))["image"]
    for given in (0.5, [0.5, 0.5]):
        np.testing.assert_array_equal(client.sample([3, 4], [0, 2], truncation=given), expected)
    assert np.any(client.sample([3, 4], [0, 2]) != expected)
    client.sample([3, 4], [0, 2], truncation=1)
    for wrong, what in ((0, "above 0"), (-1.0, "above 0"), (np.nan, "finite"), ("a", "float"), ([0.5], "number of rows")):
        with pytest.raises(ValueError, match=what):
            client.sample([3, 4], [0, 2], truncation=wrong)


def test_styles(connect, loaded):
    client, signatures, labels = connect("style"), loaded["style"][1], np.array([0, 2])
    latents = client.latents([3, 4])
    w = client.map([3, 4], labels)
    assert w.shape == (2, 4, 4)
    np.testing.assert_array_equal(client.map(latents=latents, labels=labels), w)
    images = client.synthesize(w)
    np.testing.assert_allclose(images, client.sample([3, 4], labels), atol=1e-5)
    expected = signatures["synthesize"](w=tf.constant(w), seeds=tf.constant([5, 6], tf.int64))["image"]
    np.testing.assert_array_equal(client.synthesize(w, [5, 6]), expected)
    assert np.any(expected != images)
    mean = np.broadcast_to(np.float32([1.0, -1.0, 0.5, 2.0]), w.shape)
    for psi in (0.0, -1.0, [0.5, -2]):
        scaled = mean + np.reshape(np.broadcast_to(np.float32(psi), [2]), [2, 1, 1]) * (w - mean)
        np.testing.assert_allclose(client.map([3, 4], labels, truncation=psi), scaled, atol=1e-5)
        np.testing.assert_allclose(client.sample([3, 4], labels, truncation=psi), client.synthesize(scaled), atol=1e-5)
    by_hand = np.concatenate([w[::-1, :2], w[:, 2:]], axis=1)
    np.testing.assert_allclose(client.mix(w, w[::-1], range(2)), client.synthesize(by_hand), atol=1e-5)
    np.testing.assert_array_equal(client.mix(w, w[::-1], []), images)


def test_wrong_styles(connect):
    client, w = connect("style"), np.zeros((2, 4, 4), np.float32)
    for call, what in (
        (lambda: client.map([3], [0], truncation=np.nan), "truncation must be finite"),
        (lambda: client.map([3], [0], truncation="0.5"), "truncation must be float"),
        (lambda: client.map(), "map needs seeds or latents"), (lambda: client.map([3], [0], latents=w[0]), "not both"),
        (lambda: client.map([3, 4], [0]), "number of rows"),
        (lambda: client.synthesize(w[0]), r"w must be float \[n, layers, W\]; received float32 of shape \(4, 4\)"),
        (lambda: client.synthesize(np.full_like(w, np.nan)), "w must be finite"),
        (lambda: client.synthesize(w, [1]), "number of rows"), (lambda: client.synthesize(w, [0.5, 1.0]), "seeds must be"),
        (lambda: client.mix(w, w, [4]), r"layers must be a list of whole numbers in \[0, 4\); received \[4\]"),
        (lambda: client.mix(w, w, [-1]), "layers"), (lambda: client.mix(w, w, [0.5]), "layers"),
        (lambda: client.mix(w, w[:1], [1]), "number of rows"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=what):
            call()
    for call, what in (
        (lambda: client.synthesize(w[:, :3]), r"w must be float32 \[n, 4, 4\]; received float32 \[2, 3, 4\]"),
        (lambda: client.map(latents=w[:, 0], labels=[0, 1]), r"latent must be float32 \[n, 3\]"),
        (lambda: client.map([3], [7]), "labels must lie in"),
        (lambda: client.predict("mix", {"w_a": w, "w_b": w, "layers": np.full((2, 4), 2)}, ["image"]), "layers must lie in"),
        (lambda: client.predict("mix", {"w_a": w, "w_b": w, "layers": np.zeros((2, 5), int)}, ["image"]),
         r"layers must be int32 \[n, 4\]"),
        (lambda: client.predict("map", {"latent": w[:, 0, :3], "truncation": [np.nan, 1.0], "labels": [0, 1]}, ["w"]),
         "truncation must be finite"),
        (lambda: client.predict("synthesize", {"w": w + np.nan, "seeds": [0, 1]}, ["image"]), "w must be finite"),
    ):  # fmt: skip
        with pytest.raises(ServingError, match=what) as caught:
            call()
        assert caught.value.code is Code.INVALID_ARGUMENT


def test_conditions_by_the_names_of_their_fields(connect, loaded):
    client, signatures = connect("embedded"), loaded["embedded"][1]
    embedding = np.array([[1.0, -2.0], [0.5, 3.0]], "float32")
    inputs = {"seeds": tf.constant([3, 4], tf.int64), "embedding": tf.constant(embedding)}
    images = client.sample([3, 4], embedding=embedding)
    np.testing.assert_array_equal(images, signatures["sample"](**inputs)["image"])
    expected = signatures["log_prob"](image=tf.constant(images), embedding=inputs["embedding"])["log_prob"]
    np.testing.assert_allclose(client.log_prob(images, embedding=embedding.astype("float64")), expected, rtol=1e-6)
    mask = np.ones((4, 4), bool)
    np.testing.assert_array_equal(client.complete(images, mask, [1, 2], embedding=embedding), images)
    path = client.interpolate(3, 4, steps=3, embedding=embedding[0])
    np.testing.assert_allclose(path[0], client.sample([3], embedding=embedding[:1])[0], atol=1e-6)
    with pytest.raises(ValueError, match="the same number of rows, one for each image; received .*'embedding': 1"):
        client.sample([3, 4], embedding=embedding[:1])
    with pytest.raises(ServingError, match="embedding"):
        client.sample([3, 4])


def test_sentences(connect, loaded):
    client, signatures, text = connect("texts"), loaded["texts"][1], ["a RED seven", "one"]
    seeds = tf.constant([3, 4], tf.int64)
    images = client.sample([3, 4], text=text)
    np.testing.assert_array_equal(images, signatures["sample_text"](seeds=seeds, text=tf.constant(text))["image"])
    assert np.any(images != client.sample([3, 4], text=text[::-1]))
    np.testing.assert_array_equal(client.sample(np.array([3, 4]), text=np.array(text)), images)
    assert client.signatures()["sample_text"]["inputs"]["text"] == {"dtype": "string", "shape": [None]}
    for given, what in (
        ({"text": "one"}, "text must be a list of at least one text; received 'one'"), ({"text": []}, "at least one text"),
        ({"text": [1, 2]}, "at least one text"), ({"text": ["one"]}, "the same number of rows, one for each image"),
        ({"text": text, "truncation": 0.5}, "together with codes or truncation"),
        ({"text": text, "codes": [[1.0], [2.0]]}, "together with codes or truncation"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=what):
            client.sample([3, 4], **given)
    for given, code, what in (
        ({"text": ["one", "more than twelve"]}, Code.INVALID_ARGUMENT, "1 to 12 ASCII characters; .*more than twelve"),
        ({"text": ["", "one"]}, Code.INVALID_ARGUMENT, "1 to 12 ASCII characters"),
        ({"text": ["one", "\u00e9"]}, Code.INVALID_ARGUMENT, "1 to 12 ASCII characters; received .*\u00e9"),
        ({"text": text, "embedding": np.zeros((2, 3))}, Code.INVALID_ARGUMENT, "takes seeds int64 .* text string"),
    ):
        with pytest.raises(ServingError, match=what) as caught:
            client.sample([3, 4], **given)
        assert caught.value.code == code
    with pytest.raises(ServingError, match="no signature 'sample_text'") as caught:
        connect("embedded").sample([3, 4], text=text)
    assert caught.value.code == Code.UNIMPLEMENTED


def test_sentences_in_plain_json(targets, loaded):
    def post(text):
        body = {"signature_name": "sample_text", "instances": [{"seeds": 3, "text": text}, {"seeds": 4, "text": "one"}]}
        reply = httpx.post(f"{targets['rest']}/v1/models/texts:predict", json=body)
        return reply.status_code, reply.json()

    status, reply = post("a red seven")
    given = {"seeds": tf.constant([3, 4], tf.int64), "text": tf.constant(["a red seven", "one"])}
    assert status == 200
    np.testing.assert_allclose(reply["predictions"], loaded["texts"][1]["sample_text"](**given)["image"], atol=1e-6)
    for wrong in ("", "more than twelve", "\u00e9", "a\0"):
        status, reply = post(wrong)
        assert status == 400 and "text must be sentences of 1 to 12 ASCII characters" in reply["error"]
    status, reply = post({"b64": "/w=="})  # no UTF-8
    assert status == 400 and "text must be sentences of 1 to 12 ASCII characters" in reply["error"]


def test_classes_and_translations(connect, loaded):
    images = np.random.default_rng(0).random((3, 8, 8, 1)).astype("float32")
    expected = loaded["classifier"][1]["classify"](image=tf.constant(images))["probability"]
    np.testing.assert_allclose(connect("classifier").classify(images), expected, rtol=1e-6)
    colour = np.array([[0.25], [0.5], [0.0]], "float32")
    got = connect("painter").translate(images[:, :4, :4], colour=colour)
    np.testing.assert_array_equal(got, images[:, :4, :4] + colour[:, None, None])
    np.testing.assert_allclose(connect("painter").translate(got, colour=colour, back=True), images[:, :4, :4], atol=1e-6)
    with pytest.raises(ValueError, match="needs images, or the fields"):
        connect("painter").translate()


def test_new_views(connect, loaded):
    images, view = np.random.default_rng(0).random((3, 8, 8, 1)).astype("float32"), np.eye(3, dtype="float32")
    expected = loaded["views"][1]["translate"](image=tf.constant(images), view=tf.constant(view))
    for output in ("image", "warped", "mask"):
        got = connect("views").translate(images, view=view, output=output)
        np.testing.assert_allclose(got, expected[output], atol=1e-6)
    with pytest.raises(ServingError, match=r"view must lie in \[-1, 1\]"):
        connect("views").translate(images, view=45 * view)


def test_integers_for_each_pixel(connect):
    """Integers of any rank are sent as int32."""
    rng, client = np.random.default_rng(0), connect("selector")
    images, numbers = rng.random((3, 4, 4, 1)).astype("float32"), rng.integers(0, 3, (3, 4, 4)) + 2**30
    got = client.translate(images, numbers=numbers, wanted=2**30 + np.arange(3))
    np.testing.assert_array_equal(got, images * (numbers == 2**30 + np.arange(3)[:, None, None])[..., None])
    with pytest.raises(ValueError, match=r"numbers must fit int32; received up to 4294967296"):
        client.translate(images, numbers=0 * numbers + 2**32, wanted=[0, 1, 2])
    with pytest.raises(ValueError, match=r"labels must be a list of .* received int64 of shape \(3, 4, 4\)"):
        client.translate(images, labels=numbers)


def test_clips_frame_by_frame(connect, loaded):
    """The state comes back with each frame; the clip is that of `translate`."""
    rng, client = np.random.default_rng(0), connect("clips")
    maps = {"label_map": np.eye(2, dtype="float32")[rng.integers(0, 2, (3, 4, 4, 4))],
            "edges": rng.integers(0, 2, (3, 4, 4, 4)).astype("float32")}  # fmt: skip
    start = rng.random((3, 2, 4, 4, 3)).astype("float32")
    whole = client.translate(**maps, start=start, output="frames")
    served = loaded["clips"][1]["translate"](**{k: tf.constant(v) for k, v in {**maps, "start": start}.items()})
    np.testing.assert_allclose(whole, served["frames"], atol=1e-6)
    state = client.start_clip(start, **{name: value[:, :2] for name, value in maps.items()})
    for t in (2, 3):
        image, state = client.next_frame(state, **{name: value[:, t] for name, value in maps.items()})
        np.testing.assert_allclose(image, whole[:, t], atol=1e-5)
    one = {name: value[:, 0] for name, value in maps.items()}
    empty = client.next_frame(**one)
    for found, same in zip(empty, client.next_frame(np.zeros_like(state), **one), strict=True):
        np.testing.assert_array_equal(found, same)
    with pytest.raises(ValueError, match="next_frame needs images, or the fields"):
        client.next_frame(state)
    with pytest.raises(ValueError, match="the same number of rows"):
        client.next_frame(state[:2], **one)
    message = r"state must be float32 \[n, 2, 4, 4, 7\]; received float32 \[3, 1, 4, 4, 7\]"
    with pytest.raises(ServingError, match=message) as caught:
        client.next_frame(state[:, :1], **one)
    assert caught.value.code is Code.INVALID_ARGUMENT
    with pytest.raises(ServingError, match="next_frame.* takes edges .*; received label_map, state"):
        client.next_frame(state, label_map=one["label_map"])


def test_projections_edits_and_maximised_units(connect):
    client, images = connect("plain", batch_size=2), np.random.default_rng(0).random((3, 4, 4, 1)).astype("float32")
    latents, projected = client.project(images)
    np.testing.assert_allclose(latents, images.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(projected, np.broadcast_to(latents[:, None, None], images.shape), rtol=1e-6)
    edited = client.edit(images, direction=np.full([3, 1], 0.25), amount=np.array([0.0, 1.0, -2.0]))
    np.testing.assert_allclose(edited[:, 0, 0], latents + np.array([[0.0], [0.25], [-0.5]]), atol=1e-6)
    np.testing.assert_allclose(client.maximize([0, 2], [7, 8], 50)[:, 0, 0, 0], [0.05, 0.25], rtol=1e-6)
    np.testing.assert_allclose(client.maximize([0, 2], [7, 8], [0, 1])[:, 0, 0, 0], [0.0, 0.201], rtol=1e-6)
    with pytest.raises(ServingError, match="unit must lie in") as caught:
        client.maximize([3], [0], 1)
    assert "\n" not in caught.value.message and "node" not in caught.value.message
    with pytest.raises(ServingError, match="steps must lie in"):
        client.maximize([0], [0], 1001)
    with pytest.raises(ValueError, match="the same number of rows, one for each image"):
        client.maximize([0, 1], [0], 1)


def test_an_unsupported_call_names_the_signatures(connect):
    images = np.zeros([1, 8, 8, 1])
    calls = {
        "classify": lambda client: client.classify(images),
        "translate": lambda client: client.translate(images),
        "translate_back": lambda client: client.translate(images, back=True),
        "next_frame": lambda client: client.next_frame(images=images),
        "start_state": lambda client: client.start_clip(images[None]),
        "project": lambda client: client.project(images),
        "maximize": lambda client: client.maximize([0], [1], 1),
        "complete": lambda client: client.complete(images, np.ones((8, 8), bool), [1]),
        "sample_codes": lambda client: client.sample([1], codes=[[0.5]]),
        "sample_truncated": lambda client: client.sample([1], truncation=0.5),
        "map": lambda client: client.map([1]),
        "synthesize": lambda client: client.synthesize(np.zeros([1, 2, 3])),
        "mix": lambda client: client.mix(np.zeros([1, 2, 3]), np.zeros([1, 2, 3]), [1]),
    }
    for name, call in calls.items():
        match = f"'vae' has no signature '{name}'; it has card, decode, elbo, encode"
        with pytest.raises(ServingError, match=match) as caught:
            call(connect("vae"))
        assert caught.value.code is Code.UNIMPLEMENTED
    calls = {
        "sample": lambda client: client.sample([1]),
        "log_prob": lambda client: client.log_prob(images),
        "encode": lambda client: client.encode(images),
        "reconstruct": lambda client: client.reconstruct(images),
        "latents', 'decode": lambda client: client.interpolate(1, 2),
    }
    for name, call in calls.items():
        with pytest.raises(ServingError, match=f"has no signature '{name}'; it has card, classify, serve_examples"):
            call(connect("classifier"))
    assert list(connect("classifier").signatures()) == ["card", "classify", "serve_examples"]


def test_any_signature_with_several_outputs(connect, loaded):
    client, signature = connect("draw", batch_size=2), loaded["draw"][1]["canvases"]
    seeds = np.arange(3)
    canvas, boxes = client.predict("canvases", {"seeds": seeds}, ["canvas", "boxes"])
    expected = signature(seeds=tf.constant(seeds, tf.int64))
    assert canvas.shape == (3, 3, 8, 8, 1) and boxes.shape == (3, 3, 5)
    np.testing.assert_allclose(canvas, expected["canvas"], atol=1e-6)
    np.testing.assert_allclose(boxes, expected["boxes"], rtol=1e-5, atol=1e-6)
    (alone,) = client.predict("canvases", {"seeds": seeds}, ["canvas"])
    np.testing.assert_array_equal(alone, canvas)
    (image,) = client.predict("sample", {"seeds": seeds}, ["image"])
    np.testing.assert_array_equal(image, client.sample(seeds))
    with pytest.raises(ServingError, match="size"):
        client.predict("canvases", {"seeds": seeds}, ["canvas", "size"])
    with pytest.raises(ServingError, match="magic"):
        client.predict("magic", {"seeds": seeds}, ["canvas"])


REFUSED = {
    "labels of a model that takes none": (lambda c: c.sample([1], labels=[2]),
        "signature 'sample' of 'vae', version 7, takes seeds int64 [n]; received labels, seeds"),
    "a misspelt input": (lambda c: c.predict("sample", {"seed": [1]}, ["image"]), "takes seeds int64 [n]; received seed"),
    "a misspelt output of one": (lambda c: c.predict("sample", {"seeds": [1]}, ["imag"]), "no output 'imag'; it has image"),
    "a misspelt output": (lambda c: c.predict("encode", {"image": np.zeros((1, 8, 8, 1))}, ["latent", "mean"]),
        "no output 'mean'; it has latent, latent_stddev"),
    "an output twice": (lambda c: c.predict("sample", {"seeds": [1]}, ["image", "image"]), "must be different names"),
    "another size": (lambda c: c.encode(np.zeros((3, 4, 4, 1))),
        "version 7: image must be float32 [n, 8, 8, 1]; received float32 [3, 4, 4, 1]"),
    "another rank": (lambda c: c.predict("sample", {"seeds": [[1]]}, ["image"]),
        "seeds must be int64 [n]; received int64 [1, 1]"),
    "a fraction": (lambda c: c.predict("sample", {"seeds": [0.5]}, ["image"]),
        "seeds must be int64 [n]; received float64 [1]"),
    "text": (lambda c: c.predict("sample", {"seeds": ["1"]}, ["image"]), "seeds must be int64 [n]; received string [1]"),
    "a number for text": (lambda c: c.predict("serve_examples", {"examples": [1]}, ["image"]),
        "examples must be string [n]; received int64 [1]"),
    "too large an integer": (lambda c: c.predict("sample", {"seeds": np.array([2**63], np.uint64)}, ["image"]),
        "seeds must be int64 [n]; received values that int64 cannot hold"),
    "too large a float": (lambda c: c.predict("decode", {"latent": [[1e39, 0.0, 0.0]]}, ["image"]),
        "latent must be float32 [n, 3]; received values that float32 cannot hold"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_requests_that_the_signatures_refuse(name, connect):
    call, message = REFUSED[name]
    with pytest.raises(ServingError) as caught:
        call(connect("vae"))
    assert caught.value.code is Code.INVALID_ARGUMENT and message in caught.value.message, caught.value


def test_arrays_become_those_of_the_signature(connect, loaded):
    client = connect("vae")
    signatures = loaded["vae"][1]
    (image,) = client.predict("decode", {"latent": [[1, 2, 3]]}, ["image"])  # whole numbers
    np.testing.assert_array_equal(image, signatures["decode"](latent=tf.constant([[1.0, 2.0, 3.0]]))["image"])
    with pytest.raises(ServingError, match="latents must be finite"):  # NaN and infinity arrive as such
        client.predict("decode", {"latent": [[np.nan, 0.0, np.inf]]}, ["image"])
    (image,) = client.predict("serve_examples", {"examples": [b"", ""]}, ["image"])
    np.testing.assert_array_equal(image, client.sample([0, 0]))
    (text,) = client.predict("card", {"unused": [1, 2]}, ["card"])
    assert text.dtype == object and isinstance(text[0], bytes) and json.loads(text[1]) == client.card()
    (image,) = connect("gan").predict("sample", {"seeds": np.int8([1]), "labels": np.uint64([2])}, ["image"])
    np.testing.assert_array_equal(image, connect("gan").sample([1], labels=[2]))


def test_signatures_have_shapes_and_classes(connect):
    found = connect("gan").signatures()
    labels = {"dtype": "int32", "shape": [None], "low": 0, "high": 2, "names": ["ant", "bee", "cat"]}
    seeds = {"dtype": "int64", "shape": [None]}
    image = {"image": {"dtype": "float32", "shape": [None, 8, 8, 3]}}
    assert found["sample"] == {"inputs": {"labels": labels, "seeds": seeds}, "outputs": image}
    assert list(found) == ["card", "decode", "latents", "sample", "serve_examples", "serving_default"]
    assert found["card"]["inputs"] == {"unused": {"dtype": "int32", "shape": [None]}}
    assert connect("vae", version=3).signatures()["decode"]["inputs"] == {"latent": {"dtype": "float32", "shape": [None, 3]}}


def test_cards(connect):
    card = connect("gan").card()
    assert (card["model"], card["image_shape"], card["capabilities"]) == ("DCGAN", [8, 8, 3], ["sampler"])
    assert card["classes"] == {"count": 3, "names": ["ant", "bee", "cat"]}
    card = connect("codes").card()
    assert [(code["name"], code["low"], code["high"]) for code in card["codes"]] == [
        ("category_0", 0, 2), ("continuous_0", -1.0, 1.0)
    ]  # fmt: skip


def test_interpolation(connect, loaded):
    got = connect("vae").interpolate(1, 2, steps=5, rule="slerp")
    z = loaded["vae"][1]["latents"](seeds=tf.constant([1, 2], tf.int64))["latent"].numpy()
    path = latent_path(z[0], z[1], 5, rule="slerp").astype("float32")
    np.testing.assert_array_equal(got, loaded["vae"][1]["decode"](latent=tf.constant(path))["image"])
    client = connect("gan")
    got = client.interpolate(1, 2, label=2)
    assert got.shape == (9, 8, 8, 3)
    np.testing.assert_allclose(got[[0, -1]], client.sample([1, 2], labels=[2, 2]), atol=1e-6)


def test_many_rows_take_several_requests(connect):
    whole, parts = connect("gan", batch_size=100), connect("gan", batch_size=16)
    seeds, labels = np.arange(50), np.arange(50) % 3
    np.testing.assert_allclose(parts.sample(seeds, labels), whole.sample(seeds, labels), atol=1e-6)


def test_versions_and_labels(connect):
    assert connect("vae").served_version() == connect("vae").wait_until_ready() == 7
    old = connect("vae", version=3).sample(SEEDS)
    assert np.any(old != connect("vae").sample(SEEDS))
    np.testing.assert_array_equal(connect("vae", label="stable").sample(SEEDS), old)
    stable = connect("vae", label="stable", batch_size=2)
    assert stable.served_version() == 3
    np.testing.assert_allclose(stable.sample(SEEDS), old, atol=1e-6)


def test_errors_of_the_server(connect):
    for client, code in (
        (connect("no/such model"), Code.NOT_FOUND),
        (connect("vae", version=4), Code.NOT_FOUND),
        (connect("vae", label="canary"), Code.INVALID_ARGUMENT),
        (connect("gan"), Code.INVALID_ARGUMENT),  # without labels
    ):
        with pytest.raises(ServingError) as caught:
            client.sample([1])
        assert caught.value.code is code and caught.value.message
    served = "big, classifier, clips, codes, draw, embedded, gan, painter, pixels, plain, selector, style, texts, vae, views"
    with pytest.raises(ServingError, match=f"Latest\\(vea\\). Models served: {served}$"):
        connect("vea").sample([1])
    with pytest.raises(ServingError, match="0, 1"):
        connect("vae").reconstruct(np.full([1, 8, 8, 1], 2.0))
    with pytest.raises(ServingError):
        connect("gan").reconstruct(np.zeros([1, 8, 8, 3]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.sample([]), "at least one integer"),
        (lambda c: c.sample([0.5]), "float64"),
        (lambda c: c.sample(3), "list of"),
        (lambda c: c.sample([2**63]), "int64"),
        (lambda c: c.sample([1, 2], labels=[1]), "the same number of rows, one for each image; received .*'labels': 1"),
        (lambda c: c.reconstruct(np.zeros([1, 8, 8, 1], "uint8")), "images must be float"),
        (lambda c: c.reconstruct(np.zeros([8, 8, 1])), r"\(8, 8, 1\)"),
        (lambda c: c.encode(np.full([1, 8, 8, 1], np.nan)), "finite"),
        (lambda c: c.decode(np.zeros([3])), "latents must be float"),
        (lambda c: c.sample([1], timeout=0), "timeout"),
        (lambda c: c.predict("sample", {"seeds": 1}, ["image"]), "at least one; received"),
        (lambda c: c.predict("sample", {"seeds": []}, ["image"]), "at least one; received"),
        (lambda c: c.predict("sample", {}, ["image"]), "at least one; received"),
        (lambda c: c.predict("sample", {"seeds": [1, 2], "labels": [0]}, ["image"]), "same number of rows"),
        (lambda c: c.predict("sample", {"seeds": [1]}, []), "list of names"),
    ],
)
def test_wrong_arguments_are_not_sent(call, message, unused_port):
    with Client(f"127.0.0.1:{unused_port}", "vae") as client, pytest.raises(ValueError, match=message):
        call(client)


@pytest.mark.parametrize(
    "arguments",
    [("localhost", "m"), ("ftp://localhost:1", "m"), ("localhost:1", ""), ("http://x", "m", {"credentials": 1}),
     ("localhost:1", "m", {"version": 1, "label": "a"}), ("localhost:1", "m", {"retries": -1}),
     ("localhost:1", "m", {"batch_size": 0}), ("localhost:1", "m", {"timeout": -1})],
)  # fmt: skip
def test_wrong_clients(arguments):
    target, model, *options = arguments
    with pytest.raises(ValueError):
        Client(target, model, **(options[0] if options else {}))


def test_rest_without_tensorflow():
    # A notebook that only talks REST should not pay for TensorFlow.
    code = (
        "import sys; from tfgen_serving.client import Client; Client('http://127.0.0.1:1', 'm').close()\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# ---- against stubs


@pytest.fixture
def unused_port():
    return 9  # discard: nobody listens there, and nothing is to be sent


class Script:
    """What the stubs answer: `steps` is a list of Code, float (seconds of silence) or version number, the last repeats."""

    def __init__(self, *steps):
        self.steps, self.calls, self.version = list(steps), [], 1

    def next(self, seeds, version):
        self.calls.append((seeds, version))
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, float):
            time.sleep(step)
        elif isinstance(step, int):
            self.version = step  # a new version takes over
        if isinstance(step, Code):
            return step
        return Code.NOT_FOUND if version not in (0, self.version) else Code.OK

    def image(self, seeds):
        return np.array([[[[s * 10.0 + self.version]]] for s in seeds], np.float32)


SIGNATURE = {"inputs": {"seeds": (9, [-1])}, "outputs": {"image": (1, [-1, 1, 1, 1])}}  # int64 and float32


class GrpcStub(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, script):
        self._script = script

    def Predict(self, request, context):
        seeds = tf.make_ndarray(request.inputs["seeds"]).tolist()
        code = self._script.next(seeds, request.model_spec.version.value)
        if code is not Code.OK:
            context.abort(code, "stub")
        image = tf.make_tensor_proto(self._script.image(seeds))
        return predict_pb2.PredictResponse(outputs={"image": image})

    def GetModelMetadata(self, request, context):
        reply = get_model_metadata_pb2.GetModelMetadataResponse()
        reply.model_spec.version.value = self._script.version
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for kind, tensors in SIGNATURE.items():
            for name, (dtype, sizes) in tensors.items():
                info = getattr(signatures.signature_def["sample"], kind)[name]
                info.dtype = dtype
                for size in sizes:
                    info.tensor_shape.dim.add(size=size)
        reply.metadata["signature_def"].Pack(signatures)
        return reply


@contextlib.contextmanager
def grpc_stub(script, port=0):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(GrpcStub(script), server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait(5)


def rest_metadata(version):
    signature = {
        kind: {
            name: {
                "dtype": {1: "DT_FLOAT", 9: "DT_INT64"}[dtype],
                "tensor_shape": {"dim": [{"size": str(size)} for size in sizes], "unknown_rank": False},
            }
            for name, (dtype, sizes) in tensors.items()
        }
        for kind, tensors in SIGNATURE.items()
    }
    signatures = {"sample": signature, "__saved_model_init_op": {}}
    return {"model_spec": {"version": str(version)}, "metadata": {"signature_def": {"signature_def": signatures}}}


@contextlib.contextmanager
def rest_stub(script, port=0):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            version = int(self.path.split("/versions/")[1].split(":")[0]) if "/versions/" in self.path else 0
            code = script.next(body["inputs"]["seeds"], version)
            status = {Code.OK: 200, Code.UNAVAILABLE: 503, Code.NOT_FOUND: 404, Code.INVALID_ARGUMENT: 400}[code]
            ok = {"outputs": script.image(body["inputs"]["seeds"]).tolist()}
            self._answer(status, ok if code is Code.OK else {"error": "stub"})

        def do_GET(self):
            self._answer(200, rest_metadata(script.version))

        def _answer(self, status, body):
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the client may have given up
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(params=[grpc_stub, rest_stub])
def stub(request):
    return request.param


def test_unavailable_is_tried_again(stub):
    script = Script(Code.UNAVAILABLE, Code.UNAVAILABLE, Code.OK)
    with stub(script) as target, Client(target, "m") as client:
        assert client.sample([4]).item() == 41
    assert len(script.calls) == 3


def test_retries_end(stub):
    for retries in (0, 2):
        script = Script(Code.UNAVAILABLE)
        with stub(script) as target, Client(target, "m", retries=retries) as client:
            with pytest.raises(ServingError) as caught:
                client.sample([4])
        assert caught.value.code is Code.UNAVAILABLE and len(script.calls) == retries + 1


def test_other_errors_are_not_tried_again(stub):
    script = Script(Code.INVALID_ARGUMENT)
    with stub(script) as target, Client(target, "m") as client, pytest.raises(ServingError, match="stub") as caught:
        client.sample([4])
    assert caught.value.code is Code.INVALID_ARGUMENT and len(script.calls) == 1


@pytest.mark.parametrize("steps", [(3.0,), (Code.UNAVAILABLE,)], ids=["silent", "unavailable"])
def test_the_deadline_covers_everything(stub, steps):
    script = Script(*steps)
    with stub(script) as target, Client(target, "m", retries=1000, timeout=60.0) as client:
        started = time.monotonic()
        with pytest.raises(ServingError) as caught:
            client.sample([4], timeout=0.4)
        assert time.monotonic() - started < 1.5
    # A request that was sent and not answered in time is not sent again.
    assert caught.value.code in (Code.DEADLINE_EXCEEDED, Code.UNAVAILABLE)
    if steps == (3.0,):
        assert caught.value.code is Code.DEADLINE_EXCEEDED and len(script.calls) == 1


def test_one_call_is_answered_by_one_version(stub):
    script = Script(1, 1, 2)  # version 2 takes over after two requests
    with stub(script) as target, Client(target, "m", batch_size=2) as client:
        got = client.sample(np.arange(6)).ravel()
    np.testing.assert_array_equal(got, np.arange(6) * 10 + 2)
    assert [version for _, version in script.calls] == [1, 1, 1, 2, 2, 2]


def test_versions_that_never_stay(stub):
    script = Script(*range(2, 40))
    with stub(script) as target, Client(target, "m", batch_size=1) as client, pytest.raises(ServingError) as caught:
        client.sample([1, 2])
    assert caught.value.code is Code.NOT_FOUND and len(script.calls) <= 6


def test_a_server_that_comes_back(stub):
    script = Script(Code.OK)
    with stub(script) as target, Client(target, "m", retries=20) as client:
        client.sample([1])
        port = int(target.rpartition(":")[2])
    with Client(target, "m", retries=20, timeout=20.0) as client, contextlib.ExitStack() as stack:

        def start():  # again while a connection of another process has the port
            for _ in range(100):
                with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: gRPC's
                    return stack.enter_context(stub(script, port))
                time.sleep(0.1)

        restart = threading.Timer(0.5, start)
        restart.start()
        try:
            assert client.wait_until_ready() == 1
            assert client.sample([2]).item() == 21
        finally:
            restart.join()


METADATA = json.dumps(rest_metadata(1)).encode()
NO_REPLIES = [
    (b"<html>Bad gateway</html>", METADATA), (b"[1]", METADATA), (b'{"outputs": [[1.0]]}', METADATA),
    (b'{"predictions": [1]}', METADATA), (b'{"outputs": {"image": [1.0]}}', METADATA),
    (b'{"outputs": ["a", "b"]}', METADATA),
    (b'{"outputs": [1.0, 2.0]}', b'{"model_spec": {"version": "1"}}'), (b'{"outputs": [1.0, 2.0]}', b"[1]"),
    (b'{"outputs": [1.0, 2.0]}', b'{"model_spec": {"version": "1"}, "metadata": {"signature_def": {"signature_def": [1]}}}'),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "metadata"), NO_REPLIES)
def test_malformed_replies(reply, metadata):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(reply)

        def do_GET(self):
            self._answer(metadata)

        def _answer(self, content):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        with Client(f"http://127.0.0.1:{server.server_port}/prefix/", "m") as client, pytest.raises(ServingError) as caught:
            client.sample([1, 2])
        assert caught.value.code is Code.INTERNAL
    finally:
        server.shutdown()
        server.server_close()
