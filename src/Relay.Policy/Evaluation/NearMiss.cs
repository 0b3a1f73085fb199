namespace Relay.Policy;

/// <summary>How far a policy was from allowing a request: policies that are for the person first, then fewest clauses to change.</summary>
internal readonly record struct NearMiss(bool ForSomebodyElse, int FailedClauses, int Index) : IComparable<NearMiss>
{
    public static NearMiss Of(int index, CompiledPolicy policy, bool forSomebodyElse, in Query query)
    {
        var failed = 0;
        foreach (var clause in CompiledPolicy.Clauses)
        {
            if (policy.Judge(clause, query) != ReasonCode.Allowed)
                failed++;
        }

        return new NearMiss(forSomebodyElse, failed, index);
    }

    public int CompareTo(NearMiss other)
    {
        var order = ForSomebodyElse.CompareTo(other.ForSomebodyElse);
        if (order == 0)
            order = FailedClauses.CompareTo(other.FailedClauses);
        return order != 0 ? order : Index.CompareTo(other.Index);
    }
}
