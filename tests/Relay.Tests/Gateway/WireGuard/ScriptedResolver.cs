using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Relay.Tests.Gateway.WireGuard;

/// <summary>A resolver on port 5353 of a namespace's loopback: short.example has one address; long.example a hundred, by TCP alone.</summary>
internal sealed class ScriptedResolver : IDisposable
{
    private readonly Socket _udp;
    private readonly Socket _tcp;

    public ScriptedResolver(TestKit.NetworkNamespace network)
    {
        _udp = network.CreateSocket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        _tcp = network.CreateSocket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        foreach (var socket in (Socket[])[_udp, _tcp]) socket.Bind(new IPEndPoint(IPAddress.Loopback, 5353));
        _tcp.Listen();
        _ = UdpAsync();
        _ = TcpAsync();
    }

    public void Dispose()
    {
        _udp.Dispose();
        _tcp.Dispose();
    }

    private async Task UdpAsync()
    {
        var buffer = new byte[2000];
        try
        {
            while (true)
            {
                var question = await _udp.ReceiveFromAsync(buffer, new IPEndPoint(IPAddress.Any, 0));
                var answer = Answer(buffer.AsSpan(0, question.ReceivedBytes), byTcp: false);
                // First what somebody else might have sent: another number, another question.
                var wrong = (byte[])answer.Clone();
                wrong[0] ^= 1;
                await _udp.SendToAsync(wrong, question.RemoteEndPoint);
                wrong[0] ^= 1;
                wrong[13] ^= 1;
                await _udp.SendToAsync(wrong, question.RemoteEndPoint);
                await _udp.SendToAsync(answer, question.RemoteEndPoint);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The end of the test.
        }
    }

    private async Task TcpAsync()
    {
        try
        {
            while (true)
            {
                await using var stream = new NetworkStream(await _tcp.AcceptAsync(), ownsSocket: true);
                var message = new byte[2000];
                await stream.ReadExactlyAsync(message.AsMemory(0, 2));
                var length = BinaryPrimitives.ReadUInt16BigEndian(message);
                await stream.ReadExactlyAsync(message.AsMemory(0, length));
                var answer = Answer(message.AsSpan(0, length), byTcp: true);
                await stream.WriteAsync((byte[])[(byte)(answer.Length >> 8), (byte)answer.Length, .. answer]);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or IOException)
        {
            // The end of the test.
        }
    }

    private static byte[] Answer(ReadOnlySpan<byte> question, bool byTcp)
    {
        // A question of ours has nothing before its name, and a name without pointers.
        var end = 12;
        while (question[end] != 0) end += 1 + question[end];
        end += 5;
        var isLong = question[12] == 4;
        var records = !isLong ? 1 : byTcp ? 100 : 0;
        byte[] record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7];
        return
        [
            .. question[..2], (byte)(isLong && !byTcp ? 0x83 : 0x81), 0x80, 0, 1, 0, (byte)records, 0, 0, 0, 0,
            .. question[12..end], .. Enumerable.Repeat(record, records).SelectMany(r => r),
        ];
    }
}
