using System.Globalization;
using Relay.Protocol.Grid;
using Relay.TestKit;

namespace Relay.Tests.Protocol.Grid;

/// <summary>
/// The choice under thousands of seeded schedules of silos that come, die, freeze, drain, restart and change their distance,
/// measured with noise. After every step: nothing unfit is chosen while a fit one is known. In every quiet stretch: no silo that
/// was left is used again (so it comes to rest), and it ends at one that nobody beats.
/// </summary>
public sealed class SiloChoiceScheduleTests
{
    private const int Schedules = 2000;

    // The middle of five has turned after three, five wins follow, and a little for silos that have just come.
    private const int QuietRounds = 40;

    [Fact]
    public void No_schedule_flaps_picks_an_unfit_silo_or_stays_away_from_a_better_one()
    {
        var moves = 0;
        var events = 0;
        for (var seed = 0; seed < Schedules; seed++)
        {
            var run = new Run(seed);
            run.Play();
            moves += run.Moves;
            events += run.Events;
        }

        // The schedules are not empty: something happened and was reacted to.
        Assert.True(events > Schedules * 5, $"{events} events");
        Assert.True(moves > Schedules * 2, $"{moves} moves");
    }

    [Fact]
    public void A_seed_gives_the_same_schedule_again()
    {
        var (one, two) = (new Run(4711), new Run(4711));
        one.Play();
        two.Play();
        Assert.Equal(one.Trace, two.Trace);
        Assert.NotEmpty(one.Trace);
    }

    private sealed class Silo(string address, string region, double distance)
    {
        public string Address { get; } = address;

        public string Region { get; } = region;

        public double Distance { get; set; } = distance;

        public bool Alive { get; set; } = true;

        public bool Draining { get; set; }

        public bool Announced { get; set; } = true;

        public DateTimeOffset Started { get; set; }

        /// <summary>What the chooser has been told last: an answer, or none.</summary>
        public bool LastAnswered { get; set; }

        public int SinceSpike { get; set; } = 10;
    }

    private sealed class Run
    {
        private static readonly string[] s_regions = ["north", "south", ""];
        private readonly int _seed;
        private readonly Random _random;
        private readonly ManualTimeProvider _time = new();
        private readonly SiloChoice _choice;
        private readonly SiloChoiceOptions _options;
        private readonly List<Silo> _silos = [];
        private readonly List<string> _trace = [];
        private readonly HashSet<string> _left = [];
        private long _version;
        private string? _former;

        public Run(int seed)
        {
            _seed = seed;
            _random = new Random(seed);
            _options = new SiloChoiceOptions { Region = s_regions[_random.Next(3)] };
            _choice = new SiloChoice(_options, _time, new Random(seed));
        }

        public int Moves { get; private set; }

        public int Events { get; private set; }

        public string Trace => string.Join("\n", _trace);

        public void Play()
        {
            var count = _random.Next(1, 6);
            for (var i = 0; i < count; i++)
                Add();
            Announce();
            for (var phase = 0; phase < 8; phase++)
            {
                for (var n = _random.Next(1, 4); n > 0; n--)
                {
                    _left.Clear();
                    Happen();
                    Check("after an event");
                }

                for (var n = _random.Next(0, 4); n > 0; n--)
                {
                    _left.Clear();
                    Rounds(1);
                }

                Quiet();
            }
        }

        private void Quiet()
        {
            // Everybody is heard once first: what the events broke is found out.
            _left.Clear();
            Rounds(2);
            _left.Clear();
            Rounds(QuietRounds);
            if (_choice.Current is not { } current || !IsFit(Of(current)))
                return;
            var (own, mine) = (Of(current), Of(current).Distance);
            foreach (var other in _silos.Where(IsFit))
            {
                // Noise of a tenth on both sides beside the margins.
                var leaving = IsOwn(own) && !IsOwn(other) ? 2 : 1;
                var allowed = (other.Distance * 1.1) + (leaving * Math.Max(_options.Margin * mine * 1.1, _options.LeastMargin.TotalMilliseconds));
                Assert.True(mine * 0.9 <= allowed, $"seed {_seed}: stays at {current} ({mine} ms) though {other.Address} has {other.Distance} ms\n{Trace}");
                Assert.False(
                    IsOwn(other) && !IsOwn(own) && other.Distance * 1.1 < mine * 0.9,
                    $"seed {_seed}: stays in a foreign region at {current} though {other.Address} is own and no farther\n{Trace}");
            }
        }

        private void Rounds(int rounds)
        {
            for (var i = 0; i < rounds; i++)
            {
                foreach (var address in _choice.Addresses.OrderBy(_ => _random.Next()).ToArray())
                {
                    Measure(Of(address));
                    Check("after a measurement");
                }

                _time.Advance(_choice.NextMeasurement());
            }
        }

        private void Happen()
        {
            Events++;
            var silo = _silos[_random.Next(_silos.Count)];
            switch (_random.Next(8))
            {
                case 0 or 1 when silo.Alive:
                    Say($"{silo.Address} dies");
                    silo.Alive = false;
                    if (_random.Next(2) == 0)
                        Tell(silo);
                    break;
                case 0 or 1 or 2 when !silo.Alive:
                    Say($"{silo.Address} is back");
                    (silo.Alive, silo.Draining, silo.Announced, silo.Started) = (true, false, true, _time.GetUtcNow());
                    Announce();
                    break;
                case 3:
                    Say($"{silo.Address} drains");
                    silo.Draining = true;
                    Announce();
                    break;
                case 4 when !silo.Alive:
                    Say($"{silo.Address} is not announced any more");
                    silo.Announced = false;
                    Announce();
                    break;
                case 5 when _silos.Count < 8:
                    Add();
                    Announce();
                    break;
                case 6:
                    silo.Distance = NewDistance();
                    Say($"{silo.Address} is {silo.Distance} ms away");
                    break;
                default:
                    // An announcement that was on its way for long, from a silo that knows less.
                    Announce();
                    Assert.False(_choice.Announce(new SiloAnnouncements(_version - 1, [])), $"seed {_seed}: an old announcement was believed");
                    break;
            }
        }

        private void Tell(Silo silo)
        {
            silo.LastAnswered = false;
            _choice.Failed(silo.Address);
        }

        private void Measure(Silo silo)
        {
            if (!silo.Alive)
            {
                Tell(silo);
                return;
            }

            // A tenth of noise always, a spike now and then, but never two among five: that would be a change.
            var noise = 0.9 + (_random.NextDouble() * 0.2);
            silo.SinceSpike++;
            if (silo.SinceSpike > 5 && _random.Next(10) == 0)
            {
                silo.SinceSpike = 0;
                noise = 30;
            }

            silo.LastAnswered = true;
            _choice.Measured(silo.Address, TimeSpan.FromMilliseconds(silo.Distance * noise));
        }

        private void Announce() => Assert.True(_choice.Announce(new SiloAnnouncements(++_version,
            [.. _silos.Where(s => s.Announced).Select(s => new SiloAnnouncement(
                s.Address, s.Address, s.Region, s.Draining ? SiloAnnouncement.Draining : SiloAnnouncement.Active, (long)(_time.GetUtcNow() - s.Started).TotalSeconds))])));

        private void Add()
        {
            var silo = new Silo($"10.0.0.{_silos.Count + 1}:7443", s_regions[_random.Next(3)], NewDistance()) { Started = _time.GetUtcNow() };
            Say($"{silo.Address} in '{silo.Region}' comes, {silo.Distance} ms away");
            _silos.Add(silo);
        }

        private double NewDistance() => Math.Round(Math.Exp(_random.NextDouble() * 6), 2);

        private void Check(string when)
        {
            var current = _choice.Current;
            if (current != _former)
            {
                Say($"now {current}");
                Moves++;
                if (_former is not null)
                    _left.Add(_former);
                Assert.False(current is not null && _left.Contains(current), $"seed {_seed}: back to {current} without a cause\n{Trace}");
                _former = current;
            }

            var known = _choice.Addresses.Select(Of).ToArray();
            if (known.Any(s => IsFit(s) && s.LastAnswered))
                Assert.True(current is not null && IsFit(Of(current)) && Of(current).LastAnswered, $"seed {_seed}: {current} is unfit {when}\n{Trace}");
        }

        // As far as the chooser can know: announced as active; whether it answers is a question of LastAnswered.
        private static bool IsFit(Silo silo) => silo is { Announced: true, Draining: false, LastAnswered: true };

        private bool IsOwn(Silo silo) => _options.Region.Length > 0 && silo.Region == _options.Region;

        private Silo Of(string address) => _silos.Single(s => s.Address == address);

        private void Say(string what) => _trace.Add(string.Create(CultureInfo.InvariantCulture, $"{(_time.GetUtcNow() - DateTimeOffset.UnixEpoch).TotalSeconds:0.0} {what}"));
    }
}
