"""A synthetic city is what it says it is, and its files are read like anybody's."""

from __future__ import annotations

import filecmp
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from monitor import units
from monitor.config import CityConfig, SourceSection, load_city, load_claims
from monitor.contracts import Flag, ensure_flux, ensure_footprints, ensure_observations, grid_of
from monitor.domain import Region
from monitor.errors import UsageError
from monitor.plugins import ReadContext
from monitor.transport.footprints import concat, integrated
from monitor.twin import Truth, TwinSettings, air, city, emissions, sensors, weather, write_city
from monitor.twin.geography import coverage, make_geography

SMALL = TwinSettings(n_cells=18, days=10, festival_days=4)


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> tuple[Path, Truth]:
    out = tmp_path_factory.mktemp("twin")
    return out, write_city(out, 7, SMALL)


@pytest.fixture(scope="session")
def config(small) -> CityConfig:
    return load_city(small[0] / "config" / "cities" / "twin.toml")


def read_source(out: Path, config: CityConfig, source: SourceSection) -> list[xr.Dataset]:
    """Every file of a source, by the reader that the configuration names."""
    readers = pytest.importorskip("monitor.ingest.readers." + source.reader.replace("-", "_"))
    context = ReadContext(
        species=source.species,
        station=config.station_named(source.station).as_domain(),
        inlet_m=source.inlet_m,
        scale=source.scale,
    )
    paths = sorted((out / "data" / source.path).glob(source.pattern))
    assert paths, source.id
    return [readers.READER.read(path, context) for path in paths]


def read_inventory(out: Path, config: CityConfig, id_: str) -> xr.Dataset:
    section = next(i for i in config.inventory if i.id == id_)
    readers = pytest.importorskip("monitor.ingest.readers." + section.reader.replace("-", "_"))
    context = ReadContext(species=section.species, year=section.year, sector=section.sector)
    return ensure_flux(readers.READER.read(out / "data" / section.path, context))


def test_the_configuration_and_claims_are_valid_and_name_the_five_claims(small, config):
    claims = load_claims(small[0] / "config" / "claims" / "twin.toml")
    assert {c.id for c in claims.claim} == {"cut-25", "cut-45", "cut-2", "festival", "commune"}
    assert {r.id for r in config.region} >= {c.region for c in claims.claim if c.region}
    assert len(config.station) == 5 and {e.id for e in config.epoch} == {"base", "target"}


def test_the_true_changes_are_exact(small):
    truth = small[1]
    assert truth.change["metro"] == pytest.approx(-0.25, abs=1e-12)
    assert truth.change["control"] == pytest.approx(-0.02, abs=1e-12)
    assert truth.totals["ch4"]["base"] == truth.totals["ch4"]["target"]
    assert json.loads((small[0] / "truth.json").read_text())["change"]["metro"] == truth.change["metro"]


def test_a_wrong_mixing_height_changes_what_a_tower_sees_as_much_as_is_declared(config):
    """Uniform within ± 20 %, the demonstration's autumn: σ of what that changes of all that it sees."""
    settings = TwinSettings()
    drawn = city._draw(17, settings)
    declared = next(s.transport_epoch_sd for s in config.inversion if s.species == "co2")
    epoch, site = drawn.epochs["base"], drawn.geography.sites[0]

    def seen(factor: float) -> float:
        mixing = epoch.analysed["boundary_layer_height"] * factor
        other = replace(epoch, true=epoch.true.assign(boundary_layer_height=mixing))
        influence = air.true_footprints(drawn.geography, site, other)
        return float(air.local_enhancement(influence, drawn.gases["co2"], drawn.cycles, other).sum())

    bias = settings.mixing_bias
    half = (seen(1 - bias) - seen(1 + bias)) / (2 * seen(1.0))
    assert half / np.sqrt(3) == pytest.approx(declared, rel=0.3)


def test_nothing_changes_outside_the_region():
    geography = make_geography(SMALL)
    change = emissions.change_field(geography, np.ones(geography.grid.shape), SMALL)
    assert not change[geography.fraction["metro"] == 0].any()


def test_cycles_have_mean_one_in_each_epoch():
    cycle = emissions.true_cycle(np.random.default_rng(0), SMALL, "heating")
    assert all(factor.mean() == pytest.approx(1.0, abs=1e-12) for factor in cycle.values())


def test_districts_tile_the_region():
    fraction = make_geography(SMALL).fraction
    parts = sum(f for name, f in fraction.items() if name != "metro")
    np.testing.assert_allclose(parts, fraction["metro"], atol=1e-6)


def test_coverage_adds_up_to_the_polygon():
    geography = make_geography(SMALL)
    edges_lon, edges_lat = geography.grid.lon_edges_deg, geography.grid.lat_edges_deg
    west, east = edges_lon[2] + 0.01, edges_lon[6] - 0.02
    box = Region(
        "box", (((west, edges_lat[3]), (east, edges_lat[3]), (east, edges_lat[5]), (west, edges_lat[5])),)
    )
    cells = coverage(geography.grid, box).sum() * geography.grid.lon_step_deg
    assert cells == pytest.approx(2 * (east - west), rel=1e-9)


def test_the_same_seed_gives_the_same_files_and_another_another(small, tmp_path):
    write_city(tmp_path / "again", 7, SMALL)
    first = sorted(p.relative_to(small[0]) for p in small[0].rglob("*") if p.is_file())
    second = sorted(p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file())
    assert first == second
    _, differing, failed = filecmp.cmpfiles(
        small[0], tmp_path / "again", list(map(str, first)), shallow=False
    )
    assert not differing and not failed
    other = write_city(tmp_path / "other", 8, SMALL)
    assert other.festival["strength"] != small[1].festival["strength"]
    assert other.totals["co2"]["base"]["control"] != small[1].totals["co2"]["base"]["control"]


def test_the_readers_read_every_source(small, config):
    for source in config.source:
        for dataset in read_source(small[0], config, source):
            if source.reader == "name-footprint":
                ensure_footprints(dataset)
                assert {"wind_speed", "wind_direction", "boundary_layer_height"} <= set(dataset.data_vars)
                continue
            ensure_observations(dataset)
            usable = dataset["mole_fraction"].values[
                np.isin(dataset["flag"], (Flag.GOOD, Flag.NOT_EVALUATED))
            ]
            low, high = {"co2": (390, 600), "ch4": (1.8, 3.5)}[source.species]
            assert usable.size and low < usable.min() and usable.max() < high
            assert dataset.attrs["calibration_scale"].startswith(f"WMO-{source.species.upper()}-X20")


def test_each_station_and_month_is_a_file_of_its_own(small):
    names = sorted(p.name for p in (small[0] / "data" / "footprints").iterdir())
    assert names[:2] == ["HAF-70magl_PLUME_TWIN_202109.nc", "HAF-70magl_PLUME_TWIN_202309.nc"]


def test_footprints_survive_their_file(small, config):
    source = next(s for s in config.source if s.id == "MID-footprints")
    written = concat(read_source(small[0], config, source)[:1])
    drawn = city._draw(7, SMALL)
    epoch = drawn.epochs["base"]
    met = epoch.analysed.isel(time=epoch.sampled)
    site = next(s for s in drawn.geography.sites if s.station.id == "MID")
    made = city.plume_footprints(
        drawn.geography.grid, site.station, site.station.inlets_m[0], met, curves=weather.ANALYSED_CURVES
    )
    assert written.sizes["receptor"] == SMALL.days * 6
    np.testing.assert_allclose(integrated(written), integrated(made), rtol=1e-5, atol=1e-9)
    assert grid_of(written).same_as(drawn.geography.grid)


def test_inventories_are_read_and_are_of_the_right_size(small, config):
    geography, truth = make_geography(SMALL), small[1]
    weight = geography.fraction["metro"] * geography.grid.cell_area_m2() * units.tonnes_per_year("co2")
    for name in ("cadastre", "proxy"):
        maps = [read_inventory(small[0], config, f"{name}-co2-{s}") for s in emissions.SECTORS["co2"]]
        total = sum(float((m["flux"].values[0, 0] * weight).sum()) for m in maps)
        assert 0.6 < total / truth.totals["co2"]["base"]["metro"] < 1.6
        assert all(m.sizes["time"] == 1 for m in maps)


def test_the_biosphere_is_resolved_in_time_and_takes_up_by_day(small, config):
    flux = read_inventory(small[0], config, "biosphere-2021")
    mean = flux["flux"].isel(sector=0).mean(("lat", "lon"))
    assert flux.sizes["time"] == 8 * SMALL.days
    assert float(mean.min()) < 0 < float(mean.max())
    assert int(mean["time"].dt.hour[int(np.argmin(mean.values))]) in (9, 12)


def test_the_festival_is_in_no_inventory(small, config):
    lon, lat = small[1].festival["lon"], small[1].festival["lat"]
    total = sum(
        read_inventory(small[0], config, i.id)["flux"].isel(sector=0, time=0)
        for i in config.inventory
        if i.species == "ch4"
    )
    here = float(total.sel(lon=lon, lat=lat, method="nearest"))
    geography = make_geography(SMALL)
    festival = float(small[1].festival["strength"]) / units.kilograms_per_hour("ch4")
    assert here < 0.1 * festival / float(geography.grid.cell_area_m2().mean())
    text = "".join(p.read_text() for p in (small[0] / "config").rglob("*.toml"))
    assert small[1].festival["start"][:10] not in text and str(small[1].festival["strength"]) not in text


def test_the_air_is_made_by_another_transport_than_the_footprints():
    drawn = city._draw(3, SMALL)
    assert drawn.error.mixing_factor["base"] != drawn.error.mixing_factor["target"]
    epoch, site = drawn.epochs["base"], drawn.geography.sites[0]
    true = air.true_footprints(drawn.geography, site, epoch).sum(axis=(1, 2))
    met = epoch.analysed.isel(time=epoch.sampled)
    given = city.plume_footprints(
        drawn.geography.grid, site.station, site.station.inlets_m[0], met, curves=weather.ANALYSED_CURVES
    )
    ratio = true / integrated(given).sum(("lat", "lon")).values
    assert ratio.std() > 0.03
    turn = np.angle(np.exp(1j * np.deg2rad(epoch.true["wind_direction"] - epoch.analysed["wind_direction"])))
    assert np.rad2deg(turn).mean() == pytest.approx(drawn.error.turn_deg, abs=6.0)  # ± 5° a day over ten days


def test_errors_keep_their_bounds_over_seeds():
    for seed in range(50):
        error = weather.draw_transport_error(np.random.default_rng(seed), SMALL)
        assert abs(error.turn_deg) <= 10 and abs(error.speed_factor - 1) <= 0.15
        assert all(abs(f - 1) <= 0.2 for f in error.mixing_factor.values())
        assert 6 <= error.mismatch_hours <= 24


def test_ar1_has_unit_variance_and_its_memory():
    series = weather.ar1(np.random.default_rng(0), 200_000, 10.0)[0]
    assert series.std() == pytest.approx(1.0, abs=0.05)
    assert np.corrcoef(series[10:], series[:-10])[0, 1] == pytest.approx(np.exp(-1), abs=0.03)


def test_a_poor_sensor_is_worse_than_a_good_one():
    time = TwinSettings().hours("base")
    sites = make_geography(SMALL).sites
    spread = {}
    for site in (sites[0], sites[4]):
        record = sensors.observe(np.random.default_rng(0), site, "co2", time, np.full(time.size, 420.0))
        spread[site.kind] = float(np.nanpercentile(np.abs(record.value - 420.0), 68))
        assert np.isnan(record.value).any()
    assert spread["lowcost"] > 5 * spread["icos"]


def test_settings_that_make_no_city_are_refused():
    with pytest.raises(UsageError, match="found: 3 cells"):
        TwinSettings(n_cells=3)
