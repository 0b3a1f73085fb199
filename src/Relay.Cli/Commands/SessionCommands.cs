using System.CommandLine;
using System.Globalization;
using Relay.Api;
using Relay.Cli.Client;
using Relay.Cli.Output;
using Relay.Cli.Ssh;

namespace Relay.Cli.Commands;

/// <summary><c>relay session ls|show|replay|kill</c></summary>
internal static class SessionCommands
{
    private static readonly Argument<string> s_session = new("session") { Description = "Session id" };

    public static Command Create() => Commands.Group("session", "Sessions: who reached what", List(), Show(), Replay(), Kill());

    private static string Path(string session) => $"{ApiRoutes.Sessions}/{ApiClient.Segment(session)}";

    private static Command List()
    {
        var user = Commands.Optional("--user", "Only this user's (e-mail or id)", "-u");
        var socket = Commands.Optional("--socket", "Only to this socket (name or id)", "-s");
        var from = Commands.Optional("--from", "Started at or after (RFC 3339)");
        var to = Commands.Optional("--to", "Started before (RFC 3339)");
        var result = Commands.Optional("--result", "allowed, denied or killed");
        var live = new Option<bool>("--live") { Description = "Only those that go on now" };
        var limit = new Option<int>("--limit") { Description = "How many, newest first (1 to 500)", DefaultValueFactory = _ => 50 };
        return new Command("ls", "List sessions, newest first").Alias("list").With(user, socket, from, to, result, live, limit).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var path = Commands.Query(ApiRoutes.Sessions,
                ("user", parsed.GetValue(user)), ("socket", parsed.GetValue(socket)), ("from", parsed.GetValue(from)), ("to", parsed.GetValue(to)),
                ("result", parsed.GetValue(result)), ("live", parsed.GetValue(live) ? "true" : null),
                ("page_size", parsed.GetValue(limit).ToString(CultureInfo.InvariantCulture)));
            var page = await api.GetAsync(path, ApiJson.Default.SessionPage, cancellationToken);
            context.Render.Page(page, "No sessions.",
                new Column<SessionResource>("SESSION ID", s => s.SessionId.ToString()),
                new Column<SessionResource>("START", s => s.StartTime.ToString("u")),
                new Column<SessionResource>("USER", s => s.UserEmail),
                new Column<SessionResource>("SOCKET", s => s.SocketName),
                new Column<SessionResource>("AS", s => s.SshUser),
                new Column<SessionResource>("FROM", s => s.ClientIp),
                new Column<SessionResource>("RESULT", s => s.Authorization == "denied" ? "denied" : s.EndTime is null ? "live" : s.Outcome),
                new Column<SessionResource>("RECORDING", s => s.RecordingState));
        });
    }

    private static Command Show() => new Command("show", "Show one session with its events").With(s_session).OnApi(async (context, api, parsed, cancellationToken) =>
    {
        var answer = await api.GetAsync(Path(parsed.GetRequiredValue(s_session)), ApiJson.Default.SessionResource, cancellationToken);
        var s = answer.Value;
        context.Render.Details(answer.Json,
            ("SESSION ID", s.SessionId.ToString()),
            ("USER", s.UserEmail),
            ("CREDENTIAL", s.Credential.ToString()),
            ("SOCKET", $"{s.SocketName} ({s.SessionType})"),
            ("USER ON TARGET", s.SshUser),
            ("FROM", $"{s.ClientIp}:{s.ClientPort} ({s.ClientVersion})"),
            ("VIA", $"gateway {s.Gateway}, silo {s.Silo}, connector {s.ConnectorName}{(s.ConnectorSilo.Length > 0 && s.ConnectorSilo != s.Silo ? $" on silo {s.ConnectorSilo}" : "")}"),
            ("HOPS", s.Hops > 0 ? s.Hops.ToString(CultureInfo.InvariantCulture) : null),
            ("TARGET", s.Target.Length > 0 ? s.Target : null),
            ("AUTHORIZATION", $"{s.Authorization}{(s.PolicyName.Length > 0 ? $" by policy {s.PolicyName}" : "")} (decision {s.DecisionId}, version {s.PolicyVersion})"),
            ("REASONS", s.Authorization == "denied" ? s.Reasons.GetRawText() : null),
            ("START", s.StartTime.ToString("u")),
            ("END", s.EndTime?.ToString("u") ?? "live"),
            ("OUTCOME", s.Outcome),
            ("KILLED BY", s.Killed ? s.KilledBy : null),
            ("BYTES", $"{s.BytesUp} up, {s.BytesDown} down"),
            ("RECORDING", s.RecordingReason.Length > 0 ? $"{s.RecordingState}: {s.RecordingReason}" : s.RecordingState));
        if (context.Render.Json)
            return;
        foreach (var recording in s.Recordings ?? [])
            context.Render.Out.WriteLine($"recording {recording.RecordingNo}: {Output.Render.Printable(recording.Title)}");
        foreach (var e in s.Events ?? [])
            context.Render.Out.WriteLine($"{e.CreatedAt:u}  {e.Type} {e.Status}  {Output.Render.Printable(e.Metadata.ToString())}");
    });

    private static Command Replay()
    {
        var number = new Option<int?>("--recording", "-r") { Description = "Which recording of the session (default: all, one after the other)" };
        var speed = new Option<double>("--speed") { Description = "2 is twice as fast", DefaultValueFactory = _ => 1 };
        var pause = new Option<double?>("--max-pause") { Description = "Cut pauses to this many seconds" };
        var raw = new Option<bool>("--raw") { Description = "Print the asciicast v2 as it is, for other players" };
        return new Command("replay", "Play a recording in this terminal").With(s_session, number, speed, pause, raw).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            if (parsed.GetValue(speed) is <= 0 or double.NaN)
                throw new CliException(ExitCode.Usage, "--speed takes a number above 0.");
            var path = Path(parsed.GetRequiredValue(s_session)) + "/recordings";
            var numbers = parsed.GetValue(number) is { } one
                ? [one]
                : (await api.GetAsync(path, ApiJson.Default.RecordingPage, cancellationToken)).Value.List.Select(r => r.RecordingNo).Order().ToArray();
            if (numbers.Length == 0)
                throw new CliException(ExitCode.NotFound, "the session has no recording (recording off, nothing happened yet, or the session was denied).");
            foreach (var no in numbers)
            {
                using var response = await api.DownloadAsync($"{path}/{no.ToString(CultureInfo.InvariantCulture)}", cancellationToken);
                await using var stream = await response.Content.ReadAsStreamAsync(cancellationToken);
                if (parsed.GetValue(raw) || context.Render.Json)
                {
                    await using var stdout = Console.OpenStandardOutput();
                    await stream.CopyToAsync(stdout, cancellationToken);
                }
                else
                {
                    var longest = parsed.GetValue(pause) is { } seconds ? TimeSpan.FromSeconds(Math.Max(0, seconds)) : (TimeSpan?)null;
                    await new AsciicastPlayer(context.Render.Out, TimeProvider.System).PlayAsync(stream, parsed.GetValue(speed), longest, cancellationToken);
                }
            }
        });
    }

    private static Command Kill()
    {
        var session = new Argument<string?>("session") { Description = "Session id", Arity = ArgumentArity.ZeroOrOne };
        var user = Commands.Optional("--user", "All of this user's", "-u");
        var socket = Commands.Optional("--socket", "All to this socket", "-s");
        var connector = Commands.Optional("--connector", "All through this connector", "-c");
        return new Command("kill", "End live sessions, now").With(session, user, socket, connector).OnApi(async (context, api, parsed, cancellationToken) =>
        {
            var one = parsed.GetValue(session);
            var body = new SessionKill { User = parsed.GetValue(user), Socket = parsed.GetValue(socket), Connector = parsed.GetValue(connector) };
            var many = body.User ?? body.Socket ?? body.Connector;
            if (one is null == many is null)
                throw new CliException(ExitCode.Usage, "name either one session, or --user, --socket or --connector.");
            var json = one is not null
                ? await api.SendAsync(HttpMethod.Post, Path(one) + "/kill", null, cancellationToken)
                : await api.SendAsync(HttpMethod.Post, ApiRoutes.SessionsKill, ApiClient.Body(body, ApiJson.Default.SessionKill), cancellationToken);
            var result = System.Text.Json.JsonSerializer.Deserialize(json, ApiJson.Default.SessionKillResult)!;
            context.Render.Done(json, result.Killed == 1 ? "✓ 1 session told to end." : $"✓ {result.Killed} sessions told to end.");
        });
    }
}
