-- The first schema. Times are milliseconds since 1970 (UTC) and display only: the order of versions is
-- `sequence`, which the catalog hands out (DESIGN §2.3). Text sorts by its UTF-8 bytes, as S3 lists keys.

-- AUTOINCREMENT: the id of whoever was removed is never given again, for rows of objects keep it.
CREATE TABLE tenancies (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT NOT NULL UNIQUE,
    title        TEXT NOT NULL DEFAULT '',
    sharing      TEXT NOT NULL DEFAULT 'owner' CHECK (sharing IN ('owner', 'everyone')),
    quota_bytes  INTEGER,                      -- NULL: no limit
    canonical_id TEXT NOT NULL UNIQUE,         -- S3's owner id of what no person owns
    created_ms   INTEGER NOT NULL
) STRICT;

CREATE TABLE people (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT NOT NULL UNIQUE,
    display_name  TEXT NOT NULL,
    email         TEXT NOT NULL DEFAULT '',
    canonical_id  TEXT NOT NULL UNIQUE,        -- S3's owner id
    site_admin    INTEGER NOT NULL DEFAULT 0,
    suspended     INTEGER NOT NULL DEFAULT 0,
    password_hash TEXT,                        -- Argon2id; NULL: no local password
    created_ms    INTEGER NOT NULL
) STRICT;

CREATE TABLE memberships (
    tenancy_id INTEGER NOT NULL REFERENCES tenancies (id),
    person_id  INTEGER NOT NULL REFERENCES people (id),
    role       TEXT NOT NULL CHECK (role IN ('manager', 'deputy', 'member', 'viewer')),
    expires_ms INTEGER,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (tenancy_id, person_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_of_person ON memberships (person_id);

CREATE TABLE groups (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    tenancy_id INTEGER NOT NULL REFERENCES tenancies (id),
    name       TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    UNIQUE (tenancy_id, name)
) STRICT;

CREATE TABLE group_members (
    group_id  INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    person_id INTEGER NOT NULL REFERENCES people (id),
    PRIMARY KEY (group_id, person_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE access_keys (
    key_id        TEXT PRIMARY KEY,
    tenancy_id    INTEGER NOT NULL REFERENCES tenancies (id),
    person_id     INTEGER REFERENCES people (id),  -- NULL: a service key, of the tenancy itself
    description   TEXT NOT NULL DEFAULT '',
    secret_sealed BLOB NOT NULL,               -- AES-256-GCM, AAD = tenancy and key id
    read_only     INTEGER NOT NULL DEFAULT 0,
    scope_bucket  TEXT,                        -- NULL: every bucket
    scope_prefix  TEXT NOT NULL DEFAULT '',
    created_ms    INTEGER NOT NULL,
    expires_ms    INTEGER,
    revoked_ms    INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX access_keys_of_tenancy ON access_keys (tenancy_id, person_id);

CREATE TABLE stores (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,           -- Galaxy's backend id, the object_store_id
    kind       TEXT NOT NULL,
    uuid       TEXT NOT NULL UNIQUE,           -- what the identity file in its root must say
    state      TEXT NOT NULL DEFAULT 'online' CHECK (state IN ('online', 'read-only', 'draining', 'offline')),
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE buckets (
    id         INTEGER PRIMARY KEY,
    tenancy_id INTEGER NOT NULL REFERENCES tenancies (id),
    name       TEXT NOT NULL,
    owner_id   INTEGER REFERENCES people (id), -- NULL: the tenancy, through a service key
    settings   TEXT NOT NULL DEFAULT '{}',     -- JSON: versioning and the other sub-resources
    created_ms INTEGER NOT NULL,
    UNIQUE (tenancy_id, name)
) STRICT;

-- One row per version of an object. Clustered by key, so that a page of a listing is a run of pages.
-- A body lies in one of three places: `bodies` (inline = 1), one blob, or the parts of an upload.
CREATE TABLE objects (
    bucket_id   INTEGER NOT NULL,
    key         TEXT NOT NULL,
    sequence    INTEGER NOT NULL,
    version     TEXT NOT NULL,                 -- 'null' where versioning was not enabled
    kind        INTEGER NOT NULL,              -- 0 object, 1 delete marker
    size        INTEGER NOT NULL,
    etag        TEXT NOT NULL,
    checksum    TEXT NOT NULL,                 -- 'CRC32 FULL_OBJECT <base64>', or ''
    modified_ms INTEGER NOT NULL,
    owner_id    INTEGER,
    headers     TEXT NOT NULL,                 -- JSON: stored headers and user metadata
    inline      INTEGER NOT NULL,
    store_id    INTEGER,
    blob_key    TEXT,                          -- the bytes, or the manifest when `upload` is set
    upload      INTEGER,                       -- uploads.id, whose parts are the bytes
    manifest    TEXT,                          -- of a copy that shares its bytes: its own description
    PRIMARY KEY (bucket_id, key, sequence DESC)
) STRICT, WITHOUT ROWID;

CREATE TABLE bodies (
    sequence INTEGER PRIMARY KEY,              -- of the version
    data     BLOB NOT NULL
) STRICT;

CREATE TABLE uploads (
    id          INTEGER PRIMARY KEY,
    upload_id   TEXT NOT NULL UNIQUE,          -- what clients see
    bucket_id   INTEGER NOT NULL,
    key         TEXT NOT NULL,
    owner_id    INTEGER,
    initiator   TEXT NOT NULL,                 -- access key id
    algorithm   TEXT NOT NULL,                 -- of the checksum, or ''
    type        TEXT NOT NULL,                 -- FULL_OBJECT, COMPOSITE, or ''
    headers     TEXT NOT NULL,
    created_ms  INTEGER NOT NULL,
    completed   TEXT,                          -- JSON of the answer; NULL: still open
    refs        INTEGER NOT NULL DEFAULT 0     -- object rows whose bytes these parts are
) STRICT;
CREATE INDEX uploads_open ON uploads (bucket_id, key, upload_id) WHERE completed IS NULL;

CREATE TABLE parts (
    upload      INTEGER NOT NULL,              -- uploads.id
    number      INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    etag        TEXT NOT NULL,
    checksum    TEXT NOT NULL,                 -- base64, of the upload's algorithm, or ''
    store_id    INTEGER NOT NULL,
    blob_key    TEXT NOT NULL,
    modified_ms INTEGER NOT NULL,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;

-- Blobs that more than one row points at. A blob that is not here has exactly one owner.
CREATE TABLE shared_blobs (
    store_id INTEGER NOT NULL,
    blob_key TEXT NOT NULL,
    refs     INTEGER NOT NULL,
    PRIMARY KEY (store_id, blob_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE garbage (
    id       INTEGER PRIMARY KEY,
    store_id INTEGER NOT NULL,
    blob_key TEXT NOT NULL,
    due_ms   INTEGER NOT NULL                  -- not before: readers of the old version may still be there
) STRICT;
CREATE INDEX garbage_due ON garbage (due_ms);

CREATE TABLE bucket_usage (
    bucket_id INTEGER PRIMARY KEY,
    objects   INTEGER NOT NULL DEFAULT 0,
    bytes     INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE tenancy_usage (
    tenancy_id INTEGER PRIMARY KEY,
    objects    INTEGER NOT NULL DEFAULT 0,
    bytes      INTEGER NOT NULL DEFAULT 0
) STRICT;

-- One row. `sequence`: the highest handed out by a committed batch. `batch`: names the last committed
-- batch, so that after a COMMIT that failed its outcome can be looked up.
CREATE TABLE book (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    sequence INTEGER NOT NULL,
    batch    BLOB NOT NULL
) STRICT;
INSERT INTO book (id, sequence, batch) VALUES (1, 0, x'');
