-- Which transaction last changed each part of what silos decide by, so that a silo reads again what was changed and nothing else. By
-- trigger, because silos of the version before write too. A part without a row was not changed since this file was applied.
CREATE TABLE organization_part (
  organization_id  uuid NOT NULL REFERENCES organization ON DELETE CASCADE,
  part             text NOT NULL,          -- one for each query of Snapshots/SnapshotParts.cs
  changed_by       xid8 NOT NULL,          -- two transactions never have the same one, in whatever order they commit
  PRIMARY KEY (organization_id, part)
);

-- The organization's row is locked first, as every administrative write does: there is one order and no deadlock.
CREATE FUNCTION organization_part_changed(changed_organization uuid, changed_part text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- Once in each transaction: a hundred thousand rows that are written together are one change.
  IF NOT EXISTS (SELECT FROM organization_part WHERE organization_id = changed_organization AND part = changed_part AND changed_by = pg_current_xact_id()) THEN
    INSERT INTO organization_part (organization_id, part, changed_by)
    SELECT organization_id, changed_part, pg_current_xact_id() FROM organization WHERE organization_id = changed_organization FOR NO KEY UPDATE
    ON CONFLICT (organization_id, part) DO UPDATE SET changed_by = excluded.changed_by;
  END IF;
END $$;

-- Arguments: the parts that a row belongs to. Rows that belong to another row are the organization's that this one is of; when that one
-- is gone, its own trigger has told.
CREATE FUNCTION organization_part_touched() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  touched record;
  owner uuid;
BEGIN
  FOR side IN 1..2 LOOP
    IF side = 1 THEN
      CONTINUE WHEN TG_OP = 'INSERT';
      touched := OLD;
    ELSE
      CONTINUE WHEN TG_OP = 'DELETE';
      touched := NEW;
    END IF;
    CASE TG_TABLE_NAME
      WHEN 'user_ssh_key' THEN SELECT organization_id INTO owner FROM app_user WHERE user_id = touched.user_id;
      WHEN 'group_member' THEN SELECT organization_id INTO owner FROM user_group WHERE group_id = touched.group_id;
      WHEN 'socket_connector', 'connector_token' THEN SELECT organization_id INTO owner FROM connector WHERE connector_id = touched.connector_id;
      WHEN 'policy_socket' THEN SELECT organization_id INTO owner FROM policy WHERE policy_id = touched.policy_id;
      WHEN 'device_address' THEN SELECT organization_id INTO owner FROM device WHERE device_id = touched.device_id;
      ELSE owner := touched.organization_id;
    END CASE;
    FOR i IN 0..TG_NARGS - 1 LOOP
      PERFORM organization_part_changed(owner, TG_ARGV[i]);
    END LOOP;
  END LOOP;
  RETURN NULL;
END $$;

-- Every column that a query of Snapshots/SnapshotParts.cs reads or chooses by is named here; what is written all the time (when something was
-- last seen or used) is not.
CREATE TRIGGER part_users AFTER INSERT OR UPDATE OF user_id, organization_id, email, role ON app_user
  FOR EACH ROW EXECUTE FUNCTION organization_part_touched('users');
CREATE TRIGGER part_users_gone AFTER DELETE ON app_user
  FOR EACH ROW EXECUTE FUNCTION organization_part_touched('users', 'keys');
CREATE TRIGGER part_groups AFTER INSERT OR DELETE OR UPDATE OF group_id, organization_id, display_name ON user_group
  FOR EACH ROW EXECUTE FUNCTION organization_part_touched('members');
CREATE TRIGGER part_members AFTER INSERT OR DELETE OR UPDATE OF group_id, user_id ON group_member
  FOR EACH ROW EXECUTE FUNCTION organization_part_touched('members');
CREATE TRIGGER part_keys AFTER INSERT OR DELETE OR UPDATE OF user_id, fingerprint ON user_ssh_key
  FOR EACH ROW EXECUTE FUNCTION organization_part_touched('keys');
CREATE TRIGGER part_sockets AFTER INSERT OR DELETE OR UPDATE OF socket_id, organization_id, name, socket_type, tags, recording_enabled, upstream, upstream_secrets, host_keys, resource_index ON socket
  FOR EACH ROW EXECUTE FUNCTION organization_part_touched('sockets');
CREATE TRIGGER part_connectors AFTER INSERT OR DELETE OR UPDATE OF socket_id, connector_id ON socket_connector
  FOR EACH ROW EXECUTE FUNCTION organization_part_touched('connectors');
CREATE TRIGGER part_connector_names AFTER UPDATE OF connector_id, organization_id, name ON connector
  FOR EACH ROW EXECUTE FUNCTION organization_part_touched('connectors', 'tokens');
CREATE TRIGGER part_connector_keys AFTER UPDATE OF metadata ON connector
  FOR EACH ROW WHEN (NEW.metadata->>'ssh_host_key' IS DISTINCT FROM OLD.metadata->>'ssh_host_key') EXECUTE FUNCTION organization_part_touched('connectors');
CREATE TRIGGER part_connectors_gone AFTER DELETE ON connector
  FOR EACH ROW EXECUTE FUNCTION organization_part_touched('connectors', 'tokens');
CREATE TRIGGER part_tokens AFTER INSERT OR DELETE OR UPDATE OF token_id, connector_id, revoked_at, expires_at ON connector_token
  FOR EACH ROW EXECUTE FUNCTION organization_part_touched('tokens');
CREATE TRIGGER part_policies AFTER INSERT OR UPDATE OF policy_id, organization_id, name, org_wide, policy_data, tag_rules, expires_at ON policy
  FOR EACH ROW EXECUTE FUNCTION organization_part_touched('policies');
CREATE TRIGGER part_policies_gone AFTER DELETE ON policy
  FOR EACH ROW EXECUTE FUNCTION organization_part_touched('policies', 'attachments');
CREATE TRIGGER part_attachments AFTER INSERT OR DELETE OR UPDATE OF policy_id, socket_id ON policy_socket
  FOR EACH ROW EXECUTE FUNCTION organization_part_touched('attachments');
CREATE TRIGGER part_devices AFTER INSERT OR DELETE OR UPDATE OF device_id, organization_id, user_id, name, public_key, preshared_key, login_valid_until, revoked_at ON device
  FOR EACH ROW EXECUTE FUNCTION organization_part_touched('devices');
CREATE TRIGGER part_device_addresses AFTER INSERT OR DELETE OR UPDATE OF address_index, device_id, released_at ON device_address
  FOR EACH ROW EXECUTE FUNCTION organization_part_touched('devices');
