"""The page of the claims is that of the records."""

import re

import pytest

from benchmarks.reproduce.claims import page
from benchmarks.reproduce.claims.__main__ import NAMES

RECORDS = {name: found for name in NAMES if (found := page.record(name))}


def test_the_page_is_made_of_the_records():
    text = page.PAGE.read_text()
    assert page.rebuilt(text, RECORDS) == text, "run `python -m benchmarks.reproduce.claims page`"


def test_every_claim_has_a_section_and_every_section_a_claim():
    found = re.findall(r"<!-- ([\w-]+): from its record -->", page.PAGE.read_text())
    assert sorted(found) == sorted([*NAMES, page.OVERVIEW])


def test_a_number_that_was_changed_by_hand_is_found():
    text = page.PAGE.read_text()
    changed = text.replace("4.24 after 50 steps", "40.24 after 50 steps")
    assert changed != text and page.rebuilt(changed, RECORDS) == text


def test_a_section_that_is_missing_is_named():
    with pytest.raises(ValueError, match="must have the lines '<!-- [a-z-]+: from its record -->'"):
        page.rebuilt("# Claims", RECORDS)


def test_a_claim_of_several_records_needs_all_of_them_and_is_judged(tmp_path):
    names = page.claim("likelihoods").RECORD
    for name in names:
        assert page.record("likelihoods", tmp_path) is None
        (tmp_path / f"{name}.json").write_text((page.ROOT / f"benchmarks/reproduce/{name}.json").read_text())
    found = page.record("likelihoods", tmp_path)
    assert found == RECORDS["likelihoods"] and found["passed"]["gated_minus_diagonal"] is False
