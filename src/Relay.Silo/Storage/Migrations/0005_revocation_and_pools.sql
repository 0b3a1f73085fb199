-- What every silo decides by, and how long it took.

-- When each version of an organization was written, by the database's clock: how long a change took to be in force is measured from
-- here. A trigger writes it, so that no write that counts the version up can forget to.
CREATE TABLE organization_version (
  organization_id  uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
  version          bigint NOT NULL,
  changed_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (organization_id, version)
);

CREATE FUNCTION organization_version_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO organization_version (organization_id, version) VALUES (NEW.organization_id, NEW.version)
  ON CONFLICT (organization_id, version) DO UPDATE SET changed_at = excluded.changed_at;
  DELETE FROM organization_version WHERE organization_id = NEW.organization_id AND version <= NEW.version - 1000;
  RETURN NULL;
END $$;
CREATE TRIGGER organization_version_written AFTER UPDATE OF version ON organization
  FOR EACH ROW WHEN (NEW.version IS DISTINCT FROM OLD.version) EXECUTE FUNCTION organization_version_written();

-- Which version a silo runs. It writes this after it has closed what lost its right by that version, and not before.
CREATE TABLE silo_snapshot (
  silo_incarnation uuid NOT NULL,
  organization_id  uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
  version          bigint NOT NULL,
  acknowledged_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (silo_incarnation, organization_id)
);

-- Which member of a socket's pool the session's stream goes to, "host:port"; empty: none was opened yet.
ALTER TABLE session ADD COLUMN target text NOT NULL DEFAULT '';

-- Targets that a connector does not reach, "host:port": written by the silo that found out, read by all. Gone when it is reached again.
CREATE TABLE failing_target (
  connector_id     uuid NOT NULL REFERENCES connector ON DELETE CASCADE,
  target           text NOT NULL,
  reason           text NOT NULL,
  since            timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (connector_id, target)
);
