using Relay.Protocol.WireGuard;

namespace Relay.Tests.Protocol.WireGuard;

/// <summary>Two devices on a network that loses, doubles, delays and reorders, over many seeds.</summary>
public sealed class ScheduleTests
{
    // RELAY_TEST_SCHEDULES: more of them, for a longer look.
    private static readonly int s_schedules = int.TryParse(Environment.GetEnvironmentVariable("RELAY_TEST_SCHEDULES"), out var n) ? n : 1000;

    [Fact]
    public void Every_packet_arrives_at_most_once_and_the_tunnel_always_recovers()
    {
        var first = int.TryParse(Environment.GetEnvironmentVariable("RELAY_TEST_SEED"), out var seed) ? seed : Random.Shared.Next(1 << 30);
        for (var i = 0; i < s_schedules; i++)
            Assert.Null(Play(first + i) is { } wrong ? $"RELAY_TEST_SEED={first + i} RELAY_TEST_SCHEDULES=1: {wrong}" : null);
    }

    private static string? Play(int seed)
    {
        var random = new Random(seed);
        using var network = new SimNetwork(seed)
        {
            Loss = random.Next(3) * 0.2,
            Duplication = random.Next(2) * 0.3,
            Jitter = TimeSpan.FromMilliseconds(random.Next(3) * 400),
        };
        var (a, b) = network.Pair(bothKnow: random.Next(2) == 0);
        var sent = new HashSet<string>();
        for (var step = random.Next(5, 25); step > 0; step--)
        {
            switch (random.Next(8))
            {
                case 0:
                    a.At = SimNetwork.Address(1, (ushort)random.Next(1, 60000));
                    break;
                case 1:
                    network.Run(random.Next(1, 400));
                    break;
                case 2:
                    network.Run(random.NextDouble());
                    break;
                default:
                    var (from, to) = random.Next(2) == 0 ? (a, b) : (b, a);
                    for (var count = random.Next(1, 4); count > 0; count--)
                    {
                        var text = $"{from.Number}-{sent.Count}";
                        sent.Add(text);
                        from.Send(to, text, six: random.Next(2) == 0);
                    }

                    break;
            }
        }

        network.Run(1);
        foreach (var node in new[] { a, b })
        {
            if (node.Texts.Distinct().Count() != node.Delivered.Count)
                return $"{node.Number} was given a packet twice";
            if (node.Texts.Any(t => !sent.Contains(t) || t[0] - '0' == node.Number))
                return $"{node.Number} was given what nobody sent to it";
            if (node.Device.Sessions > 4)
                return $"{node.Number} has {node.Device.Sessions} sessions";
        }

        // The network is well again. One side has something to say, as a TCP connection would: again and again.
        (network.Loss, network.Duplication, network.Jitter) = (0, 0, default);
        for (var i = 0; i < 40; i++)
        {
            a.Send(b, $"a{i}");
            network.Run(1);
        }

        if (!b.Texts.Contains("a39"))
            return "a no longer reaches b";
        b.Send(a, "back");
        network.Run(1);
        return a.Texts.Contains("back") ? null : "b no longer reaches a";
    }
}
