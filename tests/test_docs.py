"""The pages of the documentation site; mkdocs, which is not needed here, checks anchors and the API's names."""

import importlib
import json
import pathlib
import posixpath
import re

import pytest

from benchmarks.reproduce import status
from tfgen.models import MODELS
from tools import docs

ROOT = pathlib.Path(__file__).parents[1]
RECORDS = status.records()
LINK = re.compile(r"!?\[[^\]]*\]\(([^()\s#]*)(?:#[^()\s]*)?\)")


@pytest.fixture(scope="module")
def pages():
    return docs.pages(RECORDS)


def links(text):
    """The links of a page that lead to no other host."""
    found = []
    docs.outside_code(text, lambda line: found.extend(LINK.findall(line)) or line)
    return [target for target in found if target and not re.match(r"[a-z]+:", target)]


def listed(entries):
    """The pages in a navigation."""
    for entry in entries:
        for value in entry.values():
            yield from [value] if isinstance(value, str) else listed(value)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_a_page(pages, name):
    page = pages[f"models/{docs.slug(name)}.md"]
    first = importlib.import_module(MODELS[name].__module__).__doc__.partition("\n")[0]
    assert page.startswith(f"# {name}\n\n{docs.prose(first)}\n") and "## Presets" in page and "## Results" in page
    assert "## The idea" in page or name in ("FractalNet", "GlimpseClassifier")  # which have it without these words
    assert f"::: {MODELS[name].__module__}.{name}\n" in page
    assert all(f"| `{preset}` |" in page for preset in docs.presets_of(name))
    assert all(f'tfgen.from_preset("{preset}")' in page for preset in docs.weights_of(name))


def test_all_records_are_in_the_tables(pages):
    for name, record in RECORDS.items():
        for result in record.get("gates") or {}:
            value = record["results"].get(result)
            shown = f"{value:.4g}" if isinstance(value, int | float) else "-"
            assert f"| `{name}` | `{result}` | {shown} |" in pages["benchmarks.md"]


def test_a_picture_belongs_to_the_longest_name():
    assert docs.pictures_of("PixelCNN", RECORDS) == ["claim_blind_spot.png"]
    assert docs.pictures_of("PixelCNNAutoencoder", RECORDS) == ["pixel_cnn_autoencoder.png"]
    assert "draw_digits.png" not in docs.pictures_of("VAE", RECORDS)  # whose record has a VAE to compare with


@pytest.mark.parametrize(
    "preset", [name if name == "stack-gan-v2/mnist" else pytest.param(name, marks=pytest.mark.long) for name in docs.zoo()]
)
def test_the_code_of_the_gallery_runs(preset):
    names = {}
    exec(docs.example(preset), names)
    if "images" in names:
        assert names["images"].shape == (docs.SAMPLES, *names["model"].image_shape)


def test_links_lead_to_pages_and_pictures(pages):
    drawn = {f"gallery/{folder.name}.png" for folder in docs.zoo().values()}
    pictures = {f"images/{path.name}" for path in (ROOT / "docs" / "images").iterdir()}
    for name, text in pages.items():
        for target in links(text):
            assert posixpath.normpath(posixpath.join(posixpath.dirname(name), target)) in {*pages, *drawn, *pictures}, name


@pytest.mark.parametrize("source", docs.COPIED)
def test_links_of_the_files_themselves(source):
    path = ROOT / source
    assert not [target for target in links(path.read_text()) if not path.parent.joinpath(target).exists()]


@pytest.mark.parametrize("source", docs.COPIED)
def test_lists_begin_after_a_blank_line(source):
    """Else the site shows them as running text, unlike GitHub."""
    assert not re.findall(r"^(?!- |  |\n).+\n- .*", (ROOT / source).read_text(), re.MULTILINE)


def test_a_link_to_nothing_is_an_error():
    with pytest.raises(ValueError, match="docs/data.md has a link to nothing.md"):
        docs.relinked("See [this](nothing.md).", "docs/data.md")
    assert docs.relinked("[a](../README.md#models) [b](images/samples.png)", "docs/data.md") == (
        "[a](index.md#models) [b](images/samples.png)"
    )
    assert docs.relinked("```\n[a](nothing.md)\n```", "docs/data.md") == "```\n[a](nothing.md)\n```"


def test_the_navigation_has_every_page(pages):
    found = list(listed(docs.navigation()))
    assert sorted(found) == sorted(set(pages) - {"LICENSE"})
    json.dumps(docs.navigation())  # it is written into mkdocs.yml


def test_prose_is_not_taken_for_markup():
    assert docs.prose("q(z|x) < *a* [0, 1] `a_b < c`") == r"q(z&#124;x) &#60; \*a\* \[0, 1\] `a_b < c`"
    assert docs.prose("2013, arXiv:1312.6114.") == "2013, [arXiv:1312.6114](https://arxiv.org/abs/1312.6114)."
    assert docs.as_markdown("The idea: an\nencoder.\n\n    x = y * z") == "## The idea\n\nAn encoder.\n\n    x = y * z"
