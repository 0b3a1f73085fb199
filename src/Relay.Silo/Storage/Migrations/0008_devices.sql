-- Users' WireGuard devices, and the addresses that devices and sockets have inside the tunnel. An address is an index into the silos'
-- ranges (RELAY_WIREGUARD_DEVICES, RELAY_WIREGUARD_RESOURCES), the same for IPv4 and IPv6.

ALTER TABLE grid
  ADD COLUMN wireguard_key    bytea,             -- sealed X25519 scalar: one identity for all gateways; null until a silo of this version has started
  ADD COLUMN device_addresses int NOT NULL DEFAULT 0; -- the highest index that a device was ever given

ALTER TABLE organization
  ADD COLUMN device_login_seconds int NOT NULL DEFAULT 604800 CHECK (device_login_seconds >= 0), -- how long a login counts for a device; 0: for ever
  ADD COLUMN resource_addresses   int NOT NULL DEFAULT 0; -- the highest index that a socket was ever given

CREATE TABLE device (
  device_id         uuid PRIMARY KEY,
  organization_id   uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
  user_id           uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
  name              text NOT NULL,
  public_key        bytea NOT NULL UNIQUE CHECK (length(public_key) = 32), -- grid-wide, also after it was revoked: the key alone says which device it is
  preshared_key     bytea,                  -- sealed, 32 bytes; null: none
  created_at        timestamptz NOT NULL DEFAULT now(),
  renewed_at        timestamptz NOT NULL DEFAULT now(), -- when its user last logged in and said so for this device
  login_valid_until timestamptz,            -- from then on no flow begins; null: never
  revoked_at        timestamptz             -- null: it may have a tunnel
);
CREATE UNIQUE INDEX device_name ON device (user_id, lower(name)) WHERE revoked_at IS NULL;
CREATE INDEX device_present ON device (organization_id) WHERE revoked_at IS NULL;

-- Outlives the device: as long as a session of it is in the history, its address is nobody else's.
CREATE TABLE device_address (
  address_index    int PRIMARY KEY CHECK (address_index > 0),
  device_id        uuid NOT NULL UNIQUE,
  given_at         timestamptz NOT NULL DEFAULT now(),
  released_at      timestamptz              -- null: the device has it
);
CREATE INDEX device_address_released ON device_address (released_at) WHERE released_at IS NOT NULL;
CREATE INDEX session_device ON session ((credential->>'id')) WHERE credential->>'kind' = 'device';

-- By trigger, because a device also goes with its user.
CREATE FUNCTION device_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE device_address SET released_at = now() WHERE device_id = OLD.device_id AND released_at IS NULL;
  RETURN NULL;
END $$;
CREATE TRIGGER device_revoked AFTER UPDATE OF revoked_at ON device
  FOR EACH ROW WHEN (NEW.revoked_at IS NOT NULL AND OLD.revoked_at IS NULL) EXECUTE FUNCTION device_gone();
CREATE TRIGGER device_deleted AFTER DELETE ON device FOR EACH ROW EXECUTE FUNCTION device_gone();

-- What gateways last said of a device; nothing is decided by it.
CREATE TABLE device_status (
  device_id        uuid PRIMARY KEY REFERENCES device ON DELETE CASCADE,
  last_handshake_at timestamptz NOT NULL,   -- by the gateway's clock
  endpoint         text NOT NULL,           -- "ip:port" its packets came from
  gateway          text NOT NULL,           -- who said so
  bytes_up         bigint NOT NULL DEFAULT 0, -- of all gateways, inside the tunnel
  bytes_down       bigint NOT NULL DEFAULT 0
);

ALTER TABLE gateway ADD COLUMN wireguard_address text NOT NULL DEFAULT ''; -- "host:port" that devices send to; empty: it has no WireGuard

ALTER TABLE socket ADD COLUMN resource_index int;
UPDATE socket SET resource_index = numbered.n
FROM (SELECT socket_id, row_number() OVER (PARTITION BY organization_id ORDER BY created_at, socket_id) AS n FROM socket) numbered
WHERE numbered.socket_id = socket.socket_id;
UPDATE organization SET resource_addresses = (SELECT count(*) FROM socket WHERE socket.organization_id = organization.organization_id);
ALTER TABLE socket ALTER COLUMN resource_index SET NOT NULL;
CREATE UNIQUE INDEX socket_resource ON socket (organization_id, resource_index);

-- By trigger, because silos of the version before insert sockets too.
CREATE FUNCTION socket_numbered() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE organization SET resource_addresses = resource_addresses + 1 WHERE organization_id = NEW.organization_id
  RETURNING resource_addresses INTO NEW.resource_index;
  RETURN NEW;
END $$;
CREATE TRIGGER socket_numbered BEFORE INSERT ON socket FOR EACH ROW EXECUTE FUNCTION socket_numbered();
