using Relay.Connector.Tunnel;
using Relay.Silo.Connectors;

namespace Relay.Tests.Silo.Fencing.Model;

/// <summary>One agent instance: attaches, keeps trying, sometimes moves while its old tunnel still stands; decides on openings with the product's gate.</summary>
internal sealed class ModelAgent : ModelNode
{
    private const int AttachDeadlineMs = 13_000;

    private readonly LeaseModel _model;
    private readonly List<ModelTunnel> _tunnels = [];
    private readonly List<Action> _waiting = [];
    private EpochGate _gate = new();
    private long _attempt;
    private bool _asking;
    private bool _settled = true;

    public ModelAgent(LeaseModel model, string name)
        : base(model, name)
    {
        _model = model;
        Restart();
    }

    public Guid Instance { get; private set; }

    /// <summary>May move to another silo while it is connected.</summary>
    public bool Moves { get; set; }

    public long ClockMs => (long)Now.TotalMilliseconds;

    public void Restart()
    {
        Kill();
        foreach (var tunnel in _tunnels) tunnel.EndByAgent();
        _tunnels.Clear();
        _waiting.Clear();
        (_gate, _attempt, _asking, _settled, Instance) = (new EpochGate(), 0, false, true, _model.Random.Guid());
        Start();
        After(_model.Random.Next(1000), Loop);
    }

    private void Loop()
    {
        _tunnels.RemoveAll(t => t.AgentEnd);
        // As the keep-alive of the connection does: who is not heard for 20 s is gone.
        foreach (var tunnel in _tunnels.Where(t => _model.IsCutFor(this, t.Silo, 20_000))) tunnel.EndByAgent();
        if (!_asking && (!_settled || !_tunnels.Any(t => !t.AgentEnd) || (Moves && _model.Random.Chance(10)))) Attach();
        After(_model.Random.Between(500, 1500), Loop);
    }

    private void Attach()
    {
        var silo = _model.Random.Pick(_model.Silos);
        _asking = true;
        if (_model.Off != Guard.AskWaits) _gate.Ask();
        var (attempt, over) = (++_attempt, false);
        void Settle(bool known, bool accepted)
        {
            if (over) return;
            // A refusal says nothing about an attach before that got no answer.
            (over, _asking, _settled) = (true, false, accepted || (known && _settled));
            _model.Log($"{Name}: attach {attempt} at {silo.Name}: {(known ? "answered" : "no answer")}; connected to {string.Join(' ', _tunnels.Where(t => !t.AgentEnd).Select(t => $"{t.Silo.Name}/{t.Epoch}"))}");
            if (_model.Off != Guard.AskWaits) _gate.Settle(known);
            foreach (var step in _waiting.ToArray()) step();
            _waiting.Clear();
        }

        var (life, instance, highest, clock) = (Life, Instance, _gate.Highest, ClockMs);
        _model.Send(this, silo, () => silo.OnAttach(this, life, instance, attempt, highest, clock, answer =>
        {
            // On the connection that the agent has given up meanwhile nothing arrives.
            if (over || life != Life) return false;
            if (answer is null)
            {
                Settle(known: true, accepted: false);
                return false;
            }

            var believed = _model.Off == Guard.Epochs || _gate.Admit(answer.Epoch);
            if (believed) _tunnels.Add(answer);
            Settle(believed, believed);
            return believed;
        }));
        After(AttachDeadlineMs, () => Settle(known: false, accepted: false));
    }

    /// <summary>A silo asks to open a stream; it may have been on its way for long.</summary>
    public void OnOpen(ModelTunnel tunnel, long? until, Action<bool> answer)
    {
        if (tunnel.AgentEnd) return;
        if (!_gate.Settled.IsCompleted)
        {
            _waiting.Add(() => OnOpen(tunnel, until, answer));
            return;
        }

        var mayOpen = _model.Off == Guard.Epochs || _gate.Admit(tunnel.Epoch);
        if (!mayOpen || IsLate(until))
        {
            answer(false);
            return;
        }

        // The dial.
        var dial = _model.Random.Chance(90) ? _model.Random.Next(20) : _model.Random.Next(9000);
        After(dial, () =>
        {
            if (tunnel.AgentEnd) return;
            var late = IsLate(until) || !(_model.Off == Guard.Epochs || IsCurrent(tunnel.Epoch));
            if (!late) _model.Accepted(this, tunnel);
            answer(!late);
        });
    }

    public void OnPing(ModelTunnel tunnel, Action<long> answer)
    {
        if (!tunnel.AgentEnd) answer(ClockMs);
    }

    private bool IsCurrent(long epoch) => _gate.Settled.IsCompleted && _gate.Admit(epoch);

    private bool IsLate(long? until) => _model.Off != Guard.Until && until is { } limit && ClockMs > limit;
}

/// <summary>One attachment, with both ends of its connection.</summary>
internal sealed class ModelTunnel(ModelSilo silo, ModelAgent agent, int life, long epoch, TimeSpan renewedAt, AgentClock clock)
{
    public ModelSilo Silo => silo;

    public ModelAgent Agent => agent;

    /// <summary>The agent's process.</summary>
    public int Life => life;

    public long Epoch => epoch;

    public TimeSpan RenewedAt { get; set; } = renewedAt;

    public AgentClock Clock { get; set; } = clock;

    /// <summary>The latest limit of openings that were sent and not answered.</summary>
    public TimeSpan DoubtUntil { get; set; } = TimeSpan.MinValue;

    public int Unanswered { get; set; }

    /// <summary>The agent has closed its end: nothing that arrives is looked at.</summary>
    public bool AgentEnd { get; private set; }

    public void EndByAgent() => AgentEnd = true;
}
