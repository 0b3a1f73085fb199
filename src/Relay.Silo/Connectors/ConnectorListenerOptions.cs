using System.Net.Security;
using System.Net.Sockets;

namespace Relay.Silo.Connectors;

/// <summary>How connectors reach this silo.</summary>
internal sealed record ConnectorListenerOptions
{
    /// <summary>Bound, not yet listening; the listener owns it.</summary>
    public required Socket Socket { get; init; }

    /// <summary>This silo's grid certificate, asked anew for every handshake so that a renewed one is used at once.</summary>
    public required Func<SslStreamCertificateContext> Certificate { get; init; }

    /// <summary>Connections of one address (IPv6: one /64) that have not proved a token. Default: 256.</summary>
    public int MaxPendingPerAddress { get; init; } = 256;

    /// <summary>Connections that have not proved a token, in all. Default: 4096.</summary>
    public int MaxPending { get; init; } = 4096;
}
