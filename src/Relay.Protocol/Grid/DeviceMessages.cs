namespace Relay.Protocol.Grid;

// What gateways and silos say to each other about WireGuard devices and their flows.

/// <summary>What every gateway of the grid offers devices with: one key and the same addresses, so that a device's configuration works at each.</summary>
/// <param name="PrivateKey">The grid's static private key: 32 bytes, base64.</param>
/// <param name="Devices">Ranges of devices' addresses, CIDR: at most one of each family.</param>
/// <param name="Resources">Ranges of sockets' addresses, likewise.</param>
/// <param name="Suffix">Of the names the resolver inside the tunnel answers for, without a leading dot.</param>
public sealed record WireGuardNetwork(string PrivateKey, IReadOnlyList<string> Devices, IReadOnlyList<string> Resources, string Suffix);

/// <summary>A device that may have a tunnel.</summary>
/// <param name="PublicKey">Its static public key: 32 bytes, base64.</param>
/// <param name="Addresses">Its addresses inside the tunnel, at most one of each family.</param>
/// <param name="PresharedKey">32 bytes, base64; null: none.</param>
/// <param name="LoginValidUntil">Until when its user counts as logged in; the tunnel outlasts it, new flows do not begin after it. Null: no end.</param>
public sealed record GridDevice(Guid DeviceId, Guid UserId, string PublicKey, IReadOnlyList<string> Addresses, string? PresharedKey = null, DateTimeOffset? LoginValidUntil = null);

/// <summary>One line (NDJSON) of <see cref="GridRoutes.Devices"/>, at most 64 KiB.</summary>
/// <param name="Type">
/// "device_page" (devices of a complete list, of which more follows), "devices_complete" (the last of it: who was in no page is gone),
/// "devices_changed", or "ping" (every 5 s); others are ignored.
/// </param>
/// <param name="Present">New or changed ones; null: none.</param>
/// <param name="Removed">Those that are no longer; null: none.</param>
public sealed record DevicesMessage(string Type, IReadOnlyList<GridDevice>? Present = null, IReadOnlyList<Guid>? Removed = null);

/// <summary>What a gateway knows of devices that were heard since it last said so: <c>POST /grid/v1/gateway/device_reports</c>, at most 1,000 at once.</summary>
public sealed record DeviceReports(IReadOnlyList<DeviceReport> Devices);

/// <summary>What a gateway knows of one device.</summary>
/// <param name="Endpoint">"ip:port" its last authentic packet came from.</param>
/// <param name="LastHandshake">When a handshake last completed.</param>
/// <param name="BytesUp">From the device, as <c>wg show</c> counts, since the last report of this gateway that was taken.</param>
/// <param name="BytesDown">To the device, likewise.</param>
public sealed record DeviceReport(Guid DeviceId, string Endpoint, DateTimeOffset LastHandshake, long BytesUp, long BytesDown);

/// <summary>The first packet of a flow: <c>POST /grid/v1/flows</c>. Asked once for each flow, and counts for it alone.</summary>
/// <param name="Address">The address that the device dialled, within the range of resources.</param>
/// <param name="Port">1 to 65535.</param>
/// <param name="Protocol">"tcp" or "udp".</param>
/// <param name="ClientIp">Where the device is: the outer address its last authentic packet came from.</param>
/// <param name="ClientPort">Likewise.</param>
public sealed record OpenFlowRequest(Guid Device, string Address, int Port, string Protocol, string ClientIp, int ClientPort);

/// <summary>Answer to <see cref="OpenFlowRequest"/>: a denial is an answer, not an error.</summary>
/// <param name="Kind">
/// "tcp" or "udp": <paramref name="SessionId"/> is open, and its stream leads to the target. "ssh": the flow goes through the gateway's SSH server,
/// which opens the session with <see cref="OpenSessionRequest"/> when it knows the user on the target, and says in the user's terminal why not.
/// Null when denied.
/// </param>
/// <param name="SessionId">Empty for "ssh", and when nothing was opened.</param>
/// <param name="Socket">Name of the socket; null when denied.</param>
/// <param name="Message">Text for the user: on denial which clause and fact were missing, with the decision id.</param>
/// <param name="LoginRequired">Denied only because the device's login has ended.</param>
/// <param name="EndsAt">When policy ends the session; null: no limit.</param>
public sealed record OpenFlowResponse(
    bool Allowed, Guid DecisionId, string? Kind = null, Guid SessionId = default, string? Socket = null, string? Message = null, bool LoginRequired = false, DateTimeOffset? EndsAt = null);

/// <summary>A device asks for a name: <c>POST /grid/v1/resolve</c>.</summary>
/// <param name="Name">What stands before the suffix: "socket" or "socket-organization", of any case, at most 253 characters.</param>
/// <param name="ClientIp">As in <see cref="OpenFlowRequest"/>.</param>
public sealed record ResolveRequest(Guid Device, string Name, string ClientIp);

/// <summary>Answer to <see cref="ResolveRequest"/>.</summary>
/// <param name="Addresses">The socket's addresses inside the tunnel; empty: there is no such socket, or the device's user may not use it, which is the same.</param>
public sealed record ResolveResponse(IReadOnlyList<string> Addresses);
