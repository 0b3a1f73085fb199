using System.Net;

namespace Relay.Gateway.WireGuard.Resolver;

/// <summary>What the resolver inside the tunnel answers for.</summary>
internal sealed record ResolverOptions
{
    /// <summary>The port it is asked at.</summary>
    public const int Port = 53;

    /// <summary>
    /// How long an answer holds, and how long it holds that there is no such name: a socket that was just published, or just granted, is found
    /// that soon. Addresses do not change; whether they may be used is decided with each flow.
    /// </summary>
    public const uint SecondsToLive = 5;

    /// <summary>Of the names it answers for, in lower case and without dots at its ends.</summary>
    public required string Suffix { get; init; }

    /// <summary>Resolvers for all other names; empty: those are refused.</summary>
    public IReadOnlyList<IPEndPoint> Forward { get; init; } = [];

    /// <summary>Ranges inside the tunnel: their addresses have no names that anybody else could know.</summary>
    public IReadOnlyList<IPNetwork> Ranges { get; init; } = [];

    /// <summary>Questions of one device that may be under way at once; one more is answered with "server failure".</summary>
    public int QuestionsPerDevice { get; init; } = 64;

    /// <summary>How long a silo has for an answer.</summary>
    public TimeSpan AskTimeout { get; init; } = TimeSpan.FromSeconds(4);

    /// <summary>How long one of <see cref="Forward"/> has; then the next one is asked.</summary>
    public TimeSpan ForwardTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How long a client may be silent: its flow, or its connection, then ends. A question after that begins a new one.</summary>
    public TimeSpan Idle { get; init; } = TimeSpan.FromSeconds(10);
}
