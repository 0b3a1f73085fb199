namespace Relay.EndToEndTests;

/// <summary>One active connection per connector, and a sentence for everything that can be wrong with a token.</summary>
public sealed class ConnectorTests(OneSilo site)
{
    [Fact]
    public async Task A_second_agent_is_refused_and_the_first_is_not_disturbed()
    {
        await site.Grid.RelayAsync("connector", "create", "--name", "single");
        await using var first = await site.Grid.StartAgentAsync("single", await site.Grid.CreateTokenAsync("single"));
        // A second, equally valid token: however many there are, one connection is active.
        await using var second = site.Grid.StartAgent("single again", await site.Grid.CreateTokenAsync("single"));
        Assert.NotEqual(0, await second.WaitForExitAsync());
        Assert.Contains("already connected", second.Output, StringComparison.OrdinalIgnoreCase);
        Assert.False(first.HasExited);
        var connector = await site.Grid.RelayJsonAsync("connector", "show", "single");
        Assert.Equal("online", connector.GetProperty("status").GetString());
    }

    [Fact]
    public async Task A_restarted_agent_connects_at_once()
    {
        await site.Grid.RelayAsync("connector", "create", "--name", "restarted");
        var token = await site.Grid.CreateTokenAsync("restarted");
        await using (var first = await site.Grid.StartAgentAsync("restarted", token))
            first.Signal(9);
        await using var second = await site.Grid.StartAgentAsync("restarted again", token);
        Assert.False(second.HasExited);
    }

    [Fact]
    public async Task Each_token_fault_has_its_own_sentence_and_exit_code()
    {
        await site.Grid.RelayAsync("connector", "create", "--name", "faults");
        var token = await site.Grid.CreateTokenAsync("faults");
        var id = (await site.Grid.RelayJsonAsync("connector", "token", "list", "--connector", "faults")).GetProperty("list")[0].GetProperty("id").GetString()!;
        await site.Grid.RelayAsync("connector", "token", "revoke", "--token-id", id);
        var malformed = Path.Combine(site.Grid.Folder, "malformed.token");
        await File.WriteAllTextAsync(malformed, "not-a-token");
        File.SetUnixFileMode(malformed, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        var missing = Path.Combine(site.Grid.Folder, "missing.token");

        var faults = new Dictionary<string, (int Code, string Text)>();
        foreach (var (name, file) in new[] { ("revoked", token), ("malformed", malformed), ("missing", missing) })
        {
            await using var agent = site.Grid.StartAgent(name, file);
            faults[name] = (await agent.WaitForExitAsync(), agent.Output);
        }
        Assert.Equal(faults.Count, faults.Values.Select(f => f.Code).Distinct().Count());
        Assert.DoesNotContain(0, faults.Values.Select(f => f.Code));
        Assert.Contains("revoked", faults["revoked"].Text, StringComparison.OrdinalIgnoreCase);
        var secret = (await File.ReadAllTextAsync(token)).Trim();
        Assert.All(faults.Values, f => Assert.DoesNotContain(secret, f.Text, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_revoked_token_disconnects_its_agent()
    {
        await site.Grid.RelayAsync("connector", "create", "--name", "cut-off");
        await using var agent = await site.Grid.StartAgentAsync("cut-off", await site.Grid.CreateTokenAsync("cut-off"));
        var id = (await site.Grid.RelayJsonAsync("connector", "token", "list", "--connector", "cut-off")).GetProperty("list")[0].GetProperty("id").GetString()!;
        await site.Grid.RelayAsync("connector", "token", "revoke", "--token-id", id);
        Assert.NotEqual(0, await agent.WaitForExitAsync());
        Assert.Contains("revoked", agent.Output, StringComparison.OrdinalIgnoreCase);
    }
}
