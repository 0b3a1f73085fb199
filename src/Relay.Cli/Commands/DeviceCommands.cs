using System.CommandLine;
using System.Globalization;
using Relay.Api;
using Relay.Cli.Client;
using Relay.Cli.Output;

namespace Relay.Cli.Commands;

/// <summary><c>relay device add|ls|show|rename|revoke|renew</c></summary>
internal static class DeviceCommands
{
    private static readonly Argument<string> s_device = new("device") { Description = "Device id, or the name of one of yours" };

    public static Command Create() => Commands.Group("device", "WireGuard devices", DeviceAddCommand.Create(), List(), Show(), Rename(), Revoke(), Renew());

    /// <summary>Until when the device's login counts, in words.</summary>
    public static string Login(DeviceResource device)
    {
        if (device.LoginValidUntil is not { } until)
            return "no end";
        return until <= TimeProvider.System.GetUtcNow() ? $"ended {until:u}: relay login, relay device renew" : $"until {until:u}";
    }

    private static string Path(ParseResult parsed) => $"{ApiRoutes.Devices}/{ApiClient.Segment(parsed.GetRequiredValue(s_device))}";

    private static Command List()
    {
        var user = Commands.Optional("--user", "Another user's (administrators and readers): e-mail address or id", "-u");
        var all = new Option<bool>("--all", "-a") { Description = "Everybody's (administrators and readers)" };
        return new Command("ls", "List my devices").Alias("list").With(user, all).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            if (parsed.GetValue(all) && parsed.GetValue(user) is not null)
                throw new CliException(ExitCode.Usage, "--all and --user exclude each other.");
            var path = Commands.Query(ApiRoutes.Devices, ("user", parsed.GetValue(all) ? "*" : parsed.GetValue(user)), ("page_size", "500"));
            var page = await api.GetAsync(path, ApiJson.Default.DevicePage, cancellationToken);
            context.Render.Page(page, "No devices. Add one with: relay device add NAME",
                new Column<DeviceResource>("NAME", d => d.Name),
                new Column<DeviceResource>("USER", d => d.User.Name),
                new Column<DeviceResource>("ADDRESSES", d => string.Join(", ", d.Configuration.Addresses.Select(Bare))),
                new Column<DeviceResource>("LAST HANDSHAKE", d => d.Status.LastHandshakeAt?.ToString("u") ?? "never"),
                new Column<DeviceResource>("LOGIN", Login),
                new Column<DeviceResource>("ID", d => d.DeviceId.ToString()));
        });
    }

    private static Command Show() => new Command("show", "Show one device: last handshake, endpoint, bytes").With(s_device).OnApi(async (context, api, parsed, cancellationToken) =>
    {
        var answer = await api.GetAsync(Path(parsed), ApiJson.Default.DeviceResource, cancellationToken);
        var device = answer.Value;
        context.Render.Details(answer.Json,
            ("DEVICE ID", device.DeviceId.ToString()),
            ("NAME", device.Name),
            ("USER", device.User.Name),
            ("PUBLIC KEY", device.PublicKey),
            ("PRESHARED KEY", device.PresharedKey.Set ? "set" : "none"),
            ("ADDRESSES", string.Join(", ", device.Configuration.Addresses.Select(Bare))),
            ("CREATED", device.CreatedAt.ToString("u")),
            ("LOGIN", Login(device)),
            ("LAST HANDSHAKE", device.Status.LastHandshakeAt?.ToString("u") ?? "never"),
            ("ENDPOINT", device.Status.Endpoint.Length == 0 ? null : device.Status.Endpoint),
            ("GATEWAY", device.Status.Gateway.Length == 0 ? null : device.Status.Gateway),
            ("BYTES", string.Create(CultureInfo.InvariantCulture, $"{device.Status.BytesUp} up, {device.Status.BytesDown} down")),
            ("GATEWAYS", string.Join(", ", device.Configuration.Gateways.Select(g => $"{g.Name} {g.Address}"))));
    });

    private static Command Rename()
    {
        var name = new Argument<string>("name") { Description = "New name" };
        return new Command("rename", "Rename a device").With(s_device, name).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var answer = await api.PatchAsync(Path(parsed), new DeviceUpdate { Name = parsed.GetRequiredValue(name) }, ApiJson.Default.DeviceUpdate, ApiJson.Default.DeviceResource, cancellationToken);
            context.Render.Done(answer.Json, $"✓ Device {parsed.GetRequiredValue(s_device)} is now {answer.Value.Name}.");
        });
    }

    private static Command Revoke() => new Command("revoke", "Revoke a device: its sessions end, and its key is never accepted again").Alias("delete").With(s_device).OnApi(async (context, api, parsed, cancellationToken) =>
    {
        var json = await api.DeleteAsync(Path(parsed), cancellationToken);
        context.Render.Done(json, $"✓ Device {parsed.GetRequiredValue(s_device)} revoked.");
    });

    private static Command Renew() => new Command("renew", "Let a device of mine count as logged in by my last login (relay login first, when its time is over)").With(s_device).OnApi(async (context, api, parsed, cancellationToken) =>
    {
        var json = await api.SendAsync(HttpMethod.Post, $"{Path(parsed)}/renew", null, cancellationToken);
        var device = System.Text.Json.JsonSerializer.Deserialize(json, ApiJson.Default.DeviceResource)!;
        context.Render.Done(json, $"✓ Device {device.Name} renewed: {Login(device)}.");
    });

    // "/32" says nothing to people.
    private static string Bare(string address) => address.Split('/')[0];
}
