using System.Text;
using Relay.Policy;

namespace Relay.Tests.Policy;

public sealed class DocumentTests
{
    [Fact]
    public void Every_key_of_v2_is_read()
    {
        var document = Given.Document("""
            {"version":"v2","permissions":{
             "ssh":{"shell":{},"exec":{"commands":["ls *"]},"sftp":{},
              "tcp_forwarding":{"allowed_connections":[{"destination_address":"10.0.0.0/8","destination_port":5432}]},
              "kubectl_exec":{"allowed_namespaces":[{"namespace":"web","pod_selector":{"app":"x"}}]},
              "docker_exec":{"allowed_containers":["web"]},"allowed_usernames":["root"],"max_session_duration_seconds":60,
              "agent_forwarding":{},"recording":{"input":true}},
             "database":{"allowed_databases":[{"database":"books","allowed_query_types":["ReadOnly","USE"]}],"max_session_duration_seconds":60},
             "http":{},"tls":{},"vnc":{},"rdp":{},"vpn":{},"network":{},
             "kubernetes":{"rules":[{"api_groups":["","apps"],"namespaces":["web"],"verbs":["get"],"resources":["pods"],"resource_names":["x"]}]},
             "aws_s3":{"rules":[{"buckets":["b"],"paths":["/p"],"actions":["list","read","write","delete"]}]},
             "aws_access":{"aws_iam_role_arns":{"arn:aws:iam::123456789012:role/path/reader":{"max_session_duration_seconds":900}}}},
             "condition":{"who":{"email":["a@b.c"],"group":["g"],"service_account":["s"]},
              "where":{"allowed_ip":["10.0.0.0/8","2001:db8::1"],"country":["NL"],"country_not":["BE"]},
              "when":{"after":"2026-01-01T00:00:00.5Z","before":"2027-01-01T00:00:00+01:00","time_of_day_after":"08:00 Europe/Berlin","time_of_day_before":"18:00 Europe/Berlin"}}}
            """);
        Assert.Equal(PolicySchemaVersion.V2, document.Version);
        var report = PolicyTester.Test(new PolicyEntry(Guid.NewGuid(), "p", document, true, new HashSet<Guid>(), []), Given.User("a@b.c"), System.Net.IPAddress.Parse("10.0.0.1"), "NL", Given.Now);
        Assert.True(report.Passed, string.Join('\n', report.Clauses));
        Assert.Equal(
            ["ssh.shell", "ssh.exec", "ssh.sftp", "ssh.tcp_forwarding", "ssh.kubectl_exec", "ssh.docker_exec", "ssh.agent_forwarding",
                "database", "http", "tls", "vnc", "rdp", "vpn", "network", "kubernetes", "aws_s3", "aws_access"],
            report.AllowedActions);
        var ssh = document.Model.Permissions.Ssh!;
        Assert.Equal(("web", "x", "web", true), (ssh.KubectlExec!.AllowedNamespaces![0].Namespace, ssh.KubectlExec.AllowedNamespaces[0].PodSelector!["app"], ssh.DockerExec!.AllowedContainers![0], ssh.RecordInput));
        var (database, rule, s3) = (document.Model.Permissions.Database!.AllowedDatabases![0], document.Model.Permissions.Kubernetes!.Rules![0], document.Model.Permissions.AwsS3!.Rules![0]);
        Assert.Equal(("books", "ReadOnly,USE"), (database.Database, string.Join(',', database.AllowedQueryTypes!)));
        Assert.Equal((",apps", "web", "get", "pods", "x"), (string.Join(',', rule.ApiGroups!), rule.Namespaces![0], rule.Verbs![0], rule.Resources![0], rule.ResourceNames![0]));
        Assert.Equal(("b", "/p", "list,read,write,delete"), (s3.Buckets![0], s3.Paths![0], string.Join(',', s3.Actions!)));
        Assert.Equal(TimeSpan.FromSeconds(900), document.Model.Permissions.AwsAccess!.Roles!["arn:aws:iam::123456789012:role/path/reader"]);
    }

    [Fact]
    public void Every_key_of_v1_is_read()
    {
        var document = Given.Document("""
            {"version":"v1","action":["database","ssh:shell","ssh:exec","ssh:sftp","ssh:tcp_forwarding","http","tls:*"],
             "condition":{"who":{"email":["a@b.c"],"domain":["b.c"],"group":["7d444840-9dc0-11d1-b245-5ffdce74fad2"],"service_account":["s"]},"where":{"country":["NL"]},"when":{"before":null}},
             "integrations":[{"integration_name":"http","configuration":{"url":"https://x","deep":{"a":[1]}}}]}
            """);
        Assert.Equal(PolicySchemaVersion.V1, document.Version);
        Assert.Equal(["http"], document.Model.Integrations);
        Assert.Null(document.Model.Permissions.Ssh!.DockerExec);
        Assert.NotNull(document.Model.Permissions.Ssh.TcpForwarding);
    }

    [Theory]
    [InlineData("", "$", "Not valid JSON")]
    [InlineData("{", "$", "Not valid JSON at line 1")]
    [InlineData("[]", "$", "Expected an object, found a list")]
    [InlineData("null", "$", "Expected an object, found null")]
    [InlineData("""{"condition":{"who":{}}}""", "$", "\"permissions\" is missing")]
    [InlineData("""{"permissions":{}}""", "$", "\"condition\" is missing")]
    [InlineData("""{"permissions":{},"condition":{}}""", "$.condition", "\"who\" is missing")]
    [InlineData("""{"version":"v3","permissions":{},"condition":{"who":{}}}""", "$.version", "Unknown value \"v3\"")]
    [InlineData("""{"permissions":{},"condition":{"who":{}},"condition":{"who":{}}}""", "$.condition", "appears twice")]
    [InlineData("""{"permissions":{"shh":{}},"condition":{"who":{}}}""", "$.permissions.shh", "Did you mean \"ssh\"?")]
    [InlineData("""{"permissions":{},"conditions":{"who":{}}}""", "$.conditions", "Did you mean \"condition\"?")]
    [InlineData("""{"permissions":{"ssh":null},"condition":{"who":{}}}""", "$.permissions.ssh", "Expected an object, found null")]
    [InlineData("""{"permissions":{"ssh":{"shell":true}},"condition":{"who":{}}}""", "$.permissions.ssh.shell", "Expected an object, found true or false")]
    [InlineData("""{"permissions":{"ssh":{"allowedUsernames":[]}},"condition":{"who":{}}}""", "$.permissions.ssh.allowedUsernames", "Did you mean \"allowed_usernames\"?")]
    [InlineData("""{"permissions":{"ssh":{"exec":{"commands":["ok","",3]}}},"condition":{"who":{}}}""", "$.permissions.ssh.exec.commands[1]", "Must not be empty")]
    [InlineData("""{"permissions":{"ssh":{"exec":{"commands":["ok",3]}}},"condition":{"who":{}}}""", "$.permissions.ssh.exec.commands[1]", "Expected a string, found a number")]
    [InlineData("""{"permissions":{"ssh":{"exec":{"commands":["a\\b"]}}},"condition":{"who":{}}}""", "$.permissions.ssh.exec.commands[0]", "backslash")]
    [InlineData("""{"permissions":{"ssh":{"exec":{"commands":["a\nb"]}}},"condition":{"who":{}}}""", "$.permissions.ssh.exec.commands[0]", "control characters")]
    [InlineData("""{"permissions":{"ssh":{"allowed_usernames":["*"]}},"condition":{"who":{}}}""", "$.permissions.ssh.allowed_usernames[0]", "no wildcard")]
    [InlineData("""{"permissions":{"ssh":{"max_session_duration_seconds":0}},"condition":{"who":{}}}""", "$.permissions.ssh.max_session_duration_seconds", "from 1 to")]
    [InlineData("""{"permissions":{"tls":{"max_session_duration_seconds":0}},"condition":{"who":{}}}""", "$.permissions.tls.max_session_duration_seconds", "from 1 to")]
    [InlineData("""{"permissions":{"tls":{"ports":[]}},"condition":{"who":{}}}""", "$.permissions.tls.ports", "Unknown key")]
    [InlineData("""{"permissions":{"ssh":{"max_session_duration_seconds":1.5}},"condition":{"who":{}}}""", "$.permissions.ssh.max_session_duration_seconds", "whole number")]
    [InlineData("""{"permissions":{"ssh":{"max_session_duration_seconds":99999999999}},"condition":{"who":{}}}""", "$.permissions.ssh.max_session_duration_seconds", "from 1 to")]
    [InlineData("""{"permissions":{"ssh":{"recording":{"input":"yes"}}},"condition":{"who":{}}}""", "$.permissions.ssh.recording.input", "Expected true or false")]
    [InlineData("""{"permissions":{"ssh":{"tcp_forwarding":{"allowed_connections":[{"destination_port":0}]}}},"condition":{"who":{}}}""", "$.permissions.ssh.tcp_forwarding.allowed_connections[0].destination_port", "from 1 to 65535")]
    [InlineData("""{"permissions":{"ssh":{"tcp_forwarding":{"allowed_connections":[{"destination_port":"ssh"}]}}},"condition":{"who":{}}}""", "$.permissions.ssh.tcp_forwarding.allowed_connections[0].destination_port", "from 1 to 65535")]
    [InlineData("""{"permissions":{"ssh":{"tcp_forwarding":{"allowed_connections":[{"destination_address":"10.1"}]}}},"condition":{"who":{}}}""", "$.permissions.ssh.tcp_forwarding.allowed_connections[0].destination_address", "Not an address")]
    [InlineData("""{"permissions":{"ssh":{"tcp_forwarding":{"allowed_connections":[{"destination_address":"*.*.x"}]}}},"condition":{"who":{}}}""", "$.permissions.ssh.tcp_forwarding.allowed_connections[0].destination_address", "Not an address")]
    [InlineData("""{"permissions":{"database":{"allowed_databases":[{"allowed_query_types":["readonly"]}]}},"condition":{"who":{}}}""", "$.permissions.database.allowed_databases[0].allowed_query_types[0]", "Did you mean \"ReadOnly\"?")]
    [InlineData("""{"permissions":{"aws_s3":{"rules":[{"actions":["reed"]}]}},"condition":{"who":{}}}""", "$.permissions.aws_s3.rules[0].actions[0]", "Did you mean \"read\"?")]
    [InlineData("""{"permissions":{"aws_access":{"aws_iam_role_arns":{"reader":{}}}},"condition":{"who":{}}}""", "$.permissions.aws_access.aws_iam_role_arns.reader", "Not the ARN")]
    [InlineData("""{"permissions":{"http":{"x":1}},"condition":{"who":{}}}""", "$.permissions.http.x", "Unknown key")]
    [InlineData("""{"permissions":{},"condition":{"who":{"domain":["b.c"]}}}""", "$.condition.who.domain", "Unknown key")]
    [InlineData("""{"permissions":{},"condition":{"who":{"email":["alice"]}}}""", "$.condition.who.email[0]", "Not an e-mail address")]
    [InlineData("""{"permissions":{},"condition":{"who":{"email":["*@b.c"]}}}""", "$.condition.who.email[0]", "no wildcard")]
    [InlineData("""{"permissions":{},"condition":{"who":{"email":["a@b@c"]}}}""", "$.condition.who.email[0]", "Not an e-mail address")]
    [InlineData("""{"permissions":{},"condition":{"who":{"email":"a@b.c"}}}""", "$.condition.who.email", "Expected a list, found a string")]
    [InlineData("""{"permissions":{},"condition":{"who":{},"where":{"allowed_ip":["10.0.0.1/8"]}}}""", "$.condition.where.allowed_ip[0]", "write 10.0.0.0/8, or 10.0.0.1")]
    [InlineData("""{"permissions":{},"condition":{"who":{},"where":{"allowed_ip":["10.0.0.0/33"]}}}""", "$.condition.where.allowed_ip[0]", "0 to 32")]
    [InlineData("""{"permissions":{},"condition":{"who":{},"where":{"allowed_ip":["10.0.0.0/+8"]}}}""", "$.condition.where.allowed_ip[0]", "0 to 32")]
    [InlineData("""{"permissions":{},"condition":{"who":{},"where":{"allowed_ip":["010.0.0.1"]}}}""", "$.condition.where.allowed_ip[0]", "Not an IP address")]
    [InlineData("""{"permissions":{},"condition":{"who":{},"where":{"allowed_ip":["fe80::1%1"]}}}""", "$.condition.where.allowed_ip[0]", "Not an IP address")]
    [InlineData("""{"permissions":{},"condition":{"who":{},"where":{"allowed_ip":["::ffff:10.0.0.0/8"]}}}""", "$.condition.where.allowed_ip[0]", "96 to 128")]
    [InlineData("""{"permissions":{},"condition":{"who":{},"where":{"country":["NLD"]}}}""", "$.condition.where.country[0]", "two letters")]
    [InlineData("""{"permissions":{},"condition":{"who":{},"when":{"after":"2026-01-01T00:00:00"}}}""", "$.condition.when.after", "RFC 3339")]
    [InlineData("""{"permissions":{},"condition":{"who":{},"when":{"after":"2026-13-01T00:00:00Z"}}}""", "$.condition.when.after", "RFC 3339")]
    [InlineData("""{"permissions":{},"condition":{"who":{},"when":{"after":"2026-01-02T00:00:00Z","before":"2026-01-01T00:00:00Z"}}}""", "$.condition.when", "never apply")]
    [InlineData("""{"permissions":{},"condition":{"who":{},"when":{"time_of_day_after":"09:00"}}}""", "$.condition.when.time_of_day_after", "HH:MM ZONE")]
    [InlineData("""{"permissions":{},"condition":{"who":{},"when":{"time_of_day_after":"9:00 UTC"}}}""", "$.condition.when.time_of_day_after", "HH:MM ZONE")]
    [InlineData("""{"permissions":{},"condition":{"who":{},"when":{"time_of_day_after":"24:00 UTC"}}}""", "$.condition.when.time_of_day_after", "HH:MM ZONE")]
    [InlineData("""{"permissions":{},"condition":{"who":{},"when":{"time_of_day_after":"09:00 Europe/Atlantis"}}}""", "$.condition.when.time_of_day_after", "Unknown time zone")]
    [InlineData("""{"permissions":{},"condition":{"who":{},"when":{"time_of_day_after":"09:00 ../../etc/passwd"}}}""", "$.condition.when.time_of_day_after", "Unknown time zone")]
    [InlineData("""{"permissions":{},"condition":{"who":{},"when":{"time_of_day_after":"09:00 UTC","time_of_day_before":"17:00 Europe/Berlin"}}}""", "$.condition.when", "same time zone")]
    [InlineData("""{"permissions":{},"condition":{"who":{},"when":{"time_of_day_after":"09:00 UTC","time_of_day_before":"09:00 UTC"}}}""", "$.condition.when", "leave both out")]
    [InlineData("""{"permissions":{},"condition":{"who":{},"when":{"time_of_day_before":"00:00 UTC"}}}""", "$.condition.when", "Nothing is before 00:00")]
    [InlineData("""{"version":"v1","condition":{"who":{}}}""", "$", "\"action\" is missing")]
    [InlineData("""{"version":"v1","action":["ssh:shel"],"condition":{"who":{}}}""", "$.action[0]", "Did you mean \"ssh:shell\"?")]
    [InlineData("""{"version":"v1","action":[],"condition":{"who":{"group":["ops"]}}}""", "$.condition.who.group[0]", "UUID")]
    [InlineData("""{"version":"v1","action":[],"condition":{"who":{}},"integrations":[{"configuration":{}}]}""", "$.integrations[0]", "\"integration_name\" is missing")]
    [InlineData("""{"permissions":{},"condition":{"who":{"group":["\ud800"]}}}""", "$.condition.who.group[0]", "Not valid Unicode")]
    [InlineData("""{"permissions":{"\ud800":{}},"condition":{"who":{}}}""", "$.permissions", "not valid Unicode")]
    [InlineData("""{"permissions":{"a b'\u001b[31m":{}},"condition":{"who":{}}}""", "$.permissions['a b??[31m']", "Unknown key")]
    public void Mistake_is_reported_with_its_path(string json, string path, string message)
    {
        Assert.False(PolicyDocument.TryParse(json, out var document, out var errors));
        Assert.Null(document);
        Assert.Contains(errors, error => error.Path == path && error.Message.Contains(message, StringComparison.Ordinal));
    }

    [Fact]
    public void All_mistakes_are_reported_at_once()
    {
        Assert.False(PolicyDocument.TryParse("""
            {"permissions":{"ssh":{"shel":{},"exec":{"commands":["ok",1]},"max_session_duration_seconds":-1},"htp":{}},
             "condition":{"who":{"email":["x"],"domain":[]},"where":{"allowed_ip":["bad"]},"when":{"after":"bad"}}}
            """, out _, out var errors));
        Assert.Equal(
            ["$.condition.when.after", "$.condition.where.allowed_ip[0]", "$.condition.who.domain", "$.condition.who.email[0]", "$.permissions.htp",
                "$.permissions.ssh.exec.commands[1]", "$.permissions.ssh.max_session_duration_seconds", "$.permissions.ssh.shel"],
            errors.Select(error => error.Path).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Size_depth_counts_and_errors_are_bounded()
    {
        static IReadOnlyList<PolicyError> Errors(string json)
        {
            Assert.False(PolicyDocument.TryParse(json, out _, out var errors));
            return errors;
        }

        Assert.Contains("at most 262144", Errors(new string(' ', PolicyLimits.MaxDocumentBytes + 1))[0].Message, StringComparison.Ordinal);
        Assert.False(PolicyDocument.TryParse(new byte[PolicyLimits.MaxDocumentBytes + 1], out _, out var bytes));
        Assert.Contains("at most 262144", bytes[0].Message, StringComparison.Ordinal);
        Assert.Contains("Not valid JSON", Errors(string.Concat(Enumerable.Repeat("{\"a\":", 17)) + "1" + new string('}', 17))[0].Message, StringComparison.Ordinal);
        var many = string.Join(',', Enumerable.Range(0, PolicyLimits.MaxListEntries + 1).Select(_ => "\"a@b.c\""));
        Assert.Equal(new PolicyError("$.condition.who.email", "At most 5000 entries."), Assert.Single(Errors(Given.Under($$$"""{"who":{"email":[{{{many}}}]}}"""))));
        var patterns = string.Join(',', Enumerable.Repeat("\"ls\"", PolicyLimits.MaxCommandPatterns + 1));
        Assert.Equal("At most 200 entries.", Assert.Single(Errors(Given.Permitting($$$$"""{"ssh":{"exec":{"commands":[{{{{patterns}}}}]}}}"""))).Message);
        Assert.Equal("At most 1024 characters.", Assert.Single(Errors(Given.Permitting($$$$"""{"ssh":{"exec":{"commands":["{{{{new string('x', 1025)}}}}"]}}}"""))).Message);
        var unknown = Errors("{" + string.Join(',', Enumerable.Range(0, 20_000).Select(i => $"\"k{i}\":1")) + "}");
        Assert.Equal(PolicyLimits.MaxErrors + 1, unknown.Count);
        Assert.Contains("more errors", unknown[^1].Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Byte_order_mark_is_skipped_and_other_encodings_are_refused()
    {
        var json = Encoding.UTF8.GetBytes(Given.Permitting("{}"));
        Assert.True(PolicyDocument.TryParse((byte[])[0xEF, 0xBB, 0xBF, .. json], out _, out _));
        Assert.False(PolicyDocument.TryParse(Encoding.Unicode.GetBytes(Given.Permitting("{}")), out _, out _));
        Assert.False(PolicyDocument.TryParse((byte[])[.. json[..^1], 0xFF, (byte)'}'], out _, out var errors));
        Assert.Equal("The document is not UTF-8.", errors[0].Message);
    }
}
