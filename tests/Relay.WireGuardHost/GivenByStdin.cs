using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Gateway.WireGuard.Resolver;
using Relay.Protocol.Tunnel;
using Relay.Protocol.WireGuard;

namespace Relay.WireGuardHost;

/// <summary>
/// Devices as lines on stdin say; flows are led to the same port of 127.0.0.1, but for those that the ports below say otherwise.
/// Each decision and each end is a line on stdout.
/// </summary>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001", Justification = "Flows may still look at its token.")]
internal sealed class GivenByStdin : IDevices, IFlows, ISocketNames
{
    /// <summary>Refused; the first of them with an answer.</summary>
    private const int AnsweredPort = 80, RefusedPort = 81;

    private readonly Channel<(DevicesChange Change, string Line)> _changes = Channel.CreateUnbounded<(DevicesChange, string)>();
    private CancellationTokenSource _revoked = new();

    /// <summary>Lines with a number of the test's first: "device ID KEY ADDRESS,ADDRESS [PSK]", "remove ID", "only ID KEY ADDRESSES" (a complete list of one), "revoke" (all flows there are).</summary>
    public async Task ReadAsync(TextReader input)
    {
        _changes.Writer.TryWrite((new DevicesChange(IsComplete: true, [], []), ""));
        while (await input.ReadLineAsync() is { } line)
        {
            var words = line.Split(' ')[1..];
            switch (words[0])
            {
                case "device" or "only":
                    _changes.Writer.TryWrite((new DevicesChange(words[0] == "only", [Parse(words)], []), line));
                    break;
                case "remove":
                    _changes.Writer.TryWrite((new DevicesChange(IsComplete: false, [], [Guid.Parse(words[1])]), line));
                    break;
                case "revoke":
                    await Interlocked.Exchange(ref _revoked, new CancellationTokenSource()).CancelAsync();
                    Console.WriteLine($"done {line}");
                    break;
            }
        }
    }

    public async IAsyncEnumerable<DevicesChange> WatchAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await foreach (var (change, line) in _changes.Reader.ReadAllAsync(cancellationToken))
        {
            yield return change;
            // Asked for the next one: this one has been applied.
            Console.WriteLine($"done {line}");
        }
    }

    public async ValueTask<FlowDecision> DecideAsync(FlowRequest request, CancellationToken cancellationToken)
    {
        Console.WriteLine($"asked {request.Protocol} {request.Device.Id} {request.From} {request.Dialled}");
        if (request.Dialled.Port == AnsweredPort) return FlowDecision.Refuse("not today", said => said.Span.StartsWith("GET "u8) ? "HTTP/1.1 403 Forbidden\r\n\r\nnot today\n"u8.ToArray() : default(ReadOnlyMemory<byte>));
        if (request.Dialled.Port == RefusedPort) return FlowDecision.Refuse("never");
        var target = new IPEndPoint(IPAddress.Loopback, request.Dialled.Port);
        var isTcp = request.Protocol == FlowProtocol.Tcp;
        var socket = new Socket(AddressFamily.InterNetwork, isTcp ? SocketType.Stream : SocketType.Dgram, isTcp ? ProtocolType.Tcp : ProtocolType.Udp);
        await socket.ConnectAsync(target, cancellationToken);
        var revoked = Volatile.Read(ref _revoked).Token;
        void Ended(FlowEnd end) => Console.WriteLine($"ended {request.Protocol} {request.Dialled} {end.Cause} up={end.BytesUp} down={end.BytesDown}");
        return isTcp ? FlowDecision.Allow(new SocketDuplexStream(socket), Ended, revoked) : FlowDecision.Allow(new SocketPipe(socket), Ended, revoked);
    }

    /// <summary>One socket there is, and one that has an IPv4 address alone.</summary>
    public ValueTask<IReadOnlyList<IPAddress>> ResolveAsync(FlowRequest request, string name, CancellationToken cancellationToken)
    {
        Console.WriteLine($"resolve {request.Device.Id} {name}");
        return new(name switch
        {
            "echo" or "echo-acme" => [IPAddress.Parse("100.126.3.4"), IPAddress.Parse("fd62:6f72:6465:7231::5")],
            "four" => [IPAddress.Parse("100.126.3.5")],
            _ => [],
        });
    }

    private static UserDevice Parse(string[] words)
    {
        if (!WireGuardPublicKey.TryParse(words[2], out var key)) throw new ArgumentException("no key");
        return new UserDevice
        {
            Id = Guid.Parse(words[1]),
            UserId = Guid.Empty,
            PublicKey = key,
            Addresses = [.. words[3].Split(',').Select(IPAddress.Parse)],
            PresharedKey = words.Length > 4 ? Convert.FromBase64String(words[4]) : default(ReadOnlyMemory<byte>),
        };
    }

    private sealed class SocketPipe(Socket socket) : IDatagramPipe
    {
        public bool TrySend(ReadOnlySpan<byte> datagram)
        {
            try
            {
                return socket.Send(datagram) == datagram.Length;
            }
            catch (SocketException)
            {
                return false;
            }
        }

        public async ValueTask<bool> WaitToReceiveAsync(CancellationToken cancellationToken)
        {
            try
            {
                await socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None, cancellationToken);
                return true;
            }
            catch (SocketException)
            {
                return false;
            }
        }

        public bool TryReceive(Span<byte> buffer, out int length)
        {
            length = 0;
            // Nothing left: an empty datagram is not told from that here, and not sent by any test.
            if (socket.Available == 0) return false;
            length = socket.Receive(buffer);
            return true;
        }

        public ValueTask DisposeAsync()
        {
            socket.Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
