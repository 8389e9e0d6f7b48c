"""The two ledgers side by side: what the inventory says and what the air says, row by row.

Two answers of the air stand in a row and are named apart.  The *posterior* has the prior's vote.  The
*estimate* is flat along the inventory's own pattern, as for a verdict, and it alone says whether there is a
difference: a prior made from an inventory is no second witness of it.

A block of the state sums its sectors.  Their *posterior* splits it within each cell as the inventory does,
so that sectors differ only by where they emit; the rows sum to the block, covariances included.  Their
*estimate* frees the size of every sector in the region at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from monitor.compare.claims import Quantity
from monitor.compare.quantity import other_epochs
from monitor.compare.statistics import LEVEL, Estimate
from monitor.compare.terms import NOT_TESTED, Gap, Term
from monitor.compare.verdict import LEAST_SHARE, NOT_COMPARABLE, number, shows
from monitor.inversion.posterior import Posterior, prior_totals
from monitor.inversion.problem import InverseProblem
from monitor.inversion.totals import FixedEffect, Total

#: Name of the row that sums all sectors of a block.
ALL_SECTORS = "*"


@dataclass(frozen=True)
class Amount:
    """A total and its 1σ [t of the gas per year]."""

    value: float
    sigma: float

    def as_json(self) -> dict[str, object]:
        return {"value": number(self.value), "sigma": number(self.sigma)}


def assigned_covariance(values: np.ndarray, relative_sd: np.ndarray, between: float) -> np.ndarray:
    """Covariance (k, k) of sectors (k,) whose inventory states none, from relative 1σ (k,).

    `between` is the correlation of any two sectors' errors: 0 adds their variances (IPCC 2006, vol. 1, ch. 3,
    approach 1), 1 their σ.
    """
    sigma = np.abs(values) * relative_sd
    correlation = between + (1.0 - between) * np.eye(values.size)
    return np.asarray(correlation * np.outer(sigma, sigma))


def difference_with_prior(bottom_up: Amount, prior: Amount, posterior: Amount, correlation: float) -> Amount:
    """Posterior minus inventory, when the errors of inventory and prior have this correlation ρ.

    The posterior keeps V_post/V_prior of the prior's error, so its covariance with the inventory's error is
    ρ σ_bu/σ_prior · V_post.  For an inventory that is the prior (ρ = 1, the same σ) the variance is
    V_prior − V_post: that of what the data moved.
    """
    kept = min(posterior.sigma**2, prior.sigma**2)
    covariance = correlation * bottom_up.sigma / prior.sigma * kept if prior.sigma > 0 else 0.0
    variance = posterior.sigma**2 + bottom_up.sigma**2 - 2.0 * covariance
    return Amount(posterior.value - bottom_up.value, float(np.sqrt(max(variance, 0.0))))


def sector_shares(fields: np.ndarray) -> np.ndarray:
    """Part of each cell's flux that is each sector's (k, n_cells); where nothing is emitted, that of the map.

    By size where signs differ.  Sums to one in every cell.
    """
    size = np.abs(fields)
    whole = size.sum(axis=0)
    common = size.sum(axis=1) / max(float(size.sum()), np.finfo(float).tiny)
    if not size.any():
        common = np.full(size.shape[0], 1.0 / size.shape[0])
    return np.asarray(np.where(whole > 0, size / np.where(whole > 0, whole, 1.0), common[:, None]))


@dataclass(frozen=True, eq=False)
class Split:
    """Totals of the sectors of one block in one region and epoch, by the informative posterior.

    Attributes
    ----------
    prior, posterior : (k,)
    prior_covariance, covariance : (k, k)
        The posterior's with the transport's scale.
    share : (k,)
        1 − posterior/prior variance, without the transport's scale.
    whole_share
        The same of all sectors together.
    response : (k,)
        How much of a true change of the sector, in its own layout, its row shows; NaN where it emits nothing.
    """

    prior: np.ndarray
    prior_covariance: np.ndarray
    posterior: np.ndarray
    covariance: np.ndarray
    share: np.ndarray
    whole_share: float
    response: np.ndarray

    def whole(self) -> tuple[Amount, Amount]:
        """The prior and the posterior of all sectors together."""
        return (
            Amount(float(self.prior.sum()), float(np.sqrt(self.prior_covariance.sum()))),
            Amount(float(self.posterior.sum()), float(np.sqrt(self.covariance.sum()))),
        )

    def row(self, k: int) -> tuple[Amount, Amount]:
        """The prior and the posterior of one sector."""
        return (
            Amount(float(self.prior[k]), float(np.sqrt(self.prior_covariance[k, k]))),
            Amount(float(self.posterior[k]), float(np.sqrt(self.covariance[k, k]))),
        )


def split_by_sector(quantity: Quantity, posterior: Posterior, fields: np.ndarray) -> Split:
    """The posterior of each sector, its block split within each cell as in `fields` (k, n_cells).

    `quantity` has one epoch.  The transport's scale is in the covariance.
    """
    problem = posterior.problem
    totals = _sector_totals(quantity, fields)
    found, prior = posterior.totals(totals), prior_totals(problem, totals)
    estimate = prior + found.shift
    before, after = found.prior_covariance, found.covariance
    return Split(
        prior=prior,
        prior_covariance=before,
        posterior=estimate,
        covariance=quantity.transport.inflate(estimate, after, np.zeros(len(totals))),
        share=_share(np.diagonal(before), np.diagonal(after)),
        whole_share=float(_share(before.sum(), after.sum())),
        response=np.array(
            [_response(g, problem, quantity, f) for g, f in zip(found.gain, fields, strict=True)]
        ),
    )


def free_sectors(
    quantity: Quantity, posterior: Posterior, fields: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Totals (k,) and covariance (k, k) of sectors whose size in the region is free, each along its field.

    The prior mean does not vote, and what is outside the region, and in other epochs, is free too.

    Raises
    ------
    NumericalError
        When the data do not tell the sectors apart, or do not see one of them.
    """
    (epoch,) = quantity.epochs
    problem = posterior.problem.without_prior_mean(quantity.block)
    totals = _sector_totals(quantity, fields)
    names = [t.name for t in totals]
    effects = []
    for k, field in enumerate(fields):
        adds = dict.fromkeys(names, 0.0) | {names[k]: float(quantity.weight @ field)}
        effects.append(
            FixedEffect(f"{names[k]} free", quantity.block, field * quantity.fraction, epoch, adds)
        )
    whole = fields.sum(axis=0)
    outside = whole * (1.0 - quantity.fraction)
    around = FixedEffect("outside", quantity.block, outside, epoch, dict.fromkeys(names, 0.0))
    # a sector that is not seen is an error; what is around it and not seen is of no matter
    rest = [around] if np.any(problem.effect(quantity.block, outside, epoch)) else []
    pieces = [(quantity.block, whole * quantity.fraction), (quantity.block, outside)]
    rest += other_epochs(problem, quantity.epochs, pieces)
    found = replace(posterior, problem=problem).totals(totals, [*effects, *rest])
    return found.shift, quantity.transport.inflate(found.shift, found.covariance, np.zeros(len(totals)))


def _share(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.where(before > 0, 1.0 - after / np.where(before > 0, before, 1.0), np.nan)


def _sector_totals(quantity: Quantity, fields: np.ndarray) -> list[Total]:
    (epoch,) = quantity.epochs
    return [
        Total(f"{quantity.region} sector {k}", quantity.block, quantity.weight * share, epoch)
        for k, share in enumerate(sector_shares(fields))
    ]


def _response(gain: np.ndarray, problem: InverseProblem, quantity: Quantity, field: np.ndarray) -> float:
    size = float(quantity.weight @ field)
    if size == 0.0 or problem.block(quantity.block).fields is not None:
        return float("nan")
    effect = problem.effect(quantity.block, field * quantity.fraction, quantity.epochs[0])
    return float(gain @ effect / size)


def is_prior_driven(share: float, response: tuple[float, float] | None) -> bool:
    """Whether a number is the prior's more than the data's: by its share, or the least and most it shows.

    Without a response the share alone says.
    """
    return share < LEAST_SHARE or (response is not None and not shows(*response))


@dataclass(frozen=True)
class Row:
    """One line of the two ledgers.

    Attributes
    ----------
    inventory
        Id of the map, or of the city's table.
    bottom_up, assigned
        `assigned`: its 1σ is one that the city file assigns, because the inventory states none.
    prior, posterior
        With the prior's vote; the prior is the mean of all candidate maps.
    estimate
        Flat along the inventory's pattern; ``None`` where the data do not tell it.
    posterior_difference
        Posterior minus inventory, with the covariance of the two, and `declared_sd`.
    declared_sd
        Relative 1σ of the declared differences, which the estimate and the differences carry.
    share_from_data
        1 − posterior/prior variance of the informative posterior.
    response
        The least and the most of a true change that would show: of a block in other layouts of the same
        total, of a sector in its own; ``None`` where it has none.
    not_comparable
        Why no number is compared.
    counted, lines
        The table's sectors that the row adds up, in its words, and their lines, from 1.
    """

    species: str
    region: str
    block: str
    sector: str
    period: str
    interval: Sequence[str]
    inventory: str
    unit: str
    bottom_up: Amount | None
    assigned: bool
    prior: Amount | None = None
    posterior: Amount | None = None
    estimate: Estimate | None = None
    posterior_difference: Amount | None = None
    declared_sd: float = 0.0
    share_from_data: float | None = None
    response: tuple[float, float] | None = None
    gap: Gap | None = None
    terms: tuple[Term, ...] = ()
    marks: tuple[str, ...] = ()
    not_comparable: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()

    @property
    def status(self) -> str:
        """What is said of the difference."""
        if self.not_comparable:
            return NOT_COMPARABLE
        return self.gap.status if self.gap else NOT_TESTED

    def as_json(self) -> dict[str, object]:
        """One JSON-ready object; `null` where absent."""
        gap, moved = self.gap, self.posterior_difference
        return {
            "species": self.species,
            "region": self.region,
            "block": self.block,
            "sector": self.sector,
            "period": self.period,
            "interval": list(self.interval),
            "inventory": self.inventory,
            "unit": self.unit,
            "bottom_up": _bottom_up(self.bottom_up, self.assigned),
            "prior": self.prior and self.prior.as_json(),
            "posterior": self.posterior and self.posterior.as_json(),
            "estimate": _estimate(self.estimate),
            "difference": gap and _difference(gap.value, gap.sigma),
            "difference_after_terms": gap and _difference(gap.left, gap.left_sigma),
            "posterior_difference": moved and _difference(moved.value, moved.sigma),
            "declared_sd": self.declared_sd or None,
            "share_from_data": number(self.share_from_data),
            "response": self.response and number(self.response[0]),
            "response_most": self.response and number(self.response[1]),
            "missing_terms": [term.as_json() for term in self.terms],
            "marks": list(self.marks),
            "status": self.status,
            "not_comparable": list(self.not_comparable),
            "counted": list(self.counted),
            "lines": list(self.lines),
        }


def _bottom_up(amount: Amount | None, assigned: bool) -> Mapping[str, object] | None:
    return (
        None if amount is None else {**amount.as_json(), "uncertainty": "assigned" if assigned else "stated"}
    )


def _estimate(estimate: Estimate | None) -> Mapping[str, object] | None:
    if estimate is None:
        return None
    return {
        "value": number(estimate.value),
        "sigma": number(estimate.sigma),
        "interval": [number(estimate.low), number(estimate.high)],
        "level": LEVEL,
    }


def _difference(value: float, sigma: float) -> Mapping[str, object]:
    return {
        "value": number(value),
        "sigma": number(sigma),
        "in_sigmas": number(value / sigma if sigma > 0 else None),
    }
