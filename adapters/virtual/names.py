"""The divisions of the district by their real names, and short forms for signs and addresses."""

import csv
import re
from dataclasses import dataclass
from functools import lru_cache

from gateway.domain.camera import Division, DivisionCode
from gateway.errors import UsageError
from gateway.resources import data_dir

DISTRICT_CODE = DivisionCode("610802")
SYNTHETIC = "synthetic"
"""The `source` of what was made up."""


@dataclass(frozen=True, slots=True)
class DivisionRow:
    """One row of `config/divisions.csv`; `source` says who named it."""

    division: Division
    source: str


@lru_cache(maxsize=1)
def division_rows() -> tuple[DivisionRow, ...]:
    """The district, its 31 townships and streets, its 408 villages and communities, in that order.

    Raises:
        UsageError: the file of the installation is not what this version expects.
    """
    path = data_dir("config") / "divisions.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = tuple(
            DivisionRow(
                Division(
                    DivisionCode(row["code"]),
                    row["name"],
                    DivisionCode(row["parent"]) if row["parent"] else None,
                ),
                row["source"],
            )
            for row in csv.DictReader(file)
        )
    if not rows or rows[0].division.code != DISTRICT_CODE:
        raise UsageError(f"{path}: the first row must be the district {DISTRICT_CODE}")
    return rows


def townships(divisions: tuple[Division, ...]) -> tuple[Division, ...]:
    """The rows of level 2, in the order of their codes."""
    return tuple(d for d in divisions if d.parent == DISTRICT_CODE)


def villages(divisions: tuple[Division, ...]) -> tuple[Division, ...]:
    """The rows of level 3, in the order of their codes."""
    return tuple(d for d in divisions if len(d.code) == len("610802001001"))


def is_street(township: DivisionCode) -> bool:
    """Whether a township code is a street (街道) of the city: 610802001 to 610802099."""
    return township[6:9] < "100"


def is_community(name: str) -> bool:
    """Whether a village name is that of a community (社区), not of a village (村)."""
    return "社区" in name


def spoken(name: str) -> str:
    """A division as people say it: `普惠泉社区居委会` -> `普惠泉社区`, `鱼河村委会` -> `鱼河村`."""
    return re.sub(r"(?<=村)委会$|(?<=社区)居委会$", "", name)


def stem(name: str) -> str:
    """The bare name without its kind: `鱼河镇` and `鱼河村委会` -> `鱼河`."""
    return re.sub(r"(街道|镇|乡|社区|村)$", "", spoken(name))


def road_stem(name: str) -> str:
    """The stem as a road carries it: `常乐路社区居委会` -> `常乐`, so that no sign says 路路."""
    return re.sub(r"[路街]$", "", stem(name))
