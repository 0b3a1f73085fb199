using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using Relay.GrainHost.Hosting;
using Relay.GrainHost.Links;

namespace Relay.GrainHost.Membership;

/// <summary>This silo's part in the membership: joins, reads the table, gives signs of life, leaves. Safe for concurrent use.</summary>
internal sealed partial class MembershipAgent : IMembership, IDisposable
{
    private readonly GrainHostOptions _options;
    private readonly ILocalSilo _local;
    private readonly IMembershipTable _table;
    private readonly ILogger _logger;
    private readonly SemaphoreSlim _reading = new(1);
    private volatile MembershipView _view;
    private volatile MembershipSnapshot _snapshot = new(0, DateTimeOffset.MinValue, []);
    private volatile bool _leaving;
    private volatile bool _joined;
    private bool _storeFailed;
    private int _gossiped;

    public MembershipAgent(GrainHostOptions options, ILocalSilo local, IMembershipTable table, ILogger logger)
    {
        _options = options;
        _local = local;
        _table = table;
        _logger = logger;
        _view = new MembershipView(0, [], local);
    }

    public event Action<IMembership>? Changed;

    /// <summary>The table says that this start of the silo is dead: it must host nothing any more.</summary>
    public event Action? Evicted;

    /// <summary>A change that the others should hear of now rather than at their next refresh.</summary>
    public event Action? TableWritten;

    public long Version => _snapshot.Version;

    public ImmutableArray<SiloMember> ActiveSilos => _view.Active;

    public ImmutableArray<SiloMember> Members => _snapshot.Members;

    public MembershipView View => _view;

    public MembershipSnapshot Snapshot => _snapshot;

    /// <summary>What was once read, until it is read again: not what grains are placed by.</summary>
    public void Remember(IReadOnlyCollection<SiloMember> members) => _snapshot = new MembershipSnapshot(0, DateTimeOffset.MinValue, [.. members]);

    /// <summary>Adds this silo to the table; it hosts grains for itself from now on, for others once it is active.</summary>
    public async Task JoinAsync(CancellationToken cancellationToken)
    {
        var self = new SiloMember(
            _local.Address, _local.Incarnation, MemberStatus.Joining, _options.Name, _options.Region, _options.ConnectorAddress, _options.Version, default, default);
        while (true)
        {
            var snapshot = await _table.ReadAsync(cancellationToken).ConfigureAwait(false);

            // An earlier try got that far and was not told.
            if (snapshot.Members.Any(IsLocal)) break;
            if (await _table.TryInsertAsync(self, snapshot.Version, cancellationToken).ConfigureAwait(false)) break;
        }

        _joined = true;
        await RefreshAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Other silos place grains here from now on.</summary>
    public Task ActivateAsync(CancellationToken cancellationToken) => SetOwnStatusAsync(MemberStatus.Active, cancellationToken);

    /// <summary>No silo, this one included, places grains here any more.</summary>
    public Task BeginLeaveAsync(CancellationToken cancellationToken)
    {
        _leaving = true;
        Apply(_snapshot);
        return SetOwnStatusAsync(MemberStatus.ShuttingDown, cancellationToken);
    }

    public async Task LeaveAsync(CancellationToken cancellationToken)
    {
        _joined = false;
        await SetOwnStatusAsync(MemberStatus.Dead, cancellationToken).ConfigureAwait(false);
    }

    public Task HeartbeatAsync(CancellationToken cancellationToken) => _table.HeartbeatAsync(_local.Address, _local.Incarnation, cancellationToken);

    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        // One read at a time, so that a view is never replaced by an older one.
        await _reading.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            Apply(await _table.ReadAsync(cancellationToken).ConfigureAwait(false));
            if (_storeFailed) LogStoreBack();
            _storeFailed = false;
        }
        finally
        {
            _reading.Release();
        }
    }

    /// <summary>As <see cref="RefreshAsync"/>, but keeps the view it has when the store is out of reach.</summary>
    public async Task TryRefreshAsync(CancellationToken cancellationToken)
    {
        try
        {
            await RefreshAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            if (!_storeFailed) LogStoreUnreachable(e.Message);
            _storeFailed = true;
        }
    }

    /// <summary>A peer says that the table has changed. However many say so, one read is under way and one waits at most.</summary>
    public async Task OnGossipAsync(CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _gossiped, 1) != 0) return;
        try
        {
            await _reading.WaitAsync(cancellationToken).ConfigureAwait(false);
            _reading.Release();
        }
        finally
        {
            Volatile.Write(ref _gossiped, 0);
        }

        await TryRefreshAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Declares a silo dead, if the table still has it as it was seen.</summary>
    /// <returns>True when it is dead in the table now, whoever wrote it.</returns>
    public async Task<bool> DeclareDeadAsync(SiloMember suspect, string why, CancellationToken cancellationToken)
    {
        for (var attempt = 0; attempt < 5; attempt++)
        {
            await RefreshAsync(cancellationToken).ConfigureAwait(false);
            var snapshot = _snapshot;
            if (!snapshot.Members.Any(m => m.IsSame(suspect) && m.Status != MemberStatus.Dead)) return true;
            // Who was declared dead itself has no say.
            if (_view.Local is null) return false;
            if (!await _table.TrySetStatusAsync(suspect.Address, suspect.Incarnation, MemberStatus.Dead, snapshot.Version, cancellationToken).ConfigureAwait(false)) continue;
            LogDeclaredDead(suspect.Address, suspect.Incarnation, why);
            await RefreshAsync(cancellationToken).ConfigureAwait(false);
            TableWritten?.Invoke();
            return true;
        }

        return false;
    }

    /// <summary>Why a silo that dials this one is not to be served; null: it is a member.</summary>
    public async Task<string?> CheckPeerAsync(Handshake hello, string provenName, CancellationToken cancellationToken)
    {
        var peer = Find(hello);
        if (peer is null)
        {
            await TryRefreshAsync(cancellationToken).ConfigureAwait(false);
            peer = Find(hello);
        }

        if (peer is null) return "It is no member.";
        if (peer.Status == MemberStatus.Dead) return "It was declared dead.";
        // SECURITY: whoever holds some silo's certificate must not pass for another silo.
        if (provenName.Length > 0 && peer.Name.Length > 0 && peer.Name != provenName) return $"Its certificate is for '{provenName}'.";
        return null;
    }

    public void Dispose() => _reading.Dispose();

    private SiloMember? Find(Handshake hello) =>
        _snapshot.Members.FirstOrDefault(m => m.Address == hello.FromAddress && m.Incarnation == hello.FromIncarnation);

    private async Task SetOwnStatusAsync(MemberStatus status, CancellationToken cancellationToken)
    {
        while (true)
        {
            var snapshot = await _table.ReadAsync(cancellationToken).ConfigureAwait(false);
            if (!snapshot.Members.Any(m => IsLocal(m) && m.Status < status)) break;
            if (await _table.TrySetStatusAsync(_local.Address, _local.Incarnation, status, snapshot.Version, cancellationToken).ConfigureAwait(false)) break;
        }

        await RefreshAsync(cancellationToken).ConfigureAwait(false);
        TableWritten?.Invoke();
    }

    private bool IsLocal(SiloMember member) => member.Incarnation == _local.Incarnation && member.Address == _local.Address;

    private static HashSet<(Guid, MemberStatus)> States(MembershipSnapshot snapshot) => [.. snapshot.Members.Select(m => (m.Incarnation, m.Status))];

    private void Apply(MembershipSnapshot snapshot)
    {
        var former = _snapshot;
        _snapshot = snapshot;
        var own = snapshot.Members.FirstOrDefault(IsLocal);
        var hosting = _joined && !_leaving && own is { Status: MemberStatus.Joining or MemberStatus.Active };
        var view = new MembershipView(
            snapshot.Version,
            snapshot.Members.Where(m => IsLocal(m) ? hosting : m.Status == MemberStatus.Active),
            _local);
        var changed = !view.Active.Select(m => (m.Address, m.Incarnation, m.Status)).SequenceEqual(_view.Active.Select(m => (m.Address, m.Incarnation, m.Status)));
        // References cache their way by the view's identity: the same silos, the same view.
        if (changed || _view.Version == 0) _view = view;
        if (changed) LogChanged(snapshot.Version, string.Join(", ", view.Active.Select(m => m.Address)));
        if (changed || !States(snapshot).SetEquals(States(former))) Changed?.Invoke(this);
        if (_joined && !_leaving && (own is null || own.Status == MemberStatus.Dead)) Evicted?.Invoke();
    }
}
