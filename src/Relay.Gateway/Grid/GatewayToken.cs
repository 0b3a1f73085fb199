namespace Relay.Gateway.Grid;

/// <summary>What a gateway reads from its own token. It is not verified here: only the silo can; the pin inside is what the silo is verified by.</summary>
/// <param name="Text">The token as it is sent; a secret.</param>
/// <param name="AuthorityPin">Claim <c>ca</c>: hex SHA-256 of the grid CA's SubjectPublicKeyInfo.</param>
/// <param name="Silos">Claim <c>silos</c>: grid addresses.</param>
internal sealed record GatewayToken(string Text, string AuthorityPin, IReadOnlyList<string> Silos)
{
    /// <summary>Not the text: a token must not end up in a log.</summary>
    public override string ToString() => "gateway token";
}
