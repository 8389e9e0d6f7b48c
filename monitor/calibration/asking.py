"""Claims put to many sets of observations of one network, decided by the functions that decide a city's own.

What needs no observations is made once: the gains of all members of the ensemble.  A city's own part are its
residuals, the inflation that its left-out days ask for, and their coverage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from monitor import units
from monitor.calibration.network import KINDS, Network
from monitor.compare.claims import (
    ClaimText,
    Estimator,
    Quantity,
    Support,
    Variant,
    decide,
    estimators,
    support_of,
)
from monitor.compare.definitions import Statement
from monitor.compare.ensemble import Choices, variants_of
from monitor.compare.forms import Change, Form, Level, Trend
from monitor.compare.statistics import LEVEL as CONFIDENCE
from monitor.compare.trends import REALISED, decimal_years
from monitor.compare.verdict import Verdict
from monitor.inversion.posterior import Posterior

LEVEL, CHANGE, TREND = KINDS
#: Of a district in the region, in the last epoch.
SHARE = "share"
#: Nothing but each station left out.
_ALONE = Choices((), (), (), (), ())


@dataclass(frozen=True)
class Claim:
    """A number that somebody states: a total or share and its tolerance, a change or slope and its margin."""

    kind: str
    value: float
    width: float


@dataclass(frozen=True, eq=False)
class Panel:
    """All members that answer claims of one kind on one network."""

    network: Network
    kind: str
    quantity: Quantity
    members: Sequence[Estimator]
    support: Support

    def judge(self, claim: Claim, posterior: Posterior, level: float = CONFIDENCE) -> Verdict:
        """The verdict on the observations of `posterior`, which has the panel's hyperparameters."""
        problem = posterior.problem.without_prior_mean(self.quantity.block)
        residual = problem.residual
        answers = [
            m.at(residual if m.rows is None else residual[m.rows], posterior.inflation) for m in self.members
        ]
        support = replace(self.support, loo_coverage=posterior.diagnostics.loo_coverage)
        return decide(claim_text(self.network, claim), self.quantity, answers, support, level=level)


def panel(
    network: Network,
    kind: str,
    posterior: Posterior,
    *,
    ensemble: bool,
    found: Sequence[Variant] | None = None,
) -> Panel:
    """The members at the hyperparameters of `posterior`; `found` are its variants, if they are made already.

    With the ensemble: all candidate maps, the default choices, and the declared transport errors; without it
    the model itself.  Each station is left out in both.
    """
    quantity = asked(network, kind)
    if ensemble:
        quantity = replace(quantity, transport=network.declared)
    else:
        quantity = replace(quantity, patterns=dict(list(quantity.patterns.items())[:1]))
    found = variants(posterior, ensemble=ensemble) if found is None else found
    members = estimators(quantity, found)
    return Panel(network, kind, quantity, members, support_of(quantity, found[0], members))


def asked(network: Network, kind: str) -> Quantity:
    """What a kind of claim is about: level or share of the last epoch, change to it, trend of all."""
    whole = network.quantity
    if kind == SHARE:
        own = replace(whole, fraction=network.district, epochs=whole.epochs[-1:])
        rest = replace(own, region=f"rest of {whole.region}", fraction=whole.fraction - network.district)
        return replace(own, region=f"district of {whole.region}", rest=(rest,))
    epochs = {LEVEL: whole.epochs[-1:], CHANGE: (whole.epochs[0], whole.epochs[-1]), TREND: whole.epochs}
    forms: dict[str, Form] = {LEVEL: Level(), CHANGE: Change()}
    if kind == TREND:
        forms[TREND] = Trend(tuple(decimal_years(whole.epochs).tolist()), REALISED)
    return replace(whole, epochs=epochs[kind], form=forms[kind])


def variants(posterior: Posterior, *, ensemble: bool) -> list[Variant]:
    """The posterior, the ensemble around it if wanted, and each station left out."""
    return variants_of(Variant("main", posterior), Choices() if ensemble else _ALONE)


def claim_text(network: Network, claim: Claim) -> ClaimText:
    """The claim as a claim file would hold it, about what is estimated."""
    species, region = network.quantity.species, network.quantity.region
    unit = {LEVEL: units.level_unit(species), TREND: "a-1"}.get(claim.kind, "1")
    return ClaimText(
        id="calibration",
        kind=claim.kind,
        statement="",
        species=species,
        region=region,
        value=claim.value,
        unit=unit,
        reading="equal" if claim.kind in (LEVEL, SHARE) else "at least",
        width=claim.width,
        claimed_by="",
        where="",
        definition=Statement(
            species=species,
            unit=unit,
            scope="territorial",
            region=region,
            area_km2=None,
            includes_biogenic=False,
            basis="gas",
            inventory_year=None,
            adjustments=(),
            includes_respiration=False,
            denominator="total",
        ),
    )


def truth_of(kind: str, totals: np.ndarray, years: np.ndarray) -> float:
    """What a kind of claim is about, of true totals (k,): a total, a change, a relative slope."""
    if kind == LEVEL:
        return float(totals[-1])
    if kind == CHANGE:
        return float(totals[-1] / totals[0] - 1.0)
    centred = years - years.mean()
    return float(centred @ totals / (centred @ centred) / totals[0])
