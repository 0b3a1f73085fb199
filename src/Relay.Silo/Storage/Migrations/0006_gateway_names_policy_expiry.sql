-- A gateway's name belongs to the name of the token that enrolled it first, as long as a token of that name lives:
-- whoever has another token cannot take the place of a gateway. Two tokens of one name are an administrator's rotation.
CREATE TABLE gateway_name (
  name             text PRIMARY KEY,       -- of the gateway
  token_name       text NOT NULL,          -- gateway_token.name
  enrolled_at      timestamptz NOT NULL DEFAULT now()
);

-- A policy that is meant for a while: from then on it grants nothing, and what it granted ends. Null: never.
ALTER TABLE policy ADD COLUMN expires_at timestamptz;
