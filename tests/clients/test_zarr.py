"""NetCDF files become Zarr stores and come back equal: formats 2 and 3, by S3Map and by s3:// address."""

from pathlib import Path
from typing import Any

import pytest

from dolium.testing.server import Site
from tests.clients.netcdf import MONTHS, MONTHS_TOGETHER, SINGLE, YEARS

dask = pytest.importorskip("dask")
s3fs = pytest.importorskip("s3fs")
xarray = pytest.importorskip("xarray")

pytestmark = pytest.mark.filterwarnings(
    # What zarr-python says of its own format 3; nothing that a server could change.
    "ignore:Consolidated metadata is currently not part",
    "ignore:The data type .* does not have a Zarr V3 specification",
)


def _options(site: Site) -> dict[str, Any]:
    return {"key": site.access_key, "secret": site.secret_key, "client_kwargs": {"endpoint_url": site.url}}


def _store(way: str, site: Site, path: str) -> dict[str, Any]:
    """The arguments that name a store, for `to_zarr` and `open_zarr` alike."""
    if way == "S3Map":
        return {"store": s3fs.S3Map(path, s3=s3fs.S3FileSystem(**_options(site)))}
    return {"store": f"s3://{path}", "storage_options": _options(site)}


def _forget_chunks(dataset: Any) -> None:
    """Let Dask's chunks decide, not those of the file: some of these files have one for every single number."""
    for variable in dataset.variables.values():
        variable.encoding.pop("chunks", None)
        variable.encoding.pop("preferred_chunks", None)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("way", ["S3Map", "s3://"])
def test_a_run_of_months(site: Site, bucket: str, way: str, zarr_format: int) -> None:
    """Dask writes the chunks from eight threads."""
    with (
        dask.config.set(scheduler="threads", num_workers=8),
        xarray.open_mfdataset(MONTHS, engine="netcdf4", **MONTHS_TOGETHER) as opened,
    ):
        dataset = opened.chunk({"y": 100, "x": 120})
        _forget_chunks(dataset)
        dataset.to_zarr(
            **_store(way, site, f"{bucket}/m.zarr"), mode="w", zarr_format=zarr_format, consolidated=True
        )
        again = _store(way, site, f"{bucket}/m.zarr")
        with xarray.open_zarr(again.pop("store"), consolidated=True, **again) as back:
            xarray.testing.assert_identical(back.load(), dataset.load())
            assert back.sizes["time_counter"] == len(MONTHS) == 3


@pytest.mark.parametrize("path", SINGLE, ids=lambda path: Path(path).stem)
def test_every_other_file(sites: Any, s3_http: Any, bucket_name: str, path: str) -> None:
    """Format 2, which holds every type that these files have."""
    s3_http.create_bucket(Bucket=bucket_name)
    store = s3fs.S3Map(f"{bucket_name}/z", s3=s3fs.S3FileSystem(**_options(sites.http)))
    with xarray.open_mfdataset([path], engine="netcdf4") as opened:
        dataset = opened
        if path != YEARS:  # that one stays as it is, with 240 small chunks
            dataset = opened.chunk(-1)
            _forget_chunks(dataset)
        dataset.to_zarr(store=store, mode="w", zarr_format=2, consolidated=True)
        with xarray.open_zarr(store, consolidated=True) as back:
            xarray.testing.assert_identical(back.load(), dataset.load())


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_append_and_region_writes(site: Site, bucket: str, zarr_format: int) -> None:
    """A growing store: months are appended, then one is written again in its place."""
    where = _store("s3://", site, f"{bucket}/grow.zarr")
    with xarray.open_mfdataset(MONTHS, engine="netcdf4", **MONTHS_TOGETHER) as opened:
        whole = opened[["tos"]].drop_vars(["time_counter", "time_centered", "nav_lat", "nav_lon"]).load()
    first, rest = whole.isel(time_counter=slice(0, 1)), whole.isel(time_counter=slice(1, 3))
    first.to_zarr(**where, mode="w", zarr_format=zarr_format)
    rest.to_zarr(**where, append_dim="time_counter")
    doubled = first * 2
    doubled.to_zarr(**where, region={"time_counter": slice(0, 1)})
    options = {"storage_options": where["storage_options"]}
    with xarray.open_zarr(where["store"], consolidated=True, **options) as back:
        assert back.sizes["time_counter"] == 3
        xarray.testing.assert_equal(back.isel(time_counter=slice(0, 1)).load(), doubled)
        xarray.testing.assert_equal(back.isel(time_counter=slice(1, 3)).load(), rest)


def test_netcdf_is_read_in_place(site: Site, bucket: str) -> None:
    """h5netcdf through ranges of an object: no download."""
    pytest.importorskip("h5netcdf")
    fs = s3fs.S3FileSystem(**_options(site))
    fs.put_file(MONTHS[0], f"{bucket}/month.nc")
    with (
        fs.open(f"{bucket}/month.nc", "rb", cache_type="blockcache", block_size=2**18) as remote,
        xarray.open_dataset(remote, engine="h5netcdf") as there,
        xarray.open_dataset(MONTHS[0], engine="h5netcdf") as here,
    ):
        xarray.testing.assert_equal(there.load(), here.load())
