using System.CommandLine;
using System.Globalization;
using Relay.Api;

namespace Relay.Cli.Commands;

/// <summary><c>relay org show|update|ssh-ca|ssh-setup</c>.</summary>
internal static class OrganizationCommands
{
    public static Command Create() => Commands.Group("org", "The organization", Show(), Update(), SshCa(), SshSetup());

    private static Command Show() => new Command("show", "Show the organization").OnApi(async (context, api, _, cancellationToken) =>
    {
        var org = await api.GetAsync(ApiRoutes.Organization, ApiJson.Default.OrganizationResource, cancellationToken);
        context.Render.Details(org.Json,
            ("ORGANIZATION ID", org.Value.OrganizationId.ToString()),
            ("NAME", org.Value.Name),
            ("SSH CA", org.Value.SshCa),
            ("USER CA", org.Value.UserCa),
            ("DEVICE LOGIN", org.Value.DeviceLoginSeconds == 0 ? "no end" : string.Create(CultureInfo.InvariantCulture, $"{org.Value.DeviceLoginSeconds} s")),
            ("VERSION", org.Value.Version.ToString(CultureInfo.InvariantCulture)));
    });

    private static Command Update()
    {
        var login = new Option<int?>("--device-login-seconds") { Description = "How long a login counts for a WireGuard device: 300 to 31536000, 0 for ever (default: 604800, a week)" };
        return new Command("update", "Change the organization's settings").With(login).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var answer = await api.PatchAsync(ApiRoutes.Organization, new OrganizationUpdate { DeviceLoginSeconds = parsed.GetValue(login) }, ApiJson.Default.OrganizationUpdate, ApiJson.Default.OrganizationResource, cancellationToken);
            context.Render.Done(answer.Json, $"✓ Organization {answer.Value.Name} updated.");
        });
    }

    private static Command SshCa() => new Command("ssh-ca", "Print the SSH CA's public key, for TrustedUserCAKeys on targets").OnApi(async (context, api, _, cancellationToken) =>
    {
        var org = await api.GetAsync(ApiRoutes.Organization, ApiJson.Default.OrganizationResource, cancellationToken);
        context.Render.Done(org.Json, org.Value.SshCa);
    });

    private static Command SshSetup() => new Command("ssh-setup", "Print a script that makes a target's sshd trust the SSH CA (run it there as root; idempotent)").OnApi(async (context, api, _, cancellationToken) =>
        await context.Render.Out.WriteAsync(await api.SendAsync(HttpMethod.Get, ApiRoutes.SshSetup, null, cancellationToken)));
}
