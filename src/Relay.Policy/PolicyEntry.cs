namespace Relay.Policy;

/// <summary>A policy and where it applies: organization-wide, on the sockets it is attached to, and on sockets a tag rule matches. Any one suffices.</summary>
/// <param name="Id">Policy id.</param>
/// <param name="Name">Policy name, shown in decisions.</param>
/// <param name="Document">The parsed document.</param>
/// <param name="OrgWide">Applies to every socket of the organization.</param>
/// <param name="SocketIds">Sockets it is attached to. Empty: none.</param>
/// <param name="TagRules">A socket matches a rule when it has every tag of it with that value, and the policy when any rule matches. An empty rule matches nothing.</param>
public sealed record PolicyEntry(Guid Id, string Name, PolicyDocument Document, bool OrgWide, IReadOnlySet<Guid> SocketIds, IReadOnlyList<IReadOnlyDictionary<string, string>> TagRules)
{
    /// <summary>From then on the policy grants nothing, and what it granted ends. Null: never.</summary>
    public DateTimeOffset? Expires { get; init; }
}
