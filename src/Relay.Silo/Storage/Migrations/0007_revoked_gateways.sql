-- A gateway's certificate lives for days, and its token may be revoked before. When the last token of a name is revoked, what the
-- gateways that enrolled with it still hold ends: certificates issued before count for nothing. A trigger writes it, so that no way
-- to revoke a token can forget to. Null: none was revoked.
ALTER TABLE gateway_name ADD COLUMN certificates_after timestamptz;

CREATE FUNCTION gateway_token_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- Certificates know whole seconds: never the same one twice.
  UPDATE gateway_name SET certificates_after = greatest(clock_timestamp(), date_trunc('second', certificates_after) + interval '1 second')
  WHERE token_name = NEW.name AND NOT EXISTS (SELECT 1 FROM gateway_token t WHERE t.name = NEW.name AND t.revoked_at IS NULL);
  RETURN NULL;
END $$;
CREATE TRIGGER gateway_token_revoked AFTER UPDATE OF revoked_at ON gateway_token
  FOR EACH ROW WHEN (NEW.revoked_at IS NOT NULL AND OLD.revoked_at IS NULL) EXECUTE FUNCTION gateway_token_revoked();
