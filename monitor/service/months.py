"""Calendar months of observations and footprints: cut from files, and merged from several files.

One archive object holds one month of one source.  When several files speak about the same beginning of
an interval, one file wins all rows about it.  Which one depends on the files alone, not on the order in
which they arrived: the higher product level, then the later creation (as the file states it, else its
modification time), then the greater SHA-256.  So the same set of files always ends in the same object.
A row belongs to the month of the *middle* of its interval.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import xarray as xr

from monitor.contracts import ensure_footprints, ensure_observations, grid_of
from monitor.domain import Interval, parse_utc
from monitor.errors import GridError, InputError, UsageError

#: Product levels by the words that name them; without one a file stands between.
_LEVELS: Final = {"l2": 2, "level 2": 2, "nrt": 0, "near real-time": 0, "near real time": 0}
_PLAIN_LEVEL: Final = 1
_OBSERVATION_VARIABLES: Final = ("mole_fraction", "uncertainty", "stdev", "count", "flag", "flag_reason")
#: Attributes of one site; files of one source must agree on them.
_SITE: Final = ("species", "station", "inlet_height_m", "station_longitude_deg", "station_latitude_deg")
_RAGGED: Final = (
    ("entry_count", "entry", ("cell", "hours_back", "value")),
    ("residual_count", "residual_entry", ("residual_cell", "residual_value")),
)
_ORIGINS: Final = "origins"


@dataclass(frozen=True, order=True)
class FileVersion:
    """What decides between two files about the same time; compares as (level, created, sha256)."""

    level: int
    created: str
    sha256: str
    name: str = ""
    size: int = 0

    def as_json(self) -> dict[str, Any]:
        return {"level": self.level, "created": self.created, "name": self.name, "size": self.size}


@dataclass(frozen=True)
class Part:
    """Rows of one month from one file."""

    dataset: xr.Dataset
    version: FileVersion


def month_of(moment: datetime) -> str:
    """The calendar month as ``yyyy-mm``."""
    return f"{moment.year:04d}-{moment.month:02d}"


def month_interval(month: str) -> Interval:
    """The calendar month ``yyyy-mm`` as an interval."""
    start = datetime(int(month[:4]), int(month[5:]), 1)
    return Interval(start, (start + timedelta(days=32)).replace(day=1))


def months_touched(interval: Interval) -> list[str]:
    """The calendar months that overlap `interval`, ascending."""
    months, moment = [], interval.start
    while moment < interval.end:
        months.append(month_of(moment))
        moment = month_interval(months[-1]).end
    return months


def months_between(first: str, last: str) -> list[str]:
    """The calendar months from `first` to `last`, both included; none when `last` comes before."""
    if last < first:
        return []
    return months_touched(Interval(month_interval(first).start, month_interval(last).end))


def product_level(attributes: Mapping[Any, Any]) -> int:
    """2 for Level 2, 0 for near-real-time, 1 where the file does not say."""
    for key in ("product_level", "processing_level", "product_type", "data_version"):
        said = str(attributes.get(key, "")).lower()
        for word, level in _LEVELS.items():
            if word in said:
                return level
    return _PLAIN_LEVEL


def created_at(attributes: Mapping[Any, Any], modified: datetime) -> str:
    """When the file was made, ISO-8601: as it states itself, else `modified`."""
    for key in ("source_created", "date_created", "file_created", "created"):
        said = str(attributes.get(key, "")).strip()
        for parse in (parse_utc, _gcwerks_time):
            try:
                return parse(said).replace(microsecond=0).isoformat()
            except (UsageError, ValueError):
                continue
    return modified.replace(microsecond=0).isoformat()


def _gcwerks_time(text: str) -> datetime:
    """A moment like "1 Mar 19 07:38 GMT"."""
    return datetime.strptime(text, "%d %b %y %H:%M GMT")


# --- cutting -----------------------------------------------------------------------------------------


def row_dim(dataset: xr.Dataset) -> str:
    """The dim along which rows stand: ``receptor`` of footprints, ``time`` of observations."""
    return "receptor" if "receptor" in dataset.dims else "time"


def middles(dataset: xr.Dataset) -> np.ndarray:
    """Middle of each row's interval, (n,) datetime64[ns]."""
    bounds = dataset["time_bnds"].values
    return np.asarray(bounds[:, 0] + (bounds[:, 1] - bounds[:, 0]) // 2)


def within(dataset: xr.Dataset, interval: Interval) -> xr.Dataset:
    """The rows of `dataset` whose middle lies in `interval`."""
    middle = middles(dataset)
    return take_rows(dataset, (middle >= interval.start64) & (middle < interval.end64))


def split_months(dataset: xr.Dataset, months: Sequence[str]) -> dict[str, xr.Dataset]:
    """The rows of each of `months`; months without rows are left out."""
    of_row = middles(dataset).astype("datetime64[M]").astype(str)
    present = set(of_row.tolist())
    return {month: take_rows(dataset, of_row == month) for month in months if month in present}


def take_rows(dataset: xr.Dataset, keep: np.ndarray) -> xr.Dataset:
    """The rows that a mask or an index array `keep` names, with their ragged entries."""
    index = np.flatnonzero(keep) if keep.dtype == bool else keep
    dim = row_dim(dataset)
    if dim == "time":
        return dataset.isel(time=index)
    indexers: dict[str, np.ndarray] = {dim: index}
    for count_name, entry_dim, _ in _RAGGED:
        indexers[entry_dim] = _entries_of(dataset[count_name].values, index)
    return dataset.isel(indexers)


def _entries_of(count: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Positions of the entries of the rows `index` in a contiguous ragged array."""
    first = np.cumsum(count) - count
    taken = count[index]
    offset = np.arange(taken.sum()) - np.repeat(np.cumsum(taken) - taken, taken)
    return np.asarray(np.repeat(first[index], taken) + offset)


def day_digests(dataset: xr.Dataset) -> dict[str, str]:
    """A digest of the rows of each day (UTC, by the middle of the row), dated ``yyyy-mm-dd``.

    The rows must ascend in time, as those of a merged month do.
    """
    days = middles(dataset).astype("datetime64[D]")
    found, first = np.unique(days, return_index=True)
    edges = {row_dim(dataset): np.append(first, days.size)}
    for count, entry_dim, _ in _RAGGED:
        if count in dataset:
            total = np.append(0, np.cumsum(dataset[count].values))
            edges[entry_dim] = total[edges["receptor"]]
    names = sorted(str(name) for name in dataset.variables if name not in ("origin", "lat", "lon"))
    columns = [(name, dataset[name].values, edges[str(dataset[name].dims[0])]) for name in names]
    return {str(day): _digest_of(columns, i) for i, day in enumerate(found)}


def _digest_of(columns: Sequence[tuple[str, np.ndarray, np.ndarray]], day: int) -> str:
    """The digest of the rows between a column's edges `day` and `day` + 1, over all columns."""
    hasher = hashlib.sha256()
    for name, values, edge in columns:
        part = np.ascontiguousarray(values[edge[day] : edge[day + 1]])
        hasher.update(f"{name} {part.dtype} {part.shape};".encode())
        hasher.update(part.tobytes())
    return hasher.hexdigest()[:32]


# --- merging -----------------------------------------------------------------------------------------


def merge_parts(
    parts: Sequence[Part], current: xr.Dataset | None, known: Mapping[str, FileVersion]
) -> xr.Dataset:
    """One month from the files in `parts` and the month as archived.

    Parameters
    ----------
    parts : sequence of Part
        Of one source, one gas and one month; may be empty when `current` is given.
    current : xr.Dataset, optional
        What an earlier merge returned; rows of a file that is in `parts` again are replaced.
    known : mapping
        The version of every file in `current`, by SHA-256.

    Returns
    -------
    xr.Dataset
        Rows ascending in time, with ``origin``: the index of each row's file in the sorted SHA-256 of
        the attribute ``origins`` (JSON: SHA-256 → the attributes that file came with).

    Raises
    ------
    GridError
        When footprints stand on different grids.
    InputError
        When the files are of different sites, inlets or gases.
    """
    tables = [(part.dataset, part.version, _plain(part.dataset.attrs)) for part in parts]
    tables += _unmerged(current, known, {part.version.sha256 for part in parts})
    tables.sort(key=lambda table: table[1])
    starts = [table["time_bnds"].values[:, 0] for table, _, _ in tables]
    wins = _winning_rows(starts)
    kept = [
        (take_rows(table, keep), version, attributes)
        for (table, version, attributes), keep in zip(tables, wins, strict=True)
        if keep.any()
    ]
    merged = concatenated([table for table, _, _ in kept])
    origins = {version.sha256: attributes for _, version, attributes in kept}
    index = {sha256: i for i, sha256 in enumerate(sorted(origins))}
    dim = row_dim(merged)
    origin = np.concatenate([np.full(t.sizes[dim], index[v.sha256], dtype="i4") for t, v, _ in kept])
    merged["origin"] = (
        dim,
        origin,
        {"long_name": "index of the row's file in the sorted SHA-256 of origins"},
    )
    merged = take_rows(merged, np.argsort(merged["time_bnds"].values[:, 0], kind="stable"))
    merged.attrs = _joined(origins)
    return ensure_footprints(merged) if dim == "receptor" else ensure_observations(merged)


def _unmerged(
    current: xr.Dataset | None, known: Mapping[str, FileVersion], replaced: set[str]
) -> list[tuple[xr.Dataset, FileVersion, dict[str, Any]]]:
    """The archived month taken apart again by file, without the files in `replaced`."""
    if current is None:
        return []
    origins: dict[str, dict[str, Any]] = json.loads(current.attrs[_ORIGINS])
    rows = current["origin"].values
    bare = current.drop_vars("origin")
    return [
        (take_rows(bare, rows == i), known[sha256], origins[sha256])
        for i, sha256 in enumerate(sorted(origins))
        if sha256 not in replaced
    ]


def _winning_rows(starts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """For tables in ascending rank, the mask of rows that no table of higher rank speaks about."""
    taken = np.array([], dtype="datetime64[ns]")
    masks = []
    for start in reversed(starts):
        masks.append(~np.isin(start, taken))
        taken = np.union1d(taken, start)
    return masks[::-1]


def concatenated(tables: Sequence[xr.Dataset]) -> xr.Dataset:
    """The tables one after the other; the grid is that of the last, which ranks highest."""
    last = tables[-1]
    if row_dim(last) == "time":
        names = [*_OBSERVATION_VARIABLES, "time", "time_bnds"]
        data = {
            n: (last[n].dims, np.concatenate([t[n].values for t in tables]), last[n].attrs) for n in names
        }
    else:
        for table in tables[:-1]:
            ensure_same_grid(table, last)
        data = _footprint_columns(tables)
    merged = xr.Dataset(data)
    return merged.set_coords([name for name in last.coords if name in merged.variables])


def _footprint_columns(tables: Sequence[xr.Dataset]) -> dict[str, Any]:
    last = tables[-1]
    shared = [n for n in last.variables if all(n in table.variables for table in tables)]
    data: dict[str, Any] = {}
    for name in shared:
        dims = last[name].dims
        if not dims or dims[0] not in ("receptor", "entry", "residual_entry"):
            data[str(name)] = last[name].variable
        else:
            data[str(name)] = _column(tables, str(name))
    return data


def _column(tables: Sequence[xr.Dataset], name: str) -> tuple[Any, np.ndarray, dict[Any, Any]]:
    last = tables[-1][name]
    return last.dims, np.concatenate([table[name].values for table in tables]), last.attrs


def ensure_same_grid(dataset: xr.Dataset, reference: xr.Dataset, *, where: str = "") -> None:
    """`GridError` unless the two footprints stand on one grid."""
    found, expected = grid_of(dataset), grid_of(reference)
    if not found.same_as(expected):
        station = dataset.attrs.get("station", "?")
        raise GridError(
            f"footprints of {station} stand on another grid than those known for this source",
            expected=expected.describe(),
            found=found.describe(),
            where=where or str(station),
            remedy="make the footprints on one grid, or declare the new ones as a source of their own",
        )


def _plain(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as JSON can hold them."""
    return {str(key): getattr(value, "tolist", lambda v=value: v)() for key, value in attributes.items()}


def _joined(origins: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The attributes of a month, from those of its files; different texts are listed, sorted."""
    keys = sorted(
        {key for attributes in origins.values() for key in attributes} - {"source_digest", _ORIGINS}
    )
    joined: dict[str, Any] = {}
    for key in keys:
        values = [attributes[key] for attributes in origins.values() if key in attributes]
        unlike = sorted({json.dumps(value) for value in values})
        if len(unlike) == 1:
            joined[key] = values[0]
        elif key in _SITE:
            raise InputError(
                f"files of one source differ in {key}",
                expected="one station, inlet and gas per source",
                found=" and ".join(unlike),
                remedy="declare a source for each, with its own pattern",
            )
        elif all(isinstance(value, str) for value in values):
            joined[key] = (" + " if key == "calibration_scale" else "; ").join(sorted(set(values)))
    digests = sorted(origins)
    whole = digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()
    return joined | {
        "source_digest": whole,
        _ORIGINS: json.dumps(
            {sha256: origins[sha256] for sha256 in digests}, sort_keys=True, ensure_ascii=False
        ),
    }


def joined_months(months: Sequence[xr.Dataset]) -> xr.Dataset:
    """Months of one source and gas, one after the other, as the stages read them (without ``origin``)."""
    origins: dict[str, dict[str, Any]] = {}
    for month in months:
        origins |= json.loads(month.attrs[_ORIGINS])
    merged = concatenated([month.drop_vars("origin") for month in months])
    merged.attrs = {key: value for key, value in _joined(origins).items() if key != _ORIGINS}
    return merged
