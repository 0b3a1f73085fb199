using System.Collections.Concurrent;
using Relay.Chaos.Grid;

namespace Relay.Chaos.Load;

/// <summary>Users who are always there: each opens a session, stays for a while, leaves, and comes back. Caller stops it.</summary>
internal sealed class Workload(ChaosGrid grid, int seed) : IAsyncDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Task> _users = [];

    /// <summary>Every session that was opened, for comparing with its replay.</summary>
    public ConcurrentBag<EchoSession> Sessions { get; } = [];

    public void Start()
    {
        var user = 0;
        foreach (var gateway in ChaosGrid.Gateways)
        {
            foreach (var socket in ChaosGrid.Sockets)
            {
                _users.Add(LiveAsync(gateway, socket, EchoKind.Exec, user++));
                if (ChaosGrid.ForwardingSockets.Contains(socket))
                    _users.Add(LiveAsync(gateway, socket, EchoKind.Forward, user++));
            }

            _users.Add(WorkAsync(gateway, user++));
        }
    }

    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_users);
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _stop.Dispose();
    }

    private async Task LiveAsync(string gateway, string socket, EchoKind kind, int user)
    {
        var random = new Random((seed * 1000) + user);
        try
        {
            await Task.Delay(TimeSpan.FromSeconds(random.NextDouble() * 5), TimeProvider.System, _stop.Token);
            while (!_stop.IsCancellationRequested)
            {
                var session = new EchoSession(grid.Network, grid.History, grid.UserKey, gateway, socket, kind);
                if (await session.OpenAsync(_stop.Token) is null)
                {
                    if (kind == EchoKind.Exec)
                        Sessions.Add(session);
                    await session.RunAsync(TimeSpan.FromSeconds(15 + (random.NextDouble() * 60)), Interval, _stop.Token);
                }

                await Task.Delay(TimeSpan.FromSeconds(1 + (random.NextDouble() * 2)), TimeProvider.System, _stop.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // The run is over.
        }
    }

    // What people do besides: the system's own ssh and sftp.
    private async Task WorkAsync(string gateway, int user)
    {
        var random = new Random((seed * 1000) + user);
        try
        {
            for (var round = 0; !_stop.IsCancellationRequested; round++)
            {
                await Task.Delay(TimeSpan.FromSeconds(8 + (random.NextDouble() * 8)), TimeProvider.System, _stop.Token);
                var socket = ChaosGrid.ForwardingSockets[random.Next(ChaosGrid.ForwardingSockets.Count)];
                if (round % 2 == 0)
                    await grid.OpenSsh.ExecAsync(gateway, socket, _stop.Token);
                else
                    await grid.OpenSsh.SftpAsync(gateway, socket, _stop.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // The run is over.
        }
    }
}
