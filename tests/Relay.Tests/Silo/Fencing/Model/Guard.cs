namespace Relay.Tests.Silo.Fencing.Model;

/// <summary>The rules of the protocol, each of which can be switched off to see that the model notices.</summary>
internal enum Guard
{
    None,

    /// <summary>A silo looks at each opening whether it has heard store or majority lately.</summary>
    Hold,

    /// <summary>A taker waits for the fence period.</summary>
    FencePeriod,

    /// <summary>A taker waits until no majority is left for the dead silo.</summary>
    Witnesses,

    /// <summary>A fenced silo is told so, by the store and by whoever has heard of it.</summary>
    Fence,

    /// <summary>The agent refuses openings whose silo's right has run out.</summary>
    Until,

    /// <summary>A silo that says an epoch is over does not begin to serve it.</summary>
    Promise,

    /// <summary>A silo says that an epoch is over only when no opening of it can still be on its way.</summary>
    Doubt,

    /// <summary>The agent refuses epochs lower than the highest it has seen.</summary>
    Epochs,

    /// <summary>While an attach is under way, and when its outcome is not known, older epochs open nothing.</summary>
    AskWaits,

    /// <summary>An attach that was sent before a later one of the same instance wins nothing.</summary>
    Attempts,

    /// <summary>The clock goes on while the machine is suspended.</summary>
    BootTime,

    /// <summary>The database's clock decides nothing.</summary>
    NoDatabaseClock,
}
