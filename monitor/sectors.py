"""One vocabulary of sectors: GPC, GNFR, the IPCC's of 2006, the reporting tables' (CRF), and EDGAR's.

The table ``sectors.csv`` beside this module has a row for each link; a cell of `edgar` may hold several
codes.  No scheme maps one to one onto another, so a translation is a set, and `notes` say what it loses.
"""

from __future__ import annotations

import csv
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

#: The keys of the column `source`.
SOURCES: Final = MappingProxyType(
    {
        **{
            f"gpc-{chapter}": f"Global Protocol for Community-Scale Greenhouse Gas Inventories, v1.1 (2021), "
            f"chapter {chapter}, overview table"
            for chapter in (4, 6, 7, 8, 9, 10)
        },
        "ipcc-1": "2006 IPCC Guidelines for National Greenhouse Gas Inventories, vol. 1, ch. 8, Table 8.2",
        "crf": "Common reporting format tables (decision 24/CP.19): Tables 1 to 6",
        "emep-1": "EMEP reporting guidelines (ECE/EB.AIR/125), Annex I: NFR aggregation for gridding",
        "edgar-8": "EDGAR v8.0 greenhouse gases, list of sectors with their IPCC 2006 codes",
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
    """The code as the table spells it: "A_PublicPower" and "F1" are GNFR A and F, "1A2a" is 1.A.2.a."""
    spelled = code.strip()
    if scheme == "gnfr":
        return spelled.removeprefix("GNFR_")[:1].upper()
    if scheme in ("ipcc2006", "crf") and "." not in spelled and len(spelled) > 1:
        return ".".join((*spelled[:3], spelled[3:]) if len(spelled) > 3 else spelled)
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
