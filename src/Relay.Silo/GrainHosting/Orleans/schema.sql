-- What the ADO.NET providers of Orleans 10 ask a database for, in a schema of its own ("orleans", by the connection's search path).
-- The names of tables' columns, of query keys, of parameters and of results are the providers' contract; the statements are ours.
-- Applied at every start under an advisory lock: must stay idempotent.
CREATE SCHEMA IF NOT EXISTS orleans;

CREATE TABLE IF NOT EXISTS orleans.OrleansQuery (
  QueryKey  text PRIMARY KEY,
  QueryText text NOT NULL
);

-- One row per cluster; every change of a member raises its version, conditional on the one its author saw.
CREATE TABLE IF NOT EXISTS orleans.OrleansMembershipVersionTable (
  DeploymentId text PRIMARY KEY,
  Timestamp    timestamptz NOT NULL DEFAULT now(),
  Version      integer NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS orleans.OrleansMembershipTable (
  DeploymentId text NOT NULL REFERENCES orleans.OrleansMembershipVersionTable,
  Address      text NOT NULL,
  Port         integer NOT NULL,
  Generation   integer NOT NULL,
  SiloName     text NOT NULL,
  HostName     text NOT NULL,
  Status       integer NOT NULL,
  ProxyPort    integer,
  SuspectTimes text,
  StartTime    timestamptz NOT NULL,
  IAmAliveTime timestamptz NOT NULL,
  PRIMARY KEY (DeploymentId, Address, Port, Generation)
);

-- The providers' own script has no key here, and two first writes at once leave two rows; NULLS NOT DISTINCT closes that.
CREATE TABLE IF NOT EXISTS orleans.OrleansStorage (
  GrainIdHash            integer NOT NULL,
  GrainIdN0              bigint NOT NULL,
  GrainIdN1              bigint NOT NULL,
  GrainTypeHash          integer NOT NULL,
  GrainTypeString        text NOT NULL,
  GrainIdExtensionString text,
  ServiceId              text NOT NULL,
  PayloadBinary          bytea,
  ModifiedOn             timestamp NOT NULL,
  Version                integer NOT NULL,
  UNIQUE NULLS NOT DISTINCT (ServiceId, GrainTypeString, GrainIdN0, GrainIdN1, GrainIdExtensionString)
);

INSERT INTO orleans.OrleansQuery (QueryKey, QueryText) VALUES
('InsertMembershipVersionKey', $$
  WITH added AS (
    INSERT INTO OrleansMembershipVersionTable (DeploymentId) VALUES (@DeploymentId) ON CONFLICT DO NOTHING RETURNING 1)
  SELECT count(*)::int FROM added
$$),
('InsertMembershipKey', $$
  WITH raised AS (
    UPDATE OrleansMembershipVersionTable SET Version = Version + 1, Timestamp = now()
    WHERE DeploymentId = @DeploymentId AND Version = @Version AND NOT EXISTS (
      SELECT 1 FROM OrleansMembershipTable
      WHERE DeploymentId = @DeploymentId AND Address = @Address AND Port = @Port AND Generation = @Generation)
    RETURNING 1),
  added AS (
    INSERT INTO OrleansMembershipTable
      (DeploymentId, Address, Port, Generation, SiloName, HostName, Status, ProxyPort, StartTime, IAmAliveTime)
    SELECT @DeploymentId, @Address, @Port, @Generation, @SiloName, @HostName, @Status, @ProxyPort, @StartTime, @IAmAliveTime FROM raised
    RETURNING 1)
  SELECT count(*)::int FROM added
$$),
('UpdateMembershipKey', $$
  WITH raised AS (
    UPDATE OrleansMembershipVersionTable SET Version = Version + 1, Timestamp = now()
    WHERE DeploymentId = @DeploymentId AND Version = @Version AND EXISTS (
      SELECT 1 FROM OrleansMembershipTable
      WHERE DeploymentId = @DeploymentId AND Address = @Address AND Port = @Port AND Generation = @Generation)
    RETURNING 1),
  changed AS (
    UPDATE OrleansMembershipTable SET Status = @Status, SuspectTimes = @SuspectTimes, IAmAliveTime = @IAmAliveTime
    FROM raised
    WHERE DeploymentId = @DeploymentId AND Address = @Address AND Port = @Port AND Generation = @Generation
    RETURNING 1)
  SELECT count(*)::int FROM changed
$$),
('UpdateIAmAlivetimeKey', $$
  UPDATE OrleansMembershipTable SET IAmAliveTime = @IAmAliveTime
  WHERE DeploymentId = @DeploymentId AND Address = @Address AND Port = @Port AND Generation = @Generation
$$),
-- The version comes back also when there is no member.
('MembershipReadRowKey', $$
  SELECT v.DeploymentId, m.Address, m.Port, m.Generation, m.SiloName, m.HostName, m.Status, m.ProxyPort, m.SuspectTimes,
         m.StartTime, m.IAmAliveTime, v.Version
  FROM OrleansMembershipVersionTable v
  LEFT JOIN OrleansMembershipTable m
    ON m.DeploymentId = v.DeploymentId AND m.Address = @Address AND m.Port = @Port AND m.Generation = @Generation
  WHERE v.DeploymentId = @DeploymentId
$$),
('MembershipReadAllKey', $$
  SELECT v.DeploymentId, m.Address, m.Port, m.Generation, m.SiloName, m.HostName, m.Status, m.ProxyPort, m.SuspectTimes,
         m.StartTime, m.IAmAliveTime, v.Version
  FROM OrleansMembershipVersionTable v LEFT JOIN OrleansMembershipTable m ON m.DeploymentId = v.DeploymentId
  WHERE v.DeploymentId = @DeploymentId
$$),
('DeleteMembershipTableEntriesKey', $$
  DELETE FROM OrleansMembershipTable WHERE DeploymentId = @DeploymentId;
  DELETE FROM OrleansMembershipVersionTable WHERE DeploymentId = @DeploymentId
$$),
-- 3: active.
('CleanupDefunctSiloEntriesKey', $$
  DELETE FROM OrleansMembershipTable WHERE DeploymentId = @DeploymentId AND IAmAliveTime < @IAmAliveTime AND Status <> 3
$$),
('GatewaysQueryKey', $$
  SELECT Address, ProxyPort, Generation FROM OrleansMembershipTable
  WHERE DeploymentId = @DeploymentId AND Status = @Status AND ProxyPort > 0
$$),
('ReadFromStorageKey', $$
  SELECT PayloadBinary, now() AT TIME ZONE 'utc', Version FROM OrleansStorage
  WHERE ServiceId = @ServiceId AND GrainTypeString = @GrainTypeString AND GrainIdN0 = @GrainIdN0 AND GrainIdN1 = @GrainIdN1
    AND GrainIdExtensionString IS NOT DISTINCT FROM @GrainIdExtensionString::text
    AND GrainIdHash = @GrainIdHash AND GrainTypeHash = @GrainTypeHash
$$),
-- The result is the version after the write; the one that came in (or null) says that somebody else was first.
('WriteToStorageKey', $$
  WITH changed AS (
    UPDATE OrleansStorage SET PayloadBinary = @PayloadBinary, ModifiedOn = now() AT TIME ZONE 'utc', Version = Version + 1
    WHERE ServiceId = @ServiceId AND GrainTypeString = @GrainTypeString AND GrainIdN0 = @GrainIdN0 AND GrainIdN1 = @GrainIdN1
      AND GrainIdExtensionString IS NOT DISTINCT FROM @GrainIdExtensionString::text
      AND GrainIdHash = @GrainIdHash AND GrainTypeHash = @GrainTypeHash AND Version = @GrainStateVersion::int
    RETURNING Version),
  added AS (
    INSERT INTO OrleansStorage
      (GrainIdHash, GrainIdN0, GrainIdN1, GrainTypeHash, GrainTypeString, GrainIdExtensionString, ServiceId, PayloadBinary, ModifiedOn, Version)
    SELECT @GrainIdHash, @GrainIdN0, @GrainIdN1, @GrainTypeHash, @GrainTypeString, @GrainIdExtensionString::text, @ServiceId, @PayloadBinary,
           now() AT TIME ZONE 'utc', 1
    WHERE @GrainStateVersion::int IS NULL
    ON CONFLICT DO NOTHING
    RETURNING Version)
  SELECT coalesce((SELECT Version FROM changed), (SELECT Version FROM added), @GrainStateVersion::int) AS NewGrainStateVersion
$$),
('ClearStorageKey', $$
  UPDATE OrleansStorage SET PayloadBinary = NULL, ModifiedOn = now() AT TIME ZONE 'utc', Version = Version + 1
  WHERE ServiceId = @ServiceId AND GrainTypeString = @GrainTypeString AND GrainIdN0 = @GrainIdN0 AND GrainIdN1 = @GrainIdN1
    AND GrainIdExtensionString IS NOT DISTINCT FROM @GrainIdExtensionString::text
    AND GrainIdHash = @GrainIdHash AND GrainTypeHash = @GrainTypeHash AND Version = @GrainStateVersion::int
  RETURNING Version AS NewGrainStateVersion
$$),
('DeleteStorageKey', $$
  DELETE FROM OrleansStorage
  WHERE ServiceId = @ServiceId AND GrainTypeString = @GrainTypeString AND GrainIdN0 = @GrainIdN0 AND GrainIdN1 = @GrainIdN1
    AND GrainIdExtensionString IS NOT DISTINCT FROM @GrainIdExtensionString::text
    AND GrainIdHash = @GrainIdHash AND GrainTypeHash = @GrainTypeHash AND Version = @GrainStateVersion::int
  RETURNING Version + 1 AS NewGrainStateVersion
$$)
ON CONFLICT (QueryKey) DO UPDATE SET QueryText = excluded.QueryText WHERE OrleansQuery.QueryText <> excluded.QueryText;
