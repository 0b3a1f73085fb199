using System.CommandLine;
using Relay.Api;

namespace Relay.Cli.Commands;

/// <summary><c>relay org show|ssh-ca|ssh-setup</c>.</summary>
internal static class OrganizationCommands
{
    public static Command Create() => Commands.Group("org", "The organization", Show(), SshCa(), SshSetup());

    private static Command Show() => new Command("show", "Show the organization").OnApi(async (context, api, _, cancellationToken) =>
    {
        var org = await api.GetAsync(ApiRoutes.Organization, ApiJson.Default.OrganizationResource, cancellationToken);
        context.Render.Details(org.Json,
            ("ORGANIZATION ID", org.Value.OrganizationId.ToString()),
            ("NAME", org.Value.Name),
            ("SSH CA", org.Value.SshCa),
            ("USER CA", org.Value.UserCa),
            ("VERSION", org.Value.Version.ToString(System.Globalization.CultureInfo.InvariantCulture)));
    });

    private static Command SshCa() => new Command("ssh-ca", "Print the SSH CA's public key, for TrustedUserCAKeys on targets").OnApi(async (context, api, _, cancellationToken) =>
    {
        var org = await api.GetAsync(ApiRoutes.Organization, ApiJson.Default.OrganizationResource, cancellationToken);
        context.Render.Done(org.Json, org.Value.SshCa);
    });

    private static Command SshSetup() => new Command("ssh-setup", "Print a script that makes a target's sshd trust the SSH CA (run it there as root; idempotent)").OnApi(async (context, api, _, cancellationToken) =>
        await context.Render.Out.WriteAsync(await api.SendAsync(HttpMethod.Get, ApiRoutes.SshSetup, null, cancellationToken)));
}
