"""The documentation says what the code does: every setting, every exit code."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from monitor import errors

ROOT = Path(__file__).resolve().parents[1]


def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate_configuration.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def exit_codes() -> set[int]:
    """Those of all errors, and the ones that are no error's."""
    found, queue = set(), [errors.MonitorError]
    while queue:
        kind = queue.pop()
        found.add(kind.exit_code)
        queue += kind.__subclasses__()
    return found | {0, errors.EXIT_WITHHELD}


def test_the_configuration_page_is_what_the_models_say():
    module = generator()
    fresh = module.page()
    assert fresh == module.PAGE.read_text(encoding="utf-8"), "run: python docs/generate_configuration.py"


def test_every_setting_has_words():
    rows = re.findall(r"^\| `\w+` \|(.*?)\|", generator().page(), re.MULTILINE)
    assert len(rows) > 100
    assert all(words.strip() for words in rows)


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md"])
def test_every_exit_code_is_documented(page):
    table = re.findall(r"^\| (\d+) \|", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert {int(code) for code in table} == exit_codes()


def test_every_reason_code_is_documented():
    from monitor.compare.verdict import REASONS

    page = (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8")
    assert {code for code in REASONS if f"`{code}`" not in page} == set()
