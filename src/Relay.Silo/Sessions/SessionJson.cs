using System.Text.Json.Serialization;
using Relay.Policy;

namespace Relay.Silo.Sessions;

/// <summary>JSON columns of the session table: snake_case.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, UseStringEnumConverter = true)]
[JsonSerializable(typeof(Dictionary<string, string>))]
[JsonSerializable(typeof(SessionCredential))]
[JsonSerializable(typeof(IReadOnlyList<SessionReason>))]
internal sealed partial class SessionJson : JsonSerializerContext;

/// <summary>One entry of session.reasons.</summary>
internal sealed record SessionReason(string Code, string PolicyName, string Clause, string Fact, string Needed)
{
    public static IReadOnlyList<SessionReason> Of(SessionVerdict verdict) =>
        verdict.Allowed || verdict.Decision.Reasons.Count == 0
            ? [new SessionReason(verdict.Allowed ? "allowed" : verdict.Brief, verdict.Decision.PolicyName, "", "", "")]
            : [.. verdict.Decision.Reasons.Select(r => new SessionReason(r.Code.ToText(), r.PolicyName, r.Clause, r.Fact, r.Needed))];
}
