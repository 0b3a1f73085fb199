using Relay.Protocol.Grid;
using Relay.Silo.Authorities;
using Relay.Silo.Storage;

namespace Relay.Silo.Grid;

/// <summary>A gateway with a token gets its certificate; the only route for peers that have none.</summary>
internal sealed partial class EnrollRoute(IAuthorities authorities, TokenStore tokens, TimeProvider time, ILogger<EnrollRoute> logger) : IGridRoutes
{
    public void Map(IEndpointRouteBuilder routes) => routes.MapPost(GridRoutes.Enroll, EnrollAsync).Open();

    private async Task EnrollAsync(HttpContext context)
    {
        if (await GridReply.ReadAsync(context, GridJson.Default.EnrollRequest, time) is not { } request)
            return;

        // The token first: a stranger learns nothing about what else would be wrong.
        if (!await tokens.IsGatewayTokenValidAsync(request.Token ?? "", context.RequestAborted))
        {
            LogRefused(logger, context.Connection.RemoteIpAddress?.ToString() ?? "");
            await GridReply.RefuseAsync(context, StatusCodes.Status401Unauthorized, "token_invalid", "the gateway token is not one of this grid, has expired or was revoked");
            return;
        }

        if (!GridCertificates.IsName(request.Name))
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status400BadRequest, "bad_name", "a gateway's name is 1 to 63 characters of [a-z0-9.-]");
            return;
        }

        if (!GridCertificates.TryReadSigningRequest(request.CertificateSigningRequest, out var key))
        {
            await GridReply.RefuseAsync(context, StatusCodes.Status400BadRequest, "bad_request", "the signing request is not PKCS#10 in PEM for an ECDSA P-256 key, or its signature does not hold");
            return;
        }

        var (claimed, notBefore) = await tokens.ClaimGatewayNameAsync(request.Token!, request.Name, context.RequestAborted);
        if (!claimed)
        {
            LogNameTaken(logger, request.Name, context.Connection.RemoteIpAddress?.ToString() ?? "");
            await GridReply.RefuseAsync(context, StatusCodes.Status409Conflict, "name_taken",
                $"the gateway name {request.Name} belongs to another gateway token: choose another RELAY_GATEWAY_NAME, use a token of the same name, or revoke the former one (relay gateway token list)");
            return;
        }

        using var certificate = authorities.IssueGridCertificate(new GridPeer(GridRole.Gateway, request.Name), key, notBefore);
        LogEnrolled(logger, request.Name, certificate.NotAfter);
        await GridReply.WriteAsync(context, new EnrollResponse(certificate.ExportCertificatePem(), authorities.GridCa.ExportCertificatePem()), GridJson.Default.EnrollResponse);
    }

    [LoggerMessage(4003, LogLevel.Information, "gateway {Gateway} enrolled until {NotAfter}")]
    private static partial void LogEnrolled(ILogger logger, string gateway, DateTimeOffset notAfter);

    [LoggerMessage(4005, LogLevel.Warning, "enrolment refused from {Remote}: the name {Gateway} belongs to another token")]
    private static partial void LogNameTaken(ILogger logger, string gateway, string remote);

    [LoggerMessage(4004, LogLevel.Warning, "enrolment refused from {Remote}")]
    private static partial void LogRefused(ILogger logger, string remote);
}
