using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Relay.GrainHost.Calls;
using Relay.GrainHost.Hosting;
using Relay.GrainHost.Membership;
using Relay.GrainHost.Serialization;

namespace Relay.GrainHost.Links;

/// <summary>The links of this silo, both ways. Safe for concurrent use.</summary>
internal sealed partial class SiloLinks(GrainHostOptions options, ISiloTransport transport, ILocalSilo local, CallRouter router, TimeProvider time, ILogger logger)
{
    private readonly ConcurrentDictionary<(string Address, Guid Incarnation), OutgoingLink> _outgoing = new();
    private readonly ConcurrentDictionary<IncomingLink, byte> _incoming = new();
    private volatile bool _stopped;

    /// <summary>Says why a dialler is not to be served; null: it is a member. Set once, before the first link.</summary>
    public required Func<Handshake, string, CancellationToken, Task<string?>> CheckPeer { get; set; }

    /// <summary>A peer says that the membership table has changed. Must not block.</summary>
    public required Action Gossiped { get; set; }

    /// <summary>Whether this silo has just heard another start of a silo. Must not block.</summary>
    public required Func<Guid, bool> Hears { get; set; }

    /// <summary>A link to a peer that had stood is gone, and not because it was closed here. Must not block.</summary>
    public required Action<SiloMember> Lost { get; set; }

    public OutgoingLink Get(SiloMember peer)
    {
        var key = (peer.Address, peer.Incarnation);
        return _outgoing.TryGetValue(key, out var known)
            ? known
            : _outgoing.GetOrAdd(key, _ => new OutgoingLink(peer, transport, local, options, router.Clock, time, Lost));
    }

    /// <summary>Serves a link that another silo has dialled, until it ends. Disposes the stream.</summary>
    /// <param name="stream">After TLS.</param>
    /// <param name="peerName">The name the transport has proved; empty: nothing was proved.</param>
    /// <param name="cancellationToken">Ends the link.</param>
    public async Task AcceptAsync(Stream stream, string peerName, CancellationToken cancellationToken)
    {
        await using var owned = stream.ConfigureAwait(false);
        using var limit = new CancellationTokenSource(options.ConnectTimeout, time);
        using var handshake = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        IncomingLink link;
        try
        {
            var reader = new FrameReader(stream);
            if (await reader.ReadFrameAsync(LinkWire.MaxHelloBytes, handshake.Token).ConfigureAwait(false) is not { } frame) return;
            var hello = Handshake.Parse(frame);
            var refusal = _stopped ? "It has stopped."
                : hello.ToAddress != local.Address || hello.ToIncarnation != local.Incarnation ? "It is another start of that silo."
                : await CheckPeer(hello, peerName, handshake.Token).ConfigureAwait(false);
            await stream.WriteAsync(refusal is null ? Handshake.Welcome() : Handshake.Refusal(refusal), handshake.Token).ConfigureAwait(false);
            await stream.FlushAsync(handshake.Token).ConfigureAwait(false);
            if (refusal is not null)
            {
                LogRefused(hello.FromAddress, refusal);
                return;
            }

            link = new IncomingLink(stream, reader, hello, router, options, Gossiped, Hears);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or WireFormatException or ObjectDisposedException)
        {
            LogHandshakeFailed(peerName, e.Message);
            return;
        }

        _incoming[link] = 0;
        try
        {
            using var registration = cancellationToken.UnsafeRegister(static link => ((IncomingLink)link!).Close("The silo stops."), link);
            if (_stopped) link.Close("The silo stops.");
            await link.RunAsync().ConfigureAwait(false);
        }
        finally
        {
            _incoming.TryRemove(link, out _);
        }
    }

    public void Expire(long now)
    {
        foreach (var (_, link) in _outgoing) link.Expire(now);
    }

    /// <summary>Tells the given silos that the table has changed.</summary>
    public void Gossip(IEnumerable<SiloMember> peers)
    {
        foreach (var peer in peers) _ = Get(peer).GossipAsync();
    }

    /// <summary>Closes the links of silos that <paramref name="isGone"/>.</summary>
    public void CloseGone(Func<string, Guid, bool> isGone)
    {
        foreach (var (key, link) in _outgoing)
        {
            if (!isGone(key.Address, key.Incarnation)) continue;
            _outgoing.TryRemove(key, out _);
            link.Close("The silo is gone.");
        }

        foreach (var (link, _) in _incoming)
        {
            if (isGone(link.Peer.FromAddress, link.Peer.FromIncarnation)) link.Close("The silo is gone.");
        }
    }

    public void Stop()
    {
        _stopped = true;
        CloseGone((_, _) => true);
    }
}
