using System.Runtime.CompilerServices;
using Relay.Gateway.Sessions;
using Relay.Protocol.Tunnel;

namespace Relay.Gateway.Upstream;

/// <summary>
/// The bytes between the gateway and a session's target. A silo that ends a session cuts this stream and says why on another one; the cut
/// may be here first. So a failure is held back until the reason has come and the user has been told, or for a moment when there is none:
/// otherwise all that a user saw of a revocation would be a lost connection. Caller disposes.
/// </summary>
internal sealed class ReasonedStream : DuplexStream
{
    /// <summary>How long a reason may be behind the cut.</summary>
    public static readonly TimeSpan ReasonLimit = TimeSpan.FromSeconds(1);

    // The farewell has a limit of its own, which is shorter.
    private static readonly TimeSpan s_told = TimeSpan.FromSeconds(3);

    private readonly DuplexStream _inner;
    private readonly GatewaySession _session;
    private readonly CancellationTokenSource _aborted = new();
    private readonly CancellationTokenRegistration _innerAborted;
    private volatile bool _ours;

    public ReasonedStream(DuplexStream inner, GatewaySession session)
    {
        (_inner, _session) = (inner, session);
        _innerAborted = inner.Aborted.UnsafeRegister(static s => _ = ((ReasonedStream)s!).OnAbortedAsync(), this);
    }

    public override CancellationToken Aborted => _aborted.Token;

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var read = _inner.ReadAsync(buffer, cancellationToken);
        return read.IsCompletedSuccessfully ? read : AwaitAsync(read);
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var write = _inner.WriteAsync(buffer, cancellationToken);
        return write.IsCompletedSuccessfully ? write : AwaitAsync(write);
    }

    public override ValueTask CompleteWritesAsync(CancellationToken cancellationToken = default)
    {
        var completing = _inner.CompleteWritesAsync(cancellationToken);
        return completing.IsCompletedSuccessfully ? completing : AwaitAsync(completing);
    }

    public override void Abort(string reason)
    {
        _ours = true;
        _inner.Abort(reason);
    }

    public override async ValueTask DisposeAsync()
    {
        _ours = true;
        await _innerAborted.DisposeAsync();
        await _inner.DisposeAsync();
        await base.DisposeAsync();
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _ours = true;
            _innerAborted.Dispose();
            _inner.Dispose();
        }

        base.Dispose(disposing);
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<int> AwaitAsync(ValueTask<int> read)
    {
        try
        {
            return await read;
        }
        catch (IOException)
        {
            await HoldAsync();
            throw;
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder))]
    private async ValueTask AwaitAsync(ValueTask write)
    {
        try
        {
            await write;
        }
        catch (IOException)
        {
            await HoldAsync();
            throw;
        }
    }

    private async Task OnAbortedAsync()
    {
        await HoldAsync();
        await _aborted.CancelAsync();
    }

    // What this side broke off needs no reason.
    private async Task HoldAsync()
    {
        if (_ours)
        {
            return;
        }

        await WaitAsync(_session.Ended, ReasonLimit);
        if (_session.Ended.IsCompleted)
        {
            await WaitAsync(_session.Told, s_told);
        }
    }

    private Task WaitAsync(Task what, TimeSpan atMost) =>
        what.WaitAsync(atMost, _session.Time).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
}
