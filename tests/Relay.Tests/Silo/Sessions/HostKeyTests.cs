using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.Tests.Silo.Grid;

namespace Relay.Tests.Silo.Sessions;

/// <summary>Who may say which host key a target has.</summary>
public sealed class HostKeyTests(SiloFixture fixture) : IClassFixture<SiloFixture>
{
    private readonly TestSilo _silo = fixture.Silo;
    private readonly SshPrivateKey _key = SshPrivateKey.Generate(SshKeyKind.Ed25519);
    private readonly SshPrivateKey _other = SshPrivateKey.Generate(SshKeyKind.Ed25519);

    [Fact]
    public async Task Only_an_administrator_pins_and_then_it_stays()
    {
        var member = await LiveSessionScene.OpenAsync(_silo, "gw-1");
        var refused = await AskAsync(member, _key);
        Assert.False(refused.Accepted);
        Assert.Contains("administrator", refused.Message, StringComparison.Ordinal);
        Assert.Empty(await PinsAsync(member.Socket));

        var administrator = await AdministratorAsync(member.Socket);
        Assert.True((await AskAsync(administrator, _key)).Accepted);
        Assert.Equal([_key.PublicKey.ToLine()], await PinsAsync(member.Socket));
        await _silo.SettledAsync();
        Assert.True((await AskAsync(member, _key)).Accepted);
        Assert.False((await AskAsync(member, _other)).Accepted);
        Assert.False((await AskAsync(administrator, _other)).Accepted);
        Assert.Equal([_key.PublicKey.ToLine()], await PinsAsync(member.Socket));
        Assert.Equal(1, await _silo.QueryAsync<int>("SELECT count(*)::int FROM audit_event WHERE action_type = 'socket.host_key.pin' AND resource_id = @id", new { id = member.Socket.ToString() }));
    }

    [Fact]
    public async Task Of_many_first_uses_at_once_one_pins()
    {
        var first = await AdministratorAsync(null);
        var keys = Enumerable.Range(0, 16).Select(i => i % 2 == 0 ? _key : _other).ToArray();
        var answers = await Task.WhenAll(keys.Select(k => AskAsync(first, k)));
        var pinned = Assert.Single(await PinsAsync(first.Socket));
        for (var i = 0; i < keys.Length; i++)
            Assert.Equal(keys[i].PublicKey.ToLine() == pinned, answers[i].Accepted);
    }

    private async Task<LiveSessionScene> AdministratorAsync(Guid? socket)
    {
        var user = await _silo.AddUserAsync("admin");
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1", user: user);
        if (socket is not { } id)
            return scene;
        await _silo.AllowAsync(user, id);
        var name = await _silo.QueryAsync<string>("SELECT name FROM socket WHERE socket_id = @id", new { id });
        var answer = await scene.Gateway.OpenAsync(_silo.Certificate(user).Blob, name);
        return scene with { Socket = id, Session = answer.SessionId };
    }

    private static Task<HostKeyResponse> AskAsync(LiveSessionScene scene, SshPrivateKey key) =>
        scene.Gateway.AskAsync(GridRoutes.HostKey(scene.Session), new HostKeyRequest(key.PublicKey.ToLine()), GridJson.Default.HostKeyRequest, GridJson.Default.HostKeyResponse);

    private Task<string[]> PinsAsync(Guid socket) => _silo.QueryAsync<string[]>("SELECT host_keys FROM socket WHERE socket_id = @socket", new { socket });
}
