using System.Runtime.CompilerServices;
using Relay.Gateway.Sessions;

namespace Relay.Gateway.Upstream;

/// <summary>
/// The bytes between the gateway and a session's target. A silo that ends a session cuts this stream and says why on another one; the cut
/// may be here first. So a failure is held back until the reason has come and the user has been told, or for a moment when there is none:
/// otherwise all that a user saw of a revocation would be a lost connection. Caller disposes.
/// </summary>
internal sealed class ReasonedStream(Stream inner, GatewaySession session) : Stream
{
    /// <summary>How long a reason may be behind the cut.</summary>
    public static readonly TimeSpan ReasonLimit = TimeSpan.FromSeconds(1);

    // The farewell has a limit of its own, which is shorter.
    private static readonly TimeSpan s_told = TimeSpan.FromSeconds(3);

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var read = inner.ReadAsync(buffer, cancellationToken);
        return read.IsCompletedSuccessfully ? read : AwaitAsync(read);
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var write = inner.WriteAsync(buffer, cancellationToken);
        return write.IsCompletedSuccessfully ? write : AwaitAsync(write);
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task FlushAsync(CancellationToken cancellationToken) => inner.FlushAsync(cancellationToken);

    public override void Flush() => inner.Flush();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override async ValueTask DisposeAsync()
    {
        await inner.DisposeAsync();
        await base.DisposeAsync();
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            inner.Dispose();
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

    private async Task HoldAsync()
    {
        await WaitAsync(session.Ended, ReasonLimit);
        if (session.Ended.IsCompleted)
        {
            await WaitAsync(session.Told, s_told);
        }
    }

    private Task WaitAsync(Task what, TimeSpan atMost) =>
        what.WaitAsync(atMost, session.Time).ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
}
