"""Rows of a table against sectors of the maps: what is the same in both vocabularies, and what is not.

Rows and sectors are each a set of links of the vocabulary (`monitor.sectors`).  What touches belongs
together: the connected parts are the finest on which both sides can agree, and they do where their links are
the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from monitor import sectors
from monitor.errors import InputError
from monitor.sectors import Link, Scheme

#: "F", "F_RoadTransport", "GNFR_F", and "F1" for a part of it.
_GNFR: Final = re.compile(r"(?:GNFR_)?([A-P])(\d?)(?:_[A-Za-z]+)?")
#: Parts of GNFR F that make it whole (F4, what is not exhaust, holds none of our gases).
_PARTS_OF_ROAD: Final = frozenset({"F1", "F2", "F3"})
#: EDGAR's codes of one thing in different versions.
_VERSIONS: Final = (
    frozenset({"TRO", "TRO_noRES"}),
    frozenset({"PRO", "PRO_FFF", "PRO_COAL", "PRO_OIL", "PRO_GAS", "FFF"}),
)


@dataclass(frozen=True)
class Match:
    """Rows of a table and sectors of the maps that hold the same; no part of them does."""

    rows: tuple[int, ...]
    sectors: tuple[str, ...]


def holdings(
    names: Collection[str], stated: Mapping[str, tuple[Scheme, tuple[str, ...]]]
) -> dict[str, frozenset[Link]]:
    """What each sector of a map holds; absent where neither the city file nor the sector's name says it.

    Parameters
    ----------
    names
        All sectors of the map: a part of a sector counts where the other parts are there, too.
    stated
        Sector → scheme and codes, as the city file has them; before what a name says.
    """
    found = {name: _stated(*stated[name]) if name in stated else _named(name, names) for name in names}
    return {name: links for name, links in found.items() if links}


def _stated(scheme: Scheme, codes: Sequence[str]) -> frozenset[Link]:
    found = {link for code in codes for link in sectors.matching(code, scheme)}
    # what is counted in the city and emitted where its power is made is in no map of it
    return frozenset(link for link in found if link.scope == 1 or link.gnfr)


def _named(name: str, names: Collection[str]) -> frozenset[Link]:
    """By a name that is a code of GNFR or EDGAR, and of these alone: other schemes' codes are too short."""
    if name in sectors.codes("edgar"):
        links = sectors.matching(name, "edgar")
        return frozenset(link for link in links if _is_whole(link, names))
    spelled = _GNFR.fullmatch(name)
    if spelled is None or spelled[1] not in sectors.GNFR_LABELS:
        return frozenset()
    if spelled[2]:
        there = {f"{m[1]}{m[2]}" for m in map(_GNFR.fullmatch, names) if m}
        if spelled[1] != "F" or not there >= _PARTS_OF_ROAD:
            return frozenset()
    return frozenset(sectors.matching(spelled[1], "gnfr"))


def _is_whole(link: Link, names: Collection[str]) -> bool:
    """Whether the map has every sector over which EDGAR spreads the link."""
    families = {next((v for v in _VERSIONS if code in v), frozenset({code})) for code in link.edgar}
    return all(not family.isdisjoint(names) for family in families)


def match_sectors(
    rows: Mapping[int, Collection[str]], held: Mapping[str, frozenset[Link]]
) -> tuple[list[Match], dict[int, str]]:
    """The matches, and of every other row why it is in none.

    Parameters
    ----------
    rows
        Row → its GPC codes; of one place, year, gas and scope, each with a number.
    held
        Sector → what it holds.
    """
    links: dict[int | str, frozenset[Link]] = dict(held.items())
    links |= {row: frozenset(x for code in codes for x in _of_gpc(code)) for row, codes in rows.items()}
    matches: list[Match] = []
    reasons: dict[int, str] = {}
    for parts in _connected(links):
        own = tuple(p for p in parts if isinstance(p, int))
        theirs = tuple(p for p in parts if isinstance(p, str))
        counted, there = _joined(links, own), _joined(links, theirs)
        if own and theirs and counted == there:
            matches.append(Match(own, theirs))
        else:
            reasons |= {row: _why(links[row], counted, {name: links[name] for name in theirs}) for row in own}
    return matches, reasons


def _of_gpc(code: str) -> tuple[Link, ...]:
    try:
        return sectors.matching(code, "gpc")
    except InputError:
        return ()


def _joined(links: Mapping[int | str, frozenset[Link]], names: Iterable[int | str]) -> frozenset[Link]:
    return frozenset().union(*(links[name] for name in names))


def _connected(parts: Mapping[int | str, frozenset[Link]]) -> list[list[int | str]]:
    """Parts that share links, directly or through others, in the order given."""
    groups: list[tuple[frozenset[Link], list[int | str]]] = []
    for name, links in parts.items():
        touching = [g for g in groups if not g[0].isdisjoint(links)]
        groups = [g for g in groups if g not in touching]
        merged = frozenset(links).union(*(g[0] for g in touching))
        groups.append((merged, [*(n for g in touching for n in g[1]), name]))
    return [names for _, names in groups]


def _why(own: frozenset[Link], counted: frozenset[Link], held: Mapping[str, frozenset[Link]]) -> str:
    """Of a row that counts `own`, among rows that count `counted`, beside the sectors that these touch."""
    there = frozenset().union(*held.values())
    if not own & there:
        return "no sector of the maps is known to hold it"
    more = counted - there
    said = [f"{_named_links(more)} is in no sector of the maps that is known"] if more else []
    said += [
        f"'{name}' holds {_named_links(missing)} too, of which the table has no number to add"
        for name, links in held.items()
        if (missing := links - counted)
    ]
    return "; ".join(said)


def _named_links(links: Iterable[Link]) -> str:
    """Links by their GPC code and its GNFR sector, by the IPCC's category where GPC has none."""
    texts = (
        f"{link.gpc} (GNFR {link.gnfr})" if link.gpc and link.gnfr else link.gpc or f"IPCC {link.ipcc2006}"
        for link in sorted(links, key=sectors.links().index)
    )
    return ", ".join(dict.fromkeys(texts))
