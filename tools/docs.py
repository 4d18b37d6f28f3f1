"""Writes the pages of the documentation site into a folder, with a mkdocs.yml that inherits from the one of the repository.

    python -m tools.docs build/docs

The pages in docs/ and a few others are copied, with their links changed. The pages of the models, the API, the gallery and
the benchmarks are made from docstrings, presets, records and the weights in zoo/. mkdocs then runs in an environment of its
own, which needs neither TensorFlow nor tfgen.
"""

import argparse
import functools
import importlib
import json
import os
import pathlib
import posixpath
import re
import shutil
import textwrap

import tfgen
from benchmarks.record import markdown_table
from benchmarks.reproduce import status
from tfgen import presets, pretrained
from tfgen.models import MODELS
from tfgen.models.capabilities import CAPABILITIES

ROOT = pathlib.Path(__file__).resolve().parents[1]

# The page of each file of the repository that is a page of the site; those in docs/ have their own names.
COPIED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "zoo/README.md": "zoo.md",
    "benchmarks/reproduce/README.md": "records.md",
    "LICENSE": "LICENSE",
    **{f"docs/{path.name}": path.name for path in sorted((ROOT / "docs").glob("*.md"))},
}
FAMILIES = {
    "autoencoders": "Autoencoders",
    "adversarial": "Adversarial networks",
    "autoregressive": "Autoregressive models",
    "translation": "Translation",
    "synthesis": "Synthesis",
    "compression": "Compression",
}
# Public names of the API by package; None: all that the package itself names.
API = {
    "tfgen": ["from_preset"],
    "tfgen.models": ["TrainableModel"],
    "tfgen.models.capabilities": None,
    "tfgen.models.preset": ["Preset"],
    "tfgen.presets": ["all_presets", "get", "names"],
    "tfgen.pretrained": ["names", "from_preset", "save_to_preset"],
    "tfgen.data": None,
    "tfgen.fields": None,
    "tfgen.training": None,
    "tfgen.sampling": None,
    "tfgen.metrics": None,
    "tfgen.export": None,
    "tfgen.onnx": None,
    "tfgen.card": None,
    "tfgen.features": None,
    "tfgen.networks": None,
    "tfgen.layers": None,
    "tfgen.losses": None,
    "tfgen.distributions": None,
    "tfgen_serving.client": ["Client", "ServingError"],
}
# Records that name no preset: what they are about.
ABOUT = {"glimpses": {"GlimpseClassifier"}, "claim_gaussians": {"WGAN", "WGANGP"}}
SAMPLES = 16  # of each model in the gallery

CAPABLE = """They determine the methods, the signatures of an export, and the metrics; see
[the API](../api/tfgen.models.capabilities.md)."""
MEASURED = """From all records in which it was trained or measured, alone or beside other models. [Records](../records.md)
says which of them today's code still gives."""
BENCHMARKS = """Every result that has a gate, from the records in `benchmarks/reproduce`. A gate is a bound that was set for
the result; one that is missed is shown as missed. [Records](records.md) says by which code each was made, and explains some
of the numbers; each record is a JSON file with its command, seed and protocol."""


# ---- Models


def family(name: str) -> str:
    return MODELS[name].__module__.split(".")[2]


def slug(name: str) -> str:
    """The name of a model's page: that of its file, or for a second class of the file that of the class."""
    stem = MODELS[name].__module__.rpartition(".")[2]
    first = next(other for other, cls in MODELS.items() if cls.__module__ == MODELS[name].__module__)
    return stem if name == first else f"{stem}_{name.lower()}"


known_presets = functools.cache(presets.all_presets)


def presets_of(name: str) -> dict:
    return {key: preset for key, preset in known_presets().items() if preset.model is MODELS[name]}


def records_of(name: str, records: dict) -> dict:
    """The records of trainings or measurements of a model."""
    return {key: record for key, record in records.items() if name in models_of(key, record)}


def models_of(key: str, record: dict) -> set[str]:
    """The names of the models that a record is about, found in the presets that it names."""
    known, found = known_presets(), set(ABOUT.get(key, ()))

    def search(value):
        if isinstance(value, dict):
            for entry in value.values():
                search(entry)
        elif isinstance(value, list):
            for entry in value:
                search(entry)
        elif isinstance(value, str) and value in MODELS:
            found.add(value)
        elif isinstance(value, str) and value in known:
            found.add(known[value].model.__name__)

    search([record.get("protocol"), record.get("trainings")])
    return found


def pictures_of(name: str, records: dict) -> list[str]:
    """The names of the pictures in docs/images that show a model: they begin with its page's name, or with a record's."""
    models, found = {slug(other): other for other in MODELS}, []
    for path in sorted((ROOT / "docs" / "images").iterdir()):
        # The longest name decides: pixel_cnn_autoencoder.png is no picture of PixelCNN. Models before records: DRAW's record
        # also has a VAE.
        model, record = (max((stem for stem in stems if f"{path.stem}_".startswith(f"{stem}_")), key=len, default=None)
                         for stems in (models, records))  # fmt: skip
        if models[model] == name if model else record and name in models_of(record, records[record]):
            found.append(path.name)
    return found


def weights_of(name: str) -> dict:
    """{preset: folder} of the trained models in zoo/ of a class."""
    return {preset: folder for preset, folder in zoo().items() if config_of(folder)["class_name"] == name}


@functools.cache
def zoo() -> dict:
    return pretrained._index(ROOT / "zoo")


def config_of(folder: pathlib.Path) -> dict:
    return json.loads((folder / pretrained.CONFIG).read_text())


def model_page(name: str, records: dict, cards: dict | None = None) -> str:
    """The page of a model, as Markdown.

    Args:
        name: a name in `MODELS`.
        records: {name: record}.
        cards: {preset: card} of the trained models in zoo/; None: the page has none.
    """
    cls = MODELS[name]
    title, _, text = importlib.import_module(cls.__module__).__doc__.strip().partition("\n")
    parts = [f"# {name}", prose(title), as_markdown(text.strip())]

    found = pictures_of(name, records)
    if found:
        parts.append("## Pictures")
        parts += [f"![{words(picture)}](../images/{picture})\n\n*`{picture}`*" for picture in found]

    uses = ", ".join(f"`{capability.NAME}`" for capability in CAPABILITIES if issubclass(cls, capability))
    parts += ["## Uses", f"Capabilities: {uses}. {CAPABLE}"]

    weights = weights_of(name)
    if weights:
        parts.append("## Trained weights")
    for preset, folder in weights.items():
        metadata = json.loads((folder / "metadata.json").read_text())
        metric = metadata["metric"]
        parts.append(
            f"`{preset}`: {metadata['parameters']:,} parameters, weights {metadata['weights']}, {metadata['dtype']}; "
            f"{metric['name']} {metric['value']:.4g} on {metadata['data']}."
        )
        parts.append(f"```python\n{example(preset)}```")
        if issubclass(cls, CAPABILITIES[0]):
            parts.append(f"![Samples of {preset}](../gallery/{folder.name}.png)")
        if cards:
            card = f"```json\n{json.dumps(cards[preset], indent=2)}\n```"
            parts.append(f'??? note "Card of {preset}"\n\n{textwrap.indent(card, "    ")}')

    parts += ["## Presets", preset_table(presets_of(name))]
    parts.append("`tfgen presets NAME` prints all settings of a preset, and `tfgen train --preset NAME` trains it.")

    parts.append("## Results")
    rows = result_rows(records_of(name, records))
    if rows:
        parts += [MEASURED, markdown_table(RESULTS, rows)]
    else:
        parts.append("No record is of this model: it is tested, but no training of it was measured.")
    parts += ["## API", f"::: {cls.__module__}.{name}"]
    return "\n\n".join(parts) + "\n"


def example(preset: str) -> str:
    """The code that loads the trained weights of a preset, and draws images if the model does that."""
    config = config_of(zoo()[preset])
    lines = ["import tfgen", "", f'model = tfgen.from_preset("{preset}")']
    if issubclass(MODELS[config["class_name"]], CAPABILITIES[0]):
        classes = config["config"].get("num_classes")
        given = f", labels=[i % {classes} for i in range({SAMPLES})]" if classes else ""
        if config["class_name"].startswith("StackGAN"):
            lines.append(f'named = tfgen.data.load("named:digits").take({SAMPLES})  # vectors of the names of classes')
            given = ', embedding=named.values("embedding")'
        lines.append(f"images = model.sample({SAMPLES}, seed=0{given})")
    return "\n".join(lines) + "\n"


def preset_table(found: dict) -> str:
    rows = []
    for name, preset in found.items():
        phases = [(0, preset.batch_size)] if isinstance(preset.batch_size, int) else preset.batch_size
        batch = " → ".join(str(size) for _, size in phases)
        shape = "×".join(map(str, preset.model_args.get("image_shape", ())))
        rows.append([f"`{name}`", f"`{preset.data}`", shape, f"{preset.steps:,}", batch, cell(preset.source),
                     cell(preset.paper or "-")])  # fmt: skip
    return markdown_table(["preset", "data", "images", "steps", "batch", "origin of the values", "the paper's result"], rows)


# ---- Records

RESULTS = ["record", "result", "value", "gate", "", "the paper", "date"]


def result_rows(records: dict) -> list[list[str]]:
    """One row for each result with a gate."""
    rows = []
    for name, record in records.items():
        paper = cell(record.get("paper") or "-")
        for result, gate in (record.get("gates") or {}).items():
            value, met = record["results"].get(result), (record.get("passed") or {}).get(result)
            number = f"{value:.4g}" if isinstance(value, int | float) else "-"
            verdict = {True: "met", False: "**missed**", None: "no number"}[met]
            rows.append([f"`{name}`", f"`{result}`", number, cell(gate), verdict, paper, record["date"][:10]])
            paper = ""  # once for each record
    return rows


def benchmark_page(records: dict) -> str:
    """All results with gates, by the kind of model."""
    parts = ["# Benchmarks", BENCHMARKS]
    rest = dict(records)
    for key, title in FAMILIES.items():
        names = [name for name in MODELS if family(name) == key]
        found = {name: rest.pop(name) for name in list(rest) if models_of(name, rest[name]) & set(names)}
        if found:
            links = [f"[{name}](models/{slug(name)}.md)" for name in names if records_of(name, found)]
            parts += [f"## {title}", f"Models: {', '.join(links)}.", markdown_table(RESULTS, result_rows(found))]
    parts += ["## Speed, memory, serving, and others", markdown_table(RESULTS, result_rows(rest))]
    return "\n\n".join(parts) + "\n"


# ---- Markdown


def prose(text: str) -> str:
    """Plain text of a docstring as Markdown: characters with a meaning are escaped outside of `code`; papers are links."""
    parts = re.split(r"(`[^`]+`)", text)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"[<>|]", lambda found: f"&#{ord(found[0])};", re.sub(r"([\\*_\[\]])", r"\\\1", parts[i]))
        parts[i] = re.sub(r"\barXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", parts[i])
    return "".join(parts)


def as_markdown(text: str) -> str:
    """The text of a docstring: indented lines are equations or code, and some paragraphs begin with a heading."""
    parts = []
    text = re.sub(r"\n(?=- )", "\n\n", text)  # a list needs a blank line before it
    for block in re.split(r"\n\s*\n", text):
        if block.startswith("    "):
            parts.append(block)
            continue
        lines = block.split("\n")
        if re.match(r"- |\d+\. ", lines[0]):
            parts.append("\n".join(map(prose, lines)))
            continue
        # An equation may follow a line of text without a blank line.
        equations = [line for line in lines if line.startswith("    ")]
        paragraph = " ".join(line for line in lines if line not in equations)
        heading = re.match(r"(The idea|What differs from [^:.]{1,60}): *", paragraph)
        if heading:
            parts.append(f"## {heading[1]}")
            paragraph = paragraph[heading.end() :]
            paragraph = paragraph[:1].upper() + paragraph[1:]
        parts += [prose(paragraph), "\n".join(equations)]
    return "\n\n".join(part for part in parts if part)


def cell(text: str) -> str:
    return prose(str(text).replace("\n", " "))


def words(picture: str) -> str:
    return pathlib.Path(picture).stem.replace("_", " ")


def outside_code(text: str, change) -> str:
    """`text` with `change` applied to all lines that are not in a block of code."""
    lines, fenced = [], False
    for line in text.split("\n"):
        if line.startswith("```"):
            fenced = not fenced
        lines.append(line if fenced or line.startswith("    ") else change(line))
    return "\n".join(lines)


def relinked(text: str, source: str) -> str:
    """The text of the file `source` of the repository as a page of the site: its links are those of the site.

    Raises:
        ValueError: a link that leads to no page and no picture of the site.
    """

    def change(found):
        target, _, anchor = found[1].partition("#")
        if re.match(r"[a-z]+:", target) or not target:
            return found[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if path.startswith("docs/images/") and (ROOT / path).is_file():
            page = path.removeprefix("docs/")
        else:
            page = COPIED.get(path) or COPIED.get(f"{path}/README.md")
        if page is None:
            raise ValueError(f"{source} has a link to {target}, which is no page of the site.")
        return f"]({page}{'#' + anchor if anchor else ''})"

    return outside_code(text, lambda line: re.sub(r"\]\(([^()\s]+)\)", change, line))


# ---- The site


def public(package: str) -> list[str]:
    """The functions and classes that are the API of a package."""
    module = importlib.import_module(package)
    names = API[package] or getattr(module, "__all__", None)
    if names is None:
        names = [name for name, value in vars(module).items()
                 if not name.startswith("_") and getattr(value, "__module__", None) == package]  # fmt: skip
    found = [name for name in names if callable(getattr(module, name)) and getattr(getattr(module, name), "__doc__", None)]
    return [name for name in found if getattr(getattr(module, name), "__module__", "").startswith(package.partition(".")[0])]


def api_page(package: str) -> str:
    module = importlib.import_module(package)
    parts = [f"# {package}", as_markdown((module.__doc__ or "").strip())]
    for name in public(package):
        value = getattr(module, name)
        parts.append(f"::: {value.__module__}.{value.__qualname__}")
    return "\n\n".join(parts) + "\n"


def models_page() -> str:
    parts = ["# Models", "One page for each model: idea, equations, what differs from the paper, presets, results, API."]
    for key, title in FAMILIES.items():
        rows = []
        for name in MODELS:
            if family(name) == key:
                line = importlib.import_module(MODELS[name].__module__).__doc__.strip().partition("\n")[0]
                rows.append([f"[{name}]({slug(name)}.md)", cell(line), len(presets_of(name)), len(weights_of(name)) or "-"])
        parts += [f"## {title}", markdown_table(["model", "", "presets", "trained weights"], rows)]
    return "\n\n".join(parts) + "\n"


def gallery_page() -> str:
    parts = ["# Gallery", "Images that the models in `zoo/` drew when this site was built, by the code that is shown. "
             "Most are of 8x8 digits."]  # fmt: skip
    for name in MODELS:
        for preset, folder in weights_of(name).items():
            if issubclass(MODELS[name], CAPABILITIES[0]):
                parts += [f"## {preset}", f"[{name}](models/{slug(name)}.md)", f"```python\n{example(preset)}```",
                          f"![Samples of {preset}](gallery/{folder.name}.png)"]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def pages(records: dict, cards: dict | None = None) -> dict[str, str]:
    """{path: Markdown} of all pages of the site."""
    found = {page: relinked((ROOT / source).read_text(), source) for source, page in COPIED.items()}
    found["models/index.md"] = models_page()
    found |= {f"models/{slug(name)}.md": model_page(name, records, cards) for name in MODELS}
    found |= {f"api/{package}.md": api_page(package) for package in API}
    found |= {"gallery.md": gallery_page(), "benchmarks.md": benchmark_page(records)}
    return found


def navigation() -> list[dict]:
    """The navigation, in the form of mkdocs."""
    models = [{"Overview": "models/index.md"}]
    models += [
        {title: [{name: f"models/{slug(name)}.md"} for name in MODELS if family(name) == key]}
        for key, title in FAMILIES.items()
    ]
    return [
        {"Start": "index.md"},
        {"Tutorials": [{"Write Keras": "tutorial-keras.md"}, {"Run pipelines": "tutorial-pipelines.md"},
                       {"Call a served model": "tutorial-serving.md"}]},
        {"Help": "help.md"},
        {"Models": models},
        {"Gallery": "gallery.md"},
        {"Guides": [{"Data": "data.md"}, {"Metrics": "metrics.md"}, {"Serving": "serving.md"}, {"Studio": "studio.md"},
                    {"ONNX files": "onnx.md"}, {"Several workers": "workers.md"}, {"GPUs": "gpus.md"},
                    {"Engines of Beam": "beam.md"}, {"Kubeflow": "kubeflow.md"}, {"How tfgen is built": "architecture.md"}]},
        {"Results": [{"Benchmarks": "benchmarks.md"}, {"Records": "records.md"}, {"Claims of the papers": "claims.md"},
                     {"Trained models": "zoo.md"}]},
        {"API": [{package: f"api/{package}.md"} for package in API]},
        {"Project": [{"Contributing": "contributing.md"}, {"Changes": "changelog.md"}]},
    ]  # fmt: skip


def draw_gallery(folder: pathlib.Path) -> dict:
    """Runs the code of the gallery, writes its pictures to a folder, returns the cards {preset: card}."""
    cards = {}
    for name in MODELS:
        for preset, weights in weights_of(name).items():
            print(f"gallery: {preset}", flush=True)
            names = {}
            exec(example(preset), names)
            cards[preset] = tfgen.card.card(names["model"])
            if "images" in names:
                size = max(1, 48 // names["images"].shape[1])
                tfgen.sampling.save_png(folder / f"{weights.name}.png", names["images"], columns=8, scale=size)
    return cards


def build(folder: pathlib.Path) -> None:
    """Writes all pages, pictures and the settings of mkdocs."""
    source = folder / "pages"
    shutil.rmtree(source, ignore_errors=True)
    records = status.records()
    cards = draw_gallery(source / "gallery")
    shutil.copytree(ROOT / "docs" / "images", source / "images")
    found = pages(records, cards)
    found["records.md"] = relinked(status.readme(records)[1], "benchmarks/reproduce/README.md")  # states by today's code
    for name, text in found.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    settings = {"INHERIT": os.path.relpath(ROOT / "mkdocs.yml", folder), "docs_dir": "pages", "site_dir": "site"}
    (folder / "mkdocs.yml").write_text(json.dumps(settings | {"nav": navigation()}, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    build(parser.parse_args().folder.resolve())
