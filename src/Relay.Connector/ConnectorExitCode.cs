namespace Relay.Connector;

/// <summary>How the connector's process ends. The numbers are an interface: scripts and units test for them.</summary>
public static class ConnectorExitCode
{
    /// <summary>Stopped in order.</summary>
    public const int Ok = 0;

    /// <summary>Anything not named below.</summary>
    public const int Error = 1;

    /// <summary>A flag, variable or configuration file that cannot be used.</summary>
    public const int Usage = 2;

    /// <summary>No token in any of the places looked at.</summary>
    public const int NoToken = 10;

    /// <summary>What was found is not a connector token.</summary>
    public const int TokenMalformed = 11;

    /// <summary>The token was revoked.</summary>
    public const int TokenRevoked = 12;

    /// <summary>The token is past its end.</summary>
    public const int TokenExpired = 13;

    /// <summary>The token belongs to another grid.</summary>
    public const int TokenForeign = 14;

    /// <summary>The connector was deleted.</summary>
    public const int ConnectorDeleted = 15;

    /// <summary>Another agent holds this connector, and it lives.</summary>
    public const int AlreadyConnected = 16;

    /// <summary>The grid speaks another version of the tunnel's protocol.</summary>
    public const int ProtocolVersion = 17;
}
