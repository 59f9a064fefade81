-- What it takes to see that bytes have rotted, and to say so (docs/durability.md, "Bit rot").

-- CRC32C of the bytes, begun with the sequence of their version. NULL: written by an older dolium.
ALTER TABLE bodies ADD COLUMN crc INTEGER;

-- 1: its bytes are known to be wrong or lost; they are not sent. The rows of `damage` say which.
ALTER TABLE objects ADD COLUMN damaged INTEGER NOT NULL DEFAULT 0;

-- A row for each blob, or inline body, with which something is not as it should be.
-- suspect: a read met it, and it is looked at soon. corrupt: so it is; the objects are marked `damaged`.
-- noted: the bytes are right, what lies beside them is not.
CREATE TABLE damage (
    id        INTEGER PRIMARY KEY,
    store_id  INTEGER NOT NULL,                -- 0: the catalog; `blob_key` is then the sequence of the version
    blob_key  TEXT NOT NULL,
    bucket_id INTEGER,                         -- of an inline body: where its version stands
    key       TEXT,
    state     TEXT NOT NULL CHECK (state IN ('suspect', 'corrupt', 'noted')),
    what      TEXT NOT NULL,
    found_ms  INTEGER NOT NULL,
    seen_ms   INTEGER NOT NULL,                -- the last time that it was looked at
    UNIQUE (store_id, blob_key)
) STRICT;

-- A row for each walk through everything that is stored.
CREATE TABLE scrubs (
    id         INTEGER PRIMARY KEY,
    started_ms INTEGER NOT NULL,
    ended_ms   INTEGER,                        -- NULL: under way, or cut off
    place      TEXT NOT NULL,                  -- JSON: where it goes on
    bodies     INTEGER NOT NULL DEFAULT 0,
    blobs      INTEGER NOT NULL DEFAULT 0,
    bytes      INTEGER NOT NULL DEFAULT 0,
    mended     INTEGER NOT NULL DEFAULT 0,     -- blobs that got new checksums
    unknown    INTEGER NOT NULL DEFAULT 0      -- blobs that could be held against nothing
) STRICT;

-- Who stands on the parts of an upload.
CREATE INDEX objects_of_upload ON objects (upload) WHERE upload IS NOT NULL;
