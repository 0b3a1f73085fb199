using Relay.Policy;

namespace Relay.Tests.Policy;

public sealed class ConditionTests
{
    private const string GroupId = "7d444840-9dc0-11d1-b245-5ffdce74fad2";

    [Theory]
    [InlineData("""{"email":["alice@example.com"]}""", "allow")]
    [InlineData("""{"email":["ALICE@Example.COM"]}""", "allow")]
    [InlineData("""{"email":["bob@example.com"]}""", "deny who_not_matched condition.who")]
    [InlineData("""{"email":[]}""", "deny who_not_matched condition.who")]
    [InlineData("""{}""", "deny who_not_matched condition.who")]
    [InlineData("""{"group":["ops"]}""", "allow")]
    [InlineData("""{"group":["7D444840-9DC0-11D1-B245-5FFDCE74FAD2"]}""", "allow")]
    [InlineData("""{"group":["dev"]}""", "deny who_not_matched condition.who")]
    [InlineData("""{"email":["bob@example.com"],"group":["ops"]}""", "allow")]
    [InlineData("""{"service_account":["alice@example.com"]}""", "deny who_not_matched condition.who")]
    public void User_is_admitted_by_any_list_that_names_them(string who, string outcome)
    {
        var policies = Given.Policies(Given.Policy(Given.Under($$"""{"who":{{who}}}""")));
        Assert.Equal(outcome, Given.Outcome(policies.Evaluate(Given.Request(new AccessAction.SshShell(null), Given.User("alice@example.com", "ops", GroupId)))));
    }

    [Theory]
    [InlineData("""{"service_account":["ci"]}""", "allow")]
    [InlineData("""{"service_account":["deploy"]}""", "deny who_not_matched condition.who")]
    [InlineData("""{"group":["ci"]}""", "deny who_not_matched condition.who")]
    public void Service_account_is_admitted_by_its_name(string who, string outcome)
    {
        var policies = Given.Policies(Given.Policy(Given.Under($$"""{"who":{{who}}}""")));
        Assert.Equal(outcome, Given.Outcome(policies.Evaluate(Given.Request(new AccessAction.SshShell(null), Given.ServiceAccount("ci")))));
    }

    [Theory]
    // Unicode case folding would make these alice.
    [InlineData("alice@example.com", "alıce@example.com")]
    [InlineData("alice@example.com", "alİce@example.com")]
    [InlineData("sue@example.com", "ſue@example.com")]
    [InlineData("kim@example.com", "\u212Aim@example.com")]
    public void Only_ascii_letters_fold(string named, string asking)
    {
        var policies = Given.Policies(Given.Policy(Given.Under($$$"""{"who":{"email":["{{{named}}}"]}}""")));
        Assert.False(policies.Evaluate(Given.Request(new AccessAction.SshShell(null), Given.User(asking))).Allowed);
    }

    [Theory]
    [InlineData("alice@example.com", "allow")]
    [InlineData("alice@EXAMPLE.com", "allow")]
    [InlineData("alice@sub.example.com", "deny who_not_matched condition.who")]
    [InlineData("alice@notexample.com", "deny who_not_matched condition.who")]
    [InlineData("mallory@evil.test@example.com", "deny who_not_matched condition.who")]
    [InlineData("@example.com", "deny who_not_matched condition.who")]
    [InlineData("example.com", "deny who_not_matched condition.who")]
    [InlineData("", "deny who_not_matched condition.who")]
    public void Domain_of_v1_is_the_whole_part_after_the_at(string email, string outcome)
    {
        var policies = Given.Policies(Given.Policy("""{"version":"v1","action":["ssh"],"condition":{"who":{"domain":["example.com"]}}}"""));
        Assert.Equal(outcome, Given.Outcome(policies.Evaluate(Given.Request(new AccessAction.SshShell(null), Given.User(email)))));
    }

    [Theory]
    [InlineData("""{}""", "198.51.100.7", "allow")]
    [InlineData("""{"allowed_ip":[]}""", "198.51.100.7", "allow")]
    [InlineData("""{"allowed_ip":["198.51.100.0/24"]}""", "198.51.100.7", "allow")]
    [InlineData("""{"allowed_ip":["198.51.100.0/24"]}""", "::ffff:198.51.100.7", "allow")]
    [InlineData("""{"allowed_ip":["198.51.100.0/24"]}""", "198.51.101.7", "deny ip_not_allowed condition.where.allowed_ip")]
    [InlineData("""{"allowed_ip":["198.51.100.7"]}""", "198.51.100.7", "allow")]
    [InlineData("""{"allowed_ip":["198.51.100.7"]}""", "198.51.100.8", "deny ip_not_allowed condition.where.allowed_ip")]
    [InlineData("""{"allowed_ip":["0.0.0.0/0"]}""", "203.0.113.1", "allow")]
    [InlineData("""{"allowed_ip":["0.0.0.0/0"]}""", "2001:db8::1", "deny ip_not_allowed condition.where.allowed_ip")]
    [InlineData("""{"allowed_ip":["::/0"]}""", "198.51.100.7", "deny ip_not_allowed condition.where.allowed_ip")]
    [InlineData("""{"allowed_ip":["2001:db8::/32"]}""", "2001:db8:ffff::1", "allow")]
    [InlineData("""{"allowed_ip":["2001:db8::/32"]}""", "2001:db9::1", "deny ip_not_allowed condition.where.allowed_ip")]
    [InlineData("""{"allowed_ip":["fe80::/10"]}""", "fe80::1%3", "allow")]
    [InlineData("""{"allowed_ip":["::ffff:198.51.100.0/120"]}""", "198.51.100.7", "allow")]
    public void Client_address_is_judged_by_allowed_ip(string where, string ip, string outcome)
    {
        var policies = Given.Policies(Given.Policy(Given.Under($$$"""{"who":{"email":["alice@example.com"]},"where":{{{where}}}}""")));
        Assert.Equal(outcome, Given.Outcome(policies.Evaluate(Given.Request(new AccessAction.SshShell(null), ip: ip))));
    }

    [Theory]
    [InlineData("""{"country":["NL","BE"]}""", "NL", "allow")]
    [InlineData("""{"country":["nl"]}""", "NL", "allow")]
    [InlineData("""{"country":["NL"]}""", "nl", "allow")]
    [InlineData("""{"country":["NL"]}""", "DE", "deny country_not_allowed condition.where.country")]
    [InlineData("""{"country":["NL"]}""", null, "deny country_unknown condition.where.country")]
    [InlineData("""{"country":["NL"]}""", "", "deny country_unknown condition.where.country")]
    [InlineData("""{"country":[]}""", null, "allow")]
    [InlineData("""{"country_not":["RU"]}""", "NL", "allow")]
    [InlineData("""{"country_not":["RU"]}""", "ru", "deny country_excluded condition.where.country_not")]
    [InlineData("""{"country_not":["RU"]}""", null, "deny country_unknown condition.where.country_not")]
    [InlineData("""{"country_not":[]}""", null, "allow")]
    [InlineData("""{"country":["NL"],"country_not":["NL"]}""", "NL", "deny country_excluded condition.where.country_not")]
    public void Country_is_judged_and_an_unknown_one_fails_what_restricts(string where, string? country, string outcome)
    {
        var policies = Given.Policies(Given.Policy(Given.Under($$$"""{"who":{"email":["alice@example.com"]},"where":{{{where}}}}""")));
        Assert.Equal(outcome, Given.Outcome(policies.Evaluate(Given.Request(new AccessAction.SshShell(null), country: country))));
    }

    [Theory]
    [InlineData("""{"after":null,"before":null,"time_of_day_after":null,"time_of_day_before":null}""", "2026-03-11T10:30:00Z", "allow")]
    [InlineData("""{"after":"2026-03-11T10:30:00Z"}""", "2026-03-11T10:30:00Z", "allow")]
    [InlineData("""{"after":"2026-03-11T10:30:00Z"}""", "2026-03-11T10:29:59Z", "deny not_yet condition.when.after")]
    [InlineData("""{"after":"2026-03-11T12:30:00+02:00"}""", "2026-03-11T10:30:00Z", "allow")]
    [InlineData("""{"before":"2026-03-11T10:30:00Z"}""", "2026-03-11T10:29:59.999Z", "allow")]
    [InlineData("""{"before":"2026-03-11T10:30:00Z"}""", "2026-03-11T10:30:00Z", "deny no_longer condition.when.before")]
    [InlineData("""{"after":"2021-12-31T00:00Z"}""", "2026-03-11T10:30:00Z", "allow")]
    [InlineData("""{"time_of_day_after":"09:00 UTC","time_of_day_before":"17:00 UTC"}""", "2026-03-11T09:00:00Z", "allow")]
    [InlineData("""{"time_of_day_after":"09:00 UTC","time_of_day_before":"17:00 UTC"}""", "2026-03-11T16:59:59Z", "allow")]
    [InlineData("""{"time_of_day_after":"09:00 UTC","time_of_day_before":"17:00 UTC"}""", "2026-03-11T17:00:00Z", "deny outside_time_of_day condition.when.time_of_day_after")]
    [InlineData("""{"time_of_day_after":"09:00 UTC","time_of_day_before":"17:00 UTC"}""", "2026-03-11T08:59:59Z", "deny outside_time_of_day condition.when.time_of_day_after")]
    // Crossing midnight.
    [InlineData("""{"time_of_day_after":"22:00 UTC","time_of_day_before":"06:00 UTC"}""", "2026-03-11T23:00:00Z", "allow")]
    [InlineData("""{"time_of_day_after":"22:00 UTC","time_of_day_before":"06:00 UTC"}""", "2026-03-11T00:00:00Z", "allow")]
    [InlineData("""{"time_of_day_after":"22:00 UTC","time_of_day_before":"06:00 UTC"}""", "2026-03-11T05:59:59Z", "allow")]
    [InlineData("""{"time_of_day_after":"22:00 UTC","time_of_day_before":"06:00 UTC"}""", "2026-03-11T06:00:00Z", "deny outside_time_of_day condition.when.time_of_day_after")]
    [InlineData("""{"time_of_day_after":"22:00 UTC","time_of_day_before":"06:00 UTC"}""", "2026-03-11T21:59:59Z", "deny outside_time_of_day condition.when.time_of_day_after")]
    // One end only: the other is midnight.
    [InlineData("""{"time_of_day_after":"22:00 UTC"}""", "2026-03-11T23:59:59Z", "allow")]
    [InlineData("""{"time_of_day_after":"22:00 UTC"}""", "2026-03-11T00:00:00Z", "deny outside_time_of_day condition.when.time_of_day_after")]
    [InlineData("""{"time_of_day_before":"06:00 UTC"}""", "2026-03-11T00:00:00Z", "allow")]
    [InlineData("""{"time_of_day_before":"06:00 UTC"}""", "2026-03-11T06:00:00Z", "deny outside_time_of_day condition.when.time_of_day_before")]
    // 23:59 is the end of the day.
    [InlineData("""{"time_of_day_after":"00:00 UTC","time_of_day_before":"23:59 UTC"}""", "2026-03-11T23:59:59Z", "allow")]
    // Zones, before and after the change of clocks on 2026-03-29 01:00 UTC.
    [InlineData("""{"time_of_day_after":"09:00 Europe/Berlin","time_of_day_before":"17:00 Europe/Berlin"}""", "2026-03-28T08:00:00Z", "allow")]
    [InlineData("""{"time_of_day_after":"09:00 Europe/Berlin","time_of_day_before":"17:00 Europe/Berlin"}""", "2026-03-29T07:00:00Z", "allow")]
    [InlineData("""{"time_of_day_after":"09:00 Europe/Berlin","time_of_day_before":"17:00 Europe/Berlin"}""", "2026-03-28T07:00:00Z", "deny outside_time_of_day condition.when.time_of_day_after")]
    [InlineData("""{"time_of_day_after":"09:00 Europe/Berlin","time_of_day_before":"17:00 Europe/Berlin"}""", "2026-03-29T15:00:00Z", "deny outside_time_of_day condition.when.time_of_day_after")]
    public void Time_is_judged(string when, string now, string outcome)
    {
        var policies = Given.Policies(Given.Policy(Given.Under($$$"""{"who":{"email":["alice@example.com"]},"when":{{{when}}}}""")));
        Assert.Equal(outcome, Given.Outcome(policies.Evaluate(Given.Request(new AccessAction.SshShell(null), now: Given.At(now)))));
    }

    [Fact]
    public void Who_where_and_when_must_all_be_met_and_all_that_fail_are_named()
    {
        var policies = Given.Policies(Given.Policy(Given.Under(
            """{"who":{"email":["bob@example.com"]},"where":{"allowed_ip":["10.0.0.0/8"],"country":["DE"]},"when":{"before":"2026-01-01T00:00:00Z"}}""")));
        Assert.Equal(
            "deny who_not_matched condition.who + ip_not_allowed condition.where.allowed_ip + country_not_allowed condition.where.country + no_longer condition.when.before",
            Given.Outcome(policies.Evaluate(Given.Request(new AccessAction.SshShell(null)))));
    }

    [Fact]
    public void V1_policy_with_an_integration_allows_nothing_because_nobody_can_ask_it()
    {
        var policies = Given.Policies(Given.Policy("""{"version":"v1","action":["ssh"],"condition":{"who":{"email":["alice@example.com"]}},"integrations":[{"integration_name":"pagerduty","configuration":{"schedule":"x"}}]}"""));
        Assert.Equal("deny integration_not_supported integrations", Given.Outcome(policies.Evaluate(Given.Request(new AccessAction.SshShell(null)))));
    }
}
