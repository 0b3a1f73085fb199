-- One row for each start of a silo that may hold connectors' leases. It counts majorities only over voters that stand here, and a
-- row that is fenced does not change any more: who reads it after fencing knows whom that silo could still be listening to.
CREATE TABLE silo_fence (
  incarnation    uuid PRIMARY KEY,
  address        text NOT NULL,
  voters         text[] NOT NULL DEFAULT '{}',  -- "address incarnation", as it means to count from now on
  former_voters  text[] NOT NULL DEFAULT '{}',  -- as it may still be counting
  seq            bigint NOT NULL DEFAULT 0,     -- of the writes of voters: one that arrives late changes nothing
  started_at     timestamptz NOT NULL DEFAULT now(),
  fenced_at      timestamptz                    -- null: it may renew leases
);
CREATE INDEX silo_fence_fenced ON silo_fence (fenced_at) WHERE fenced_at IS NOT NULL;

-- A lease that its holder gave up; any other that has lapsed may still be held by a silo that cannot tell the store.
-- Not a new column: a silo of the version before, which would not know it, must not leave it set when it takes the lease.
UPDATE connector_lease SET expires_at = '-infinity' WHERE expires_at <= now();

-- Attaches of one agent instance are numbered: one that was executed late, after a later one of the same instance, wins nothing.
ALTER TABLE connector_lease
  ADD COLUMN attempt    bigint NOT NULL DEFAULT 0,
  ADD COLUMN attempt_of uuid;                   -- the instance that attempt counts for; null: it does not number them
