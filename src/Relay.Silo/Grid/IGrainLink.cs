namespace Relay.Silo.Grid;

/// <summary>Takes the raw streams that other silos open for grain calls.</summary>
internal interface IGrainLink
{
    /// <summary>Serves the stream until it ends.</summary>
    /// <param name="stream">Duplex; disposed by the caller afterwards.</param>
    /// <param name="peer">The name in the peer's certificate.</param>
    Task AcceptAsync(Stream stream, string peer, CancellationToken cancellationToken);
}
