"""The mismatch of the half hours: errors of the air, of the instruments and of the plume."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Final

import numpy as np

from monitor.calibration.release.data import Blocks

GROUPS: Final = ("Boreal", "EC", "FTIR", "Picarro")
#: The unrest of the air is that at this wind [m s⁻¹], and falls with this power of the wind.  On the
#: development dates 1 has 77 nats more evidence than 0 (least wind 1 m s⁻¹), 2 has 4 more (27 with 1.5).
_WIND_M_S: Final = 2.0
_UNREST_POWER: Final = 2.0


@dataclass(frozen=True)
class Errors:
    """Scales of the mismatch: σ [ppm] and correlation times [h] of the air, factors [1] of the plume.

    `noise_ppm` is that of a sample; `unrest_ppm` that of a half hour however many samples it has, because
    what lies in slow air beside an inlet lasts longer than a sample.
    """

    noise_ppm: tuple[float, ...] = (0.15, 0.05, 0.03, 0.03)
    unrest_ppm: tuple[float, ...] = (0.03, 0.02, 0.01, 0.01)
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
        """Logarithms (21,), in the order of the fields."""
        return np.asarray(np.log(np.hstack([getattr(self, name) for name in self.__dataclass_fields__])))

    @classmethod
    def from_logs(cls, logs: np.ndarray) -> Errors:
        value, k = np.exp(logs).tolist(), len(GROUPS)
        return cls(tuple(value[:k]), tuple(value[k : 2 * k]), tuple(value[2 * k : 3 * k]), *value[3 * k :])


def frozen_errors() -> dict[float, Errors]:
    """Wind cut [m s⁻¹] -> the mismatch that the development dates gave by evidence."""
    text = files("monitor.calibration.release").joinpath("errors.json").read_text("utf-8")
    names = Errors.__dataclass_fields__
    return {
        float(cut): Errors.from_logs(np.log(np.hstack([found[name] for name in names])))
        for cut, found in json.loads(text).items()
    }


@dataclass(frozen=True, eq=False)
class Mismatch:
    """Covariances of some half hours (b,) by their errors."""

    blocks: Blocks
    errors: Errors

    @cached_property
    def background(self) -> np.ndarray:
        """Covariance (b, b) [ppm²] of the shared background and the drifts."""
        e, lag = self.errors, self.blocks.lag_h
        drift = self._by_group(e.drift_ppm)
        own = np.outer(drift, drift) * self.blocks.same * np.exp(-lag / e.drift_h)
        return np.asarray(own + e.shared_ppm**2 * np.exp(-lag / e.shared_h))

    @cached_property
    def air(self) -> np.ndarray:
        """Variance (b,) [ppm²] of noise and unrest, without any plume."""
        slow = (_WIND_M_S / self.blocks.speed_m_s) ** _UNREST_POWER
        unrest = self._by_group(self.errors.unrest_ppm) * slow
        return np.asarray(self._by_group(self.errors.noise_ppm) ** 2 / self.blocks.count + unrest**2)

    @cached_property
    def factors(self) -> np.ndarray:
        """Covariance (b, b) [1] of the smooth factors of the plume."""
        e = self.errors
        fading = np.exp(-self.blocks.lag_h / e.factor_h)
        group = (self.blocks.group[:, None] == self.blocks.group) * e.factor_group**2
        own = self.blocks.same * (e.factor_instrument**2 + e.factor_own**2 * fading)
        return np.asarray(group + own + e.factor_common**2 * fading)

    def scatter(self, wide_square: np.ndarray) -> np.ndarray:
        """Variance (b,) [ppm²] of the independent errors of a plume whose misdirected square is given."""
        return np.asarray(self.errors.factor_block**2 * wide_square / self.blocks.count)

    def _by_group(self, values: tuple[float, ...]) -> np.ndarray:
        return np.array([values[GROUPS.index(group)] for group in self.blocks.group])
