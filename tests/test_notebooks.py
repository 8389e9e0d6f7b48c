"""The notebooks run, and what they show is what they give."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
#: A number in a text, with its thousands' commas, minus or dash.
NUMBER = re.compile(r"(?<![\w.])[-−]?\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?")


def module_of(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed(notebook: dict) -> list[str]:
    """Lines of text of all outputs, titles of the figures among them, in order."""
    texts = [
        output.get("text") or output["data"]["text/plain"]
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
    ]
    return [line for text in texts for line in "".join(text).splitlines()]


def numbers(line: str) -> list[float]:
    return [float(found.replace(",", "").replace("−", "-")) for found in NUMBER.findall(line)]


@pytest.fixture(autouse=True)
def as_they_were():
    """The style that a notebook sets is its own."""
    with matplotlib.rc_context():
        yield


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["diagnostics", "first_inversion", "own_arrays"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_what_its_code_gives(path):
    """To 2 % and one in the last place of each number: a climb does not end at the same point everywhere."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    fresh = module_of("execute_notebooks").execute(stored)
    before, after = printed(stored), printed(fresh)
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        if old.startswith("time ") or "differ by" in old:  # the machine's, and rounding
            continue
        assert NUMBER.sub("0", old).split() == NUMBER.sub("0", new).split()
        apart = np.abs(np.subtract(numbers(new), numbers(old)))
        assert (apart <= 0.02 * np.abs(numbers(old)) + last_places(old)).all(), f"{old}\nis now\n{new}"


def last_places(line: str) -> np.ndarray:
    """One unit in the last place of each number."""
    return np.array([10.0 ** -len(found.partition(".")[2]) for found in NUMBER.findall(line)])


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_was_run_from_top_to_bottom(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    count = [cell["execution_count"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert count == list(range(1, len(count) + 1))
    assert path.stat().st_size < 200_000
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    assert any("image/png" in o.get("data", {}) for c in notebook["cells"] for o in c.get("outputs", ()))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_of_a_notebook_lead_somewhere(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    text = "".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    targets = re.findall(r"\]\(([^)#\s]+)", text)
    assert targets
    assert all((path.parent / target).exists() for target in targets if "://" not in target)
