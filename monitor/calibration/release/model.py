"""What the table says about a source: the density of its place, its rate and the dispersion, jointly.

With the enhancement e = Q a(place, dispersion) of each half hour::

    y = X b + e + ε,    b flat, one per instrument
    ε ~ shared background + drift of each instrument                     (correlated over hours and days)
        + e ∘ (a factor per group + per instrument + per instrument and hour + common to all per hour)
        + noise/√k + f w/√k                                               (independent, Student-t, ν = 4)

The factors are errors of the plume, in proportion to what it says; w is its enhancement with a direction
that is also wrong by `WRONG_DIRECTION`, so that a plume that passes beside an inlet is no surprise.
In the mismatch e and w are those of one *reference*, found in turn with the estimate: a mismatch that moved
with Q would read the rate from the size of the scatter.  The backgrounds b and, given place and dispersion,
the rate are integrated out exactly with flat priors, everything else by sampling.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from typing import Final

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.special import log_ndtr

from monitor.calibration.release.data import Blocks
from monitor.inversion import LinearProblem, covariance
from monitor.inversion.hyper.evidence import restricted
from monitor.inversion.linear import solve_observations
from monitor.inversion.robust import expected_square, log_evidence_bound, reweighted, solve_student_t
from monitor.transport.surface_plume import Dispersion, enhancement

CH4_G_MOL: Final = 16.04
#: All unknowns, in this order; the shape is all but the first.
UNKNOWNS: Final = ("ln rate", "x", "y", "ln growth", "ln lateral", "ln roughness", "turn")
#: Prior mean and σ of the last four: similarity within 28 %, σ_θ within a factor 1.6, short grass within 2,
#: a vane set within 5°.  Rate and place are flat, the place within ± `AREA_M`.
PRIOR_MEAN: Final = np.array([0.0, 0.0, np.log(0.02), 0.0])
PRIOR_SD: Final = np.array([0.25, 0.5, np.log(2.0), 5.0])
AREA_M: Final = 100.0
#: The largest rate that is thought of [g min⁻¹]: where the data say nothing, all up to here are alike.
LARGEST_G_MIN: Final = 1000.0
#: Error of the direction of a single interval [rad].
WRONG_DIRECTION: Final = 0.14
DEGREES_OF_FREEDOM: Final = 4.0
GROUPS: Final = ("Boreal", "EC", "FTIR", "Picarro")


#: Unknowns of a world with (next to) no source.
SILENCE: Final = np.concatenate([[np.log(0.01), 0.0, 0.0], PRIOR_MEAN])


@dataclass(frozen=True)
class Errors:
    """The mismatch: σ [ppm] and correlation times [h] of the air, factors [1] of the plume."""

    noise_ppm: tuple[float, ...] = (0.15, 0.05, 0.03, 0.03)
    drift_ppm: tuple[float, ...] = (0.05, 0.02, 0.02, 0.02)
    drift_h: float = 12.0
    shared_ppm: float = 0.03
    shared_h: float = 6.0
    factor_group: float = 0.2
    factor_instrument: float = 0.2
    factor_common: float = 0.2
    factor_own: float = 0.2
    factor_h: float = 2.0
    factor_block: float = 0.4

    def as_logs(self) -> np.ndarray:
        """Logarithms (17,), in the order of the fields."""
        return np.asarray(np.log(np.hstack([getattr(self, name) for name in self.__dataclass_fields__])))

    @classmethod
    def from_logs(cls, logs: np.ndarray) -> Errors:
        value, k = np.exp(logs).tolist(), len(GROUPS)
        return cls(tuple(value[:k]), tuple(value[k : 2 * k]), *value[2 * k :])


def frozen_errors() -> dict[float, Errors]:
    """Wind cut [m s⁻¹] -> the mismatch that the development dates gave by evidence."""
    text = files("monitor.calibration.release").joinpath("errors.json").read_text("utf-8")
    names = Errors.__dataclass_fields__
    return {
        float(cut): Errors.from_logs(np.log(np.hstack([found[name] for name in names])))
        for cut, found in json.loads(text).items()
    }


@dataclass(frozen=True, eq=False)
class ReleaseModel:
    """Half hours and their mismatch: at `reference` (7,), with `weights` (b,) of the Student-t errors."""

    blocks: Blocks
    errors: Errors
    weights: np.ndarray
    reference: np.ndarray

    @cached_property
    def _lag_h(self) -> np.ndarray:
        return np.asarray(np.abs(np.subtract.outer(self.blocks.hours, self.blocks.hours)))

    @cached_property
    def _same(self) -> np.ndarray:
        own = self.blocks.instrument
        return np.asarray(own[:, None] == own, dtype="f8")

    @cached_property
    def offsets(self) -> np.ndarray:
        """X (b, i): the background of each instrument."""
        return np.asarray(self.blocks.instrument[:, None] == np.arange(self.blocks.names.size), dtype="f8")

    @cached_property
    def background(self) -> np.ndarray:
        """Covariance (b, b) of the shared background and the drifts."""
        e = self.errors
        drift = self._by_group(e.drift_ppm)
        own = np.outer(drift, drift) * self._same * np.exp(-self._lag_h / e.drift_h)
        return np.asarray(own + e.shared_ppm**2 * np.exp(-self._lag_h / e.shared_h))

    @cached_property
    def air_variance(self) -> np.ndarray:
        """Variance (b,) of the instruments' noise, without any plume."""
        return np.asarray(self._by_group(self.errors.noise_ppm) ** 2 / self.blocks.count)

    @cached_property
    def _factors(self) -> np.ndarray:
        e = self.errors
        fading = np.exp(-self._lag_h / e.factor_h)
        group = (self.blocks.group[:, None] == self.blocks.group) * e.factor_group**2
        own = self._same * (e.factor_instrument**2 + e.factor_own**2 * fading)
        return np.asarray(group + own + e.factor_common**2 * fading)

    def _by_group(self, values: tuple[float, ...]) -> np.ndarray:
        return np.array([values[GROUPS.index(group)] for group in self.blocks.group])

    def response(self, place: tuple[float, float], dispersion: Dispersion, wrong: float = 0.0) -> np.ndarray:
        """Enhancement (b,) per g min⁻¹ if the release were always on, with `wrong` added to σ_θ [rad]."""
        return self._response(np.ones(self.blocks.of.size, dtype=bool), place, dispersion, wrong)

    def enhancement(self, unknowns: np.ndarray, wrong: float = 0.0) -> np.ndarray:
        """What the source adds (b,) [ppm]; nothing while it is shut."""
        seen = self.blocks.on[self.blocks.of]
        return np.asarray(np.exp(unknowns[0]) * self._response(seen, *unpack(unknowns), wrong))

    def _response(
        self, rows: np.ndarray, place: tuple[float, float], dispersion: Dispersion, wrong: float
    ) -> np.ndarray:
        samples = self.blocks.samples
        air = replace(samples.air, spread=np.hypot(samples.air.spread, wrong / dispersion.lateral))
        inlets = samples.inlets.select(rows)
        added = np.zeros(rows.size)
        added[rows] = enhancement(place, inlets, air, dispersion, molar_mass_g_mol=CH4_G_MOL)
        return self.blocks.mean(added)

    @cached_property
    def mismatch(self) -> tuple[np.ndarray, np.ndarray]:
        """Independent variances (b,) without weights, and the correlated covariance (b, b)."""
        e, wide = self.enhancement(self.reference), self.enhancement(self.reference, WRONG_DIRECTION)
        independent = self.air_variance + (self.errors.factor_block * wide) ** 2 / self.blocks.count
        return independent, self.background + np.outer(e, e) * self._factors

    @cached_property
    def lower(self) -> np.ndarray:
        """Cholesky factor (b, b) of the mismatch."""
        independent, correlated = self.mismatch
        return np.asarray(cholesky(correlated + np.diag(independent / self.weights), lower=True))

    @cached_property
    def _white(self) -> tuple[np.ndarray, np.ndarray]:
        """The data (b,) and an orthonormal basis (b, i) of the backgrounds, both whitened."""
        data = solve_triangular(self.lower, self.blocks.mole_fraction, lower=True)
        return data, np.linalg.qr(solve_triangular(self.lower, self.offsets, lower=True))[0]

    def rate(self, shape: np.ndarray) -> tuple[float, float, float]:
        """Estimate and σ of the rate by generalised least squares for a `shape` (6,), and −½ χ² there."""
        data, offsets = self._white
        unit = self.enhancement(np.concatenate([[0.0], shape]))
        column = solve_triangular(self.lower, unit, lower=True, check_finite=False)
        both = np.stack([data, column], axis=1)
        both -= offsets @ (offsets.T @ both)
        rest, column = both.T
        norm = float(column @ column)
        if norm < 1e-12:
            return 0.0, np.inf, -0.5 * float(rest @ rest)
        rate = float(column @ rest) / norm
        return rate, norm**-0.5, -0.5 * (float(rest @ rest) - rate**2 * norm)

    def log_density(self, shape: np.ndarray) -> float:
        """Ln posterior density of the shape (6,) but for a constant, backgrounds and rate integrated out.

        The rate has a flat prior from zero to `LARGEST_G_MIN`; given the shape it is normal, cut at both.
        """
        prior = log_prior(shape)
        if not np.isfinite(prior):
            return prior
        rate, sd, fit = self.rate(shape)
        return prior + fit + log_mass(rate, sd)

    def log_evidence(self) -> float:
        """Ln p(y) at the reference, with the determinants: comparable between references and errors."""
        rest = self.blocks.mole_fraction - self.enhancement(self.reference)
        return restricted(self.lower, rest, self.offsets)[0]

    def at(self, reference: np.ndarray) -> ReleaseModel:
        return replace(self, reference=reference)

    def problem(self) -> LinearProblem:
        """The linear rest at the reference: backgrounds with a flat prior, and the mismatch."""
        independent, correlated = self.mismatch
        many = self.offsets.shape[1]
        return LinearProblem(
            self.offsets,
            self.blocks.mole_fraction - self.enhancement(self.reference),
            np.zeros(many),
            covariance.Diagonal(np.full(many, 1e-8)),
            # 1e-10 ppm² keeps a background that all share factorable
            covariance.Sum(
                covariance.Diagonal(independent),
                covariance.Dense(correlated + 1e-10 * np.eye(independent.size)),
            ),
            fixed_effects=np.eye(many),
        )

    def reweighted(self) -> tuple[ReleaseModel, float]:
        """The model with the Student-t weights of its reference, and the bound of its evidence."""
        posterior = solve_student_t(self.problem(), DEGREES_OF_FREEDOM)
        return replace(self, weights=posterior.weights), log_evidence_bound(posterior, DEGREES_OF_FREEDOM)

    def towards_weights(self) -> ReleaseModel:
        """One step of the Student-t weights from those it has."""
        problem, nu = self.problem(), DEGREES_OF_FREEDOM
        posterior = solve_observations(reweighted(problem, self.weights))
        square = expected_square(posterior, self.weights, self.mismatch[0])
        return replace(self, weights=(nu + 1.0) / (nu + square))

    def silent(self) -> ReleaseModel:
        """The same half hours, taken as if the release had been shut."""
        shut = np.zeros(self.blocks.count.size, dtype=bool)
        return replace(self, blocks=replace(self.blocks, on=shut), reference=SILENCE)

    def with_errors(self, errors: Errors) -> ReleaseModel:
        return replace(self, errors=errors)


def model_of(blocks: Blocks, errors: Errors) -> ReleaseModel:
    """The model before anything was learned: all weights one, the reference without a source."""
    return ReleaseModel(blocks, errors, np.ones(blocks.count.size), SILENCE)


def unpack(unknowns: np.ndarray) -> tuple[tuple[float, float], Dispersion]:
    """Place [m] and dispersion of a vector of `UNKNOWNS`."""
    _, x, y, growth, lateral, roughness, turn = (float(value) for value in unknowns)
    return (x, y), Dispersion(np.exp(growth), np.exp(lateral), float(np.exp(roughness)), turn)


def log_mass(rate: float, sd: float) -> float:
    """Ln ∫ exp(−(q − rate)²/2 sd²) dq from 0 to `LARGEST_G_MIN`, which is the mass where sd is ∞."""
    if not sd < 1e3 * LARGEST_G_MIN:
        return float(np.log(LARGEST_G_MIN))
    ends = sorted((abs(rate) / sd, (LARGEST_G_MIN - rate) / sd)) if rate < 0 else []
    # below zero both ends are in the upper tail, where differences of Φ lose their digits
    high, low = (-ends[0], -ends[1]) if ends else ((LARGEST_G_MIN - rate) / sd, -rate / sd)
    above, below = float(log_ndtr(high)), float(log_ndtr(low))
    return float(np.log(sd) + 0.5 * np.log(2 * np.pi) + above + np.log1p(-np.exp(below - above)))


def log_prior(shape: np.ndarray) -> float:
    """Flat within the area, normal in the dispersion."""
    inside = bool(np.all(np.abs(shape[:2]) <= AREA_M))
    return -0.5 * float(np.sum(((shape[2:] - PRIOR_MEAN) / PRIOR_SD) ** 2)) if inside else -np.inf
