using System.Text.Json.Serialization;

namespace Relay.Api;

// The REST API's bodies. Linked into the CLI as source, so nothing here may need more than the base library.
// In requests every field is optional to the serializer (validation names all missing ones at once);
// in an update a field that is absent or null stays as it is.

/// <summary>Every refusal has this body.</summary>
public sealed record ApiError
{
    /// <summary>One or more sentences for people.</summary>
    public required string ErrorMessage { get; init; }

    /// <summary>The HTTP status code.</summary>
    public required int StatusCode { get; init; }

    /// <summary>Stable name for programs, e.g. "name_taken"; see ErrorCodes.</summary>
    public required string Code { get; init; }

    /// <summary>Also in the audit trail and the server's log.</summary>
    public required string RequestId { get; init; }

    /// <summary>One entry per wrong field; empty when no field is to blame.</summary>
    public IReadOnlyList<ApiErrorDetail> Details { get; init; } = [];
}

/// <summary>What is wrong with one field; <paramref name="Field"/> is a path such as "upstream_configuration.ssh_service_configuration.port".</summary>
public sealed record ApiErrorDetail(string Field, string Message);

/// <summary>The answer to a write, and nothing else to say: what was deleted is gone.</summary>
public sealed record Written : Confirmed;

/// <summary>What a write may answer with.</summary>
public abstract record Confirmed
{
    /// <summary>In the answer to a write that decisions depend on: where in the grid it is in force. Not in other answers.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public Revocation? Revocation { get; init; }
}

/// <summary>
/// Where a change is in force: a silo has confirmed it when it decides by it and has closed every session and tunnel that lost its right.
/// The answer waits for that, 2 s at most (or as long as the request's header <c>Prefer: wait=seconds</c> says, 0 to 10).
/// </summary>
public sealed record Revocation
{
    /// <summary>The organization's version that the write made; null: an order to end sessions makes none.</summary>
    public long? Version { get; init; }

    /// <summary>Silos that are alive; of an order to end sessions: those that had them.</summary>
    public required int Silos { get; init; }

    /// <summary>How many of them have confirmed. The others follow: when they do is not known.</summary>
    public required int Confirmed { get; init; }

    /// <summary>From the commit to the last silo's confirmation; when some are missing, how long they were waited for.</summary>
    public required double Seconds { get; init; }
}

/// <summary>Every list has this shape.</summary>
public sealed record Page<T> : Confirmed
{
    public required IReadOnlyList<T> List { get; init; }

    public required Pagination Pagination { get; init; }
}

/// <summary>Where a <see cref="Page{T}"/> stands. Ask with <c>page</c> and <c>page_size</c> (1–500, default 100), or with <c>cursor</c> where there is a <see cref="NextCursor"/>.</summary>
public sealed record Pagination
{
    public required int CurrentPage { get; init; }

    /// <summary>Null: this is the last page.</summary>
    public int? NextPage { get; init; }

    public required long TotalRecords { get; init; }

    public required int TotalPages { get; init; }

    public required int RecordsPerPage { get; init; }

    /// <summary>Sessions and audit events only: continues after the last entry, also while new ones arrive. Null: nothing follows.</summary>
    public string? NextCursor { get; init; }
}

/// <summary>Stands for a secret in answers: whether there is one, never what it is.</summary>
public sealed record SecretState(bool Set);

/// <summary>Reference to something that has an id and a name.</summary>
public sealed record NamedRef(Guid Id, string Name);

/// <summary>Adds to or removes from a list: attachments of policies and sockets.</summary>
public sealed record AttachmentChanges
{
    public IReadOnlyList<AttachmentChange>? Actions { get; init; }
}

/// <summary>One change; <see cref="Action"/> is "add" or "remove", <see cref="Id"/> an id or a name.</summary>
public sealed record AttachmentChange
{
    public string? Action { get; init; }

    public string? Id { get; init; }
}
