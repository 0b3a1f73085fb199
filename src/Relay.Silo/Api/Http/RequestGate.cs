using System.Security.Cryptography;
using Npgsql;
using Relay.Api;
using Relay.Silo.Identity;
using Relay.Silo.Storage;

namespace Relay.Silo.Api.Http;

/// <summary>
/// What every API request passes: an id, the caller, the access table; and the one place where failures become answers.
/// Safe for concurrent use.
/// </summary>
internal sealed partial class RequestGate(RequestDelegate next, LoginSessions logins, NpgsqlDataSource database, StoreHealth health, ILogger<RequestGate> logger)
{
    private const string StoreIsAway =
        "the database cannot be reached: sessions go on and new ones start, but nothing can be changed or looked up, and nobody can log in; try again when the database is back (/health of the silo says when)";

    public async Task InvokeAsync(HttpContext http)
    {
        if (!http.Request.Path.StartsWithSegments(ApiRoutes.Base))
        {
            await next(http);
            return;
        }
        http.SetRequestId(Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8)));
        http.Response.Headers["X-Request-Id"] = http.RequestId();
        http.Response.Headers.CacheControl = "no-store";
        http.Response.Headers.XContentTypeOptions = "nosniff";
        var aborted = http.RequestAborted;
        // Whatever the request waits for, it waits no longer than the database is there.
        using var stop = new StoreBound(aborted, http.GetEndpoint()?.Metadata.GetMetadata<AccessRule>() is null ? CancellationToken.None : health.Outage);
        http.RequestAborted = stop.Token;
        try
        {
            if (http.Request.Path.Value!.Contains('\0', StringComparison.Ordinal))
                throw new ApiException(400, ErrorCodes.BadRequest, "the path contains a NUL character");
            await AdmitAsync(http);
            await next(http);
            if (!http.Response.HasStarted && http.Response.StatusCode is 404 or 405 && http.GetEndpoint()?.Metadata.GetMetadata<AccessRule>() is null)
                throw http.Response.StatusCode == 405
                    ? new ApiException(405, ErrorCodes.MethodNotAllowed, $"{http.Request.Method} is not possible here; allowed: {http.Response.Headers.Allow}")
                    : new ApiException(404, ErrorCodes.NotFound, "there is no such path; see /api/v1/openapi.json");
        }
        catch (OperationCanceledException) when (aborted.IsCancellationRequested)
        {
            // The caller is gone; there is nobody to answer.
        }
        catch (OperationCanceledException e) when (stop.StoreIsLost && !http.Response.HasStarted)
        {
            http.RequestAborted = aborted;
            await AnswerAsync(http, Translate(http, new StoreUnavailableException(inner: e)));
        }
        catch (Exception exception) when (!http.Response.HasStarted)
        {
            http.RequestAborted = aborted;
            health.Suspect(exception);
            await AnswerAsync(http, Translate(http, exception));
        }
        finally
        {
            http.RequestAborted = aborted;
        }
    }

    private async Task AdmitAsync(HttpContext http)
    {
        // No rule: the OpenAPI document, or no endpoint at all.
        if (http.GetEndpoint()?.Metadata.GetMetadata<AccessRule>() is not { } rule || rule.Roles == Roles.Anyone)
            return;
        var caller = await logins.FindCallerAsync(BearerToken(http), http.RequestAborted);
        http.SetCaller(caller);
        if ((caller.Roles & rule.Roles) != Roles.None)
        {
            QueryParameters.Check(http);
            return;
        }
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        await AuditTrail.AppendAsync(connection, null, http.Actor(), "api.denied", "endpoint", ApiException.Printable($"{http.Request.Method} {http.Request.Path}"), "denied", new() { ["role"] = caller.Role }, http.RequestAborted);
        throw ApiException.Forbidden($"the role {caller.Role} may not do this; it takes {Names(rule.Roles)} (decision {http.RequestId()})");
    }

    private static string? BearerToken(HttpContext http)
    {
        var header = http.Request.Headers.Authorization.ToString();
        const string Scheme = "Bearer ";
        if (header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase))
            return header[Scheme.Length..].Trim();
        return http.Request.Headers["x-access-token"].ToString() is { Length: > 0 } token ? token : null;
    }

    private static string Names(Roles roles) =>
        string.Join(" or ", new[] { Roles.Admin, Roles.Member, Roles.ReadOnly, Roles.Client }.Where(r => roles.HasFlag(r))
            .Select(r => r switch { Roles.ReadOnly => "read_only", _ => r.ToString().ToLowerInvariant() }));

    private ApiException Translate(HttpContext http, Exception exception)
    {
        switch (exception)
        {
            case ApiException known:
                return known;
            case BadHttpRequestException bad:
                return new ApiException(bad.StatusCode, bad.StatusCode == 413 ? ErrorCodes.TooLarge : ErrorCodes.BadRequest, bad.StatusCode == 413 ? "the body is too large" : "the request cannot be read");
            case PostgresException { SqlState: PostgresErrorCodes.UniqueViolation }:
                return new ApiException(409, ErrorCodes.Conflict, "another request made the same thing at the same time");
            case PostgresException { SqlState: PostgresErrorCodes.ForeignKeyViolation }:
                return new ApiException(409, ErrorCodes.Conflict, "something it refers to was deleted meanwhile");
            case Exception away when StoreErrors.IsOutage(away):
                LogStore(logger, exception.GetType().Name, http.RequestId());
                return new ApiException(503, ErrorCodes.StoreUnavailable, StoreIsAway) { RetryAfterSeconds = 5 };
            case PostgresException { IsTransient: false } broken:
                LogFailed(logger, broken, http.Request.Method, http.GetEndpoint()?.DisplayName ?? "", http.RequestId());
                return Internal(http);
            case NpgsqlException or TimeoutException:
                LogStore(logger, exception.GetType().Name, http.RequestId());
                return new ApiException(503, ErrorCodes.StoreUnavailable, StoreIsAway) { RetryAfterSeconds = 5 };
            default:
                LogFailed(logger, exception, http.Request.Method, http.GetEndpoint()?.DisplayName ?? "", http.RequestId());
                return Internal(http);
        }
    }

    private static ApiException Internal(HttpContext http) => new(500, ErrorCodes.Internal, $"something went wrong in the silo; its log has the request {http.RequestId()}");

    private static async Task AnswerAsync(HttpContext http, ApiException error)
    {
        http.Response.Clear();
        http.Response.Headers["X-Request-Id"] = http.RequestId();
        http.Response.Headers.CacheControl = "no-store";
        http.Response.StatusCode = error.StatusCode;
        if (error.RetryAfterSeconds is { } seconds)
            http.Response.Headers.RetryAfter = seconds.ToString(System.Globalization.CultureInfo.InvariantCulture);
        if (error.StatusCode == 401)
            http.Response.Headers.WWWAuthenticate = "Bearer";
        var body = new ApiError { ErrorMessage = error.Message, StatusCode = error.StatusCode, Code = error.Code, RequestId = http.RequestId(), Details = error.Details };
        await http.Response.WriteAsJsonAsync(body, ApiJson.Default.ApiError, cancellationToken: http.RequestAborted);
    }

    // The exception's text may quote values of the request; its type and stack do not.
    [LoggerMessage(2100, LogLevel.Error, "API request {RequestId} failed: {Method} {Endpoint}")]
    private static partial void LogFailed(ILogger logger, Exception exception, string method, string endpoint, string requestId);

    [LoggerMessage(2101, LogLevel.Warning, "API request {RequestId} failed: the database cannot be reached ({Exception})")]
    private static partial void LogStore(ILogger logger, string exception, string requestId);
}
