"""How long a netCDF classic file must be: its library reads zeros beyond the end of a file that was cut off.

The header (CDF-1, CDF-2 and CDF-5; netCDF classic format specification) says where each variable begins; its
size follows from its dimensions.  HDF5 files need no such check: they record their own length.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
_DIMENSION, _VARIABLE, _ATTRIBUTE = 10, 11, 12


@dataclass
class _Cursor:
    """Walks through a header; `struct.error` and `IndexError` mean that it is cut off."""

    raw: bytes
    wide: bool
    far: bool
    at: int = 4

    def take(self, kind: str) -> int:
        (value,) = struct.unpack_from(">" + kind, self.raw, self.at)
        self.at += struct.calcsize(kind)
        return int(value)

    def count(self) -> int:
        return self.take("Q" if self.wide else "I")

    def offset(self) -> int:
        return self.take("Q" if self.far else "I")

    def skip(self, n_bytes: int) -> None:
        self.at += n_bytes + (-n_bytes) % 4

    def elements(self, tag: int) -> range:
        """The elements of a list, which is absent (two zeros) or tagged."""
        found, n = self.take("I"), self.count()
        if found not in (0, tag) or (found == 0 and n) or n > len(self.raw):
            raise struct.error("not a netCDF list")
        return range(n)


def needed_bytes(raw: bytes) -> int:
    """The least length of the netCDF classic file that begins with `raw`.

    Parameters
    ----------
    raw : bytes
        The beginning of the file, at least its whole header.

    Raises
    ------
    struct.error, KeyError, IndexError
        When the header is cut off or makes no sense.
    """
    version = raw[3]
    cursor = _Cursor(raw, wide=version == 5, far=version in (2, 5))
    records = cursor.count()
    if records == (2**64 - 1 if cursor.wide else 2**32 - 1):  # "streaming": not known
        records = 0
    lengths = []
    for _ in cursor.elements(_DIMENSION):
        cursor.skip(cursor.count())
        lengths.append(cursor.count())
    _skip_attributes(cursor)
    fixed_end, record_ends, record_bytes = cursor.at, [], []
    for _ in cursor.elements(_VARIABLE):
        cursor.skip(cursor.count())
        shape = [lengths[cursor.count()] for _ in range(cursor.count())]
        _skip_attributes(cursor)
        width = _TYPE_BYTES[cursor.take("I")]
        cursor.count()  # vsize: redundant, and wrong for large variables
        begin = cursor.offset()
        if shape and shape[0] == 0:
            record_bytes.append(width * prod(shape[1:]))
            record_ends.append(begin + record_bytes[-1])
        else:
            fixed_end = max(fixed_end, begin + width * prod(shape))
    if not records or not record_ends:
        return max(fixed_end, cursor.at)
    padded = [n + (-n) % 4 for n in record_bytes] if len(record_bytes) > 1 else record_bytes
    return max(fixed_end, max(record_ends) + (records - 1) * sum(padded))


def _skip_attributes(cursor: _Cursor) -> None:
    for _ in cursor.elements(_ATTRIBUTE):
        cursor.skip(cursor.count())
        width = _TYPE_BYTES[cursor.take("I")]
        cursor.skip(width * cursor.count())
