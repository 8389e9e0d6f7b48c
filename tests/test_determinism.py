"""The same inputs give the same verdicts: the same bytes here, the same six digits on another processor."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent / "service"))

from mini_city import write_judged_city

#: Kernels without wide vectors: other orders of summation, as on an older processor.
OTHER_PROCESSOR = {"OPENBLAS_CORETYPE": "Nehalem", "NUMBA_CPU_NAME": "generic"}


def evaluated(folder: Path, **environment: str) -> str:
    """What `monitor claims evaluate` prints in a process of its own, from files of its own."""
    city = write_judged_city(folder / "city")
    words = ["claims", "evaluate", str(city.config), "--from", "2020-01-06", "--to", "2020-01-08", "--json"]
    words += ["--data", str(city.data), "--workdir", str(city.workdir)]
    run = subprocess.run(
        [sys.executable, "-c", "from monitor.cli import main; main()", *words],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every number and word of a document with where it stands; digests belong to the bytes."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if "digest" not in key:
                yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for k, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{k}]")
    else:
        yield path, value


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> str:
    return evaluated(tmp_path_factory.mktemp("here"), PYTHONHASHSEED="0")


def test_two_processes_give_the_same_bytes(here, tmp_path):
    """With the inversion and the draws of a source claim; the archives lie in different places."""
    assert here == evaluated(tmp_path, PYTHONHASHSEED="1")
    verdicts = json.loads(here)["verdicts"]
    assert verdicts["leak"]["false_alarm"] is not None and verdicts["level"]["estimate"] is not None


@pytest.mark.skipif(platform.machine() != "x86_64", reason="kernels of x86")
def test_another_processor_gives_the_same_words_and_the_same_six_digits(here, tmp_path):
    there = evaluated(tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "compiled"), **OTHER_PROCESSOR)
    ours, theirs = (dict(leaves(json.loads(text)["verdicts"])) for text in (here, there))
    assert ours.keys() == theirs.keys() and len(ours) > 100
    for path, value in ours.items():
        expected = pytest.approx(value, rel=5e-7, abs=1e-9) if isinstance(value, float) else value
        assert theirs[path] == expected, path
    # the other kernels were at work: the last digits differ somewhere
    assert ours != theirs
