using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Gateway.WireGuard.Tun;

namespace Relay.Gateway.WireGuard.Flows;

/// <summary>
/// One UDP flow: a device's address and port, and a dialled one. Once it is allowed it has a socket of its own (<see cref="UdpFlowSocket"/>).
/// </summary>
internal sealed class UdpFlow(ActiveDevice device, IPEndPoint from, IPEndPoint dialled, TunnelClock clock)
{
    /// <summary>Datagrams that wait while the decision is made; the newest is dropped.</summary>
    private const int Waiting = 16;

    private readonly Channel<byte[]> _first = Channel.CreateBounded<byte[]>(Waiting);
    private long _lastMoved = clock.Now.Ticks;
    private long _bytesUp;
    private long _bytesDown;

    public ActiveDevice Device => device;

    public IPEndPoint From => from;

    public IPEndPoint Dialled => dialled;

    /// <summary>Cancelled to end it: nothing has moved for too long.</summary>
    public CancellationTokenSource Idle { get; } = new();

    /// <summary>Why its datagrams are answered with an error from now on; null: they are not.</summary>
    public RefusalCause? Refused { get; set; }

    public TimeSpan LastMoved => new(Volatile.Read(ref _lastMoved));

    /// <summary>Takes a datagram that came by the inlet.</summary>
    public void Enqueue(ReadOnlySpan<byte> datagram)
    {
        // A flow that carries nothing yet must not be kept alive by what it drops.
        _first.Writer.TryWrite(datagram.ToArray());
    }

    /// <summary>Carries datagrams until one side ends it, it is idle, or the token says so.</summary>
    /// <exception cref="SocketException">The kernel has no socket for it.</exception>
    public async Task<FlowEnd> CarryAsync(IDatagramPipe target, CancellationToken revoked)
    {
        using var socket = await UdpFlowSocket.OpenAsync(dialled, from, revoked);
        using var over = CancellationTokenSource.CreateLinkedTokenSource(revoked, Idle.Token);
        Task<FlowEndCause> up = UpAsync(socket, target, over.Token), late = LateAsync(target, over.Token), down = DownAsync(socket, target, over.Token);
        var ended = await Task.WhenAny(up, down, late);
        var cause = await ended;
        await over.CancelAsync();
        await Task.WhenAll(up, down, late);
        if (revoked.IsCancellationRequested) cause = FlowEndCause.Revoked;
        else if (Idle.IsCancellationRequested) cause = FlowEndCause.Idle;
        return new FlowEnd(cause, Volatile.Read(ref _bytesUp), Volatile.Read(ref _bytesDown));
    }

    // Those that came before there was a socket, and any that were on their way to the inlet meanwhile.
    private async Task<FlowEndCause> LateAsync(IDatagramPipe target, CancellationToken over)
    {
        try
        {
            while (await _first.Reader.WaitToReadAsync(over))
            {
                while (_first.Reader.TryRead(out var datagram)) Send(target, datagram);
            }
        }
        catch (OperationCanceledException)
        {
            // The end.
        }

        return FlowEndCause.Revoked;
    }

    private async Task<FlowEndCause> UpAsync(UdpFlowSocket socket, IDatagramPipe target, CancellationToken over)
    {
        try
        {
            while (true)
            {
                await socket.WaitAsync(over);
                var buffer = ArrayPool<byte>.Shared.Rent(UdpFlowSocket.LongestRun);
                try
                {
                    while (!over.IsCancellationRequested)
                    {
                        var error = socket.TryReceive(buffer, out var length, out var segmentLength);
                        if (error == SocketError.WouldBlock) break;
                        if (error != SocketError.Success) return FlowEndCause.ByDevice;
                        var offset = 0;
                        do
                        {
                            var datagram = buffer.AsSpan(offset, Math.Min(segmentLength, length - offset));
                            Send(target, datagram);
                            offset += datagram.Length;
                        }
                        while (offset < length);
                    }
                }
                finally
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                }
            }
        }
        catch (OperationCanceledException)
        {
            return FlowEndCause.Revoked;
        }
        catch (SocketException)
        {
            // The device says that nobody takes the answers.
            return FlowEndCause.ByDevice;
        }
    }

    private async Task<FlowEndCause> DownAsync(UdpFlowSocket socket, IDatagramPipe target, CancellationToken over)
    {
        try
        {
            while (await target.WaitToReceiveAsync(over))
            {
                // A run, and the datagram after it, which may be of another length.
                var buffer = ArrayPool<byte>.Shared.Rent(UdpFlowSocket.MostBytes + UdpInlet.LongestDatagram);
                try
                {
                    var next = target.TryReceive(buffer, out var length) ? length : -1;
                    while (next >= 0)
                    {
                        var segmentLength = next;
                        (var run, next) = TakeRun(target, buffer, segmentLength);
                        await socket.SendAsync(buffer.AsMemory(0, run), segmentLength, over);
                        Volatile.Write(ref _lastMoved, clock.Now.Ticks);
                        Interlocked.Add(ref _bytesDown, run);
                        if (next > 0) buffer.AsSpan(run, next).CopyTo(buffer);
                    }
                }
                finally
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                }
            }

            return FlowEndCause.Completed;
        }
        catch (OperationCanceledException)
        {
            return FlowEndCause.Revoked;
        }
        catch (SocketException)
        {
            return FlowEndCause.ByDevice;
        }
        catch (IOException)
        {
            return FlowEndCause.ByTarget;
        }
    }

    // Takes as many of the first one's length as there are now. The one after them lies behind them; -1: there is none.
    private static (int Run, int Next) TakeRun(IDatagramPipe target, byte[] buffer, int first)
    {
        var run = first;
        for (var segments = 1; ; segments++)
        {
            var next = target.TryReceive(buffer.AsSpan(run), out var length) ? length : -1;
            if (next != first || next == 0 || segments == UdpFlowSocket.MostSegments || run + next > UdpFlowSocket.MostBytes) return (run, next);
            run += next;
        }
    }

    private void Send(IDatagramPipe target, ReadOnlySpan<byte> datagram)
    {
        Volatile.Write(ref _lastMoved, clock.Now.Ticks);
        if (target.TrySend(datagram)) Interlocked.Add(ref _bytesUp, datagram.Length);
    }
}
