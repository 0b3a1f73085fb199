namespace Relay.Silo.Connectors;

/// <summary>Judges connector tokens. Safe for concurrent use.</summary>
internal interface IConnectorAdmission
{
    /// <summary>Checks form, signature, type, expiry, revocation and that the connector exists.</summary>
    /// <exception cref="Npgsql.NpgsqlException">The store cannot be asked.</exception>
    ValueTask<ConnectorAdmission> CheckAsync(string token, CancellationToken cancellationToken);
}

/// <summary>The outcome: a connector, or a refusal with a code of <see cref="Relay.Protocol.Tunnel.AttachCodes"/> and a sentence. Never both.</summary>
internal readonly record struct ConnectorAdmission(AdmittedConnector? Connector, string? Code, string? Message)
{
    public static ConnectorAdmission Refused(string code, string message) => new(null, code, message);

    public static ConnectorAdmission Admitted(AdmittedConnector connector) => new(connector, null, null);
}

/// <param name="TokenId">The token's row, to be asked again while the tunnel lives.</param>
/// <param name="Version">The organization's version when the token was found good; 0: not known.</param>
/// <param name="SshCa">The organization's SSH CA, OpenSSH line.</param>
internal sealed record AdmittedConnector(Guid ConnectorId, string Name, Guid OrganizationId, Guid TokenId, string SshCa, long Version = 0);
