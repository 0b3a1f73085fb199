using System.Collections.Concurrent;
using System.Diagnostics;

namespace Relay.Chaos.Network;

/// <summary>
/// Links that take their time: packets between two nodes are led through TUN devices and this process, which holds each for the
/// link's delay. (The kernel's own way, netem, is not in every kernel.) Existing connections become slow too. Safe for concurrent use.
/// </summary>
internal sealed class SlowLinks(NodeNetwork network) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Tun> _tuns = [];
    private readonly ConcurrentDictionary<(string From, string To), TimeSpan> _delays = new();
    private readonly PriorityQueue<(string To, byte[] Packet), long> _waiting = new();
    private readonly SemaphoreSlim _arrived = new(0);
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Thread> _readers = [];
    private Thread? _deliverer;

    /// <summary>Makes both directions between the two slow.</summary>
    public async Task SlowAsync(string one, string other, TimeSpan delay)
    {
        foreach (var (from, to) in new[] { (one, other), (other, one) })
        {
            await OpenAsync(from);
            await OpenAsync(to);
            _delays[(from, to)] = delay;
            await network.RunAsync(from, ["/usr/sbin/ip", "route", "replace", $"{network.Address(to)}/32", "dev", "slow0", "src", network.Address(from)]);
        }
    }

    /// <summary>Both directions are direct again.</summary>
    public async Task MendAsync(string one, string other)
    {
        foreach (var (from, to) in new[] { (one, other), (other, one) })
        {
            await network.RunAsync(from, ["/usr/sbin/ip", "route", "delete", $"{network.Address(to)}/32", "dev", "slow0"]);
            _delays.TryRemove((from, to), out _);
        }
    }

    public void Dispose()
    {
        _stop.Cancel();
        _deliverer?.Join();
        Thread[] readers;
        lock (_lock)
            readers = [.. _readers];
        foreach (var reader in readers)
            reader.Join();
        lock (_lock)
        {
            foreach (var tun in _tuns.Values)
                tun.Dispose();
        }

        _arrived.Dispose();
        _stop.Dispose();
    }

    private async Task OpenAsync(string node)
    {
        lock (_lock)
        {
            if (_tuns.ContainsKey(node))
                return;
            _tuns[node] = network.Inside(node, () => Tun.Open("slow0"));
            if (_deliverer is null)
            {
                _deliverer = new Thread(Deliver) { IsBackground = true, Name = "slow links" };
                _deliverer.Start();
            }

            var reader = new Thread(() => Read(node)) { IsBackground = true, Name = $"slow link of {node}" };
            _readers.Add(reader);
            reader.Start();
        }

        await network.RunAsync(node, ["/usr/sbin/ip", "link", "set", "slow0", "up"]);
    }

    private void Read(string node)
    {
        var tun = _tuns[node];
        var buffer = new byte[65536];
        while (!_stop.IsCancellationRequested)
        {
            var length = tun.Read(buffer, TimeSpan.FromMilliseconds(200));
            // IPv4 only: the destination is at byte 16.
            if (length < 20 || buffer[0] >> 4 != 4)
                continue;
            var to = network.NodeAt($"{buffer[16]}.{buffer[17]}.{buffer[18]}.{buffer[19]}");
            if (to is null)
                continue;
            var delay = _delays.GetValueOrDefault((node, to));
            lock (_lock)
                _waiting.Enqueue((to, buffer[..length]), Stopwatch.GetTimestamp() + (long)(delay.TotalSeconds * Stopwatch.Frequency));
            _arrived.Release();
        }
    }

    private void Deliver()
    {
        while (!_stop.IsCancellationRequested)
        {
            var wait = TimeSpan.FromMilliseconds(200);
            lock (_lock)
            {
                while (_waiting.TryPeek(out var next, out var due))
                {
                    var left = due - Stopwatch.GetTimestamp();
                    if (left > 0)
                    {
                        wait = TimeSpan.FromSeconds((double)left / Stopwatch.Frequency);
                        break;
                    }

                    _waiting.Dequeue();
                    if (_tuns.TryGetValue(next.To, out var tun))
                        tun.Write(next.Packet);
                }
            }

            // A packet that is due before the one waited for cannot come: all delays of a fault are alike, or nearly.
            _arrived.Wait(wait);
        }
    }
}
