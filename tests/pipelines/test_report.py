import html.parser
import json
import re

import numpy as np
import pytest

import tfgen
from tfgen_pipelines import data as data_lib
from tfgen_pipelines import report
from tfgen_pipelines.components.generative_evaluator import figures

EVIL = "<script>alert('x')</script>"


class Checker(html.parser.HTMLParser):
    """Every tag is closed in order; notes all tags, and attributes that load something."""

    VOID = ("meta", "img", "br")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.loads = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [v for k, v in attrs if k in ("src", "href", "xlink:href", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def record(tmp_path):
    images = np.random.default_rng(0).random((20, 8, 8, 1))
    figures.write_samples(tmp_path / "samples.png", images)
    figures.write_samples(tmp_path / "real.png", images)
    figures.write_neighbours(tmp_path / "neighbours.png", images, tfgen.data.from_arrays(images))
    pictures = [(step, str(tmp_path / f"step-{step}.png")) for step in range(100, 1000, 100)]
    for _, path in pictures:
        figures.write_samples(path, images)
    metric = {"value": 3.5, "real": 0.5, "untrained": 70.0, "baseline": None, "protocol": "samples"}
    content = {
        "model": {"model": "VAE", "step": 10, "weights": "ema", "seed": 0, "binarization": EVIL},
        "data": EVIL,
        "classifier": {"accuracy": 0.987, "weights_hash": "0", "description": "classifier-cnn-32"},
        "metrics": {
            "frechet_classifier_distance": metric,
            EVIL: {**metric, "value": None, "baseline": 2.25},
        },
        "common": {"values": {"frechet_classifier_distance": 4.5}, "protocol": {"n_fake": 397, "weights": "ema"}},
        "class_shares": [0.5, 0.25, 0.25],
        "protocols": {"samples": {"n_fake": 397, "data": EVIL}, "likelihood": {}},
        "verdict": {
            "outcome": "UNJUDGED",
            "by_default": True,
            "checks": [
                {
                    "metric": EVIL,
                    "rule": "finite",
                    "bound": None,
                    "value": None,
                    "passed": False,
                    "reason": EVIL,
                },
                {
                    "metric": "recall", "rule": "relative_to_real", "bound": 0.4, "value": 0.5, "passed": None,
                    "reason": "too few",
                },
            ],
        },
        "baseline": {"note": ""},
        "notes": [EVIL],
    }
    model = {
        "outcome": "NOT BLESSED", "blessed": False, "reasons": [EVIL], "warnings": [f"weak classifier {EVIL}"],
        "pushed": None, "pushed_now": False, "parameters": 1234567,
        "pictures": pictures, "evaluation": str(tmp_path), "metrics": "",
        "samples": "", "model": "", "content": content,
        "history": [{"step": s, "loss": 30.0 / s if s != 3 else float("nan")} for s in range(1, 11)],
    }  # fmt: skip
    return {
        "run": EVIL,
        "components": {
            "ImageExampleGen": {"state": "cached", "seconds": 0.04, "made_in": 5.67, "outputs": {}},
            EVIL: {"state": "complete", "seconds": 12.34, "made_in": 12.34, "outputs": {}},
            "LastBlessed.vae-digits": {"state": "complete", "seconds": 0.1, "made_in": 0.1, "outputs": {}},
        },
        "models": {
            "vae/digits": model,
            EVIL: {**model, "outcome": "UNJUDGED", "pushed": f"/models/vae/12{EVIL[1:7]}", "history": [], "pictures": []},
        },
        "anomalies": [("train", EVIL, "Unexpected values")],
        "versions": {"tensorflow": "2.16.2"},
        "command": f"tfgen demo --data {EVIL}",
        "settings": {"data": EVIL},
    }


@pytest.fixture
def data():
    return data_lib.Data(
        spec=EVIL, image_shape=(8, 8, 1), fingerprint="f", num_classes=2, class_names=(EVIL, "b"),
        num_examples=(20, 10),
        statistics={"class_counts": [[5, 15], [4, 6]], "pixel_mean": 0.5, "pixel_std": 0.25,
                    "pixel_histogram": [1 / 16] * 16, "skipped": [(EVIL, "not an image")]},
    )  # fmt: skip


def test_well_formed_self_contained_and_escaped(record, data, tmp_path):
    report.write(tmp_path / "report.html", record, data)
    page = (tmp_path / "report.html").read_text()
    checker = Checker()
    checker.feed(page)
    assert checker.open == [] and page.startswith("<!DOCTYPE html>")
    assert "script" not in checker.tags and "link" not in checker.tags
    assert all(v.startswith(("data:image/png;base64,", "#")) for v in checker.loads)
    assert not re.search(r"@import|url\(", page)
    assert "&lt;script&gt;alert" in page


def test_says_what_a_reader_looks_for(record, data):
    page = report.render(record, data)
    for text in ("NOT BLESSED", "98.70%", "397", "70", "not finite", "2.25", "12.3", "5.7", "2.16.2", "Unexpected values",
                 "Training images per class", "not an image", "Untrained", "Real images", "loss (last 3)"):  # fmt: skip
        assert text in page, text
    # Of each model samples, real images and neighbours, and four grids of one's training, the last among them.
    assert page.count("data:image/png") == 2 * 3 + 4 and "LastBlessed" not in page
    assert [f"step {step}<" in page for step in (200, 400, 700, 900, 100)] == [True] * 4 + [False]
    assert "No history was recorded" in page


def test_warnings_axes_hardware_parameters_and_how_to_serve(record, data):
    page = report.render(record, data)
    for text in ("UNJUDGED", "undecided", "weak classifier", "1,234,567 parameters", "1 of 31 files skipped", "tfgen demo",
                 "--model_base_path=/models/vae ", "tf.saved_model.load", ">step</text>", ">loss</text>", ">class</text>",
                 "share of the samples", "CPUs", "memory", "Without a model", "default thresholds"):  # fmt: skip
        assert text in page, text
    # The classes of the samples by name; the classifier knows three, the data two.
    record["models"]["vae/digits"]["content"]["class_shares"] = [0.9, 0.1]
    shown = report.render(record, data).split("Classes of the samples")[1].split("</svg>")[0]
    assert "&lt;script&gt;" in shown and ">b</text>" in shown


def test_only_numbers_of_one_protocol_are_compared(record, data):
    def table(page):
        return page.split("Comparison of the models")[1].split("</section>")[0]

    contents = [model["content"] for model in record["models"].values()]
    record["models"][EVIL]["content"] = contents[1] = json.loads(json.dumps(contents[0]))
    contents[1]["common"] = {"values": {"frechet_classifier_distance": 17.25}, "protocol": {"n_fake": 397, "weights": "raw"}}
    page = table(report.render(record, data))
    assert ">4.5<" in page and ">17.25<" in page and ">3.5<" not in page
    contents[1]["common"]["protocol"]["n_fake"] = 100
    page = table(report.render(record, data))
    assert ">17.25<" not in page and "different protocols" in page
    del record["models"][EVIL]
    assert "Comparison" not in report.render(record, data)


def test_curves_have_a_gap_where_a_value_is_not_finite():
    svg = report.curves([{"step": s, "loss": float("inf") if s == 2 else 1.0 * s} for s in range(5)])
    path = re.search(r'stroke-width="1.6" d="([^"]*)"', svg).group(1)
    assert path.count("M") == 2 and path.count("L") == 2
    assert "nan" not in svg and "inf" not in svg
    assert report.curves([{"step": 1, "loss": float("nan")}]) == report.curves([])
