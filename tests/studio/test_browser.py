"""The studio in a browser, in front of real models of the zoo."""

import argparse
import base64
import contextlib
import io
import json
import os
import pathlib
import re
import shutil
import urllib.parse

import httpx
import numpy as np
import pytest
from PIL import Image

from tfgen_commands import studio as command

HOW = "no browser: `pip install playwright` and `apt-get install chromium`, or TFGEN_BROWSER=/path/of/one"
playwright = pytest.importorskip("playwright.sync_api", reason=HOW)
BROWSER = os.environ.get("TFGEN_BROWSER") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
if BROWSER is None:
    pytest.skip(HOW, allow_module_level=True)

AXE = pathlib.Path(__file__).parent / "axe" / "axe.min.js"
SLOW = 120_000  # milliseconds: the first request of a signature prepares its graph
READY = "html[data-busy=false] main > :not(.loading)"


@pytest.fixture(scope="module")
def url():
    """Of a studio with the weights that come with tfgen; a model is exported when a test opens it."""
    args = argparse.Namespace(models=[], serving=None, host="127.0.0.1", port=0, browser=False)
    with command.start(args) as server:
        yield f"http://127.0.0.1:{server.port}/"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def page(browser, url):
    """A page whose errors, and requests to other places, fail the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    page, errors, asked = context.new_page(), [], []
    page.set_default_timeout(SLOW)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: said.type == "error" and "status of" not in said.text and errors.append(said.text))
    context.on("request", lambda request: asked.append(request.url))
    yield page
    context.close()
    assert errors == []
    assert [one for one in asked if not one.startswith((url, "blob:", "data:"))] == []


def show(page, url, place=""):
    page.goto("about:blank")
    page.goto(f"{url}{place}")
    page.wait_for_selector(READY)


def pixels(page, place=".main-image"):
    """The numbers that a picture on the page was drawn from, and the bytes of its canvas."""
    numbers, drawn = page.locator(place).evaluate(
        """element => {
            const canvas = element.querySelector("canvas");
            const rgba = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            return [[...element.picture.data], [...rgba].filter((_, i) => i % 4 === 0)];
        }"""
    )
    return np.float32(numbers), np.uint8(drawn)


def asked(url, name, signature, **inputs):
    body = {"signature_name": signature, "inputs": inputs}
    reply = httpx.post(f"{url}v1/models/{name}:predict", json=body, timeout=60)
    assert reply.status_code == 200, reply.text
    return np.float32(reply.json()["outputs"]).ravel()


def in_address(page, key):
    text = urllib.parse.parse_qs(page.url.partition("?")[2])[key][0]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def nudge(page, slider, times=1):
    page.locator(f"[data-id='{slider}'] input").focus()
    for _ in range(times):
        page.keyboard.press("ArrowRight")
    page.wait_for_selector(READY)


# ---- in the quick suite


def test_a_slider_shows_what_decode_makes_and_the_link_opens_it_again(page, url):
    show(page, url)
    before, _ = pixels(page)
    np.testing.assert_array_equal(before, asked(url, "vae-digits", "sample", seeds=[0]))
    nudge(page, "direction 1", 30)
    z = np.frombuffer(in_address(page, "z"), np.float32)
    numbers, drawn = pixels(page)
    made = asked(url, "vae-digits", "decode", latent=[z.tolist()])
    assert np.abs(made - before).max() > 0.05
    np.testing.assert_array_equal(numbers, made)
    np.testing.assert_array_equal(drawn, np.rint(255 * made))
    show(page, url, page.url.removeprefix(url))
    np.testing.assert_array_equal(pixels(page)[1], drawn)
    assert np.frombuffer(in_address(page, "z"), np.float32).tolist() == z.tolist()


def test_a_request_that_is_not_wanted_any_more_does_not_show(page, url):
    show(page, url)
    held, failed = [], []
    page.on("requestfailed", lambda request: failed.append(request.post_data))

    def route(route):
        if '"seeds":[7]' in route.request.post_data:
            held.append(route)
        else:
            route.continue_()

    page.route("**/v1/models/*:predict", route)
    page.get_by_role("button", name="seed 7", exact=True).click()
    page.wait_for_timeout(500)
    assert held and not failed
    page.get_by_role("button", name="seed 3", exact=True).click()
    page.wait_for_selector(READY)
    assert len(failed) == 1 and '"seeds":[7]' in failed[0]
    with contextlib.suppress(Exception):  # an answer to a request that was given up
        held[0].continue_()
    page.wait_for_timeout(300)
    np.testing.assert_array_equal(pixels(page)[0], asked(url, "vae-digits", "sample", seeds=[3]))
    assert "seed=3" in page.url and page.get_by_role("heading", name="Seed 3").count() == 1


# ---- long


@pytest.mark.long
def test_the_keyboard_alone_completes_a_session(page, url):
    show(page, url)

    def tab_to(selector, most=80):
        for _ in range(most):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") != "none"
                return
        pytest.fail(f"Tab never reached {selector}")

    tab_to(".samples .cell")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector(READY)
    assert "seed=7" in page.url  # one to the right and one row of six down
    tab_to(".pad")
    page.keyboard.press("ArrowUp")
    tab_to("[data-id='direction 3'] input")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(READY)
    moved, _ = pixels(page)
    page.keyboard.press("p")
    page.wait_for_selector("figcaption:text('pinned')")
    page.keyboard.press("Control+z")  # the pin
    page.keyboard.press("Control+z")  # the slider
    page.keyboard.press("Control+z")  # the pad
    page.wait_for_selector(READY)
    assert "z=" not in page.url and page.locator("figcaption:text('pinned')").count() == 0
    for _ in range(2):
        page.keyboard.press("Control+Shift+z")
    page.wait_for_selector(READY)
    np.testing.assert_array_equal(pixels(page)[0], moved)
    page.evaluate("() => document.activeElement.blur()")
    tab_to("[role=tab]")
    page.keyboard.press("End")
    page.wait_for_selector(READY)
    assert "/signatures" in page.url
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(READY)
    assert "/image" in page.url
    tab_to("paint-pad")
    before = page.url
    for key in ("ArrowDown", "ArrowRight", " "):
        page.keyboard.press(key)
    page.wait_for_selector(READY)
    assert page.url != before and "px=" in page.url


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "panel"),
    [
        ("vae-digits", "latents"),
        ("vae-digits", "animation"),
        ("vae-digits", "image"),
        ("vae-digits", "signatures"),
        ("infogan-digits", "classes"),
        ("pixel-cnn-digits", "completion"),
        ("style-gan-digits", "mixing"),
        ("draw-digits", "steps"),
    ],
)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(page, url, name, panel, theme):
    page.emulate_media(color_scheme=theme)
    show(page, url, f"#/{name}/{panel}")
    page.evaluate(AXE.read_text())
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")["violations"]
    said = [
        f"{one['id']} ({one['impact']}): {one['nodes'][0]['html']}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert said == []


@pytest.mark.long
def test_a_file_that_is_no_image_is_said_and_an_image_is_read(page, url, tmp_path):
    show(page, url, "#/vae-digits/image")
    wrong, right = tmp_path / "letter.txt", tmp_path / "seven.png"
    wrong.write_text("Dear model,")
    digit = (np.arange(64).reshape(8, 8) * 4).astype(np.uint8)
    Image.fromarray(digit).save(right)
    before, _ = pixels(page)
    page.locator("input[type=file]").set_input_files(wrong)
    page.get_by_role("alert").filter(has_text="letter.txt is no image that this browser can read").wait_for()
    np.testing.assert_array_equal(pixels(page)[0], before)
    page.locator("input[type=file]").set_input_files(right)
    page.wait_for_url(lambda address: "px=" in address)  # the file is read
    page.wait_for_selector(READY)
    assert in_address(page, "px") == digit.tobytes() and not page.get_by_role("alert").is_visible()
    image = (np.float32(digit) / np.float32(255)).reshape(1, 8, 8, 1)
    np.testing.assert_allclose(pixels(page)[0], asked(url, "vae-digits", "reconstruct", image=image.tolist()), atol=1e-6)


@pytest.mark.long
def test_the_latent_of_an_image_opens_in_latents(page, url):
    show(page, url, "#/vae-digits/image")
    again, _ = pixels(page)
    page.get_by_role("button", name="Open its latent in Latents").click()
    page.wait_for_selector("main.latents .main-image")
    page.wait_for_selector(READY)
    np.testing.assert_allclose(pixels(page)[0], again, atol=1e-5)


@pytest.mark.long
def test_errors_of_the_server_are_said_in_words(page, url):
    page.goto(f"{url}#/nothing/latents")
    page.get_by_role("alert").filter(has_text="nothing").wait_for()
    assert "Has the server such a model" in page.get_by_role("alert").inner_text()
    show(page, url, "#/vae-digits/latents?seed=1.5x&from=36")
    alert = page.get_by_role("alert").inner_text()
    assert "wrong seed: 1.5x is no number" in alert and page.get_by_role("heading", name="Seeds 36 to 71").count() == 1
    page.get_by_label("first seed").fill("1.5")
    page.get_by_label("first seed").press("Enter")
    assert "expected a whole number" in page.get_by_role("alert").inner_text()


@pytest.mark.long
def test_hidden_pixels_are_completed_and_known_ones_stay(page, url):
    show(page, url, "#/pixel-cnn-digits/completion?many=3")
    corner = "() => document.querySelector('paint-pad canvas').getContext('2d').getImageData(0, 0, 1, 1).data[0]"
    known = page.evaluate(corner)
    answers = page.locator(".grid pixel-image").evaluate_all("all => all.map((one) => [...one.picture.data])")
    assert len(answers) == 3 and len({tuple(answer) for answer in answers}) > 1
    assert len({tuple(answer[:32]) for answer in answers}) == 1 and round(255 * answers[0][0]) == known
    page.get_by_role("button", name="answer of seed 2", exact=True).click()
    page.wait_for_selector(READY)
    bits = asked(url, "pixel-cnn-digits", "pixel_bits", image=np.reshape(answers[2], (1, 8, 8, 1)).tolist())
    shown = page.locator(".bits").evaluate("one => [...one.picture.data]")
    np.testing.assert_allclose(shown[::3], np.minimum(1, 2.2 * bits / bits.max()), atol=1e-5)  # the red of the heat map
    said = page.locator("figcaption", has_text="Bits of each pixel").inner_text()
    assert f"at most {bits.max():.1f}" in said and f"{bits[32:].mean():.2f} for a hidden one" in said
    page.get_by_role("button", name="Other answers").click()  # their bits, and not those of the answers before
    page.wait_for_selector(READY)
    answers = page.locator(".grid pixel-image").evaluate_all("all => all.map((one) => [...one.picture.data])")
    bits = asked(url, "pixel-cnn-digits", "pixel_bits", image=np.reshape(answers[2], (1, 8, 8, 1)).tolist())
    assert f"at most {bits.max():.1f}" in page.locator("figcaption", has_text="Bits of each pixel").inner_text()
    page.get_by_role("button", name="None", exact=True).click()
    page.wait_for_selector(READY)
    answers = page.locator(".grid pixel-image").evaluate_all("all => all.map((one) => [...one.picture.data])")
    assert len({tuple(answer) for answer in answers}) == 1


@pytest.mark.long
def test_a_map_of_classes_is_painted(page, url):
    sent = []
    page.on("request", lambda one: "label_map" in (one.post_data or "") and sent.append(one))
    show(page, url, "#/pix2pix-hd-coloured-digits/translation")
    page.get_by_role("button", name="class 7").click()
    page.locator("paint-pad").focus()
    page.keyboard.press(" ")  # a square at the upper left
    page.wait_for_selector(READY)
    inputs = sent[-1].post_data_json["inputs"]
    maps, edges = (np.float32(inputs[name])[0] for name in ("label_map", "edges"))
    kinds = maps.argmax(-1)
    assert np.all(maps.sum(-1) == 1) and set(np.unique(kinds)) == {0, 1, 7} and kinds[0, 0] == 7
    padded = np.pad(kinds, 1, mode="edge")
    near = [padded[1 + i : 33 + i, 1 + j : 33 + j] != kinds for i, j in ((0, 1), (0, -1), (1, 0), (-1, 0))]
    np.testing.assert_array_equal(edges, np.any(near, axis=0))
    made = asked(url, "pix2pix-hd-coloured-digits", "translate", **inputs)
    np.testing.assert_allclose(pixels(page)[0], made, atol=1e-6)


@pytest.mark.long
def test_codes_and_styles_are_those_of_their_signatures(page, url):
    show(page, url, "#/infogan-digits/classes?seed=4")
    cells = page.locator(".grid .cell pixel-image")
    label = cells.nth(3).get_attribute("aria-label")
    codes = [float(text.split()[-1]) for text in label.split(", ")]
    made = asked(url, "infogan-digits", "sample_codes", seeds=[4], codes=[codes])
    np.testing.assert_allclose(cells.nth(3).evaluate("one => [...one.picture.data]"), made, atol=1e-5)
    show(page, url, "#/style-gan-digits/mixing?cross=0&fine=true")
    cells = page.locator(".grid .cell pixel-image")
    first = cells.nth(1).evaluate("one => [...one.picture.data]")  # the first column; all layers are from the columns
    np.testing.assert_allclose(cells.nth(8).evaluate("one => [...one.picture.data]"), first, atol=1e-5)
    np.testing.assert_allclose(first, asked(url, "style-gan-digits", "sample", seeds=[100]), atol=1e-5)


@pytest.mark.long
def test_an_animation_is_saved(page, url, tmp_path):
    show(page, url, "#/vae-digits/animation?keys=1,2&steps=5&loop=true&playing=false")
    ends = (
        page.locator(".frames, .grid")
        .first.locator("pixel-image")
        .evaluate_all("all => all.map((one) => [...one.picture.data])")
    )
    np.testing.assert_allclose(ends[0], asked(url, "vae-digits", "sample", seeds=[1]), atol=1e-6)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save GIF").click()
    saved.value.save_as(tmp_path / "made.gif")
    assert Image.open(tmp_path / "made.gif").n_frames == 10


@pytest.mark.long
def test_commands_that_are_copied_give_the_picture(page, url):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    show(page, url, "#/vae-digits/latents?seed=5&many=6")
    nudge(page, "direction 2", 3)
    page.get_by_role("button", name="curl").click()
    text = page.evaluate("() => navigator.clipboard.readText()")
    body, address = re.fullmatch(r"curl -d '(.*)' (\S+)", text).groups()
    reply = httpx.post(address, content=body).json()
    np.testing.assert_array_equal(np.float32(reply["outputs"]).ravel(), pixels(page)[0])
    page.get_by_role("button", name="Python").click()
    program, found = page.evaluate("() => navigator.clipboard.readText()"), {}
    exec(program, found)
    np.testing.assert_array_equal(found["image"].ravel(), pixels(page)[0])


PICTURES = {  # of docs/studio.md: {name: (place, width, height, theme)}
    "studio_latents": ("#/vae-digits/latents?seed=9", 1180, 720, "light"),
    "studio_codes": ("#/infogan-digits/classes", 1180, 720, "dark"),
    "studio_completion": ("#/pixel-cnn-digits/completion", 1180, 760, "light"),
    "studio_mixing": ("#/style-gan-digits/mixing", 1180, 720, "dark"),
    "studio_phone": ("#/vae-digits/image", 390, 844, "light"),
}


@pytest.mark.long
@pytest.mark.skipif("TFGEN_SCREENSHOTS" not in os.environ, reason="TFGEN_SCREENSHOTS=docs/images draws the pictures anew")
@pytest.mark.parametrize("name", PICTURES)
def test_pictures_of_the_docs(page, url, name):
    place, width, height, theme = PICTURES[name]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=theme)
    show(page, url, place)
    page.wait_for_timeout(500)
    content = Image.open(io.BytesIO(page.screenshot()))
    path = pathlib.Path(os.environ["TFGEN_SCREENSHOTS"]) / f"{name}.png"
    few = content.convert("RGB").quantize(96, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)  # a quarter of the bytes
    few.save(path, optimize=True)
    assert path.stat().st_size < 60_000


@pytest.mark.long
@pytest.mark.skipif("TFGEN_SCREENSHOTS" not in os.environ, reason="TFGEN_SCREENSHOTS=docs/images draws it anew")
def test_the_moving_picture_of_the_readme(page, url):
    page.set_viewport_size({"width": 1180, "height": 720})
    show(page, url, "#/vae-digits/latents?seed=9")
    slider, frames = page.locator("[data-id='direction 1'] input"), []
    for part in np.sin(np.linspace(0, 2 * np.pi, 10, endpoint=False)):
        slider.evaluate("(one, part) => { one.value = part * one.max; one.dispatchEvent(new Event('input')); }", float(part))
        page.wait_for_timeout(50)
        page.wait_for_selector(READY)
        place = {"x": 406, "y": 80, "width": 774, "height": 560}
        frames.append(Image.open(io.BytesIO(page.screenshot(clip=place))).convert("RGB"))
    colours = frames[0].quantize(
        64, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )  # one palette, so that what stands still takes no bytes
    first, *others = [frame.quantize(palette=colours, dither=Image.Dither.NONE) for frame in frames]
    path = pathlib.Path(os.environ["TFGEN_SCREENSHOTS"]) / "studio.gif"
    first.save(path, save_all=True, append_images=others, duration=180, loop=0, optimize=True)
    assert path.stat().st_size < 190_000


@pytest.mark.long
def test_in_front_of_a_server_that_runs_already(page, url):
    asked(url, "vae-digits", "sample", seeds=[0])  # it is open there
    address = url.rstrip("/")
    args = argparse.Namespace(models=["vae-digits"], serving=address, host="127.0.0.1", port=0, browser=False)
    with command.start(args) as through:
        other = page.context.browser.new_page()
        other.goto(f"http://127.0.0.1:{through.port}/#/vae-digits/latents?seed=8")
        other.wait_for_selector(READY, timeout=SLOW)
        np.testing.assert_array_equal(pixels(other)[0], asked(url, "vae-digits", "sample", seeds=[8]))
        other.get_by_label("Name of another model on the server").fill("nothing")
        other.keyboard.press("Enter")
        other.get_by_role("alert").filter(has_text="nothing").wait_for()
        assert other.get_by_text("p95").count()
        other.close()


@pytest.mark.long
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_moves_while_images_arrive_and_nothing_is_wider_than_the_screen(page, url, width):
    page.set_viewport_size({"width": width, "height": 844})
    page.add_init_script("""
        globalThis.shifts = 0;
        const count = (one) => (globalThis.shifts += one.hadRecentInput ? 0 : one.value);
        const observer = new PerformanceObserver((list) => list.getEntries().forEach(count));
        observer.observe({ type: "layout-shift", buffered: true });
    """)
    for panel in ("latents", "animation", "image", "signatures"):
        show(page, url, f"#/vae-digits/{panel}")
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        assert page.evaluate("() => globalThis.shifts") < 0.1


# ---- models without weights in the zoo, tiny and untrained

FAMILIES = (
    "cycle-gan",
    "pix2pix",
    "tvsn",
    "adain",
    "factorized-prior",
    "dgn-am",
    "igan",
    "stack-gan",
    "style-gan",
    "vid2vid",
    "draw-attention",
)


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    """Of a studio with exports of `FAMILIES`."""
    from tests.conformance.registry import CASES
    from tfgen.export import export_saved_model
    from tfgen.features.text import CharacterEncoder, character_network

    folder = tmp_path_factory.mktemp("families")
    for name in FAMILIES:
        model = CASES[name].build()
        model.compile()
        if name == "stack-gan":
            model.text_encoder = CharacterEncoder(character_network(model.embedding_dim))
        export_saved_model(model, folder / name, warmup=False)
    args = argparse.Namespace(
        models=[str(folder / name) for name in FAMILIES], serving=None, host="127.0.0.1", port=0, browser=False
    )
    with command.start(args) as server:
        yield f"http://127.0.0.1:{server.port}/"


@pytest.fixture
def page_of_families(browser):
    page = browser.new_page(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    page.set_default_timeout(SLOW)
    yield page
    page.close()


@pytest.mark.long
def test_a_clip_is_made_frame_by_frame(page_of_families, families):
    """The frames are those of `next_frame` with its own state; the map moves and the link opens the same clip."""
    page = page_of_families
    show(page, families, "#/vid2vid/clips?count=5&dx=2")
    frames = page.locator(".grid pixel-image").evaluate_all("all => all.map((one) => [...one.picture.data])")
    scene = page.locator("paint-pad").first.evaluate(
        "pad => [...pad.querySelector('canvas').getContext('2d').getImageData(0, 0, 512, 512).data]"
    )
    first = np.uint8(scene).reshape(512, 512, 4)[32::64, 32::64, :3]
    inside = np.any(first > 0, axis=-1)
    assert 0 < inside.sum() < 64 and np.allclose(np.reshape(frames[0], (8, 8, 3)), first / 255, atol=1e-6)

    def moved(values, t):
        return np.concatenate([np.zeros_like(values[:, : 2 * t]), values[:, : 8 - 2 * t]], axis=1)

    def maps(t):
        on = moved(inside, t)
        padded = np.pad(on, 1, mode="edge")
        near = [padded[1 + i : 9 + i, 1 + j : 9 + j] != on for i, j in ((0, 1), (0, -1), (1, 0), (-1, 0))]
        return {"label_map": np.stack([~on, on, 0 * on], -1).astype(float), "edges": np.any(near, axis=0).astype(float)}

    def ask(signature, **inputs):
        given = {name: np.asarray(value)[None].tolist() for name, value in inputs.items()}
        body = {"signature_name": signature, "inputs": given}
        reply = httpx.post(f"{families}v1/models/vid2vid:predict", json=body, timeout=60)
        assert reply.status_code == 200, reply.text
        return reply.json()["outputs"]

    known = [maps(0), maps(1)]
    start = [moved(first, t) / 255 for t in (0, 1)]
    state = ask("start_state", start=start, **{k: [one[k] for one in known] for k in ("label_map", "edges")})[0]
    for t in (2, 3, 4):
        made = ask("next_frame", state=state, **maps(t))
        state = made["state"][0]
        np.testing.assert_allclose(frames[t], np.ravel(made["image"]), atol=1e-5)
    address = page.url
    show(page, families, address.removeprefix(families))
    again = page.locator(".grid pixel-image").evaluate_all("all => all.map((one) => [...one.picture.data])")
    np.testing.assert_allclose(again, frames, atol=1e-6)


@pytest.mark.long
def test_strokes_on_a_photo_are_inputs_of_the_edit(page_of_families, families):
    page = page_of_families
    show(page, families, "#/igan/editing")
    assert page.get_by_text("Nothing is painted yet").count() == 1
    sent = []
    page.on("request", lambda request: "igan:predict" in request.url and sent.append(request.post_data_json["inputs"]))
    pad = page.locator("paint-pad")
    pad.focus()
    page.keyboard.press(" ")  # the upper left pixel, white
    page.wait_for_selector(READY)
    page.get_by_role("button", name="Sketch").click()
    pad.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    page.wait_for_selector(READY)
    edit = sent[-1]
    mask, edges = np.float32(edit["mask"])[0], np.float32(edit["edge_mask"])[0]
    assert mask[0, 0] == 1 and mask.sum() == 1 and edges[1, 0] == 1 and edges.sum() == 1
    assert np.float32(edit["strokes"])[0, 0, 0] == 1 and np.float32(edit["edges"])[0, 1, 0] == 1
    assert np.float32(edit["image"])[0, 0, 0] == 0  # the photo itself is not painted over
    page.get_by_role("button", name="Erase strokes").click()
    pad.focus()
    page.keyboard.press(" ")
    page.wait_for_selector(READY)
    assert np.sum(sent[-1]["edge_mask"]) == 0 and np.sum(sent[-1]["mask"]) == 1
    page.get_by_role("button", name="Remove all strokes").click()
    page.get_by_text("Nothing is painted yet").wait_for()


@pytest.mark.long
def test_windows_of_draw_are_where_it_reads_and_writes(page_of_families, families):
    page = page_of_families
    show(page, families, "#/draw-attention/steps?way=image&at=1")
    image = page.locator("main pixel-image").first.evaluate("one => [...one.picture.data]")
    body = {"signature_name": "redraw", "inputs": {"image": np.reshape(image, (1, 8, 8, 1)).tolist()}}
    found = httpx.post(f"{families}v1/models/draw-attention:predict", json=body, timeout=60).json()["outputs"]
    thick = 8 / 60
    for kind, name in (("read", "read_"), ("write", "")):
        x, y = found[f"{name}boxes"][0][1][:2]
        half = found[f"{name}sides"][0][1] / 2
        x, y = x - 0.5, y - 0.5  # boxes count pixels from 1: the middle of 8 is 4.5, and 4 pixels from the border
        ends = [x - half, y - half, x + half, y + half]
        left, top, right, bottom = np.clip(ends, thick / 2, 8 - thick / 2)
        drawn = page.locator(f"rect.{kind}").evaluate("r => ['x', 'y', 'width', 'height'].map((k) => +r.getAttribute(k))")
        np.testing.assert_allclose(drawn, [left, top, right - left, bottom - top], atol=1e-4)
    np.testing.assert_allclose(pixels(page)[0], np.ravel(found["canvas"][0][1]), atol=1e-5)


@pytest.mark.long
def test_a_sentence_is_drawn_and_a_wrong_one_is_answered_in_words(page_of_families, families):
    page = page_of_families
    show(page, families, "#/stack-gan/text?seed=3")
    field = page.get_by_role("textbox", name="text")
    field.fill("a Blue one")
    field.press("Enter")
    page.wait_for_selector(READY)
    numbers, _ = pixels(page)
    np.testing.assert_array_equal(numbers, asked(families, "stack-gan", "sample_text", seeds=[3], text=["a blue one"]))
    field.fill("ein grünes Blatt")
    field.press("Enter")
    page.get_by_role("alert").filter(has_text="ASCII").wait_for()


GOLDEN = pathlib.Path(__file__).parents[1] / "serving" / "given" / "json_golden.jsonl"


@pytest.mark.long
def test_replies_of_tensorflow_serving_are_read(page, url):
    """What TensorFlow Serving itself replied is given to the page, which reads its numbers and says its errors."""
    show(page, url)
    replies = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    current = {}
    page.route("**/v1/models/golden:predict", lambda route: route.fulfill(**current))
    ask = """async (name) => {
        const { Model } = await import("/api.js");
        const spec = { dtype: "float32", shape: [null] };
        const model = new Model("golden", "1", { serving_default: { inputs: {}, outputs: { [name]: spec } } }, null);
        try {
            const found = (await model.predict("serving_default", {}))[name];
            return { data: Array.from(found.data, String), shape: found.shape };
        } catch (error) {
            return { error: error.message, kind: error.constructor.name };
        }
    }"""
    read = {"numbers": 0, "errors": 0, "special": 0}
    for one in (one for one in replies if "reply" in one):
        current.update(status=one["status"], content_type="application/json", body=one["reply"])
        said = json.loads(one["reply"])  # Python reads NaN and Infinity
        if "error" in said:
            found = page.evaluate(ask, "z")
            assert found["kind"] == "ServerError" and found["error"], one["reply"]
            read["errors"] += 1
        elif "outputs" in said and not isinstance(said["outputs"], dict):
            wanted = np.array(said["outputs"])
            if wanted.dtype.kind not in "iuf":
                continue  # texts, bytes, truth values
            wanted = wanted.astype(np.float32)
            found = page.evaluate(ask, "z")
            assert "error" not in found, (one["reply"], found)
            numbers = np.array([float(value.replace("Infinity", "inf")) for value in found["data"]], np.float32)
            np.testing.assert_allclose(numbers, wanted.ravel(), rtol=1e-6)
            assert found["shape"][: wanted.ndim] == list(wanted.shape) or wanted.size == 0
            read["numbers"] += 1
            read["special"] += int(not np.isfinite(wanted).all())
    assert read["numbers"] > 50 and read["errors"] > 50 and read["special"] > 5, read


@pytest.mark.long
@pytest.mark.parametrize("name", FAMILIES)
def test_all_panels_of_a_model_open_without_an_error(browser, families, name):
    page = browser.new_page(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    page.set_default_timeout(SLOW)
    errors, folder = [], os.environ.get("TFGEN_STUDIO_LOOK")
    page.on("pageerror", lambda error: errors.append(str(error)))
    show(page, families, f"#/{name}")
    titles = page.get_by_role("tab").all_inner_texts()
    expected = {
        "cycle-gan": "Translation", "factorized-prior": "Compression", "dgn-am": "Activation", "igan": "Editing",
        "style-gan": "Truncation & mixing", "stack-gan": "Text",
        "vid2vid": "Clips", "draw-attention": "Drawing steps",
    }  # fmt: skip
    assert expected.get(name, "Translation") in titles
    for title in titles:
        page.get_by_role("tab", name=title, exact=True).click()
        page.wait_for_selector(READY)
        if folder:
            page.screenshot(path=f"{folder}/{name}-{title.replace(' ', '-').lower()}.png")
        assert not page.get_by_role("alert").is_visible(), f"{title}: {page.get_by_role('alert').inner_text()}"
        shown = page.locator("main pixel-image").evaluate_all("all => all.filter((one) => one.picture).length")
        assert shown or title == "Any signature", title
    page.close()
    assert errors == []
