"""How much memory the processes of the gateway's embedded store use."""

from contextlib import suppress
from pathlib import Path


def postgres_mb(gateway_pid: int) -> float:
    """Memory of the PostgreSQL processes below the gateway, MB; 0 where there is none.

    Proportional set sizes, so that shared pages count once. Processes that end meanwhile, or that may
    not be looked at, are left out.
    """
    total_kb = 0
    for pid in _descendants(gateway_pid):
        try:
            command = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
            if not command.startswith("postgres"):
                continue
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
                if line.startswith("Pss:"):
                    total_kb += int(line.split()[1])
        except OSError:
            continue
    return round(total_kb / 1024, 1)


def _descendants(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(
                    int(entry.name)
                )
    found, queue = [], [pid]
    while queue:
        for child in parents.get(queue.pop(), []):
            found.append(child)
            queue.append(child)
    return found
