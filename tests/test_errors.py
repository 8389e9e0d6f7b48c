"""Claims about errors: they say four things, carry an exit code, and cross process borders whole."""

from __future__ import annotations

import json
import pickle

import pytest

from monitor import errors

CODES = {
    errors.UsageError: 2,
    errors.SourceFormatError: 65,
    errors.UnitError: 65,
    errors.ContractError: 65,
    errors.GridError: 65,
    errors.MissingInputError: 65,
    errors.NumericalError: 65,
    errors.UpstreamError: 69,
    errors.StorageError: 74,
    errors.LockedError: 75,
    errors.ConfigError: 78,
    errors.MonitorError: 1,
}


def test_an_error_says_what_was_expected_found_where_and_what_to_do() -> None:
    error = errors.SourceFormatError("bad", expected="A", found="B", where="C", remedy="D")
    assert str(error) == "bad (expected: A; found: B; where: C; what to do: D)"


def test_what_is_not_known_is_left_out() -> None:
    assert str(errors.MonitorError("bad", found="B")) == "bad (found: B)"


@pytest.mark.parametrize(("kind", "code"), CODES.items())
def test_each_class_has_its_exit_code(kind: type[errors.MonitorError], code: int) -> None:
    assert kind.exit_code == code
    assert json.loads(json.dumps(kind("bad").as_dict()))["exit_code"] == code


@pytest.mark.parametrize("kind", CODES)
def test_an_error_crosses_a_process_border_whole(kind: type[errors.MonitorError]) -> None:
    error = kind("bad", expected="A", found="B", where="C", remedy="D")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind and copy.as_dict() == error.as_dict()
