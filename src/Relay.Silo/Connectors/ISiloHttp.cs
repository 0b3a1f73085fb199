namespace Relay.Silo.Connectors;

/// <summary>HTTP/2 with mTLS to other silos' grid routes. Safe for concurrent use.</summary>
internal interface ISiloHttp
{
    /// <summary>The client for one silo; shared, do not dispose.</summary>
    /// <param name="gridAddress">Advertised grid address "host:port".</param>
    HttpMessageInvoker For(string gridAddress);
}
