"""From a solved problem to the members of an ensemble: one linear estimator per variant and map.

T̂ = K r with a gain and a covariance that need no observations: one factorised problem answers for as many
sets of observations as one likes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from monitor.compare.forms import Form
from monitor.compare.quantity import Quantity, fixed_effects, free_problem
from monitor.errors import NumericalError
from monitor.inversion.flat import Prepared
from monitor.inversion.posterior import Posterior, loading_of
from monitor.inversion.problem import InverseProblem
from monitor.inversion.totals import FixedEffect

#: The choice of the main variant.
MAIN = "main"


@dataclass(frozen=True, eq=False)
class Variant:
    """One defensible way to solve the problem.

    Attributes
    ----------
    choice
        What was chosen otherwise than in the main variant ("length", "hours", …); "main" of that.
    station_out
        With a station left out: checks stability and stays out of the pool.
    rows
        The main problem's observations that it uses; `None` where the observations are others.
    """

    name: str
    posterior: Posterior
    station_out: bool = False
    choice: str = MAIN
    rows: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """Totals by one variant and one pattern, from one set of observations.

    Attributes
    ----------
    totals, covariance : (k,), (k, k)
        With the variance between hyperparameters and inflated to what left-out days show; without the
        multiplicative transport error.
    responses : mapping of layout -> float
        How much of a true change, level or share in another layout of the same total would show.
    """

    name: str
    totals: np.ndarray
    covariance: np.ndarray
    responses: Mapping[str, float]
    station_out: bool
    pattern: str = ""
    choice: str = MAIN


@dataclass(frozen=True, eq=False)
class Estimator:
    """T̂ = K r of one quantity by one variant and one pattern: everything but the observations.

    Attributes
    ----------
    gain : (k, n)
    covariance : (k, k)
        At the hyperparameters, not inflated; needs no observations.
    moved : (q, k, n)
        Gains at neighbouring hyperparameters less `gain`.
    shows : mapping of layout -> (k, j)
        What the totals show of a unit of that layout in each epoch.
    residual : (n,)
        Of the observations at hand: y − b_a and what blocks that are not asked about predict.
    prior, informed : (k, k)
        Covariance of the totals before and after the data at hand, with the prior's vote: not the estimate's.
    rows : (n,) or None
        As in `Variant`: `at(residual[rows])` answers for a residual of the main problem.
    """

    name: str
    form: Form
    gain: np.ndarray
    covariance: np.ndarray
    moved: np.ndarray
    shows: Mapping[str, np.ndarray]
    residual: np.ndarray
    inflation: float
    prior: np.ndarray
    informed: np.ndarray
    station_out: bool = False
    pattern: str = ""
    choice: str = MAIN
    rows: np.ndarray | None = None

    @property
    def is_blind(self) -> bool:
        """Whether the observations do not see what is asked."""
        return not np.isfinite(self.covariance).all()

    def at(self, residual: np.ndarray, inflation: float | None = None) -> Answer:
        """The answer to a residual (n,); the variances are inflated as for the data at hand if not given."""
        about = (self.station_out, self.pattern, self.choice)
        if self.is_blind:
            return Answer(self.name, self.gain[:, 0], self.covariance, {}, *about)
        totals = self.gain @ residual
        shifts = self.moved @ residual
        covariance = (self.inflation if inflation is None else inflation) * self.covariance
        covariance = covariance + 0.5 * shifts.T @ shifts
        contrast = self.form.contrast(totals, covariance)
        direction = self.form.direction(totals.size)
        whole = float(contrast[: direction.size] @ direction)
        responses = {
            name: float(contrast @ shown @ direction) / whole if whole else np.nan
            for name, shown in self.shows.items()
        }
        return Answer(self.name, totals, covariance, responses, *about)


def estimators(quantity: Quantity, variants: Sequence[Variant]) -> list[Estimator]:
    """All members of the ensemble, variant by variant, within each map by map.

    A map that a variant's observations do not see, or of which they cannot tell the parts, gives an
    estimator without numbers.  A transport biased from the first epoch to the last makes further members of
    the main variant.  A variant whose hyperparameters are those of the main one but for a factor is as
    uncertain of them: taken as certain, each choice that is tried would narrow the pooled interval.
    """
    out = []
    for variant in variants:
        panel = _Panel.of(quantity, variant, list(quantity.patterns))
        for pattern in quantity.patterns:
            try:
                out.append(panel.estimator(pattern))
            except NumericalError:
                out.append(_blind(quantity, variant, pattern))
    maps = len(quantity.patterns)
    main = out[:maps]
    out = [m if m.moved.size else _as_uncertain(m, main[k % maps]) for k, m in enumerate(out)]
    return out + [with_epoch_bias(m, factor) for factor in quantity.epoch_factors for m in main]


def _as_uncertain(member: Estimator, main: Estimator) -> Estimator:
    """The member with what neighbouring hyperparameters do to `main`, if it has the same observations."""
    if member.is_blind or main.is_blind or member.gain.shape != main.gain.shape:
        return member
    return replace(member, moved=main.moved)


def with_epoch_bias(member: Estimator, factor: float) -> Estimator:
    """The member if the transport were `factor` times as strong in the last epoch as in the first.

    A mixing height that is too low makes the same flux look larger: totals are divided by what grows from 1
    in the first epoch to `factor` in the last as the change that is spoken of does.  A level is divided by
    the factor itself; in a share it drops out.
    """
    k = member.covariance.shape[0]
    direction = member.form.direction(k)
    scale = 1.0 / (1.0 + (factor - 1.0) * np.resize(direction / direction.max(), k))
    return replace(
        member,
        name=f"{member.pattern}, transport × {factor:g} by the last epoch",
        gain=scale[:, None] * member.gain,
        covariance=np.outer(scale, scale) * member.covariance,
        moved=scale[:, None] * member.moved,
        shows={name: scale[:, None] * shown for name, shown in member.shows.items()},
        choice="transport of an epoch",
    )


def estimator(quantity: Quantity, variant: Variant, pattern: str) -> Estimator:
    """The linear estimator of a quantity's totals [t a⁻¹], flat along `pattern`.

    Raises
    ------
    NumericalError
        When the observations do not see the pattern in an epoch, or cannot tell two parts of it apart.
    """
    return _Panel.of(quantity, variant, [pattern]).estimator(pattern)


def answer(quantity: Quantity, variant: Variant, pattern: str) -> Answer:
    """The totals of a quantity, flat along `pattern` (t a⁻¹), and the response to other layouts."""
    found = estimator(quantity, variant, pattern)
    return found.at(found.residual)


def answers(quantity: Quantity, variants: Sequence[Variant]) -> list[Answer]:
    """Those of all members to the observations at hand; see `estimators`."""
    return [member.at(member.residual) for member in estimators(quantity, variants)]


@dataclass(frozen=True, eq=False)
class _Panel:
    """One variant with the flat directions of several maps, all solved for at once.

    Attributes
    ----------
    effects : mapping of map id -> its fixed effects
    first : mapping of map id -> where its columns begin
    points
        At the hyperparameters themselves, then at each neighbour.
    seen : mapping of layout -> (n, j)
        Response of the observations to a unit of the layout in each epoch.
    """

    quantity: Quantity
    variant: Variant
    problem: InverseProblem
    effects: Mapping[str, list[FixedEffect]]
    first: Mapping[str, int]
    points: Sequence[Prepared]
    seen: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, quantity: Quantity, variant: Variant, patterns: Sequence[str]) -> _Panel:
        posterior = variant.posterior
        problem = free_problem(quantity, posterior.problem)
        effects = {p: fixed_effects(quantity, problem, p) for p in patterns}
        columns = [problem.effect(e.block, e.field, e.interval) for found in effects.values() for e in found]
        counts = np.cumsum([0, *(len(found) for found in effects.values())]).tolist()
        points = replace(posterior, problem=problem).prepared(quantity.totals(), np.stack(columns, axis=1))
        first = dict(zip(patterns, counts, strict=False))
        return cls(quantity, variant, problem, effects, first, points, _seen(quantity, problem))

    def estimator(self, pattern: str) -> Estimator:
        """Flat along one map."""
        variant, effects, begin = self.variant, self.effects[pattern], self.first[pattern]
        loading = loading_of(self.problem, self.quantity.totals(), effects)
        free = range(begin, begin + len(effects))
        central, *others = (point.estimate(free, loading) for point in self.points)
        moved = [o.gain - central.gain for o in others]
        prior, informed = self.informative
        return Estimator(
            name=f"{pattern}, {variant.name}",
            form=self.quantity.made,
            gain=central.gain,
            covariance=central.covariance,
            moved=np.stack(moved) if moved else np.zeros((0, *central.gain.shape)),
            shows={name: central.gain @ seen for name, seen in self.seen.items()},
            residual=self.problem.residual,
            inflation=variant.posterior.inflation,
            prior=prior,
            informed=informed,
            station_out=variant.station_out,
            pattern=pattern,
            choice=variant.choice,
            rows=variant.rows,
        )

    @cached_property
    def informative(self) -> tuple[np.ndarray, np.ndarray]:
        """Covariances of the totals before and after the data, with the prior's vote."""
        central, *others = (point.estimate() for point in self.points)
        voting = self.variant.posterior.problem.residual
        shifts = np.array([(o.gain - central.gain) @ voting for o in others]).reshape(-1, len(central.gain))
        inflation = self.variant.posterior.inflation
        after = inflation * central.covariance + 0.5 * shifts.T @ shifts
        return inflation * central.prior_covariance, after


def _blind(quantity: Quantity, variant: Variant, pattern: str) -> Estimator:
    k = len(quantity.totals())
    nothing = np.full((k, k), np.nan)
    return Estimator(
        name=f"{pattern}, {variant.name}",
        form=quantity.made,
        gain=np.full((k, 1), np.nan),
        covariance=nothing,
        moved=np.zeros((0, k, 1)),
        shows={},
        residual=np.zeros(1),
        inflation=1.0,
        prior=nothing,
        informed=nothing,
        station_out=variant.station_out,
        pattern=pattern,
        choice=variant.choice,
        rows=np.zeros(1, dtype="i8"),
    )


def _seen(quantity: Quantity, problem: InverseProblem) -> dict[str, np.ndarray]:
    """What the observations see of each layout, per unit of its own total, in each epoch {name: (n, j)}."""
    out = {}
    for name, layout in {**quantity.patterns, **quantity.alternatives}.items():
        size = float(quantity.weight @ layout)
        if size > 0:
            inside = layout * quantity.fraction / size
            columns = [problem.effect(quantity.block, inside, epoch) for epoch in quantity.epochs]
            out[name] = np.stack(columns, axis=1)
    return out
