"""The house: what is installed, locked, built and promised by the README."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.markers import Marker

import monitor

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "monitor"

pytest_plugins = ["pytester"]


def tracked_files() -> list[Path]:
    """Files under version control, or all of an unpacked source archive."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str | None:
    """The text of a file, None for a binary one."""
    data = path.read_bytes()
    return None if b"\0" in data else data.decode("utf-8", errors="replace")


def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def locked() -> dict[str, list[str]]:
    """Lines of the lock by package: the pin first, then its hashes."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    entries = [line.split(" --hash=") for line in lines if line and not line.startswith("#")]
    return {entry[0].split("==")[0]: [part.strip() for part in entry] for entry in entries}


# --- the lock ---------------------------------------------------------------------------------------------


def test_the_lock_names_no_address():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"://|@ |^-|--index|--find-links|file:", text, re.MULTILINE)


def test_every_line_of_the_lock_is_one_version_with_its_hashes():
    for name, (pin, *hashes) in locked().items():
        assert re.fullmatch(r"[a-z0-9-]+==[\w.!+]+( ; .+)?", pin), pin
        assert hashes, f"{name} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes), name


def test_the_lock_holds_every_dependency_within_its_bounds():
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = pyproject()["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    wanted += pyproject()["build-system"]["requires"]
    pins = locked()
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} is not in requirements.lock; run `make lock`"
        version = pins[name][0].split(" ; ")[0].split("==")[1]
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement} against {version}"


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_the_lock_is_the_same_set_on_every_supported_python(python, system):
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": system,
        "platform_python_implementation": "CPython",
    }
    left_out = {
        name
        for name, (pin, *_) in locked().items()
        if " ; " in pin and not Marker(pin.split(" ; ")[1]).evaluate(environment)
    }
    assert left_out <= {"colorama"}  # a Windows terminal's


# --- the wheel --------------------------------------------------------------------------------------------


def test_the_wheel_works_alone(tmp_path):
    """Every file of the package is in the wheel, and nothing else but its metadata."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("city_emissions_monitor-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {path.relative_to(ROOT).as_posix() for path in tracked_files() if path.is_relative_to(PACKAGE)}
    assert expected <= names
    assert all(name.startswith(("monitor/", "city_emissions_monitor-")) for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_every_reader_in_the_entry_points_can_be_imported():
    from monitor.plugins import get_reader

    for name in pyproject()["project"]["entry-points"]["monitor.readers"]:
        assert get_reader(name).name == name


def test_the_newest_entry_of_the_changelog_is_the_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == monitor.__version__


# --- what the pages promise -------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_a_page_names_exists(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE))
    assert named
    assert named <= targets


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/index.md", "docs/inversion.md"])
def test_every_file_that_a_page_links_to_exists(page):
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{page} links to {target}"


def test_no_file_names_a_place_on_somebodys_machine():
    home = re.compile(r"(?<![\w.<>{}$/)-])/(?:home|Users|root|work|scratch)/[\w.]+")
    found = {
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in tracked_files()
        if path != Path(__file__).resolve()
        for match in home.finditer(text_of(path) or "")
    }
    assert not found


def test_no_real_measurement_was_copied_into_the_repository():
    large = {
        str(path.relative_to(ROOT))
        for path in tracked_files()
        if path.stat().st_size > 1_000_000 and path.suffix in {".nc", ".dat", ".csv", ".zip", ".h5"}
    }
    assert not large


# --- real data --------------------------------------------------------------------------------------------


def test_the_real_data_say_where_they_came_from(real_data):
    assert (real_data / "SOURCES.md").is_file()


INNER_TESTS = """
    import pytest

    def test_uses_the_fixture(real_data):
        assert real_data.is_dir()

    @pytest.mark.real_data
    def test_has_the_marker():
        pytest.skip("the file is not there")

    def test_without_real_data():
        pytest.skip("another reason")
"""


@pytest.fixture
def inner(pytester, monkeypatch):
    """A small project with our conftest and three tests."""
    monkeypatch.delenv("MONITOR_REAL_DATA", raising=False)
    monkeypatch.delenv("MONITOR_REQUIRE_REAL_DATA", raising=False)
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nmarkers = real_data: needs data")
    pytester.makepyfile(INNER_TESTS)
    return pytester


def test_on_a_users_machine_real_data_tests_skip_with_a_reason(inner):
    result = inner.runpytest("-rs")
    result.assert_outcomes(skipped=3)
    result.stdout.fnmatch_lines(["*MONITOR_REAL_DATA is not set*"])


def test_where_real_data_are_required_a_skip_is_a_failure(inner, monkeypatch, tmp_path):
    monkeypatch.setenv("MONITOR_REAL_DATA", str(tmp_path))
    monkeypatch.setenv("MONITOR_REQUIRE_REAL_DATA", "1")
    result = inner.runpytest()
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines(["*must not skip*the file is not there*"])


def test_where_real_data_are_required_their_absence_is_a_failure(inner, monkeypatch):
    monkeypatch.setenv("MONITOR_REQUIRE_REAL_DATA", "1")
    result = inner.runpytest()
    result.assert_outcomes(errors=2, skipped=1)


def test_where_real_data_are_required_a_module_may_not_skip_itself(inner, monkeypatch, tmp_path):
    monkeypatch.setenv("MONITOR_REAL_DATA", str(tmp_path))
    monkeypatch.setenv("MONITOR_REQUIRE_REAL_DATA", "1")
    inner.makepyfile(
        test_absent="import pytest\npytest.importorskip('no_such_library')\ndef test_a(real_data): ..."
    )
    result = inner.runpytest("test_absent.py")
    result.assert_outcomes(errors=1)


@pytest.mark.skipif(os.name != "posix", reason="CI's entry is a shell script")
def test_ci_says_what_is_missing_when_there_are_no_real_data(tmp_path):
    script = tmp_path / "repository" / ".ci" / "run"
    script.parent.mkdir(parents=True)
    script.write_text((ROOT / ".ci" / "run").read_text(encoding="utf-8"), encoding="utf-8")
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "shared/data" in done.stderr
