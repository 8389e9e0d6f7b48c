"""Other defensible choices, and how members that differ in them are pooled.

Each variant changes one thing of the main one.  Choices are taken as independent of each other, so what
each does to the value adds, and so do their variances; with a single choice this is the law of total
variance.  (The plain variance of a list in which each choice is tried alone would shrink with every choice
that does nothing.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from monitor.compare.estimator import MAIN, Answer, Variant
from monitor.compare.forms import Form, Level
from monitor.compare.quantity import CORRELATIONS
from monitor.compare.statistics import LEVEL, Estimate, scaled, stretched
from monitor.errors import InputError
from monitor.inversion.assumptions import TransportScale
from monitor.inversion.components import Combined, ObservationModel
from monitor.inversion.mismatch import BACKGROUND, background_components

#: What the candidate maps are called among the choices.
MAP = "map"


@dataclass(frozen=True)
class Pooled:
    """The estimate of an ensemble, and where its variance comes from.

    Attributes
    ----------
    within, between : float
        1σ: the members' own, pooled as their values are but never below their mean, and that of their values.
    by_choice : mapping of choice -> 1σ
        Between its options; the squares add up to that of `between`.
    correlation : float
        Of the shared transport error between epochs, the least favourable one; NaN where there is none.
    """

    estimate: Estimate
    within: float
    between: float
    by_choice: Mapping[str, float]
    correlation: float = np.nan


def pool_choices(answers: Sequence[Answer], estimates: Sequence[Estimate]) -> Pooled:
    """One estimate of all members, maps × variants.

    Of each choice the options are the main one and its own variants; the maps count in every variant.
    With m the mean over maps of a variant, the value is m_main + Σ_choices (mean of its options − m_main),
    and the variance between is that of the maps, of each choice's options, and of what maps and variants do
    together only.
    """
    table = _table(answers, [e.value for e in estimates])
    per_map, per_variant = table.mean(axis=1), table.mean(axis=0)
    variance = {MAP: float(per_map.var())} if len(per_map) > 1 else {}
    variance |= {c: float(per_variant[members].var()) for c, members in _options(answers).items()}
    value = float(_over_variants(answers, table).mean())
    together = table - per_map[:, None] - per_variant[None] + table.mean()
    between = sum(variance.values()) + float(np.mean(together**2))
    own = _table(answers, [e.sigma**2 for e in estimates])
    # as the values: a choice that does nothing must not hide one that widens
    within = max(float(own.mean()), float(_over_variants(answers, own).mean()))
    return Pooled(
        estimate=stretched(estimates, value, float(np.sqrt(within + between))),
        within=float(np.sqrt(within)),
        between=float(np.sqrt(between)),
        by_choice={name: float(np.sqrt(v)) for name, v in variance.items()},
    )


def pooled_responses(answers: Sequence[Answer]) -> dict[str, tuple[float, float]]:
    """How much of a true change in each layout the estimate shows, along the map of least and of most.

    It is pooled over variants as the estimate is: a variant has a part in the estimate, and no more in this.
    The mean over maps would hide one that shows too little behind one that shows too much.
    """
    names = dict.fromkeys(name for a in answers for name in a.responses)
    tables = {name: _table(answers, [a.responses.get(name, np.nan) for a in answers]) for name in names}
    along = {name: _over_variants(answers, table) for name, table in tables.items()}
    return {name: (float(shown.min()), float(shown.max())) for name, shown in along.items()}


def _over_variants(answers: Sequence[Answer], table: np.ndarray) -> np.ndarray:
    """Values (maps, variants) pooled over the variants (maps,): main + Σ_choices (mean of options − main)."""
    main = table[:, 0]
    shifts = [table[:, options].mean(axis=1) - main for options in _options(answers).values()]
    return np.asarray(main + np.sum(shifts, axis=0))


def _options(answers: Sequence[Answer]) -> dict[str, list[int]]:
    """The variants that each choice leaves open, the main one (0) among them."""
    choices = _choices(answers)
    return {
        choice: [0, *(n for n, own in enumerate(choices) if n and own == choice)]
        for choice in dict.fromkeys(choices[1:])
    }


def _choices(answers: Sequence[Answer]) -> list[str]:
    """The choice of each variant, the main one first; a variant that names none is one of its own kind."""
    first, *others = [a.choice for a in answers if a.pattern == answers[0].pattern]
    return [first, *("other" if choice in (first, MAIN) else choice for choice in others)]


def _table(answers: Sequence[Answer], values: Sequence[float]) -> np.ndarray:
    """Values (maps, variants); members come variant by variant, maps within."""
    maps = len(dict.fromkeys(a.pattern for a in answers))
    return np.array(values).reshape(-1, maps).T


def shared(transport: TransportScale, correlation: float) -> TransportScale:
    """The error with its common part correlated by `correlation` between epochs, the rest on its own."""
    common = transport.common_sd
    return TransportScale(
        common * np.sqrt(correlation), float(np.hypot(transport.epoch_sd, common * np.sqrt(1 - correlation)))
    )


def estimate_at(
    form: Form,
    found: Answer,
    transport: TransportScale,
    correlation: float,
    level: float = LEVEL,
    declared_sd: float = 0.0,
) -> Estimate:
    """What one member estimates, the multiplicative transport error and that of declared adjustments added.

    Parts of one epoch share all of the transport's error: in a share it drops out.
    """
    if not np.isfinite(found.covariance).all():
        return Estimate(np.nan, np.nan, np.nan, np.nan, level)
    if isinstance(form, Level):
        relative = float(np.hypot(np.hypot(transport.common_sd, transport.epoch_sd), declared_sd))
        return scaled(float(found.totals[0]), float(np.sqrt(found.covariance[0, 0])), relative, level)
    one_epoch = form.direction(found.totals.size).size == 1
    error = TransportScale() if form.is_ratio and one_epoch else shared(transport, correlation)
    covariance = error.inflate(found.totals, found.covariance, ratio=form.is_ratio)
    adjusted = declared_sd * found.totals * (np.arange(found.totals.size) == 0 if one_epoch else 1.0)
    return form.estimate(found.totals, covariance + np.diag(adjusted**2), level)


def least_favourable(
    form: Form, answers: Sequence[Answer], transport: TransportScale, declared_sd: float = 0.0
) -> Pooled:
    """The pooled estimate at the correlation of the shared error that leaves the widest interval."""
    tried = pooled_at_each(form, answers, transport, declared_sd=declared_sd)
    return max(tried, key=lambda p: p.estimate.sigma)


def pooled_at_each(
    form: Form,
    answers: Sequence[Answer],
    transport: TransportScale,
    level: float = LEVEL,
    correlations: Sequence[float] = CORRELATIONS,
    declared_sd: float = 0.0,
) -> list[Pooled]:
    """The pooled estimate at each correlation of the shared error; one, where nothing depends on it.

    A level or share of one epoch does not, nor anything without such an error.
    """
    several = transport.common_sd > 0 and form.direction(answers[0].totals.size).size > 1
    tried = []
    for correlation in correlations if several else correlations[:1]:
        estimates = [estimate_at(form, a, transport, correlation, level, declared_sd) for a in answers]
        pooled = pool_choices(answers, estimates)
        tried.append(replace(pooled, correlation=correlation if several else np.nan))
    return tried


@dataclass(frozen=True)
class Choices:
    """What is varied, one thing at a time, around the main solution; the candidate maps are always.

    Factors multiply a fitted or stated value: a value that is 1.5 times another fits hourly data almost as
    well, and times are seldom known to a factor of two.

    Attributes
    ----------
    backgrounds
        Of "network", "station" and "side": what shares one inflow process.
    """

    length_factors: tuple[float, ...] = (0.5, 2.0)
    mismatch_time_factors: tuple[float, ...] = (0.5, 3.0)
    mismatch_scale_factors: tuple[float, ...] = (0.7, 1.5)
    background_time_factors: tuple[float, ...] = (0.5, 2.0)
    backgrounds: tuple[str, ...] = ("station",)
    leave_one_station_out: bool = True


def variants_of(main: Variant, choices: Choices) -> list[Variant]:
    """The main variant, the others, and those with a station left out.

    A background that is the main one's, or that of a single station, is no other choice; nor has a network
    of differences any.
    """
    problem = main.posterior.problem
    own = problem.assumptions.background.per
    found = [main, *(with_length(main, f) for f in choices.length_factors)]
    found += [with_mismatch_time(main, f) for f in choices.mismatch_time_factors]
    found += [with_mismatch_scale(main, f) for f in choices.mismatch_scale_factors]
    found += [with_background_time(main, f) for f in choices.background_time_factors]
    inlets = problem.table.inlets
    alone = len(inlets) == 1
    if not problem.assumptions.selection.differences:
        others = [per for per in choices.backgrounds if per != own and not (alone and per != "side")]
        found += [with_background(main, per) for per in others]
    if choices.leave_one_station_out and not alone:
        found += [without_station(main, k) for k in range(len(inlets))]
    return found


def with_length(variant: Variant, factor: float) -> Variant:
    """The variant with all correlation lengths of the fluxes multiplied by `factor`."""
    return _with_factor(variant, (" length",), factor, "correlation length")


def with_mismatch_time(variant: Variant, factor: float) -> Variant:
    """The variant with the correlation time of the transport error multiplied by `factor`."""
    return _with_factor(variant, ("transport time", "common time"), factor, "mismatch time")


def with_mismatch_scale(variant: Variant, factor: float) -> Variant:
    """The variant with all scales of R but the instrument's multiplied by `factor`."""
    return _with_factor(
        variant,
        ("representation", "variability", "transport fraction", "common fraction"),
        factor,
        "mismatch scale",
    )


def with_background_time(variant: Variant, factor: float) -> Variant:
    """The variant with the correlation time of the inflow multiplied by `factor`."""
    return _with_factor(variant, ("inflow time",), factor, "inflow time")


def _with_factor(variant: Variant, endings: tuple[str, ...], factor: float, choice: str) -> Variant:
    posterior = variant.posterior
    names = [p.name for p in posterior.hyperparameters.parameters]
    values = posterior.values.copy()
    values[[i for i, n in enumerate(names) if n.endswith(endings)]] *= factor
    return replace(variant, name=f"{choice} × {factor:g}", posterior=posterior.at(values), choice=choice)


def with_background(variant: Variant, per: str) -> Variant:
    """The variant with one inflow process for the network, for each station or for each side.

    Scales and times of the same name stay as they are.

    Raises
    ------
    InputError
        When the observations are differences of stations, in which the inflow is gone already.
    """
    posterior = variant.posterior
    problem = posterior.problem
    if any(isinstance(c, Combined) and c.name in BACKGROUND for c in problem.model.components):
        raise InputError(
            "differences of stations have no other background",
            found=", ".join(problem.table.inlets),
            remedy="leave out ensemble.backgrounds",
        )
    background = replace(problem.assumptions.background, per=per)
    rest = [c for c in problem.model.components if c.name not in BACKGROUND]
    model = ObservationModel((*rest, *background_components(background, problem.table, problem.epochs, 1.0)))
    known = dict(
        zip((p.name for p in posterior.hyperparameters.parameters), posterior.values.tolist(), strict=True)
    )
    values = np.array([known.get(p.name, p.start) for p in model.parameters])
    hyperparameters = replace(
        posterior.hyperparameters,
        parameters=model.parameters,
        values=values,
        log_covariance=np.zeros((values.size, values.size)),
    )
    assumptions = replace(problem.assumptions, background=background)
    moved = replace(
        posterior,
        problem=replace(problem, model=model, assumptions=assumptions),
        hyperparameters=hyperparameters,
    )
    return replace(variant, name=f"inflow per {per}", posterior=moved.at(values), choice="background method")


def without_station(variant: Variant, station: int) -> Variant:
    """The variant with one inlet's observations left out, at the same hyperparameters."""
    problem = variant.posterior.problem
    keep = np.flatnonzero(problem.table.station != station)
    name = f"without {problem.table.inlets[station]}"
    return Variant(name, variant.posterior.on(problem.select(keep)), True, "station", keep)
