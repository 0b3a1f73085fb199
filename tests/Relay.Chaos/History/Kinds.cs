namespace Relay.Chaos.History;

/// <summary>What can be in a history, who says so, and with which fields besides the time.</summary>
internal static class Kinds
{
    // The driver: what it did.

    /// <summary>Id (seed), Reason (the faults it is restricted to, comma between; absent: all).</summary>
    public const string RunBegin = "run.begin";

    /// <summary>Id (number).</summary>
    public const string RoundBegin = "round.begin";

    /// <summary>Id, Fault, Touches.</summary>
    public const string FaultBegin = "fault.begin";

    /// <summary>Id, Fault: everything the fault took away is back.</summary>
    public const string FaultEnd = "fault.end";

    /// <summary>Id, Fault, Seconds since the end; Good false: not within the bound, Reason says what did not work.</summary>
    public const string Recovered = "fault.recovered";

    /// <summary>Id, Fault, Good, Reason: whether new sessions could be opened while the fault lasted.</summary>
    public const string ServedMeanwhile = "fault.served_meanwhile";

    /// <summary>Node.</summary>
    public const string NodeStarted = "node.started";

    /// <summary>Node: SIGKILL, about to be sent.</summary>
    public const string NodeKilled = "node.killed";

    /// <summary>Node, Reason (exit code): it ended, whyever.</summary>
    public const string NodeExited = "node.exited";

    /// <summary>Node: SIGSTOP was sent.</summary>
    public const string NodeFrozen = "node.frozen";

    /// <summary>Node: SIGCONT is about to be sent.</summary>
    public const string NodeThawed = "node.thawed";

    /// <summary>Id, Sockets, Reason ("policy" or "kill"): about to be asked for.</summary>
    public const string RevokeBegin = "revoke.begin";

    /// <summary>Id, Sockets, Reason: the grid has answered; Good: all its silos have confirmed it.</summary>
    public const string RevokeDone = "revoke.done";

    /// <summary>Id: the sockets are allowed again, about to be asked for. A kill needs none.</summary>
    public const string RevokeOver = "revoke.over";

    // The driver: what its clients saw.

    /// <summary>Client, Gateway, Socket: logged in, the command runs, a first echo came back.</summary>
    public const string ClientOpened = "client.opened";

    /// <summary>Client, Gateway, Socket, Reason: it could not be opened.</summary>
    public const string ClientFailed = "client.failed";

    /// <summary>Client, Socket, Good (true: the driver wanted it), Reason, LastAt (last echo), Count (echoes).</summary>
    public const string ClientClosed = "client.closed";

    /// <summary>Client, Gateway, Socket, Reason: other bytes came back than were sent.</summary>
    public const string Corrupted = "client.corrupted";

    // The programs' logs.

    /// <summary>Silo, Connector, Epoch, Instance.</summary>
    public const string LeaseGranted = "lease.granted";

    /// <summary>Silo, Connector, Epoch, Reason.</summary>
    public const string Detached = "silo.detached";

    /// <summary>Agent: begins to dial.</summary>
    public const string AgentConnecting = "agent.connecting";

    /// <summary>Agent, Connector, Epoch.</summary>
    public const string AgentConnected = "agent.connected";

    /// <summary>Agent: its tunnel is over, by its own account.</summary>
    public const string AgentClosed = "agent.closed";

    /// <summary>Agent, Node, Connector, Session, Epoch.</summary>
    public const string StreamAdmitted = "stream.admitted";

    /// <summary>Agent, Session, Epoch.</summary>
    public const string StreamOver = "stream.over";

    /// <summary>Gateway, Session, Socket, Silo, Client.</summary>
    public const string SessionOpened = "session.opened";

    /// <summary>Gateway, Session, Reason.</summary>
    public const string SessionEnded = "session.ended";

    /// <summary>Silo, Session, Reason: a silo ended the session's record.</summary>
    public const string SessionOver = "session.over";

    /// <summary>Node: a silo has joined the grid and serves.</summary>
    public const string SiloReady = "silo.ready";

    /// <summary>Node (who says so), Silo (who is declared dead).</summary>
    public const string DeclaredDead = "silo.declared_dead";

    /// <summary>Silo, Reason (the record's id): taken from a spool to the store, where it may be already.</summary>
    public const string SpoolDelivered = "spool.delivered";

    // The store, read when the run is over.

    /// <summary>Session, Gateway, Silo, Reason (outcome; absent: live), Good (false: denied).</summary>
    public const string Row = "row.session";

    /// <summary>Session, Id (recording number), First, Last (chunk numbers), Count.</summary>
    public const string RecordingRow = "row.recording";

    /// <summary>Session, Id (the number its gateway gave it), Count: how often the store has an event of a session.</summary>
    public const string EventRow = "row.event";

    /// <summary>Client, Session, First, Last, Count, Good (contiguous from 0): the echoes a replay shows; LastAt: of the last echo the client saw that the replay lacks.</summary>
    public const string Replay = "replay";
}
