namespace Relay.Bench;

/// <summary>A group of measurements that share their set-up.</summary>
internal interface IBenchmark
{
    /// <summary>What the names of its rows start with, e.g. "ssh.".</summary>
    string Prefix { get; }

    Task RunAsync(Report report, CancellationToken cancellationToken);
}
