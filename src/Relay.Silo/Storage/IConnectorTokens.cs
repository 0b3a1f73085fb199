namespace Relay.Silo.Storage;

/// <summary>Tells whether a connector's token is good now. Safe for concurrent use.</summary>
internal interface IConnectorTokens
{
    /// <summary>Checks signature, use, dates and the token's row; marks the row as used when it is good.</summary>
    Task<ConnectorTokenCheck> CheckAsync(string token, CancellationToken cancellationToken);
}

/// <summary>What a token turned out to be. The zero value admits nobody.</summary>
internal enum ConnectorTokenState
{
    /// <summary>Not signed by this grid, not a connector's token, or of a row that does not exist.</summary>
    Unknown = 0,

    /// <summary>Good.</summary>
    Valid,

    Revoked,

    Expired,

    /// <summary>The connector was deleted, and its tokens with it.</summary>
    ConnectorDeleted,
}

/// <summary>Result of a check; ids and names are set when <see cref="State"/> is valid, empty otherwise.</summary>
/// <param name="Version">The organization's version at which it was found good.</param>
internal sealed record ConnectorTokenCheck(ConnectorTokenState State, Guid TokenId, Guid OrganizationId, Guid ConnectorId, string ConnectorName, string OrganizationName, long Version)
{
    public static ConnectorTokenCheck Refused(ConnectorTokenState state) => new(state, Guid.Empty, Guid.Empty, Guid.Empty, "", "", 0);
}
