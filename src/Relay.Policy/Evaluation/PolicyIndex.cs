namespace Relay.Policy;

/// <summary>
/// Two ways to the few policies that can matter: by the socket, and by the person. A request takes the shorter one, so neither ten
/// thousand organization-wide policies nor a group named in all of them makes a decision slow. Immutable.
/// </summary>
internal sealed class PolicyIndex
{
    private static readonly int[] None = [];
    private readonly int[] _everySocket;
    private readonly int[] _byTags;
    private readonly Dictionary<Guid, int[]> _bySocket;
    private readonly Dictionary<string, int[]> _byEmail;
    private readonly Dictionary<string, int[]> _byDomain;
    private readonly Dictionary<string, int[]> _byGroup;
    private readonly Dictionary<string, int[]> _byServiceAccount;

    public PolicyIndex(CompiledPolicy[] policies)
    {
        var everySocket = new List<int>();
        var byTags = new List<int>();
        var bySocket = new Dictionary<Guid, List<int>>();
        var byEmail = new Dictionary<string, List<int>>(AsciiIgnoreCase.Instance);
        var byDomain = new Dictionary<string, List<int>>(AsciiIgnoreCase.Instance);
        var byGroup = new Dictionary<string, List<int>>(AsciiIgnoreCase.Instance);
        var byServiceAccount = new Dictionary<string, List<int>>(AsciiIgnoreCase.Instance);
        for (var i = 0; i < policies.Length; i++)
        {
            var entry = policies[i].Entry;
            if (entry.OrgWide)
            {
                everySocket.Add(i);
            }
            else
            {
                Add(bySocket, entry.SocketIds, i);
                if (entry.TagRules.Count > 0)
                    byTags.Add(i);
            }

            var who = policies[i].Model.Condition.Who;
            Add(byEmail, who.Emails, i);
            Add(byDomain, who.Domains, i);
            Add(byGroup, who.Groups, i);
            Add(byServiceAccount, who.ServiceAccounts, i);
        }

        _everySocket = [.. everySocket];
        _byTags = [.. byTags];
        _bySocket = Freeze(bySocket, EqualityComparer<Guid>.Default);
        _byEmail = Freeze(byEmail, AsciiIgnoreCase.Instance);
        _byDomain = Freeze(byDomain, AsciiIgnoreCase.Instance);
        _byGroup = Freeze(byGroup, AsciiIgnoreCase.Instance);
        _byServiceAccount = Freeze(byServiceAccount, AsciiIgnoreCase.Instance);
    }

    /// <summary>Every policy that could allow the request, some perhaps twice, others that do not apply among them; no order.</summary>
    public void Candidates(in Query query, ref CandidateList candidates)
    {
        Naming(query, ref candidates);
        var bySocket = _bySocket.GetValueOrDefault(query.Request.Socket.Id, None);
        if (_everySocket.Length + _byTags.Length + bySocket.Length < candidates.Count)
        {
            candidates.Clear();
            candidates.Add(_everySocket);
            candidates.Add(_byTags);
            candidates.Add(bySocket);
        }
    }

    /// <summary>Every policy whose <c>who</c> names the subject.</summary>
    public HashSet<int> Naming(in Query query)
    {
        var candidates = default(CandidateList);
        Naming(query, ref candidates);
        var named = new HashSet<int>();
        for (var run = 0; run < candidates.RunCount; run++)
        {
            foreach (var index in candidates.Run(run))
                named.Add(index);
        }

        return named;
    }

    /// <summary>Every policy that applies to the socket, each once, in order. Not to be written to.</summary>
    public int[] ApplyingTo(SocketFacts socket, CompiledPolicy[] policies)
    {
        var bySocket = _bySocket.GetValueOrDefault(socket.Id, None);
        int[] byTags = _byTags.Length == 0 ? None : [.. _byTags.Where(index => policies[index].AppliesTo(socket))];
        if (bySocket.Length + byTags.Length == 0)
            return _everySocket;
        var indexes = new List<int>([.. _everySocket, .. bySocket, .. byTags]);
        indexes.Sort();
        return [.. indexes.Distinct()];
    }

    private void Naming(in Query query, ref CandidateList candidates)
    {
        var subject = query.Request.Subject;
        candidates.Add(Find(_byEmail, subject.Email));
        if (subject.ServiceAccount is { } serviceAccount)
            candidates.Add(Find(_byServiceAccount, serviceAccount));
        if (_byDomain.Count > 0 && query.EmailDomain is { } domain)
            candidates.Add(Find(_byDomain, domain));
        if (_byGroup.Count > 0)
        {
            foreach (var group in subject.Groups)
                candidates.Add(Find(_byGroup, group));
        }
    }

    private static int[] Find(Dictionary<string, int[]> index, string key) => key.Length == 0 ? None : index.GetValueOrDefault(key, None);

    private static void Add<TKey>(Dictionary<TKey, List<int>> index, IEnumerable<TKey> keys, int policy)
        where TKey : notnull
    {
        foreach (var key in keys)
        {
            if (!index.TryGetValue(key, out var list))
                index[key] = list = [];
            list.Add(policy);
        }
    }

    private static Dictionary<TKey, int[]> Freeze<TKey>(Dictionary<TKey, List<int>> index, IEqualityComparer<TKey> comparer)
        where TKey : notnull =>
        index.ToDictionary(pair => pair.Key, pair => pair.Value.ToArray(), comparer);
}
