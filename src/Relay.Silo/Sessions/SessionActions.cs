using System.Diagnostics.CodeAnalysis;
using Relay.Policy;
using Relay.Protocol.Grid;

namespace Relay.Silo.Sessions;

/// <summary>The wire form of what a session may ask for.</summary>
internal static class SessionActions
{
    private const int MaxCommandLength = 32 * 1024;

    /// <summary>False: no such action, or one without what it needs.</summary>
    public static bool TryRead(AuthorizeRequest request, string? username, [NotNullWhen(true)] out AccessAction? action)
    {
        action = request switch
        {
            { Action: "shell" } => new AccessAction.SshShell(username),
            { Action: "exec", Command: { Length: <= MaxCommandLength } command } => new AccessAction.SshExec(command, username),
            { Action: "sftp" } => new AccessAction.SshSftp(username),
            { Action: "subsystem", Command: { Length: > 0 and <= 255 } name } => new AccessAction.SshSubsystem(name, username),
            { Action: "agent_forwarding" } => new AccessAction.SshAgentForwarding(username),
            { Action: "tcp_forwarding", DestinationAddress: { Length: > 0 and <= 255 } address, DestinationPort: { } port and > 0 and <= 65535 } =>
                new AccessAction.SshTcpForwarding(address, port, username),
            _ => null,
        };
        return action is not null;
    }

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
