"""The studio in a browser: time to the first picture, from a slider to its picture, weight of the page, growth of memory.

    python -m benchmarks.studio --out benchmarks/reproduce/studio.json

Starts `tfgen studio` in a process of its own, with the trained VAE and StyleGAN on digits and with untrained models, whose
speed does not depend on training: a DCGAN on digits, a VAE and a DCGAN of 28x28 pixels, a StyleGAN and a pix2pix of 32x32.
Each is opened in headless Chromium. A move sets the first slider, or all pixels of the drawing pad of pix2pix, and ends in
the first frame of the browser after the answer was drawn: up to 17 ms are the wait for that frame. Memory is the heap of
the page after garbage collection and the resident memory of the server; its growth is that from the first tenth of the
moves to the last. The load average says what else the machine had to do.
"""

import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import numpy as np

from benchmarks.record import report

ROOT = pathlib.Path(__file__).resolve().parents[1]
STATIC = ROOT / "serving" / "studio" / "static"
MOVES = 1000
UNTRAINED = {"dcgan": "dcgan/digits", "vae-28": "vae/mnist", "dcgan-28": "dcgan/mnist", "style-gan-32": "style-gan/mnist",
             "pix2pix-32": "pix2pix/edges-digits"}  # fmt: skip
GATES = {
    "vae_p95_ms": ("<=", 60), "dcgan_p95_ms": ("<=", 100), "style_gan_p95_ms": ("<=", 150), "vae_28_p95_ms": ("<=", 60),
    "dcgan_28_p95_ms": ("<=", 100), "style_gan_32_p95_ms": ("<=", 150), "pix2pix_32_p95_ms": ("<=", 150),
    "page_kilobytes": ("<=", 300),
    "page_growth_mib": ("<=", 4), "server_growth_mib": ("<=", 24),
}  # fmt: skip
FIRST = "main .main-image[drawn]"
READY = "html[data-busy=false] main .main-image"
MOVE = """async ([name, value]) => {
    const shown = document.querySelector(".main-image"), before = shown.picture, started = performance.now();
    if (name === "pad") {
        const bytes = Uint8Array.from({ length: 32 * 32 }, () => 256 * Math.random());
        document.querySelector("paint-pad").dispatchEvent(new CustomEvent("paint", { detail: { bytes } }));
    } else {
        const input = document.querySelector(`[data-id="${name}"] input`);
        const near = Math.abs(value - input.valueAsNumber) < 2 * input.step; // a move to the same place makes no new picture
        input.value = near ? value - 4 * Math.sign(value) * input.step : value;
        input.dispatchEvent(new Event("input", { bubbles: true }));
    }
    while (shown.picture === before) {
        if (performance.now() - started > 60000) throw new Error("no picture within a minute");
        await new Promise(requestAnimationFrame);
    }
    return performance.now() - started;
}"""


def export(folder):
    """The untrained models, in a process of its own so that TensorFlow takes no memory here."""
    code = (
        "import sys, tfgen; from tfgen.export import export_saved_model; "
        "export_saved_model(tfgen.presets.get(sys.argv[2]).build(), sys.argv[1], warmup=False)"
    )
    for name, preset in UNTRAINED.items():
        subprocess.run([sys.executable, "-c", code, str(folder / name), preset], check=True, cwd=ROOT)


def start(models):
    """(process, address) of a studio, when it answers."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "tfgen_commands.main", "studio", "--port", "0", *models]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    line = process.stdout.readline()
    if " at http" not in line:
        process.wait(60)
        raise SystemExit(f"tfgen studio did not start: {line}")
    return process, line.split(" at ")[1].split()[0]


def resident_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def heap_mib(session):
    session.send("HeapProfiler.collectGarbage")
    return session.send("Runtime.getHeapUsage")["usedSize"] / 2**20


def ready(page, url, name):
    """Opens a model's first panel, and waits for all of it; milliseconds from the address to the open picture."""
    page.goto("about:blank")
    started = time.perf_counter()
    page.goto(f"{url}#/{name}")
    page.wait_for_selector(FIRST, timeout=180_000)
    milliseconds = 1e3 * (time.perf_counter() - started)
    page.wait_for_selector(READY, timeout=180_000)
    return milliseconds


def moves(page, count, rng):
    """Milliseconds of moves of the first slider to random places of it, or of drawings on a pad."""
    if page.locator("[data-id='direction 1'] input").count() == 0:
        return [page.evaluate(MOVE, ["pad", 0.0]) for _ in range(count)]
    reach = float(page.locator("[data-id='direction 1'] input").get_attribute("max"))
    return [page.evaluate(MOVE, ["direction 1", float(rng.uniform(-reach, reach))]) for _ in range(count)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="benchmarks/reproduce/studio.json")
    parser.add_argument("--moves", type=int, default=MOVES, help=f"moves of the long session (default: {MOVES})")
    args = parser.parse_args()
    browser = os.environ.get("TFGEN_BROWSER") or shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        browser = None
    if not browser:
        print("NOT MEASURED: it needs `pip install playwright` and `apt-get install chromium`")
        return
    started, rng, results = time.perf_counter(), np.random.default_rng(0), {}
    folder = pathlib.Path(tempfile.mkdtemp(prefix="benchmark-of-studio-"))
    export(folder)
    begun = time.perf_counter()
    process, url = start(["vae/digits", "style-gan/digits", *(str(folder / name) for name in UNTRAINED)])
    try:
        with sync_playwright() as playwright:
            with playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"]) as chromium:
                page = chromium.new_page(viewport={"width": 1440, "height": 900})
                ready(page, url, "vae-digits")
                results["command_to_first_picture_seconds"] = round(time.perf_counter() - begun, 2)
                for name in ("vae-digits", "style-gan-digits", *UNTRAINED):
                    key = name.removesuffix("-digits").replace("-", "_")
                    ready(page, url, name)
                    moves(page, 20, rng)  # the first requests prepare the graph
                    opened = [ready(page, url, name) for _ in range(5)]
                    results[f"{key}_first_picture_ms"] = round(float(np.median(opened)), 1)
                    times = moves(page, 200, rng)
                    for part in (50, 95):
                        results[f"{key}_p{part}_ms"] = round(float(np.percentile(times, part)), 1)
                ready(page, url, "vae-digits")
                session = page.context.new_cdp_session(page)
                moves(page, args.moves // 10, rng)
                page_before, server_before = heap_mib(session), resident_mib(process.pid)
                moves(page, args.moves - args.moves // 10, rng)
                results["page_growth_mib"] = round(heap_mib(session) - page_before, 2)
                results["server_growth_mib"] = round(resident_mib(process.pid) - server_before, 2)
        files = [path for path in STATIC.iterdir() if path.suffix in (".html", ".css", ".js", ".svg")]
        loaded = [len(urllib.request.urlopen(f"{url}{path.name}").read()) for path in files]
        results["page_kilobytes"] = round(sum(loaded) / 1e3, 1)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
    report(
        args.out, "benchmarks.studio", seed=0, protocol=" ".join(__doc__.split()), seconds=time.perf_counter() - started,
        results={**results, "moves": args.moves, "load_average": round(os.getloadavg()[0], 1)}, gates=GATES,
    )  # fmt: skip


if __name__ == "__main__":
    main()
