using System.Collections.Concurrent;
using Relay.Protocol.Tunnel;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Connectors;

/// <summary>
/// Closes tunnels whose token was revoked, has expired or went with its connector: by the organization's snapshot, like everything else
/// that is taken away, so that a version in force means that these are closed too. Also those that are draining. Safe for concurrent use.
/// </summary>
internal sealed partial class TokenWatch : BackgroundService, ISnapshotObserver
{
    private static readonly TimeSpan ExpiryCheck = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<ConnectorTunnel, Lazy<Task>?> _tunnels = new();
    private readonly ConnectorTunnels _registry;
    private readonly SnapshotCell _snapshots;
    private readonly TimeProvider _time;
    private readonly ILogger<TokenWatch> _logger;

    public TokenWatch(ConnectorTunnels registry, SnapshotCell snapshots, TimeProvider time, ILogger<TokenWatch> logger)
    {
        _registry = registry;
        _snapshots = snapshots;
        _time = time;
        _logger = logger;
        registry.Added += Watch;
    }

    public IReadOnlyList<Task> OnSwapped(Guid organizationId, OrgSnapshot? snapshot)
    {
        var closing = new List<Task>();
        foreach (var tunnel in _tunnels.Keys.Where(t => t.Connector.OrganizationId == organizationId))
        {
            if (Judge(tunnel, snapshot) is { } close)
                closing.Add(close);
        }

        return closing;
    }

    public override void Dispose()
    {
        _registry.Added -= Watch;
        base.Dispose();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // Nothing is written when a token expires: the clock says so.
        using var timer = new PeriodicTimer(ExpiryCheck, _time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            foreach (var tunnel in _tunnels.Keys)
            {
                if (_snapshots.Find(tunnel.Connector.OrganizationId) is { } snapshot)
                    _ = Judge(tunnel, snapshot);
            }
        }
    }

    private void Watch(ConnectorTunnel tunnel)
    {
        _tunnels[tunnel] = null;
        _ = ForgetAsync(tunnel);

        // A swap between the token's check and now has not seen this tunnel.
        if (_snapshots.Find(tunnel.Connector.OrganizationId) is { } snapshot)
            _ = Judge(tunnel, snapshot);
    }

    private async Task ForgetAsync(ConnectorTunnel tunnel)
    {
        await tunnel.Closed;
        _tunnels.TryRemove(tunnel, out _);
    }

    /// <summary>Null: it stays. Otherwise over when it is closed.</summary>
    private Task? Judge(ConnectorTunnel tunnel, OrgSnapshot? snapshot)
    {
        // An older snapshot may not know the token yet.
        if (snapshot is not null && snapshot.Version < tunnel.Connector.Version)
            return null;
        var token = snapshot?.ConnectorTokens.GetValueOrDefault(tunnel.Connector.TokenId);
        var (code, message) = token switch
        {
            null => (AttachCodes.ConnectorDeleted, "the connector was deleted"),
            { Revoked: true } => (AttachCodes.TokenRevoked, "the connector's token was revoked"),
            { ExpiresAt: { } end } when end <= _time.GetUtcNow() => (AttachCodes.TokenExpired, "the connector's token has expired"),
            _ => ("", ""),
        };
        if (code.Length == 0)
            return null;
        var close = _tunnels.AddOrUpdate(tunnel, (_, s) => s, (_, former, s) => former ?? s, new Lazy<Task>(() => CloseAsync(tunnel, code, message)));
        return close!.Value;
    }

    private async Task CloseAsync(ConnectorTunnel tunnel, string code, string message)
    {
        LogClosing(_logger, tunnel.Connector.Name, tunnel.Epoch, code);
        _registry.Remove(tunnel);
        await tunnel.CloseAsync(code, message);
    }

    [LoggerMessage(3501, LogLevel.Warning, "closing a connector's tunnel, its token does not hold any more")]
    private static partial void LogClosing(ILogger logger, string connector, long epoch, string cause);
}
