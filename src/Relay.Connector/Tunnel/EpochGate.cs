namespace Relay.Connector.Tunnel;

/// <summary>
/// The highest attachment epoch this process has seen. Whoever acts under a lower one is a silo that was thawed, cut off or
/// replaced, and is refused. Safe for concurrent use.
/// </summary>
internal sealed class EpochGate
{
    private long _highest;

    /// <summary>0 before the first attachment.</summary>
    public long Highest => Volatile.Read(ref _highest);

    /// <summary>False: lower than the highest seen. True also raises the highest.</summary>
    public bool Admit(long epoch)
    {
        while (true)
        {
            var highest = Volatile.Read(ref _highest);
            if (epoch < highest)
                return false;
            if (epoch == highest || Interlocked.CompareExchange(ref _highest, epoch, highest) == highest)
                return true;
        }
    }
}
