"""Files that are one object each: the inventories and the tables of a city."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from monitor.archive import Archive
from monitor.config import CityConfig, InventorySection, TableSection
from monitor.domain import Interval, iso_z
from monitor.errors import ConfigError, InputError, MissingInputError
from monitor.ingest import list_files
from monitor.ingest.plausible import ensure_plausible_flux
from monitor.plugins import ReadContext, get_reader
from monitor.service.entries import Entry, flux_key, table_key
from monitor.service.taken import Failure, FileNote, Intake, scope_of


def take_inventory(
    archive: Archive, city: CityConfig, inventory: InventorySection, data_root: Path
) -> Intake:
    """Read an inventory that was not read before; a bad or missing file becomes a `Failure`."""
    context = ReadContext(
        species=inventory.species or _only_gas(city), year=inventory.year, sector=inventory.sector
    )

    def read(path: Path) -> xr.Dataset:
        return ensure_plausible_flux(get_reader(inventory.reader).read(path, context))

    whole = _Whole("inventory", inventory, scope_of(city, inventory), flux_key(city.city.id, inventory.id))
    return _take_whole(archive, whole, data_root, read)


def take_table(archive: Archive, city: CityConfig, table: TableSection, data_root: Path) -> Intake:
    """Read the rows of a table that was not read before, as `take_inventory`."""
    whole = _Whole("table", table, scope_of(city, table), table_key(city.city.id, table.id))
    return _take_whole(archive, whole, data_root, lambda path: read_table(table, path))


@dataclass(frozen=True)
class _Whole:
    """A file that is one object: an inventory or a table of the city file."""

    what: str
    section: InventorySection | TableSection
    scope: str
    key: str


def _take_whole(
    archive: Archive, whole: _Whole, data_root: Path, read: Callable[[Path], xr.Dataset]
) -> Intake:
    owner, path = whole.section.id, data_root / whole.section.path
    if not path.is_file():
        error = MissingInputError(
            f"{whole.what} '{owner}' is not there",
            expected=f"the file '{whole.section.path}' below the data folder",
            found="no such file",
            where=str(path),
            remedy=f"put the file there, or correct `path` of the [[{whole.what}]] in the city file",
        )
        return Intake(failures=(Failure(owner, path, error),))
    (file,) = list_files(path.parent, path.name)
    if archive.seen_file(whole.scope, file.sha256, "ingested") and archive.current(whole.key):
        return Intake()
    try:
        dataset = read(path)
    except InputError as error:
        return Intake(failures=(Failure(owner, path, error),), refused=(FileNote(whole.scope, file),))
    entry = Entry(whole.key, whole.key.split("/")[0], dataset, _validity(dataset), (file.sha256,))
    return Intake(entries=(entry,), notes=(FileNote(whole.scope, file, (whole.key,)),))


def _validity(dataset: xr.Dataset) -> Interval | None:
    """The time that a map of several times covers; none of a single time, which is constant, or a table."""
    if dataset.sizes.get("time", 1) < 2:
        return None
    bounds = dataset["time_bnds"].values
    return Interval.parse(iso_z(bounds.min()), iso_z(bounds.max()))


def _only_gas(city: CityConfig) -> str | None:
    return city.city.species[0] if len(city.city.species) == 1 else None


def read_table(section: TableSection, path: Path) -> xr.Dataset:
    """The rows of the section's place; what was refused of the file is not among them.

    Raises
    ------
    MissingInputError
        When the file has no row of the place.
    ConfigError
        When the reader does not read tables.
    """
    reader = get_reader(section.reader)
    if reader.kind != "table":
        raise ConfigError(
            f"reader '{reader.name}' reads {reader.kind}", expected="a reader of tables", found=section.reader
        )
    whole = reader.read(path, ReadContext())
    own = [_is_of(section.place, whole, k) for k in range(whole.sizes["row"])]
    if not any(own):
        names = sorted({str(p) for p in whole["place"].values})
        raise MissingInputError(
            f"table '{section.id}' has no row of '{section.place}'",
            expected=", ".join(names[:12]) + (f", and {len(names) - 12} more" if len(names) > 12 else ""),
            where=str(path),
        )
    return whole.isel(row=np.flatnonzero(own), refused=[])


def _is_of(place: str, table: xr.Dataset, row: int) -> bool:
    names = (str(table["place"].values[row]), str(table["place_code"].values[row]))
    return place.casefold() in (n.casefold() for n in names)
