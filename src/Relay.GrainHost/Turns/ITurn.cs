namespace Relay.GrainHost.Turns;

/// <summary>A piece of work that runs in a turn.</summary>
internal interface ITurn
{
    /// <summary>Called once, in the turn. Must not throw.</summary>
    void RunTurn();
}
