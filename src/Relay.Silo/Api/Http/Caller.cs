using Relay.Silo.Storage;

namespace Relay.Silo.Api.Http;

/// <summary>Who calls, as the database knows them at this request. Immutable.</summary>
/// <param name="LoginSessionId">The token's row.</param>
internal sealed record Caller(Guid OrganizationId, string OrganizationName, Guid UserId, string Email, string DisplayName, string Role, Guid LoginSessionId, DateTimeOffset LoginExpiresAt)
{
    public Roles Roles => ApiAccess.Parse(Role);

    public bool IsAdmin => Role == "admin";
}

/// <summary>The request's caller and what the audit trail says about them.</summary>
internal static class CallerFeatures
{
    private static readonly object CallerKey = new();
    private static readonly object RequestIdKey = new();

    /// <exception cref="InvalidOperationException">The endpoint is open to anyone.</exception>
    public static Caller Caller(this HttpContext http) => http.Items[CallerKey] as Caller ?? throw new InvalidOperationException("the endpoint has no caller");

    public static void SetCaller(this HttpContext http, Caller caller) => http.Items[CallerKey] = caller;

    public static string RequestId(this HttpContext http) => http.Items[RequestIdKey] as string ?? "";

    public static void SetRequestId(this HttpContext http, string id) => http.Items[RequestIdKey] = id;

    /// <summary>The peer's address. SECURITY: forwarded headers are not read, anybody can send them (L26).</summary>
    public static string PeerAddress(this HttpContext http)
    {
        var address = http.Connection.RemoteIpAddress;
        return address is null ? "" : address.IsIPv4MappedToIPv6 ? address.MapToIPv4().ToString() : address.ToString();
    }

    public static Actor Actor(this HttpContext http)
    {
        var caller = http.Caller();
        return new Actor(caller.OrganizationId, caller.UserId, caller.Email, http.PeerAddress(), http.RequestId());
    }
}
