using System.Net;

namespace Relay.Gateway.Grid;

/// <summary>A silo's refusal or silence. The message is safe to show.</summary>
/// <param name="status">The HTTP status; null when no silo answered, so another one may be tried.</param>
/// <param name="code">The silo's stable code, "unreachable", or "protocol".</param>
internal sealed class GridException(string message, HttpStatusCode? status, string code, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>Null when no silo answered.</summary>
    public HttpStatusCode? Status { get; } = status;

    public string Code { get; } = code;

    /// <summary>The same request may succeed elsewhere or a moment later.</summary>
    public bool IsTransient => Status is null or HttpStatusCode.ServiceUnavailable or HttpStatusCode.TooManyRequests
        or HttpStatusCode.BadGateway or HttpStatusCode.GatewayTimeout or HttpStatusCode.InternalServerError;

    /// <summary>Something earlier is not in the store yet: another silo has it in its spool, and is about to bring it.</summary>
    public bool IsEarly => Code == "gap";

    /// <summary>This silo has no place for it while the store is away; another one may have.</summary>
    public bool IsFull => Status is HttpStatusCode.InsufficientStorage;
}
