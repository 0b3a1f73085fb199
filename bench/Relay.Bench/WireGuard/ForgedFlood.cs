using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Relay.Protocol.WireGuard;
using Relay.TestKit;

namespace Relay.Bench.WireGuard;

/// <summary>
/// Initiations with a right mac1 and nothing else right, from sources that did not send them: what anybody can make who knows the gateway's public
/// key. Runs from its start until it is disposed.
/// </summary>
internal sealed class ForgedFlood : IAsyncDisposable
{
    public const int PerSecond = 20_000;

    /// <summary>What the sources are made of; the server's namespace needs a way back to it.</summary>
    public const string Sources = "10.200.0.0/16";

    private const int IpHeader = 20, UdpHeader = 8, Different = 4096;
    private static readonly TimeSpan s_tick = TimeSpan.FromMilliseconds(1);

    private readonly CancellationTokenSource _stop = new();
    private readonly Socket _socket;
    private readonly EndPoint _to;
    private readonly byte[][] _packets;
    private readonly Task _sending;
    private long _sent;

    /// <param name="from">The namespace it is sent in.</param>
    /// <param name="to">The gateway, or a port at which nobody listens.</param>
    /// <param name="gateway">The gateway's public key.</param>
    public ForgedFlood(NetworkNamespace from, IPEndPoint to, WireGuardPublicKey gateway)
    {
        _to = to;
        _socket = from.CreateSocket(AddressFamily.InterNetwork, SocketType.Raw, ProtocolType.Raw);
        _packets = [.. Enumerable.Range(0, Different).Select(_ => Forge(to, gateway))];
        _sending = SendAsync();
    }

    /// <summary>Packets so far.</summary>
    public long Sent => Interlocked.Read(ref _sent);

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _sending;
        _socket.Dispose();
        _stop.Dispose();
    }

    // RFC 791, RFC 768: the kernel fills in the header's length and checksum; a UDP checksum of zero is none.
    private static byte[] Forge(IPEndPoint to, WireGuardPublicKey gateway)
    {
        var packet = new byte[IpHeader + UdpHeader + WireGuardWire.InitiationLength];
        (packet[0], packet[8], packet[9]) = (0x45, 64, 17);
        (packet[12], packet[13]) = (10, 200);
        RandomNumberGenerator.Fill(packet.AsSpan(14, 2));
        to.Address.TryWriteBytes(packet.AsSpan(16), out _);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(IpHeader), (ushort)RandomNumberGenerator.GetInt32(1024, 65536));
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(IpHeader + 2), (ushort)to.Port);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(IpHeader + 4), (ushort)(packet.Length - IpHeader));
        var initiation = packet.AsSpan(IpHeader + UdpHeader);
        RandomNumberGenerator.Fill(initiation);
        WireGuardWire.WriteType(initiation, WireGuardMessageType.HandshakeInitiation);
        var key = new byte[WireGuardPublicKey.Length];
        gateway.CopyTo(key);
        new CookieJar().WriteMacs(key, initiation, TimeSpan.Zero);
        return packet;
    }

    private async Task SendAsync()
    {
        using var timer = new PeriodicTimer(s_tick, TimeProvider.System);
        var begun = System.Diagnostics.Stopwatch.GetTimestamp();
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token))
            {
                // What a late tick has left out is sent, but not all at once.
                var due = (long)(System.Diagnostics.Stopwatch.GetElapsedTime(begun).TotalSeconds * PerSecond);
                for (var i = 0; i < 200 && _sent < due; i++)
                {
                    _socket.SendTo(_packets[_sent % Different], _to);
                    Interlocked.Increment(ref _sent);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // Enough.
        }
    }
}
