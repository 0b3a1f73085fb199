using System.CommandLine;
using System.Security.Cryptography;
using Relay.Api;
using Relay.Cli.Client;
using Relay.Cli.WireGuard;
using Relay.Protocol.WireGuard;

namespace Relay.Cli.Commands;

/// <summary><c>relay device add</c>: the key pair is made here, and only the public key leaves this machine.</summary>
internal static class DeviceAddCommand
{
    private const string ToStdout = "-";

    public static Command Create()
    {
        var name = new Argument<string>("name") { Description = "Name of the device, for example laptop" };
        var file = Commands.Optional("--file", "Write the wg-quick configuration there (0600), - for stdout; default: NAME/relay.conf in RELAY_HOME/wireguard", "-f");
        var qr = new Option<bool>("--qr") { Description = "Show it as a QR code for a phone (needs qrencode); no file is written unless --file says so" };
        var gateway = Commands.Optional("--gateway", "Gateway to go through; default: any", "-g");
        var dns = new Option<bool>("--dns") { Description = "Look all names up in the tunnel; default: those of sockets, by systemd's resolvectl (with --qr: none)" };
        var noDns = new Option<bool>("--no-dns") { Description = "Look no names up in the tunnel" };
        var preshared = new Option<bool>("--preshared-key") { Description = "Also use a preshared key, which the silos keep sealed" };
        return new Command("add", "Add a device and write its wg-quick configuration").Alias("create").With(name, file, qr, gateway, dns, noDns, preshared).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var device = parsed.GetRequiredValue(name);
            var path = parsed.GetValue(file) ?? (parsed.GetValue(qr) ? null : Default(context, device));
            if (parsed.GetValue(dns) && parsed.GetValue(noDns))
                throw new CliException(ExitCode.Usage, "--dns and --no-dns exclude each other.");
            // A phone takes no hooks, and without one it would look every name up in the tunnel.
            var names = parsed.GetValue(dns) ? DeviceNames.All : parsed.GetValue(noDns) || parsed.GetValue(qr) ? DeviceNames.None : DeviceNames.Suffix;
            if (parsed.GetValue(qr))
                QrCode.Require();
            if (path == ToStdout && (context.Render.Json || parsed.GetValue(qr)))
                throw new CliException(ExitCode.Usage, "--file - is for the configuration alone: leave out --output json and --qr.");
            // A file that is there may be the only copy of another device's key.
            if (path is not null and not ToStdout && File.Exists(path))
                throw new CliException(ExitCode.Error, $"{path} exists already: give another --file, or revoke that device and remove the file.");

            var privateKey = WireGuardPrivateKey.Generate();
            var presharedKey = parsed.GetValue(preshared) ? RandomNumberGenerator.GetBytes(WireGuardPrivateKey.Length) : null;
            try
            {
                var body = new DeviceCreate
                {
                    Name = device,
                    PublicKey = WireGuardPrivateKey.PublicKey(privateKey).ToString(),
                    PresharedKey = presharedKey is null ? null : Convert.ToBase64String(presharedKey),
                };
                var answer = await api.PostAsync(ApiRoutes.Devices, body, ApiJson.Default.DeviceCreate, ApiJson.Default.DeviceResource, cancellationToken);
                try
                {
                    var text = DeviceFile.Write(answer.Value.Configuration, privateKey, presharedKey, parsed.GetValue(gateway), names);
                    if (path == ToStdout)
                        await context.Render.Out.WriteAsync(text);
                    else if (path is not null)
                        UserState.WritePrivate(Path.GetFullPath(path), text);
                    if (parsed.GetValue(qr))
                        await QrCode.ShowAsync(text, context.Render.Json ? context.Render.Error : context.Render.Out, cancellationToken);
                }
                catch (Exception e) when (e is CliException or IOException or UnauthorizedAccessException)
                {
                    // Nobody has its key: it is of no use to anybody.
                    await api.DeleteAsync($"{ApiRoutes.Devices}/{answer.Value.DeviceId:D}", CancellationToken.None);
                    throw new CliException((e as CliException)?.ExitCode ?? ExitCode.Error, $"{e.Message.TrimEnd('.')}. The device was not added.");
                }

                Tell(context, answer, path, names);
            }
            finally
            {
                CryptographicOperations.ZeroMemory(privateKey);
                CryptographicOperations.ZeroMemory(presharedKey);
            }
        });
    }

    // wg-quick takes the interface's name from the file's, 15 characters at most.
    private static string Default(CommandContext context, string device)
    {
        if (device.Length is 0 or > 63 || !device.All(c => char.IsAsciiLetterOrDigit(c) || c == '-'))
            throw new CliException(ExitCode.Usage, "a device's name is 1 to 63 letters, digits and hyphens.");
        return Path.Combine(context.State.Folder, "wireguard", device, "relay.conf");
    }

    private static void Tell(CommandContext context, ApiAnswer<DeviceResource> answer, string? path, DeviceNames names)
    {
        var device = answer.Value;
        if (path != ToStdout)
            context.Render.Done(answer.Json, $"✓ Device {device.Name} added; its login counts {DeviceCommands.Login(device)}." + (path is null ? "" : $"\n  {path}\n  Bring it up with: sudo wg-quick up {path}"));
        if (device.Configuration.Gateways.Count == 0)
            context.Render.Error.WriteLine("⚠ No gateway that serves WireGuard is connected: the configuration has no Endpoint. `relay device show` says where one is when there is one.");
        var suffix = $"*.{Output.Render.Printable(device.Configuration.DnsSuffix)}";
        if (names is DeviceNames.Suffix)
            context.Render.Error.WriteLine($"Names in {suffix} are looked up in the tunnel where the system has resolvectl; --dns looks all names up there, --no-dns none.");
        if (names is DeviceNames.All)
            context.Render.Error.WriteLine($"All names are looked up in the tunnel: others than {suffix} only if the gateways forward them.");
    }
}
