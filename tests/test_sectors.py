"""One vocabulary of sectors: closed, with its sources, and honest where it is not one to one."""

from __future__ import annotations

import csv
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import sectors
from monitor.errors import InputError

GPC_BY_CHAPTER = [
    *(f"I.{k}.{s}" for k in range(1, 7) for s in (1, 2, 3)),
    *("I.4.4", "I.7.1", "I.8.1"),
    *(f"II.{k}.{s}" for k in range(1, 6) for s in (1, 2, 3)),
    *(f"III.{k}.{s}" for k in range(1, 5) for s in (1, 2, 3)),
    *("IV.1", "IV.2", "V.1", "V.2", "V.3", "VI.1"),
]
#: EDGAR v8.0, the sectors of its maps; v5 to v6 had PRO and TRO_noRES, v7 PRO_FFF.
EDGAR = [
    "AGS",
    "AWB",
    "CHE",
    "ENE",
    "ENF",
    "FFF",
    "FOO_PAP",
    "IDE",
    "IND",
    "IRO",
    "MNM",
    "N2O",
    "NEU",
    "NFE",
    "NMM",
    "PRO",
    "PRO_COAL",
    "PRO_FFF",
    "PRO_GAS",
    "PRO_OIL",
    "PRU_SOL",
    "RCO",
    "REF_TRF",
    "SWD_INC",
    "SWD_LDF",
    "TNR_Aviation_CDS",
    "TNR_Aviation_CRS",
    "TNR_Aviation_LTO",
    "TNR_Aviation_SPS",
    "TNR_Other",
    "TNR_Ship",
    "TRO",
    "TRO_noRES",
    "WWT",
]


def test_the_table_holds_every_reference_number_of_gpc_and_no_other():
    assert sorted(sectors.codes("gpc")) == sorted(GPC_BY_CHAPTER)


def test_the_table_holds_gnfr_a_to_l():
    assert set("ABCDEFGHIJKL") <= set(sectors.codes("gnfr")) == set(sectors.GNFR_LABELS)


def test_the_table_holds_every_sector_of_edgar_and_no_other():
    assert sorted(sectors.codes("edgar")) == EDGAR


def test_every_link_names_its_sources_and_every_source_is_used():
    used = {key for link in sectors.links() for key in link.source}
    assert all(link.source for link in sectors.links())
    assert used == set(sectors.SOURCES)


def test_what_no_published_table_shows_is_marked_and_says_what_it_is():
    said = {"names": ("by name", "by the definition"), "edgar-name": ("by the sector's name", "EDGAR's name")}
    for key, words in said.items():
        marked = [link for link in sectors.links() if key in link.source]
        assert marked
        for link in marked:
            assert any(word in link.note for word in words), link


def test_what_is_not_one_to_one_has_a_note():
    for link in sectors.links():
        for scheme in ("gnfr", "edgar"):
            several = link.gpc and len(sectors.translate(link.gpc, "gpc", scheme)) > 1
            other = [x for x in sectors.links() if x.gpc == link.gpc]
            assert not several or any(x.note for x in other), (link.gpc, scheme)
    for code in sectors.codes("gpc"):
        if not sectors.translate(code, "gpc", "gnfr"):
            assert sectors.notes(code, "gpc"), code


@given(st.sampled_from(sectors.links()), st.sampled_from(sectors.SCHEMES), st.sampled_from(sectors.SCHEMES))
def test_a_translation_goes_both_ways(link, a, b):
    for code in link.codes(a):
        for there in sectors.translate(code, a, b):
            assert any(_nested(code, back) for back in sectors.translate(there, b, a))


def _nested(a, b):
    return a == b or a.startswith(b + ".") or b.startswith(a + ".")


@pytest.mark.parametrize(
    ("code", "source", "target", "expected"),
    [
        ("II.1.1", "gpc", "gnfr", ("F",)),
        ("I.4.4", "gpc", "edgar", ("ENE",)),
        ("ENE", "edgar", "gpc", ("I.4.1", "I.4.4")),
        ("III.4.1", "gpc", "crf", ("5.D",)),
        ("III.4.1", "gpc", "ipcc2006", ("4.D",)),
        ("V.1", "gpc", "crf", ("3.A", "3.B")),
        ("I.1.2", "gpc", "gnfr", ()),
        ("A_PublicPower", "gnfr", "edgar", ("ENE",)),
        ("F1", "gnfr", "gpc", ("II.1.1",)),
        ("1A3b", "crf", "gnfr", ("F",)),
        ("1.A.2", "crf", "gnfr", ("B", "I")),
        ("1.A.2.g", "crf", "gnfr", ("B", "I")),
        ("1.A.2.c", "crf", "gnfr", ("B",)),
        ("2.A.1", "crf", "edgar", ("NMM",)),
        ("1A2gvii", "crf", "gnfr", ("I",)),
        ("1A4cii", "crf", "ipcc2006", ("1.A.4.c.ii",)),
        ("1.B.1.b", "crf", "ipcc2006", ("1.B.1.c",)),
        ("1.B.1.b", "ipcc2006", "crf", ("1.B.1.c",)),
        ("1.A.2.k", "ipcc2006", "crf", ("1.A.2.g.v",)),
        ("AWB", "edgar", "ipcc2006", ("3.C.1.b",)),
        ("3Da1", "crf", "gnfr", ("L",)),
        ("H", "gnfr", "gpc", ("II.4.1", "II.4.3")),
        ("G", "gnfr", "gpc", ("II.3.1", "II.3.3")),
        ("PRO_FFF", "edgar", "ipcc2006", ("1.B.1.a", "1.B.2.a", "1.B.2.b", "5.B")),
    ],
)
def test_sectors_are_translated(code, source, target, expected):
    assert sectors.translate(code, source, target) == expected


def test_road_transport_is_one_to_one_and_power_is_not():
    assert sectors.is_one_to_one("II.1.1", "gpc", "gnfr")
    assert not sectors.is_one_to_one("I.4.4", "gpc", "gnfr")
    assert any("own use" in note for note in sectors.notes("I.4.1", "gpc"))


def test_the_scope_of_a_gpc_reference_is_known():
    assert [sectors.gpc_scope(c) for c in ("I.1.1", "I.1.2", "I.1.3", "I.4.4", "III.1.2", "III.1.3")] == [
        1, 2, 3, 1, 3, 1,
    ]  # fmt: skip
    with pytest.raises(InputError, match="holds several scopes"):
        sectors.gpc_scope("I.1")


@pytest.mark.parametrize(("code", "scheme"), [("I.9.1", "gpc"), ("Z", "gnfr"), ("", "crf"), ("XYZ", "edgar")])
def test_an_unknown_sector_is_an_error_with_the_known_ones(code, scheme):
    with pytest.raises(InputError, match=f"is no sector of {scheme}") as caught:
        sectors.translate(code, scheme, "gpc")
    assert caught.value.expected and caught.value.remedy


def test_the_taxonomy_of_the_c40_workbook_is_in_the_table(real_data: Path):
    book = openpyxl.load_workbook(real_data / "inventory/gpc/C40_GPC_Database.xlsx", read_only=True)
    rows = [row[:4] for row in book["GPC taxonomy"].iter_rows(values_only=True) if row[1] == "Activity"]
    assert len(rows) == 54
    assert {ref: int(scope) for ref, _, _, scope in rows} == {
        code: sectors.gpc_scope(code) for code in sectors.codes("gpc")
    }


def test_every_sector_of_the_tidy_c40_table_is_known(real_data: Path):
    with (real_data / "inventory/gpc/clean_c40.csv").open(encoding="utf-8-sig") as stream:
        found = {row["gpc_refno"] for row in csv.DictReader(stream)}
    assert len(found) == 52 and found <= set(sectors.codes("gpc"))


def test_every_category_of_a_national_summary_is_known(real_data: Path):
    book = openpyxl.load_workbook(
        real_data / "inventory/uk/GBR_2023_2021_13042023_170954.xlsx", read_only=True, data_only=True
    )
    headings = {"Energy", "Agriculture", "Waste", "Industrial processes and product use"}
    sector, found = "", set()
    for cell, *_ in book["Summary2"].iter_rows(min_row=8, max_row=54, values_only=True):
        number, _, name = str(cell).partition(".")
        if number.isdigit() and (name.strip() in headings or name.strip().startswith("Land use,")):
            sector = number
        elif not number.isdigit():
            parent = f"{sector}.{number}"
            found.add(parent)
        elif sector == "1":
            found.add(f"{parent}.{number}")
    assert len(found) == 8 + 10 + 8 + 8 + 5 + 2
    for code in found:
        assert sectors.matching(code, "crf"), code
