using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Relay.Protocol.WireGuard;
using Relay.TestKit;
using Relay.TestKit.Processes;

namespace Relay.EndToEndTests;

/// <summary><c>relay device …</c>: what leaves the machine, what is written on it, and what wg-quick makes of that.</summary>
public sealed class DeviceCommandTests(OneSilo site) : IDisposable
{
    private readonly TempDir _files = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => _files.Dispose();

    [Fact]
    public async Task A_device_is_added_shown_renamed_renewed_and_revoked_and_its_private_key_is_in_its_file_alone()
    {
        var added = await site.Grid.CliAsync("device", "add", "laptop", "--preshared-key");
        Assert.True(added.ExitCode == 0, added.ToString());
        var path = Path.Combine(site.Grid.Home, "wireguard", "laptop", "relay.conf");
        Assert.Contains($"sudo wg-quick up {path}", added.Text, StringComparison.Ordinal);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        var text = await File.ReadAllTextAsync(path, Cancel);
        using var file = WgQuickConfiguration.Parse(text);
        var shown = await site.Grid.RelayJsonAsync("device", "show", "laptop");
        Assert.Equal(shown.GetProperty("public_key").GetString(), WireGuardPrivateKey.PublicKey(file.PrivateKey).ToString());
        var configuration = shown.GetProperty("configuration");
        var peer = Assert.Single(file.Peers);
        Assert.Equal((configuration.GetProperty("public_key").GetString(), 32, 25, 1420), (peer.PublicKey.ToString(), peer.PresharedKey.Length, peer.PersistentKeepaliveSeconds, file.Mtu));
        Assert.Equal(Strings(configuration, "addresses"), file.Addresses.Select(a => a.ToString()));
        Assert.Equal(Strings(configuration, "allowed_ips"), peer.AllowedIPs.Select(a => a.ToString()));
        // Names of sockets are looked up in the tunnel and no others: what the hook says to a resolvectl that writes it down.
        Assert.Empty(file.DnsServers);
        var hook = Assert.Single(file.Kept);
        Assert.Equal("PostUp", hook.Key);
        File.SetUnixFileMode(_files.Write("resolvectl", "#!/bin/sh\necho \"$@\"\n"), UnixFileMode.UserRead | UnixFileMode.UserExecute);
        var told = await Command.RunAsync("bash", ["-c", hook.Value.Replace("%i", "relay", StringComparison.Ordinal)], new Dictionary<string, string?> { ["PATH"] = $"{_files.Path}:/usr/bin:/bin" });
        Assert.Equal($"dns relay {string.Join(' ', Strings(configuration, "dns"))}\ndomain relay ~relay\n", told.Text);
        // The stock tool takes it as it is.
        var stripped = await Command.RunAsync("wg-quick", ["strip", path]);
        Assert.True(stripped.ExitCode == 0, stripped.ToString());

        // What is the device's own is nowhere else: not on a terminal, not in the silo, not in the database.
        foreach (var secret in new[] { Convert.ToBase64String(file.PrivateKey), Convert.ToHexStringLower(file.PrivateKey), Convert.ToBase64String(peer.PresharedKey), Convert.ToHexStringLower(peer.PresharedKey) })
        {
            Assert.DoesNotContain(secret, added.Text + added.Stderr + shown, StringComparison.Ordinal);
            Assert.DoesNotContain(secret, site.Grid.AllOutput() + await site.Grid.DumpAsync(), StringComparison.Ordinal);
        }

        var listed = await site.Grid.RelayAsync("device", "ls");
        Assert.Contains("laptop", listed, StringComparison.Ordinal);
        Assert.Contains("100.124.", listed, StringComparison.Ordinal);
        await site.Grid.RelayAsync("device", "rename", "laptop", "old-laptop");
        await site.Grid.RelayAsync("org", "update", "--device-login-seconds", "3600");
        Assert.Contains("3600 s", await site.Grid.RelayAsync("org", "show"), StringComparison.Ordinal);
        Assert.Contains("renewed: until", await site.Grid.RelayAsync("device", "renew", "old-laptop"), StringComparison.Ordinal);
        await site.Grid.RelayAsync("org", "update", "--device-login-seconds", "604800");
        var details = await site.Grid.RelayAsync("device", "show", "old-laptop");
        Assert.Matches("LAST HANDSHAKE +never", details);
        Assert.Matches("BYTES +0 up, 0 down", details);
        await site.Grid.RelayAsync("device", "revoke", "old-laptop");
        Assert.Equal(5, (await site.Grid.CliAsync("device", "show", "old-laptop")).ExitCode);
        Assert.Equal(2, (await site.Grid.CliAsync("device", "ls", "--all", "--user", "somebody")).ExitCode);

        // Its file stays, and is not written over by the next device of that name.
        var again = await site.Grid.CliAsync("device", "add", "laptop");
        Assert.Equal(1, again.ExitCode);
        Assert.Contains("exists already", again.Stderr, StringComparison.Ordinal);
        Assert.Equal(text, await File.ReadAllTextAsync(path, Cancel));
    }

    [Fact]
    public async Task Where_it_cannot_be_written_there_is_no_device_and_a_phone_gets_it_through_a_pipe()
    {
        var refused = await site.Grid.CliAsync("device", "add", "tablet", "--gateway", "nowhere");
        Assert.Equal(5, refused.ExitCode);
        Assert.Contains("The device was not added", refused.Stderr, StringComparison.Ordinal);
        await File.WriteAllTextAsync(_files.File("no-folder"), "", Cancel);
        Assert.Equal(1, (await site.Grid.CliAsync("device", "add", "tablet", "--file", Path.Combine(_files.File("no-folder"), "x.conf"))).ExitCode);
        Assert.Equal(2, (await site.Grid.CliAsync("device", "add", "tablet", "--file", "-", "--output", "json")).ExitCode);
        Assert.DoesNotContain("tablet", await site.Grid.RelayAsync("device", "ls"), StringComparison.Ordinal);

        var stdout = await site.Grid.CliAsync("device", "add", "tablet", "--file", "-", "--dns");
        Assert.True(stdout.ExitCode == 0, stdout.ToString());
        using (var printed = WgQuickConfiguration.Parse(stdout.Text))
            Assert.Equal((32, 2, "relay", 0), (printed.PrivateKey.Length, printed.DnsServers.Count, Assert.Single(printed.DnsDomains), printed.Kept.Count));

        // A stand-in that tells what it was given, and how.
        var program = _files.Write("qrencode", "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$0.argv\"\n/bin/cat > \"$0.stdin\"\necho THE PICTURE\n");
        File.SetUnixFileMode(program, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        var environment = site.Grid.CliEnvironment(site.Grid.Silos[0]);
        environment["PATH"] = _files.Path;
        var phone = await Command.RunAsync(RelayPrograms.Cli, ["device", "add", "phone", "--qr"], environment);
        Assert.True(phone.ExitCode == 0, phone.ToString());
        Assert.Contains("THE PICTURE", phone.Text, StringComparison.Ordinal);
        using var given = WgQuickConfiguration.Parse(await File.ReadAllTextAsync(program + ".stdin", Cancel));
        Assert.Equal((0, 0), (given.DnsServers.Count, given.Kept.Count));
        var key = Convert.ToBase64String(given.PrivateKey);
        Assert.DoesNotContain(key, phone.Text + phone.Stderr + await File.ReadAllTextAsync(program + ".argv", Cancel), StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(site.Grid.Home, "wireguard", "phone")));

        File.Delete(program);
        var without = await Command.RunAsync(RelayPrograms.Cli, ["device", "add", "phone-2", "--qr"], environment);
        Assert.Equal(1, without.ExitCode);
        Assert.Contains("--qr needs the program qrencode", without.Stderr, StringComparison.Ordinal);
        foreach (var name in new[] { "tablet", "phone" })
            await site.Grid.RelayAsync("device", "revoke", name);
    }

    [Fact]
    public async Task A_phone_that_scans_the_code_has_the_devices_whole_configuration()
    {
        var shown = await site.Grid.RelayAsync("device", "add", "scanned", "--qr");
        using var scanned = WgQuickConfiguration.Parse(await ScanAsync(shown));
        var device = await site.Grid.RelayJsonAsync("device", "show", "scanned");
        Assert.Equal(device.GetProperty("public_key").GetString(), WireGuardPrivateKey.PublicKey(scanned.PrivateKey).ToString());
        Assert.Equal(Strings(device.GetProperty("configuration"), "addresses"), scanned.Addresses.Select(a => a.ToString()));
        Assert.Equal(device.GetProperty("configuration").GetProperty("public_key").GetString(), Assert.Single(scanned.Peers).PublicKey.ToString());
        await site.Grid.RelayAsync("device", "revoke", "scanned");
    }

    /// <summary>Reads a code off a terminal, where each character is two modules, one above the other: what is printed is light.</summary>
    private async Task<string> ScanAsync(string terminal)
    {
        const int Scale = 4;
        var lines = Regex.Replace(terminal, @"\x1b\[[0-9;]*m", "").Split('\n').Where(l => l.Length > 20 && l.All(c => " █▀▄".Contains(c, StringComparison.Ordinal))).ToArray();
        var width = lines.Max(l => l.Length) * Scale;
        // A grey map, netpbm's P5: a row of text, then a byte for each pixel.
        var image = new List<byte>(Encoding.ASCII.GetBytes($"P5 {width} {lines.Length * 2 * Scale} 255\n"));
        foreach (var row in lines.SelectMany(l => (string[])[l.Replace('▀', '█').Replace('▄', ' '), l.Replace('▄', '█').Replace('▀', ' ')]))
        {
            for (var repeat = 0; repeat < Scale; repeat++)
                image.AddRange(Enumerable.Range(0, width).Select(x => row.ElementAtOrDefault(x / Scale) == '█' ? (byte)255 : (byte)0));
        }

        var file = _files.File("code.pgm");
        await File.WriteAllBytesAsync(file, [.. image], Cancel);
        var scan = await Command.RunAsync("zbarimg", ["--quiet", "--raw", "--oneshot", file]);
        Assert.True(scan.ExitCode == 0, $"{scan}\n{terminal}");
        return scan.Text;
    }

    private static string[] Strings(JsonElement element, string name) => [.. element.GetProperty(name).EnumerateArray().Select(e => e.GetString()!)];
}
