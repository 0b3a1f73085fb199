using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Relay.GrainHost.Hosting;
using Relay.GrainHost.Links;
using Relay.GrainHost.Turns;

namespace Relay.GrainHost.Membership;

/// <summary>Probes other silos over the links that calls use, and has those that stay silent declared dead. One round at a time.</summary>
internal sealed partial class FailureDetector(GrainHostOptions options, MembershipAgent membership, SiloLinks links, ILocalSilo local, CoarseClock clock, TimeProvider time, ILogger logger)
{
    /// <summary>In a large grid each silo probes its next few on the ring of addresses: each is probed by as many.</summary>
    private const int MaxProbed = 5;

    private readonly ConcurrentDictionary<Guid, int> _misses = new();

    /// <summary>When the last probe was sent that a silo has answered; later by as long as this process has stood still since.</summary>
    private readonly ConcurrentDictionary<Guid, long> _heard = new();
    private readonly ConcurrentDictionary<Guid, byte> _suspected = new();
    private readonly LocalHealth _health = new();

    /// <summary>Silent ones that others hear; so that it is said once for each time.</summary>
    private readonly HashSet<Guid> _spokenFor = [];
    private bool _heardNobody;

    public async Task RoundAsync(CancellationToken cancellationToken)
    {
        var probed = Choose();
        if (probed.Length > 0)
        {
            var sentAt = time.GetTimestamp();
            var answers = await Task.WhenAll(probed.Select(member => Probe(member))).ConfigureAwait(false);
            StandStill();
            _health.Observe(clock.TakeLongestGap());
            // Who hears nobody of several may be the one that is cut off. When it hears somebody again, what it missed meanwhile
            // says nothing about the others, whose links take some more time to come back.
            var hearsSomebody = probed.Length == 1 || answers.Contains(ProbeOutcome.Answered);
            if (hearsSomebody && _heardNobody) _misses.Clear();
            _heardNobody = !hearsSomebody;
            for (var i = 0; i < probed.Length; i++)
            {
                _misses[probed[i].Incarnation] = answers[i] == ProbeOutcome.Answered ? 0 : _misses.GetValueOrDefault(probed[i].Incarnation) + 1;
                if (answers[i] == ProbeOutcome.Answered)
                {
                    _heard[probed[i].Incarnation] = sentAt;
                    _spokenFor.Remove(probed[i].Incarnation);
                }

                if (answers[i] == ProbeOutcome.Refused) _ = SuspectAsync(probed[i], cancellationToken);
            }

            foreach (var gone in _misses.Keys.Except(probed.Select(m => m.Incarnation)).ToArray())
            {
                _misses.TryRemove(gone, out _);
                _heard.TryRemove(gone, out _);
                _spokenFor.Remove(gone);
            }

            SiloMember[] answering = [.. probed.Where((_, i) => answers[i] == ProbeOutcome.Answered)];
            foreach (var suspect in probed.Where(m => _misses[m.Incarnation] >= options.MissedProbes * Patience(m)))
            {
                var confirmed = hearsSomebody;
                if (answering.Length > 0)
                {
                    // The way between two silos may be cut while all others hear both: then neither is dead.
                    var says = await Task.WhenAll(answering.Select(member => links.Get(member).HearsAsync(suspect))).ConfigureAwait(false);
                    if (Array.IndexOf(says, true) is >= 0 and var witness)
                    {
                        if (_spokenFor.Add(suspect.Incarnation)) LogHeardByOther(suspect.Address, answering[witness].Address);
                        continue;
                    }

                    // Nobody says anything any more: now it is this silo that hears nobody.
                    confirmed = says.Contains(false);
                }

                if (confirmed || IsSilent(suspect)) await DeclareAsync(suspect, $"{_misses[suspect.Incarnation]} probes without an answer", cancellationToken).ConfigureAwait(false);
            }
        }

        // Silos that died while they came or went: nobody probes them.
        foreach (var member in membership.Snapshot.Members)
        {
            if (member.Status is MemberStatus.Joining or MemberStatus.ShuttingDown && member.Incarnation != local.Incarnation && IsSilent(member))
                await DeclareAsync(member, "no sign of life", cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// A link was lost, or a probe was refused: a process that died has its connections reset at once, and its port refuses new ones.
    /// Dials again a few times in quick succession. Only refusals count here, because how fast they come does not depend on how
    /// busy this process is; whoever is merely silent is left to the rounds.
    /// </summary>
    public async Task SuspectAsync(SiloMember suspect, CancellationToken cancellationToken)
    {
        if (membership.View.Find(suspect.Address, suspect.Incarnation) is null || !_suspected.TryAdd(suspect.Incarnation, 0)) return;
        try
        {
            for (var refusals = 0; refusals < options.MissedProbes; refusals++)
            {
                if (refusals > 0) await Task.Delay(options.ProbeInterval / 3, time, cancellationToken).ConfigureAwait(false);
                if (await links.Get(suspect).ProbeAsync().ConfigureAwait(false) != ProbeOutcome.Refused) return;
            }

            var others = Choose().Where(m => m.Incarnation != suspect.Incarnation).ToArray();
            var answers = await Task.WhenAll(others.Select(member => links.Get(member).ProbeAsync())).ConfigureAwait(false);
            if (others.Length == 0 || answers.Contains(ProbeOutcome.Answered))
                await DeclareAsync(suspect, "nobody listens at its address any more", cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // The silo stops.
        }
        finally
        {
            _suspected.TryRemove(suspect.Incarnation, out _);
        }
    }

    /// <summary>
    /// Whether a silo has answered a probe that was sent less than so many intervals ago as probes must fail: whoever has missed as
    /// many in a row knows of an older silence than this speaks of. Time in which this process stood still, and asked nobody, does not count;
    /// but it speaks for nobody longer than it would wait itself.
    /// </summary>
    public bool Hears(Guid incarnation) => _heard.TryGetValue(incarnation, out var sentAt)
        && time.GetElapsedTime(sentAt) - Late(clock.LongestGap) < options.MissedProbes * options.ProbeInterval
        && MissesOf(incarnation) < options.MissedProbes * _health.Multiplier;

    private static TimeSpan Late(TimeSpan gap) => gap >= LocalHealth.Late ? gap : TimeSpan.Zero;

    private void StandStill()
    {
        var gap = (long)(Late(clock.LongestGap).TotalSeconds * time.TimestampFrequency);
        if (gap == 0) return;
        foreach (var (incarnation, sentAt) in _heard) _heard[incarnation] = sentAt + gap;
    }

    // Who has never answered may still be starting: it compiles what it runs, on a machine that may be busy.
    private int Patience(SiloMember member) => _heard.ContainsKey(member.Incarnation) ? _health.Multiplier : LocalHealth.MaxMultiplier;

    /// <summary>Probes in a row that a silo has not answered.</summary>
    internal int MissesOf(Guid incarnation) => _misses.GetValueOrDefault(incarnation);

    // The last probe before it would count as dead goes by a new connection, too.
    private Task<ProbeOutcome> Probe(SiloMember member) =>
        _misses.GetValueOrDefault(member.Incarnation) >= options.MissedProbes - 1 ? links.Get(member).ProbeAnewAsync() : links.Get(member).ProbeAsync();

    private bool IsSilent(SiloMember member)
    {
        var snapshot = membership.Snapshot;
        var row = snapshot.Members.FirstOrDefault(member.IsSame);
        return row is not null && snapshot.ReadAt - row.AliveAt > options.SilentAfter;
    }

    private SiloMember[] Choose()
    {
        var view = membership.View;
        if (view.Local is null) return [];
        var others = view.Active.Where(m => m != view.Local).ToArray();
        if (others.Length <= MaxProbed) return others;
        var next = others.Count(m => string.CompareOrdinal(m.Address, view.Local.Address) < 0);
        return [.. Enumerable.Range(0, MaxProbed).Select(i => others[(next + i) % others.Length])];
    }

    private async Task DeclareAsync(SiloMember suspect, string why, CancellationToken cancellationToken)
    {
        try
        {
            if (await membership.DeclareDeadAsync(suspect, why, cancellationToken).ConfigureAwait(false)) _misses.TryRemove(suspect.Incarnation, out _);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // Without the store nobody can be declared dead; the next round tries again.
            LogNotDeclared(suspect.Address, e.Message);
        }
    }
}
