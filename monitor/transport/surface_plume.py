"""A plume near the ground, over a hundred metres: what a source there adds at a point or along a light path.

Mean wind and growth follow similarity in the surface layer (van Ulden 1978, Atmos. Environ. 12, 2125; Horst
1979, Atmos. Environ. 13, 797; Horst and Weil 1992, Boundary-Layer Meteorol. 59, 279).  With the mean height
z̄(x) of the plume, its advection speed U = u(0.6 z̄) and shape s = 1.5::

    dz̄/dx = m κ² / {[ln(p z̄/z₀) − ψ(p z̄/L)] φ_h(p z̄/L)},   p = 1.55
    C = Q/U · A/z̄ exp(−(B z/z̄)ˢ) · exp(−y²/2σ_y²) / (√2π σ_y),   σ_y = σ_θ x

The growth m, the roughness z₀, a factor of σ_θ, the turning of the wind vane and how much the plume has grown
at the outlet are free, because no table of stability classes knows them.  Flat ground, steady wind over the
interval, a source near the ground.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.special import gamma

VON_KARMAN: Final = 0.4
#: Molar gas constant [J mol⁻¹ K⁻¹].
GAS_CONSTANT: Final = 8.314462618
#: Exponent of the vertical profile, and the constants of its zeroth and first moment (Horst and Weil 1992).
SHAPE: Final = 1.5
_B: Final = float(gamma(2 / SHAPE) / gamma(1 / SHAPE))
_A: Final = float(SHAPE * gamma(2 / SHAPE) / gamma(1 / SHAPE) ** 2)
_P: Final = 1.55
_ADVECTION: Final = 0.6
#: Similarity is not extrapolated beyond these z/L (Högström 1988).
_MOST_UNSTABLE, _MOST_STABLE = -5.0, 1.0
#: Mean height where the growth begins, and the largest that is followed [m].
_FIRST_M, _LAST_M = 0.15, 80.0
#: A path is cut where it passes these angles from the plume's axis [σ_θ] and these distances downwind [m]:
#: between cuts the integrand is smooth however near the source is.
_CUT_SIGMA: Final = np.array([-4.0, -2.5, -1.5, -0.7, 0.0, 0.7, 1.5, 2.5, 4.0])
_CUT_M: Final = np.array([0.1, 4.0, 8.0, 16.0, 32.0, 64.0])
#: Nodes of the Gauss-Legendre rule between two cuts.
_NODES: Final = 3
#: Beyond this many σ_θ from the axis nothing is added.
_WIDEST_SIGMA: Final = 5.0


@dataclass(frozen=True, eq=False)
class Air:
    """The air of each interval, shape (t,).

    Attributes
    ----------
    speed_m_s, from_deg : (t,)
        Wind speed at `anemometer_m`, and where it comes from, clockwise from the +y axis.
    obukhov_m : (t,)
        Obukhov length; negative by day.
    spread : (t,)
        σ_θ, the standard deviation of the horizontal direction [rad] seen by the plume.
    temperature_k, pressure_pa : (t,)
    anemometer_m : float
    """

    speed_m_s: np.ndarray
    from_deg: np.ndarray
    obukhov_m: np.ndarray
    spread: np.ndarray
    temperature_k: np.ndarray
    pressure_pa: np.ndarray
    anemometer_m: float


@dataclass(frozen=True, eq=False)
class Inlets:
    """Where each observation (n,) looked: from (x1, y1) to (x2, y2), one and the same for a point [m].

    `interval` (n,) is the row of `Air`; `height_m` above ground.
    """

    x1: np.ndarray
    y1: np.ndarray
    x2: np.ndarray
    y2: np.ndarray
    height_m: np.ndarray
    interval: np.ndarray

    def select(self, rows: np.ndarray) -> Inlets:
        """Those of a mask or of indices."""
        return Inlets(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Dispersion:
    """What is estimated with the source: growth m, σ_θ's factor, z₀ [m], turn of the vane [degrees].

    `ahead_m` is the distance whose growth the gas has behind it where it leaves the outlet: no outlet is a
    point on the ground.
    """

    growth: float = 1.0
    lateral: float = 1.0
    roughness_m: float = 0.03
    turn_deg: float = 0.0
    ahead_m: float = 0.0


def stability_momentum(zeta: np.ndarray) -> np.ndarray:
    """ψ of the wind profile (Businger-Dyer; Paulson 1970): u = u*/κ [ln(z/z₀) − ψ(z/L)]."""
    zeta = np.clip(zeta, _MOST_UNSTABLE, _MOST_STABLE)
    square = np.sqrt(1 - 16 * np.minimum(zeta, 0))
    x = np.sqrt(square)
    unstable = np.log((1 + x) ** 2 * (1 + square) / 8) - 2 * np.arctan(x) + np.pi / 2
    return np.asarray(np.where(zeta < 0, unstable, -5 * zeta))


def stability_heat(zeta: np.ndarray) -> np.ndarray:
    """φ_h of the diffusivity K = κ u* z/φ_h (Businger-Dyer)."""
    zeta = np.clip(zeta, _MOST_UNSTABLE, _MOST_STABLE)
    return np.asarray(np.where(zeta < 0, (1 - 16 * np.minimum(zeta, 0)) ** -0.5, 1 + 5 * np.maximum(zeta, 0)))


def wind_factor(height_m: np.ndarray, obukhov_m: np.ndarray, roughness_m: float) -> np.ndarray:
    """ln(z/z₀) − ψ(z/L) + ψ(z₀/L), proportional to the mean wind; not below that of 2 z₀."""
    z = np.maximum(height_m, 2 * roughness_m)
    factor = (
        np.log(z / roughness_m)
        - stability_momentum(z / obukhov_m)
        + stability_momentum(roughness_m / obukhov_m)
    )
    return np.asarray(np.maximum(factor, np.log(2.0)))


class _Growth:
    """z̄ by roughness, 1/L and distance: a table in ln z₀, asinh(1/L) and ln x, read linearly."""

    def __init__(self) -> None:
        self.log_roughness = np.linspace(np.log(1e-4), np.log(1.0), 47)
        self.stability = np.linspace(-3.0, 3.0, 121)
        self.log_x = np.linspace(np.log(0.1), np.log(2000.0), 300)
        inverse = np.sinh(self.stability)
        inverse = np.where(np.abs(inverse) < 1e-9, 1e-9, inverse)[:, None]
        self.table = np.stack([self._rows(float(z0), inverse) for z0 in np.exp(self.log_roughness)])

    def _rows(self, roughness_m: float, inverse_obukhov: np.ndarray) -> np.ndarray:
        """∫ dx/dz̄ dz̄ by the trapezium rule, turned round, for each 1/L."""
        height = np.geomspace(_FIRST_M, _LAST_M, 160)
        u = wind_factor(_P * height, 1 / inverse_obukhov, roughness_m)
        slope = u * stability_heat(_P * height * inverse_obukhov) / VON_KARMAN**2
        steps = 0.5 * (slope[:, 1:] + slope[:, :-1]) * np.diff(height)
        distance = np.concatenate([np.zeros((steps.shape[0], 1)), np.cumsum(steps, axis=1)], axis=1)
        return np.array([np.interp(np.exp(self.log_x), row, height) for row in distance])

    def at(self, distance_m: np.ndarray, inverse_obukhov: np.ndarray, roughness_m: float) -> np.ndarray:
        """Mean height [m]; distances and 1/L of one shape, held at the ends of the table."""
        axes = (self.log_roughness, self.stability, self.log_x)
        values = (np.log(roughness_m), np.arcsinh(inverse_obukhov), np.log(np.maximum(distance_m, 0.1)))
        node = [
            np.broadcast_to((value - axis[0]) / (axis[1] - axis[0]), distance_m.shape)
            for value, axis in zip(values, axes, strict=True)
        ]
        return np.asarray(map_coordinates(self.table, node, order=1, mode="nearest"))


@lru_cache(maxsize=1)
def _growth() -> _Growth:
    return _Growth()


def enhancement(
    source_m: tuple[float, float],
    inlets: Inlets,
    air: Air,
    dispersion: Dispersion,
    *,
    molar_mass_g_mol: float,
) -> np.ndarray:
    """Mole fraction that one gram a minute at `source_m` adds, averaged along each path (n,) [µmol mol⁻¹].

    Identities: ∫∫ C U dy dz over a plane across the wind is the rate (with the wind of each height in
    place of U within 6 %, in very stable air 10 %); turning sources, inlets and wind together changes
    nothing.
    """
    found = np.empty(inlets.x1.size)
    point = (inlets.x1 == inlets.x2) & (inlets.y1 == inlets.y2)
    for rows, is_path in ((point, False), (~point, True)):
        if not rows.any():
            continue
        part = inlets.select(rows)
        line = _Line.seen(source_m, part, air, dispersion)
        node, share = line.nodes() if is_path else (np.zeros((line.sigma.size, 1)), np.ones(1))
        density = _density(line, node, share > 0, part, air, dispersion)
        t = part.interval
        volume = GAS_CONSTANT * air.temperature_k[t] / (air.pressure_pa[t] * molar_mass_g_mol)
        found[rows] = np.sum(density * share, axis=1) * volume * 1e6 / 60.0
    return found


@dataclass(frozen=True, eq=False)
class _Line:
    """Paths (n,) seen down the wind from the source: `along` + t `along_slope` and so `across`, t in 0 … 1.

    `sigma` is σ_θ of the plume.
    """

    along: np.ndarray
    along_slope: np.ndarray
    across: np.ndarray
    across_slope: np.ndarray
    sigma: np.ndarray

    @classmethod
    def seen(cls, source_m: tuple[float, float], inlets: Inlets, air: Air, dispersion: Dispersion) -> _Line:
        towards = np.deg2rad(air.from_deg[inlets.interval] + dispersion.turn_deg + 180.0)
        east, north = np.sin(towards), np.cos(towards)
        x, y = inlets.x1 - source_m[0], inlets.y1 - source_m[1]
        dx, dy = inlets.x2 - inlets.x1, inlets.y2 - inlets.y1
        return cls(
            x * east + y * north,
            dx * east + dy * north,
            x * north - y * east,
            dx * north - dy * east,
            dispersion.lateral * air.spread[inlets.interval],
        )

    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """Nodes t and weights (n, k) of Gauss-Legendre rules between the cuts; weights sum to one."""
        edge = _CUT_SIGMA * self.sigma[:, None]
        slope = self.across_slope[:, None] - edge * self.along_slope[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            lateral = (edge * self.along[:, None] - self.across[:, None]) / slope
            radial = (_CUT_M - self.along[:, None]) / self.along_slope[:, None]
        ends = np.broadcast_to([0.0, 1.0], (self.along.size, 2))
        # a cut that is never passed is no cut
        cut = np.nan_to_num(np.concatenate([ends, lateral, radial], axis=1), posinf=1.0, neginf=0.0)
        cut = np.sort(np.clip(cut, 0.0, 1.0), axis=1)
        node, weight = np.polynomial.legendre.leggauss(_NODES)
        length = np.diff(cut, axis=1)[:, :, None]
        at = cut[:, :-1, None] + 0.5 * (node + 1) * length
        return at.reshape(cut.shape[0], -1), (0.5 * weight * length).reshape(cut.shape[0], -1)


def _density(
    line: _Line, at: np.ndarray, wanted: np.ndarray, inlets: Inlets, air: Air, dispersion: Dispersion
) -> np.ndarray:
    """Mass in the air per unit rate [g m⁻³ / (g s⁻¹)] at `at` (n, k) along each line, where `wanted`."""
    along = line.along[:, None] + at * line.along_slope[:, None]
    across = line.across[:, None] + at * line.across_slope[:, None]
    sigma = line.sigma[:, None] * along
    inside = wanted & (along > _CUT_M[0]) & (np.abs(across) < _WIDEST_SIGMA * sigma)
    row = np.nonzero(inside)[0]
    along, across, sigma = along[inside], across[inside], sigma[inside]
    interval, roughness = inlets.interval[row], dispersion.roughness_m
    reference = air.speed_m_s / wind_factor(np.asarray(air.anemometer_m), air.obukhov_m, roughness)
    grown = dispersion.growth * along + dispersion.ahead_m
    mean_height = _growth().at(grown, 1 / air.obukhov_m[interval], roughness)
    speed = wind_factor(_ADVECTION * mean_height, air.obukhov_m[interval], roughness) * reference[interval]
    vertical = _A / mean_height * np.exp(-((_B * inlets.height_m[row] / mean_height) ** SHAPE))
    lateral = np.exp(-0.5 * (across / sigma) ** 2) / (np.sqrt(2 * np.pi) * sigma)
    density = np.zeros(at.shape)
    density[inside] = vertical * lateral / speed
    return density
