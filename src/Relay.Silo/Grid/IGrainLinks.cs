namespace Relay.Silo.Grid;

/// <summary>Takes grain calls that arrive on the grid's port. Registered by a grain host that uses that port; another has its own.</summary>
internal interface IGrainLinks
{
    /// <summary>Serves a link until it ends.</summary>
    /// <param name="stream">Duplex, authenticated as a silo's.</param>
    /// <param name="peerName">The name in the peer's certificate.</param>
    /// <param name="cancellationToken">The connection is gone.</param>
    Task AcceptAsync(Stream stream, string peerName, CancellationToken cancellationToken);
}
