using System.Collections.Concurrent;
using Relay.Protocol.Grid;
using Relay.Silo.Grid;

namespace Relay.Silo.Connectors;

/// <summary>
/// Streams of other silos' sessions to connectors that are attached here. When this silo goes, the silo of each session is told, so
/// that its user reads why. Safe for concurrent use.
/// </summary>
internal sealed partial class TransitStreams(IGridMembers members, ISiloHttp silos, TimeProvider time, ILogger<TransitStreams> logger)
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(2);
    private readonly ConcurrentDictionary<object, (Guid Session, string Peer)> _streams = new(ReferenceEqualityComparer.Instance);

    public int Count => _streams.Count;

    /// <summary>A stream is open until the result is disposed.</summary>
    /// <param name="peer">The name in the certificate of the silo that opened it.</param>
    public IDisposable Add(Guid session, string peer)
    {
        var place = new Place(this);
        _streams[place] = (session, peer);
        return place;
    }

    /// <summary>Has the sessions of all open streams ended by their silos. Never throws; a silo that cannot be told sees its streams reset.</summary>
    /// <param name="outcome">For the record.</param>
    /// <param name="reason">For the user.</param>
    public Task EndAsync(string outcome, string reason, CancellationToken cancellationToken) =>
        Task.WhenAll(_streams.Values.Distinct().GroupBy(s => s.Peer, s => s.Session).Select(peer => EndAsync(peer.Key, [.. peer], outcome, reason, cancellationToken)));

    private async Task EndAsync(string peer, IReadOnlyList<Guid> sessions, string outcome, string reason, CancellationToken cancellationToken)
    {
        if (members.Serving.FirstOrDefault(m => m.Name == peer) is not { } silo)
            return;
        using var late = new CancellationTokenSource(Deadline, time);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        using var request = new HttpRequestMessage(HttpMethod.Post, $"https://{silo.Address}{GridRoutes.PathsLost}")
        {
            Version = System.Net.HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = System.Net.Http.Json.JsonContent.Create(new PathsLost(sessions, outcome, reason), GridJson.Default.PathsLost),
        };
        try
        {
            using var response = await silos.For(silo.Address).SendAsync(request, stop.Token);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException)
        {
            LogNotTold(logger, peer, sessions.Count, e.Message);
        }
    }

    [LoggerMessage(3501, LogLevel.Warning, "silo {Peer} could not be told that {Sessions} of its sessions lose their way: {Cause}")]
    private static partial void LogNotTold(ILogger logger, string peer, int sessions, string cause);

    private sealed class Place(TransitStreams owner) : IDisposable
    {
        public void Dispose() => owner._streams.TryRemove(this, out _);
    }
}
