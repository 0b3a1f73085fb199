using Relay.Protocol.Tunnel;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Sessions;

/// <summary>The way a session's stream goes, as it was when the stream was opened.</summary>
/// <param name="TokenId">The token that opened the connector's tunnel; empty: the silo that holds it did not say.</param>
/// <param name="Target">What the connector dialled.</param>
internal sealed record StreamWay(Guid ConnectorId, string ConnectorName, Guid TokenId, StreamTarget Target)
{
    /// <summary>Why the stream may not go on by this snapshot; null: it may. A stream has the right to what the socket is, not to what it was.</summary>
    public string? WhyCut(OrgSnapshot snapshot, OrgSocket socket)
    {
        if (socket.Connectors.All(c => c.Id != ConnectorId))
            return $"connector {ConnectorName} does not serve {socket.Name} any more";
        if (TokenId != Guid.Empty && (!snapshot.ConnectorTokens.TryGetValue(TokenId, out var token) || token.Revoked))
            return $"the token of connector {ConnectorName} was revoked";
        return socket.Target?.Leads(Target) == true ? null : $"{socket.Name} does not lead to {Target.Address} any more";
    }
}
