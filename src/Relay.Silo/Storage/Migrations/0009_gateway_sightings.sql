-- A gateway listens to several silos: one of them that loses it must not hide it from users while the others have it.
CREATE TABLE gateway_sighting (
  name             text NOT NULL REFERENCES gateway ON DELETE CASCADE,
  silo             text NOT NULL,          -- the silo's advertised grid address, "host:port"
  last_seen_at     timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (name, silo)
);
