using System.Net;
using System.Net.Sockets;
using Relay.Gateway.Proxy;
using Relay.Gateway.WireGuard.Decisions;
using Relay.Protocol.Tunnel;

namespace Relay.Gateway.WireGuard.Flows;

/// <summary>
/// Connections that devices make to resources. The kernel has answered each already; it is then joined with its target, or reset.
/// Caller disposes after <see cref="RunAsync"/> has ended.
/// </summary>
internal sealed class TcpFlows(Socket listener, FlowAdmission admission) : IDisposable
{
    // The longest request method and its space, and more than any greeting needs.
    private const int EnoughFirstWords = 8, MaxFirstWords = 4096;

    // A server may be the one that speaks first: its client would wait for ever.
    private static readonly TimeSpan s_firstWords = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_lastWords = TimeSpan.FromSeconds(5);

    private readonly TaskSet _flows = new();

    /// <summary>The port that the nft table hands connections to.</summary>
    public int Port => ((IPEndPoint)listener.LocalEndPoint!).Port;

    /// <summary>Accepts until cancelled; flows end with their devices or when told to.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                var accepted = await listener.AcceptAsync(cancellationToken);
                _flows.Run(() => ServeAsync(accepted, cancellationToken));
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.TooManyOpenSockets or SocketError.NoBufferSpaceAvailable)
            {
                // Out of descriptors: others must end first; spinning would not help them.
                await Task.Delay(TimeSpan.FromMilliseconds(100), admission.Clock.Time, CancellationToken.None);
            }
            catch (SocketException)
            {
                // This one connection was gone before it was accepted.
            }
        }
    }

    /// <summary>Waits for the flows' ends; false when the limit has passed.</summary>
    public Task<bool> WaitAsync(TimeSpan limit) => _flows.WaitAsync(limit, admission.Clock.Time);

    public void Dispose() => listener.Dispose();

    private async Task ServeAsync(Socket accepted, CancellationToken stops)
    {
        using var stream = new SocketDuplexStream(accepted);
        IPEndPoint? from, dialled;
        try
        {
            (from, dialled) = ((IPEndPoint?)accepted.RemoteEndPoint, TransparentSocket.DialledAddress(accepted));
            // A device that has gone to another gateway, or for good, does not say so: after a quarter of an hour without a sign of it the flow is over.
            accepted.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
            accepted.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 300);
            accepted.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 60);
            accepted.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 10);
        }
        catch (SocketException)
        {
            return;
        }

        if (from is null || dialled is null || admission.TryEnter(from, dialled, FlowProtocol.Tcp) is not { } device)
        {
            stream.Abort("nobody's");
            return;
        }

        try
        {
            using var over = CancellationTokenSource.CreateLinkedTokenSource(device.Removed, stops);
            var decision = await admission.DecideAsync(new FlowRequest(device.Device, device.Outside, from, dialled, FlowProtocol.Tcp), over.Token);
            if (decision.Stream is { } target) await JoinAsync(accepted, stream, target, decision, over.Token);
            else if (decision.Server is { } server) await HandOverAsync(accepted, stream, server, over.Token);
            else await RefuseAsync(stream, decision, over.Token);
        }
        finally
        {
            admission.Leave(device, FlowProtocol.Tcp);
        }
    }

    private static async Task HandOverAsync(Socket accepted, SocketDuplexStream device, Func<Socket, Task> server, CancellationToken over)
    {
        // The stream is not used but to reset the connection under whoever serves it.
        await using var cut = over.UnsafeRegister(static s => ((SocketDuplexStream)s!).Abort("the device is gone"), device);
        await server(accepted);
    }

    private static async Task JoinAsync(Socket accepted, SocketDuplexStream device, DuplexStream target, FlowDecision decision, CancellationToken over)
    {
        await using var owned = target;
        var counters = new StreamPumpCounters();
        using var ends = CancellationTokenSource.CreateLinkedTokenSource(over, decision.Revoked);
        // A process that is killed leaves its connections to the kernel, which would end them as if they were whole.
        SetResetOnClose(accepted, true);
        var ending = await StreamPump.RunAsync(device, target, counters, ends.Token);
        if (ending == StreamPumpEnding.Completed) SetResetOnClose(accepted, false);
        var cause = ending switch
        {
            StreamPumpEnding.Completed => FlowEndCause.Completed,
            StreamPumpEnding.FirstAborted => FlowEndCause.ByDevice,
            StreamPumpEnding.SecondAborted => FlowEndCause.ByTarget,
            _ => FlowEndCause.Revoked,
        };
        decision.Ended?.Invoke(new FlowEnd(cause, counters.FirstToSecond, counters.SecondToFirst));
    }

    private static void SetResetOnClose(Socket accepted, bool resets)
    {
        try
        {
            accepted.LingerState = new LingerOption(resets, 0);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Reset already.
        }
    }

    private async Task RefuseAsync(SocketDuplexStream device, FlowDecision decision, CancellationToken over)
    {
        // Not used, and perhaps there all the same: whoever decided did not look at the protocol.
        if (decision.Datagrams is not null) await decision.DropAsync();
        if (decision.Answer is { } ask && await ListenAsync(device, over) is { Length: > 0 } first && ask(first) is { IsEmpty: false } answer) await AnswerAsync(device, answer, over);
        device.Abort("refused");
    }

    /// <summary>What a connection says by itself, in the beginning; empty: nothing soon enough.</summary>
    private async Task<ReadOnlyMemory<byte>> ListenAsync(SocketDuplexStream device, CancellationToken over)
    {
        using var late = new CancellationTokenSource(s_firstWords, admission.Clock.Time);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(over, late.Token);
        var first = new byte[MaxFirstWords];
        var length = 0;
        try
        {
            while (length < EnoughFirstWords)
            {
                var read = await device.ReadAsync(first.AsMemory(length), limit.Token);
                if (read == 0) break;
                length += read;
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // It says nothing, or is gone.
        }

        return first.AsMemory(0, length);
    }

    // A reset would overtake the answer: the end is a polite one, once the device has read it and ends too, or a moment later.
    private async Task AnswerAsync(SocketDuplexStream device, ReadOnlyMemory<byte> answer, CancellationToken over)
    {
        using var late = new CancellationTokenSource(s_lastWords, admission.Clock.Time);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(over, late.Token);
        var request = new byte[4096];
        try
        {
            await device.WriteAsync(answer, limit.Token);
            await device.CompleteWritesAsync(limit.Token);
            // What it has sent is read, or the kernel would reset the connection; not for ever, or it could be kept open.
            for (var read = 0; read < 1 << 20;)
            {
                var now = await device.ReadAsync(request, limit.Token);
                if (now == 0) return;
                read += now;
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // It did not want to know.
        }
    }
}
