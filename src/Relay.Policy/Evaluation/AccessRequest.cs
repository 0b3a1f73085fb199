using System.Net;

namespace Relay.Policy;

/// <summary>One question to <see cref="CompiledPolicies.Evaluate"/>, with every fact that may be used to answer it. Immutable.</summary>
/// <param name="Subject">Who asks.</param>
/// <param name="Socket">For which socket.</param>
/// <param name="ClientIp">The user's address; an IPv4-mapped IPv6 address counts as IPv4.</param>
/// <param name="Country">ISO 3166-1 alpha-2 code of <paramref name="ClientIp"/>; null when unknown, which fails every clause that restricts countries.</param>
/// <param name="Now">The instant the decision is about.</param>
/// <param name="Action">What is asked for.</param>
/// <param name="DecisionId">Id of the decision to make; given by the caller because evaluation is pure. Shown to the user and written to the audit trail.</param>
public sealed record AccessRequest(Subject Subject, SocketFacts Socket, IPAddress ClientIp, string? Country, DateTimeOffset Now, AccessAction Action, Guid DecisionId)
{
    /// <summary>When the session began; null for a new session, which begins at <see cref="Now"/>. <c>max_session_duration_seconds</c> counts from here.</summary>
    public DateTimeOffset? SessionStartedAt { get; init; }
}
