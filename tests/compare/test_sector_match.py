"""Rows of a table and sectors of a map agree where they hold the same, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import sectors
from monitor.compare.sector_match import holdings, match_sectors

GPC = [code for code in sectors.codes("gpc") if sectors.gpc_scope(code) == 1]
STATED = {"traffic": ("gnfr", ("F",)), "heating": ("gpc", ("I.1.1", "I.2.1"))}


def matched(codes, names, stated=None):
    """Matches as (GPC codes, sectors), and the reason of every other code."""
    rows = {k: tuple(code.split("+")) for k, code in enumerate(codes)}
    matches, reasons = match_sectors(rows, holdings(names, stated or {}))
    found = {(tuple(sorted(codes[k] for k in m.rows)), tuple(sorted(m.sectors))) for m in matches}
    return found, {codes[k]: text for k, text in reasons.items()}


def test_road_transport_is_one_to_one_and_two_rows_may_make_one_sector():
    found, reasons = matched(["II.1.1", "I.1.1", "I.2.1", "V.2"], ["traffic", "heating"], STATED)
    assert found == {(("II.1.1",), ("traffic",)), (("I.1.1", "I.2.1"), ("heating",))}
    assert reasons == {"V.2": "no sector of the maps is known to hold it"}


def test_what_two_vocabularies_cut_apart_differently_is_compared_together_or_not_at_all():
    """GPC keeps machines with their users, GNFR apart: only all of them together mean the same."""
    found, _ = matched(GPC, list("ABCDEFGHIJKL"))
    assert (("II.1.1",), ("F",)) in found
    ((rows, names),) = found - {(("II.1.1",), ("F",))}
    assert names == ("A", "B", "C", "E", "I") and {"I.1.1", "I.3.1", "I.4.4", "II.2.1", "IV.1"} <= set(rows)
    fewer, reasons = matched([code for code in GPC if code != "I.5.1"], list("ABCDEFGHIJKL"))
    assert fewer == {(("II.1.1",), ("F",))}
    assert "'C' holds I.5.1 (GNFR C) too, of which the table has no number to add" in reasons["I.1.1"]


@pytest.mark.parametrize(
    ("code", "sector", "reason"),
    [
        ("II.3.1", "G", "'G' holds II.3.3 (GNFR G) too"),
        ("II.4.1", "TNR_Aviation_LTO", "'TNR_Aviation_LTO' holds II.4.3 (GNFR H) too"),
        ("III.1.1", "J", "'J' holds III.1.3 (GNFR J), III.2.1 (GNFR J)"),
        ("V.1", "K", "'K' holds V.3 (GNFR K) too"),
        ("I.1.1", "C", "I.1.1 (GNFR I) is in no sector of the maps that is known; 'C' holds I.2.1 (GNFR C)"),
        ("I.9.9", "C", "no sector of the maps is known to hold it"),
    ],
)
def test_a_row_that_is_not_the_same_says_what_differs(code, sector, reason):
    found, reasons = matched([code], [sector])
    assert not found and reason in reasons[code]


def test_a_row_of_several_codes_is_one_with_a_sector_of_the_same():
    both = {"land": ("gpc", ("II.1.1", "II.2.1"))}
    assert matched(["II.1.1+II.2.1"], ["land"], both)[0] == {(("II.1.1+II.2.1",), ("land",))}


@pytest.mark.parametrize(
    "name", ["heating", "Boden", "1", "ABC", "TROLLEY", "F4", "Z_Other", "1.A.3.b", "I.1.1"]
)
def test_a_name_that_is_no_code_says_nothing(name):
    assert holdings([name], {}) == {}


@pytest.mark.parametrize("name", ["F", "F_RoadTransport", "GNFR_F", "TRO", "TRO_noRES"])
def test_a_name_that_is_a_code_of_gnfr_or_edgar_says_what_it_holds(name):
    assert {link.gpc for link in holdings([name], {})[name]} == {"II.1.1"}


def test_a_part_of_a_sector_counts_with_its_other_parts_only():
    assert holdings(["F1", "F2"], {}) == {}
    assert matched(["II.1.1"], ["F1", "F2", "F3"])[0] == {(("II.1.1",), ("F1", "F2", "F3"))}
    # EDGAR spreads oil over exploitation and refineries
    oil = {"I.8.1"}
    assert not oil & {link.gpc for links in holdings(["PRO_OIL"], {}).values() for link in links}
    assert oil <= {link.gpc for link in holdings(["PRO_OIL", "REF_TRF"], {})["PRO_OIL"]}


def test_what_is_used_in_the_city_and_made_elsewhere_is_in_no_map():
    (links,) = holdings(["homes"], {"homes": ("gpc", ("I.1",))}).values()
    assert {link.gpc for link in links} == {"I.1.1"}


@given(
    st.lists(st.sampled_from(GPC), unique=True),
    st.lists(
        st.sampled_from([*"ABCDEFGHIJKL", "ENE", "IND", "TRO", "RCO", "REF_TRF", "TNR_Other", "SWD_INC"]),
        unique=True,
    ),
)
def test_every_row_is_in_one_match_or_has_its_reason_and_a_match_holds_the_same_on_both_sides(codes, names):
    held = holdings(names, {})
    rows = {k: (code,) for k, code in enumerate(codes)}
    matches, reasons = match_sectors(rows, held)
    in_matches = [row for m in matches for row in m.rows]
    assert sorted([*in_matches, *reasons]) == sorted(rows)
    used = [name for m in matches for name in m.sectors]
    assert len(used) == len(set(used))
    for match in matches:
        theirs = set().union(*(held[name] for name in match.sectors))
        ours = {link for row in match.rows for link in sectors.matching(codes[row], "gpc")}
        assert ours == theirs
        # and nothing else of the map touches it
        others = [held[name] for name in held if name not in match.sectors]
        assert all(links.isdisjoint(ours) for links in others)
