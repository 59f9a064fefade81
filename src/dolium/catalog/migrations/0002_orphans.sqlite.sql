-- What it takes to delete a blob that nothing names, and never one that something names or is about to name
-- (docs/durability.md, "Orphans").

-- `fence_ns`: blobs with an older key cannot be published any more. `walked_ns`: of those that could not be
-- published, the ones with an older key are gone.
ALTER TABLE stores ADD COLUMN fence_ns INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stores ADD COLUMN walked_ns INTEGER NOT NULL DEFAULT 0;

-- A row for each time that this catalog was found to be older than its folder: it has never seen what was
-- committed with a higher sequence, by blobs with an older key.
CREATE TABLE losses (
    id        INTEGER PRIMARY KEY,
    sequence  INTEGER NOT NULL,
    before_ns INTEGER NOT NULL,
    found_ms  INTEGER NOT NULL
) STRICT;

-- Who names a blob.
CREATE INDEX objects_of_blob ON objects (blob_key) WHERE blob_key IS NOT NULL;
CREATE INDEX objects_of_manifest ON objects (manifest) WHERE manifest IS NOT NULL;
CREATE INDEX parts_of_blob ON parts (blob_key);
CREATE INDEX garbage_of_blob ON garbage (blob_key);
