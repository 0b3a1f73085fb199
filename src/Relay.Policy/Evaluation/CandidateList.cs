namespace Relay.Policy;

/// <summary>A few runs of policy indexes, gathered without copying them. Not thread-safe.</summary>
internal struct CandidateList
{
    private const int Inline = 8;
    private Runs _first;
    private List<int[]>? _more;

    /// <summary>Runs added.</summary>
    public int RunCount { get; private set; }

    /// <summary>Indexes in all runs together.</summary>
    public int Count { get; private set; }

    public readonly ReadOnlySpan<int> Run(int index) => index < Inline ? _first[index] : _more![index - Inline];

    public void Add(int[] run)
    {
        if (run.Length == 0)
            return;
        if (RunCount < Inline)
            _first[RunCount] = run;
        else
            (_more ??= []).Add(run);
        RunCount++;
        Count += run.Length;
    }

    public void Clear()
    {
        RunCount = 0;
        Count = 0;
        _more = null;
    }

    [System.Runtime.CompilerServices.InlineArray(Inline)]
    private struct Runs
    {
        private int[] _element;
    }
}
