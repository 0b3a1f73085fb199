-- What each silo gives out inside the tunnel: those of one grid must agree, or a device's file would be right at some gateways only.
CREATE TABLE silo_network (
  address          text PRIMARY KEY,       -- the silo's advertised grid address, "host:port"
  network          text NOT NULL,          -- ranges and suffix as one text, compared as it is
  said_at          timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE gateway ADD COLUMN wireguard_mtu integer NOT NULL DEFAULT 0; -- of its tunnels, in bytes; 0: it does not say
