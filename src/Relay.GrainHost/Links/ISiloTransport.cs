namespace Relay.GrainHost.Links;

/// <summary>How silos reach each other. The implementation authenticates both ends; the grain host adds nothing to that.</summary>
public interface ISiloTransport
{
    /// <summary>Dials the silo at <paramref name="siloAddress"/> ("host:port"): a duplex stream whose other end is given to its <c>GrainSilo.AcceptAsync</c>. Reads and writes may overlap. The caller disposes it.</summary>
    ValueTask<Stream> ConnectAsync(string siloAddress, CancellationToken cancellationToken);
}
