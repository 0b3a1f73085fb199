namespace Relay.Gateway.Grid;

/// <summary>The gateway's live sessions, as a silo's control stream sees them.</summary>
internal interface ISessionControl
{
    /// <summary>Sessions that were opened at this silo and have not ended.</summary>
    IReadOnlyList<Guid> SessionsAt(string siloAddress);

    /// <summary>Ends a session at once; unknown ids are ignored (it has ended by itself).</summary>
    /// <param name="reason">For the user and the record.</param>
    void EndSession(Guid session, string reason);
}
