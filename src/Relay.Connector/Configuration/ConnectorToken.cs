using Relay.Protocol.Tokens;

namespace Relay.Connector.Configuration;

/// <summary>What the agent reads from its own token. Nothing here is verified: the silo does that; the agent needs whom to trust and where to dial.</summary>
/// <param name="AuthorityPin">Hex SHA-256 of the grid CA's public key: the only CA the agent trusts.</param>
internal sealed record ConnectorToken(Guid ConnectorId, string AuthorityPin, IReadOnlyList<string> Silos)
{
    private const int MaxSilos = 64;

    /// <exception cref="ConnectorConfigurationException">Not a connector token.</exception>
    public static ConnectorToken Read(ConnectorOptions options)
    {
        if (!JsonWebToken.TryParse(options.Token, out var jwt))
            throw Malformed(options, "it is not a token");
        if (jwt.Type != "connector")
            throw Malformed(options, jwt.Type is { Length: > 0 and < 32 } type ? $"it is a {type} token, and a connector token is needed" : "it is not a connector token");
        if (jwt.ConnectorId is not { } connector)
            throw Malformed(options, "it names no connector");
        if (jwt.GridCaHash is not { Length: 64 } pin || !pin.All(char.IsAsciiHexDigit))
            throw Malformed(options, "it does not say which grid to trust");
        string[] silos = [.. jwt.Silos.Take(MaxSilos).Where(s => ServerAddress.TryParse(s, out _, out _))];
        if (silos.Length == 0 && options.Servers.Count == 0)
            throw Malformed(options, "it names no server to connect to");
        return new ConnectorToken(connector, pin, silos);
    }

    private static ConnectorConfigurationException Malformed(ConnectorOptions options, string why) =>
        new(ConnectorExitCode.TokenMalformed, $"the token from {options.TokenSource} cannot be used: {why}");
}
