using System.Globalization;
using System.Text.Json.Serialization.Metadata;
using Relay.Api;
using Relay.Silo.Snapshots;
using Relay.Silo.Storage;

namespace Relay.Silo.Api.Http;

/// <summary>
/// Answers of writes say where in the grid they are in force. A filter on every endpoint that writes waits for it, after the commit; no
/// endpoint can forget to.
/// </summary>
internal static class Confirmations
{
    private const int MaxWaitSeconds = 10;
    private static readonly object WriteKey = new();
    private static readonly object RevocationKey = new();

    /// <summary>The request's write: what it commits is waited for.</summary>
    public static void Follow(this HttpContext http, OrganizationWrite write) => http.Items[WriteKey] = write;

    /// <summary>The filter. The caller who does not wait for the answer does not undo the write.</summary>
    public static async ValueTask<object?> WaitAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        var http = context.HttpContext;
        var atMost = AtMost(http);
        var result = await next(context);
        if (http.Items[WriteKey] is OrganizationWrite { CommittedVersion: { } version } write)
        {
            var confirmation = await http.RequestServices.GetRequiredService<GridConfirmation>().WaitAsync(write.OrganizationId, version, atMost, http.RequestAborted);

            // An API that is part of no grid has nothing to say about one.
            if (confirmation.Silos > 0)
                http.Items[RevocationKey] = Describe(confirmation, version, atMost);
        }

        return result;
    }

    /// <summary>The same for an order to end sessions, which makes no version.</summary>
    public static async Task WaitForKillsAsync(this HttpContext http, IReadOnlyList<Guid> sessions)
    {
        var atMost = AtMost(http);
        var confirmation = await http.RequestServices.GetRequiredService<GridConfirmation>().WaitForKillsAsync(sessions, atMost, http.RequestAborted);
        http.Items[RevocationKey] = Describe(confirmation, null, atMost);
    }

    /// <summary>The value with what the filter found out.</summary>
    public static T Confirm<T>(HttpContext http, T value) =>
        value is Confirmed confirmed && http.Items[RevocationKey] is Revocation revocation ? (T)(object)(confirmed with { Revocation = revocation }) : value;

    private static Revocation Describe(Confirmation confirmation, long? version, TimeSpan atMost) => new()
    {
        Version = version,
        Silos = confirmation.Silos,
        Confirmed = confirmation.Confirmed,
        Seconds = Math.Round((confirmation.IsComplete ? confirmation.Took ?? TimeSpan.Zero : atMost).TotalSeconds, 3),
    };

    // RFC 7240 §4.3; other preferences are not ours to follow, and a preference may be ignored but not garbled.
    private static TimeSpan AtMost(HttpContext http)
    {
        foreach (var preference in http.Request.Headers["Prefer"].SelectMany(v => v?.Split(',', StringSplitOptions.TrimEntries) ?? []))
        {
            if (!preference.StartsWith("wait=", StringComparison.OrdinalIgnoreCase))
                continue;
            if (!int.TryParse(preference.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) || seconds > MaxWaitSeconds)
                throw new ApiException(400, ErrorCodes.BadRequest, $"Prefer: wait= takes 0 to {MaxWaitSeconds} seconds");
            return TimeSpan.FromSeconds(seconds);
        }

        return GridConfirmation.AtMost;
    }
}

/// <summary>A JSON answer of the API, with the confirmation of the write it answers.</summary>
internal sealed class JsonReply<T>(T value, JsonTypeInfo<T> type, int statusCode) : IResult
{
    public Task ExecuteAsync(HttpContext httpContext) => TypedResults.Json(Confirmations.Confirm(httpContext, value), type, statusCode: statusCode).ExecuteAsync(httpContext);
}
