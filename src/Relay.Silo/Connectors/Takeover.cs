namespace Relay.Silo.Connectors;

/// <summary>What becomes of an agent instance that finds a connector held by another one.</summary>
internal enum TakeoverVerdict
{
    /// <summary>Nobody can tell now whether the holder is still served: try again later. The zero value gives nothing away.</summary>
    Unknown = 0,

    /// <summary>The holder lives.</summary>
    AlreadyConnected,

    /// <summary>The holder's epoch is not served any more and never will be: the newcomer may have the next.</summary>
    Admit,
}

/// <summary>When another agent instance may have a connector. Pure: the product and the model in tests decide by this one function.</summary>
internal static class Takeover
{
    /// <param name="holder">What the holder's silo said of it.</param>
    /// <param name="fenced">The holder's silo is fenced, and has certainly closed its tunnels (<see cref="Fencing.SiloFence.MayTakeOver"/>).</param>
    /// <param name="healthy">This silo reaches the store and hears a majority.</param>
    /// <param name="lapsed">The lease was not renewed for its hard TTL, by the clock of this silo (<see cref="LeaseWatch"/>).</param>
    public static TakeoverVerdict Decide(HolderState holder, bool fenced, bool healthy, bool lapsed) => holder switch
    {
        // A promise of the holder's silo to serve that epoch no more.
        HolderState.Dead => TakeoverVerdict.Admit,
        HolderState.Alive => TakeoverVerdict.AlreadyConnected,
        _ => (fenced && healthy) || lapsed ? TakeoverVerdict.Admit : TakeoverVerdict.Unknown,
    };
}
