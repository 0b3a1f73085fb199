using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Relay.Protocol.Dns;

namespace Relay.Gateway.WireGuard.Resolver;

/// <summary>Asks other resolvers. Safe for concurrent use.</summary>
internal sealed class DnsForwarder(ResolverOptions options, TimeProvider time)
{
    // Of all devices at once: each has a socket.
    private const int MaxUnderWay = 512;

    private int _underWay;

    /// <summary>The first answer that one of them gives, with the asker's number; null: none did, or too much is asked.</summary>
    /// <param name="query">The question.</param>
    /// <param name="isTcp">The asker takes an answer of any length.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public async ValueTask<byte[]?> AskAsync(DnsQuery query, bool isTcp, CancellationToken cancellationToken)
    {
        try
        {
            if (Interlocked.Increment(ref _underWay) > MaxUnderWay) return null;
            foreach (var resolver in options.Forward)
            {
                using var late = new CancellationTokenSource(options.ForwardTimeout, time);
                using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
                try
                {
                    var answer = await AskByUdpAsync(query, resolver, either.Token);
                    if (isTcp && DnsQuery.IsTruncated(answer)) answer = await AskByTcpAsync(query, resolver, either.Token);
                    BinaryPrimitives.WriteUInt16BigEndian(answer, query.Id);
                    return answer;
                }
                catch (Exception e) when (e is SocketException or IOException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
                {
                    // The next one.
                }
            }

            return null;
        }
        finally
        {
            Interlocked.Decrement(ref _underWay);
        }
    }

    // SECURITY: who is not on the way has to guess the number and, since each question has its own socket, the port.
    private static async ValueTask<byte[]> AskByUdpAsync(DnsQuery query, IPEndPoint resolver, CancellationToken cancellationToken)
    {
        var id = NewId();
        var buffer = new byte[DnsWire.MaxTcpBytes];
        using var socket = new Socket(resolver.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        await socket.ConnectAsync(resolver, cancellationToken);
        await socket.SendAsync(buffer.AsMemory(0, query.WriteForwarded(id, buffer)), SocketFlags.None, cancellationToken);
        while (true)
        {
            var length = await socket.ReceiveAsync(buffer, SocketFlags.None, cancellationToken);
            if (query.IsAnsweredBy(id, buffer.AsSpan(0, length))) return buffer[..length];
        }
    }

    private static async ValueTask<byte[]> AskByTcpAsync(DnsQuery query, IPEndPoint resolver, CancellationToken cancellationToken)
    {
        var id = NewId();
        var message = new byte[2 + DnsWire.PlainUdpBytes];
        var length = query.WriteForwarded(id, message.AsSpan(2));
        BinaryPrimitives.WriteUInt16BigEndian(message, (ushort)length);
        using var socket = new Socket(resolver.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(resolver, cancellationToken);
        await using var stream = new NetworkStream(socket);
        await stream.WriteAsync(message.AsMemory(0, 2 + length), cancellationToken);
        await stream.ReadExactlyAsync(message.AsMemory(0, 2), cancellationToken);
        // Two bytes: the longest there is fits in memory.
        var answer = new byte[BinaryPrimitives.ReadUInt16BigEndian(message)];
        await stream.ReadExactlyAsync(answer, cancellationToken);
        return query.IsAnsweredBy(id, answer) ? answer : throw new IOException("an answer to something else");
    }

    private static ushort NewId() => (ushort)RandomNumberGenerator.GetInt32(0x10000);
}
