using Relay.GrainHost.Turns;

namespace Relay.GrainHost.Activations;

/// <summary>A call or a timer's tick: what an activation starts when its turn comes and what may take several turns until it is finished.</summary>
internal abstract class WorkItem : ITurn
{
    /// <summary>Set while an activation holds the item.</summary>
    public Activation? Activation { get; set; }

    /// <summary>Starts whatever else is running, and delays nothing.</summary>
    public abstract bool AlwaysInterleave { get; }

    /// <summary>May run beside others of its kind.</summary>
    public abstract bool ReadOnly { get; }

    public void RunTurn() => Activation!.Admit(this);

    /// <summary>False: nobody waits for it any more, it must not start.</summary>
    public abstract bool TryBegin();

    /// <summary>Begins the work, in a turn. Whoever implements it calls <see cref="Activation.Finish"/> once, in a turn.</summary>
    public abstract void Start(object instance);

    /// <summary>The activation failed before the item was started.</summary>
    public abstract void Fail(Exception exception);

    /// <summary>The activation ended before the item was started.</summary>
    public abstract void Redirect();
}
