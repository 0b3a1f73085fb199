-- What people decided, and the history of what happened. Live state is in grains, bytes are in neither.
-- Every id is a UUID made by the silo; every time is the database's clock unless it says otherwise.

CREATE TABLE grid (
  singleton        boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  grid_id          uuid NOT NULL,
  name             text NOT NULL,
  ca_certificate   bytea NOT NULL,         -- DER, the grid's internal CA for mTLS
  ca_key           bytea NOT NULL,         -- sealed PKCS#8 (see Secrets/README)
  signing_key      bytea NOT NULL,         -- sealed Ed25519 seed that signs tokens
  gateway_host_key bytea NOT NULL,         -- sealed OpenSSH private key: one identity for all gateways (anycast)
  created_at       timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE organization (
  organization_id  uuid PRIMARY KEY,
  name             text NOT NULL,
  user_ca          bytea NOT NULL,         -- sealed OpenSSH private key: signs users' certificates
  ssh_ca           bytea NOT NULL,         -- sealed OpenSSH private key: signs the certificates targets trust
  user_ca_public   text NOT NULL,          -- "ssh-ed25519 AAAA… comment"
  ssh_ca_public    text NOT NULL,          -- "ecdsa-sha2-nistp256 AAAA… Relay ssh CA for <name>"
  version          bigint NOT NULL DEFAULT 1, -- bumped by every write a decision may depend on
  created_at       timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX organization_name ON organization (lower(name));

CREATE TABLE app_user (
  user_id          uuid PRIMARY KEY,
  organization_id  uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
  email            text NOT NULL,
  display_name     text NOT NULL DEFAULT '',
  role             text NOT NULL CHECK (role IN ('admin', 'member', 'read_only', 'client')),
  password_hash    text,                   -- null: no local password
  created_at       timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX app_user_email ON app_user (organization_id, lower(email));

CREATE TABLE user_group (
  group_id         uuid PRIMARY KEY,
  organization_id  uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
  display_name     text NOT NULL
);
CREATE UNIQUE INDEX user_group_name ON user_group (organization_id, lower(display_name));

CREATE TABLE group_member (
  group_id         uuid NOT NULL REFERENCES user_group ON DELETE CASCADE,
  user_id          uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
  PRIMARY KEY (group_id, user_id)
);

-- A registered SSH public key is one user's, grid-wide: the key alone says who connects.
CREATE TABLE user_ssh_key (
  key_id           uuid PRIMARY KEY,
  user_id          uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
  fingerprint      text NOT NULL UNIQUE,   -- "SHA256:…"
  public_key       text NOT NULL,
  name             text NOT NULL DEFAULT '',
  created_at       timestamptz NOT NULL DEFAULT now(),
  last_used_at     timestamptz
);

-- A login of the API; the bearer token is a signed JWT whose jti is this row, so that logout ends it.
CREATE TABLE login_session (
  login_session_id uuid PRIMARY KEY,
  user_id          uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
  created_at       timestamptz NOT NULL DEFAULT now(),
  expires_at       timestamptz NOT NULL,
  revoked_at       timestamptz,
  client_ip        text NOT NULL DEFAULT ''
);

-- Failed logins per account name and per client address. An account has a row whether or not it exists,
-- so that being locked tells nobody that it does.
CREATE TABLE login_throttle (
  key              bytea PRIMARY KEY,      -- SHA-256 of "account:…" or "address:…"
  attempts         int NOT NULL,           -- since the last success or quiet quarter of an hour
  last_at          timestamptz NOT NULL DEFAULT now(),
  blocked_until    timestamptz,
  refused          boolean NOT NULL DEFAULT false -- what the latest attempt was told
);

-- First answers to creates that carried an Idempotency-Key, for a day.
CREATE TABLE idempotency_key (
  user_id          uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
  key              text NOT NULL,
  answer           bytea NOT NULL,         -- sealed JSON: it may hold a token that is shown once
  created_at       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (user_id, key)
);

CREATE TABLE connector (
  connector_id     uuid PRIMARY KEY,
  organization_id  uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
  name             text NOT NULL,
  description      text NOT NULL DEFAULT '',
  created_at       timestamptz NOT NULL DEFAULT now(),
  last_seen_at     timestamptz,
  metadata         jsonb NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX connector_name ON connector (organization_id, lower(name));

CREATE TABLE connector_token (
  token_id         uuid PRIMARY KEY,       -- the JWT's jti; the token itself is never stored
  connector_id     uuid NOT NULL REFERENCES connector ON DELETE CASCADE,
  name             text NOT NULL DEFAULT '',
  created_by       text NOT NULL,
  created_at       timestamptz NOT NULL DEFAULT now(),
  expires_at       timestamptz,            -- null: never
  last_used_at     timestamptz,
  revoked_at       timestamptz
);

-- Lets a gateway enrol for an mTLS certificate.
CREATE TABLE gateway_token (
  token_id         uuid PRIMARY KEY,
  name             text NOT NULL,
  created_at       timestamptz NOT NULL DEFAULT now(),
  expires_at       timestamptz,
  revoked_at       timestamptz
);

-- Where users reach the gateways; each silo that a gateway talks to keeps its row fresh.
CREATE TABLE gateway (
  name             text PRIMARY KEY,
  ssh_address      text NOT NULL,          -- "host:port" that users dial
  version          text NOT NULL DEFAULT '',
  silo             text NOT NULL DEFAULT '', -- the silo it last spoke to
  last_seen_at     timestamptz NOT NULL DEFAULT now()
);

-- At most one active connection per connector: one row, one conditional upsert, the database's clock.
-- The epoch only grows; silos and agents refuse a lower one than the highest they have seen.
CREATE TABLE connector_lease (
  connector_id     uuid PRIMARY KEY REFERENCES connector ON DELETE CASCADE,
  epoch            bigint NOT NULL,
  silo             text NOT NULL,          -- the holder's advertised grid address, "host:port"
  silo_incarnation uuid NOT NULL,
  agent_instance   uuid NOT NULL,          -- random, made when the agent's process starts
  agent_address    text NOT NULL DEFAULT '',
  attached_at      timestamptz NOT NULL DEFAULT now(),
  expires_at       timestamptz NOT NULL    -- in the past: released or lapsed; the row keeps the epoch
);

CREATE TABLE socket (
  socket_id        uuid PRIMARY KEY,
  organization_id  uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
  name             text NOT NULL,
  display_name     text NOT NULL DEFAULT '',
  description      text NOT NULL DEFAULT '',
  socket_type      text NOT NULL,
  tags             jsonb NOT NULL DEFAULT '{}',
  recording_enabled boolean NOT NULL DEFAULT true,
  upstream         jsonb NOT NULL,         -- upstream_configuration without its secrets
  upstream_secrets bytea,                  -- sealed JSON: password, private_key; null: none
  host_keys        text[] NOT NULL DEFAULT '{}', -- accepted upstream host keys, OpenSSH lines; empty: pin on an administrator's first use
  version          bigint NOT NULL DEFAULT 1,
  created_at       timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX socket_name ON socket (organization_id, lower(name));

CREATE TABLE socket_connector (
  socket_id        uuid NOT NULL REFERENCES socket ON DELETE CASCADE,
  connector_id     uuid NOT NULL REFERENCES connector ON DELETE CASCADE,
  PRIMARY KEY (socket_id, connector_id)
);

CREATE TABLE policy (
  policy_id        uuid PRIMARY KEY,
  organization_id  uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
  name             text NOT NULL,
  description      text NOT NULL DEFAULT '',
  org_wide         boolean NOT NULL DEFAULT false,
  schema_version   text NOT NULL DEFAULT 'v2' CHECK (schema_version IN ('v1', 'v2')),
  policy_data      jsonb NOT NULL,
  tag_rules        jsonb NOT NULL DEFAULT '[]',
  version          bigint NOT NULL DEFAULT 1,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX policy_name ON policy (organization_id, lower(name));

CREATE TABLE policy_socket (
  policy_id        uuid NOT NULL REFERENCES policy ON DELETE CASCADE,
  socket_id        uuid NOT NULL REFERENCES socket ON DELETE CASCADE,
  PRIMARY KEY (policy_id, socket_id)
);

-- History outlives what it refers to: names are copied, ids carry no foreign keys.
CREATE TABLE session (
  session_id       uuid PRIMARY KEY,
  organization_id  uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
  user_id          uuid NOT NULL,
  user_email       text NOT NULL,
  socket_id        uuid,                   -- null: the name that was asked for does not exist
  socket_name      text NOT NULL,
  session_type     text NOT NULL DEFAULT 'ssh',
  ssh_user         text NOT NULL DEFAULT '',
  client_ip        text NOT NULL,
  client_port      int NOT NULL,
  client_version   text NOT NULL DEFAULT '',
  credential       jsonb NOT NULL DEFAULT '{}', -- which certificate or key proved the user
  gateway          text NOT NULL,
  silo             text NOT NULL,
  silo_incarnation uuid NOT NULL,
  connector_id     uuid,
  connector_name   text NOT NULL DEFAULT '',
  connector_silo   text NOT NULL DEFAULT '',
  "authorization"  text NOT NULL CHECK ("authorization" IN ('allowed', 'denied')),
  decision_id      uuid NOT NULL,
  policy_name      text NOT NULL DEFAULT '',  -- the policy that allowed it; empty when denied
  policy_version   bigint NOT NULL,           -- organization.version the decision was made under
  reasons          jsonb NOT NULL DEFAULT '[]',
  start_time       timestamptz NOT NULL DEFAULT now(),
  end_time         timestamptz,            -- null: live
  outcome          text NOT NULL DEFAULT '',
  kill_requested_at timestamptz,
  killed_by        text NOT NULL DEFAULT '',
  bytes_up         bigint NOT NULL DEFAULT 0,
  bytes_down       bigint NOT NULL DEFAULT 0,
  recording_state  text NOT NULL DEFAULT 'disabled' CHECK (recording_state IN ('disabled', 'recording', 'ready', 'failed'))
);
CREATE INDEX session_by_time ON session (organization_id, start_time DESC, session_id DESC);
CREATE INDEX session_live ON session (organization_id) WHERE end_time IS NULL;

CREATE TABLE session_event (
  session_id       uuid NOT NULL REFERENCES session ON DELETE CASCADE,
  event_id         bigint GENERATED ALWAYS AS IDENTITY,
  created_at       timestamptz NOT NULL DEFAULT now(),
  type             text NOT NULL,          -- shell, exec, sftp, tcp_forwarding, agent_forwarding, …
  status           text NOT NULL,          -- allowed, denied, done, failed
  metadata         jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (session_id, event_id)
);

CREATE TABLE recording (
  session_id       uuid NOT NULL REFERENCES session ON DELETE CASCADE,
  recording_no     int NOT NULL,           -- one per recorded channel, from 0
  title            text NOT NULL DEFAULT '',
  sealed_key       bytea NOT NULL,         -- sealed 32-byte data key
  started_at       timestamptz NOT NULL DEFAULT now(),
  ended_at         timestamptz,
  PRIMARY KEY (session_id, recording_no)
);

CREATE TABLE recording_chunk (
  session_id       uuid NOT NULL,
  recording_no     int NOT NULL,
  seq              int NOT NULL,           -- from 0, without gaps
  data             bytea NOT NULL,         -- AES-256-GCM(gzip(asciicast v2 lines))
  PRIMARY KEY (session_id, recording_no, seq),
  FOREIGN KEY (session_id, recording_no) REFERENCES recording ON DELETE CASCADE
);

CREATE TABLE audit_event (
  event_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organization_id  uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
  performed_at     timestamptz NOT NULL DEFAULT now(),
  action_type      text NOT NULL,          -- "policy.create", "login.success", "session.denied", …
  actor_id         text NOT NULL DEFAULT '',
  actor_email      text NOT NULL DEFAULT '',
  requestor_ip     text NOT NULL DEFAULT '',
  resource_type    text NOT NULL DEFAULT '',
  resource_id      text NOT NULL DEFAULT '',
  outcome          text NOT NULL DEFAULT 'success',
  request_id       text NOT NULL DEFAULT '',
  detail           jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_event_by_time ON audit_event (organization_id, event_id DESC);

-- The membership of the built-in grain host.
CREATE TABLE silo_member (
  address          text NOT NULL,          -- advertised grid address, "host:port"
  incarnation      uuid NOT NULL,
  generation       bigint GENERATED ALWAYS AS IDENTITY,
  status           text NOT NULL CHECK (status IN ('joining', 'active', 'shutting_down', 'dead')),
  name             text NOT NULL DEFAULT '',
  region           text NOT NULL DEFAULT '',
  connector_address text NOT NULL DEFAULT '', -- where connectors dial this silo
  version          text NOT NULL DEFAULT '',
  started_at       timestamptz NOT NULL DEFAULT now(),
  alive_at         timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (address, incarnation)
);
CREATE SEQUENCE membership_version;

-- Whether a connector is connected, for people: the lease holds, and the silo that holds it is not known to be gone.
CREATE VIEW connector_status AS
SELECT c.connector_id,
       coalesce(l.expires_at > now(), false) AND NOT EXISTS (
         SELECT 1 FROM silo_member m
         WHERE m.incarnation = l.silo_incarnation AND (m.status = 'dead' OR m.alive_at < now() - interval '1 minute')
       ) AS is_connected,
       l.silo, l.agent_address, l.attached_at
FROM connector c LEFT JOIN connector_lease l USING (connector_id);
