using System.Security.Cryptography;
using System.Text;
using Relay.Silo.Secrets;
using Relay.Silo.Storage;
using Xunit;

namespace Relay.Tests.Silo.Secrets;

public sealed class SecretVaultTests : IDisposable
{
    private static readonly SecretPlace Place = SecretPlace.SocketSecrets(new Guid("11111111-2222-3333-4444-555555555555"));
    private readonly byte[] _key = RandomNumberGenerator.GetBytes(32);
    private readonly string _directory = Directory.CreateTempSubdirectory("relay-key-").FullName;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(15)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(4096)]
    public void What_is_sealed_opens_in_its_place(int length)
    {
        var vault = new SecretVault(MasterKey.FromBytes(_key));
        var plaintext = RandomNumberGenerator.GetBytes(length);
        var value = vault.Seal(Place, plaintext);
        Assert.Equal(1 + 4 + 12 + length + 16, value.Length);
        Assert.Equal(plaintext, vault.Open(Place, value));
    }

    [Fact]
    public void A_value_in_another_row_column_or_table_does_not_open()
    {
        var vault = new SecretVault(MasterKey.FromBytes(_key));
        var value = vault.Seal(Place, "secret"u8);
        Assert.Throws<SecretException>(() => vault.Open(Place with { Row = Guid.Empty.ToString() }, value));
        Assert.Throws<SecretException>(() => vault.Open(Place with { Column = "upstream" }, value));
        Assert.Throws<SecretException>(() => vault.Open(Place with { Table = "sockets" }, value));
    }

    [Fact]
    public void A_changed_bit_anywhere_and_any_cut_is_refused()
    {
        var vault = new SecretVault(MasterKey.FromBytes(_key));
        var value = vault.Seal(Place, "secret"u8);
        for (var i = 0; i < value.Length * 8; i++)
        {
            var changed = value.ToArray();
            changed[i / 8] ^= (byte)(1 << (i % 8));
            Assert.Throws<SecretException>(() => vault.Open(Place, changed));
        }
        for (var length = 0; length < value.Length; length++)
            Assert.Throws<SecretException>(() => vault.Open(Place, value.AsSpan(0, length)));
    }

    [Fact]
    public void Nonces_do_not_repeat()
    {
        var vault = new SecretVault(MasterKey.FromBytes(_key));
        var nonces = Enumerable.Range(0, 10_000).Select(_ => Convert.ToHexString(vault.Seal(Place, "x"u8).AsSpan(5, 12)));
        Assert.Equal(10_000, nonces.Distinct().Count());
    }

    [Fact]
    public void A_rotated_key_seals_and_the_old_one_still_opens()
    {
        var old = new SecretVault(MasterKey.FromBytes(_key));
        var value = old.Seal(Place, "secret"u8);
        var fresh = RandomNumberGenerator.GetBytes(32);
        var rotated = new SecretVault(MasterKey.FromBytes(fresh, _key));
        Assert.Equal("secret"u8.ToArray(), rotated.Open(Place, value));
        Assert.Equal("secret"u8.ToArray(), new SecretVault(MasterKey.FromBytes(fresh)).Open(Place, rotated.Seal(Place, "secret"u8)));
        Assert.Throws<SecretException>(() => new SecretVault(MasterKey.FromBytes(fresh)).Open(Place, value));
    }

    [Fact]
    public async Task The_key_file_is_made_for_its_owner_only_and_read_again()
    {
        var path = Path.Combine(_directory, "master.key");
        var first = new SecretVault(await MasterKey.LoadAsync(path, mayCreate: true, Cancel));
        Assert.Equal("600", Convert.ToString((int)File.GetUnixFileMode(path), 8));
        var second = new SecretVault(await MasterKey.LoadAsync(path, mayCreate: false, Cancel));
        Assert.Equal("secret"u8.ToArray(), second.Open(Place, first.Seal(Place, "secret"u8)));
    }

    [Fact]
    public async Task Silos_that_start_at_once_in_one_folder_share_one_key()
    {
        var path = Path.Combine(_directory, "master.key");
        var keys = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => MasterKey.LoadAsync(path, mayCreate: true, Cancel)));
        var value = new SecretVault(keys[0]).Seal(Place, "secret"u8);
        Assert.All(keys, k => Assert.Equal("secret"u8.ToArray(), new SecretVault(k).Open(Place, value)));
        Assert.Single(Directory.GetFiles(_directory));
    }

    [Fact]
    public async Task A_key_file_that_others_can_read_stops_the_start()
    {
        var path = Path.Combine(_directory, "master.key");
        await MasterKey.LoadAsync(path, mayCreate: true, Cancel);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.GroupRead);
        var refused = await Assert.ThrowsAsync<StorageException>(() => MasterKey.LoadAsync(path, mayCreate: false, Cancel));
        Assert.Contains("chmod 600", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_missing_or_malformed_file_is_named()
    {
        var path = Path.Combine(_directory, "master.key");
        var missing = await Assert.ThrowsAsync<StorageException>(() => MasterKey.LoadAsync(path, mayCreate: false, Cancel));
        Assert.Contains(path, missing.Message, StringComparison.Ordinal);
        await PrivateFiles.WriteAsync(path, Encoding.ASCII.GetBytes("c2hvcnQ=\n"), Cancel);
        var malformed = await Assert.ThrowsAsync<StorageException>(() => MasterKey.LoadAsync(path, mayCreate: false, Cancel));
        Assert.Contains("32 bytes in base64", malformed.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("c2hvcnQ=", malformed.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Socket_secrets_round_trip_and_do_not_print()
    {
        var vault = new SecretVault(MasterKey.FromBytes(_key));
        var id = Guid.NewGuid();
        var secrets = new SocketSecrets("hunter2", "-----BEGIN");
        Assert.Equal(secrets, vault.OpenSocket(id, vault.SealSocket(id, secrets)));
        Assert.Null(vault.SealSocket(id, new SocketSecrets(null, null)));
        Assert.DoesNotContain("hunter2", secrets.ToString(), StringComparison.Ordinal);
    }
}
