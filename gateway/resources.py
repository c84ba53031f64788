"""Finds the data folders `config/` and `dashboards/`, in a checkout and in an installed wheel."""

from importlib import resources
from pathlib import Path


def data_dir(name: str) -> Path:
    """The folder `config` or `dashboards`.

    In a wheel they lie in `gateway/_shared/`; in a checkout beside the package.

    Raises:
        FileNotFoundError: neither is there: the installation is broken.
    """
    package = Path(str(resources.files("gateway")))
    for candidate in (package / "_shared" / name, package.parent / name):
        if candidate.is_dir():
            return candidate
    msg = f"{name}/ was not found beside the package {package}: reinstall sightline"
    raise FileNotFoundError(msg)
