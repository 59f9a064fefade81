"""Start the dolium of an environment, put and get an object over http and https, stop it: `serve_wheel.py PLACE`."""

import sys
from pathlib import Path

import boto3

from dolium.testing.server import LiveServer


def main(place: Path) -> int:
    program = place / "env" / "bin" / "dolium"
    server = LiveServer(place / "served", program=(str(program),))
    server.start()
    for site in (server.http, server.https):
        s3 = boto3.client(
            "s3",
            endpoint_url=site.url,
            aws_access_key_id=site.access_key,
            aws_secret_access_key=site.secret_key,
            region_name=site.region,
            verify=str(site.ca_file) if site.ca_file else None,
        )
        s3.create_bucket(Bucket="from-the-wheel")
        s3.put_object(Bucket="from-the-wheel", Key="k", Body=site.url.encode())
        assert s3.get_object(Bucket="from-the-wheel", Key="k")["Body"].read() == site.url.encode()
        s3.close()
    code = server.stop()
    assert code == 0, f"the server ended with {code}:\n{server.log()}"
    print("the wheel serves")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
