using System.Text.Json.Serialization;

namespace Relay.Protocol.Grid;

// What gateways and silos say to each other: JSON over HTTPS/2 with mTLS (GridRoutes).
// Names are snake_case on the wire; a reader ignores fields it does not know; a missing optional field is null.

/// <summary>A gateway introduces itself: <c>POST /grid/v1/gateway/hello</c>.</summary>
/// <param name="Gateway">The gateway's name; must equal the name in its certificate.</param>
/// <param name="Version">Software version, for the record only.</param>
/// <param name="SshAddress">"host:port" that users dial.</param>
/// <param name="WireGuardAddress">"host:port" that devices send to; null: WireGuard is off.</param>
/// <param name="WireGuardMtu">Longest packet inside its tunnels in bytes, 1280 to 9000; 0: it does not say.</param>
public sealed record GatewayHello(string Gateway, string Version, string SshAddress, string? WireGuardAddress = null, int WireGuardMtu = 0);

/// <summary>Answer to <see cref="GatewayHello"/>.</summary>
/// <param name="SshHostKey">OpenSSH private key (PEM): the one host key all gateways of the grid present.</param>
/// <param name="Silos">Grid addresses "host:port" of the active silos.</param>
/// <param name="Announced">The same with what a choice needs; null from a silo of an older version.</param>
/// <param name="WireGuard">What all gateways of the grid share; null from a silo of an older version.</param>
public sealed record GatewayWelcome(string SshHostKey, IReadOnlyList<string> Silos, SiloAnnouncements? Announced = null, WireGuardNetwork? WireGuard = null);

/// <summary>Asks who a proven key is: <c>POST /grid/v1/ssh/identify</c>. Sent only after the signature was verified, or with <paramref name="Proven"/> false to learn whether the key is acceptable at all.</summary>
/// <param name="PublicKey">Key or certificate blob as in RFC 4253 §6.6 / PROTOCOL.certkeys, base64.</param>
/// <param name="ClientIp">The user's address as the gateway's socket saw it.</param>
/// <param name="Proven">True when the user has signed with the key; an identity is given out only then.</param>
public sealed record IdentifyRequest(string PublicKey, string ClientIp, bool Proven);

/// <summary>Answer to <see cref="IdentifyRequest"/>. <paramref name="Known"/> false: no such key, or its certificate does not hold (see <paramref name="Message"/>).</summary>
public sealed record IdentifyResponse(bool Known, string? Message, GridIdentity? Identity);

/// <summary>Who the user is, by which credential. A gateway hands it back unchanged; the silo re-checks user and credential against its snapshot at every use.</summary>
/// <param name="CredentialKind">"certificate" or "key".</param>
/// <param name="CredentialId">Certificate: key id and serial; key: SHA256 fingerprint.</param>
/// <param name="ValidBefore">When the certificate ends; null for a registered key.</param>
public sealed record GridIdentity(Guid OrganizationId, Guid UserId, string Email, string CredentialKind, string CredentialId, DateTimeOffset? ValidBefore);

/// <summary>Opens a session: <c>POST /grid/v1/sessions</c>.</summary>
/// <param name="PublicKey">The proven key or certificate blob, base64; the silo identifies it anew.</param>
/// <param name="Socket">Socket name as the user wrote it.</param>
/// <param name="UpstreamUser">User name asked for on the target; null when the login name had none.</param>
/// <param name="ClientVersion">The client's SSH identification string, for the record.</param>
/// <param name="Device">Whose tunnel the connection came through, which proves the user: <paramref name="PublicKey"/> is empty then. Null: the key proves who it is.</param>
public sealed record OpenSessionRequest(string PublicKey, string Socket, string? UpstreamUser, string ClientIp, int ClientPort, string ClientVersion, Guid? Device = null);

/// <summary>Answer to <see cref="OpenSessionRequest"/>: a denial is an answer, not an error.</summary>
/// <param name="Message">Text for the user, one or more lines: on denial which clause and fact were missing, with the decision id.</param>
/// <param name="Upstream">How to log in to the target; null when denied.</param>
/// <param name="EndsAt">When policy ends the session; null: no limit. A certificate's end stops new logins, not this session; withdrawing the user, key or CA does.</param>
public sealed record OpenSessionResponse(bool Allowed, Guid SessionId, Guid DecisionId, string? Message, SshUpstream? Upstream, RecordingSettings? Recording, DateTimeOffset? EndsAt);

/// <summary>How the gateway logs in to the target of an SSH socket; or that it does not, because the socket carries plain TCP connections.</summary>
/// <param name="Kind">"standard" (an sshd behind the connector), "connector_built_in_ssh_service", or <see cref="Tcp"/>: nothing to log in to, each stream of the session is a connection of its own.</param>
/// <param name="Target">"host:port" for messages and the record; the silo dials from its own inventory.</param>
/// <param name="Username">User on the target; empty for a built-in service that runs as the connector's own user.</param>
/// <param name="PrivateKey">OpenSSH private key (PEM): ephemeral with <paramref name="Certificate"/>, or stored; null for a password.</param>
/// <param name="Certificate">OpenSSH certificate line for <paramref name="PrivateKey"/>; null when the target knows the key itself.</param>
/// <param name="Password">Stored password; null unless that is how the socket authenticates.</param>
/// <param name="HostKeys">Accepted host keys (OpenSSH lines, or "@cert-authority …" lines). Empty: ask <c>…/host_key</c>.</param>
public sealed record SshUpstream(string Kind, string Target, string Username, string? PrivateKey, string? Certificate, string? Password, IReadOnlyList<string> HostKeys)
{
    /// <summary>The <see cref="Kind"/> of a raw TCP socket; a gateway that does not know it finds no SSH there and says so.</summary>
    public const string Tcp = "tcp";
}

/// <summary>What must be recorded. A recorder that fails ends the session when <paramref name="Enabled"/>.</summary>
/// <param name="Input">Also record what the user types (never while the terminal's echo is off is detectable: see Recording/README).</param>
public sealed record RecordingSettings(bool Enabled, bool Input);

/// <summary>Asks for one channel or request: <c>POST /grid/v1/sessions/{id}/authorize</c>. Every channel type asks here, always.</summary>
/// <param name="Action">"shell", "exec", "sftp", "tcp_forwarding", "agent_forwarding" or "subsystem" (any other subsystem).</param>
/// <param name="Command">For exec: the command line; for subsystem: its name.</param>
/// <param name="DestinationAddress">For tcp_forwarding: host name or address as the user wrote it.</param>
/// <param name="DestinationPort">1 to 65535; 0 for whichever port a raw TCP socket has.</param>
public sealed record AuthorizeRequest(string Action, string? Command = null, string? DestinationAddress = null, int? DestinationPort = null);

/// <summary>Answer to <see cref="AuthorizeRequest"/>.</summary>
public sealed record AuthorizeResponse(bool Allowed, Guid DecisionId, string? Message);

/// <summary>A host key was seen that is not pinned: <c>POST /grid/v1/sessions/{id}/host_key</c>. Pins it when the session's user is an administrator and nothing was pinned.</summary>
/// <param name="HostKey">OpenSSH line.</param>
public sealed record HostKeyRequest(string HostKey);

/// <summary>Answer to <see cref="HostKeyRequest"/>.</summary>
public sealed record HostKeyResponse(bool Accepted, string? Message);

/// <summary>
/// Something happened in a session: <c>POST /grid/v1/sessions/{id}/events</c>; also taken for two minutes after its end.
/// A channel that closed is reported with status "done" or "failed" and metadata <c>decision_id</c> (from <see cref="AuthorizeResponse"/>):
/// until then, losing that right ends the session.
/// </summary>
public sealed record SessionEventRequest(string Type, string Status, IReadOnlyDictionary<string, string> Metadata);

/// <summary>The session is over: <c>POST /grid/v1/sessions/{id}/end</c>. Idempotent.</summary>
/// <param name="Outcome">How it ended, one phrase: "closed by user", "killed by an administrator", "connection lost"…</param>
public sealed record EndSessionRequest(string Outcome, long BytesUp, long BytesDown);

/// <summary>One line (NDJSON) of the stream <c>POST /grid/v1/gateway/control</c>, silo to gateway; the request body is one <see cref="ControlSubscription"/>.</summary>
/// <param name="Type">"end_session", "ping" (every 5 s) or "silos" (at once, when it changes, and every 20 s); others are ignored.</param>
/// <param name="Silos">With "silos": which silos there are now.</param>
public sealed record ControlMessage(string Type, Guid? SessionId, string? Reason, SiloAnnouncements? Silos = null);

/// <summary>The sessions a gateway has when it subscribes; the silo answers with an end_session for each that must not live.</summary>
public sealed record ControlSubscription(IReadOnlyList<Guid> Sessions);

/// <summary>Enrolment of a gateway: <c>POST /grid/v1/enroll</c>, server-authenticated TLS (CA pinned by the token), no client certificate yet.</summary>
/// <param name="Token">Gateway token (JWT).</param>
/// <param name="CertificateSigningRequest">PKCS#10, PEM, ECDSA P-256.</param>
public sealed record EnrollRequest(string Token, string Name, string CertificateSigningRequest);

/// <summary>Answer to <see cref="EnrollRequest"/>.</summary>
/// <param name="Certificate">PEM, valid for days; renew by enrolling again.</param>
public sealed record EnrollResponse(string Certificate, string CaCertificate);

/// <summary>Every refusal of the grid and of the REST API has this shape.</summary>
/// <param name="Code">Stable machine-readable code, e.g. "token_revoked".</param>
public sealed record GridError(string ErrorMessage, int StatusCode, string Code, string? RequestId = null);

/// <summary>Serializer for all grid messages: snake_case, unknown fields ignored, nulls omitted.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(GatewayHello))]
[JsonSerializable(typeof(GatewayWelcome))]
[JsonSerializable(typeof(IdentifyRequest))]
[JsonSerializable(typeof(IdentifyResponse))]
[JsonSerializable(typeof(OpenSessionRequest))]
[JsonSerializable(typeof(OpenSessionResponse))]
[JsonSerializable(typeof(AuthorizeRequest))]
[JsonSerializable(typeof(AuthorizeResponse))]
[JsonSerializable(typeof(HostKeyRequest))]
[JsonSerializable(typeof(HostKeyResponse))]
[JsonSerializable(typeof(SessionEventRequest))]
[JsonSerializable(typeof(EndSessionRequest))]
[JsonSerializable(typeof(ControlMessage))]
[JsonSerializable(typeof(ControlSubscription))]
[JsonSerializable(typeof(SiloAnnouncements))]
[JsonSerializable(typeof(PathsLost))]
[JsonSerializable(typeof(EnrollRequest))]
[JsonSerializable(typeof(EnrollResponse))]
[JsonSerializable(typeof(PeerHeartbeat))]
[JsonSerializable(typeof(PeerHeartbeatAnswer))]
[JsonSerializable(typeof(PeerRenewal))]
[JsonSerializable(typeof(PeerRenewalAnswer))]
[JsonSerializable(typeof(DevicesMessage))]
[JsonSerializable(typeof(DeviceReports))]
[JsonSerializable(typeof(OpenFlowRequest))]
[JsonSerializable(typeof(OpenFlowResponse))]
[JsonSerializable(typeof(ResolveRequest))]
[JsonSerializable(typeof(ResolveResponse))]
[JsonSerializable(typeof(GridError))]
public sealed partial class GridJson : JsonSerializerContext;
