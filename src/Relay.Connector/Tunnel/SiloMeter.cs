using System.Net.Sockets;
using Relay.Connector.Configuration;
using Relay.Protocol.Grid;

namespace Relay.Connector.Tunnel;

/// <summary>
/// Measures how far each silo is: the time of a TCP handshake, which costs the silo next to nothing. That it answers proves little
/// (a frozen process's kernel answers too), so a silo is moved to only by attaching there first.
/// </summary>
internal sealed class SiloMeter(SiloChoice choice, TimeProvider time)
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(2);

    /// <summary>Measures now and then until cancelled.</summary>
    /// <param name="attachedAt">The server the agent is attached to, null: none. Its tunnel tells whether it lives, not a handshake.</param>
    /// <param name="measured">Called after each round.</param>
    public async Task RunAsync(Func<string?> attachedAt, Action measured, CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                // One alone is not compared with anything.
                var servers = choice.Addresses;
                if (servers.Count > 1)
                {
                    await Task.WhenAll(servers.Select(server => MeasureAsync(server, attachedAt, cancellationToken)));
                    measured();
                }

                await Task.Delay(choice.NextMeasurement(), time, cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // The agent stops.
        }
    }

    private async Task MeasureAsync(string server, Func<string?> attachedAt, CancellationToken cancellationToken)
    {
        if (!ServerAddress.TryParse(server, out var host, out var port))
            return;
        using var late = new CancellationTokenSource(Deadline, time);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        var begin = time.GetTimestamp();
        try
        {
            await socket.ConnectAsync(host, port, stop.Token);
            choice.Measured(server, time.GetElapsedTime(begin));
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (server != attachedAt())
                choice.Failed(server);
        }
    }
}
