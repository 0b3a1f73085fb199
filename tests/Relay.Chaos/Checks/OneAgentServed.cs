using Relay.Chaos.History;

namespace Relay.Chaos.Checks;

/// <summary>
/// Never two agent instances of one connector served at the same time: once another instance has been granted the lease, nothing
/// is opened through the one before, and nothing that was open goes on. A stream that is stuck, because its agent or its silo is
/// frozen or dead or the link between them is cut, is served by nobody.
/// </summary>
internal static class OneAgentServed
{
    private const string Name = "one agent served at a time";

    /// <summary>Two processes' log lines may be written in the other order than what they tell.</summary>
    private const double Slack = 50;

    /// <summary>An agent needs a moment to note the end of a tunnel that its silo has closed.</summary>
    private const double Closing = 500;

    public static CheckResult Check(IReadOnlyList<HistoryEvent> history)
    {
        var leases = new Leases(history);
        var disturbances = new Disturbances(history);
        var overs = history.Where(e => e.Kind == Kinds.StreamOver).ToLookup(e => (e.Agent, e.Session, e.Epoch));
        var streams = history.Where(e => e.Kind == Kinds.StreamAdmitted).ToLookup(e => e.Connector);
        var violations = new List<Violation>();
        long looked = 0;
        foreach (var connector in leases.Connectors)
        {
            foreach (var grant in leases.Of(connector))
            {
                looked++;
                foreach (var stream in streams[connector].Where(s => s.Agent != grant.Agent && s.Epoch < grant.Epoch))
                {
                    if (stream.At > grant.At + Slack)
                    {
                        violations.Add(new Violation(Name, stream.At,
                            $"{stream.Agent} was given a stream of {connector} under epoch {stream.Epoch}, {stream.At - grant.At:0} ms after {grant.Agent} had been granted epoch {grant.Epoch}", [grant.Event, stream]));
                        continue;
                    }

                    var over = overs[(stream.Agent, stream.Session, stream.Epoch)].FirstOrDefault(o => o.At >= stream.At)?.At ?? double.MaxValue;
                    if (stream.At <= grant.At && over > grant.At + Closing && IsServed(stream, grant.At, leases, disturbances))
                    {
                        violations.Add(new Violation(Name, grant.At,
                            $"{grant.Agent} was granted epoch {grant.Epoch} of {connector} while a stream through {stream.Agent} (epoch {stream.Epoch}) went on", [stream, grant.Event]));
                    }
                }
            }
        }

        return new CheckResult(Name, looked, violations);
    }

    private static bool IsServed(HistoryEvent stream, double at, Leases leases, Disturbances disturbances)
    {
        var silo = leases.Find(stream.Connector!, stream.Epoch!.Value)?.Silo;
        if (disturbances.IsFrozen(stream.Node, at) || disturbances.Ended(stream.Node, stream.At, at) is not null)
            return false;
        if (silo is null)
            return true;
        return !disturbances.IsFrozen(silo, at) && disturbances.Ended(silo, stream.At, at) is null
            && !disturbances.Touched([HistoryEvent.Link(silo, stream.Node!)], stream.At, at);
    }
}
