-- Backups: whose they are, what is kept for them, and what comes back after them (docs/backup.md).

-- One row: whose catalog this is. It is the same in all its backups.
CREATE TABLE origin (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    uuid TEXT NOT NULL
) STRICT;
INSERT INTO origin (id, uuid) VALUES (1, lower(hex(randomblob(16))));

-- One row in a backup, none in a catalog that is served.
CREATE TABLE manifest (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    made_ns  INTEGER NOT NULL,
    backup   INTEGER NOT NULL,                  -- backups.id of the backup itself
    program  TEXT NOT NULL                      -- version of dolium
) STRICT;

-- Backups of this catalog, also those that are gone. What one of them may name is not deleted at once: blobs that
-- were written before `taken_ns` and discarded after `begun_ns`. `taken_ns` NULL: it is being made, or was cut off.
CREATE TABLE backups (
    id       INTEGER PRIMARY KEY,
    begun_ns INTEGER NOT NULL,
    taken_ns INTEGER
) STRICT;

-- `since_ms`: when the last row that named it went. `held`: 1 if `due_ms` was put off because of a backup.
ALTER TABLE garbage ADD COLUMN since_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE garbage ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
CREATE INDEX garbage_held ON garbage (due_ms) WHERE held = 1;

-- The highest sequence that is known to have been handed out when the loss was found; 0: nobody knows.
ALTER TABLE losses ADD COLUMN highest INTEGER NOT NULL DEFAULT 0;
