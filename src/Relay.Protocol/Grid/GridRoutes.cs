namespace Relay.Protocol.Grid;

/// <summary>
/// Paths of the grid link (HTTPS/2, mTLS). A peer's role and name come from its certificate's URI SAN
/// <c>relay://grid/&lt;role&gt;/&lt;name&gt;</c> (role: silo, gateway) and from nothing else.
/// </summary>
public static class GridRoutes
{
    /// <summary>ALPN name, on the grid's port, of the raw duplex stream that carries grain calls between silos.</summary>
    public const string GrainAlpn = "relay-grain/1";

    /// <summary>Enrolment; the only route open without a client certificate.</summary>
    public const string Enroll = "/grid/v1/enroll";

    /// <summary>Gateway introduction, see <see cref="GatewayHello"/>.</summary>
    public const string Hello = "/grid/v1/gateway/hello";

    /// <summary>Server-streamed NDJSON of <see cref="ControlMessage"/>.</summary>
    public const string Control = "/grid/v1/gateway/control";

    /// <summary>Answered at once with 204: the silo lives, and this is how far away it is. Method GET.</summary>
    public const string Ping = "/grid/v1/gateway/ping";

    /// <summary>See <see cref="IdentifyRequest"/>.</summary>
    public const string Identify = "/grid/v1/ssh/identify";

    /// <summary>See <see cref="OpenSessionRequest"/>.</summary>
    public const string Sessions = "/grid/v1/sessions";

    /// <summary>See <see cref="AuthorizeRequest"/>.</summary>
    public static string Authorize(Guid session) => $"{Sessions}/{session}/authorize";

    /// <summary>Duplex byte stream to the session's target; see Tunnel/PROTOCOL.md.</summary>
    public static string Stream(Guid session) => $"{Sessions}/{session}/stream";

    /// <summary>See <see cref="HostKeyRequest"/>.</summary>
    public static string HostKey(Guid session) => $"{Sessions}/{session}/host_key";

    /// <summary>See <see cref="SessionEventRequest"/>.</summary>
    public static string Events(Guid session) => $"{Sessions}/{session}/events";

    /// <summary>See <see cref="EndSessionRequest"/>.</summary>
    public static string End(Guid session) => $"{Sessions}/{session}/end";

    /// <summary>One gzip'd run of asciicast v2 lines; idempotent by (session, recording, seq). The first chunk of a recording carries the header line. Query <c>last=true</c> ends the recording; <c>title=</c> (≤ 200 characters) with chunk 0 names it. At most 256 KiB compressed and 4 MiB inflated.</summary>
    public static string RecordingChunk(Guid session, int recording, int seq) => $"{Sessions}/{session}/recordings/{recording}/chunks/{seq}";

    /// <summary>Server-streamed NDJSON of <see cref="DevicesMessage"/>: all devices of the grid, and from then on what changes. Method GET.</summary>
    public const string Devices = "/grid/v1/gateway/devices";

    /// <summary>See <see cref="DeviceReports"/>.</summary>
    public const string DeviceReport = "/grid/v1/gateway/device_reports";

    /// <summary>See <see cref="OpenFlowRequest"/>.</summary>
    public const string Flows = "/grid/v1/flows";

    /// <summary>See <see cref="ResolveRequest"/>.</summary>
    public const string Resolve = "/grid/v1/resolve";

    /// <summary>Silo to silo, see <see cref="Grid.PeerHeartbeat"/>.</summary>
    public const string PeerHeartbeat = "/grid/v1/peers/heartbeat";

    /// <summary>Silo to silo, see <see cref="Grid.PeerRenewal"/>.</summary>
    public const string PeerRenewal = "/grid/v1/peers/renewal";

    /// <summary>Silo to silo: versions of organizations and orders to end sessions, for one that does not reach the store.</summary>
    public const string PeerChanges = "/grid/v1/peers/changes";

    /// <summary>Silo to silo: what an organization's decisions depend on, as <see cref="PeerChanges"/>.</summary>
    public const string PeerSnapshot = "/grid/v1/peers/snapshot";

    /// <summary>Silo to silo: writes that a version is in force there, as <see cref="PeerChanges"/>.</summary>
    public const string PeerAcknowledgement = "/grid/v1/peers/acknowledgement";

    /// <summary>Silo to silo: the versions of organizations that the asked one decides by, from memory; for one that was started without the store.</summary>
    public const string PeerVersions = "/grid/v1/peers/versions";

    /// <summary>Silo to silo: what an organization's decisions depend on there, as <see cref="PeerVersions"/>.</summary>
    public const string PeerRows = "/grid/v1/peers/rows";

    /// <summary>Silo to silo: which connectors are attached to the asked one, for one that cannot look it up.</summary>
    public const string PeerTunnels = "/grid/v1/peers/tunnels";

    /// <summary>Silo to silo, see <see cref="Relay.Protocol.Grid.PathsLost"/>.</summary>
    public const string PathsLost = "/grid/v1/peer/paths_lost";

    /// <summary>Silo to silo: a duplex stream to a connector attached there.</summary>
    public static string ConnectorStream(Guid connector) => $"/grid/v1/connectors/{connector}/stream";
}
