#!/usr/bin/env bash
# The built wheel in a clean environment, away from the checkout: import, help, a short demo.
set -euo pipefail
wheel=$(ls -t "$PWD"/dist/sightline-*.whl | head -n 1)
lock="$PWD/requirements.lock"
python="${PYTHON:-python3}"
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"$python" -m venv "$room/venv"
"$room/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$lock"
"$room/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$wheel"
cd "$room"
"$room/venv/bin/python" -c 'import gateway, adapters; print("imports: ok")'
"$room/venv/bin/sightline" --help > /dev/null
"$room/venv/bin/sightline" demo --for 20s --cameras 300 --port 0 --json > demo.json || { cat demo.json; exit 1; }
"$room/venv/bin/python" -c 'import json; r = json.load(open("demo.json")); assert r["ok"], r; print("demo: ok,", r["checks"], "checks")'
"$room/venv/bin/python" -c '
from gateway.resources import data_dir
assert (data_dir("config") / "divisions.csv").is_file()
assert (data_dir("dashboards") / "console" / "index.html").is_file()
assert (data_dir("dashboards") / "console" / "lib" / "preact.js").is_file(), "console libraries"
print("data: ok")'
echo "the wheel works"
