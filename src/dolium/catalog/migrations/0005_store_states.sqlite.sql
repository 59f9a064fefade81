-- Whether an administrator has set the state of a store (dolium store set-state): then it counts, else the one that
-- the configuration gives.
ALTER TABLE stores ADD COLUMN state_set INTEGER NOT NULL DEFAULT 0;
