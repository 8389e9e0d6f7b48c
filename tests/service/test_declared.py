"""The dates of a claim are those that were named before anybody looked; no later edit gives error back."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_analysis import CHANGE, EPOCHS, SOURCE, city, claims

from monitor.domain import Interval
from monitor.service.declared import Archived, as_declared, declarations_of, earlier
from monitor.service.evaluation import evaluation_of

CITY = city()
#: After the period: every day is one on which a claim may be declared final.
DAYS = [date(2023, 5, 1) + timedelta(days=30 * k) for k in range(12)]
CODE = "declared-late"


def declaring(days, base=CHANGE, **changes):
    """A claims file of one claim that declares the days."""
    return claims(base | {"evaluate_on": [day.isoformat() for day in days]} | changes)


def looked(file, archived, day: date, answer: str = "undecided") -> dict:
    """What evaluating the file's claim on a day gives; the archive is told."""
    declared = declarations_of(file, CITY, archived)
    (claim,) = as_declared(file, declared).claim
    worth = evaluation_of(claim, CITY, Interval.parse("2023-03-01", day), day)
    said = {
        "claim": claim.id, "verdict": answer, "reasons": [], "reason_texts": [], "level": worth.level,
        "periods": [EPOCHS["base"].as_json(), EPOCHS["target"].as_json()],
        "claimed": {"value": claim.value, "reading": claim.read_as}, "evaluation": worth.as_json(),
        "place": [claim.lon_deg, claim.lat_deg] if claim.kind == "source" else None,
        **{key: claim.model_dump()[key] for key in ("kind", "species", "region", "scope", "of_region")},
        **{key: list(getattr(claim, key)) for key in ("sectors", "of_sectors")},
    }  # fmt: skip
    found = declared[claim.id].about(said)
    archived.append(Archived(datetime(2024, 1, 1) + timedelta(hours=len(archived)), found))
    return found


def granted(verdicts) -> float:
    """The error of all final looks together."""
    levels = {v["evaluation"]["as_of"]: v["level"] for v in verdicts if v["evaluation"]["status"] == "final"}
    return sum(1.0 - level for level in levels.values())


files = st.fixed_dictionaries(
    {"id": st.sampled_from(["cut", "other"]), "evaluate_on": st.sets(st.sampled_from(DAYS), max_size=6)}
)


@given(edits=st.lists(st.tuples(files, st.sampled_from(DAYS)), min_size=1, max_size=25))
def test_whatever_is_edited_between_looks_all_final_ones_together_err_in_five_of_a_hundred(edits):
    """Bonferroni over the days that were ever final is the oracle: under any id, with any dates."""
    archived: list[Archived] = []
    found = [looked(declaring(sorted(f["evaluate_on"]), id=f["id"]), archived, day) for f, day in edits]
    assert granted(found) <= 0.05 + 1e-12
    first = edits[0][0]["evaluate_on"]
    assert {v["evaluation"]["as_of"] for v in found if v["evaluation"]["status"] == "final"} <= {
        day.isoformat() for day in first
    }


def test_a_date_appended_each_month_is_late_and_leaves_the_level_of_the_first():
    archived: list[Archived] = []
    first, *others = [looked(declaring(DAYS[: k + 1]), archived, DAYS[k]) for k in range(12)]
    assert (first["evaluation"]["status"], first["level"]) == ("final", 0.95)
    for k, late in enumerate(others, start=1):
        assert late["evaluation"]["status"] == "preview" and late["reasons"] == [CODE]
        assert late["evaluation"]["late"] == [day.isoformat() for day in DAYS[1 : k + 1]]
    assert granted(a.document for a in archived) == pytest.approx(0.05)


def test_the_day_whose_preview_looked_good_is_no_date():
    archived: list[Archived] = []
    for day in DAYS[:5]:
        assert looked(declaring([DAYS[11]]), archived, day, "supported")["evaluation"]["status"] == "preview"
    chosen = looked(declaring([DAYS[3]]), archived, DAYS[3], "supported")
    assert (chosen["verdict"], chosen["reasons"]) == ("undecided", [CODE])
    assert looked(declaring([DAYS[3]]), archived, DAYS[11])["evaluation"]["status"] == "final"


def test_dates_that_are_taken_out_stay_looks_and_give_nothing_back():
    archived: list[Archived] = []
    looked(declaring(DAYS[:4]), archived, DAYS[0])
    without = declaring(DAYS[2:4])
    assert looked(without, archived, DAYS[2])["level"] == pytest.approx(1 - 0.05 / 4)
    assert looked(without, archived, DAYS[1])["evaluation"]["status"] == "final"
    none = looked(declaring([]), archived, DAYS[5])
    assert none["evaluation"]["status"] == "preview" and none["evaluation"]["declared"]
    note = declarations_of(without, CITY, archived)[without.claim[0].id].note
    assert "2023-05-01, 2023-05-31 stays a look" in note


def test_a_rule_that_is_changed_after_a_look_does_not_count():
    archived: list[Archived] = []
    looks = [day.isoformat() for day in DAYS[:3]]
    careful = claims(CHANGE | {"spending": {"rule": "obrien-fleming", "looks": looks}})
    first = looked(careful, archived, DAYS[0])
    for rule in ("pocock", "bonferroni"):
        eager = claims(CHANGE | {"spending": {"rule": rule, "looks": looks}})
        again = looked(eager, archived, DAYS[0])
        assert again["evaluation"] == first["evaluation"] and again["level"] == first["level"]
    assert "obrien-fleming" in declarations_of(eager, CITY, archived)[eager.claim[0].id].note


def test_a_claim_that_was_looked_at_without_dates_gets_none_afterwards():
    archived: list[Archived] = []
    assert looked(declaring([]), archived, DAYS[0], "supported")["evaluation"]["status"] == "undeclared"
    found = looked(declaring([DAYS[1]]), archived, DAYS[1], "supported")["evaluation"]
    assert (found["status"], found["late"]) == ("undeclared", [DAYS[1].isoformat()])


def test_what_showed_no_number_settles_no_dates():
    archived: list[Archived] = []
    looked(declaring([DAYS[11]]), archived, DAYS[0], "not comparable")
    found = looked(declaring([DAYS[1]]), archived, DAYS[1])
    assert (found["evaluation"]["status"], found["level"]) == ("final", 0.95)


def test_a_verdict_of_an_older_version_does_not_say_what_was_declared_and_settles_nothing():
    archived: list[Archived] = []
    del looked(declaring([DAYS[11]]), archived, DAYS[0])["evaluation"]["declared"]
    assert looked(declaring([DAYS[1]]), archived, DAYS[1])["evaluation"]["status"] == "final"


@pytest.mark.parametrize("base", [CHANGE, SOURCE], ids=["change", "source"])
def test_another_id_or_margin_makes_no_other_claim_and_another_number_or_time_does(base):
    archived: list[Archived] = []
    looked(declaring([DAYS[0]], base), archived, DAYS[0])
    margin = {} if base is SOURCE else {"margin": 0.01}
    renamed = looked(declaring([DAYS[1]], base, id="again", **margin), archived, DAYS[1])["evaluation"]
    assert renamed["status"] == "preview" and renamed["known_as"] == base["id"]
    other = declaring([DAYS[2]], base, id="else", value=(base.get("value") or 100.0) * 0.9)
    assert looked(other, archived, DAYS[2])["evaluation"]["status"] == "final"


def test_claims_about_another_time_are_others_and_those_of_one_run_stand_beside_each_other():
    archived: list[Archived] = []
    (claim,) = declaring([DAYS[0]]).claim
    looked(declaring([DAYS[0]]), archived, DAYS[0])
    moment, first, _ = archived[0]
    assert earlier(claim, CITY, archived) == [first]
    elsewhen = first | {"periods": [first["periods"][0], ["2022-04-08T00:00:00Z", "2022-04-20T00:00:00Z"]]}
    assert earlier(claim, CITY, [Archived(moment, elsewhen)]) == []
    twin = Archived(moment, first | {"claim": "beside"})
    assert earlier(claim, CITY, [twin, *archived]) == [first]
    assert earlier(claim, CITY, [twin._replace(recorded_at=datetime(2023, 1, 1)), *archived])[0] == twin[1]
