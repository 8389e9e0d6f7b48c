"""A verdict in its published form, checked against its own schema."""

from __future__ import annotations

from monitor.compare.document import ensure_verdict
from monitor.compare.looks import ALPHA, family_rate
from monitor.domain import Interval
from monitor.service.verdicts import verdict_document

DATA = Interval.parse("2023-03-01", "2023-04-20")
ABOUT = {
    "family": dict(
        zip(("at_most", "if_independent"), family_rate(1), strict=True),
        claims=1,
        error_each=ALPHA,
        undeclared=1,
    ),
    "made_from": {
        "inputs": [{"kind": "flux", "key": "flux/small/one", "digest": 64 * "a", "source_files": ["one.nc"]}],
        "input_digest": 64 * "b",
        "config_digest": 64 * "c",
        "code_version": "0",
    },
}


def published(claim_id: str, verdict: dict) -> dict:
    """The sealed document; `InputError` when it does not follow the schema."""
    return ensure_verdict(verdict_document("small", claim_id, DATA, verdict, ABOUT), claim_id)
