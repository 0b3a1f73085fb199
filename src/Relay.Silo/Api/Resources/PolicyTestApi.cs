using System.Net;
using Dapper;
using Npgsql;
using Relay.Api;
using Relay.Policy;
using Relay.Silo.Api.Http;
using Relay.Silo.Storage;

namespace Relay.Silo.Api.Resources;

/// <summary>What would a policy say (policies/{policy}/test), and all of them together (sockets/{socket}/evaluate). Judges with the evaluator that sessions are judged with.</summary>
internal sealed class PolicyTestApi(NpgsqlDataSource database, TimeProvider time)
{
    public static void Map(ApiRoutesBuilder routes)
    {
        routes.Map("POST", "/sockets/{socket}/evaluate", "evaluate_socket", "What would all policies together allow whom on this socket", (HttpContext http, string socket, PolicyTestApi api) => api.EvaluateAsync(http, socket))
            .Accepts<SocketEvaluateRequest>("application/json").Produces<SocketEvaluateResponse>().Produces<ApiError>(404);
        routes.Map("POST", "/policies/{policy}/test", "test_policy", "What would this policy allow whom, from where, when", (HttpContext http, string policy, PolicyTestApi api) => api.TestAsync(http, policy))
            .Accepts<PolicyTestRequest>("application/json").Produces<PolicyTestResponse>().Produces<ApiError>(404);
    }

    private async Task<IResult> EvaluateAsync(HttpContext http, string socket)
    {
        var asked = await RequestReader.ReadAsync(http, ApiJson.Default.SocketEvaluateRequest);
        var request = new PolicyTestRequest
        {
            Email = asked.Email,
            Ip = asked.Ip,
            Country = asked.Country,
            Time = asked.Time,
            Username = asked.Username,
            Command = asked.Command,
            Destination = asked.Destination,
            Socket = socket,
        };
        var (email, ip, destination) = Check(request);

        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var facts = await SocketAsync(connection, http, socket);
        var subject = await SubjectAsync(connection, http, email);
        var organization = http.Caller().OrganizationId;
        var policies = CompiledPolicies.Compile(organization, 0, await PolicyRows.EntriesAsync(connection, organization, http.RequestAborted));
        var now = request.Time ?? time.GetUtcNow();
        var actions = Actions(request, destination).Prepend(new AccessAction.Connect(request.Username)).Select(action =>
        {
            var decision = policies.Evaluate(new AccessRequest(subject, facts, ip, request.Country, now, action, Guid.NewGuid()));
            return new SocketEvaluatedAction
            {
                Action = action.Name,
                Allowed = decision.Allowed,
                PolicyName = decision.PolicyName,
                EndsAt = decision.Grant?.EndsAt,
                Reasons = [.. decision.Reasons.Select(r => Reason(r) with { Clause = $"{r.PolicyName} {r.Clause}" })],
            };
        }).ToArray();
        return Reply.Ok(new SocketEvaluateResponse { Allowed = actions[0].Allowed, Actions = actions }, ApiJson.Default.SocketEvaluateResponse);
    }

    private static (string Email, IPAddress Ip, (string Host, int Port) Destination) Check(PolicyTestRequest request)
    {
        var errors = new FieldErrors();
        var email = errors.Email("email", request.Email);
        if (!IPAddress.TryParse(request.Ip ?? "127.0.0.1", out var ip))
            errors.Add("ip", "must be an IP address");
        if (request.Country is { } country && !(country.Length == 2 && country.All(char.IsAsciiLetterUpper)))
            errors.Add("country", "must be two capital letters (ISO 3166-1)");
        var destination = Destination(request.Destination ?? "localhost:80", errors);
        errors.ThrowIfAny();
        return (email, ip!, destination);
    }

    private async Task<IResult> TestAsync(HttpContext http, string policy)
    {
        var request = await RequestReader.ReadAsync(http, ApiJson.Default.PolicyTestRequest);
        var (email, ip, destination) = Check(request);
        await using var connection = await database.OpenConnectionAsync(http.RequestAborted);
        var id = await connection.FindAsync(Named.Policy, http, policy);
        var row = await connection.QuerySingleAsync<PolicyRow>(new CommandDefinition(PolicyRows.Select + " WHERE p.policy_id = @id", new { id }, cancellationToken: http.RequestAborted));
        var subject = await SubjectAsync(connection, http, email);
        var socket = await SocketAsync(connection, http, request.Socket);
        // Whether it is attached is another question than what it says.
        var entry = PolicyRows.ToEntry(row, new HashSet<Guid>()) is { } read ? read with { OrgWide = true } : throw new ApiException(422, ErrorCodes.Invalid, "the stored document of this policy cannot be read: it grants nothing");
        var now = request.Time ?? time.GetUtcNow();
        var report = PolicyTester.Test(entry, subject, ip!, request.Country, now);
        var compiled = CompiledPolicies.Compile(http.Caller().OrganizationId, 0, [entry]);
        var actions = Actions(request, destination).Select(action =>
        {
            var decision = compiled.Evaluate(new AccessRequest(subject, socket, ip!, request.Country, now, action, Guid.NewGuid()));
            return new PolicyTestAction { Action = action.Name, Allowed = decision.Allowed, Reasons = [.. decision.Reasons.Select(Reason)] };
        }).ToArray();
        var refused = actions.Where(a => !a.Allowed).Select(a => a.Action).ToHashSet();
        string[] allowed = report.Passed ? [.. report.AllowedActions.Where(a => !refused.Contains(a))] : [];
        return Reply.Ok(new PolicyTestResponse { Passed = allowed.Length > 0, AllowedActions = allowed, Clauses = [.. report.Clauses.Select(Reason)], Actions = actions }, ApiJson.Default.PolicyTestResponse);
    }

    private static IEnumerable<AccessAction> Actions(PolicyTestRequest request, (string Host, int Port) destination) =>
    [
        new AccessAction.SshShell(request.Username),
        new AccessAction.SshExec(request.Command ?? "true", request.Username),
        new AccessAction.SshSftp(request.Username),
        new AccessAction.SshTcpForwarding(destination.Host, destination.Port, request.Username),
        new AccessAction.SshAgentForwarding(request.Username),
    ];

    private static PolicyTestReason Reason(PolicyReason reason) => new()
    {
        Clause = reason.Clause,
        Met = reason.Code == ReasonCode.Allowed,
        Message = reason.Code == ReasonCode.Allowed ? $"met: {reason.Fact}" : $"{reason.Code.ToText()}: had {reason.Fact}; needed {reason.Needed}",
    };

    private static (string Host, int Port) Destination(string text, FieldErrors errors)
    {
        var colon = text.LastIndexOf(':');
        if (colon > 0 && int.TryParse(text.AsSpan(colon + 1), System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var port) && port is > 0 and <= 65535)
            return (text[..colon].Trim('[', ']'), port);
        errors.Add("destination", "must be host:port");
        return ("", 0);
    }

    private static async Task<Subject> SubjectAsync(NpgsqlConnection connection, HttpContext http, string email)
    {
        var groups = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        if (await Lookups.FindAsync(connection, null, Named.User, http.Caller().OrganizationId, email, http.RequestAborted) is not { } id)
            return new Subject(Guid.NewGuid(), email, groups, null);
        foreach (var (groupId, name) in await connection.QueryAsync<(Guid, string)>(new CommandDefinition(
            "SELECT g.group_id, g.display_name FROM group_member m JOIN user_group g USING (group_id) WHERE m.user_id = @id", new { id }, cancellationToken: http.RequestAborted)))
        {
            groups.Add(groupId.ToString("D"));
            groups.Add(name);
        }
        return new Subject(id, email, groups, null);
    }

    private static async Task<SocketFacts> SocketAsync(NpgsqlConnection connection, HttpContext http, string? socket)
    {
        if (socket is null)
            return new SocketFacts(Guid.NewGuid(), "any", "ssh", new Dictionary<string, string>(), null);
        var id = await connection.FindAsync(Named.Socket, http, socket);
        var row = await connection.QuerySingleAsync<SocketRow>(new CommandDefinition(SocketRows.Select + " WHERE s.socket_id = @id", new { id }, cancellationToken: http.RequestAborted));
        return SocketRows.Facts(row);
    }
}
