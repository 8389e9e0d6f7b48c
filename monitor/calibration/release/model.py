"""What the table says about a source: the density of its place, its rate and the dispersion, jointly.

With the enhancement e = q a(θ) of each half hour, θ being place and dispersion::

    y = X b + e + ε,    b flat, one per instrument
    ε ~ shared background + drift of each instrument                     (correlated over hours and days)
        + q̂(θ) a(θ) ∘ (a factor per group + per instrument + per instrument and hour + common to all per hour)
        + noise/√k + unrest + f w/√k                                     (independent, Student-t, ν = 4)

The smooth factors are errors of the plume *under evaluation*: a place that no inlet looks at has no factors
that could explain a plume away.  Their rate is q̂(θ), that of generalised least squares, so that given θ the
covariance is fixed and the rate normal; it is not read from the size of the scatter.  The independent errors
of a plume stay at one *reference*, found in turn with the estimate, or at the mean over a first posterior; w
is its enhancement with a direction that is also wrong by `WRONG_DIRECTION`, so that a plume that passes
beside an inlet is no surprise.  Backgrounds b and, given θ, the rate are integrated out, all else is sampled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from monitor.calibration.release.data import Blocks
from monitor.calibration.release.errors import Errors, Mismatch
from monitor.calibration.release.rates import LARGEST_G_MIN, LEAST_G_MIN, log_mass
from monitor.inversion import LinearProblem, covariance
from monitor.inversion.hyper.evidence import restricted
from monitor.inversion.linear import solve_observations
from monitor.inversion.robust import expected_square, log_evidence_bound, reweighted, solve_student_t
from monitor.transport.surface_plume import Dispersion, enhancement

CH4_G_MOL: Final = 16.04
#: All unknowns, in this order; the shape is all but the first.
UNKNOWNS: Final = ("ln rate", "x", "y", "ln growth", "ln lateral", "ln roughness", "ln ahead", "turn")
#: Prior mean and σ of the last five: similarity within 28 %, σ_θ within a factor 1.6, short grass within 2,
#: an outlet as if 3 m ahead within a factor of 2.7, a vane set within 5°.  The place is flat in ± `AREA_M`.
PRIOR_MEAN: Final = np.array([0.0, 0.0, np.log(0.02), np.log(3.0), 0.0])
PRIOR_SD: Final = np.array([0.25, 0.5, np.log(2.0), 1.0, 5.0])
AREA_M: Final = 100.0
#: Error of the direction of a single interval [rad].
WRONG_DIRECTION: Final = 0.14
DEGREES_OF_FREEDOM: Final = 4.0
#: Fisher's information of Student's t in that of a normal with the weights of the summit (Lange, Little and
#: Taylor 1989): weights that are held know too much by the rest.
_INFORMATION: Final = (DEGREES_OF_FREEDOM + 1) / (DEGREES_OF_FREEDOM + 3)
#: Unknowns of a world with (next to) no source.
SILENCE: Final = np.concatenate([[np.log(LEAST_G_MIN), 0.0, 0.0], PRIOR_MEAN])
#: A plume below this is none [ppm].
_NOTHING_PPM: Final = 1e-6


class Fit(NamedTuple):
    """Rate and σ [g min⁻¹] by generalised least squares, and ln p(data) there but for a constant."""

    rate: float
    sd: float
    log_likelihood: float


@dataclass(frozen=True, eq=False)
class ReleaseModel:
    """Half hours and their mismatch about a reference.

    Attributes
    ----------
    weights : (b,)
        Of the Student-t errors.
    reference : (8,)
    wide_square : (b,) [ppm²]
        Square of the misdirected enhancement that the independent errors of the plume are in proportion to.
    """

    mismatch: Mismatch
    weights: np.ndarray
    reference: np.ndarray
    wide_square: np.ndarray

    @property
    def blocks(self) -> Blocks:
        return self.mismatch.blocks

    @cached_property
    def offsets(self) -> np.ndarray:
        """X (b, i): the background of each instrument."""
        return np.asarray(self.blocks.instrument[:, None] == np.arange(self.blocks.names.size), dtype="f8")

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
    def independent(self) -> np.ndarray:
        """Variances (b,) of the independent errors, without weights."""
        return np.asarray(self.mismatch.air + self.mismatch.scatter(self.wide_square))

    @cached_property
    def _held(self) -> np.ndarray:
        """Covariance (b, b) of all but the smooth factors."""
        return np.asarray(self.mismatch.background + np.diag(self.independent / self.weights))

    def lower_with(self, plume: np.ndarray) -> np.ndarray:
        """Cholesky factor (b, b) of the mismatch with the smooth factors of a plume (b,) [ppm]."""
        whole = self._held.copy()
        seen = np.flatnonzero(plume > _NOTHING_PPM)
        at = np.ix_(seen, seen)
        whole[at] += np.outer(plume[seen], plume[seen]) * self.mismatch.factors[at]
        # the transposed is the same matrix in the order that needs no copy
        return np.asarray(cholesky(whole.T, lower=True, overwrite_a=True, check_finite=False))

    @cached_property
    def lower(self) -> np.ndarray:
        """That at the reference."""
        return self.lower_with(self.enhancement(self.reference))

    @cached_property
    def _white(self) -> tuple[np.ndarray, np.ndarray, float]:
        return self._whitened(self.lower)

    def _whitened(self, lower: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Data (b,) and an orthonormal basis (b, i) of the backgrounds, whitened; −½ ln|Ψ||XᵀΨ⁻¹X|."""
        columns = np.column_stack([self.blocks.mole_fraction, self.offsets])
        white = solve_triangular(lower, columns, lower=True, check_finite=False)
        basis, triangle = np.linalg.qr(white[:, 1:])
        size = np.log(np.diagonal(lower)).sum() + np.log(np.abs(np.diagonal(triangle))).sum()
        return white[:, 0], basis, -float(size)

    def held(self, shape: np.ndarray) -> Fit:
        """The rate for a `shape` (7,) with the factors of the reference: cheap, and good near it."""
        unit = self.enhancement(np.concatenate([[0.0], shape]))
        return _fit(self.lower, self._white, unit)

    def fit(self, shape: np.ndarray) -> Fit:
        """The rate for a `shape` (7,) with the factors of its own plume."""
        unit = self.enhancement(np.concatenate([[0.0], shape]))
        first = _fit(self.lower, self._white, unit).rate
        lower = self.lower_with(unit * np.clip(first, LEAST_G_MIN, LARGEST_G_MIN))
        return _fit(lower, self._whitened(lower), unit)

    def evaluated(self, shape: np.ndarray) -> tuple[float, float, float]:
        """Ln posterior density of the shape (7,) but for a constant; estimate and σ of its rate [g min⁻¹].

        In the density backgrounds and rate are integrated out.
        """
        return _evaluated(shape, self.fit)

    def log_density(self, shape: np.ndarray) -> float:
        """The first of these."""
        return self.evaluated(shape)[0]

    def evaluated_held(self, shape: np.ndarray) -> tuple[float, float, float]:
        """The same with the factors of the reference."""
        return _evaluated(shape, self.held)

    def log_evidence(self) -> float:
        """Ln p(y) at the reference, with the determinants: comparable between references and errors."""
        rest = self.blocks.mole_fraction - self.enhancement(self.reference)
        return restricted(self.lower, rest, self.offsets)[0]

    def at(self, reference: np.ndarray) -> ReleaseModel:
        """The model with independent errors of one plume."""
        wide = self.enhancement(reference, WRONG_DIRECTION)
        return replace(self, reference=reference, wide_square=wide**2)

    def about(self, plumes: np.ndarray) -> ReleaseModel:
        """The model with independent errors of the mean over plumes (p, 8) that are equally likely."""
        wide = [self.enhancement(unknowns, WRONG_DIRECTION) for unknowns in plumes]
        return replace(self, wide_square=np.mean(np.square(wide), axis=0))

    def problem(self) -> LinearProblem:
        """The linear rest at the reference: backgrounds with a flat prior, and the mismatch."""
        plume = self.enhancement(self.reference)
        correlated = self.mismatch.background + np.outer(plume, plume) * self.mismatch.factors
        many = self.offsets.shape[1]
        return LinearProblem(
            self.offsets,
            self.blocks.mole_fraction - plume,
            np.zeros(many),
            covariance.Diagonal(np.full(many, 1e-8)),
            # 1e-10 ppm² keeps a background that all share factorable
            covariance.Sum(
                covariance.Diagonal(self.independent),
                covariance.Dense(correlated + 1e-10 * np.eye(plume.size)),
            ),
            fixed_effects=np.eye(many),
        )

    def reweighted(self) -> tuple[ReleaseModel, float]:
        """The model with the Student-t weights of its reference, and the bound of its evidence."""
        posterior = solve_student_t(self.problem(), DEGREES_OF_FREEDOM)
        return replace(self, weights=posterior.weights), log_evidence_bound(posterior, DEGREES_OF_FREEDOM)

    def evidence_bound(self) -> float:
        """The bound of the evidence at the weights it has."""
        posterior = solve_observations(reweighted(self.problem(), self.weights))
        return log_evidence_bound(replace(posterior, weights=self.weights), DEGREES_OF_FREEDOM)

    def towards_weights(self) -> ReleaseModel:
        """One step of the Student-t weights from those it has."""
        problem, nu = self.problem(), DEGREES_OF_FREEDOM
        posterior = solve_observations(reweighted(problem, self.weights))
        square = expected_square(posterior, self.weights, self.independent)
        return replace(self, weights=(nu + 1.0) / (nu + square))

    def tempered(self) -> ReleaseModel:
        """The model with weights whose curvature is that of Student's t, for intervals about its summit."""
        return replace(self, weights=_INFORMATION * self.weights)

    def silent(self) -> ReleaseModel:
        """The same half hours, taken as if the release had been shut."""
        shut = replace(self.blocks, on=np.zeros(self.blocks.count.size, dtype=bool))
        return model_of(shut, self.mismatch.errors)

    def with_errors(self, errors: Errors) -> ReleaseModel:
        return replace(self, mismatch=Mismatch(self.blocks, errors))


def model_of(blocks: Blocks, errors: Errors) -> ReleaseModel:
    """The model before anything was learned: all weights one, the reference without a source."""
    nothing = np.zeros(blocks.count.size)
    return ReleaseModel(Mismatch(blocks, errors), 1.0 + nothing, SILENCE, nothing)


def _fit(lower: np.ndarray, white: tuple[np.ndarray, np.ndarray, float], unit: np.ndarray) -> Fit:
    data, basis, size = white
    column = solve_triangular(lower, unit, lower=True, check_finite=False)
    both = np.stack([data, column], axis=1)
    both -= basis @ (basis.T @ both)
    rest, column = both.T
    norm = float(column @ column)
    if norm < 1e-12:
        return Fit(0.0, np.inf, size - 0.5 * float(rest @ rest))
    rate = float(column @ rest) / norm
    return Fit(rate, norm**-0.5, size - 0.5 * (float(rest @ rest) - rate**2 * norm))


def _evaluated(shape: np.ndarray, fit: Callable[[np.ndarray], Fit]) -> tuple[float, float, float]:
    prior = log_prior(shape)
    if not np.isfinite(prior):
        return prior, 0.0, np.inf
    rate, sd, log_likelihood = fit(shape)
    return prior + log_likelihood + log_mass(rate, sd), rate, sd


def unpack(unknowns: np.ndarray) -> tuple[tuple[float, float], Dispersion]:
    """Place [m] and dispersion of a vector of `UNKNOWNS`."""
    x, y, *logs, turn = unknowns[1:].tolist()
    growth, lateral, roughness, ahead = np.exp(logs).tolist()
    return (x, y), Dispersion(growth, lateral, roughness, turn, ahead)


def log_prior(shape: np.ndarray) -> float:
    """Flat within the area, normal in the dispersion."""
    inside = bool(np.all(np.abs(shape[:2]) <= AREA_M))
    return -0.5 * float(np.sum(((shape[2:] - PRIOR_MEAN) / PRIOR_SD) ** 2)) if inside else -np.inf
