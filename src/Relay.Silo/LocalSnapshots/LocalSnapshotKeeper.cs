using Relay.GrainHost.Membership;
using Relay.Silo.Authorities;
using Relay.Silo.Sessions;
using Relay.Silo.Snapshots;

namespace Relay.Silo.LocalSnapshots;

/// <summary>
/// Keeps on disk what this silo decides by. First, at once, that a version is in force, a few bytes; then, when there is time, the
/// version itself: a file that was overtaken is never used. The feed waits for neither. Safe for concurrent use.
/// </summary>
internal sealed partial class LocalSnapshotKeeper : BackgroundService
{
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(1);

    /// <summary>How often it is noted that the store still says the same.</summary>
    private static readonly TimeSpan ConfirmEvery = TimeSpan.FromSeconds(10);

    // A large organization that changes all the time costs a twentieth of a processor, not a whole one.
    private const int Rest = 20;

    private readonly LocalSnapshotFolder? _folder;
    private readonly AuthorityRows _authorities;
    private readonly IMembership _membership;
    private readonly string _self;
    private readonly TimeProvider _time;
    private readonly ILogger<LocalSnapshotKeeper> _logger;
    private readonly Wakeup _wakeup = new();
    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _writing = new(1);
    private readonly Dictionary<Guid, LocalVersion> _versions = [];
    private readonly Dictionary<Guid, LocalOrganization> _unwritten = [];
    private TaskCompletionSource _noted = NewNote();
    private IReadOnlyList<RevokedGateway> _revoked;
    private DateTimeOffset? _confirmedAt;
    private DateTimeOffset _notedAt;
    private bool _dirty;
    private bool _gridDirty = true;
    private bool _failing;
    private long _restUntil;

    /// <param name="folder">Null: nothing is kept.</param>
    /// <param name="self">This silo's advertised grid address: an earlier start of itself is no peer.</param>
    public LocalSnapshotKeeper(LocalSnapshotFolder? folder, AuthorityRows authorities, IMembership membership, string self, ReadOnlyStart start, TimeProvider time, ILogger<LocalSnapshotKeeper> logger)
    {
        (_folder, _authorities, _membership, _self, _time, _logger) = (folder, authorities, membership, self, time, logger);
        _confirmedAt = start.Snapshot?.ConfirmedAt;
        _revoked = start.Snapshot?.RevokedGateways ?? [];
        _restUntil = time.GetTimestamp();
    }

    /// <summary>Where it is kept; null: nowhere.</summary>
    public LocalSnapshotFolder? Folder => _folder;

    /// <summary>This is decided by from now on.</summary>
    /// <returns>Over when nothing earlier would be decided by after a crash; never faulted.</returns>
    public Task Apply(SnapshotRows rows)
    {
        if (_folder is null)
            return Task.CompletedTask;
        lock (_lock)
        {
            var stamp = Guid.NewGuid();
            _versions[rows.Head.OrganizationId] = new LocalVersion(rows.Head.Version, stamp);
            _unwritten[rows.Head.OrganizationId] = new LocalOrganization(stamp, rows);
            _dirty = true;
            _wakeup.Set();
            return _noted.Task;
        }
    }

    /// <summary>Gateways whose certificates from before count for nothing. To be told before the version that came with them.</summary>
    public void Revoke(IReadOnlyList<RevokedGateway> gateways)
    {
        var sorted = gateways.OrderBy(g => g.Name, StringComparer.Ordinal).ToArray();
        lock (_lock)
        {
            if (_revoked.SequenceEqual(sorted))
                return;
            _revoked = sorted;
            _dirty = true;
        }

        _wakeup.Set();
    }

    /// <summary>What is about to be written; null: what is on disk is all.</summary>
    public SnapshotRows? Unwritten(Guid organizationId)
    {
        lock (_lock)
            return _unwritten.GetValueOrDefault(organizationId)?.Rows;
    }

    /// <summary>As last told.</summary>
    public IReadOnlyList<RevokedGateway> Revoked
    {
        get
        {
            lock (_lock)
                return _revoked;
        }
    }

    /// <summary>What is on disk already is decided by.</summary>
    public void Known(LocalOrganization organization)
    {
        lock (_lock)
            _versions[organization.Rows.Head.OrganizationId] = new LocalVersion(organization.Rows.Head.Version, organization.Stamp);
    }

    /// <summary>The organization is gone, or nothing is decided for it.</summary>
    public void Forget(Guid organizationId)
    {
        if (_folder is null)
            return;
        lock (_lock)
        {
            _unwritten.Remove(organizationId);
            _dirty |= _versions.Remove(organizationId);
        }

        _wakeup.Set();
    }

    /// <summary>The store has just said that what was applied is what is in force.</summary>
    public void Confirm()
    {
        lock (_lock)
        {
            _confirmedAt = _time.GetUtcNow();
            if (_dirty)
                _wakeup.Set();
        }
    }

    public override Task StartAsync(CancellationToken cancellationToken)
    {
        _membership.Changed += OnMembersChanged;
        return base.StartAsync(cancellationToken);
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        _membership.Changed -= OnMembersChanged;
        await base.StopAsync(cancellationToken);
        await KeepAsync(now: true, cancellationToken);
    }

    public override void Dispose()
    {
        _writing.Dispose();
        base.Dispose();
    }

    /// <summary>Writes what there is to write.</summary>
    /// <param name="now">Also what could wait.</param>
    internal async Task KeepAsync(bool now, CancellationToken cancellationToken)
    {
        if (_folder is null)
            return;
        await _writing.WaitAsync(cancellationToken);
        try
        {
            await NoteAsync(_folder, now);
            if (_gridDirty)
            {
                _gridDirty = false;
                await _folder.WriteAsync(new LocalGrid(_authorities, [.. _membership.Members.Where(m => m.Status == MemberStatus.Active && m.Address != _self)]));
            }

            if (now || _time.GetTimestamp() >= _restUntil)
                await WriteOrganizationsAsync(_folder);
            if (_failing)
                LogRecovered(_logger);
            _failing = false;
        }
        catch (Exception e) when (IsFailure(e))
        {
            // Tried again at the next look. What was not written is not used: "versions" names another one.
            _gridDirty = true;
            if (!_failing)
                LogFailing(_logger, e.Message);
            _failing = true;
        }
        finally
        {
            _writing.Release();
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (_folder is not null)
            {
                await _wakeup.WaitAsync(Look, _time, stoppingToken);
                await KeepAsync(now: false, stoppingToken);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // What could wait is written when it stops.
        }
    }

    private static TaskCompletionSource NewNote() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void OnMembersChanged(IMembership _)
    {
        _gridDirty = true;
        _wakeup.Set();
    }

    private static bool IsFailure(Exception e) => e is IOException or UnauthorizedAccessException or InvalidDataException;

    private async Task NoteAsync(LocalSnapshotFolder folder, bool now)
    {
        TaskCompletionSource noted;
        LocalVersions versions;
        lock (_lock)
        {
            // Nothing that the store has never confirmed.
            if (_confirmedAt is not { } confirmed || !(_dirty || confirmed - _notedAt >= ConfirmEvery || (now && confirmed != _notedAt)))
                return;
            (_dirty, noted, _noted) = (false, _noted, NewNote());
            versions = new LocalVersions(new Dictionary<Guid, LocalVersion>(_versions), _revoked, confirmed);
        }

        try
        {
            await folder.WriteAsync(versions);
            _notedAt = versions.ConfirmedAt;
        }
        catch (Exception e) when (IsFailure(e))
        {
            lock (_lock)
                _dirty = true;
            Discard(folder);
            throw;
        }
        finally
        {
            noted.TrySetResult();
        }
    }

    private async Task WriteOrganizationsAsync(LocalSnapshotFolder folder)
    {
        LocalOrganization[] unwritten;
        lock (_lock)
            unwritten = [.. _unwritten.Values];
        if (unwritten.Length == 0)
            return;
        var begun = _time.GetTimestamp();
        try
        {
            foreach (var organization in unwritten)
            {
                await folder.WriteAsync(organization);
                lock (_lock)
                {
                    var id = organization.Rows.Head.OrganizationId;
                    if (_unwritten.GetValueOrDefault(id) == organization)
                        _unwritten.Remove(id);
                }
            }

            Guid[] wanted;
            lock (_lock)
                wanted = [.. _versions.Keys];
            folder.KeepOnly(wanted);
        }
        finally
        {
            var end = _time.GetTimestamp();
            _restUntil = end + Math.Max((end - begun) * Rest, _time.TimestampFrequency);
        }
    }

    // A snapshot that may be overtaken must not be found by the next start.
    private void Discard(LocalSnapshotFolder folder)
    {
        try
        {
            folder.Discard();
        }
        catch (Exception e) when (IsFailure(e))
        {
            LogNotDiscarded(_logger, e.Message);
        }
    }

    [LoggerMessage(4121, LogLevel.Warning, "the last snapshot cannot be kept on disk; started again without the store, this silo would wait for it: {Reason}")]
    private static partial void LogFailing(ILogger logger, string reason);

    [LoggerMessage(4122, LogLevel.Information, "the last snapshot is kept on disk again")]
    private static partial void LogRecovered(ILogger logger);

    [LoggerMessage(4123, LogLevel.Error, "an old snapshot cannot be removed from disk: {Reason}")]
    private static partial void LogNotDiscarded(ILogger logger, string reason);
}
