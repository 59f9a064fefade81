"""`Dataset.to_zarr` and `open_zarr` of many small chunks through s3fs, as scientists use them.

Run as a program by the interpreter of `.tools/venv`, which has xarray, zarr and s3fs:

    python zarr_chunks.py write|read ENDPOINT ACCESS_KEY SECRET_KEY BUCKET/PATH CHUNKS

It writes, or it reads and compares with what was written, and prints the wall seconds of that alone.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from pathlib import Path

from bench.client import ACCESS_KEY, SECRET_KEY
from bench.loads import Load

__all__ = ["CHUNK_BYTES", "run"]

_SIDE = 32
CHUNK_BYTES = _SIDE * _SIDE * 4  # a chunk is 32 x 32 float32
_SECONDS = 300
_REPOSITORY = Path(__file__).resolve().parent.parent.parent


def run(python: str, mode: str, endpoint: str, path: str, chunks: int) -> Load:
    """In a process of its own, whose start and imports are not in the time."""
    command = [
        python,
        "-m",
        "bench.loads.zarr_chunks",
        mode,
        endpoint,
        ACCESS_KEY,
        SECRET_KEY,
        path,
        str(chunks),
    ]
    done = subprocess.run(
        command, cwd=_REPOSITORY, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if done.returncode != 0:
        return Load(0, 0, 0.0, failure=f"zarr: {done.stderr.strip()[-300:]}")
    return Load(chunks, chunks * CHUNK_BYTES, float(done.stdout.split()[-1]))


def _main(mode: str, endpoint: str, access_key: str, secret_key: str, path: str, chunks: str) -> None:
    numpy, xarray, s3fs, zarr = (importlib.import_module(n) for n in ("numpy", "xarray", "s3fs", "zarr"))
    values = numpy.random.default_rng(7).random((int(chunks), _SIDE, _SIDE), dtype="float32")
    dataset = xarray.Dataset({"t2m": (("time", "lat", "lon"), values)})
    files = s3fs.S3FileSystem(
        key=access_key, secret=secret_key, client_kwargs={"endpoint_url": endpoint}, asynchronous=True
    )
    store = zarr.storage.FsspecStore(files, path=path)
    began = time.perf_counter()
    if mode == "write":
        encoding = {"t2m": {"chunks": (1, _SIDE, _SIDE), "compressors": None}}
        dataset.to_zarr(store, mode="w", encoding=encoding, consolidated=True, zarr_format=3)
    else:
        back = xarray.open_zarr(store, chunks=None, consolidated=True).load()
        if not back.identical(dataset):
            sys.exit("what was read is not what was written")
    print(time.perf_counter() - began)


if __name__ == "__main__":
    _main(*sys.argv[1:])
