using System.Threading.Channels;

namespace Relay.Silo.Snapshots;

/// <summary>Wakes one waiting loop; several calls before it waits again are one. Safe for concurrent use, one waiter.</summary>
internal sealed class Wakeup
{
    private readonly Channel<bool> _channel = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });

    public void Set() => _channel.Writer.TryWrite(true);

    /// <summary>Returns when <see cref="Set"/> was called since the last return, or after <paramref name="atMost"/>.</summary>
    /// <exception cref="OperationCanceledException">Only from <paramref name="cancellationToken"/>.</exception>
    public async Task WaitAsync(TimeSpan atMost, TimeProvider time, CancellationToken cancellationToken)
    {
        using var pause = new CancellationTokenSource(atMost, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(pause.Token, cancellationToken);
        try
        {
            await _channel.Reader.WaitToReadAsync(either.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // The pause is over.
        }

        _channel.Reader.TryRead(out _);
    }
}
