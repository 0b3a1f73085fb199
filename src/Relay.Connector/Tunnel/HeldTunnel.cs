namespace Relay.Connector.Tunnel;

/// <summary>The tunnel that takes streams now. Used by the agent's loop alone.</summary>
internal sealed class HeldTunnel(DialledConnection connection, long since)
{
    public DialledConnection Connection { get; } = connection;

    public Attachment Attachment => Connection.Attachment;

    public string Server => Attachment.Server;

    /// <summary>Monotonic timestamp of the attach.</summary>
    public long Since { get; } = since;

    /// <summary>The silo has asked the agent to go: its farewell was read, and the agent looks for another silo.</summary>
    public bool SentAway { get; set; }

    /// <summary>Ends when going elsewhere is to be tried again; null: it was not tried yet.</summary>
    public Task? Retry { get; set; }

    /// <summary>Takes no more streams: tells the silo so and lets the open ones finish.</summary>
    public void Retire()
    {
        Attachment.Retire();
        Connection.RequestClose();
    }
}

/// <summary>What the agent's loop has to do next.</summary>
internal enum Turn
{
    /// <summary>The connection is over.</summary>
    Lost,

    /// <summary>The silo has said why it ends the tunnel.</summary>
    Dismissed,

    /// <summary>The silo has sent the agent away, or gives no sign of life: attach elsewhere.</summary>
    Leave,

    /// <summary>Another silo is better.</summary>
    Better,
}
