using System.Collections.Immutable;
using Orleans;
using Orleans.Concurrency;

namespace Relay.Grains.Sockets;

/// <summary>
/// Counts the live sessions of a socket and picks the connector with the fewest. Key: the socket's id ("D" form).
/// Counts are for balance and display, never for a limit that must hold: silos report what they have every
/// <see cref="ReportEvery"/>, and what nobody reports for <see cref="ForgetAfter"/> is forgotten.
/// </summary>
[Alias("relay.socket")]
public interface ISocketGrain : IGrainWithStringKey
{
    /// <summary>How often a silo repeats <see cref="SessionsAliveAsync"/> while it has sessions.</summary>
    static readonly TimeSpan ReportEvery = TimeSpan.FromSeconds(30);

    /// <summary>How long a session counts without being reported.</summary>
    static readonly TimeSpan ForgetAfter = TimeSpan.FromSeconds(90);

    /// <summary>Counts a session. Idempotent by its id.</summary>
    [Alias("session-started")]
    [ResponseTimeout("00:00:03")]
    Task SessionStartedAsync(SocketSession session, CancellationToken cancellationToken);

    /// <summary>Stops counting a session. Idempotent.</summary>
    [Alias("session-ended")]
    [ResponseTimeout("00:00:03")]
    Task SessionEndedAsync(Guid sessionId, CancellationToken cancellationToken);

    /// <summary>These sessions are alive: counts those that are new (the grain may have been lost) and keeps the others.</summary>
    [Alias("sessions-alive")]
    [ResponseTimeout("00:00:03")]
    Task SessionsAliveAsync(ImmutableArray<SocketSession> sessions, CancellationToken cancellationToken);

    /// <summary>The candidate with the fewest live sessions (the first of equals, counted from a turning start); null when there are none. Counts nothing.</summary>
    /// <param name="candidates">Connectors that can serve the socket, at most a few hundred.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    [Alias("choose-connector")]
    [ResponseTimeout("00:00:03")]
    Task<Guid?> ChooseConnectorAsync(ImmutableArray<Guid> candidates, CancellationToken cancellationToken);

    /// <summary>Live sessions by connector.</summary>
    [Alias("load")]
    [ReadOnly]
    [ResponseTimeout("00:00:03")]
    Task<SocketLoad> GetLoadAsync(CancellationToken cancellationToken);
}
