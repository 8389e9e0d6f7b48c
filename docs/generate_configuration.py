"""Writes docs/configuration.md from the models in monitor/config/: `python docs/generate_configuration.py`.

A test fails while the page differs from what this writes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from monitor.config import CandidatesConfig, CityConfig, ClaimsConfig, ServiceConfig

PAGE = Path(__file__).parent / "configuration.md"
HEAD = """\
# Configuration

<!-- Written by docs/generate_configuration.py from monitor/config/; change it there. -->

Three kinds of TOML file: `monitor.toml` (the service), `cities/<id>.toml` (a city) and `claims/<id>.toml`
(what is said of it); a file of candidate sites is for [`monitor design`](networks.md). Unknown keys are
errors; `monitor config check FILE …` lists all faults of a file at once, each with
its key, and `monitor config schema city|claims|service` prints the JSON schema. Every file
begins with `schema_version = 1`. Secrets never stand here. Intervals are half-open, `[from, to)`; moments
are ISO-8601 and UTC, a date is its midnight.
"""
FILES = (
    ("The service: `monitor.toml`", ServiceConfig),
    ("A city: `cities/<id>.toml`", CityConfig),
    ("Claims: `claims/<id>.toml`", ClaimsConfig),
    ("Sites to choose from: any TOML or CSV", CandidatesConfig),
)
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
#: What a key means where the model leaves it to its name; a key in neither place is an error.
WORDS = {
    "id": "name in files, keys and other tables",
    "name": "name on pages",
    "species": "gas",
    "step_timeout_s": "wall-clock limit of a step [s]",
    "step_memory_mib": "address space of a step [MiB]",
    "[city].species": "gases to estimate; each needs an `[[inversion]]`",
    "[grid].from": "where the grid comes from",
    "lon_deg": "longitude [degrees east]",
    "lat_deg": "latitude [degrees north]",
    "[[source]].kind": "how the files arrive",
    "reader": "name of the file format's reader (an entry point `monitor.readers`)",
    "station": "id of the `[[station]]` the files belong to",
    "inlet_m": "inlet height above ground [m]; observations and footprints of one inlet belong together",
    "year": "year the inventory is about",
    "sector": "sector of the file, where it does not say",
    "polygons": "rings of [lon, lat] pairs [degrees]",
    "whole_grid": "the region is the whole grid, instead of polygons",
    "start": "beginning, included (UTC)",
    "end": "end, not included (UTC)",
    "average": "one value an hour, or one a day",
    "[[block]].name": "name of the block in the state",
    "per": "one inflow for all stations, or one each",
    "instrument_floor_ppm": "least 1σ of the instrument [µmol mol-1]",
    "[inversion.mismatch].correlation_hours": "e-folding time of the transport error [h]",
    "[ensemble].local_hours": "further selections of local hours [h], each a member",
    "leave_one_station_out": "solve without each station in turn, to check stability",
    "min_days": "shortest window [d]",
    "max_days": "longest window [d]",
    "[[claim]].kind": "a total, a change between epochs, a trend over epochs, a source, or a share",
    "statement": "the claim in words, as it is shown",
    "region": "id of the `[[region]]`",
    "sectors": 'sectors of the inventories it is about; "*" is all',
    "scope": "what the claim counts; the air sees what is emitted inside the region; unsaid is a mismatch",
    "period": "level, share, source: [from, to)",
    "unit": "level: `t CH4 a-1` and the like; change, share: `1`; trend: `1 a-1` or `t CH4 a-2`",
    "[[claim]].lon_deg": "source: longitude [degrees east]",
    "[[claim]].lat_deg": "source: latitude [degrees north]",
    "[[ledger.term]].name": "name of the term; one of the list gives its size, another adds to the list",
    "months": "calendar months",
    "text": "the difference in words; the word that declares it (see verdicts) must be among them",
    "claimed_by": "who says so",
    "includes_biogenic": "whether natural and biogenic fluxes are in the number; asked of CO2 and CH4",
    "basis": "mass of the gas, or of its carbon; where the unit names one it has said so",
}


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, model in FILES:
        schema = model.model_json_schema(by_alias=True)
        parts += [f"\n## {title}\n", f"\n{_text(model.__doc__)}\n"]
        for heading, words, properties, required in _tables(schema):
            parts += [f"\n### {heading}\n" if heading else "", f"\n{words}\n" if words else "", "\n"]
            parts += ["| key | what | allowed | default |\n|---|---|---|---|\n"]
            table = heading.strip("`")
            parts += [_row(table, name, entry, name in required) for name, entry in properties.items()]
    return "".join(parts)


def _tables(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any], list[str]]]:
    """The keys of the file itself, then those of its tables, each as (heading, words, keys, required)."""
    own = {k: v for k, v in schema["properties"].items() if k != "schema_version" and not _table(v, schema)}
    if own:
        yield "", "", own, schema.get("required", [])
    yield from _inner("", schema, schema)


def _inner(
    prefix: str, part: Mapping[str, Any], schema: Mapping[str, Any]
) -> Iterator[tuple[str, str, Mapping[str, Any], list[str]]]:
    for name, entry in part["properties"].items():
        found = _table(entry, schema)
        if found is None:
            continue
        path = f"{prefix}{name}"
        heading = f"`[[{path}]]`" if entry.get("type") == "array" else f"`[{path}]`"
        keys = {k: v for k, v in found["properties"].items() if not _table(v, schema)}
        yield heading, _text(found.get("description", "")), keys, found.get("required", [])
        yield from _inner(f"{path}.", found, schema)


def _table(entry: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The model behind a key that is a table or an array of tables."""
    inner = entry.get("items", {}) if entry.get("type") == "array" else entry
    choices = [*inner.get("allOf", []), *inner.get("anyOf", [])]
    reference = inner.get("$ref") or next((r["$ref"] for r in choices if "$ref" in r), None)
    return schema["$defs"][reference.rsplit("/", 1)[1]] if reference else None


def _row(table: str, name: str, entry: Mapping[str, Any], required: bool) -> str:
    default = "**required**" if required else _default(entry.get("default"))
    words = entry.get("description") or WORDS.get(f"{table}.{name}") or WORDS[name]
    return f"| `{name}` | {_text(words)} | {_kind(entry)} | {default} |\n"


def _default(value: Any) -> str:
    return "–" if value in (None, "", [], ()) else f"`{json.dumps(value, ensure_ascii=False)}`"


def _kind(entry: Mapping[str, Any]) -> str:
    """What a value may be, in words."""
    if "anyOf" in entry:
        return " or ".join(_kind(e) for e in entry["anyOf"] if e.get("type") != "null")
    if "enum" in entry:
        return ", ".join(f"`{json.dumps(v)}`" for v in entry["enum"])
    if "const" in entry:
        return f"`{json.dumps(entry['const'])}`"
    if entry.get("type") == "array":
        if "prefixItems" in entry:
            return "[" + ", ".join(_kind(e) for e in entry["prefixItems"]) + "]"
        return f"list of {_kind(entry.get('items', {}))}"
    words = {"number": "number", "integer": "whole number", "string": "text", "boolean": "true, false"}
    limits = " and ".join(f"{sign} {entry[key]:g}" for key, sign in LIMITS.items() if key in entry)
    kind = words.get(str(entry.get("type")), "value")
    if "pattern" in entry:
        kind = "letters, digits, `_`, `.`, `-`"
    return f"{kind} {limits}".strip()


def _text(words: str | None) -> str:
    return " ".join((words or "").split()).replace("|", "\\|").replace("``", "`")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.name}\n")
