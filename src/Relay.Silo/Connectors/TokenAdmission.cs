using Relay.Protocol.Tokens;
using Relay.Protocol.Tunnel;
using Relay.Silo.Authorities;
using Relay.Silo.Storage;

namespace Relay.Silo.Connectors;

/// <summary>Connector tokens as the grid's authorities and the token table judge them.</summary>
internal sealed class TokenAdmission(IConnectorTokens tokens, IAuthorities authorities) : IConnectorAdmission
{
    public async ValueTask<ConnectorAdmission> CheckAsync(string token, CancellationToken cancellationToken)
    {
        // Form first: "not a token" and "another grid's token" are different mistakes of the operator.
        if (!JsonWebToken.TryParse(token, out var jwt) || jwt.Type != TokenTypes.Connector)
            return ConnectorAdmission.Refused(AttachCodes.TokenMalformed, "this is not a connector token");
        var check = await tokens.CheckAsync(token, cancellationToken);
        return check.State switch
        {
            ConnectorTokenState.Valid => ConnectorAdmission.Admitted(new AdmittedConnector(
                check.ConnectorId, check.ConnectorName, check.OrganizationId, check.TokenId, authorities.SshCaPublic(check.OrganizationId), check.Version)),
            ConnectorTokenState.Revoked => ConnectorAdmission.Refused(AttachCodes.TokenRevoked, "this connector token was revoked; make a new one with: relay connector token create"),
            ConnectorTokenState.Expired => ConnectorAdmission.Refused(AttachCodes.TokenExpired, "this connector token has expired; make a new one with: relay connector token create"),
            ConnectorTokenState.ConnectorDeleted => ConnectorAdmission.Refused(AttachCodes.ConnectorDeleted, "the connector of this token was deleted"),
            _ => ConnectorAdmission.Refused(AttachCodes.TokenForeign, "this token was not made by this grid"),
        };
    }
}
