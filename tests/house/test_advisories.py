"""Every hole of another server that could be ours has a test that is named after it."""

import re
from pathlib import Path

# Id, as in the names of the tests, and the lesson. What applies to parts that are not built yet (the portal,
# policies, versions, remote stores) comes with them.
ADVISORIES = {
    "cve_2016_0738": "a client that stops reading holds no file",
    "cve_2016_7031": "listing is a right of its own",
    "cve_2018_1000516": "what clients say is escaped wherever it is shown",
    "cve_2019_10222": "a client that goes away harms nobody",
    "cve_2021_21287": "no request makes the service call out",
    "cve_2021_3524": "no line break of a client gets into a header",
    "cve_2022_31028": "no connection is for ever",
    "cve_2022_3854": "an address that names nothing has an answer",
    "cve_2022_47950": "XML without DTD and entities",
    "cve_2023_25812": "no header goes around a denial",
    "cve_2023_28432": "no page tells of the environment",
    "cve_2023_28434": "a policy in a form grants nothing",
    "cve_2023_43040": "a form writes to no bucket",
    "cve_2024_42351": "whoever may only look may not touch",
    "cve_2024_47866": "an empty copy source is refused, not a crash",
    "cve_2024_48916": "algorithms are allowed by name",
    "cve_2025_30156": "what is sealed cannot be changed",
    "cve_2025_62506": "a key never exceeds its person",
    "cve_2025_65073": "a signature is for one request",
    "cve_2025_68926": "no secret is the same in two installations",
    "cve_2026_21862": "the address of a peer is that of its socket",
    "cve_2026_22797": "no header says who asks",
    "cve_2026_27607": "a form names no bucket",
    "cve_2026_30914": "one normal form of a name, or none",
    "cve_2026_30915": "names of people are in no path",
    "cve_2026_34204": "internal headers cannot be sent",
    "cve_2026_39360": "a source of a copy is read, and must be readable",
    "cve_2026_40344": "authenticate once, before routing; an unknown payload is a refusal",
    "cve_2026_41176": "no address is a command",
    "cve_2026_45039": "no default secret",
    "cve_2026_45040": "errors hold no secret",
    "cve_2026_46685": "no origin is reflected",
    "cve_2026_54917": "dots in a path stay in the bucket",
    "cve_2026_55183": "a web page cannot drive the service",
    "cve_2026_58372": "dots in a document stay in the bucket",
    "cve_2026_72920": "no second, unauthenticated door",
    "cve_2026_88018": "no keys let nobody in",
    "cve_2026_97731": "x-amz headers that are not signed are refused",
    "ceph_72502": "a name that is too long is the client's fault",
    "garage_543": "no clock decides an order",
    "rustfs_ghsa_3ppv": "what cannot be read is no permission",
    "rustfs_ghsa_f4vq": "nothing is unpacked",
    "rustfs_ghsa_pq29": "no name of a client becomes a path",
    "rustfs_ghsa_r54g": "logs hold no secret",
    "rustfs_ghsa_x298": "encryption is not pretended",
    "seaweedfs_7912": "a content type is no authorization",
    "seaweedfs_plain_credentials": "secrets are sealed at rest",
    "swift_dlo": "no header makes an object of other objects",
    "versitygw_d6d6cc8": "a copy source is parsed once",
}
FLOOR = 49
_TESTS = Path(__file__).parents[1]
_name = re.compile(r"^def test_advisory_(\w+)\(", re.MULTILINE)


def _found() -> list[str]:
    return [name for path in sorted(_TESTS.rglob("test_*.py")) for name in _name.findall(path.read_text())]


def test_every_advisory_has_a_test() -> None:
    tests = _found()
    assert {one for one in ADVISORIES if not any(name.startswith(f"{one}_") for name in tests)} == set()


def test_every_such_test_names_a_known_advisory_and_says_what_it_proves() -> None:
    for name in _found():
        (known,) = [one for one in ADVISORIES if name.startswith(f"{one}_")]
        assert len(name) > len(known) + 10, name


def test_there_are_no_fewer_than_there_were() -> None:
    assert len(ADVISORIES) >= FLOOR
    assert len(_found()) >= FLOOR
