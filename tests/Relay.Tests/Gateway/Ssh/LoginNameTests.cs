using Relay.Gateway.Ssh;

namespace Relay.Tests.Gateway.Ssh;

public sealed class LoginNameTests
{
    [Theory]
    [InlineData("db-host", null, "db-host", null)]
    [InlineData("ubuntu@db-host", null, "db-host", "ubuntu")]
    [InlineData("ann@corp.example@DB.host-1", null, "DB.host-1", "ann@corp.example")]
    [InlineData("ubuntu", "db-host", "db-host", "ubuntu")]
    [InlineData("-", "db-host", "db-host", null)]
    [InlineData("", "db-host", "db-host", null)]
    [InlineData("ubuntu@db-host", "db-host", "db-host", "ubuntu")]
    [InlineData("ann@corp.example", "db-host", "db-host", "ann@corp.example")]
    public void Login_names_route(string login, string? preface, string socket, string? user)
    {
        Assert.True(LoginName.TryParse(login, preface, out var name, out _));
        Assert.Equal((socket, user), (name.Socket, name.UpstreamUser));
    }

    [Theory]
    [InlineData("")]
    [InlineData("@db-host")]
    [InlineData("ubuntu@")]
    [InlineData("db host")]
    [InlineData("db$(id)")]
    [InlineData("db\"host")]
    [InlineData("db\nhost")]
    [InlineData("db%h")]
    [InlineData("-oProxyCommand=x@db-host")]
    [InlineData("ub untu@db-host")]
    [InlineData("ub\u0001untu@db-host")]
    [InlineData("a123456789012345678901234567890123456789012345678901234567890123")]
    public void Names_outside_the_grammar_are_refused_with_a_text(string login)
    {
        Assert.False(LoginName.TryParse(login, null, out var name, out var error));
        Assert.Null(name);
        Assert.NotEmpty(error);
    }
}
