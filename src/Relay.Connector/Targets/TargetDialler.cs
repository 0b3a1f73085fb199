using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Relay.Protocol.Tunnel;

namespace Relay.Connector.Targets;

/// <summary>Dials TCP targets and says precisely why one is not reached. Safe for concurrent use.</summary>
internal sealed class TargetDialler
{
    private readonly TimeSpan _deadline;
    private readonly TimeProvider _time;

    public TargetDialler(TimeSpan deadline, TimeProvider time)
    {
        _deadline = deadline;
        _time = time;
    }

    /// <summary>Tries every address of the name, one after the other, within one deadline.</summary>
    /// <exception cref="StreamOpenException">Not reached; the message names target and cause.</exception>
    public async Task<SocketDuplexStream> DialAsync(StreamTarget target, CancellationToken cancellationToken)
    {
        using var late = new CancellationTokenSource(_deadline, _time);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        try
        {
            var addresses = await ResolveAsync(target, stop.Token);
            SocketException? last = null;
            foreach (var address in addresses)
            {
                var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                try
                {
                    await socket.ConnectAsync(new IPEndPoint(address, target.Port), stop.Token);
                    return new SocketDuplexStream(socket);
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
