using System.Net;

namespace Relay.Policy;

/// <summary>All policies of an organization at one version, compiled for evaluation. Immutable; safe for concurrent use: swap the reference.</summary>
public sealed class CompiledPolicies
{
    /// <summary>How many policies a denial explains clause by clause.</summary>
    public const int MaxExplainedPolicies = 8;

    private const int MaxComparedOthers = 64;

    private readonly CompiledPolicy[] _policies;
    private readonly PolicyIndex _index;

    private CompiledPolicies(Guid organizationId, long version, CompiledPolicy[] policies, PolicyIndex index)
    {
        OrganizationId = organizationId;
        Version = version;
        _policies = policies;
        _index = index;
    }

    /// <summary>The organization.</summary>
    public Guid OrganizationId { get; }

    /// <summary>The organization's version these policies are of.</summary>
    public long Version { get; }

    /// <summary>Number of policies.</summary>
    public int Count => _policies.Length;

    /// <summary>Compiles. Two entries with one id are two policies: the union is the same.</summary>
    /// <param name="organizationId">Copied into every grant.</param>
    /// <param name="version">Copied into every decision.</param>
    /// <param name="policies">In any order. Empty: everything is denied.</param>
    public static CompiledPolicies Compile(Guid organizationId, long version, IEnumerable<PolicyEntry> policies)
    {
        CompiledPolicy[] compiled = [.. policies.Select(entry => new CompiledPolicy(entry))];
        Array.Sort(compiled, static (x, y) =>
        {
            var byName = string.CompareOrdinal(x.Entry.Name, y.Entry.Name);
            return byName != 0 ? byName : x.Entry.Id.CompareTo(y.Entry.Id);
        });
        return new CompiledPolicies(organizationId, version, compiled, new PolicyIndex(compiled));
    }

    /// <summary>The same policies, compiled already, at a version that changed something else.</summary>
    /// <param name="version">Copied into every decision.</param>
    public CompiledPolicies At(long version) => new(OrganizationId, version, _policies, _index);

    /// <summary>Decides: allowed when one policy, taken as a whole, allows it. Never throws, whatever the request's values are.</summary>
    public Decision Evaluate(AccessRequest request)
    {
        var query = Query.From(request);
        if (query.Refusal != ReasonCode.Allowed)
            return new Decision(new DecisionFacts { Request = request, Code = query.Refusal, PolicyVersion = Version });

        var tally = new Tally();
        var candidates = default(CandidateList);
        _index.Candidates(query, ref candidates);
        for (var run = 0; run < candidates.RunCount; run++)
        {
            foreach (var index in candidates.Run(run))
            {
                var policy = _policies[index];
                if (policy.AppliesTo(request.Socket) && policy.Allows(query))
                    tally.Add(index, policy, query);
            }
        }

        return tally.Any ? Grant(query, tally) : Deny(query);
    }

    /// <summary>Whether the subject would be connected to the socket now, as some user on the target: what lists and names of sockets go by.</summary>
    public bool MayReach(Subject subject, SocketFacts socket, IPAddress clientIp, DateTimeOffset now)
    {
        // The connector's own user has no name that a client could ask for.
        var username = socket.DefinedUsername is { Length: > 0 } defined ? defined : null;
        return Evaluate(new AccessRequest(subject, socket, clientIp, Country: null, now, new AccessAction.Connect(username), Guid.Empty)).IsWithinReach;
    }

    /// <summary>The policies that apply to a socket, by name.</summary>
    internal IEnumerable<CompiledPolicy> ApplyingTo(SocketFacts socket) => _index.ApplyingTo(socket, _policies).Select(index => _policies[index]);

    private Decision Grant(in Query query, in Tally tally) => new(new DecisionFacts
    {
        Request = query.Request,
        Code = ReasonCode.Allowed,
        PolicyVersion = Version,
        PolicyId = _policies[tally.First].Entry.Id,
        PolicyName = _policies[tally.First].Entry.Name,
        MaxSessionDuration = tally.MaxSessionDuration,
        RecordInput = tally.RecordInput,
        Grant = new AccessGrant(OrganizationId, query.Request, Version, tally.EndsAt),
    });

    private Decision Deny(in Query query)
    {
        var applying = _index.ApplyingTo(query.Request.Socket, _policies);
        var misses = NearMisses(applying, query);

        var reasons = new List<PolicyReason>();
        foreach (var miss in misses.Take(MaxExplainedPolicies))
        {
            var policy = _policies[miss.Index];
            foreach (var clause in CompiledPolicy.Clauses)
            {
                if (policy.Judge(clause, query) is var code and not ReasonCode.Allowed)
                    reasons.Add(ClauseText.Describe(policy, clause, code, query));
            }
        }

        return new Decision(new DecisionFacts
        {
            Request = query.Request,
            Code = applying.Length == 0 ? ReasonCode.NoPolicyForSocket
                : misses[0] is { ForSomebodyElse: false, FailedClauses: 1 } ? reasons[0].Code
                : ReasonCode.NoPolicyAllows,
            PolicyVersion = Version,
            Reasons = reasons,
            PoliciesConsidered = applying.Length,
        });
    }

    // A change of policy may refuse hundreds of sessions at once, so of ten thousand policies for others only some are compared.
    private List<NearMiss> NearMisses(int[] applying, in Query query)
    {
        var naming = _index.Naming(query);
        var others = 0;
        var misses = new List<NearMiss>();
        foreach (var index in applying)
        {
            var forSomebodyElse = !naming.Contains(index);
            if (!forSomebodyElse || others++ < MaxComparedOthers)
                misses.Add(NearMiss.Of(index, _policies[index], forSomebodyElse, query));
        }

        misses.Sort();
        return misses;
    }
}
