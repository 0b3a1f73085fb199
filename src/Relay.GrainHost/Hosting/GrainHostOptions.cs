using System.Reflection;

namespace Relay.GrainHost.Hosting;

/// <summary>How this silo hosts grains. Checked at start; every failure is listed.</summary>
public sealed class GrainHostOptions
{
    /// <summary>Advertised grid address "host:port", the silo's identity among the others. Required.</summary>
    public string Address { get; set; } = "";

    /// <summary>The name in this silo's certificate. Empty: peers do not compare it. Default: empty.</summary>
    public string Name { get; set; } = "";

    /// <summary>Free text for placement of users, not of grains. Default: empty.</summary>
    public string Region { get; set; } = "";

    /// <summary>Where connectors dial this silo, "host:port". Default: empty, nowhere.</summary>
    public string ConnectorAddress { get; set; } = "";

    /// <summary>Software version for the membership table. Default: empty.</summary>
    public string Version { get; set; } = "";

    /// <summary>
    /// Completes when the membership table can be asked: the process then starts without waiting, and this silo joins as soon as it can.
    /// Default: null, a table that cannot be asked stops the start. May be set until the service starts.
    /// </summary>
    public Func<CancellationToken, Task>? JoinWhen { get; set; }

    /// <summary>Assemblies with grain interfaces, messages and classes. All silos must have the same.</summary>
    public IList<Assembly> GrainAssemblies { get; } = [];

    /// <summary>How long a caller waits where the method has no <c>[ResponseTimeout]</c>. Default: 5 seconds. More than zero.</summary>
    public TimeSpan CallTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>An activation that nobody calls for this long ends. Default: 15 minutes. More than zero.</summary>
    public TimeSpan CollectionAge { get; set; } = TimeSpan.FromMinutes(15);

    /// <summary>Limit of <c>OnActivateAsync</c>; then the activation fails. Default: 5 seconds. More than zero.</summary>
    public TimeSpan ActivationTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Limit of <c>OnDeactivateAsync</c>; then the activation ends regardless. Default: 5 seconds. More than zero.</summary>
    public TimeSpan DeactivationTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a stopping silo waits for its activations. Default: 5 seconds.</summary>
    public TimeSpan StopTimeout { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Calls that may wait or run at one activation; more are rejected with <c>LimitExceededException</c>. Default: 5000. At least 1.</summary>
    public int MaxQueuedCalls { get; set; } = 5000;

    /// <summary>Largest message between silos, bytes. Default: 1 MiB. 1 KiB to 64 MiB.</summary>
    public int MaxFrameBytes { get; set; } = 1024 * 1024;

    /// <summary>Bytes that may wait in a link before callers wait too. Default: 4 MiB. At least <see cref="MaxFrameBytes"/>.</summary>
    public int MaxQueuedBytes { get; set; } = 4 * 1024 * 1024;

    /// <summary>Limit of dialling a silo and shaking hands. Default: 3 seconds. More than zero.</summary>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(3);

    /// <summary>How often the membership table is read without an occasion. Default: 3 seconds. More than zero.</summary>
    public TimeSpan RefreshInterval { get; set; } = TimeSpan.FromSeconds(3);

    /// <summary>How often this silo writes its sign of life. Default: 10 seconds. More than zero.</summary>
    public TimeSpan HeartbeatInterval { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How often each other silo is probed over its link, and how long an answer may take. Default: 0.75 seconds. More than zero.</summary>
    public TimeSpan ProbeInterval { get; set; } = TimeSpan.FromMilliseconds(750);

    /// <summary>
    /// Probes in a row that must fail before a silo is declared dead; up to four times as many while this process itself gets too little
    /// processor time. Where the machine says that nobody listens any more, they follow each other faster. Default: 3. At least 1.
    /// </summary>
    public int MissedProbes { get; set; } = 3;

    /// <summary>
    /// A silo that hears nobody cannot tell whether it is the one cut off: it declares others dead only when their sign of
    /// life is older than this, too. Default: 30 seconds, three heartbeats.
    /// </summary>
    public TimeSpan SilentAfter { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Every failure, each a sentence; empty when all is well.</summary>
    public IReadOnlyList<string> Validate()
    {
        var errors = new List<string>();
        if (Address.Length == 0) errors.Add("Address is empty: set the address other silos dial, \"host:port\".");
        if (GrainAssemblies.Count == 0) errors.Add("GrainAssemblies is empty: add the assembly that has the grains.");
        Positive(CallTimeout, nameof(CallTimeout));
        Positive(CollectionAge, nameof(CollectionAge));
        Positive(ActivationTimeout, nameof(ActivationTimeout));
        Positive(DeactivationTimeout, nameof(DeactivationTimeout));
        Positive(ConnectTimeout, nameof(ConnectTimeout));
        Positive(RefreshInterval, nameof(RefreshInterval));
        Positive(HeartbeatInterval, nameof(HeartbeatInterval));
        Positive(ProbeInterval, nameof(ProbeInterval));
        if (StopTimeout < TimeSpan.Zero) errors.Add("StopTimeout is negative.");
        if (MaxQueuedCalls < 1) errors.Add("MaxQueuedCalls is below 1.");
        if (MissedProbes < 1) errors.Add("MissedProbes is below 1.");
        if (MaxFrameBytes is < 1024 or > 64 * 1024 * 1024) errors.Add("MaxFrameBytes is not between 1 KiB and 64 MiB.");
        if (MaxQueuedBytes < MaxFrameBytes) errors.Add("MaxQueuedBytes is below MaxFrameBytes.");
        return errors;

        void Positive(TimeSpan value, string name)
        {
            if (value <= TimeSpan.Zero) errors.Add($"{name} is not more than zero.");
        }
    }
}
