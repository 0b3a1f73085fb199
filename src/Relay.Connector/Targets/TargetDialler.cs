using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Relay.Protocol.Tunnel;

namespace Relay.Connector.Targets;

/// <summary>Dials targets and says precisely why one is not reached. Safe for concurrent use.</summary>
internal sealed class TargetDialler
{
    // A burst that comes while the stream is congested; the kernel gives as much of it as it allows.
    private const int UdpBufferBytes = 1 << 20;

    private static readonly TimeSpan s_refusalComesWithin = TimeSpan.FromMilliseconds(500);

    private readonly TimeSpan _deadline;
    private readonly TimeProvider _time;

    public TargetDialler(TimeSpan deadline, TimeProvider time)
    {
        _deadline = deadline;
        _time = time;
    }

    /// <summary>Connects to a TCP target: tries every address of the name, one after the other, within one deadline.</summary>
    /// <exception cref="StreamOpenException">Not reached; the message names target and cause.</exception>
    public async Task<SocketDuplexStream> DialAsync(StreamTarget target, CancellationToken cancellationToken) =>
        new(await ConnectAsync(target, SocketType.Stream, cancellationToken));

    /// <summary>
    /// A UDP socket connected to the target: the first address of its name that there is a route to. Nothing is sent, so whether anybody takes
    /// datagrams there is not known.
    /// </summary>
    /// <exception cref="StreamOpenException">The name has no address, or none with a route.</exception>
    public async Task<Socket> DialUdpAsync(StreamTarget target, CancellationToken cancellationToken)
    {
        var socket = await ConnectAsync(target, SocketType.Dgram, cancellationToken);
        socket.Blocking = false;
        socket.ReceiveBufferSize = UdpBufferBytes;
        return socket;
    }

    /// <summary>
    /// Sends a UDP target an empty datagram. Succeeds when it answers, and when it is silent, as most services are to that: only a
    /// host that says that nothing listens there tells anything.
    /// </summary>
    /// <exception cref="StreamOpenException">It says so, or <see cref="DialUdpAsync"/> fails.</exception>
    public async Task CheckUdpAsync(StreamTarget target, CancellationToken cancellationToken)
    {
        using var socket = await DialUdpAsync(target, cancellationToken);
        using var patience = new CancellationTokenSource(s_refusalComesWithin, _time);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancellationToken);
        try
        {
            await socket.SendAsync(Memory<byte>.Empty, SocketFlags.None, stop.Token);
            await socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None, stop.Token);
        }
        catch (SocketException e)
        {
            throw Failure(target, e);
        }
        catch (OperationCanceledException) when (patience.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            // Silence.
        }
    }

    private async Task<Socket> ConnectAsync(StreamTarget target, SocketType type, CancellationToken cancellationToken)
    {
        using var late = new CancellationTokenSource(_deadline, _time);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        try
        {
            var addresses = await ResolveAsync(target, stop.Token);
            SocketException? last = null;
            foreach (var address in addresses)
            {
                var socket = NewSocket(address.AddressFamily, type, target);
                try
                {
                    await socket.ConnectAsync(new IPEndPoint(address, target.Port), stop.Token);
                    return socket;
                }
                catch (SocketException e)
                {
                    socket.Dispose();
                    last = e;
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            }

            throw Failure(target, last!);
        }
        catch (OperationCanceledException) when (late.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new StreamOpenException(StreamOpenError.TimedOut, string.Create(CultureInfo.InvariantCulture, $"{target.Address} timed out: no answer within {_deadline.TotalSeconds:0.#} s"));
        }
    }

    private static Socket NewSocket(AddressFamily family, SocketType type, StreamTarget target)
    {
        try
        {
            return new Socket(family, type, type == SocketType.Stream ? ProtocolType.Tcp : ProtocolType.Udp);
        }
        catch (SocketException e)
        {
            // A family that this machine does not have, or no descriptor left.
            throw Failure(target, e);
        }
    }

    private static async Task<IPAddress[]> ResolveAsync(StreamTarget target, CancellationToken cancellationToken)
    {
        if (IPAddress.TryParse(target.Host, out var literal))
            return [literal];
        try
        {
            var addresses = await Dns.GetHostAddressesAsync(target.Host!, cancellationToken);
            if (addresses.Length > 0)
                return addresses;
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.TryAgain)
        {
            throw new StreamOpenException(StreamOpenError.NameNotFound, $"{target.Host}: the connector's name server did not answer", e);
        }
        catch (SocketException e)
        {
            throw new StreamOpenException(StreamOpenError.NameNotFound, $"{target.Host}: name not found by the connector", e);
        }

        throw new StreamOpenException(StreamOpenError.NameNotFound, $"{target.Host}: the name has no address");
    }

    private static StreamOpenException Failure(StreamTarget target, SocketException e) => e.SocketErrorCode switch
    {
        SocketError.ConnectionRefused => new(StreamOpenError.Refused, $"{target.Address} refused the connection: nothing listens there", e),
        SocketError.HostUnreachable or SocketError.NetworkUnreachable or SocketError.HostDown or SocketError.NetworkDown or SocketError.AddressNotAvailable or SocketError.AddressFamilyNotSupported
            => new(StreamOpenError.Unreachable, $"{target.Address} is unreachable from the connector", e),
        SocketError.TimedOut => new(StreamOpenError.TimedOut, $"{target.Address} timed out", e),
        _ => new(StreamOpenError.Failed, $"{target.Address}: {e.Message}", e),
    };
}
