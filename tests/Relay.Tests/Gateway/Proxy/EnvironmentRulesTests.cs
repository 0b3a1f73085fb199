using Relay.Gateway.Proxy;

namespace Relay.Tests.Gateway.Proxy;

public sealed class EnvironmentRulesTests
{
    [Theory]
    [InlineData("LANG")]
    [InlineData("LC_ALL")]
    [InlineData("LC_TIME")]
    [InlineData("TERM")]
    [InlineData("COLORTERM")]
    [InlineData("GIT_PROTOCOL")]
    public void Terminal_and_language_pass(string name) => Assert.True(EnvironmentRules.IsAllowed(name, "value=1:2"));

    // L20: what reaches a loader, a shell or an interpreter.
    [Theory]
    [InlineData("LD_PRELOAD")]
    [InlineData("LD_LIBRARY_PATH")]
    [InlineData("LD_AUDIT")]
    [InlineData("DYLD_INSERT_LIBRARIES")]
    [InlineData("GLIBC_TUNABLES")]
    [InlineData("BASH_ENV")]
    [InlineData("ENV")]
    [InlineData("PATH")]
    [InlineData("IFS")]
    [InlineData("PYTHONPATH")]
    [InlineData("PERL5OPT")]
    [InlineData("NODE_OPTIONS")]
    [InlineData("GIT_SSH_COMMAND")]
    [InlineData("SSH_AUTH_SOCK")]
    [InlineData("LC_")]
    [InlineData("LC_ALL=x")]
    [InlineData("LC_()x")]
    [InlineData("lang")]
    [InlineData("")]
    public void Everything_else_does_not(string name) => Assert.False(EnvironmentRules.IsAllowed(name, "x"));

    [Theory]
    [InlineData("a\nb")]
    [InlineData("a\0b")]
    [InlineData("a\u001bb")]
    public void Values_with_control_characters_do_not(string value) => Assert.False(EnvironmentRules.IsAllowed("LANG", value));
}
