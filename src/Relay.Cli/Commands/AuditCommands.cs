using System.CommandLine;
using System.Globalization;
using Relay.Api;
using Relay.Cli.Output;

namespace Relay.Cli.Commands;

/// <summary><c>relay audit ls</c></summary>
internal static class AuditCommands
{
    public static Command Create() => Commands.Group("audit", "The audit trail", List());

    private static Command List()
    {
        var actor = Commands.Optional("--actor", "Only this user's (e-mail or id)");
        var type = Commands.Optional("--type", "Only this action, e.g. policy.create or session.denied");
        var resource = Commands.Optional("--resource", "Only about this resource (id)");
        var from = Commands.Optional("--from", "At or after (RFC 3339)");
        var to = Commands.Optional("--to", "Before (RFC 3339)");
        var limit = new Option<int>("--limit") { Description = "How many, newest first (1 to 500)", DefaultValueFactory = _ => 50 };
        return new Command("ls", "List audit events, newest first").Alias("list").With(actor, type, resource, from, to, limit).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var path = Commands.Query(ApiRoutes.AuditEvents,
                ("actor", parsed.GetValue(actor)), ("type", parsed.GetValue(type)), ("resource", parsed.GetValue(resource)),
                ("from", parsed.GetValue(from)), ("to", parsed.GetValue(to)), ("page_size", parsed.GetValue(limit).ToString(CultureInfo.InvariantCulture)));
            var page = await api.GetAsync(path, ApiJson.Default.AuditEventPage, cancellationToken);
            context.Render.Page(page, "No audit events.",
                new Column<AuditEvent>("TIME", e => e.PerformedAt.ToString("u")),
                new Column<AuditEvent>("ACTION", e => e.ActionType),
                new Column<AuditEvent>("ACTOR", e => e.ActorEmail),
                new Column<AuditEvent>("FROM", e => e.RequestorIp),
                new Column<AuditEvent>("RESOURCE", e => $"{e.ResourceType} {e.ResourceId}"),
                new Column<AuditEvent>("OUTCOME", e => e.Outcome));
        });
    }
}
