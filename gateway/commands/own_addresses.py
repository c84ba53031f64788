"""Addresses of this host: a device archive must never send the gateway to itself."""

import contextlib
import ipaddress
import re
import socket
from pathlib import Path

_LOCAL_IPV4 = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL")


def own_addresses(proc: Path = Path("/proc/net")) -> frozenset[str]:
    """All IP addresses of the host's interfaces, as far as the system tells.

    Linux lists them in `/proc/net`; elsewhere the addresses of the host's name have to do.
    """
    found: set[str] = set()
    with contextlib.suppress(OSError):  # not Linux, or no IPv6: the name has to do
        found.update(_LOCAL_IPV4.findall((proc / "fib_trie").read_text(encoding="ascii")))
        lines = (proc / "if_inet6").read_text(encoding="ascii").splitlines()
        found.update(str(ipaddress.IPv6Address(int(line.split()[0], 16))) for line in lines)
    with contextlib.suppress(OSError):  # the name need not resolve: common, and harmless
        found.update(str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None))
    return frozenset(found)
