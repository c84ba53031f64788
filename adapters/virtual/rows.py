"""The rows of the ledger as the public API tells them, read into plain data.

Unknown fields are left alone, so that the API may grow; a missing or malformed one is an error.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from adapters.virtual.truth import when
from gateway.domain.ledger import (
    Ending,
    Fault,
    GapReason,
    GatewayGap,
    Incident,
    Outage,
)
from gateway.domain.observation import FaultCause, OutageCause

Row = TypeVar("Row", Outage[datetime], Fault[datetime], Incident[datetime], GatewayGap[datetime])
_OPTIONAL_TIMES = frozenset({"last_seen_at", "ended_at", "began_after_at", "accepted_at"})


@dataclass(frozen=True, slots=True)
class LedgerRows:
    """Everything the ledger says about a span; merged incidents included."""

    outages: tuple[Outage[datetime], ...] = ()
    faults: tuple[Fault[datetime], ...] = ()
    incidents: tuple[Incident[datetime], ...] = ()
    gaps: tuple[GatewayGap[datetime], ...] = ()


def _cause(kind: type[Any], text: str) -> Any:  # noqa: ANN401 - an enum of the row's kind
    if kind is Fault:
        return FaultCause(text)
    return OutageCause(text)


def _value(kind: type[Any], name: str, value: Any) -> Any:  # noqa: ANN401 - JSON in, field out
    if name.endswith("_at"):
        return None if value is None and name in _OPTIONAL_TIMES else when(value)
    if name == "cause":
        return _cause(kind, value)
    if name == "ending":
        return None if value is None else Ending(value)
    if kind is GatewayGap and name == "reason":
        return GapReason(value)
    return tuple(value) if isinstance(value, list) else value


def read_row(kind: type[Row], item: Mapping[str, Any]) -> Row:
    """One row from its JSON object.

    Raises:
        KeyError: a field without a default is missing.
        ValueError: a field is not what it should be.
    """
    values = {}
    for f in dataclasses.fields(kind):
        if f.name in item:
            values[f.name] = _value(kind, f.name, item[f.name])
        elif f.default is dataclasses.MISSING:
            raise KeyError(f.name)
    return kind(**values)


def read_rows_of(kind: type[Row], items: Sequence[Mapping[str, Any]]) -> tuple[Row, ...]:
    """Rows from a list of JSON objects; an object read twice (paging while it changed) once."""
    found = {str(item["id"]): read_row(kind, item) for item in items}
    return tuple(found.values())
