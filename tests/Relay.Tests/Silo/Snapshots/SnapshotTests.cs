using System.Net;
using Relay.Policy;
using Relay.Protocol.Tunnel;
using Relay.Silo.Snapshots;
using Relay.Tests.Silo.Grid;

namespace Relay.Tests.Silo.Snapshots;

/// <summary>What decisions are made by.</summary>
public sealed class SnapshotTests
{
    [Fact]
    public async Task A_snapshot_is_what_the_tables_say()
    {
        await using var silo = await TestSilo.StartAsync();
        var user = await silo.AddUserAsync();
        var (group, connector) = (Guid.NewGuid(), Guid.NewGuid());
        var (socket, name) = await silo.AddSocketAsync("10.1.2.3", 2222, username: null);
        await silo.ApplyAsync(
            """
            INSERT INTO user_group (group_id, organization_id, display_name) VALUES (@group, @OrganizationId, 'SRE');
            INSERT INTO group_member (group_id, user_id) VALUES (@group, @user);
            INSERT INTO connector (connector_id, organization_id, name) VALUES (@connector, @OrganizationId, 'prod');
            INSERT INTO socket_connector (socket_id, connector_id) VALUES (@socket, @connector);
            UPDATE socket SET tags = '{"env":"prod"}' WHERE socket_id = @socket;
            INSERT INTO policy (policy_id, organization_id, name, policy_data, tag_rules) VALUES
              (gen_random_uuid(), @OrganizationId, 'by-tag', '{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"group":["SRE"]}}}', '[{"env":"prod"}]');
            """,
            new { silo.OrganizationId, group, user, connector, socket });
        var snapshot = silo.Get<SnapshotCell>().Find(silo.OrganizationId)!;
        Assert.Equal(new HashSet<string> { "SRE", group.ToString("D") }, snapshot.Users[user].Groups.ToHashSet());
        var read = snapshot.SocketsByName[name.ToUpperInvariant()];
        Assert.Equal([StreamTarget.Tcp("10.1.2.3", 2222)], read.Target!.Hosts);
        Assert.Equal((false, SshTargetAuthentication.Certificate, null, false), (read.Target.IsBuiltIn, read.Target.Authentication, read.Target.DefinedUsername, read.Target.UsesConnectorUser));
        Assert.Contains(new OrgConnector(connector, "prod", null), read.Connectors);
        Assert.Equal(2, read.Connectors.Count);
        Assert.Equal("prod", read.Facts.Tags["env"]);
        var decision = snapshot.Policies.Evaluate(new AccessRequest(snapshot.Users[user].Subject, read.Facts, IPAddress.Loopback, null, TimeProvider.System.GetUtcNow(), new AccessAction.SshShell("root"), Guid.NewGuid()));
        Assert.True(decision.Allowed, decision.ExplainInFull());
        Assert.Equal(snapshot.Version, decision.PolicyVersion);
    }

    [Fact]
    public async Task A_policy_that_cannot_be_read_grants_nothing_and_the_others_still_do()
    {
        await using var silo = await TestSilo.StartAsync();
        var user = await silo.AddUserAsync();
        var (socket, name) = await silo.AddSocketAsync();
        await silo.ApplyAsync("""INSERT INTO policy (policy_id, organization_id, name, org_wide, policy_data) VALUES (gen_random_uuid(), @OrganizationId, 'broken', true, '{"permissions":{"ssh":{"shell":{}}},"condition":{"who":{"everybody":true}}}')""", new { silo.OrganizationId });
        Assert.False((await silo.Gateway().OpenAsync(silo.Certificate(user).Blob, name)).Allowed);
        await silo.AllowAsync(user, socket);
        Assert.True((await silo.Gateway().OpenAsync(silo.Certificate(user).Blob, name)).Allowed);
    }

    [Fact]
    public async Task An_organization_whose_row_cannot_be_read_is_closed_and_opens_again_when_mended()
    {
        await using var silo = await TestSilo.StartAsync();
        var cell = silo.Get<SnapshotCell>();
        var line = await silo.QueryAsync<string>("SELECT user_ca_public FROM organization");
        await silo.WriteAsync("UPDATE organization SET user_ca_public = 'garbage'");
        await Eventually.TrueAsync(() => cell.Find(silo.OrganizationId) is null, "the organization is closed");
        await silo.WriteAsync("UPDATE organization SET user_ca_public = @line", new { line });
        await Eventually.TrueAsync(() => cell.Find(silo.OrganizationId) is not null, "the organization is open");
    }

    [Fact]
    public async Task Listening_survives_the_loss_of_its_connection()
    {
        await using var silo = await TestSilo.StartAsync();
        var cell = silo.Get<SnapshotCell>();
        for (var i = 0; i < 3; i++)
        {
            await using (var cut = silo.Database.DataSource.CreateCommand("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'"))
                await cut.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
            var before = cell.Find(silo.OrganizationId)!.Version;
            await silo.WriteAsync("UPDATE organization SET name = name");
            await Eventually.TrueAsync(() => cell.Find(silo.OrganizationId)!.Version > before, "the change is seen");
        }
    }

    [Theory]
    [InlineData("""{"service_type":"ssh","ssh_service_configuration":{"ssh_service_type":"standard","hostname":"h"}}""", true)]
    [InlineData("""{"service_type":"ssh","ssh_service_configuration":{"ssh_service_type":"standard","hostname":"h","port":null}}""", true)]
    [InlineData("""{"service_type":"ssh","ssh_service_configuration":{"ssh_service_type":"connector_built_in_ssh_service"}}""", true)]
    [InlineData("""{"service_type":"ssh","ssh_service_configuration":{"ssh_service_type":"standard","hostname":"h","port":0}}""", false)]
    [InlineData("""{"service_type":"ssh","ssh_service_configuration":{"ssh_service_type":"standard","hostname":"h","port":65536}}""", false)]
    [InlineData("""{"service_type":"ssh","ssh_service_configuration":{"ssh_service_type":"standard","hostname":""}}""", false)]
    [InlineData("""{"service_type":"ssh","ssh_service_configuration":{"ssh_service_type":"standard","hostname":"h","ssh_authentication_type":"magic"}}""", false)]
    [InlineData("""{"service_type":"ssh","ssh_service_configuration":{"ssh_service_type":"aws_ssm"}}""", false)]
    [InlineData("""{"service_type":"ssh","ssh_service_configuration":[]}""", false)]
    [InlineData("""{"service_type":"tls","tls_service_configuration":{"tls_service_type":"standard","hostname":"h","port":5432}}""", true)]
    [InlineData("""{"service_type":"tls","tls_service_configuration":{"tls_service_type":"standard","hostname":"h"}}""", false)]
    [InlineData("""{"service_type":"tls","tls_service_configuration":{"tls_service_type":"http_proxy","hostname":"h","port":1}}""", false)]
    [InlineData("""{"service_type":"tcp","tcp_service_configuration":{"hostname":"h","port":1}}""", false)]
    [InlineData("""{"service_type":"udp","udp_service_configuration":{"hosts":[{"hostname":"a","port":1},{"hostname":"b","port":2}]}}""", true)]
    [InlineData("""{"service_type":"udp","udp_service_configuration":{"hosts":[{"hostname":"a","port":1},{"hostname":"b"}]}}""", false)]
    [InlineData("""{"service_type":"http"}""", false)]
    [InlineData("[]", false)]
    [InlineData("nonsense", false)]
    public void An_upstream_that_this_version_does_not_serve_is_none(string json, bool served) =>
        Assert.Equal(served, SocketTarget.TryRead(json) is not null);
}
