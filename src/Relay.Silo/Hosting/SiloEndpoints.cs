using System.Net;
using System.Net.Sockets;
using Relay.Protocol.Grid;

namespace Relay.Silo.Hosting;

/// <summary>
/// The listening sockets of the grid and the connectors, bound before anything starts: tokens, certificates and the membership
/// table carry the addresses, so with port 0 they must be known first. Whoever accepts on a socket owns it; dispose closes the others.
/// </summary>
internal sealed class SiloEndpoints : IDisposable
{
    private SiloEndpoints(SiloOptions options, Socket grid, Socket connectors)
    {
        GridSocket = grid;
        ConnectorSocket = connectors;
        GridEndPoint = (IPEndPoint)grid.LocalEndPoint!;
        ConnectorEndPoint = (IPEndPoint)connectors.LocalEndPoint!;
        Grid = options.GridAdvertise ?? Text(GridEndPoint);
        Connectors = options.ConnectorAdvertise ?? Text(ConnectorEndPoint);
    }

    /// <summary>Bound, not yet listening.</summary>
    public Socket GridSocket { get; }

    /// <summary>Bound, not yet listening.</summary>
    public Socket ConnectorSocket { get; }

    /// <summary>With the real port.</summary>
    public IPEndPoint GridEndPoint { get; }

    /// <summary>With the real port.</summary>
    public IPEndPoint ConnectorEndPoint { get; }

    /// <summary>Advertised "host:port" for gateways and silos: this silo's name in the membership.</summary>
    public string Grid { get; }

    /// <summary>Advertised "host:port" for connectors.</summary>
    public string Connectors { get; }

    /// <exception cref="IOException">An address is taken or not ours; the message says which.</exception>
    public static SiloEndpoints Bind(SiloOptions options)
    {
        var grid = Bind(options.GridListen, "grid");
        try
        {
            return new SiloEndpoints(options, grid, Bind(options.ConnectorListen, "connector"));
        }
        catch
        {
            grid.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        GridSocket.Dispose();
        ConnectorSocket.Dispose();
    }

    private static Socket Bind(IPEndPoint endpoint, string what)
    {
        var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (endpoint.Address.Equals(IPAddress.IPv6Any))
                socket.DualMode = true;
            socket.Bind(endpoint);
            return socket;
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new IOException($"cannot listen on {endpoint} ({what}): {e.Message}", e);
        }
    }

    private static string Text(IPEndPoint endpoint) => GridAddress.Format(endpoint.Address.ToString(), endpoint.Port);
}
