using Orleans;

namespace Relay.Grains.Sockets;

/// <summary>
/// Knows over which ways the streams of a socket go, of all silos, so that each of them picks the one with the fewest. Key: the
/// socket's id ("D" form). For balance, never for a limit that must hold: what nobody repeats for <see cref="ForgetAfter"/> is
/// forgotten, and a lost activation is refilled by the silos' reports.
/// </summary>
[Alias("relay.socket")]
public interface ISocketGrain : IGrainWithStringKey
{
    /// <summary>How often a silo repeats its report while it has streams of the socket.</summary>
    static readonly TimeSpan ReportEvery = TimeSpan.FromSeconds(30);

    /// <summary>How long a report counts.</summary>
    static readonly TimeSpan ForgetAfter = TimeSpan.FromSeconds(90);

    /// <summary>What a silo has open now, in place of what it said before. Answers with what the other silos have, added up.</summary>
    /// <param name="mine">Without streams: the silo is forgotten.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    [Alias("report")]
    [ResponseTimeout("00:00:03")]
    Task<SocketLoad> ReportAsync(SocketLoad mine, CancellationToken cancellationToken);
}
