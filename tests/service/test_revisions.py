"""A look is taken once: what revised data may and may not say about it."""

from __future__ import annotations

import itertools

import pytest
from published import published

from monitor.archive import Archive
from monitor.compare.document import ensure_verdict
from monitor.compare.statistics import gaussian
from monitor.compare.verdict import Verdict
from monitor.domain import Interval
from monitor.service.declared import archived_verdicts
from monitor.service.entries import Entry, as_document, record_entries, store_entries
from monitor.service.verdicts import as_revision, first_answer, verdict_key

CLAIM = {
    "kind": "change", "statement": "a quarter less", "species": "co2", "region": "city",
    "claimed": {"value": -0.25, "unit": "1", "reading": "at least", "margin": 0.125},
    "claimed_by": "the council", "where": "page 7", "adjustments": [],
}  # fmt: skip
FINAL = {
    "status": "final", "as_of": "2023-05-01", "rule": "bonferroni", "look": 1, "looks": 1, "time": 1.0,
    "information": None, "next": None,
}  # fmt: skip
ANSWERS = ("supported", "contradicted", "undecided", "not comparable")


def verdict(answer: str, value: float = 1.0, **evaluation) -> dict:
    found = Verdict(answer, (), CLAIM, "1", gaussian(value, 0.1)).as_json()
    periods = [["2023-03-01T00:00:00Z", "2023-04-01T00:00:00Z"]]
    about = {"scope": "territorial", "sectors": ["*"], "periods": periods}
    return found | about | {"evaluation": FINAL | evaluation}


@pytest.mark.parametrize(("first", "revised"), list(itertools.product(ANSWERS, ANSWERS)))
def test_a_revision_takes_an_answer_back_and_gives_none(first, revised):
    told, later = published("cut", verdict(first)), published("cut", verdict(revised, value=1.3e6))
    found = ensure_verdict(as_revision(later, told), "revision")
    assert found["verdict"] in (first, "undecided", "not comparable")
    assert found["verdict"] == revised or found["reasons"] == ["look-taken"]
    assert found["estimate"] == later["estimate"] and found["evaluation"]["status"] == "revision"
    assert found["evaluation"]["first"]["digest"] == told["digest"]


def keep(archive: Archive, document: dict, at: str = "2023") -> None:
    key = verdict_key(document["city"], document["claim"], at)
    entry = Entry(key, "verdict", as_document(document), Interval.parse("2023-03-01", "2023-04-20"), ())
    stored = store_entries(archive, [entry])
    with archive.transaction() as tx:
        record_entries(tx, stored, config="")


def of(value: float, answer: str = "undecided", **evaluation) -> dict:
    """A verdict from inputs of its own."""
    document = published("cut", verdict(answer, value, **evaluation))
    inputs = [{"kind": "flux", "key": "k", "digest": f"{int(value):064d}", "source_files": []}]
    return document | {"made_from": document["made_from"] | {"inputs": inputs}}


def test_verdicts_that_were_read_are_not_read_again_and_new_ones_are(tmp_path, monkeypatch):
    with Archive.open(tmp_path) as archive:
        keep(archive, of(1))
        before = archived_verdicts(archive, of(1)["city"])
        keep(archive, of(2), "another")
        loaded, load = [], Archive.load_document
        monkeypatch.setattr(Archive, "load_document", lambda self, d: loaded.append(d) or load(self, d))
        after = archived_verdicts(archive, of(1)["city"], before)
        assert [a.document["estimate"] for a in after] == [1, 2]
        assert loaded == [after[1].digest]


def test_the_first_final_verdict_of_a_look_is_found_whatever_superseded_it(tmp_path):
    with Archive.open(tmp_path) as archive:

        def first(verdict: dict) -> dict | None:
            earlier = [a.document for a in archived_verdicts(archive, verdict["city"])]
            return first_answer(earlier, verdict)

        assert first(of(1)) is None
        keep(archive, of(9, as_of="2023-06-01"), "another look")
        keep(archive, of(8, status="preview"), "a preview")
        keep(archive, of(7, "not comparable"), "no number")
        assert first(of(1)) is None
        keep(archive, of(1))
        keep(archive, of(2, status="revision"))
        keep(archive, of(3), "a longer window")
        assert first(of(4))["estimate"] == 1
        assert first(of(1)) is None  # it is the first
        assert first(of(4, status="preview")) is None
        assert first(of(4, as_of="2023-07-01")) is None
