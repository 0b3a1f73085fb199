using Relay.Silo.GrainHosting;
using Relay.Silo.LocalSnapshots;
using Relay.Silo.Secrets;
using Relay.Silo.Storage;

namespace Relay.Silo.Hosting;

/// <summary>The control plane from what the silo's last snapshot says, when that may be decided by.</summary>
internal static partial class StartFromDisk
{
    // A clock that was put back says nothing about a snapshot's age.
    private static readonly TimeSpan ClockSlack = TimeSpan.FromMinutes(5);

    /// <summary>Whether snapshots are kept and used at all.</summary>
    public static bool IsPossible(SiloOptions options) => GrainHostSettings.StartsWithoutStore && options.Database is not null && options.SnapshotMaxAge > TimeSpan.Zero;

    /// <summary>Null: there is nothing to start from; why, is in the log.</summary>
    public static async Task<ControlPlane?> TryOpenAsync(SiloOptions options, ILogger logger, TimeProvider time, CancellationToken cancellationToken)
    {
        if (!IsPossible(options))
            return null;
        try
        {
            var vault = new SecretVault(await MasterKey.LoadAsync(options.MasterKeyFile, mayCreate: false, cancellationToken));
            var snapshot = new LocalSnapshotFolder(options.SnapshotDirectory, vault).Read();
            var age = time.GetUtcNow() - snapshot.ConfirmedAt;
            if (age > options.SnapshotMaxAge || age < -ClockSlack)
                throw new InvalidDataException($"the store confirmed it last at {snapshot.ConfirmedAt.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC, and no more than {options.SnapshotMaxAge.TotalMinutes:0} minutes may have passed since (RELAY_SNAPSHOT_MAX_AGE_MINUTES)");
            var control = ControlPlane.OpenWithoutStore(options.Database!, snapshot, vault, time);
            LogStarting(logger, options.Name, snapshot.ConfirmedAt);
            return control;
        }
        catch (Exception e) when (e is InvalidDataException or StorageException)
        {
            LogNotUsable(logger, e.Message);
            return null;
        }
    }

    [LoggerMessage(4408, LogLevel.Warning, "started without the store: {Silo} decides by its last snapshot, confirmed at {ConfirmedAt}, changes nothing, and joins when the store is back")]
    private static partial void LogStarting(ILogger logger, string silo, DateTimeOffset confirmedAt);

    [LoggerMessage(4409, LogLevel.Warning, "the last snapshot on this silo's disk is not used: {Reason}")]
    private static partial void LogNotUsable(ILogger logger, string reason);
}
