"""A verdict as it is published: one schema, one seal, and no letter changed unnoticed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from published import published

from monitor.compare.document import SCHEMA_FILE, VerdictDocument, digest_of, ensure_verdict, schema, sealed
from monitor.compare.statistics import gaussian
from monitor.compare.verdict import Comparison, Member, Verdict
from monitor.errors import InputError, StorageError

CLAIM = {
    "kind": "level", "statement": "this much", "species": "co2", "region": "city",
    "claimed": {"value": 1e6, "unit": "t CO2 a-1", "reading": "equal", "tolerance": 0.25},
    "claimed_by": "the council", "where": "page 7", "adjustments": [],
}  # fmt: skip
ABOUT = {
    "scope": "territorial", "sectors": ["*"], "periods": [["2023-03-01T00:00:00Z", "2023-04-01T00:00:00Z"]],
    "evaluation": {
        "status": "final", "as_of": "2023-05-01", "rule": "bonferroni", "look": 1, "looks": 1,
        "time": 1.0, "information": None, "next": None,
    },
}  # fmt: skip


def verdict(answer: str = "undecided", value: float = 1.2e6, **changes) -> dict:
    estimate = gaussian(value, 2e5)
    found = Verdict(
        answer=answer,
        reasons=("too-little-data",),
        claim=CLAIM,
        unit="t CO2 a-1",
        estimate=estimate,
        comparability=(Comparison("gas", "equal", "co2 on both sides"),),
        ensemble=(Member("main", estimate, answer),),
        probability=0.4,
    )
    return found.as_json() | ABOUT | changes


@pytest.fixture
def document() -> dict:
    return published("inventory", verdict())


def test_the_schema_in_the_package_is_that_of_the_models():
    written = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    assert written == schema(), "write it again: python docs/generate_schema.py"
    assert written["additionalProperties"] is False
    assert set(written["required"]) >= {"verdict", "interval", "level", "digest", "made_from", "evaluation"}


def test_a_verdict_survives_being_written_and_read(document):
    assert ensure_verdict(json.loads(json.dumps(document, indent=3)), "here") == document


@given(st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20))
def test_the_seal_depends_on_every_value_and_on_no_order(number, text):
    one = sealed({"number": number, "text": text})
    assert sealed({"text": text, "number": number})["digest"] == one["digest"]
    assert json.loads(json.dumps(one)) == one and digest_of(json.loads(json.dumps(one))) == one["digest"]
    assert digest_of({"number": number, "text": text + "."}) != one["digest"]


def test_a_changed_verdict_is_named_with_both_digests(document):
    edited = document | {"verdict": "supported", "reasons": []}
    with pytest.raises(StorageError, match="not as it was sealed") as caught:
        ensure_verdict(edited, "verdict.json")
    assert caught.value.expected == document["digest"]
    assert caught.value.found == digest_of(edited) != document["digest"]
    assert caught.value.where == "verdict.json"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"verdict": "probably"}, "verdict: Input should be 'supported'"),
        ({"interval": [1.0]}, "interval: List should have at least 2"),
        ({"probability": 1.4}, "probability: Input should be less than or equal to 1"),
        ({"estimate": "1.2e6"}, "estimate: Input should be a valid number"),
        ({"colour": "green"}, "colour: Extra inputs"),
        ({"periods": [["2023-03-01", "2023-04-01"]]}, "periods.0.0: String should match"),
        ({"level": None, "family": None}, "family"),
        ({"schema_version": 2}, "schema_version"),
    ],
)
def test_what_does_not_follow_the_schema_is_refused_with_its_key(document, changes, fault):
    resealed = sealed({k: v for k, v in (document | changes).items() if k != "digest"})
    with pytest.raises(InputError, match="does not follow its schema") as caught:
        ensure_verdict(resealed, "here")
    assert fault in caught.value.found


@pytest.mark.parametrize("key", [k for k, f in VerdictDocument.model_fields.items() if f.is_required()])
def test_every_required_key_is_missed(document, key):
    rest = {k: v for k, v in document.items() if k not in (key, "digest")}
    if key == "digest":
        with pytest.raises(InputError, match="the verdict carries no seal.*`monitor publish`"):
            ensure_verdict(rest, "here")
        return
    with pytest.raises(InputError, match="does not follow its schema"):
        ensure_verdict(sealed(rest), "here")


@pytest.mark.parametrize("content", [[], "supported", None, 3])
def test_what_is_no_object_is_no_verdict(content):
    with pytest.raises(InputError, match="a verdict is a JSON object"):
        ensure_verdict(content, "here")
