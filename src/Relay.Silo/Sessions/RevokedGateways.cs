using System.Collections.Frozen;

namespace Relay.Silo.Sessions;

/// <summary>From when on certificates of a gateway's name count: the tokens before were revoked.</summary>
/// <param name="After">Whole seconds, as in certificates.</param>
internal sealed record RevokedGateway(string Name, DateTimeOffset After);

/// <summary>
/// Gateways whose tokens were all revoked. The certificates that they got by them count for nothing: no route answers, and their
/// sessions end; one that enrolled anew is another. Kept by the snapshots' feed. Safe for concurrent use.
/// </summary>
internal sealed class RevokedGateways(GatewaySubscriptions subscriptions)
{
    private volatile FrozenDictionary<string, DateTimeOffset> _after = FrozenDictionary<string, DateTimeOffset>.Empty;

    /// <param name="notBefore">Of the gateway's certificate.</param>
    public bool IsRevoked(string gateway, DateTimeOffset notBefore) => _after.TryGetValue(gateway, out var after) && notBefore < after;

    /// <summary>What the store says now, in place of what it said before.</summary>
    public void Replace(IReadOnlyCollection<RevokedGateway> gateways)
    {
        var former = _after;
        _after = gateways.ToFrozenDictionary(g => g.Name, g => g.After, StringComparer.Ordinal);
        foreach (var gateway in gateways.Where(g => !former.TryGetValue(g.Name, out var known) || known < g.After))
            subscriptions.Revoke(gateway.Name);
    }
}
