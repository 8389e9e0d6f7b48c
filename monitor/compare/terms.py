"""What the air sees and an inventory does not count: listed before a difference is called a gap.

People and animals breathe, soils and plants too, and wood is burnt; a territorial inventory of fossil
emissions holds none of it, and the air does not tell it apart.  Indianapolis is the case in point: its
inversion stood 18.7 % above its inventory, two σ, until such terms, respiration the largest, were counted
(Gurney et al. 2017, Elementa 5, 44, doi 10.1525/elementa.137).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from monitor import units
from monitor.compare.statistics import Z

#: What a person breathes out [kg CO2 d⁻¹], and its relative 1σ: 2,000 to 2,500 kcal a day burnt at a
#: respiratory quotient of 0.85 are 0.8 to 1.0 kg; Prairie and Duarte (2007, Biogeosciences 4, 215) and US EPA
#: (2.3 lb a day) have about 1.
BREATH_KG_D: Final = 1.0
BREATH_RELATIVE_SD: Final = 0.2
_BREATH_SOURCE = "1.0 ± 0.2 kg CO2 per person and day (Prairie and Duarte 2007), times the stated population"

ADDS, EITHER = "adds", "either"
#: Per gas: what is looked for, and whether it can only add to what the air sees.
EXPECTED: Final = MappingProxyType(
    {
        "co2": (
            ("human-respiration", ADDS),
            ("livestock-respiration", ADDS),
            ("biofuels", ADDS),
            ("biosphere", EITHER),
        ),
        "ch4": (("waters-and-wetlands", ADDS),),
        "co": (),
    }
)
#: Those that are natural: the biogenic part of a gas.
NATURAL: Final = ("biosphere", "waters-and-wetlands")
#: The breath of people and livestock.
BREATH: Final = ("human-respiration", "livestock-respiration")
#: Sectors whose presence, in the state or in the inventory, means that a term is not missing.
_HELD_BY: Final = MappingProxyType(
    {
        "biosphere": ("biosphere", "biogenic", "vegetation", "nee"),
        "biofuels": ("biofuel", "biofuels", "biomass", "bioenergy"),
        "waters-and-wetlands": ("wetlands", "waters", "natural"),
        "livestock-respiration": ("livestock-respiration",),
        "human-respiration": ("human-respiration", "respiration"),
    }
)

NONE_SEEN = "none-seen"
GAP = "gap"
CLOSED = "closed-by-terms"
TERMS_MISSING = "terms-missing"
PRIOR_DRIVEN = "prior-driven"
NOT_TESTED = "not-tested"


@dataclass(frozen=True)
class Term:
    """One flux that the air sees and the inventory does not count.

    Attributes
    ----------
    sign
        "adds" for what only emits, "either" for what may also take up.
    value, sigma
        Its size and 1σ [t of the gas per year]; ``None`` where nobody has said.
    source
        Where the size comes from.
    """

    name: str
    sign: str
    value: float | None = None
    sigma: float | None = None
    source: str = ""

    def may_explain(self, difference: float) -> bool:
        """Whether it can be (part of) this difference of air minus inventory."""
        return self.sign == EITHER or difference > 0

    def as_json(self) -> dict[str, object]:
        return {"name": self.name, "value": self.value, "sigma": self.sigma, "source": self.source}


def human_respiration(population: float) -> Term:
    """What `population` people breathe out [t CO2 a⁻¹]."""
    value = population * BREATH_KG_D * 1e-3 * units.SECONDS_PER_YEAR / 86400.0
    return Term("human-respiration", ADDS, value, BREATH_RELATIVE_SD * value, _BREATH_SOURCE)


def holds(sectors: Collection[str], *names: str) -> bool:
    """Whether one of the sectors is one of these terms."""
    known = {word for name in names for word in (name, *_HELD_BY[name])}
    return not known.isdisjoint(sector.lower() for sector in sectors)


def natural_terms(species: str) -> tuple[str, ...]:
    """The natural fluxes that are looked for in a gas; none where it has none that matter."""
    return tuple(name for name, _ in EXPECTED[species] if name in NATURAL)


def breath_terms(species: str) -> tuple[str, ...]:
    """The parts of breath that are looked for in a gas; none where they do not matter."""
    return tuple(name for name, _ in EXPECTED[species] if name in BREATH)


def missing_terms(
    species: str, held: Collection[str], population: float | None, stated: Sequence[Term] = ()
) -> tuple[Term, ...]:
    """The terms that neither side of a comparison holds, each with its size where it is known.

    Parameters
    ----------
    held
        Sectors of the inventory, and of the blocks that are estimated beside it.
    population
        People in the region; ``None`` unknown.
    stated
        What is known of this place: stands before the list, and may add to it.
    """
    known = {term.name: term for term in stated}
    out = []
    for name, sign in EXPECTED[species]:
        if holds(held, name):
            continue
        if name in known:
            out.append(known.pop(name))
        elif name == "human-respiration" and population is not None:
            out.append(human_respiration(population))
        else:
            out.append(Term(name, sign))
    sectors = {sector.lower() for sector in held}
    return (*out, *(term for name, term in known.items() if name not in sectors))


@dataclass(frozen=True)
class Gap:
    """Air minus inventory, and what may be said of it.

    Attributes
    ----------
    value, sigma
        The difference and its 1σ, before any term is taken off.
    left, left_sigma
        After the terms of known size; the same where there are none.
    status
        none-seen: within 95 %.  closed-by-terms: outside, and within it after the known terms.
        terms-missing: outside, but terms that may explain it have no size.  gap: outside, and all that was
        looked for is counted.  prior-driven: outside, but the data do not carry it.
    """

    value: float
    sigma: float
    left: float
    left_sigma: float
    status: str

    @property
    def sigmas(self) -> float:
        """The difference in units of its 1σ."""
        return self.value / self.sigma


def weigh_gap(value: float, sigma: float, terms: Sequence[Term], *, prior_driven: bool = False) -> Gap:
    """What may be said of a difference: the terms come before the word gap.

    Terms of unknown size are not guessed: where one of them may explain what is left, it stays open.
    """
    known = [(t.value, t.sigma or 0.0) for t in terms if t.value is not None]
    left = value - sum(v for v, _ in known)
    left_sigma = (sigma**2 + sum(s**2 for _, s in known)) ** 0.5
    return Gap(value, sigma, left, left_sigma, _status(value, sigma, left, left_sigma, terms, prior_driven))


def _status(
    value: float, sigma: float, left: float, left_sigma: float, terms: Sequence[Term], prior_driven: bool
) -> str:
    seen_before, seen_after = abs(value) > Z * sigma, abs(left) > Z * left_sigma
    if not (seen_before or seen_after):
        return NONE_SEEN
    if prior_driven:
        return PRIOR_DRIVEN
    if not seen_after:
        return CLOSED
    unknown = any(t.value is None and t.may_explain(left) for t in terms)
    return TERMS_MISSING if unknown else GAP
