"""The benchmarks run."""

from __future__ import annotations

import pytest

from benchmarks import cases

SMALLEST = [case for case in cases() if case.size == case.kind.params[0]]


@pytest.mark.parametrize("case", SMALLEST, ids=[case.name for case in SMALLEST])
def test_every_case_runs_at_its_smallest_size(case):
    instance = case.ready()
    getattr(instance, case.method)(case.size)
    assert instance.order > 0
