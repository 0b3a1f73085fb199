using System.Diagnostics.CodeAnalysis;
using Relay.Policy;
using Relay.Protocol.Grid;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Sessions;

/// <summary>The wire form of what a session may ask for.</summary>
internal static class SessionActions
{
    private const int MaxCommandLength = 32 * 1024;

    /// <summary>False: no such action, or one without what it needs.</summary>
    /// <param name="socket">The session's; null: it is gone.</param>
    public static bool TryRead(AuthorizeRequest request, string? username, OrgSocket? socket, [NotNullWhen(true)] out AccessAction? action)
    {
        action = request switch
        {
            { Action: "shell" } => new AccessAction.SshShell(username),
            { Action: "exec", Command: { Length: <= MaxCommandLength } command } => new AccessAction.SshExec(command, username),
            { Action: "sftp" } => new AccessAction.SshSftp(username),
            { Action: "subsystem", Command: { Length: > 0 and <= 255 } name } => new AccessAction.SshSubsystem(name, username),
            { Action: "agent_forwarding" } => new AccessAction.SshAgentForwarding(username),
            // A connection to a raw socket itself is what the socket is for, not a way beyond it.
            { Action: "tcp_forwarding", DestinationAddress: { Length: > 0 and <= 255 } name, DestinationPort: { } own } when socket is not null && socket.IsItself(name, own) =>
                new AccessAction.Connect(username),
            { Action: "tcp_forwarding", DestinationAddress: { Length: > 0 and <= 255 } address, DestinationPort: { } port and > 0 and <= 65535 } =>
                new AccessAction.SshTcpForwarding(address, port, username),
            _ => null,
        };
        return action is not null;
    }

    /// <summary>What to do instead, for somebody who asked a raw socket for what it has not; null: nothing is known.</summary>
    public static string? Advice(OrgSocket? socket) => socket?.Target is { Kind: SocketKind.Tcp } target
        ? $"{socket.Name} carries plain TCP connections to one place: use relay client tcp --host {socket.Name} --listener PORT, or ssh -N -L PORT:{socket.Name}:{target.Hosts[0].Port} {socket.Name}@GATEWAY."
        : null;

    /// <summary>What the session's history says about the request.</summary>
    public static Dictionary<string, string> Metadata(AuthorizeRequest request)
    {
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        if (request.Command is { } command)
            metadata["command"] = PlainText.Storable(command);
        if (request.DestinationAddress is { } address)
            metadata["destination"] = GridAddress.Format(PlainText.Storable(address), request.DestinationPort ?? 0);
        return metadata;
    }
}
