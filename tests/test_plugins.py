"""Claims about plug-ins: readers are found by name, and what is no reader is refused."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from monitor import plugins
from monitor.errors import ConfigError

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def declared_readers() -> dict[str, str]:
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    points: dict[str, str] = project["entry-points"]["monitor.readers"]
    return points


@pytest.mark.parametrize(("name", "target"), declared_readers().items())
def test_each_declared_entry_point_is_a_reader_of_that_name(name: str, target: str) -> None:
    module, _, attribute = target.partition(":")
    reader = getattr(import_module(module), attribute)
    assert isinstance(reader, plugins.Reader)
    assert reader.name == name and reader.kind in plugins.KINDS and reader.description


def test_a_reader_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = plugins.Reader("mine", "observations", lambda path, context: None)  # type: ignore[arg-type, return-value]
    monkeypatch.setattr(plugins, "_entry_points", lambda: {"mine": SimpleNamespace(load=lambda: reader)})
    assert plugins.reader_names() == ["mine"]
    assert plugins.get_reader("mine") is reader


def test_an_unknown_reader_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="no reader is called 'gcwerk'") as caught:
        plugins.get_reader("gcwerk")
    assert caught.value.exit_code == 78


def test_what_is_no_reader_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_entry_points", lambda: {"mine": SimpleNamespace(load=lambda: "a text")})
    with pytest.raises(ConfigError, match="is not a monitor.plugins.Reader"):
        plugins.get_reader("mine")
