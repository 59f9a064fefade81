-- Replicated stores (docs/stores.md, "Copies"): a row of `stores` each, and their members are stores, too.
CREATE TABLE replicas (
    group_id INTEGER NOT NULL,                 -- stores.id of the replicated store
    store_id INTEGER NOT NULL,                 -- and of a member
    added_ms INTEGER NOT NULL,
    place    TEXT,                             -- blobs before this key have a copy here, or a repair; NULL: all have
    PRIMARY KEY (group_id, store_id)
) STRICT, WITHOUT ROWID;

-- Copies that are to be made, or made again.
CREATE TABLE repairs (
    group_id INTEGER NOT NULL,
    store_id INTEGER NOT NULL,                 -- the member that has no good copy
    blob_key TEXT NOT NULL,
    damaged  INTEGER NOT NULL,                 -- 1: there is one, and it is not what was written
    noted_ms INTEGER NOT NULL,
    due_ms   INTEGER NOT NULL,
    PRIMARY KEY (group_id, store_id, blob_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX repairs_damaged ON repairs (group_id) WHERE damaged = 1;

-- Copies that a walk has written anew.
ALTER TABLE scrubs ADD COLUMN repaired INTEGER NOT NULL DEFAULT 0;
