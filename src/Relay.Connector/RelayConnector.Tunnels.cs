using Relay.Connector.Tunnel;
using Relay.Protocol.Grid;
using Relay.Protocol.Tunnel;

namespace Relay.Connector;

// Which silo, and how to change it: the new tunnel is open before the old one takes no more streams.
public sealed partial class RelayConnector
{
    // A silo that cannot be left, because no other one takes the agent, is used as long as it lasts.
    private static readonly TimeSpan RetryLeaving = TimeSpan.FromSeconds(1);

    // The best one has this start over the next: enough to be the first when it lives.
    private static readonly TimeSpan Stagger = TimeSpan.FromMilliseconds(300);

    private static readonly TimeSpan LeastSlack = TimeSpan.FromMilliseconds(750);
    private static readonly TimeSpan MostSlack = TimeSpan.FromSeconds(8);
    private static readonly TimeSpan SlackShrinksAfter = TimeSpan.FromMinutes(2);

    private readonly SiloChoice _choice;
    private volatile TaskCompletionSource _nudge = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile string? _attachedAt;
    private TimeSpan _slack = LeastSlack;
    private long _silentAt;

    private void Nudge() => Interlocked.Exchange(ref _nudge, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();

    private void Learn(SiloAnnouncements announced)
    {
        // Servers that were configured are the only ones: the grid says of these which to use.
        IReadOnlyList<SiloAnnouncement> silos = announced.Silos ?? [];
        if (_options.Servers.Count > 0)
            silos = [.. silos.Where(s => _options.Servers.Contains(s?.Address, StringComparer.OrdinalIgnoreCase))];
        if (silos.Count > 0 && _choice.Announce(announced with { Silos = silos }))
            Nudge();
    }

    private async Task<int> KeepConnectedAsync(TunnelServer server, SiloDialler dialler, CancellationToken stop)
    {
        var backoff = new Backoff(_options.MaxRetryDelay);
        HeldTunnel? held = null;
        while (true)
        {
            if (held is null)
            {
                // The first time nothing is known of distances: all are dialled at once, and the first to answer is the nearest.
                (held, var exit) = await ConnectAsync(server, dialler, _choice.Ranked(), _epochs.Highest == 0 ? TimeSpan.Zero : Stagger, stop);
                if (exit is { } code)
                    return code;
                if (held is null)
                {
                    await PauseAsync(backoff, stop);
                    continue;
                }
            }

            switch (await NextAsync(held, stop))
            {
                case Turn.Lost:
                    _choice.Failed(held.Server);
                    held = await LoseAsync(held, backoff, stop);
                    break;
                case Turn.Dismissed:
                    var goodbye = await held.Attachment.Dismissed;
                    if (FatalCode(goodbye.Code) is { } fatal)
                    {
                        LogStoppedByServer(goodbye.Message);
                        LogFatal(_logger, goodbye.Message, fatal);
                        return fatal;
                    }

                    LogDisconnectedByServer(goodbye.Message);
                    if (goodbye.Code == AttachCodes.Draining)
                    {
                        held.SentAway = true;
                        break;
                    }

                    held.Retire();
                    held = await LoseAsync(held, backoff, stop);
                    break;
                case Turn.Leave:
                    if (!held.SentAway)
                        BecomeMorePatient(held.Server);
                    var (other, end) = await MoveAsync(server, dialler, held, [.. _choice.Ranked().Where(s => s != held.Server)], stop);
                    if (end is { } why)
                        return why;
                    held.Retry = Task.Delay(RetryLeaving, _time, stop);
                    held = other ?? held;
                    break;
                default:
                    var (better, over) = await MoveAsync(server, dialler, held, _choice.Current is { } best && best != held.Server ? [best] : [], stop);
                    if (over is { } because)
                        return because;
                    held = better ?? held;
                    _choice.Settle(held.Server);
                    break;
            }
        }
    }

    private async Task<Turn> NextAsync(HeldTunnel held, CancellationToken stop)
    {
        while (true)
        {
            // A pause that was cancelled is over too: without this, an agent that nobody else takes would try for ever to leave.
            stop.ThrowIfCancellationRequested();
            var nudged = _nudge.Task;
            var silent = held.Attachment.Silent;
            if (held.Attachment.Dismissed.IsCompleted && !held.SentAway)
                return Turn.Dismissed;
            if (held.Connection.Completed.IsCompleted)
                return Turn.Lost;
            var leaves = held.SentAway || silent.IsCompleted;
            if (leaves && held.Retry is not { IsCompleted: false })
                return Turn.Leave;
            if (!leaves && _choice.Current is { } best && best != held.Server && _choice.IsFit(best))
                return Turn.Better;
            List<Task> news = [held.Connection.Completed, nudged];
            if (!held.SentAway)
                news.Add(held.Attachment.Dismissed);
            if (leaves)
                news.Add(held.Retry!);
            else
                news.Add(silent);
            await Task.WhenAny(news).WaitAsync(stop);
        }
    }

    private async Task<HeldTunnel?> LoseAsync(HeldTunnel held, Backoff backoff, CancellationToken stop)
    {
        // A silo that accepts and closes at once must not be dialled in a tight loop.
        if (_time.GetElapsedTime(held.Since) > SettledAfter)
            backoff.Reset();
        _attachedAt = null;
        await PauseAsync(backoff, stop);
        return null;
    }

    private async Task PauseAsync(Backoff backoff, CancellationToken stop)
    {
        var delay = backoff.Next();
        if (_wasConnected)
            LogClosed(delay.TotalSeconds);
        else
            LogRetry(delay.TotalSeconds);
        _wasConnected = false;
        await Task.Delay(delay, _time, stop);
    }

    // Too little processor time looks like a silo that stands still: whoever was wrong once waits longer the next time.
    private void BecomeMorePatient(string server)
    {
        LogSilent(server);
        _choice.Failed(server);
        _silentAt = _time.GetTimestamp();
        _slack = _slack + _slack < MostSlack ? _slack + _slack : MostSlack;
    }

    /// <summary>Opens a tunnel elsewhere; only then the present one takes no more streams. Nobody took the agent: both null.</summary>
    private async Task<(HeldTunnel? Tunnel, int? Exit)> MoveAsync(TunnelServer server, SiloDialler dialler, HeldTunnel held, IReadOnlyList<string> servers, CancellationToken stop)
    {
        var (moved, exit) = await ConnectAsync(server, dialler, servers, Stagger, stop);
        if (moved is null)
            return (null, exit);
        LogMoved(held.Server, moved.Server, held.Attachment.Epoch, moved.Attachment.Epoch);
        held.Retire();
        return (moved, null);
    }

    /// <summary>One round: the best silo, then the next best while they cannot take us. Both null: try again later.</summary>
    private async Task<(HeldTunnel? Tunnel, int? Exit)> ConnectAsync(TunnelServer server, SiloDialler dialler, IReadOnlyList<string> servers, TimeSpan stagger, CancellationToken stop)
    {
        var candidates = servers.ToList();
        while (candidates.Count > 0)
        {
            LogConnecting(string.Join(", ", candidates));
            DialledSilo silo;
            try
            {
                silo = await dialler.DialNearestAsync(candidates, stagger, stop);
            }
            catch (ForeignGridException e) when (_epochs.Highest == 0)
            {
                // Never been accepted anywhere: this is the wrong token, not a disturbance on the way.
                LogFatal(_logger, e.Message, ConnectorExitCode.TokenForeign);
                return (null, ConnectorExitCode.TokenForeign);
            }
            catch (IOException e)
            {
                LogNotReached(e.Message);
                foreach (var candidate in candidates)
                    _choice.Failed(candidate);
                return (null, null);
            }

            candidates.Remove(silo.Server);
            var (attachment, refusal) = await AttachAsync(silo, stop);
            if (attachment is not null)
                return (Serve(server, silo, attachment), null);
            if (FatalCode(refusal?.Code) is { } code)
            {
                LogFatal(_logger, refusal!.Message ?? refusal.Code!, code);
                return (null, code);
            }

            LogRefused(silo.Server, refusal?.Message ?? "the connection was closed");
            _choice.Failed(silo.Server);
        }

        return (null, null);
    }

    private HeldTunnel Serve(TunnelServer server, DialledSilo silo, Attachment attachment)
    {
        if (_time.GetElapsedTime(_silentAt) > SlackShrinksAfter)
            _slack = LeastSlack;
        attachment.Time = _time;
        attachment.Slack = _slack;
        attachment.Announced = Learn;
        if (attachment.Answer.Silos is { Count: > 0 } silos)
            Learn(new SiloAnnouncements(0, [.. silos.Select(s => new SiloAnnouncement(s, s, null, SiloAnnouncement.Active, (long)TimeSpan.FromHours(1).TotalSeconds))]));
        _attachedAt = silo.Server;
        _choice.Settle(silo.Server);
        var connection = new DialledConnection(silo.Stream, silo.Remote, attachment);
        server.Serve(connection);
        _wasConnected = true;
        LogConnected(attachment.Answer.Silo ?? silo.Silo.Name, silo.Server, attachment.Epoch, attachment.Answer.ConnectorName ?? "");
        return new HeldTunnel(connection, _time.GetTimestamp());
    }
}
