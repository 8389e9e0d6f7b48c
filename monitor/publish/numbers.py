"""Numbers as a reader sees them: rounded to what is known, with their interval, unit and level.

The rule of the page stands here: an estimate without an interval, or an interval without its level, is not
shown as a number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

#: Between thousands: narrow and without a line break.
THIN = "\u202f"
MINUS = "\u2212"
NO_BREAK = "\u00a0"
#: Half-width of a 95 % interval in standard deviations, Φ⁻¹(0.975).
Z95 = 1.959963984540054
LEVEL = 0.95
#: Coverage of ± 1σ of a normal distribution.
ONE_SIGMA = 0.6827

_GASES = {"CO2": "CO₂", "CH4": "CH₄", "CO": "CO", "CO2e": "CO₂e"}
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_PLAIN_UNITS = (
    (re.compile(r"^t (\w+) a-1$"), "tonnes of {} a year"),
    (re.compile(r"^t (\w+) a-2$"), "tonnes of {} a year, every year"),
    (re.compile(r"^kg (\w+) h-1$"), "kg of {} an hour"),
    (re.compile(r"^kg (\w+) a-1$"), "kg of {} a year"),
)


def is_number(value: object) -> bool:
    """Whether `value` is a finite number (and no boolean)."""
    if value is None or isinstance(value, bool | str):
        return False
    try:
        return math.isfinite(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False


def as_number(value: object) -> float | None:
    """`value` as a float, None where it is absent or not finite."""
    return float(value) if is_number(value) else None  # type: ignore[arg-type]


def as_interval(value: object) -> tuple[float, float] | None:
    """Two ends, None unless both are finite numbers."""
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 2:
        return None
    low, high = as_number(value[0]), as_number(value[1])
    return None if low is None or high is None else (min(low, high), max(low, high))


def decimals_for(spread: float, digits: int = 2) -> int:
    """Decimals that show `digits` significant digits of `spread`; negative for tens and hundreds."""
    if not spread > 0 or not math.isfinite(spread):
        return 2
    return digits - 1 - math.floor(math.log10(spread))


def show(value: float, decimals: int, *, signed: bool = False) -> str:
    """`value` rounded to `decimals`, with a true minus sign and thin spaces between thousands."""
    rounded = round(value, decimals) + 0.0
    text = f"{abs(rounded):,.{max(decimals, 0)}f}".replace(",", THIN)
    sign = MINUS if rounded < 0 else "+" if signed and rounded > 0 else ""
    return sign + text


def show_plain(value: float, digits: int = 3) -> str:
    """`value` to `digits` significant digits: for thresholds and diagnostics that have no interval."""
    if value == 0:
        return "0"
    if abs(value) < 1e-4 or abs(value) >= 1e9:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        power = str(int(exponent)).translate(_SUPERSCRIPTS)
        return f"{mantissa.replace('-', MINUS)} × 10{power}"
    text = show(value, min(decimals_for(abs(value), digits), 12))
    return text.rstrip("0").rstrip(".") if "." in text else text


def chance_bound(chance: object, draws: object) -> str:
    """ "< " before a probability of `draws` simulations that none of them reached: it may be any smaller."""
    p, n = as_number(chance), as_number(draws)
    return "< " if p is not None and n is not None and p * (n + 1) < 1.5 else ""


def pretty_unit(unit: str) -> str:
    """`unit` with subscripts in gases and superscripts in exponents: ``t CH₄ a⁻¹``."""
    words = [_GASES.get(word, word) for word in unit.split()]
    return " ".join(re.sub(r"-\d+$", lambda m: m[0].translate(_SUPERSCRIPTS), word) for word in words)


@dataclass(frozen=True)
class Scale:
    """How values of one unit are shown: multiplied by `factor`, followed by `unit` or, in prose, `plain`."""

    factor: float
    unit: str
    plain: str
    is_fraction: bool = False

    def with_unit(self, text: str, *, plain: bool = False) -> str:
        name = self.plain if plain else self.unit
        return f"{text}{NO_BREAK}{name}" if name else text


def scale_of(unit: str | None) -> Scale:
    """The scale of `unit`: fractions become per cent, levels and strengths are spelled out in prose."""
    unit = " ".join(str(unit or "").split())
    if unit in {"1", ""}:
        return Scale(100.0, "%", "%", True)
    if unit in {"a-1", "1 a-1"}:
        return Scale(100.0, "% a⁻¹", "% a year", True)
    for pattern, plain in _PLAIN_UNITS:
        if match := pattern.match(unit):
            return Scale(1.0, pretty_unit(unit), plain.format(_GASES.get(match[1], match[1])))
    return Scale(1.0, pretty_unit(unit), pretty_unit(unit))


def show_level(level: float) -> str:
    """A coverage level, with as many digits as tell it from 100 %: ``95 %``, ``99.87 %``."""
    percent = 100 * level
    decimals = max(decimals_for(100 - percent), 0) if percent < 100 else 0
    text = show(percent, decimals)
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}{NO_BREAK}%"


@dataclass(frozen=True)
class Estimate:
    """A number with all that must go with it: its interval, the interval's level, its unit (as in the JSON).

    `signed`: a change or a trend, whose sign is shown even where it is positive.
    """

    value: float
    low: float
    high: float
    level: float
    unit: str
    signed: bool = False

    def divided(self, divisor: float) -> Estimate:
        """In units of `divisor`."""
        ends = (self.value / divisor, self.low / divisor, self.high / divisor)
        return Estimate(*ends, self.level, self.unit, self.signed)

    @property
    def shown(self) -> Shown:
        """As text."""
        scale = scale_of(self.unit)
        value, low, high = (x * scale.factor for x in (self.value, self.low, self.high))
        decimals = decimals_for((high - low) / 2 or abs(value))
        parts = [show(number, decimals, signed=self.signed) for number in (value, low, high)]
        return Shown(parts[0], parts[1], parts[2], show_level(self.level), scale.unit)


@dataclass(frozen=True)
class Shown:
    """An estimate as text: all parts rounded alike, to two significant digits of the half-width."""

    value: str
    low: str
    high: str
    level: str
    unit: str

    @property
    def interval(self) -> str:
        return f"{self.low} to {self.high}"

    @property
    def text(self) -> str:
        return f"{self.value}{NO_BREAK}{self.unit} ({self.level} interval {self.interval})"


def estimate_of(
    value: object, interval: object, level: object, unit: object, *, signed: bool = False
) -> Estimate | None:
    """The estimate, None unless number, interval and level are all there: then no number is shown."""
    number, ends, coverage = as_number(value), as_interval(interval), as_number(level)
    if number is None or ends is None or coverage is None or not 0 < coverage < 1:
        return None
    return Estimate(number, *ends, coverage, "" if unit is None else str(unit), signed)


def estimate_from_sigma(value: object, sigma: object, unit: object) -> Estimate | None:
    """The same with the 95 % interval of a normal distribution."""
    number, spread = as_number(value), as_number(sigma)
    if number is None or spread is None:
        return None
    return estimate_of(number, [number - Z95 * spread, number + Z95 * spread], LEVEL, unit)


def millions(values: Sequence[float | None]) -> tuple[float, str]:
    """By what to divide the numbers of a table, and the word before its unit."""
    largest = max((abs(value) for value in values if value is not None), default=0.0)
    return (1e6, "million ") if largest >= 2e6 else (1.0, "")


def show_claimed(value: object, unit: str | None, *, signed: bool = False) -> str:
    """A number that somebody else states, to three significant digits, in our unit for pages."""
    number = as_number(value)
    if number is None:
        return ""
    scale = scale_of(unit)
    text = show_plain(number * scale.factor)
    return scale.with_unit("+" + text if signed and number > 0 else text)
