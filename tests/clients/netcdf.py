"""The NetCDF files that `iris-sample-data` ships: ocean and climate model output, satellites, profiles."""

from pathlib import Path
from typing import Any

import pytest

_samples = pytest.importorskip("iris_sample_data")
_folder = Path(_samples.path)

MONTHS = sorted(str(path) for path in _folder.glob("NEMO/*.nc"))
"""Three months of one ocean model, a file each."""

MONTHS_TOGETHER: dict[str, Any] = {
    "combine": "nested",
    "concat_dim": "time_counter",
    "data_vars": "minimal",
    "coords": "minimal",
    "compat": "override",
    "join": "override",
}
"""How `open_mfdataset` puts MONTHS together: their time coordinate is 0 in every file, so order decides."""

SINGLE = sorted(str(path) for path in _folder.glob("*.nc"))
"""Every other file, each a dataset of its own."""

YEARS = str(_folder / "E1_north_america.nc")
"""240 years of air temperature in one file: cut into many, they are what the page's example has."""
