using System.Net;
using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Relay.Policy;

namespace Relay.Tests.Policy;

/// <summary>Random valid policies and requests over a small world, so that they often meet.</summary>
internal static class RandomPolicies
{
    public sealed record Scenario(Oracle.Policy[] Policies, AccessRequest Request)
    {
        public override string ToString() => string.Join('\n', Policies.Select(policy =>
            $"{policy.Json} orgWide={policy.OrgWide} sockets=[{string.Join(',', policy.SocketIds)}] tags=[{string.Join(" or ", policy.TagRules.Select(rule => string.Join(" and ", rule)))}]")) + $"\n{Request}";
    }

    private static readonly Guid[] Sockets = [new("50c4e700-0000-0000-0000-000000000001"), new("50c4e700-0000-0000-0000-000000000002")];
    private static readonly string[] Emails = ["alice@example.com", "Bob@Example.com", "carol@other.test"];
    private static readonly string[] Groups = ["ops", "dev", "7d444840-9dc0-11d1-b245-5ffdce74fad2"];
    private static readonly string[] GroupIds = ["7d444840-9dc0-11d1-b245-5ffdce74fad2", "11111111-9dc0-11d1-b245-5ffdce74fad2"];
    private static readonly string[] Names = ["root", "app", "App"];
    private static readonly string[] Ranges = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "0.0.0.0/0", "2001:db8::/32", "2001:db8:0:1::/64", "::/0", "::ffff:192.0.2.0/120"];
    private static readonly string[] Addresses = ["10.1.2.3", "10.2.2.3", "192.0.2.9", "::ffff:10.1.2.3", "2001:db8::1", "2001:db8:0:1::1", "fd00::1"];
    private static readonly string[] Zones = ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York"];
    private static readonly string[] Patterns = ["id", "ls *", "*", "cat /var/log/*.log", "ps aux | grep *", "echo '*'", @"ls \*"];
    private static readonly string[] Commands = ["id", "ls ", "ls -l", "ls *", "ls;id", "cat /var/log/a.log", "cat /var/log/a.log; id.log", "ps aux | grep x", "ps aux | grep x|sh", "echo 'x'", "echo 'x' 'y'", "id\nid"];
    private static readonly string[] RuleAddresses = ["*", "db.internal", "*.internal", "10.0.0.0/8", "10.1.2.3", "2001:db8::/32", "DB.internal."];
    private static readonly string[] Hosts = ["db.internal", "DB.Internal", "internal", "x.db.internal.", "10.1.2.3", "11.1.2.3", "[2001:db8::5]", "2001:db8::5", "evil.test"];
    private static readonly string[] Types = ["ssh", "ssh", "ssh", "ssh", "database", "http", "tls", "tcp", "udp", "vnc", "rdp", "vpn", "subnet_router", "exit_node", "kubernetes", "aws_s3", "telnet"];

    public static Gen<Oracle.Policy> Policy { get; } =
        from json in Gen.Frequency((4, V2()), (1, V1()))
        from orgWide in Chance(30)
        from sockets in Some(Sockets)
        from rules in Gen.Resize(Tags().ArrayOf(), 2)
        select new Oracle.Policy(json, orgWide, sockets, rules);

    public static Gen<AccessRequest> Request { get; } =
        from type in Gen.Elements(Types)
        from socket in Gen.Elements(Sockets)
        from tags in Tags()
        from defined in Gen.Elements<string?>(null, null, "", "root")
        from email in Gen.Elements(["", .. Emails, "ALICE@example.com"])
        from groups in Some(Groups)
        from account in Gen.Elements<string?>(null, null, null, "ci", "deploy")
        from ip in Gen.Elements(Addresses)
        from country in Gen.Elements<string?>(null, "NL", "de", "US")
        from now in Instants()
        from started in Gen.Elements<int?>(null, 0, 59, 60, 3600)
        from action in Action()
        select new AccessRequest(
            new Subject(Given.Alice, email, groups.ToHashSet(), account), new SocketFacts(socket, "s", type, tags, defined), IPAddress.Parse(ip), country, now, action, Given.DecisionId)
        {
            SessionStartedAt = started is null ? null : now.AddSeconds(-started.Value),
        };

    public static Arbitrary<Scenario> Scenarios { get; } = Arb.From(
        from policies in Gen.Resize(Policy.ArrayOf(), 8)
        from request in Request
        select new Scenario(policies, request),
        scenario => scenario.Policies.Select((_, i) => scenario with { Policies = [.. scenario.Policies.Where((_, j) => j != i)] }));

    public static CompiledPolicies Compile(IEnumerable<Oracle.Policy> policies) => CompiledPolicies.Compile(Given.Organization, 1, policies.Select((policy, i) =>
        new PolicyEntry(Guid.NewGuid(), "p" + i, Given.Document(policy.Json), policy.OrgWide, policy.SocketIds.ToHashSet(), policy.TagRules)));

    private static Gen<string> V2() =>
        from permissions in Permissions()
        from condition in Condition(false)
        from version in Chance(20)
        select (version ? new JsonObject { ["version"] = "v2", ["permissions"] = permissions, ["condition"] = condition }
            : new JsonObject { ["permissions"] = permissions, ["condition"] = condition }).ToJsonString();

    private static Gen<string> V1() =>
        from actions in Some("ssh", "ssh:*", "ssh:shell", "ssh:exec", "ssh:tcp_forwarding", "database", "database:SELECT", "http", "tls:*")
        from condition in Condition(true)
        from integrations in Chance(15)
        select new JsonObject
        {
            ["version"] = "v1",
            ["action"] = Array(actions),
            ["condition"] = condition,
            ["integrations"] = integrations ? new JsonArray(new JsonObject { ["integration_name"] = "pagerduty" }) : new JsonArray(),
        }.ToJsonString();

    private static Gen<JsonObject> Permissions() =>
        from ssh in Optional(80, Gen.Frequency((1, Gen.Constant(0).Select(_ => new JsonObject())), (5, Ssh())))
        from database in Optional(30, Optional(50, Some("books", "*")).Select(names => names is null ? new JsonObject()
            : new JsonObject { ["allowed_databases"] = new JsonArray([.. names.Select(name => new JsonObject { ["database"] = name })]) }))
        from rules in Optional(30, Chance(50).Select(any => any ? new JsonObject() : new JsonObject { ["rules"] = new JsonArray() }))
        from tls in Optional(40, Optional(50, Gen.Elements(60, 3600).Select(value => JsonValue.Create(value))).Select(seconds => Object([("max_session_duration_seconds", seconds)])))
        from flags in Some("http", "vnc", "rdp", "vpn", "network", "aws_s3")
        select Object([("ssh", ssh), ("database", database), ("tls", tls), ("kubernetes", rules), .. flags.Select(flag => (flag, (JsonNode?)new JsonObject()))]);

    private static Gen<JsonObject> Ssh() =>
        from flags in Some("shell", "sftp", "agent_forwarding")
        from exec in Optional(60, Optional(70, Some(Patterns)).Select(patterns => patterns is null ? new JsonObject() : new JsonObject { ["commands"] = Array(patterns) }))
        from forwarding in Optional(60, Optional(70, Gen.Resize(Rule().ArrayOf(), 3)).Select(rules => rules is null ? new JsonObject() : new JsonObject { ["allowed_connections"] = new JsonArray([.. rules]) }))
        from usernames in Optional(30, Some(Names))
        from seconds in Optional(30, Gen.Elements(60, 3600).Select(value => JsonValue.Create(value)))
        select Object([("exec", exec), ("tcp_forwarding", forwarding), ("allowed_usernames", usernames is null ? null : Array(usernames)), ("max_session_duration_seconds", seconds),
            .. flags.Select(flag => (flag, (JsonNode?)new JsonObject()))]);

    private static Gen<JsonObject> Rule() =>
        from address in Optional(70, Gen.Elements(RuleAddresses))
        from port in Gen.Elements<string?>(null, "*", "5432", "number")
        select Object([("destination_address", address is null ? null : JsonValue.Create(address)),
            ("destination_port", port is null ? null : port == "number" ? JsonValue.Create(5432) : JsonValue.Create(port))]);

    private static Gen<JsonObject> Condition(bool v1) =>
        from emails in Optional(70, Some(Emails))
        from groups in Optional(50, Some(v1 ? GroupIds : Groups))
        from domains in Optional(v1 ? 50 : 0, Some("example.com", "other.test"))
        from accounts in Optional(30, Some("ci", "CI2"))
        from ranges in Optional(30, Some(Ranges))
        from country in Optional(20, Some("NL", "DE"))
        from countryNot in Optional(20, Some("US", "de"))
        from after in Optional(20, Gen.Elements("2026-03-28T23:00:00Z", "2026-01-01T00:00:00+01:00"))
        from before in Optional(20, Gen.Elements("2026-10-25T00:30:00Z", "2027-01-01T00:00:00-05:00"))
        from window in Optional(40, Window())
        select Object([
            ("who", Object([("email", Node(emails)), ("group", Node(groups)), ("domain", Node(domains)), ("service_account", Node(accounts))])),
            ("where", Object([("allowed_ip", Node(ranges)), ("country", Node(country)), ("country_not", Node(countryNot))])),
            ("when", Object([("after", after is null ? null : JsonValue.Create(after)), ("before", before is null ? null : JsonValue.Create(before)),
                ("time_of_day_after", window?.After is { } start ? JsonValue.Create(start) : null), ("time_of_day_before", window?.Before is { } end ? JsonValue.Create(end) : null)])),
        ]);

    private sealed record Times(string? After, string? Before);

    private static Gen<Times> Window() =>
        from zone in Gen.Elements(Zones)
        from after in Gen.Elements<string?>(null, "00:00", "02:30", "09:00", "22:00")
        from before in Gen.Elements<string?>(null, "01:30", "02:45", "06:00", "17:00", "23:59")
        select new Times(after is null ? null : $"{after} {zone}", before is null ? null : $"{before} {zone}");

    private static Gen<AccessAction> Action() =>
        from kind in Gen.Choose(0, 6)
        from username in Gen.Elements<string?>([null, .. Names])
        from command in Gen.Elements(Commands)
        from host in Gen.Elements(Hosts)
        from port in Gen.Elements(22, 5432)
        select (AccessAction)(kind switch
        {
            0 => new AccessAction.Connect(username),
            1 => new AccessAction.SshShell(username),
            2 => new AccessAction.SshExec(command, username),
            3 => new AccessAction.SshSftp(username),
            4 => new AccessAction.SshTcpForwarding(host, port, username),
            5 => new AccessAction.SshAgentForwarding(username),
            _ => new AccessAction.SshSubsystem("netconf", username),
        });

    /// <summary>Near the changes of clocks of 2026 in Europe and America, and elsewhere.</summary>
    public static Gen<DateTimeOffset> Instants() =>
        from day in Gen.Elements("2026-03-08", "2026-03-28", "2026-03-29", "2026-07-01", "2026-10-25", "2026-11-01", "2026-12-31")
        from minute in Gen.Choose(0, 24 * 60 - 1)
        from second in Gen.Elements(0, 0, 59)
        select Given.At(day + "T00:00:00Z").AddMinutes(minute).AddSeconds(second);

    private static Gen<Dictionary<string, string>> Tags() =>
        from env in Gen.Elements("", "prod", "test")
        from team in Gen.Elements("", "db")
        select new[] { ("env", env), ("team", team) }.Where(tag => tag.Item2.Length > 0).ToDictionary(tag => tag.Item1, tag => tag.Item2);

    private static Gen<bool> Chance(int percent) => Gen.Choose(0, 99).Select(roll => roll < percent);

    private static Gen<T?> Optional<T>(int percent, Gen<T> gen)
        where T : class? =>
        from given in Chance(percent)
        from value in gen
        select given ? value : null;

    private static Gen<T[]> Some<T>(params T[] from) => Gen.Choose(0, (1 << from.Length) - 1).Select(bits => from.Where((_, i) => (bits >> i & 1) == 1).ToArray());

    private static JsonArray Array(string[] values) => new([.. values.Select(value => (JsonNode)value)]);

    private static JsonArray? Node(string[]? values) => values is null ? null : Array(values);

    private static JsonObject Object((string Key, JsonNode? Value)[] members) => new(members.Where(member => member.Value is not null).Select(member => KeyValuePair.Create(member.Key, member.Value?.DeepClone())));
}
