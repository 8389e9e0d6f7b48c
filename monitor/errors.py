"""What can go wrong, said so that the reader can act.

Every error carries four things: what was *expected*, what was *found*, *where*, and what to do
(*remedy*).  Its class decides the exit code of the command line (``sysexits.h`` numbers).
"""

from __future__ import annotations

from typing import ClassVar


class MonitorError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    what : str
        One sentence naming the failure.
    expected, found, where, remedy : str, optional
        The four things a reader needs; empty ones are left out of the message.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, what: str, *, expected: str = "", found: str = "", where: str = "", remedy: str = ""
    ) -> None:
        self.what, self.expected, self.found, self.where, self.remedy = what, expected, found, where, remedy
        super().__init__(self._message())

    def _message(self) -> str:
        parts = [
            ("expected", self.expected),
            ("found", self.found),
            ("where", self.where),
            ("what to do", self.remedy),
        ]
        tail = "; ".join(f"{label}: {text}" for label, text in parts if text)
        return f"{self.what} ({tail})" if tail else self.what

    def as_dict(self) -> dict[str, str | int]:
        """The error as one JSON-ready object."""
        return {
            "error": type(self).__name__,
            "what": self.what,
            "expected": self.expected,
            "found": self.found,
            "where": self.where,
            "remedy": self.remedy,
            "exit_code": self.exit_code,
        }

    def __reduce__(self) -> tuple[object, ...]:  # keeps the five parts across process borders
        return (_rebuild, (type(self), self.what, self.expected, self.found, self.where, self.remedy))


def _rebuild(
    kind: type[MonitorError], what: str, expected: str, found: str, where: str, remedy: str
) -> MonitorError:
    return kind(what, expected=expected, found=found, where=where, remedy=remedy)


class UsageError(MonitorError):
    """The command was called in a way that cannot work."""

    exit_code = 2


class InputError(MonitorError):
    """Data that cannot be used: broken, contradictory, or not what they claim to be."""

    exit_code = 65


class SourceFormatError(InputError):
    """A file is not in the format its reader expects."""


class UnitError(InputError):
    """A unit is missing, unknown, or of the wrong quantity."""


class ContractError(InputError):
    """A dataset does not keep the contract of the stage border it crosses."""


class GridError(InputError):
    """Two grids that must agree do not."""


class MissingInputError(InputError):
    """Something the configuration names is not there."""


class NumericalError(InputError):
    """A matrix that must be positive definite is not, or a number is not finite."""


class PrecisionWarning(UserWarning):
    """A result is right in fewer digits than it shows; the message says in how many."""


class UpstreamError(MonitorError):
    """A source that should answer does not."""

    exit_code = 69


class StorageError(MonitorError):
    """The disk or the archive failed us: no space, a checksum that differs, a missing object."""

    exit_code = 74


class LockedError(MonitorError):
    """Somebody else holds the lock or the lease; trying again later can help."""

    exit_code = 75


class ConfigError(MonitorError):
    """The configuration is wrong; the message lists every fault found."""

    exit_code = 78


#: Exit code when all was done but quality control withheld a publication.
EXIT_WITHHELD = 3
