"""The Python part of a centre's own page: a filesystem, a file, and a Zarr store from many NetCDF files."""

import json
from pathlib import Path
from typing import Any

import pytest

from dolium.testing.server import Site
from tests.clients.documented import filled
from tests.clients.netcdf import YEARS

s3fs = pytest.importorskip("s3fs")
xarray = pytest.importorskip("xarray")


@pytest.fixture
def jasmin_s3(site: Site, tmp_path: Path) -> Any:
    """The page's own way: credentials in a JSON file, the endpoint in `client_kwargs`."""
    path = tmp_path / "jasmin_object_store_credentials.json"
    path.write_text(filled("jasmin_object_store_credentials.json", site))
    with path.open() as f:
        jasmin_store_credentials = json.load(f)
    return s3fs.S3FileSystem(
        anon=False,
        secret=jasmin_store_credentials["secret"],
        key=jasmin_store_credentials["token"],
        client_kwargs={"endpoint_url": jasmin_store_credentials["endpoint_url"]},
    )


@pytest.fixture
def my_bucket(jasmin_s3: Any, bucket_name: str) -> str:
    jasmin_s3.mkdir(bucket_name)
    return bucket_name


def test_du_and_ls(jasmin_s3: Any, my_bucket: str) -> None:
    jasmin_s3.pipe(f"{my_bucket}/object-1", b"x" * 12345)
    assert jasmin_s3.du(f"{my_bucket}/object-1") == 12345
    assert jasmin_s3.ls(my_bucket, refresh=True) == [f"{my_bucket}/object-1"]


def test_a_file_is_read_and_its_metadata(jasmin_s3: Any, my_bucket: str) -> None:
    jasmin_s3.pipe(f"{my_bucket}/object-1", b"salinity")
    jasmin_s3.setxattr(f"{my_bucket}/object-1", units="psu")

    file_object = s3fs.S3File(jasmin_s3, f"{my_bucket}/object-1", mode="rb")
    file_metadata = file_object.metadata(refresh=False)
    assert file_metadata["units"] == "psu"
    assert file_object.read() == b"salinity"


def test_a_file_is_written(jasmin_s3: Any, my_bucket: str) -> None:
    """The page opens it with mode "rb", which can write nothing; and flush() sends full blocks only."""
    data = b"salinity" * 1_000_000  # 8 MB: a part of 5 MiB is sent by flush(), the rest by close()
    with s3fs.S3File(jasmin_s3, f"{my_bucket}/object-2", mode="wb", block_size=5 * 2**20) as file_object:
        file_object.write(data)
        file_object.flush()
    assert jasmin_s3.cat(f"{my_bucket}/object-2") == data


@pytest.fixture
def filepath_list(tmp_path: Path) -> list[str]:
    """A run of many NetCDF files, as a model writes them: 60 years in files of 15."""
    paths = [str(tmp_path / f"years-{start:03}.nc") for start in range(0, 60, 15)]
    with xarray.open_dataset(YEARS, engine="netcdf4") as years:
        for number, path in enumerate(paths):
            years.isel(time=slice(15 * number, 15 * number + 15)).to_netcdf(path, engine="netcdf4")
    return paths


@pytest.mark.filterwarnings(
    "ignore:Consolidated metadata is currently not part", "ignore:In a future version of xarray"
)
def test_netcdf_files_to_zarr_and_back(jasmin_s3: Any, my_bucket: str, filepath_list: list[str]) -> None:
    """`engine` is a string and the result has a name: the page forgot both."""
    with xarray.open_mfdataset(filepath_list, engine="netcdf4") as dataset:
        s3_store = s3fs.S3Map(f"{my_bucket}/zarr-data", s3=jasmin_s3)
        dataset.to_zarr(store=s3_store, mode="w")
        with xarray.open_zarr(s3_store, consolidated=True) as back:
            xarray.testing.assert_identical(back.load(), dataset.load())
            assert back.sizes["time"] == 60
