"""Reads pages of a running service, one after the other, and prints how long each took.

A process of its own: nobody else's work, and no unpacking, is counted as the service's. The token comes
on standard input: `python -m bench.reader URL SECONDS PATH...`.
"""

import http.client
import json
import sys
import time
from urllib.parse import urlsplit

EVERY_S = 0.1


def read(url: str, token: str, seconds: float, paths: list[str]) -> dict[str, list[float]]:
    """Seconds a page took, from the request to its last byte, by path."""
    address = urlsplit(url)
    assert address.hostname is not None
    line = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "gzip"}
    took: dict[str, list[float]] = {path: [] for path in paths}
    ends = time.monotonic() + seconds
    number = 0
    while time.monotonic() < ends:
        path = paths[number % len(paths)]
        number += 1
        begun = time.perf_counter()
        line.request("GET", f"/{path}", headers=headers)
        response = line.getresponse()
        response.read()
        took[path].append(time.perf_counter() - begun)
        if response.status != http.client.OK:
            raise RuntimeError(f"{path}: {response.status}")
        time.sleep(EVERY_S)
    return took


if __name__ == "__main__":
    url, length, *wanted = sys.argv[1:]
    secret = sys.stdin.readline().strip()
    sys.stdout.write(json.dumps(read(url, secret, float(length), wanted)) + "\n")
