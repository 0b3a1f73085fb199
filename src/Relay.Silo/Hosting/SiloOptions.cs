using System.Net;
using Relay.Silo.Devices;

namespace Relay.Silo.Hosting;

/// <summary>What an operator decides about one silo. Immutable; made and validated by <see cref="SiloOptionsReader"/>.</summary>
internal sealed record SiloOptions
{
    /// <summary>Npgsql connection string (holds a password: never logged). Null: a private PostgreSQL under <see cref="StateDirectory"/>.</summary>
    public string? Database { get; init; }

    /// <summary>Folder for the master key, the private database, the spool, the last snapshot and the first gateway token. Default: ./.relay.</summary>
    public required string StateDirectory { get; init; }

    /// <summary>File of the master key; made (0600) when absent. Default: master.key in <see cref="StateDirectory"/>.</summary>
    public required string MasterKeyFile { get; init; }

    /// <summary>Unique among the silos of a grid, [a-z0-9.-]{1,63}. Default: silo-1.</summary>
    public required string Name { get; init; }

    /// <summary>Where this silo is, for the record and for choosing a near one. Empty: unknown.</summary>
    public string Region { get; init; } = "";

    /// <summary>REST API. Plain HTTP needs a loopback address; any other address needs <see cref="ApiTlsCertificateFile"/>. Default: 127.0.0.1:8080.</summary>
    public required IPEndPoint ApiListen { get; init; }

    /// <summary>PEM chain for the API; null: plain HTTP.</summary>
    public string? ApiTlsCertificateFile { get; init; }

    /// <summary>PEM private key for <see cref="ApiTlsCertificateFile"/>.</summary>
    public string? ApiTlsKeyFile { get; init; }

    /// <summary>Gateways and other silos (mTLS). Port 0: any free one. Default: 127.0.0.1:7443.</summary>
    public required IPEndPoint GridListen { get; init; }

    /// <summary>"host:port" under which gateways and other silos reach <see cref="GridListen"/>. Null: the address it listens on.</summary>
    public string? GridAdvertise { get; init; }

    /// <summary>Connectors (TLS). Port 0: any free one. Default: 127.0.0.1:7444.</summary>
    public required IPEndPoint ConnectorListen { get; init; }

    /// <summary>"host:port" under which connectors reach <see cref="ConnectorListen"/>. Null: the address it listens on.</summary>
    public string? ConnectorAdvertise { get; init; }

    /// <summary>Where the first administrator's password is also written (0600) at first start. Null: only to stdout.</summary>
    public string? BootstrapFile { get; init; }

    /// <summary>What the grain host in this build was told by options of its own; empty: its defaults.</summary>
    public IReadOnlyDictionary<string, string> GrainHost { get; init; } = new Dictionary<string, string>();

    /// <summary>How much history may wait on this silo's disk while the database is away; beyond it recorded sessions are refused. Default: 1 GiB.</summary>
    public long SpoolLimitBytes { get; init; } = 1024L * 1024 * 1024;

    /// <summary>Where that history waits. By name: silos that share a state folder, as in a test, must not share a spool.</summary>
    public string SpoolDirectory => Path.Combine(StateDirectory, "spool", Name);

    /// <summary>
    /// How long ago the store may have confirmed this silo's last snapshot for the silo to decide by it when it is started without the
    /// store: meanwhile rights may have been taken away that it has not heard of. Zero: none is kept or used. Default: 1 hour.
    /// </summary>
    public TimeSpan SnapshotMaxAge { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Where that snapshot is. By name, as <see cref="SpoolDirectory"/>.</summary>
    public string SnapshotDirectory => Path.Combine(StateDirectory, "snapshot", Name);

    /// <summary>How long sessions that go through this silo may go on after SIGTERM. Zero ends them at once. Default: 5 minutes.</summary>
    public TimeSpan DrainTime { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Addresses and names that WireGuard devices have and see. All silos of a grid have the same.</summary>
    public DeviceNetwork Network { get; init; } = DeviceNetwork.Default;

    /// <summary>Least severe level that is logged. Default: information.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Information;
}
