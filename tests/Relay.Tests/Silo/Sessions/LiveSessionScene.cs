using Relay.Protocol.Grid;
using Relay.Tests.Silo.Grid;

namespace Relay.Tests.Silo.Sessions;

/// <summary>A user with a live session on a socket, and the gateway it goes through.</summary>
internal sealed record LiveSessionScene(TestSilo Silo, TestPeer Gateway, Guid User, Guid Socket, Guid Policy, Guid Session)
{
    public static async Task<LiveSessionScene> OpenAsync(TestSilo silo, string gatewayName, int port = 22, string ssh = """{"shell":{},"exec":{}}""", ReadOnlyMemory<byte>? key = null, Guid? user = null)
    {
        var who = user ?? await silo.AddUserAsync();
        var (socket, name) = await silo.AddSocketAsync(port: port);
        var policy = await silo.AllowAsync(who, socket, ssh);
        var gateway = silo.Gateway(gatewayName);
        var answer = await gateway.OpenAsync(key ?? silo.Certificate(who).Blob, name);
        Assert.True(answer.Allowed, answer.Message);
        return new LiveSessionScene(silo, gateway, who, socket, policy, answer.SessionId);
    }

    public Task<string> OutcomeAsync() => Silo.QueryAsync<string>("SELECT outcome FROM session WHERE session_id = @Session", new { Session });

    public Task EndedAsync() => Eventually.TrueAsync(async () => await OutcomeAsync() != "", "the session's row is ended");

    /// <summary>The next order must be to end this session; returns the reason given to the user.</summary>
    public async Task<string> OrderToEndAsync(TestPeer.ControlLines control)
    {
        var order = await control.NextOrderAsync();
        Assert.Equal(("end_session", Session), (order?.Type, order?.SessionId));
        return order!.Reason!;
    }
}
