"""Which files the reader suite reads, with what configuration, and what each must be."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import xarray as xr

from monitor import contracts, inventory
from monitor.domain import Station
from monitor.plugins import ReadContext, Reader

FIXTURES = Path(__file__).parents[2] / "fixtures"
EXA = Station("EXA", 11.5, 48.1, (50.0,))
TAC = Station("TAC", 1.139, 52.518, (54.0, 100.0, 185.0))
ENSURE = {
    "observations": contracts.ensure_observations,
    "footprints": contracts.ensure_footprints,
    "flux": contracts.ensure_flux,
    "table": inventory.ensure_inventory_table,
}


@dataclass(frozen=True)
class Case:
    """One file: its path below fixtures/ or the folder of real data, its reader, its configuration."""

    path: str
    reader: str
    context: ReadContext = field(default_factory=ReadContext)

    def __str__(self) -> str:
        return self.path

    def get_reader(self) -> Reader:
        return reader_of(self.reader)

    def read(self, root: Path = FIXTURES) -> xr.Dataset:
        return self.get_reader().read(root / self.path, self.context)


def reader_of(module: str) -> Reader:
    reader = import_module(f"monitor.ingest.readers.{module}").READER
    assert isinstance(reader, Reader)
    return reader


def gcwerks(species: str, station: Station, inlet_m: float, scale: str) -> ReadContext:
    return ReadContext(species=species, station=station, inlet_m=inlet_m, scale=scale)


_EXA_CH4, _EXA_CO2 = gcwerks("ch4", EXA, 50.0, "WMO-CH4-X2004A"), gcwerks("co2", EXA, 50.0, "WMO-CO2-X2007")
HOURLY = Case("gcwerks/exa.picarro.hourly.50m.dat", "gcwerks", _EXA_CH4)
MINUTES = Case("gcwerks/exa.picarro.1minute.50m.dat", "gcwerks", _EXA_CO2)
L2_2019 = Case("icos_atc/ICOS_ATC_L2_L2-2023.1_EXA_50.0_CTS.CO2", "icos_atc")
L2_2024 = Case("icos_atc/ICOS_ATC_L2_L2-2024.1_EXA_50.0_CTS.CH4", "icos_atc")
NRT = Case("icos_atc/ICOS_ATC_NRT_EXA_2023-06-01_50.0.CO2", "icos_atc")
OPENGHG = Case("openghg_obs/obs_exa_ch4_50m.nc", "openghg_obs")
AGAGE = Case("openghg_obs/AGAGE-GCFID_EXA_ch4.nc", "openghg_obs")
NAME_OLD = Case("name_footprint/EXA-50magl_UKV_202306.nc", "name_footprint")
NAME_AGED = Case("name_footprint/EXA-50magl_UKV_co2_202306.nc", "name_footprint")
NAME_THINNED = Case("name_footprint/EXA-50magl_UKV_co2_thinned_202306.nc", "name_footprint")
NAME_PARIS = Case("name_footprint/EXA-50magl_PARIS_202306.nc", "name_footprint")
STILT_LON_FIRST = Case(
    "stilt_footprint/202306011200_11.5_48.1_50_foot.nc", "stilt_footprint", ReadContext(station=EXA)
)
STILT_LAT_FIRST = Case(
    "stilt_footprint/202306011200_48.1_11.5_50_foot.nc", "stilt_footprint", ReadContext(station=EXA)
)
STILT_ICOS = Case(
    "stilt_footprint/foot2023x06x01x12x48.10Nx011.50Ex00050_aggreg.nc",
    "stilt_footprint",
    ReadContext(station=EXA),
)
FLUX_YEAR = Case("openghg_flux/ch4-waste_EXAMPLE_2023.nc", "openghg_flux")
FLUX_MONTHS = Case(
    "openghg_flux/ch4-waste_EXAMPLE_2023_monthly.nc", "openghg_flux", ReadContext(sector="waste-all")
)
EDGAR_OLD = Case("edgar_flux/v6.0_CH4_2015_TOTALS.5x5.nc", "edgar_flux")
EDGAR_NEW = Case("edgar_flux/v8.0_FT2022_GHG_CO2_2022_ENE_flx.nc", "edgar_flux")
C40_BOOK = Case("c40_workbook/C40_GPC_Database.xlsx", "c40_workbook")
C40_TIDY = Case("c40_tidy/clean_c40.csv", "c40_tidy")
CDP_2016 = Case("cdp_cities/2016_-_Citywide_GHG_Emissions.csv", "cdp_cities")
CDP_2021 = Case("cdp_cities/2021_City-wide_Emissions.csv", "cdp_cities")
ECRF = Case("ecrf/exampel_2019.xlsx", "ecrf")
UK = Case("uk_local_authority/local_authority_emissions.csv", "uk_local_authority")
CARBON_MONITOR = Case("carbon_monitor_cities/carbon_monitor_cities.csv", "carbon_monitor_cities")
CASES = [value for value in list(globals().values()) if isinstance(value, Case)]
NETCDF_CASES = [case for case in CASES if case.path.endswith(".nc")]
WORKBOOK_CASES = [case for case in CASES if case.path.endswith(".xlsx")]
TEXT_CASES = [case for case in CASES if not case.path.endswith((".nc", ".xlsx"))]
SERIES_CASES = [case for case in TEXT_CASES if not case.path.endswith(".csv")]
TABLE_CASES = [C40_BOOK, C40_TIDY, CDP_2016, CDP_2021, ECRF, UK, CARBON_MONITOR]

_T = "tacolneston-2016"
_JFJ, _WBB = Station("JFJ", 7.98, 46.55), Station("WBB", -111.848, 40.766)
REAL_CASES = [
    *(
        Case(
            f"{_T}/observations/tac.picarro.hourly.{h}m.dat",
            "gcwerks",
            gcwerks("ch4", TAC, h, "WMO-CH4-X2004A"),
        )
        for h in (54, 100, 185)
    ),
    Case(
        "observations/gcwerks/tac.picarro.1minute.100m.201407.dat",
        "gcwerks",
        gcwerks("co2", TAC, 100, "X2007"),
    ),
    Case("observations/icos/ICOS_ATC_L2_L2-2019.1_HTM_150.0_CTS.CO2", "icos_atc"),
    Case("observations/icos/ICOS_ATC_L2_L2-2019.1_HTM_30.0_CTS.CO2", "icos_atc"),
    Case("observations/icos/ICOS_ATC_L2_L2-2024.1_RGL_90.0_CTS.CH4", "icos_atc"),
    Case("observations/icos/ICOS_ATC_NRT_GAT_2018-04-12CO2.csv", "icos_atc"),
    Case("observations/icos/ICOS_ATC_NRT_HTM_150.0.CO2", "icos_atc"),
    Case("observations/openghg/obs_mhd_ch4_10m_2019-01-01_2019-01-07_data.nc", "openghg_obs"),
    Case("observations/openghg/obs_tac_ch4_185m_2019-01-01_2019-02-01_data.nc", "openghg_obs"),
    Case(f"{_T}/background/AGAGE-GCFID_MHD_19940217_ch4-20210315.nc", "openghg_obs"),
    *(
        Case(
            f"{_T}/footprints/TAC-100magl_UKV_TEST_{month}.nc",
            "name_footprint",
            ReadContext(station=TAC, inlet_m=100),
        )
        for month in ("201607", "201608")
    ),
    *(
        Case(f"footprints/name/{name}.nc", "name_footprint")
        for name in (
            "MHD-10magl_EUROPE_201402",
            "MHD-10magl_FLEXPART_ECMWFHRES_TEST_inert_201809",
            "MHD-10magl_NAME_UKV_TEST_inert_PARIS-format_201301",
            "RGL-90magl_UKV_co2_TEST_201401",
            "TAC-100magl_EUROPE_201402",
            "TAC-100magl_UKV_co2_TEST_201407",
            "THW-column_NAME_UMG_EUROPE_TEST_inert_202304",
            "WAO-20magl_UKV_co2_EUROPE_201801",
        )
    ),
    Case(
        "footprints/name/TMB_london_footprint_test_202008.nc",
        "name_footprint",
        ReadContext(station=Station("TMB", 0.037, 51.497), inlet_m=10),
    ),
    Case(
        "footprints/stilt/slc_wbb_r_foot_20151209.nc",
        "stilt_footprint",
        ReadContext(station=_WBB, inlet_m=35),
    ),
    Case(
        "footprints/stilt/jfj_icos_stilt_20121208.nc",
        "stilt_footprint",
        ReadContext(station=_JFJ, inlet_m=720),
    ),
    *(
        Case(f"{_T}/inventories/{name}.nc", "openghg_flux", ReadContext(species="ch4", year=year))
        for name, year in (
            ("ch4-anthro_EUROPE_2012", 2012),
            ("ch4_EUROPE_reduced_2013", 2013),
            ("flux_total_ch4_europe_edgar7_2019-01-01_2019-12-31_data", 2019),
        )
    ),
]
REAL_TABLES = [
    Case("inventory/gpc/C40_GPC_Database.xlsx", "c40_workbook"),
    Case("inventory/gpc/clean_c40.csv", "c40_tidy"),
    *(
        Case(f"inventory/cdp/{name}.csv", "cdp_cities")
        for name in (
            "2016_-_Citywide_GHG_Emissions",
            "2017_-_Cities_Community_Wide_Emissions",
            "2018_City-wide_Emissions",
            "2019_City-wide_Emissions",
            "2020_-_City-Wide_Emissions",
            "2021_City-wide_Emissions",
        )
    ),
    Case("inventory/uk/local_authority_emissions.csv", "uk_local_authority"),
    Case("inventory/gpc/carbon_monitor_cities_processed.csv", "carbon_monitor_cities"),
]
#: Real files that must be refused, and what the refusal says.
REAL_REFUSALS = [
    (
        Case("footprints/name/TAC_ch4_merged_scenario_20190101.nc", "name_footprint"),
        "variable 'fp' states no unit",
    ),
    (
        Case("inventory/gridded/v6.0_CH4_2015_TOTALS.5.3x5.1.nc", "edgar_flux"),
        "a thinned sample cannot conserve",
    ),
    (Case("inventory/gridded/emis_2015_brd.nc", "edgar_flux"), "is missing"),
    (Case("inventory/gridded/GEPA_Annual.nc", "openghg_flux"), "variable 'flux' is missing"),
    (Case("column/tccon/hw20230402_20230402.public.qc.nc", "openghg_obs"), "says the gas"),
    (Case("observations/london/thames_test_20190707.csv", "icos_atc"), "not that of an ICOS ATC file"),
    (
        Case("observations/icos-cities/icos_cities_example_site.csv", "icos_atc"),
        "is missing|not that of|has no|does not",
    ),
    (
        Case("inventory/gpc/edgar_pilot_city_extract.csv", "carbon_monitor_cities"),
        "column 'city_name' is missing",
    ),
    (Case("inventory/uk/GBR_2023_2021_13042023_170954.xlsx", "c40_workbook"), "has no sheet 'GHG Dashboard"),
    (Case("inventory/uk/local_authority_emissions.csv", "cdp_cities"), "column 'account number' is missing"),
    (Case("footprints/lumia/lumia_nor.100m.2017-01.h5", "stilt_footprint"), "is missing|cut off"),
    (
        Case("observations/london/CFKADS2112-20200101-003937Z-DataLog_User_Sync.dat", "gcwerks", _EXA_CH4),
        "does not start like a GCWERKS file",
    ),
]
