namespace Relay.Gateway.WireGuard.Decisions;

/// <summary>
/// Datagrams to and from a target, up to 65507 bytes each, empty ones included; may be lost, as over any network. One sender and one
/// receiver at a time. Caller disposes.
/// </summary>
internal interface IDatagramPipe : IAsyncDisposable
{
    /// <summary>Sends one towards the target and does not wait; false when it was dropped.</summary>
    bool TrySend(ReadOnlySpan<byte> datagram);

    /// <summary>Waits until there is one from the target; false when none will come any more, because the target's side has ended it in order.</summary>
    /// <exception cref="IOException">The target's side has reset it: before anything came back, because nobody takes datagrams there.</exception>
    ValueTask<bool> WaitToReceiveAsync(CancellationToken cancellationToken);

    /// <summary>Takes one from the target; false when there is none now.</summary>
    /// <param name="buffer">Room for the longest.</param>
    /// <param name="length">Its length.</param>
    bool TryReceive(Span<byte> buffer, out int length);
}
