namespace Relay.Protocol.Grid;

/// <summary>
/// Which silo to use, the same for gateways and connectors: of those the grid announces the one with the lowest measured round
/// trip, kept until another is better by a margin for several measurements; of equals one in the own region. One that drains or
/// does not answer is left at once. No I/O: the caller measures and reports. Safe for concurrent use.
/// </summary>
public sealed class SiloChoice
{
    /// <summary>More are not considered: an announcement is bounded.</summary>
    public const int MaxSilos = 64;

    // A grid whose database was put back to an earlier state announces lower versions for ever.
    private static readonly TimeSpan BelieveOlderAfter = TimeSpan.FromMinutes(1);

    private readonly SiloChoiceOptions _options;
    private readonly TimeProvider _time;
    private readonly Random _random;
    private readonly Lock _lock = new();
    private readonly Dictionary<string, SiloCandidate> _silos = new(StringComparer.OrdinalIgnoreCase);
    private SiloCandidate? _current;
    private long _version = -1;
    private long _announcedAt;

    /// <summary>Knows no silo yet.</summary>
    /// <param name="options">How to choose.</param>
    /// <param name="time">For ages.</param>
    /// <param name="random">For the jitter of <see cref="NextMeasurement"/>; null: shared.</param>
    public SiloChoice(SiloChoiceOptions options, TimeProvider time, Random? random = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(time);
        _options = options;
        _time = time;
        _random = random ?? Random.Shared;
    }

    /// <summary>The silo to use; null: none is known. It may be a dead or draining one when there is no other.</summary>
    public string? Current
    {
        get
        {
            lock (_lock)
                return _current?.Address;
        }
    }

    /// <summary>Everything that is known, in no order: what to measure.</summary>
    public IReadOnlyList<string> Addresses
    {
        get
        {
            lock (_lock)
                return [.. _silos.Keys];
        }
    }

    /// <summary>Silos from the configuration or a token: never forgotten, and taken for active until the grid announces its silos.</summary>
    /// <param name="addresses">"host:port".</param>
    public void Seed(IEnumerable<string> addresses)
    {
        ArgumentNullException.ThrowIfNull(addresses);
        lock (_lock)
        {
            foreach (var address in addresses)
            {
                var silo = Find(address);
                silo.IsSeed = true;
                if (_version >= 0)
                    silo.Standing = SiloStanding.Leaving;
            }

            Decide();
        }
    }

    /// <summary>What the grid says now replaces what it said before. False: older than what is known, ignored.</summary>
    /// <param name="announced">From any silo.</param>
    public bool Announce(SiloAnnouncements announced)
    {
        ArgumentNullException.ThrowIfNull(announced);
        lock (_lock)
        {
            var now = _time.GetTimestamp();
            if (announced.Version < _version && _time.GetElapsedTime(_announcedAt, now) < BelieveOlderAfter)
                return false;
            _version = announced.Version;
            _announcedAt = now;
            var named = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
            foreach (var silo in (announced.Silos ?? []).Take(MaxSilos))
            {
                if (silo?.Address is not { } address || !GridAddress.TryParse(address, out _, out _))
                    continue;
                named.Add(address);
                var known = Find(address);
                known.Region = silo.Region ?? "";
                known.Standing = silo.State == SiloAnnouncement.Active ? SiloStanding.Active : SiloStanding.Leaving;
                known.StartedAt = now - (long)(Math.Clamp(silo.AgeSeconds, 0, 1_000_000_000) * (double)_time.TimestampFrequency);
            }

            foreach (var silo in _silos.Values.Where(s => !named.Contains(s.Address)).ToArray())
            {
                silo.Standing = SiloStanding.Leaving;
                if (!silo.IsSeed && silo != _current)
                    _silos.Remove(silo.Address);
            }

            Decide();
            return true;
        }
    }

    /// <summary>It answered: how long that took.</summary>
    /// <param name="address">Unknown ones are ignored.</param>
    /// <param name="roundTrip">Of one small exchange; all silos measured in the same way.</param>
    public void Measured(string address, TimeSpan roundTrip)
    {
        lock (_lock)
        {
            if (!_silos.TryGetValue(address, out var silo))
                return;
            silo.Measured(roundTrip);
            Decide(silo);
        }
    }

    /// <summary>It did not answer, refused, or its connection broke: not used while there is another one, until it is measured again.</summary>
    /// <param name="address">Unknown ones are ignored.</param>
    public void Failed(string address)
    {
        lock (_lock)
        {
            if (!_silos.TryGetValue(address, out var silo))
                return;
            silo.Fail();
            Decide();
        }
    }

    /// <summary>The caller uses this one now, whoever was chosen: a first connection raced, or the chosen one could not be had.</summary>
    /// <param name="address">Added when it is not known.</param>
    public void Settle(string address)
    {
        lock (_lock)
            MoveTo(Find(address));
    }

    /// <summary>All that are known, best first: whom to try when <see cref="Current"/> cannot be had.</summary>
    public IReadOnlyList<string> Ranked()
    {
        lock (_lock)
            return [.. Order(_silos.Values).Select(s => s.Address)];
    }

    /// <summary>True: announced as active and not known to have failed.</summary>
    /// <param name="address">Any.</param>
    public bool IsFit(string address)
    {
        lock (_lock)
            return _silos.TryGetValue(address, out var silo) && Rank(silo) <= 1;
    }

    /// <summary>How long to wait before measuring again: jittered, so that those who came together part.</summary>
    public TimeSpan NextMeasurement()
    {
        double random;
        lock (_lock)
            random = _random.NextDouble();
        return _options.Interval * (0.75 + (random * 0.5));
    }

    private SiloCandidate Find(string address)
    {
        if (!_silos.TryGetValue(address, out var silo))
            _silos[address] = silo = new SiloCandidate(address);
        return silo;
    }

    // 0: measured and active; 1: active, not measured yet; 2: leaving; 3: does not answer.
    private static int Rank(SiloCandidate silo) =>
        silo.Failed ? 3 : silo.Standing != SiloStanding.Active ? 2 : silo.IsMeasured ? 0 : 1;

    private void Decide(SiloCandidate? measured = null)
    {
        if (_silos.Count == 0)
            return;
        if (_current is null || Rank(_current) > 0)
        {
            // Needed, not wished: the best there is, at once. One as unfit as the present one is no reason.
            var best = Order(_silos.Values).First();
            if (_current is null || Rank(best) < Rank(_current))
                MoveTo(best);
            return;
        }

        if (measured is null || measured == _current || Rank(measured) > 0)
            return;
        measured.Wins = IsBetter(measured, _current) ? measured.Wins + 1 : 0;
        if (measured.Wins < _options.Wins || !IsSettled(measured))
            return;

        // Of several that win, the best and not the one that was measured first in this round.
        MoveTo(Order(_silos.Values.Where(s => Rank(s) == 0 && s.Wins >= _options.Wins - 1 && IsSettled(s))).First());
    }

    private bool IsSettled(SiloCandidate silo) => silo.StartedAt == long.MinValue || _time.GetElapsedTime(silo.StartedAt) >= _options.SettledAfter;

    private void MoveTo(SiloCandidate silo)
    {
        _current = silo;
        foreach (var other in _silos.Values)
            other.Wins = 0;
    }

    // Leaving the own region costs twice the margin that staying away from it does: between the two nothing moves.
    private bool IsBetter(SiloCandidate challenger, SiloCandidate current)
    {
        var margin = MarginOf(current.RoundTrip);
        if (IsOwn(current) && !IsOwn(challenger))
            return challenger.RoundTrip + margin + margin < current.RoundTrip;
        if (IsOwn(challenger) && !IsOwn(current))
            return challenger.RoundTrip <= current.RoundTrip + margin;
        return challenger.RoundTrip + margin < current.RoundTrip;
    }

    private TimeSpan MarginOf(TimeSpan roundTrip)
    {
        var part = roundTrip * _options.Margin;
        return part > _options.LeastMargin ? part : _options.LeastMargin;
    }

    private bool IsOwn(SiloCandidate silo) => _options.Region.Length > 0 && silo.Region == _options.Region;

    private IEnumerable<SiloCandidate> Order(IEnumerable<SiloCandidate> silos)
    {
        var all = silos.ToArray();
        var measured = all.Where(s => Rank(s) == 0).ToArray();
        var nearest = measured.Length > 0 ? measured.Min(s => s.RoundTrip) : TimeSpan.Zero;
        var tie = nearest + MarginOf(nearest);
        return all
            .OrderBy(Rank)
            .ThenBy(s => IsOwn(s) && (Rank(s) > 0 || s.RoundTrip <= tie) ? 0 : 1)
            .ThenBy(s => s.RoundTrip)
            .ThenBy(s => s.StartedAt)
            .ThenBy(s => s.Address, StringComparer.Ordinal);
    }
}
