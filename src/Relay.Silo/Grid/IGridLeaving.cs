namespace Relay.Silo.Grid;

/// <summary>How this silo leaves the grain host's membership before it stops. Safe for concurrent use.</summary>
internal interface IGridLeaving
{
    /// <summary>The others have declared this silo dead: it must not serve any more.</summary>
    event Action? Evicted;

    /// <summary>Says that this silo takes no new work; its grains go to others, calls and links go on.</summary>
    Task LeaveAsync(CancellationToken cancellationToken);
}
