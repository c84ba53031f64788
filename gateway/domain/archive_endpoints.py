"""Ids and endpoints of camera rows: each channel has one of its own, or its row is not taken."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.domain.archive_context import ArchiveContext
from gateway.domain.archive_table import Cells, Table
from gateway.domain.archive_values import (
    CODE_DIGITS,
    address_refusal,
    code_problem,
    endpoint,
    narrow,
    parse_address,
    parse_port,
    parse_yes,
)
from gateway.domain.camera import ChannelId, CheckBy, DeviceId

WEB_PORT = 80


@dataclass(frozen=True, slots=True)
class Row:
    """A row that is taken: it has an id and an endpoint of its own."""

    table: Table
    number: int
    cells: Cells
    id: ChannelId
    device: DeviceId
    host: str
    port: int
    token: str


def unique_rows(tables: Sequence[Table], context: ArchiveContext) -> list[Row]:
    """The rows of all camera files that are taken; the others are quarantined with a reason."""
    every = [(table, number, cells) for table in tables for number, cells in table.rows]
    codes = Counter(narrow(cells.get("device_id", "")) for _, _, cells in every)
    accepted: list[Row] = []
    endpoints: dict[tuple[DeviceId, str], Row] = {}
    for table, number, cells in every:
        row = _read_row(table, number, cells, context, codes)
        if row is None:
            continue
        first = endpoints.setdefault((row.device, row.token), row)
        if first is row:
            accepted.append(row)
        else:
            seen = f"{row.device} {row.token} as row {first.number}".replace("  ", " ")
            table.find("duplicate_endpoint", number, "ip_address", cells, seen)
    return _unique_ids(accepted, context)


def _read_row(
    table: Table, number: int, cells: Cells, context: ArchiveContext, codes: Counter[str]
) -> Row | None:
    code = narrow(cells.get("device_id", ""))
    if not code:
        table.find("missing_id", number, "device_id", cells)
        return None
    problem = code_problem(code, context.district)
    if codes[code] > 1 and len(code) == CODE_DIGITS and code.endswith("00000"):
        # Excel keeps 15 digits: several codes that end in five zeros were one column of numbers.
        problem = ("destroyed_code", "several rows have it")
    if problem is not None:
        table.find(problem[0], number, "device_id", cells, problem[1])
        if problem[0] == "destroyed_code":
            return None
    address = _read_address(table, number, cells, context)
    if address is None:
        return None
    host, port, device = address
    return Row(
        table, number, cells, ChannelId(code), device, host, port, cells.get("source_token", "")
    )


def _read_address(
    table: Table, number: int, cells: Cells, context: ArchiveContext
) -> tuple[str, int, DeviceId] | None:
    text = narrow(cells.get("ip_address", ""))
    if not text:
        table.find("missing_address", number, "ip_address", cells)
        return None
    parsed = parse_address(text)
    if parsed is None:
        table.find("bad_address", number, "ip_address", cells)
        return None
    address, written_port = parsed
    refusal = address_refusal(address, context.own_addresses, virtual=context.virtual)
    if refusal is not None:
        table.find("refused_address", number, "ip_address", cells, refusal)
        return None
    port_text = narrow(cells.get("port", "")) or written_port
    port = parse_port(port_text) if port_text else _default_port(cells)
    if port is None:
        table.find("bad_port", number, "port", cells)
        return None
    if address.is_global:
        table.find("public_address", number, "ip_address", cells)
    if port == WEB_PORT and _is_rtsp(cells):
        table.find("unlikely_port", number, "port", cells)
    return str(address), port, DeviceId(endpoint(address, port))


def _default_port(cells: Cells) -> int:
    if _is_rtsp(cells):
        return 554
    return 443 if parse_yes(narrow(cells.get("tls", ""))) else WEB_PORT


def _is_rtsp(cells: Cells) -> bool:
    return narrow(cells.get("check_by", "")).casefold() == CheckBy.RTSP


def _unique_ids(rows: list[Row], context: ArchiveContext) -> list[Row]:
    """Of rows with one code, the one at the address we knew keeps it, else the first."""
    by_id: dict[ChannelId, list[Row]] = defaultdict(list)
    for row in rows:
        by_id[row.id].append(row)
    owner = {
        code: next((r for r in same if r.device == context.known.get(code)), same[0])
        for code, same in by_id.items()
    }
    unique: list[Row] = []
    for row in rows:
        if owner[row.id] is row:
            unique.append(row)
            continue
        token = f"/{row.token}" if row.token else ""
        kept = ChannelId(f"{row.id}@{row.device}{token}")
        row.table.find(
            "duplicate_code", row.number, "device_id", row.cells, f"as row {owner[row.id].number}"
        )
        unique.append(replace(row, id=kept))
    return unique
