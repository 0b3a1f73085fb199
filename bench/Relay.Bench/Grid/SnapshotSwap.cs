using System.Globalization;
using System.Text.Json.Nodes;
using Npgsql;

namespace Relay.Bench.Grid;

/// <summary>
/// What one small change costs a silo whose organization is large: from the commit to the silo deciding by it. Measured by the silo's own
/// acknowledgement, by the database's clock. The row is a change of one of many policies; a change of one of many users reads more.
/// </summary>
internal sealed class SnapshotSwap : IBenchmark
{
    private const int Changes = 15;

    public string Prefix => "policy.snapshot_swap";

    public async Task RunAsync(Report report, CancellationToken cancellationToken)
    {
        foreach (var (policies, users) in new[] { (100, 1_000), (1_000, 10_000), (10_000, 100_000) })
        {
            await using var live = await LiveGrid.StartAsync(1);
            await FillAsync(live.Grid.Database, policies, users, cancellationToken);
            // The first write makes the silo read all of it, with nothing to build on.
            var first = await ChangeAsync(live, "/policies/default-org-policy", new JsonObject { ["name"] = "default-org-policy" });
            var (policy, worst) = await MedianAsync(live, "/policies/default-org-policy", i => new JsonObject { ["org_wide"] = i % 2 == 0 });
            var (user, worstUser) = await MedianAsync(live, "/users/u1@example.test", i => new JsonObject { ["role"] = i % 2 == 0 ? "client" : "member" });
            Report.Note(string.Create(CultureInfo.InvariantCulture, $"{policies} policies, {users} users: median {policy:0.000} s, worst {worst:0.000} s; a user's role {user:0.000} s, worst {worstUser:0.000} s; all of it anew {first:0.000} s"));
            if (policies == 10_000)
            {
                report.Add("policy.snapshot_swap", "s", Better.Lower, policy, "reading and compiling all of it, same silo, same run", first);
                report.Add("policy.snapshot_swap_user", "s", Better.Lower, user, "reading and compiling all of it, same silo, same run", first);
            }
        }
    }

    private static async Task<(double Median, double Worst)> MedianAsync(LiveGrid live, string path, Func<int, JsonObject> change)
    {
        var seconds = new List<double>();
        for (var i = 1; i <= Changes; i++)
            seconds.Add(await ChangeAsync(live, path, change(i)));
        seconds.Sort();
        return (seconds[seconds.Count / 2], seconds[^1]);
    }

    private static async Task<double> ChangeAsync(LiveGrid live, string path, JsonObject change)
    {
        var answer = await live.SendAsync(HttpMethod.Patch, path, change, prefer: "wait=10");
        var revocation = answer["revocation"]!;
        return revocation["confirmed"]!.GetValue<int>() == 1 ? revocation["seconds"]!.GetValue<double>() : throw new InvalidOperationException($"not in force after 10 s: {revocation}");
    }

    private static async Task FillAsync(string database, int policies, int users, CancellationToken cancellationToken)
    {
        await using var source = NpgsqlDataSource.Create(database);
        await using var command = source.CreateCommand($$"""
            INSERT INTO app_user (user_id, organization_id, email, role) SELECT gen_random_uuid(), organization_id, 'u' || i || '@example.test', 'client' FROM organization, generate_series(1, {{users}}) i;
            INSERT INTO user_group (group_id, organization_id, display_name) SELECT gen_random_uuid(), organization_id, 'g' || i FROM organization, generate_series(1, {{users / 100}}) i;
            INSERT INTO group_member (group_id, user_id) SELECT g.group_id, u.user_id FROM
              (SELECT user_id, row_number() OVER () AS n FROM app_user WHERE email LIKE 'u%') u JOIN (SELECT group_id, row_number() OVER () AS n FROM user_group) g ON g.n = u.n % {{users / 100}} + 1;
            INSERT INTO socket (socket_id, organization_id, name, socket_type, upstream)
              SELECT gen_random_uuid(), organization_id, 's' || i, 'ssh', '{"service_type":"ssh","ssh_service_configuration":{"ssh_service_type":"standard","hostname":"10.0.0.1","port":22} }' FROM organization, generate_series(1, {{policies / 10}}) i;
            INSERT INTO policy (policy_id, organization_id, name, policy_data) SELECT gen_random_uuid(), organization_id, 'p' || i,
              jsonb_build_object('permissions', '{"ssh":{"shell":{},"exec":{"commands":["uptime","df *"]},"sftp":{},"max_session_duration_seconds":3600} }'::jsonb, 'condition',
                jsonb_build_object('who', jsonb_build_object('email', jsonb_build_array('u' || i || '@example.test'), 'group', jsonb_build_array('g' || (i % {{users / 100}} + 1))), 'where', '{"allowed_ip":["10.0.0.0/8"]}'::jsonb))
              FROM organization, generate_series(1, {{policies}}) i;
            INSERT INTO policy_socket (policy_id, socket_id) SELECT p.policy_id, s.socket_id FROM
              (SELECT policy_id, row_number() OVER () AS n FROM policy WHERE name LIKE 'p%') p JOIN (SELECT socket_id, row_number() OVER () AS n FROM socket) s ON s.n = p.n % {{policies / 10}} + 1;
            ANALYZE;
            """);
        command.CommandTimeout = 300;
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
}
