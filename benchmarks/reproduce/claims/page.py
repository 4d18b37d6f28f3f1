"""docs/claims.md: its sections and its overview, made from the records; the words between them are written by hand."""

import importlib
import json
import pathlib
import re

from benchmarks.record import ROOT, filled, judged, markdown_table

PAGE = ROOT / "docs/claims.md"
BEGIN, END = "<!-- {}: from its record -->", "<!-- end of {} -->"
OVERVIEW = "overview"


def claim(name: str):
    """The module of a claim, by its name with hyphens."""
    return importlib.import_module(f"{__package__}.{name.replace('-', '_')}")


def record(name: str, folder: pathlib.Path = ROOT / "benchmarks/reproduce") -> dict | None:
    """The record of a claim, or what its `compare` makes of several; None if there is none yet, or one is missing."""
    module = claim(name)
    wanted = getattr(module, "RECORD", "claim_" + name.replace("-", "_"))
    paths = {one: folder / f"{one}.json" for one in ([wanted] if isinstance(wanted, str) else wanted)}
    if not all(path.exists() for path in paths.values()):
        return None
    found = {one: json.loads(path.read_text()) for one, path in paths.items()}
    if isinstance(wanted, str):
        return found[wanted]
    results = module.compare(found)
    return {"results": results, **judged(results, module.GATES)}


def section(name: str, found: dict) -> str:
    """The figure and the table of a claim."""
    module = claim(name)
    return f"![{module.CAPTION}](images/claim_{name.replace('-', '_')}.png)\n\n{module.table(found)}"


def rebuilt(text: str, records: dict[str, dict]) -> str:
    """The page with the sections of these records, {name: record}, and the overview, made again.

    Raises:
        ValueError: the page lacks the lines between which a section stands.
    """
    for name, found in records.items():
        text = filled(text, BEGIN.format(name), END.format(name), section(name, found))
    return filled(text, BEGIN.format(OVERVIEW), END.format(OVERVIEW), _overview(text, records))


def _overview(text, records):
    rows = []
    for heading, body in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL):
        name = re.search(r"<!-- ([\w-]+): from its record -->", body)
        if name is None:
            continue
        paper = re.match(r"\s*([A-Z].{3,60}?\d{4})\b", body)
        anchor = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        rows.append([f"[{heading}](#{anchor})", paper[1] if paper else "-", _verdict(records.get(name[1]))])
    return markdown_table(["what", "paper", "seen at this size"], rows)


def _verdict(found):
    if found is None:
        return "not measured yet"
    missed = [name.replace("_", " ") for name, passed in found["passed"].items() if not passed]
    return f"in part; missed: {', '.join(missed)}" if missed else "yes"
