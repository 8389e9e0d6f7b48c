"""What the readers of inventory tables share: records with their lines, columns by name, amounts.

A table is read whole or refused whole only where its layout or unit is not understood; else each line is
read or refused with its reason, and the numbers add up.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import ParseError

import numpy as np
import openpyxl
import xarray as xr

from monitor import units
from monitor.errors import SourceFormatError, UnitError
from monitor.ingest.readers import _common as common
from monitor.inventory import InventoryRow, Refused, inventory_table

#: Everything that zip, XML and openpyxl raise at a damaged workbook.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, ParseError, EOFError, OSError, KeyError, ValueError, TypeError),
    *(IndexError, AttributeError, NotImplementedError, RuntimeError),
)
#: Zero-width characters that spreadsheets leave in names.
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\ufeff"))
_GROUPED = re.compile(r"[+-]?\d{1,3}([,\u00a0\u202f ]\d{3})+(\.\d+)?")
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_KEYS = re.compile(r"(NO|IE|NE|C)(?:\s*[;,/]\s*(?:NO|IE|NE|C))*(\s*\(.*\))?")

NO_AMOUNT = "no emissions are reported"
EMPTY = "an empty line"
BROKEN = "not as many fields as columns"
NO_NUMBER = "an amount that is no number"
NO_YEAR = "no year"
NO_PLACE = "no place"
NO_SECTOR = "an unknown sector"
NO_UNIT = "no unit, or an unknown one"


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a table: where it stands, and its cells by column."""

    line: int
    cells: Mapping[str, object]

    def text(self, column: str | None) -> str:
        """A cell as text, blanks collapsed; empty where the column is absent."""
        value = self.cells.get(column) if column else None
        return clean(str(value)) if value is not None else ""

    def number(self, column: str | None) -> float:
        """A positive number of a describing column (area, people); NaN where it is none."""
        try:
            value = number(self.text(column))
        except ValueError:
            return np.nan
        return value if value > 0 else np.nan


def clean(text: str) -> str:
    """The text without invisible characters, blanks collapsed."""
    return " ".join(text.translate(_INVISIBLE).split())


def number(text: str) -> float:
    """A number as people write it: "5195663", "5,195,663", "5 195 663".

    ``1.234,5`` and the like raise `ValueError`: whether the point or the comma is decimal would be a guess.
    """
    spelled = text.strip()
    if _GROUPED.fullmatch(spelled):
        spelled = re.sub(r"[,\u00a0\u202f ]", "", spelled)
    if not _PLAIN.fullmatch(spelled):
        raise ValueError(text)
    return float(spelled)


def amount(cell: object) -> tuple[float, str, str] | None:
    """Value, notation keys and their remark of a cell; `None` for an empty one.

    "IE (I.1.1)" is the key IE with a remark, "NO; IE" are two keys.  `ValueError` for anything else.
    """
    if isinstance(cell, str) and _PLAIN.fullmatch(cell):
        return float(cell), "", ""
    text = clean(str(cell)) if cell is not None else ""
    if not text:
        return None
    if match := _KEYS.fullmatch(text):
        remark = (match[2] or "").strip()
        keys = re.findall(r"NO|IE|NE|C", text.removesuffix(remark))
        return np.nan, " ".join(dict.fromkeys(keys)), remark
    if isinstance(cell, bool):
        raise ValueError(text)
    return (float(cell) if isinstance(cell, int | float) else number(text)), "", ""


def read_records(path: Path, expected: str) -> tuple[list[str], list[Record], list[Refused]]:
    """Columns, records and refused lines of a comma-separated file; a field may span lines.

    Raises
    ------
    SourceFormatError
        For a file that is no UTF-8 text, has no header, or has two columns of one name.
    """
    text = common.read_text(path, expected)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    records, refused = [], []
    try:
        header = [clean(name) for name in next(reader, [])]
        start = reader.line_num + 1
        for fields in reader:
            line, start = start, reader.line_num + 1
            if not any(field.strip() for field in fields):
                refused.append(Refused(line, EMPTY))
            elif len(fields) != len(header):
                refused.append(Refused(line, BROKEN, f"{len(fields)} for {len(header)}"))
            else:
                records.append(Record(line, dict(zip(header, fields, strict=True))))
    except csv.Error as error:
        raise common.broken_row(path, reader.line_num, str(error), expected) from error
    _refuse_twins(header, path, expected)
    return header, records, refused


def read_sheet(path: Path, sheet: str, expected: str) -> list[tuple[object, ...]]:
    """The rows of one sheet of a workbook, the values of formulas as they were last computed.

    Raises
    ------
    SourceFormatError
        For a damaged or oversized workbook, and for one without that sheet.
    """
    common.ensure_file(path)
    common.refuse_page(path, expected)
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > common.MAX_TEXT_BYTES:
            raise SourceFormatError("the workbook is too large", found=f"{unpacked} bytes", where=str(path))
        with warnings.catch_warnings():  # of styles and extensions that hold no data
            warnings.simplefilter("ignore", UserWarning)
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            names = list(book.sheetnames)
            rows = [tuple(row) for row in book[sheet].iter_rows(values_only=True)] if sheet in names else []
            book.close()
    except _DAMAGE as error:
        raise SourceFormatError(
            "the file is no workbook, or it is cut off or damaged",
            expected=expected,
            found=f"{type(error).__name__}: {error}"[:160],
            where=str(path),
            remedy="fetch it again; old .xls files must be saved as .xlsx",
        ) from error
    if not rows:
        raise SourceFormatError(
            f"the workbook has no sheet '{sheet}', or it is empty",
            expected=expected,
            found=", ".join(names),
            where=str(path),
            remedy="check `reader`, or that the workbook's layout did not change",
        )
    return rows


def sheet_records(
    rows: Sequence[tuple[object, ...]], header_row: int, header: list[str]
) -> tuple[list[Record], list[Refused]]:
    """Records below row `header_row` (from 1); a line of empty cells is refused as such."""
    records, refused = [], []
    for line, row in enumerate(rows[header_row:], start=header_row + 1):
        cells = {name: cell for name, cell in zip(header, row, strict=False) if name}
        if any(clean(str(cell)) for cell in cells.values() if cell is not None):
            records.append(Record(line, cells))
        else:
            refused.append(Refused(line, EMPTY))
    return records, refused


def _refuse_twins(header: Iterable[str], path: Path, expected: str) -> None:
    names = [name for name in header if name]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names or twice:
        raise SourceFormatError(
            f"two columns have one name: {', '.join(twice)}" if twice else "the file has no header",
            expected=expected,
            where=f"{path}, line 1",
        )


def find_column(header: Iterable[str], *names: str) -> str | None:
    """The first column whose name, in small letters, is one of `names`; `None` where there is none."""
    by_name = {name.lower(): name for name in header}
    return next((by_name[name] for name in names if name in by_name), None)


def require_column(header: Sequence[str], path: Path, expected: str, *names: str) -> str:
    """The column called one of `names`; `SourceFormatError` listing those there are."""
    found = find_column(header, *names)
    if found is None:
        raise SourceFormatError(
            f"column '{names[0]}' is missing",
            expected=expected,
            found=", ".join(header)[:400],
            where=str(path),
            remedy="check `reader` of the inventory, or that the file's layout did not change",
        )
    return found


def require_columns(header: Sequence[str], path: Path, expected: str, *names: str) -> None:
    """Every column of `names`, in small letters, is there; errors of `require_column`."""
    for name in names:
        require_column(header, path, expected, name)


def ensure_units(records: Iterable[Record], column: str, path: Path) -> None:
    """Raise the `UnitError` of the first line when no line has a unit that we know."""
    failure: UnitError | None = None
    for record in records:
        try:
            units.table_unit(record.text(column), where=f"{path}, line {record.line}")
        except UnitError as error:
            failure = failure or error
        else:
            return
    if failure is not None:
        raise failure


def is_year(text: str) -> bool:
    """Whether the text is a year of our time."""
    return re.fullmatch(r"(19|20)\d\d", text) is not None


def or_nothing(made: list[InventoryRow | Refused], record: Record) -> list[InventoryRow | Refused]:
    """What was made of a line, which is refused as a whole where that is no row."""
    if any(isinstance(one, InventoryRow) for one in made):
        return made
    return [*made, Refused(record.line, NO_AMOUNT)]


def finish(
    path: Path, title: str, made: Iterable[InventoryRow | Refused], notes: Iterable[str] = ()
) -> xr.Dataset:
    """The dataset of what was made of the lines; `rows_read` are those used and those refused whole."""
    rows, refused = list[InventoryRow](), list[Refused]()
    for one in made:
        rows.append(one) if isinstance(one, InventoryRow) else refused.append(one)
    if not rows and not refused:
        raise SourceFormatError("the table holds no row", expected=title, where=str(path))
    used = {row.line for row in rows}
    whole = [one for one in refused if one.column or one.line not in used]
    attributes = {
        "title": f"{title} ({path.stem})",
        "source_digest": common.file_digest(path),
        "rows_read": len(used) + sum(not one.column for one in whole),
    }
    if kept := [note for note in notes if note]:
        attributes["reader_notes"] = "; ".join(kept)
    return inventory_table(rows, sorted(whole, key=lambda one: (one.line, one.column)), attributes)
