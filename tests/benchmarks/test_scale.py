"""benchmarks.scale: what is made of the numbers, on numbers whose answers are known."""

import argparse
import json

import pytest

from benchmarks import scale


def test_costs_of_an_image_of_a_step_and_of_the_pipeline():
    args = argparse.Namespace(sizes=(100, 200, 600), steps=(10, 30), many=(100, 1100), worker_steps=(5, 10))

    def components(size):
        parts = {"resolve": 1.0 + 0.001 * size, "ImageExampleGen": 2.0 + 0.002 * size, "Trainer.vae-mnist": 7.0}
        return {name: {"cpu_seconds": cpu, "peak_gib": 1.0 + size / 1000} for name, cpu in parts.items()}

    found = {
        "pipeline": {str(size): {"cpu_seconds": 100.0 + size, "components": components(size)} for size in args.sizes},
        "training": {"10": {"cpu_seconds": 20.0}, "30": {"cpu_seconds": 22.0}},
        "evaluator": {str(n): {"cpu_seconds": 10.0 * n, "values": {"fid": 1.0 + 0.5 * (n - 1)}} for n in (1, 2)},
        "million": {"100": {"cpu_seconds": 1.0, "peak_gib": 1.0}, "1100": {"cpu_seconds": 3.0, "peak_gib": 1.5}},
        "workers": {f"{n}-{m}": {"cpu_seconds": 1.0 + n * m, "seconds": 2.0 + m} for n in (1, 2) for m in (5, 10)},
    }  # fmt: skip
    results = scale.summed(found, args)
    assert results["ingest_ms_an_image"] == pytest.approx(3.0) and results["ingest_flat"] == pytest.approx(1.0)
    assert results["largest_peak_ratio"] == pytest.approx(1.6 / 1.1)
    assert results["training_ms_a_step"] == pytest.approx(100.0)
    assert results["overhead_cpu_seconds"] == pytest.approx(680.0)
    assert results["overhead_of_the_pipeline"] == pytest.approx(680.0 / (0.1 * 90_000))
    assert results["evaluator_two_over_one"] == pytest.approx(2.0)
    assert results["evaluator_largest_difference"] == pytest.approx(0.5)
    assert results["million_peak_ratio"] == pytest.approx(1.5) and results["million_ms_an_image"] == pytest.approx(2.0)
    assert results["a_step_of_workers"] == {1: {"cpu_seconds": 1.0, "seconds": 1.0}, 2: {"cpu_seconds": 2.0, "seconds": 1.0}}
    assert results["costs_extrapolated"]["1,000,000"]["ingest_cpu_hours"] == pytest.approx(3000.0 / 3600)


def test_the_peak_of_memory_begins_anew():
    before = scale.peak_gib()
    held = bytearray(200 << 20)
    assert scale.peak_gib() > before + 0.15
    del held
    scale.forget_peak()
    assert scale.peak_gib() < before + 0.1


def test_the_page_has_the_tables_of_the_record():
    text = scale.PAGE.read_text()
    assert scale.rebuilt(text, json.loads(scale.RECORD.read_text())) == text, "run `python -m benchmarks.scale --page`"
