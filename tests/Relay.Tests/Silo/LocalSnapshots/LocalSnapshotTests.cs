using System.Security.Cryptography;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.GrainHost.Membership;
using Relay.Silo.Authorities;
using Relay.Silo.LocalSnapshots;
using Relay.Silo.Secrets;
using Relay.Silo.Sessions;
using Relay.Silo.Snapshots;
using Relay.TestKit;

namespace Relay.Tests.Silo.LocalSnapshots;

/// <summary>The files of the last snapshot: whole or not at all, and never one that was overtaken.</summary>
public sealed class LocalSnapshotTests : IDisposable
{
    private static readonly Guid Organization = Guid.Parse("3f0b8b6e-7a51-4a4f-9d1d-3f7a2d0a4a01");
    private static readonly SecretVault Vault = new(MasterKey.FromBytes(RandomNumberGenerator.GetBytes(32)));

    private readonly TempDir _state = new("relay-snapshot-");
    private readonly ManualTimeProvider _time = new();

    public void Dispose() => _state.Dispose();

    [Fact]
    public async Task What_was_written_is_read_and_what_was_never_written_is_said_to_be_missing()
    {
        var folder = Folder();
        Assert.Contains("there is no", Assert.Throws<InvalidDataException>(folder.Read).Message, StringComparison.Ordinal);
        await WriteAsync(folder, version: 7);

        var read = folder.Read();
        Assert.Equal(_time.GetUtcNow(), read.ConfirmedAt);
        var rows = Assert.Single(read.Organizations).Rows;
        Assert.Equal((Organization, 7, "a@example.com"), (rows.Head.OrganizationId, rows.Head.Version, Assert.Single(rows.Users).Email));
        Assert.Equal([1, 2, 3], Assert.Single(rows.Sockets).UpstreamSecrets);
        Assert.Equal("10.0.0.2:7443", Assert.Single(read.Grid.Members).Address);
        Assert.Equal(new RevokedGateway("gw-9", _time.GetUtcNow()), Assert.Single(read.RevokedGateways));
        Assert.Equal([9, 9], read.Grid.Authorities.Grid.CaKey);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, OperatingSystem.IsWindows() ? default : File.GetUnixFileMode(_state.File("s/versions")));
    }

    [Theory]
    [InlineData("versions")]
    [InlineData("grid")]
    [InlineData("organization")]
    public async Task A_file_that_is_cut_anywhere_or_has_any_byte_changed_is_refused_by_name(string which)
    {
        var folder = Folder();
        await WriteAsync(folder, version: 7);
        var path = _state.File($"s/{(which == "organization" ? Organization + ".org" : which)}");
        var whole = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);

        for (var length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(path, whole[..length]);
            Assert.Contains(path, Assert.Throws<InvalidDataException>(folder.Read).Message, StringComparison.Ordinal);
        }

        for (var i = 0; i < whole.Length; i++)
        {
            var changed = whole.ToArray();
            changed[i] ^= 0x40;
            File.WriteAllBytes(path, changed);
            Assert.Contains(path, Assert.Throws<InvalidDataException>(folder.Read).Message, StringComparison.Ordinal);
        }

        File.WriteAllBytes(path, whole);
        Assert.Single(folder.Read().Organizations);
    }

    [Fact]
    public async Task A_file_under_another_key_under_another_name_or_of_another_format_is_refused()
    {
        var folder = Folder();
        await WriteAsync(folder, version: 7);
        var foreign = new LocalSnapshotFolder(_state.File("s"), new SecretVault(MasterKey.FromBytes(RandomNumberGenerator.GetBytes(32))));
        Assert.Contains("does not hold the key", Assert.Throws<InvalidDataException>(foreign.Read).Message, StringComparison.Ordinal);

        var versions = await File.ReadAllBytesAsync(_state.File("s/versions"), TestContext.Current.CancellationToken);
        File.Copy(_state.File("s/grid"), _state.File("s/versions"), overwrite: true);
        Assert.Contains("belongs elsewhere", Assert.Throws<InvalidDataException>(folder.Read).Message, StringComparison.Ordinal);

        versions[8] = 2;
        File.WriteAllBytes(_state.File("s/versions"), versions);
        Assert.Contains("format 2", Assert.Throws<InvalidDataException>(folder.Read).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_version_that_was_in_force_is_noted_before_it_is_written_and_the_one_before_is_used_no_more()
    {
        using var keeper = Keeper();
        _ = keeper.Apply(Rows(7));
        keeper.Confirm();
        await keeper.KeepAsync(now: true, TestContext.Current.CancellationToken);
        Assert.Equal(7, Assert.Single(Folder().Read().Organizations).Rows.Head.Version);

        // Killed after the note: what is on disk is not decided by.
        var noted = keeper.Apply(Rows(8));
        Assert.False(noted.IsCompleted);
        await keeper.KeepAsync(now: false, TestContext.Current.CancellationToken);
        Assert.True(noted.IsCompletedSuccessfully);
        Assert.Contains("version 8 was in force", Assert.Throws<InvalidDataException>(Folder().Read).Message, StringComparison.Ordinal);
        Assert.Equal(8, keeper.Unwritten(Organization)!.Head.Version);

        _time.Advance(TimeSpan.FromMinutes(1));
        await keeper.KeepAsync(now: false, TestContext.Current.CancellationToken);
        Assert.Equal(8, Assert.Single(Folder().Read().Organizations).Rows.Head.Version);
        Assert.Null(keeper.Unwritten(Organization));

        // The same number after a fail-over is another version all the same.
        _ = keeper.Apply(Rows(8));
        await keeper.KeepAsync(now: false, TestContext.Current.CancellationToken);
        Assert.Throws<InvalidDataException>(Folder().Read);
        await keeper.KeepAsync(now: true, TestContext.Current.CancellationToken);
        keeper.Forget(Organization);
        await keeper.KeepAsync(now: true, TestContext.Current.CancellationToken);
        Assert.Empty(Folder().Read().Organizations);
    }

    [Fact]
    public async Task A_note_that_cannot_be_written_takes_the_former_one_away_and_keeps_nobody_waiting()
    {
        using var keeper = Keeper();
        _ = keeper.Apply(Rows(7));
        keeper.Confirm();
        await keeper.KeepAsync(now: true, TestContext.Current.CancellationToken);
        Assert.Single(Folder().Read().Organizations);

        // No draft can be made there, as on a full disk; a deletion works.
        Directory.CreateDirectory(_state.File("s/versions.new"));
        var noted = keeper.Apply(Rows(8));
        await keeper.KeepAsync(now: false, TestContext.Current.CancellationToken);
        Assert.True(noted.IsCompletedSuccessfully);
        Assert.Contains("there is no", Assert.Throws<InvalidDataException>(Folder().Read).Message, StringComparison.Ordinal);

        Directory.Delete(_state.File("s/versions.new"));
        await keeper.KeepAsync(now: true, TestContext.Current.CancellationToken);
        Assert.Equal(8, Assert.Single(Folder().Read().Organizations).Rows.Head.Version);
    }

    [Fact]
    public async Task What_the_store_has_not_confirmed_is_not_noted_and_its_confirmations_are_every_ten_seconds()
    {
        using var keeper = Keeper();
        var noted = keeper.Apply(Rows(7));
        await keeper.KeepAsync(now: true, TestContext.Current.CancellationToken);
        Assert.False(noted.IsCompleted);
        Assert.Throws<InvalidDataException>(Folder().Read);

        keeper.Confirm();
        await keeper.KeepAsync(now: true, TestContext.Current.CancellationToken);
        var first = Folder().Read().ConfirmedAt;
        _time.Advance(TimeSpan.FromSeconds(9));
        keeper.Confirm();
        await keeper.KeepAsync(now: false, TestContext.Current.CancellationToken);
        Assert.Equal(first, Folder().Read().ConfirmedAt);
        _time.Advance(TimeSpan.FromSeconds(1));
        keeper.Confirm();
        await keeper.KeepAsync(now: false, TestContext.Current.CancellationToken);
        Assert.Equal(first + TimeSpan.FromSeconds(10), Folder().Read().ConfirmedAt);
    }

    private static SnapshotRows Rows(long version) => new()
    {
        Head = new SnapshotRows.HeadRow { OrganizationId = Organization, Name = "o", Version = version, UserCaPublic = "ca" },
        Users = [new SnapshotRows.UserRow { UserId = Guid.NewGuid(), Email = "a@example.com", Role = "member" }],
        Members = [],
        Keys = [],
        Sockets = [new SnapshotRows.SocketRow { SocketId = Guid.NewGuid(), Name = "s", SocketType = "ssh", Tags = "{}", Upstream = "{}", UpstreamSecrets = [1, 2, 3] }],
        Connectors = [],
        Tokens = [],
        Policies = [],
        Attachments = [],
    };

    private static AuthorityRows Authorities() => new()
    {
        Grid = new AuthorityRows.GridRow { GridId = Guid.NewGuid(), CaKey = [9, 9] },
        Organizations = [new AuthorityRows.OrganizationRow { OrganizationId = Organization, UserCaPublic = "ca" }],
    };

    private LocalSnapshotFolder Folder() => new(_state.File("s"), Vault);

    private LocalSnapshotKeeper Keeper() => new(
        Folder(), Authorities(), new NoMembership(), "10.0.0.1:7443", new ReadOnlyStart(null, _time.GetUtcNow()), _time, NullLogger<LocalSnapshotKeeper>.Instance);

    private async Task WriteAsync(LocalSnapshotFolder folder, long version)
    {
        var stamp = Guid.NewGuid();
        var member = new SiloMember("10.0.0.2:7443", Guid.NewGuid(), MemberStatus.Active, "silo-2", "", "10.0.0.2:7444", "1.0.0", _time.GetUtcNow(), _time.GetUtcNow());
        await folder.WriteAsync(new LocalGrid(Authorities(), [member]));
        await folder.WriteAsync(new LocalOrganization(stamp, Rows(version)));
        await folder.WriteAsync(new LocalVersions(new Dictionary<Guid, LocalVersion> { [Organization] = new(version, stamp) }, [new RevokedGateway("gw-9", _time.GetUtcNow())], _time.GetUtcNow()));
    }

    private sealed class NoMembership : IMembership
    {
        public long Version => 0;

        public System.Collections.Immutable.ImmutableArray<SiloMember> ActiveSilos => [];

        public System.Collections.Immutable.ImmutableArray<SiloMember> Members => [];

        public event Action<IMembership>? Changed
        {
            add { }
            remove { }
        }

        public Task RefreshAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
