using Relay.Policy;

namespace Relay.Tests.Policy;

public sealed class ExplainTests
{
    [Fact]
    public void Denial_reads_as_clause_fact_change_and_id()
    {
        var policies = Given.Policies(Given.Policy("""
            {"permissions":{"ssh":{"exec":{"commands":["ls *"]}}},
             "condition":{"who":{"email":["alice@example.com","ceo@example.com"]},"where":{"allowed_ip":["10.0.0.0/8"]}}}
            """, "db-ops"));
        Assert.Equal("""
            Access denied: ssh.exec on "db-host": no policy allows it.
            Policy "db-ops", $.permissions.ssh.exec.commands: the command is "rm -rf /".
            Policy "db-ops", $.condition.where.allowed_ip: your address is 198.51.100.7.
            Smallest change that would allow it: in policy "db-ops", add the command to $.permissions.ssh.exec.commands; and add 198.51.100.7/32 to $.condition.where.allowed_ip.
            Decision dec15100-0000-0000-0000-000000000001
            """.ReplaceLineEndings("\n"), policies.Evaluate(Given.Request(new AccessAction.SshExec("rm -rf /", null))).Explain());
    }

    [Fact]
    public void Socket_without_a_policy_says_so()
    {
        Assert.Equal("""
            Access denied: ssh.shell on "db-host": no policy applies to this socket.
            Smallest change that would allow it: a policy on this socket that permits ssh.shell to you.
            Decision dec15100-0000-0000-0000-000000000001
            """.ReplaceLineEndings("\n"), Given.Policies().Evaluate(Given.Request(new AccessAction.SshShell(null))).Explain());
    }

    [Fact]
    public void Requester_learns_nothing_of_the_contents_of_a_clause_and_the_administrator_all()
    {
        // L20: each secret is in a clause that fails for alice.
        string[] secrets = ["ceo@example.com", "board", "backup-robot", "10.77.0.0/16", "\"FR\"", "BE", "secret-tool", "vault.internal", "4711", "dbadmin", "02:17", "Asia/Tokyo"];
        var json = """
            {"permissions":{"ssh":{"exec":{"commands":["secret-tool *"]},"tcp_forwarding":{"allowed_connections":[{"destination_address":"vault.internal","destination_port":4711}]},"allowed_usernames":["dbadmin"]}},
             "condition":{"who":{"email":["ceo@example.com"],"group":["board"],"service_account":["backup-robot"]},
              "where":{"allowed_ip":["10.77.0.0/16"],"country":["FR"],"country_not":["BE"]},
              "when":{"after":"2044-02-03T00:00:00Z","time_of_day_after":"02:17 Asia/Tokyo","time_of_day_before":"02:18 Asia/Tokyo"}}}
            """;
        var policies = Given.Policies(Given.Policy(json, "vault"));
        var inFull = "";
        foreach (var action in new[] { Given.Action("exec id"), Given.Action("forward db 5432"), Given.Action("connect"), Given.Action("connect-as root") })
        {
            var decision = policies.Evaluate(Given.Request(action, country: "BE"));
            Assert.False(decision.Allowed);
            var text = decision.Explain();
            foreach (var secret in secrets)
            {
                // The zone of the window is in the requester's own clock, and the country is the requester's own.
                if (secret is not ("Asia/Tokyo" or "BE"))
                    Assert.DoesNotContain(secret, text, StringComparison.Ordinal);
            }

            Assert.DoesNotContain("2044", text, StringComparison.Ordinal);
            inFull += decision.ExplainInFull();
        }

        Assert.All(secrets.Append("2044-02-03T00:00:00Z"), secret => Assert.Contains(secret, inFull, StringComparison.Ordinal));
    }

    [Fact]
    public void Policies_for_the_person_come_before_those_for_others_and_the_nearest_first()
    {
        var others = Enumerable.Range(0, 30).Select(i => Given.Policy("""{"permissions":{"ssh":{}},"condition":{"who":{"email":["bob@example.com"]}}}""", "a" + i));
        var far = Given.Policy("""{"permissions":{"http":{}},"condition":{"who":{"email":["alice@example.com"]},"where":{"allowed_ip":["10.0.0.0/8"]}}}""", "b-far");
        var near = Given.Policy("""{"permissions":{"ssh":{"sftp":{}}},"condition":{"who":{"email":["alice@example.com"]}}}""", "c-near");
        var decision = Given.Policies([.. others, far, near]).Evaluate(Given.Request(new AccessAction.SshShell(null)));
        Assert.Equal(["c-near", "b-far", "b-far", "a0"], decision.Reasons.Take(4).Select(reason => reason.PolicyName));
        Assert.Equal(32, decision.PoliciesConsidered);
        Assert.Equal(CompiledPolicies.MaxExplainedPolicies, decision.Reasons.Select(reason => reason.PolicyName).Distinct().Count());
        var lines = decision.Explain().Split('\n');
        Assert.Equal(12, lines.Length);
        Assert.Equal("And 25 more that apply to this socket do not allow it.", lines[9]);
        Assert.Equal("Smallest change that would allow it: in policy \"c-near\", add $.permissions.ssh.shell: {}.", lines[10]);
    }

    [Fact]
    public void Code_of_the_decision_is_the_one_clause_that_is_missing_for_the_person()
    {
        var shell = new AccessAction.SshShell(null);
        var bobs = Given.Policy("""{"permissions":{"ssh":{}},"condition":{"who":{"email":["bob@example.com"]}}}""", "a");
        var late = Given.Policy(Given.Permitting("""{"ssh":{"shell":{},"max_session_duration_seconds":60}}"""), "b");
        Assert.Equal(ReasonCode.NoPolicyAllows, Given.Policies(bobs).Evaluate(Given.Request(shell)).ReasonCode);
        Assert.Equal(ReasonCode.SessionTooLong, Given.Policies(bobs, late).Evaluate(Given.Request(shell) with { SessionStartedAt = Given.Now.AddMinutes(-1) }).ReasonCode);
        Assert.Equal(ReasonCode.PermissionMissing, Given.Policies(bobs, late).Evaluate(Given.Request(new AccessAction.SshSftp(null))).ReasonCode);
        Assert.Equal(ReasonCode.NoPolicyAllows, Given.Policies(bobs, late).Evaluate(Given.Request(new AccessAction.SshSftp(null)) with { SessionStartedAt = Given.Now.AddMinutes(-1) }).ReasonCode);
    }

    [Theory]
    [InlineData("\u001b[2Jls\r\n\a", "\"?[2Jls???\"")]
    [InlineData("\u202egpj", "\"?gpj\"")]
    public void Text_of_the_requester_cannot_act_on_a_terminal(string command, string shown)
    {
        var policies = Given.Policies(Given.Policy(Given.Permitting("""{"ssh":{"exec":{"commands":[]}}}""")));
        var decision = policies.Evaluate(Given.Request(new AccessAction.SshExec(command, null)));
        Assert.Contains($"the command is {shown}.", decision.Explain(), StringComparison.Ordinal);
        Assert.DoesNotContain(decision.ExplainInFull().Replace("\n", "", StringComparison.Ordinal), char.IsControl);
    }

    [Fact]
    public void Long_texts_are_cut()
    {
        var policies = Given.Policies(Given.Policy(Given.Permitting("""{"ssh":{"exec":{"commands":[]}}}"""), new string('n', 5_000)));
        var text = policies.Evaluate(Given.Request(new AccessAction.SshExec(new string('x', 100_000), null))).Explain();
        Assert.InRange(text.Length, 100, 2_000);
    }

    [Theory]
    // Condition and permissions, the action, what "smallest change" must say, and the document after that change.
    [InlineData("""{"permissions":{"ssh":{}},"condition":{"who":{}}}""", "shell", "add \"alice@example.com\" to $.condition.who.email",
        """{"permissions":{"ssh":{}},"condition":{"who":{"email":["alice@example.com"]}}}""")]
    [InlineData("""{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"group":["ops"]},"where":{"allowed_ip":["10.0.0.0/8"]}}}""", "shell", "add 198.51.100.7/32 to $.condition.where.allowed_ip",
        """{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"group":["ops"]},"where":{"allowed_ip":["10.0.0.0/8","198.51.100.7/32"]}}}""")]
    [InlineData("""{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"group":["ops"]},"where":{"country":["DE"]}}}""", "shell", "add \"NL\" to $.condition.where.country",
        """{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"group":["ops"]},"where":{"country":["DE","NL"]}}}""")]
    [InlineData("""{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"group":["ops"]},"where":{"country_not":["NL"]}}}""", "shell", "remove \"NL\" from $.condition.where.country_not",
        """{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"group":["ops"]},"where":{"country_not":[]}}}""")]
    [InlineData("""{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"group":["ops"]},"when":{"after":"2030-01-01T00:00:00Z"}}}""", "shell", "wait, or set $.condition.when.after to 2026-03-11T10:30:00Z or earlier",
        """{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"group":["ops"]},"when":{"after":"2026-03-11T10:30:00Z"}}}""")]
    [InlineData("""{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"group":["ops"]},"when":{"before":"2026-01-01T00:00:00Z"}}}""", "shell", "set $.condition.when.before later than 2026-03-11T10:30:00Z",
        """{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"group":["ops"]},"when":{"before":"2026-03-11T10:30:01Z"}}}""")]
    [InlineData("""{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"group":["ops"]},"when":{"time_of_day_after":"12:00 Europe/Berlin"}}}""", "shell", "widen $.condition.when.time_of_day_after to include 11:30 Europe/Berlin",
        """{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"group":["ops"]},"when":{"time_of_day_after":"11:30 Europe/Berlin"}}}""")]
    [InlineData("""{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"group":["ops"]}}}""", "sftp", "add $.permissions.ssh.sftp: {}",
        """{"permissions":{"ssh":{"shell":{},"sftp":{}}},"condition":{"who":{"group":["ops"]}}}""")]
    [InlineData("""{"permissions":{"http":{}},"condition":{"who":{"group":["ops"]}}}""", "forward db 22", "add $.permissions.ssh.tcp_forwarding: {}",
        """{"permissions":{"http":{},"ssh":{"tcp_forwarding":{}}},"condition":{"who":{"group":["ops"]}}}""")]
    [InlineData("""{"permissions":{"ssh":{"shell":{},"allowed_usernames":["root"]}},"condition":{"who":{"group":["ops"]}}}""", "shell-as app", "add \"app\" to $.permissions.ssh.allowed_usernames",
        """{"permissions":{"ssh":{"shell":{},"allowed_usernames":["root","app"]}},"condition":{"who":{"group":["ops"]}}}""")]
    [InlineData("""{"permissions":{"ssh":{"tcp_forwarding":{"allowed_connections":[]}}},"condition":{"who":{"group":["ops"]}}}""", "forward db 22", "add the destination to $.permissions.ssh.tcp_forwarding.allowed_connections",
        """{"permissions":{"ssh":{"tcp_forwarding":{"allowed_connections":[{"destination_address":"db","destination_port":22}]}}},"condition":{"who":{"group":["ops"]}}}""")]
    [InlineData("""{"version":"v1","action":["http"],"condition":{"who":{"domain":["example.com"]}}}""", "sftp", "add \"ssh:sftp\" to $.action",
        """{"version":"v1","action":["http","ssh:sftp"],"condition":{"who":{"domain":["example.com"]}}}""")]
    [InlineData("""{"version":"v1","action":["ssh:shell"],"condition":{"who":{"domain":["example.com"]}}}""", "agent", "add \"ssh\" to $.action",
        """{"version":"v1","action":["ssh:shell","ssh"],"condition":{"who":{"domain":["example.com"]}}}""")]
    public void Smallest_change_is_enough(string before, string action, string change, string after)
    {
        var request = Given.Request(Given.Action(action), Given.User("alice@example.com", "ops"));
        var decision = Given.Policies(Given.Policy(before)).Evaluate(request);
        Assert.False(decision.Allowed);
        Assert.Contains(change, decision.Explain(), StringComparison.Ordinal);
        Assert.True(Given.Policies(Given.Policy(after)).Evaluate(request).Allowed);
    }
}
