"""A report input made by hand: two gases, two epochs, five stations, every kind of verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from monitor.domain import Grid, Interval, Region, Station
from monitor.publish.report import ReportInput
from monitor.units import level_unit

STATIONS = (
    Station("NRD", 11.52, 48.24, (50.0,), "North tower"),
    Station("SUD", 11.60, 48.06, (30.0,), "South roof"),
    Station("OST", 11.72, 48.15, (20.0,), "East school"),
    Station("WST", 11.42, 48.13, (45.0,), "West silo"),
    Station("MIT", 11.575, 48.145, (60.0,), "Centre"),
)


def ring(lon: float, lat: float, radius: float) -> tuple[tuple[float, float], ...]:
    angles = np.linspace(0, 2 * np.pi, 14)
    wobble = 1 + 0.15 * np.sin(3 * angles)
    x = lon + 1.4 * radius * wobble * np.cos(angles)
    y = lat + radius * wobble * np.sin(angles)
    return tuple((float(a), float(b)) for a, b in zip(x, y, strict=True))


REGIONS = (
    Region("city", (ring(11.57, 48.145, 0.1),), "Musterstadt"),
    Region("north", (ring(11.55, 48.2, 0.035),), "Northern district"),
)


def flux_maps(grid: Grid, species: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    lon, lat = np.meshgrid(grid.lon_deg, grid.lat_deg)
    core = np.exp(-(((lon - 11.57) / 0.1) ** 2) - ((lat - 48.14) / 0.07) ** 2)
    scale = 12.0 if species == "co2" else 0.05
    fossil = scale * core * (0.7 + 0.6 * rng.random(core.shape))
    blocks = [fossil] if species != "co2" else [fossil, -1.5 * (1 - core)]
    prior = np.stack([np.stack([b, b]) for b in blocks])
    change = np.array([1.08, 0.82])[None, :, None, None]
    return prior, prior * change * (1 + 0.15 * rng.standard_normal(prior.shape))


def posterior(
    species: str, *, days: int = 91, shape: tuple[int, int] = (24, 32), seed: int = 1
) -> xr.Dataset:
    """A posterior dataset as the inversion returns it, with plausible numbers."""
    rng = np.random.default_rng(seed)
    grid = Grid(np.linspace(11.35, 11.80, shape[1]), np.linspace(48.0, 48.29, shape[0]))
    prior, estimate = flux_maps(grid, species, rng)
    blocks = ["fossil", "biosphere"][: prior.shape[0]]
    names = [(r, b, e) for r in ("city", "north") for b in blocks for e in ("2019", "2023")]
    size = {"city": 1.0, "north": 0.12}
    sign = {"fossil": 1.0, "biosphere": -0.2}
    level = {"co2": 1.15e7, "ch4": 2.4e4}.get(species, 1e5)
    prior_total = np.array([level * size[r] * sign[b] for r, b, _ in names])
    total = prior_total * np.array([1.06 if e == "2019" else 0.81 for _, _, e in names])
    prior_sd, sd = 0.4 * np.abs(prior_total), 0.06 * np.abs(total)
    unit = {"units": level_unit(species)}
    dataset = xr.Dataset(
        {
            "prior_total": ("total", prior_total, unit),
            "posterior_total": ("total", total, unit),
            "share_from_data": ("total", 1 - sd**2 / prior_sd**2),
            "prior_covariance": (("total", "total_"), np.diag(prior_sd**2)),
            "posterior_covariance": (("total", "total_"), np.diag(sd**2)),
            "flux_prior": (("block", "epoch", "lat", "lon"), prior),
            "flux_posterior": (("block", "epoch", "lat", "lon"), estimate),
            "flux_prior_sd": (("block", "epoch", "lat", "lon"), 0.5 * np.abs(prior)),
            "flux_posterior_sd": (("block", "epoch", "lat", "lon"), 0.3 * np.abs(prior)),
            "cell_area": (("lat", "lon"), grid.cell_area_m2(), {"units": "m2"}),
            "hyperparameter_value": ("hyperparameter", [0.42, 11.0, 0.9]),
            "hyperparameter_sd": ("hyperparameter", [0.05, 2.5, np.nan]),
        },
        coords={
            "block": blocks,
            "epoch": ["2019", "2023"],
            "lat": grid.lat_deg,
            "lon": grid.lon_deg,
            "total_region": ("total", [n[0] for n in names]),
            "total_block": ("total", [n[1] for n in names]),
            "total_epoch": ("total", [n[2] for n in names]),
            "hyperparameter": ["prior relative sd", "correlation length km", "mismatch sd"],
        },
        attrs={
            "species": species,
            "city": "musterstadt",
            "chi2": 1.0,
            "dofs": 23.4,
            "background_share": 0.91,
            "loo_variance": 1.06,
            "loo_coverage": 0.943,
            "log_evidence": -1234.5,
            "n_observations": 10 * days,
        },
    )
    return dataset.assign(series(species, days, rng))


def series(species: str, days: int, rng: np.random.Generator) -> dict[str, Any]:
    base, amplitude = {"co2": (415.0, 9.0), "ch4": (1.95, 0.04)}.get(species, (0.12, 0.02))
    time, station, columns = [], [], []
    for start, level in (("2019-09-01", 1.0), ("2023-09-01", 0.8)):
        day = np.arange(days)
        moments = np.datetime64(start, "ns") + day * np.timedelta64(24, "h") + np.timedelta64(13, "h")
        background = base + 0.15 * amplitude * np.cumsum(rng.standard_normal(days)) / 3
        weather = 0.4 + np.abs(np.sin(day / 5.1)) + 0.4 * rng.random(days)
        for i, place in enumerate(STATIONS):
            true = background + amplitude * level * weather * (0.6 + 0.2 * i)
            columns.append([background, background + amplitude * weather * (0.65 + 0.2 * i), true, true])
            time.append(moments)
            station += [place.id] * days
    stacked = np.concatenate([np.stack(c) for c in columns], axis=1)
    noise = 0.12 * amplitude * rng.standard_normal(stacked.shape[1])
    n = stacked.shape[1]
    return {
        "time": ("observation", np.concatenate(time)),
        "station": ("observation", np.array(station)),
        "inlet_height_m": ("observation", np.full(n, 30.0)),
        "observed": ("observation", stacked[2] + noise),
        "uncertainty": ("observation", np.full(n, 0.12 * amplitude)),
        "modelled_prior": ("observation", stacked[1]),
        "modelled_posterior": ("observation", stacked[3]),
        "background_prior": ("observation", stacked[0] - 0.1 * amplitude),
        "background_posterior": ("observation", stacked[0]),
        "loo_standardised": ("observation", noise / (0.12 * amplitude)),
    }


def verdict(word: str, **changes: object) -> dict[str, object]:
    """A verdict as the comparison returns it."""
    usual: dict[str, object] = {
        "verdict": word,
        "reasons": [],
        "reason_texts": [],
        "statement": "The city cut its CO₂ emissions by at least 25 % from 2019 to 2023",
        "kind": "change",
        "species": "co2",
        "region": "city",
        "claimed": {"value": -0.25, "unit": "1", "reading": "at least", "margin": 0.125},
        "claimed_by": "City council",
        "where": "Climate report 2024, page 7",
        "adjustments": ["afternoon hours stand for the whole day"],
        "comparability": [
            {"item": "region", "status": "equal", "detail": "same polygon, 310 km²"},
            {"item": "hours", "status": "declared", "detail": "12 to 16 h UTC only"},
        ],
        "estimate": -0.2412,
        "interval": [-0.2956, -0.1868],
        "level": 0.95,
        "unit": "1",
        "sigma": 0.0278,
        "sign_confirmed": True,
        "probability": 0.38,
        "bayes_factor": 1.3e8,
        "detectable": 0.078,
        "share_from_data": 0.97,
        "response": 1.0,
        "responses": {"uniform": 0.97, "core": 1.04, "traffic": 0.93},
        "responses_most": {"uniform": 0.97, "core": 1.12, "traffic": 1.01},
        "ensemble": [
            member("12-16 h", -0.2412, 0.0262, "supported", "main"),
            member("without NRD-50m", -0.231, 0.031, "supported", "station"),
            member("correlation length × 2", -0.11, 0.03, "undecided", "correlation length"),
        ],
        "flips": [
            {"member": "correlation length × 2", "choice": "correlation length", "verdict": "undecided"}
        ],
        "flips_text": "Alone, the answer would be undecided with another correlation length.",
        "degrees_of_freedom": None,
        "sigma_within": 0.0262,
        "sigma_between": 0.0093,
        "sigma_by_choice": {"map": 0.0041, "correlation length": 0.0083},
        "detectable_before": 0.081,
        "years_to_detect": 0.2,
        "least_favourable_correlation": 0.0,
        "correlations": {"inflow": -0.31, "biosphere": 0.12},
        "evaluation": evaluation("undeclared"),
        "sectors": ["*"],
        "periods": [
            ["2019-09-01T00:00:00Z", "2019-12-01T00:00:00Z"],
            ["2023-09-01T00:00:00Z", "2023-12-01T00:00:00Z"],
        ],
        "uncertainty_rule": "both epochs jointly; a transport error of 5.0 % (1σ) swept over 0 to 0.9",
        "inputs": ["3f2a" * 16, "90bc" * 16],
    }
    return {**usual, **changes}


def member(name: str, value: float, sigma: float, word: str, choice: str) -> dict[str, object]:
    ends = [value - 1.96 * sigma, value + 1.96 * sigma]
    return {
        "member": name,
        "estimate": value,
        "sigma": sigma,
        "interval": ends,
        "verdict": word,
        "choice": choice,
    }


def evaluation(status: str, **changes: object) -> dict[str, object]:
    """When a verdict counts, as the service says it."""
    usual: dict[str, object] = {"status": status, "as_of": "2024-01-01", "rule": None, "look": 1, "looks": 1}
    return {**usual, "time": 1.0, "information": None, "next": None, **changes}


def epoch_totals(first: float, yearly: float, years: range, sigma: float) -> list[dict[str, object]]:
    """Autumns of several years, each with an uneven year of its own."""
    rows = []
    for k, year in enumerate(years):
        value = first + yearly * k + sigma * (-0.4, 0.7, -0.5, 0.3, -0.2, 0.1)[k % 6]
        rows.append(
            {
                "period": [f"{year}-09-01T00:00:00Z", f"{year}-12-01T00:00:00Z"],
                "estimate": value,
                "sigma": sigma,
                "interval": [value - 2.19 * sigma, value + 2.19 * sigma],
                "level": 0.9714,
            }
        )
    return rows


def absent(names: str) -> dict[str, None]:
    return dict.fromkeys(names.split())


def verdicts() -> dict[str, dict[str, object]]:
    """One claim of each kind and outcome, in the order of the claims file."""
    nothing = absent(
        "estimate interval sigma sign_confirmed probability bayes_factor detectable share_from_data response"
    )
    return {
        "cut-25": verdict("supported"),
        "cut-45": verdict(
            "contradicted",
            statement="The city cut its CO₂ emissions by at least 45 % from 2019 to 2023",
            claimed={"value": -0.45, "unit": "1", "reading": "at least", "margin": 0.225},
            probability=1e-9,
            claimed_by="A party",
            where="Leaflet",
        ),
        "cut-2": verdict(
            "undecided",
            statement="The northern district cut its CO₂ emissions by 2 %",
            reasons=["below-detectable-change"],
            region="north",
            claimed={"value": -0.02, "unit": "1", "reading": "at least", "margin": 0.01},
            estimate=-0.03,
            interval=[-0.14, 0.08],
            sigma=0.056,
            sign_confirmed=False,
            detectable=0.157,
            years_to_detect=4.6,
            evaluation=evaluation("preview", rule="bonferroni", look=None, looks=None, next="2024-06-01"),
        ),
        "trend": verdict(
            "supported",
            statement="The city's CO₂ emissions fall by at least 3 % a year",
            kind="trend",
            claimed={"value": -0.03, "unit": "1 a-1", "reading": "at least", "margin": 0.015},
            estimate=-0.0483,
            interval=[-0.0784, -0.0182],
            level=0.9714,
            unit="1 a-1",
            sigma=0.0105,
            degrees_of_freedom=4.0,
            detectable=0.0403,
            detectable_before=0.039,
            sigma_by_choice={"map": 0.0015, "correlation length": 0.0021},
            ensemble=[member("12-16 h", -0.0483, 0.0101, "supported", "main")]
            + [member(f"proxy, {n}", -0.05, 0.0105, "supported", n) for n in ("map", "inflow time")],
            flips=[],
            flips_text="",
            epochs=epoch_totals(1.15e7, -5.4e5, range(2018, 2024), 4.0e5),
            evaluation=evaluation(
                "final", rule="obrien-fleming", look=2, looks=4, time=0.5, information=0.4, next="2025-01-01"
            ),
        ),
        "traffic": verdict(
            "contradicted",
            statement="Traffic is half of the city's CO₂",
            kind="share",
            claimed={"value": 0.5, "unit": "1", "reading": "equal", "tolerance": 0.1},
            estimate=0.312,
            interval=[0.252, 0.372],
            sigma=0.0306,
            sectors=["traffic"],
            of_sectors=["*"],
            of_region="city",
            detectable=0.086,
            bayes_factor=None,
            years_to_detect=None,
            flips=[],
            flips_text="",
            ensemble=[member("12-16 h", 0.312, 0.03, "contradicted", "main")],
            periods=[["2023-09-01T00:00:00Z", "2023-12-01T00:00:00Z"]],
        ),
        "festival": verdict(
            "supported",
            statement="There is a methane source at the festival ground",
            kind="source",
            species="ch4",
            claimed={"value": None, "unit": "kg CH4 h-1", "reading": "present"},
            estimate=11.7,
            interval=[7.9, 15.5],
            sigma=1.94,
            unit="kg CH4 h-1",
            detectable=5.4,
            false_alarm=0.004,
            region=None,
            place=[11.548, 48.131],
            start="2023-09-16T00:00:00Z",
            end="2023-10-03T00:00:00Z",
            start_interval=["2023-09-15T00:00:00Z", "2023-09-17T12:00:00Z"],
            end_interval=["2023-10-02T00:00:00Z", "2023-10-02T12:00:00Z"],
            ensemble=[],
            flips=[],
            flips_text="",
            sigma_by_choice={},
            **absent("sigma_within sigma_between years_to_detect detectable_before"),
        ),
        "edgar": verdict(
            "undecided",
            statement="The inventory's methane total, 21 000 t a year, is right",
            kind="level",
            species="ch4",
            reasons=["pattern-dependent"],
            claimed={"value": 2.1e4, "unit": "t CH4 a-1", "reading": "equal", "tolerance": 0.25},
            estimate=2.43e4,
            interval=[1.97e4, 2.89e4],
            sigma=2350.0,
            unit="t CH4 a-1",
            detectable=6600.0,
            bayes_factor=None,
        ),
        "commune": {
            **verdict(
                "not comparable",
                statement="The commune emits 5.2 million tonnes of CO₂ a year",
                kind="level",
                claimed={"value": 5.2e6, "unit": "t CO2 a-1", "reading": "equal", "tolerance": 0.25},
                comparability=[
                    {"item": "region", "status": "mismatch", "detail": "105 km² claimed, 310 km² measured"},
                    {
                        "item": "scope",
                        "status": "mismatch",
                        "detail": "scopes 1 to 3 claimed, scope 1 measured",
                    },
                    {"item": "gas", "status": "equal", "detail": "CO₂"},
                ],
                reasons=["not-comparable"],
                reason_texts=[
                    "the claim is about 105 km², the measurement about 310 km²",
                    "the claim counts scopes 1 to 3, the measurement sees scope 1",
                ],
                ensemble=[],
                responses={},
                unit="t CO2 a-1",
            ),
            **nothing,
        },
    }


def ledger_row(sector: str, amount: float, air: float | None, status: str, **changes: Any) -> dict[str, Any]:
    """A row of the two ledgers as the comparison returns it; the air's answer with 8 % (1σ)."""
    prior, flat, gap = 1.02 * amount, None, None
    if air is not None:
        sigma, apart = 0.08 * air, float(np.hypot(0.2 * amount, 0.08 * air))
        flat = {
            "value": air,
            "sigma": sigma,
            "interval": [air - 1.96 * sigma, air + 1.96 * sigma],
            "level": 0.95,
        }
        gap = {"value": air - amount, "sigma": apart, "in_sigmas": (air - amount) / apart}
    usual: dict[str, Any] = {
        "species": "co2",
        "region": "city",
        "block": "fossil",
        "sector": sector,
        "period": "2023",
        "interval": ["2023-09-01T00:00:00Z", "2023-12-01T00:00:00Z"],
        "inventory": "city-2019",
        "unit": "t CO2 a-1",
        "bottom_up": {"value": amount, "sigma": 0.2 * amount, "uncertainty": "assigned"},
        "prior": {"value": prior, "sigma": 0.4 * prior},
        "posterior": air and {"value": 1.01 * air, "sigma": 0.07 * air},
        "estimate": flat,
        "difference": gap,
        "difference_after_terms": gap,
        "posterior_difference": gap,
        "share_from_data": 0.9,
        "response": 0.97,
        "missing_terms": [
            {"name": "human-respiration", "value": 4.4e5, "sigma": 8.8e4, "source": "per head"},
            {"name": "biofuels", "value": None, "sigma": None, "source": ""},
        ],
        "marks": [],
        "status": status,
        "not_comparable": [],
        "counted": [],
        "lines": [],
    }
    return {**usual, **changes}


def ledger_rows() -> list[dict[str, Any]]:
    """Whole inventories and sectors, with differences of every kind."""
    other_year = ["period: inventory of 2012, air of 2023"]
    nothing = {"prior": None, "posterior": None, "missing_terms": [], "not_comparable": other_year}
    return [
        ledger_row("*", 1.41e7, 1.22e7, "none-seen"),
        ledger_row("traffic", 5.2e6, 3.1e6, "prior-driven", marks=["prior-driven"]),
        ledger_row("heating", 8.9e6, None, "not-tested", marks=["not-told-apart"]),
        ledger_row("*", 0.9e6, 2.6e6, "terms-missing", region="north"),
        ledger_row("*", 7.0e6, None, "not comparable", inventory="edgar5-2012", **nothing),
        ledger_row("*", 6.1e6, 1.2e7, "gap", inventory="old", missing_terms=[]),
        *table_rows(),
    ]


def table_rows() -> list[dict[str, Any]]:
    """A city's own table: a total, two of its rows as one sector, and two that are not compared."""
    earlier = {"period": "2019", "interval": ["2019-09-01T00:00:00Z", "2019-12-01T00:00:00Z"]}
    gas = ["gas: co2e against co2; it is a sum of gases", "period: inventory of 2019, air of 2023"]
    none = {"prior": None, "posterior": None, "missing_terms": [], "unit": "t CO2e a-1", "inventory": "c40"}
    grid = none | {"counted": ["Residential buildings: grid-supplied energy"], "lines": [3]}
    land = none | {"counted": ["Land"], "lines": [61], "not_comparable": gas[:1], "bottom_up": None}
    both = {"counted": ["Residential buildings: fuel", "Commercial buildings: fuel"], "lines": [2, 5]}
    return [
        ledger_row(
            "*", 1.3e7, 1.22e7, "none-seen", inventory="c40", counted=["total, Territorial"], lines=[2]
        ),
        ledger_row("heating", 8.1e6, 7.7e6, "none-seen", inventory="c40", marks=["prior-driven"], **both),
        ledger_row("x", 2.2e6, None, "not comparable", **grid, not_comparable=gas),
        ledger_row("x", 2.2e6, None, "not comparable", **grid, **earlier, not_comparable=gas[:1]),
        ledger_row("x", 1.0, None, "not comparable", **land),
        ledger_row("x", 1.0, None, "not comparable", **land, **earlier),
    ]


SEARCH = {
    "species": "ch4",
    "places": 768,
    "windows": 8200,
    "days": 182.0,
    "draws": 1000,
    "false_alarm": 0.05,
    "false_alarms_a_year": 0.1,
    "detectable": {
        "power": 0.8,
        "false_alarm": 0.05,
        "median": 8.4,
        "range": [3.1, 61.0],
        "unseen_places": 12,
        "days": 7.0,
        "unit": "kg CH4 h-1",
    },
}
FAMILY = {"claims": 8, "error_each": 0.05, "at_most": 0.4, "if_independent": 0.337, "undeclared": 5}


def report_input(*, days: int = 91, species: tuple[str, ...] = ("co2", "ch4"), **changes: Any) -> ReportInput:
    """A whole report input; `changes` replace its fields."""
    report = ReportInput(
        city_id="musterstadt",
        city_name="Musterstadt",
        interval=Interval.parse("2019-09-01", "2023-12-01"),
        stations=STATIONS,
        regions=REGIONS,
        posteriors={name: posterior(name, days=days) for name in species},
        verdicts=verdicts(),
        inventories={
            "edgar5-2012": {
                "prior_total": 2.1e4,
                "estimate": 2.43e4,
                "sigma": 2350.0,
                "interval": [1.97e4, 2.89e4],
                "level": 0.95,
                "unit": "t CH4 a-1",
                "response": 1.0,
                "background_share": 0.93,
                "species": "ch4",
            },
            "city-2019": {
                "prior_total": 1.41e7,
                "estimate": 1.22e7,
                "sigma": 7.0e5,
                "interval": [1.08e7, 1.36e7],
                "level": 0.95,
                "unit": "t CO2 a-1",
                "response": 0.99,
                "background_share": None,
                "species": "co2",
            },
        },
        sources=[
            {
                "species": "ch4",
                "lon": 11.549,
                "lat": 48.131,
                "place_km": 1.4,
                "start": "2023-09-16T00:00:00Z",
                "end": "2023-10-04T00:00:00Z",
                "recurring": None,
                "strength": 11.7,
                "sigma": 1.94,
                "interval": [7.9, 15.5],
                "level": 0.95,
                "unit": "kg CH4 h-1",
                "false_alarm": 0.012,
                "false_alarms_a_year": 0.024,
                "status": "alarm",
                "reasons": [],
                "notes": [],
            },
            {
                "species": "ch4",
                "lon": 11.66,
                "lat": 48.2,
                "place_km": 5.1,
                "start": "2023-11-02T12:00:00Z",
                "end": "2023-11-03T00:00:00Z",
                "recurring": None,
                "strength": 31.0,
                "sigma": 8.0,
                "interval": [15.0, 47.0],
                "level": 0.95,
                "unit": "kg CH4 h-1",
                "false_alarm": 0.031,
                "false_alarms_a_year": 0.062,
                "status": "unconfirmed",
                "reasons": ["few-samples"],
                "notes": ["One instrument and fewer than three samples carry it."],
            },
        ],
        figures={
            "n_observations": 1820,
            "excluded": {"no row": 272, "not a number": 5, "wind below 1 m/s": 41},
            "dofs": 46.8,
            "loo_variance": 1.06,
            "loo_coverage": 0.943,
            "seconds": 41.3,
            "sources_searched": 768,
            "searches": {"ch4": SEARCH},
        },
        family=FAMILY,
        ledgers=ledger_rows(),
        warnings=["The background is on scale TU1987, the stations on WMO-CH4-X2004A."],
        provenance={
            "config_digest": "ab12" * 16,
            "code_version": "0.1.0",
            "inputs": [
                {
                    "kind": "observations",
                    "key": f"{s.id}/co2/2019-09",
                    "digest": f"{i:02d}cd" * 16,
                    "source_files": [f"{s.id.lower()}.dat"],
                }
                for i, s in enumerate(STATIONS)
            ],
            "assumptions": {
                "prior": {"correlation_km": 10.0, "relative_sd": 0.5},
                "hours_utc": [12, 13, 14, 15],
                "background": "estimated",
            },
        },
    )
    return replace(report, **changes)
