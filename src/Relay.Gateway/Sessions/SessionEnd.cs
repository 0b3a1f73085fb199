namespace Relay.Gateway.Sessions;

/// <summary>Why a session ended.</summary>
/// <param name="Outcome">One phrase for the record: "closed by user", "killed by …".</param>
/// <param name="Message">For the user, in the disconnect message; null when the user is the one who left.</param>
internal sealed record SessionEnd(string Outcome, string? Message)
{
    public static readonly SessionEnd ClosedByUser = new("closed by user", null);
    public static readonly SessionEnd ConnectionLost = new("connection lost", null);
}
