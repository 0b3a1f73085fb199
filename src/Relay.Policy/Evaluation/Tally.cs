namespace Relay.Policy;

/// <summary>Union of the policies that allow a request. Adding one twice changes nothing, adding one more never takes away.</summary>
internal struct Tally
{
    private bool _noLimit;
    private bool _noEnd;
    private TimeSpan _longest;
    private DateTimeOffset _latest;

    public Tally() => First = int.MaxValue;

    /// <summary>Lowest index of an allowing policy; <see cref="int.MaxValue"/>: none.</summary>
    public int First { get; private set; }

    public bool RecordInput { get; private set; }

    public readonly bool Any => First != int.MaxValue;

    public readonly TimeSpan? MaxSessionDuration => !Any || _noLimit ? null : _longest;

    public readonly DateTimeOffset? EndsAt => !Any || _noEnd ? null : _latest;

    public void Add(int index, CompiledPolicy policy, in Query query)
    {
        First = Math.Min(First, index);
        RecordInput |= query.Key == PermissionKey.Ssh && policy.Model.Permissions.Ssh is { RecordInput: true };
        if (policy.MaxSessionDuration(query) is { } limit)
            _longest = limit > _longest ? limit : _longest;
        else
            _noLimit = true;
        if (policy.EndsAt(query) is { } end)
            _latest = end > _latest ? end : _latest;
        else
            _noEnd = true;
    }
}
