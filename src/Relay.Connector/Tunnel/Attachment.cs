using Relay.Protocol.Tunnel;

namespace Relay.Connector.Tunnel;

/// <summary>One accepted attachment: what the silo answered, and why it ended. A feature of its connection and of every request on it.</summary>
internal sealed class Attachment
{
    private readonly TaskCompletionSource<Goodbye> _dismissed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Attachment(string server, AttachResponse answer)
    {
        Server = server;
        Answer = answer;
    }

    /// <summary>The address that was dialled.</summary>
    public string Server { get; }

    public AttachResponse Answer { get; }

    public long Epoch => Answer.Epoch;

    /// <summary>Ends with what the silo said before it closed; never when it said nothing.</summary>
    public Task<Goodbye> Dismissed => _dismissed.Task;

    public void Dismiss(Goodbye goodbye) => _dismissed.TrySetResult(goodbye);
}
