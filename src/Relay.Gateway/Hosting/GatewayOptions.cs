using Relay.Gateway.WireGuard;

namespace Relay.Gateway.Hosting;

/// <summary>How a gateway runs. Every setting is an environment variable or an option of the same meaning: see <see cref="GatewayOptionsReader"/>.</summary>
internal sealed record GatewayOptions
{
    /// <summary>File with the gateway's enrolment token (a JWT). Must not be writable by group or others. Required.</summary>
    public required string TokenFile { get; init; }

    /// <summary>Name in the certificate and in sessions: 1..63 characters of <c>[a-z0-9.-]</c>. Default: the host's name.</summary>
    public required string Name { get; init; }

    /// <summary>"host:port" to accept SSH on; port 0 takes a free one. Default: 127.0.0.1:2222.</summary>
    public string SshListen { get; init; } = "127.0.0.1:2222";

    /// <summary>"host:port" users dial. Null: what <see cref="SshListen"/> became.</summary>
    public string? SshAdvertise { get; init; }

    /// <summary>Grid addresses "host:port" of silos to begin with. Empty: those of the token's <c>silos</c> claim.</summary>
    public IReadOnlyList<string> Silos { get; init; } = [];

    /// <summary>Where this gateway is: of silos that are equally near one here is used. Empty: unknown.</summary>
    public string Region { get; init; } = "";

    /// <summary>Where the key and certificate are kept (below, in <c>gateway-NAME</c>). Default: ./.relay.</summary>
    public string StateDirectory { get; init; } = ".relay";

    /// <summary>"host:port" of plain HTTP for /healthz, /readyz and /metrics. Null: none.</summary>
    public string? HttpListen { get; init; }

    /// <summary>How long live sessions may go on after SIGTERM. Zero ends them at once. Default: 30 s.</summary>
    public TimeSpan DrainTime { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time from connect to logged in; then the connection is cut. Default: 30 s.</summary>
    public TimeSpan LoginGraceTime { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Connections that have not logged in, per address; the oldest makes room for a new one. Default: 256.</summary>
    public int StartupsPerAddress { get; init; } = 256;

    /// <summary>Connections that have not logged in, in all; the oldest makes room for a new one. Default: 2048.</summary>
    public int Startups { get; init; } = 2048;

    /// <summary>Channels open at once in one connection: a database client on a raw socket has a pool of a hundred. Default: 256.</summary>
    public int MaxChannels { get; init; } = 256;

    /// <summary>How often a silent user or target is asked whether it is still there; three misses end the session. Zero: never. Default: 30 s.</summary>
    public TimeSpan KeepAliveInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time to reach the target and log in there. Default: 20 s.</summary>
    public TimeSpan UpstreamTimeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>How WireGuard is offered. Null: not at all, unless configured.</summary>
    public WireGuardOptions? WireGuard { get; init; }
}
