"""An inventory table against what is estimated: each row is comparable, or says why not.

The gate of a claim (`monitor.compare.comparable`) is asked of every row, and before it what only a table can
be asked: is there a number, is it of this place, is it the whole of what is estimated, do the totals of its
line add up, and does its protocol say what it counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import xarray as xr

from monitor import sectors
from monitor.compare.adjustments import Adjustment
from monitor.compare.comparable import (
    DECLARED,
    EQUAL,
    MISMATCH,
    compare_definitions,
    difference,
)
from monitor.compare.definitions import Estimand, Statement
from monitor.compare.verdict import Comparison

COMPARABLE, WITH_DECLARATIONS, NOT_COMPARABLE = "comparable", "declared", "not comparable"
#: Totals of a line may differ from the sum of their parts by this much.
ARITHMETIC_TOLERANCE = 0.01
#: Words of protocols that say what an inventory counts; "regional or country specific" does not.
PROTOCOLS = (
    *("gpc", "global protocol", "ipcc", "u.s. community protocol", "iclei"),
    *("local authority", "carbon monitor"),
)
_SCOPES = {"1": "territorial"}
#: Columns that make the statement of a row, beside its amount.
_STATED = ("gas", "unit", "scope", "place", "place_code", "area_km2", "biogenic", "year", "gwp")
#: Columns that make one amount of a sector; rows that share them are its parts.
_PIECE = ("place", "place_code", "year", "scope", "gas", "biogenic", "boundary")
_KEYS = {"NO": "not occurring", "IE": "included elsewhere", "NE": "not estimated", "C": "confidential"}
_COLUMNS = (
    *(
        "place",
        "place_code",
        "year",
        "scope",
        "sector",
        "label",
        "gpc",
        "gnfr",
        "gas",
        "unit",
        "gwp",
        "value",
    ),
    *("notation", "all_sectors", "is_total", "biogenic", "boundary", "protocol", "area_km2", "line"),
)


@dataclass(frozen=True)
class Question:
    """What a table is asked.

    Attributes
    ----------
    estimand
        What is estimated.  With `region_area_km2` of `None` and no `years`, region and years are drawn to
        each row: is it a number that the air of its own place could be asked about?
    place
        Name or code of the place estimated; `None` asks the rows of all places.
    gnfr
        Sectors estimated, as GNFR codes; empty for all of them.
    declared
        Adjustments, as a claim would declare them.
    references
        Place code or name → total of another inventory of its territory [t a⁻¹], and its name.
    """

    estimand: Estimand
    place: str | None = None
    gnfr: frozenset[str] = frozenset()
    declared: tuple[str | Adjustment, ...] = ()
    references: Mapping[str, tuple[float, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class RowOutcome:
    """What became of one row: its index in the table, and the items asked."""

    row: int
    items: tuple[Comparison, ...]

    @property
    def outcome(self) -> str:
        """ "comparable", "declared" (comparable with declared adjustments), or "not comparable"."""
        found = {item.status for item in self.items}
        return NOT_COMPARABLE if MISMATCH in found else WITH_DECLARATIONS if DECLARED in found else COMPARABLE

    @property
    def why_not(self) -> tuple[Comparison, ...]:
        """The mismatches."""
        return tuple(item for item in self.items if item.status == MISMATCH)


def hold_table(table: xr.Dataset, question: Question) -> list[RowOutcome]:
    """Each row of an inventory table (`monitor.inventory`) against what is estimated, in its order."""
    columns = {name: table[name].values.tolist() for name in _COLUMNS}
    calendar = _whole_years(table)
    pieces, sums = _pieces(columns), _sums(columns)
    asked: dict[tuple[object, ...], tuple[Statement, tuple[Comparison, ...]]] = {}
    outcomes = []
    for i in range(table.sizes["row"]):
        row = {name: values[i] for name, values in columns.items()}
        reference = _reference(row, question)
        # rows that differ only in sector and amount are one statement, and tables have many such
        key = (*(row[name] for name in _STATED), reference and (row["value"], reference))
        if key not in asked:
            asked[key] = _definitions(row, reference, question)
        statement, defined = asked[key]
        own = (
            _amount(row),
            _place(row, question.place),
            _sector(row, question, pieces),
            _protocol(str(row["protocol"])),
            _arithmetic(row, sums),
            _accounts(row, bool(calendar[i]), question.estimand),
        )
        items = tuple(_declared(item, statement) for item in own if item is not None)
        outcomes.append(RowOutcome(i, (*items, *defined)))
    return outcomes


def outcome_counts(outcomes: Iterable[RowOutcome]) -> dict[str, int]:
    """How many rows had each outcome; all three are named."""
    found = Counter(one.outcome for one in outcomes)
    return {name: found[name] for name in (COMPARABLE, WITH_DECLARATIONS, NOT_COMPARABLE)}


def reason_counts(outcomes: Iterable[RowOutcome]) -> dict[str, int]:
    """In how many rows each item is a mismatch, the most frequent first; a row may have several."""
    return dict(Counter(item.item for one in outcomes for item in one.why_not).most_common())


def territorial_totals(tables: Sequence[xr.Dataset]) -> dict[str, dict[int, float]]:
    """Totals of scope 1 by place code (or name) and year [t a⁻¹], where a table states the whole.

    That is a row of all sectors, or, in a line that splits direct emissions over two columns, both of them:
    the only sum that is made, and only where both parts are stated.  A later table replaces an earlier one.
    """
    found: dict[str, dict[int, float]] = {}
    for table in tables:
        frame = table[["place", "place_code", "year", "scope", "sector", "all_sectors", "value", "line"]]
        rows = frame.isel(row=(frame["scope"].values == "1") & np.isfinite(frame["value"].values))
        for key, year, value in _wholes(rows.drop_vars("time_bnds", errors="ignore")):
            found.setdefault(key, {})[year] = value
    return found


def _wholes(rows: xr.Dataset) -> Iterable[tuple[str, int, float]]:
    frame = rows.to_dataframe()
    for _, line in frame.groupby("line"):
        whole = line[line["all_sectors"]]
        split = line[line["sector"].isin(["direct grid", "direct rest"])]
        key = str(line["place_code"].iloc[0] or line["place"].iloc[0])
        if len(whole):
            yield key, int(whole["year"].iloc[0]), float(whole["value"].iloc[0])
        elif len(split) == 2:
            yield key, int(split["year"].iloc[0]), float(split["value"].sum())


# --- the two sides ------------------------------------------------------------------------------------


def _reference(row: Mapping[str, object], question: Question) -> tuple[float, str] | None:
    """Another inventory's total of the territory, for a row that states the whole of it."""
    if row["scope"] != "1" or not row["all_sectors"] or row["notation"]:
        return None
    names = (str(row["place_code"]), str(row["place"]))
    return next((question.references[name] for name in names if name in question.references), None)


def _definitions(
    row: Mapping[str, object], reference: tuple[float, str] | None, question: Question
) -> tuple[Statement, tuple[Comparison, ...]]:
    """What the row says it is about, and the items of the gate."""
    area, estimand = float(str(row["area_km2"])), question.estimand
    if reference is not None:
        estimand = replace(estimand, reference_level=reference[0], reference=reference[1])
    statement = Statement(
        species=str(row["gas"]),
        unit=str(row["unit"]),
        scope=_SCOPES.get(str(row["scope"]), f"scope {row['scope']}"),
        region=str(row["place"]),
        area_km2=area if np.isfinite(area) else None,
        includes_biogenic=bool(row["biogenic"]),
        basis="gas",
        inventory_year=int(str(row["year"])),
        adjustments=question.declared,
        includes_respiration=False,  # no protocol of inventories counts breath
        denominator="total",
        gwp=None if row["gwp"] == "unknown" else str(row["gwp"]),
        level=float(str(row["value"])) if reference is not None else None,
        names_our_region=False,
    )
    # a declaration for other rows of the table says nothing of this one
    items = (item for item in compare_definitions(statement, estimand) if item.item != "other")
    return statement, tuple(items)


def _declared(item: Comparison, statement: Statement) -> Comparison:
    """The item, declared where an adjustment names it."""
    return difference(statement, item.item, item.detail) if item.status == MISMATCH else item


# --- what only a table can be asked ---------------------------------------------------------------------


def _amount(row: Mapping[str, object]) -> Comparison | None:
    keys = str(row["notation"]).split()
    if not keys:
        return None
    return Comparison("amount", MISMATCH, "no number: " + ", ".join(_KEYS[key] for key in keys))


def _place(row: Mapping[str, object], place: str | None) -> Comparison | None:
    if place is None:
        return None
    names = (str(row["place"]).casefold(), str(row["place_code"]).casefold())
    if place.casefold() in names:
        return Comparison("place", EQUAL, str(row["place"]))
    return Comparison("place", MISMATCH, f"{row['place']}, not {place}")


def _sector(row: Mapping[str, object], question: Question, pieces: Counter[tuple[object, ...]]) -> Comparison:
    if not question.gnfr:
        if row["all_sectors"]:
            return Comparison("sector", EQUAL, "all sectors")
        return Comparison("sector", MISMATCH, f"{row['label']} only, all sectors are estimated")
    asked = " ".join(sorted(question.gnfr))
    codes = str(row["gpc"]).split()
    several = max((pieces[_piece(row, code)] for code in codes), default=0)
    if several > 1:
        return Comparison("sector", MISMATCH, f"{row['label']}: one of {several} rows of its sector")
    if codes and set(codes) == _territorial(question.gnfr) and set(str(row["gnfr"]).split()) == question.gnfr:
        return Comparison("sector", EQUAL, f"GNFR {asked}")
    return Comparison(
        "sector", MISMATCH, f"{row['label']} (GNFR {row['gnfr'] or 'none'}), {asked} is estimated"
    )


@cache
def _territorial(gnfr: frozenset[str]) -> set[str]:
    """The GPC codes of scope 1 that a set of GNFR sectors holds."""
    found = {code for letter in gnfr for code in sectors.translate(letter, "gnfr", "gpc")}
    return {code for code in found if sectors.gpc_scope(code) == 1}


@cache
def _protocol(stated: str) -> Comparison:
    if any(word in stated.casefold() for word in PROTOCOLS):
        return Comparison("protocol", EQUAL, stated)
    said = f"'{stated}'" if stated else "none"
    return Comparison("protocol", MISMATCH, f"{said}: what the inventory counts is not said")


def _arithmetic(row: Mapping[str, object], sums: Mapping[int, Comparison]) -> Comparison | None:
    return sums.get(int(str(row["line"])))


def _accounts(row: Mapping[str, object], calendar: bool, estimand: Estimand) -> Comparison | None:
    if calendar or not estimand.years:
        return None
    return Comparison("accounts", MISMATCH, f"a year of accounts about {row['year']}, not a calendar year")


def _piece(row: Mapping[str, object], code: str) -> tuple[object, ...]:
    return (code, *(row[name] for name in _PIECE))


def _pieces(columns: Mapping[str, list[object]]) -> Counter[tuple[object, ...]]:
    """How many rows speak of one sector of one place and year."""
    names = list(columns)
    counted: Counter[tuple[object, ...]] = Counter()
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(names, values, strict=True))
        if not row["notation"]:
            counted.update(_piece(row, code) for code in str(row["gpc"]).split())
    return counted


def _sums(columns: Mapping[str, list[object]]) -> dict[int, Comparison]:
    """Line → what is wrong with its total of scope 1 and 2.

    A BASIC total may be larger (waste treated outside) and smaller (power for the grid is not in it).
    """
    stated: dict[int, dict[str, float]] = {}
    names = ("line", "scope", "all_sectors", "notation", "value")
    for line, scope, whole, key, value in zip(*(columns[name] for name in names), strict=True):
        if whole and not key:
            stated.setdefault(int(str(line)), {})[str(scope)] = float(str(value))
    wrong = {}
    for line, by_scope in stated.items():
        if {"1", "2", "1+2"} <= by_scope.keys():
            parts, total = by_scope["1"] + by_scope["2"], by_scope["1+2"]
            if abs(parts - total) > ARITHMETIC_TOLERANCE * abs(total):
                text = f"scope 1 and 2 make {parts:,.0f} t a-1, their total is {total:,.0f}"
                wrong[line] = Comparison("arithmetic", MISMATCH, text)
    return wrong


def _whole_years(table: xr.Dataset) -> np.ndarray:
    """Whether each row is about a calendar year, (row,)."""
    start, end = table["time_bnds"].values.astype("datetime64[D]").T
    years = start.astype("datetime64[Y]")
    return np.asarray((start == years.astype("datetime64[D]")) & (end == (years + 1).astype("datetime64[D]")))
