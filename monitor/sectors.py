"""One vocabulary of sectors: GPC, GNFR, the IPCC's of 2006, the reporting tables' (CRF), and EDGAR's.

The table ``sectors.csv`` beside this module has a row for each link; a cell of `edgar` may hold several
codes.  No scheme maps one to one onto another, so a translation is a set, and `notes` say what it loses.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final, Literal

from monitor.errors import InputError

Scheme = Literal["gpc", "gnfr", "ipcc2006", "crf", "edgar"]
SCHEMES: Final[tuple[Scheme, ...]] = ("gpc", "gnfr", "ipcc2006", "crf", "edgar")
#: Schemes whose codes are paths: "1.A.2" holds "1.A.2.a", "I.1" holds "I.1.1".
_NESTED: Final = ("gpc", "ipcc2006", "crf")

#: "1A4cii", "3Da1", "1B2aiii6": number, capital, number, letter, Roman or Arabic number, number.
_RUN_TOGETHER: Final = re.compile(r"(\d)([A-Z])(\d+)?([a-z])?([ivx]+|\d+)?(\d+)?")

#: The keys of the column `source`, each with what of it was seen when the table was checked.
SOURCES: Final = MappingProxyType(
    {
        **{
            f"gpc-{chapter}": "Global Protocol for Community-Scale Greenhouse Gas Inventories (WRI, C40 and "
            f"ICLEI, 2014; v1.1, 2021), chapter {chapter}. Seen: its place among the chapters; reference "
            "numbers and scopes in C40's GPC taxonomy. The links to the IPCC's codes follow from the names"
            for chapter in (4, 6, 7, 8, 9, 10)
        },
        "ipcc-1": "2006 IPCC Guidelines for National Greenhouse Gas Inventories, vol. 1, ch. 8, Table 8.2. "
        "Seen: codes and names in the category lists of PRIMAP",
        "crf": "Common reporting format of the UNFCCC (decision 24/CP.19, 2013, annex II). Seen: Tables 1 to "
        "5 of the United Kingdom for 2021; the parts of 1.A.2.g in the category lists of PRIMAP",
        "emep-1": "UNECE, Guidelines for Reporting Emissions and Projections Data (ECE/EB.AIR/128, 2015), "
        "annex I, template NFR, column 'NFR Aggregation for Gridding and LPS (GNFR)'. Seen: the column as "
        "three programmes copied it that map NFR to GNFR",
        "edgar-8": "EDGAR (JRC), sectors of the maps with their IPCC codes of 1996 and 2006. Seen: the list "
        "of v6 to v8 (2021 to 2023) as four programmes copied it that read the maps",
        "edgar-name": "EDGAR (JRC): the sector's name in the lists of v4 to v8; its codes were not found",
        "names": "No published table was found for what the note says: it follows from names and definitions",
    }
)

GNFR_LABELS: Final = MappingProxyType(
    {
        "A": "Public power",
        "B": "Industry",
        "C": "Other stationary combustion",
        "D": "Fugitive",
        "E": "Solvents",
        "F": "Road transport",
        "G": "Shipping",
        "H": "Aviation",
        "I": "Off-road",
        "J": "Waste",
        "K": "Livestock",
        "L": "Other agriculture",
        "M": "Other",
        "O": "Aviation, cruise",
        "P": "International shipping",
    }
)


@dataclass(frozen=True)
class Link:
    """One row of the table: codes that mean the same, or overlap as the note says; empty: none."""

    gpc: str
    scope: int
    label: str
    gnfr: str
    ipcc2006: str
    crf: str
    edgar: tuple[str, ...]
    source: tuple[str, ...]
    note: str

    def codes(self, scheme: Scheme) -> tuple[str, ...]:
        """The codes of one scheme in this row, none where it has none."""
        if scheme == "edgar":
            return self.edgar
        code: str = getattr(self, scheme)
        return (code,) if code else ()


@cache
def links() -> tuple[Link, ...]:
    """The whole table."""
    text = files("monitor").joinpath("sectors.csv").read_text(encoding="utf-8")
    return tuple(
        Link(
            **{name: row[name] for name in ("gpc", "label", "gnfr", "ipcc2006", "crf", "note")},
            scope=int(row["scope"]),
            edgar=tuple(row["edgar"].split()),
            source=tuple(row["source"].split()),
        )
        for row in csv.DictReader(text.splitlines())
    )


@cache
def codes(scheme: Scheme) -> tuple[str, ...]:
    """All codes of a scheme, in the order of the table, each once."""
    return tuple(dict.fromkeys(code for link in links() for code in link.codes(scheme)))


def canonical(code: str, scheme: Scheme) -> str:
    """The code as the table spells it: "A_PublicPower" and "F1" are GNFR A and F, "1A4cii" is 1.A.4.c.ii."""
    spelled = code.strip()
    if scheme == "gnfr":
        return spelled.removeprefix("GNFR_")[:1].upper()
    if scheme in ("ipcc2006", "crf") and (parts := _RUN_TOGETHER.fullmatch(spelled)):
        return ".".join(part for part in parts.groups() if part)
    return spelled.rstrip(".") if scheme in _NESTED else spelled


@cache
def translate(code: str, source: Scheme, target: Scheme) -> tuple[str, ...]:
    """Codes of `target` that `code` of `source` overlaps with; empty where the target has no such sector.

    In nested schemes a code stands for what is below it, and a finer code than the table's for the
    one above it.

    Raises
    ------
    InputError
        For a code that the table does not know.
    """
    return tuple(dict.fromkeys(c for link in matching(code, source) for c in link.codes(target)))


@cache
def matching(code: str, scheme: Scheme) -> tuple[Link, ...]:
    """The rows about `code`; `InputError` when there is none."""
    wanted = canonical(code, scheme)
    rows = tuple(x for x in links() if any(_covers(wanted, known, scheme) for known in x.codes(scheme)))
    if not rows:
        raise InputError(
            f"'{code}' is no sector of {scheme}",
            expected=", ".join(codes(scheme)),
            found=repr(code),
            where="monitor/sectors.csv",
            remedy="correct the code, or add a row to the table with its source",
        )
    return rows


def is_part(code: str, scheme: Scheme) -> bool:
    """Whether a code is finer than the table: "F1" of GNFR F, "1.A.3.b.i" of 1.A.3.b."""
    if scheme == "gnfr":
        return code.strip().removeprefix("GNFR_")[1:2].isdigit()
    wanted = canonical(code, scheme)
    return scheme in _NESTED and not any(
        known == wanted or known.startswith(wanted + ".") for known in codes(scheme)
    )


def _covers(wanted: str, known: str, scheme: Scheme) -> bool:
    if wanted == known:
        return True
    nested = scheme in _NESTED and wanted != ""
    return nested and (known.startswith(wanted + ".") or wanted.startswith(known + "."))


def is_one_to_one(code: str, source: Scheme, target: Scheme) -> bool:
    """Whether `code` has one counterpart in `target`, and that one no other in `source`."""
    there = translate(code, source, target)
    return len(there) == 1 and translate(there[0], target, source) == (canonical(code, source),)


def notes(code: str, scheme: Scheme) -> tuple[str, ...]:
    """What a translation of `code` loses, each remark once."""
    return tuple(dict.fromkeys(link.note for link in matching(code, scheme) if link.note))


@cache
def gpc_scope(code: str) -> int:
    """Scope (1, 2 or 3) of a full GPC reference number such as "I.1.1"."""
    scopes = {link.scope for link in matching(code, "gpc")}
    if len(scopes) != 1:
        raise InputError(f"'{code}' holds several scopes", expected="a full GPC reference", found=repr(code))
    return scopes.pop()


def gpc_label(code: str) -> str:
    """What a GPC reference number counts, in words."""
    return matching(code, "gpc")[0].label
