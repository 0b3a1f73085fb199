using Relay.Connector;
using Relay.Protocol.Tunnel;

namespace Relay.Tests.Silo.Connectors;

/// <summary>Every way a token can be wrong: its own sentence, its own exit code.</summary>
public sealed class TokenTests(ConnectorGrid grid) : IClassFixture<ConnectorGrid>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_revoked_token_is_refused()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        await grid.ExecuteAsync("UPDATE connector_token SET revoked_at = now() WHERE token_id = @TokenId", new { connector.TokenId });
        await EndsAsync(connector.Token, ConnectorExitCode.TokenRevoked, "revoked");
    }

    [Fact]
    public async Task An_expired_token_is_refused()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        await grid.ExecuteAsync("UPDATE connector_token SET expires_at = now() - interval '1 second' WHERE token_id = @TokenId", new { connector.TokenId });
        await EndsAsync(connector.Token, ConnectorExitCode.TokenExpired, "expired");
    }

    [Fact]
    public async Task The_token_of_a_deleted_connector_is_refused()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        await grid.ExecuteAsync("DELETE FROM connector WHERE connector_id = @Id", new { connector.Id });
        await EndsAsync(connector.Token, ConnectorExitCode.ConnectorDeleted, "deleted");
    }

    [Fact]
    public async Task A_token_of_another_grid_is_noticed_before_it_is_sent()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        await using var elsewhere = new ConnectorGridScope();
        var foreign = await elsewhere.CreateConnectorAsync(silo);
        await EndsAsync(foreign.Token, ConnectorExitCode.TokenForeign, "another grid");
    }

    [Fact]
    public async Task A_token_this_grid_did_not_sign_is_refused_by_the_silo()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);

        // Another signature over the same claims: the last character of the text is part of it.
        var forged = connector.Token[..^10] + (connector.Token[^10] == 'A' ? 'B' : 'A') + connector.Token[^9..];
        await using var agent = await ScriptedAgent.AttachAsync(grid, silo, forged, Guid.NewGuid());
        Assert.Equal(AttachCodes.TokenForeign, agent.Answer.Code);
    }

    [Theory]
    [InlineData("")]
    [InlineData("not a token")]
    [InlineData("a.b.c")]
    public async Task What_is_no_token_is_refused_by_agent_and_silo(string token)
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        await EndsAsync(token, ConnectorExitCode.TokenMalformed, "is not a token");
        await using var agent = await ScriptedAgent.AttachAsync(grid, silo, token, Guid.NewGuid());
        Assert.Equal(AttachCodes.TokenMalformed, agent.Answer.Code);
    }

    [Fact]
    public async Task A_token_for_something_else_is_named()
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var gateway = grid.Authorities.MintGatewayToken(Guid.NewGuid(), ["127.0.0.1:1"], null);
        await EndsAsync(gateway, ConnectorExitCode.TokenMalformed, "it is a gateway token");
        await using var agent = await ScriptedAgent.AttachAsync(grid, silo, gateway, Guid.NewGuid());
        Assert.Equal(AttachCodes.TokenMalformed, agent.Answer.Code);
    }

    [Theory]
    [InlineData("UPDATE connector_token SET revoked_at = now() WHERE token_id = @TokenId", ConnectorExitCode.TokenRevoked)]
    [InlineData("UPDATE connector_token SET expires_at = now() WHERE token_id = @TokenId", ConnectorExitCode.TokenExpired)]
    [InlineData("DELETE FROM connector WHERE connector_id = @Id", ConnectorExitCode.ConnectorDeleted)]
    public async Task A_tunnel_whose_token_goes_is_closed_with_the_reason(string sql, int exitCode)
    {
        await using var silo = await TestSilo.StartAsync(grid, "silo-a");
        var connector = await grid.CreateConnectorAsync(silo);
        var agent = TestAgent.Start(connector.Token);
        await silo.AttachedAsync(connector);
        using var target = new TcpTarget();
        var accepted = target.AcceptAsync();
        await using var stream = (await silo.OpenAsync(target.Target, connector)).Stream;
        using var socket = await accepted;

        await grid.ExecuteAsync(sql, new { connector.Id, connector.TokenId });
        await grid.BumpAsync();
        Assert.Equal(exitCode, await agent.Exit.WaitAsync(TimeSpan.FromSeconds(40), TimeProvider.System, Cancel));
        await Assert.ThrowsAnyAsync<IOException>(() => TcpTarget.ReadAllAsync(stream));
        Assert.Null(silo.Tunnels.Find(connector.Id));
    }

    private static async Task EndsAsync(string token, int exitCode, string sentence)
    {
        var agent = TestAgent.Start(token);
        Assert.Equal(exitCode, await agent.Exit.WaitAsync(TimeSpan.FromSeconds(40), TimeProvider.System, Cancel));
        Assert.Contains(agent.Log.Lines, l => l.StartsWith("Critical", StringComparison.Ordinal) && l.Contains(sentence, StringComparison.Ordinal));
    }

    /// <summary>A second grid with a store and keys of its own.</summary>
    private sealed class ConnectorGridScope : IAsyncDisposable
    {
        private readonly ConnectorGrid _grid = new();

        public async Task<TestConnector> CreateConnectorAsync(TestSilo silo)
        {
            await _grid.InitializeAsync();
            return await _grid.CreateConnectorAsync(silo);
        }

        public ValueTask DisposeAsync() => _grid.DisposeAsync();
    }
}
