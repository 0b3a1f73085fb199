using Microsoft.Extensions.Logging;
using Relay.Connector;
using Relay.Connector.Configuration;
using Relay.TestKit;

namespace Relay.Tests.Connector.Configuration;

public sealed class ConnectorOptionsReaderTests : IDisposable
{
    private readonly TempDir _folder = new();
    private readonly Dictionary<string, string> _environment = [];

    public ConnectorOptionsReaderTests() => _environment["HOME"] = _folder.Path;

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Flag_wins_over_environment_and_environment_over_file()
    {
        var config = _folder.Write("relay.yaml", "token: from-config\nconnector_server: config:1\n");
        var tokenFile = _folder.Write("token", "from-flag\n");
        Assert.Equal("from-config", Read(new() { ConfigFile = config }).Token);
        _environment["RELAY_TOKEN"] = "from-environment";
        Assert.Equal("from-environment", Read(new() { ConfigFile = config }).Token);
        Assert.Equal("from-flag", Read(new() { ConfigFile = config, TokenFile = tokenFile }).Token);
        Assert.Equal(["config:1"], Read(new() { ConfigFile = config }).Servers);
        _environment["RELAY_CONNECTOR_SERVER"] = "environment:2, [::1]:3";
        Assert.Equal(["environment:2", "[::1]:3"], Read(new() { ConfigFile = config }).Servers);
        Assert.Equal(["flag:4"], Read(new() { ConfigFile = config, Server = "flag:4" }).Servers);
    }

    [Fact]
    public void The_users_own_file_is_found_and_named_as_the_source()
    {
        Directory.CreateDirectory(_folder.File(".relay"));
        var path = _folder.Write(".relay/config.yaml", "token: abc\n");
        var options = Read(new());
        Assert.Equal(("abc", path), (options.Token, options.TokenSource));
    }

    [Fact]
    public void Without_a_token_every_place_is_listed()
    {
        var e = Assert.Throws<ConnectorConfigurationException>(() => Read(new()));
        Assert.Equal(ConnectorExitCode.NoToken, e.ExitCode);
        Assert.Equal("no Relay token in credentials chain", e.Message);
        Assert.Contains("RELAY_TOKEN", e.PlacesTried);
        Assert.Contains("RELAY_TOKEN_FILE", e.PlacesTried);
        Assert.Contains(e.PlacesTried, p => p.EndsWith("/etc/relay/relay.yaml", StringComparison.Ordinal));
        Assert.Contains(e.PlacesTried, p => p.EndsWith(".relay/config.yaml", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("from:env:OTHER")]
    [InlineData("${from:env:OTHER}")]
    public void A_token_may_be_a_reference(string reference)
    {
        _environment["OTHER"] = "secret";
        _environment["RELAY_TOKEN"] = reference;
        Assert.Equal("secret", Read(new()).Token);
    }

    [Fact]
    public void A_reference_to_a_file_is_read()
    {
        _environment["RELAY_TOKEN"] = "from:file:" + _folder.Write("t", " secret \n");
        Assert.Equal("secret", Read(new()).Token);
    }

    // L35
    [Theory]
    [InlineData(UnixFileMode.UserRead | UnixFileMode.GroupWrite)]
    [InlineData(UnixFileMode.UserRead | UnixFileMode.OtherWrite)]
    [InlineData((UnixFileMode)511)]
    public void A_file_that_others_may_write_stops_the_start(UnixFileMode mode)
    {
        var token = _folder.Write("token", "secret");
        var config = _folder.Write("relay.yaml", "token: secret\n");
        File.SetUnixFileMode(token, mode);
        File.SetUnixFileMode(config, mode);
        foreach (var flags in new ConnectorFlags[] { new() { TokenFile = token }, new() { ConfigFile = config } })
        {
            var e = Assert.Throws<ConnectorConfigurationException>(() => Read(flags));
            Assert.Equal(ConnectorExitCode.Usage, e.ExitCode);
            Assert.Contains("can be changed by other users", e.Message, StringComparison.Ordinal);
            Assert.DoesNotContain("secret", e.Message, StringComparison.Ordinal);
        }
    }

    // L35
    [Fact]
    public void A_folder_that_others_may_write_stops_the_start()
    {
        var folder = Directory.CreateDirectory(_folder.File("open")).FullName;
        var token = _folder.Write("open/token", "secret");
        File.SetUnixFileMode(folder, (UnixFileMode)511);
        var e = Assert.Throws<ConnectorConfigurationException>(() => Read(new() { TokenFile = token }));
        Assert.Contains("can be replaced by other users", e.Message, StringComparison.Ordinal);
    }

    // L27
    [Theory]
    [InlineData("tokn: x\n", "unknown key 'tokn'")]
    [InlineData("variables: {a: b}\n", "unknown key 'variables'")]
    [InlineData("log_level: loud\ntoken: x\n", "is not a log level")]
    [InlineData("token: [a]\n", "token must be a single value")]
    [InlineData("connector_insecure: true\n", "cannot be turned on")]
    [InlineData("- a\n", "must hold keys and values")]
    [InlineData("token: \"abc\n", "is not YAML")]
    [InlineData("connector_server: nowhere\ntoken: x\n", "is not a connector server")]
    [InlineData("connector_id: nobody\ntoken: x\n", "is not a connector id")]
    public void A_setting_that_cannot_be_applied_stops_the_start(string yaml, string sentence)
    {
        var e = Assert.Throws<ConnectorConfigurationException>(() => Read(new() { ConfigFile = _folder.Write("relay.yaml", yaml) }));
        Assert.Equal(ConnectorExitCode.Usage, e.ExitCode);
        Assert.Contains(sentence, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_named_file_that_is_not_there_stops_the_start()
    {
        var e = Assert.Throws<ConnectorConfigurationException>(() => Read(new() { ConfigFile = _folder.File("none.yaml") }));
        Assert.Equal(ConnectorExitCode.Usage, e.ExitCode);
    }

    [Fact]
    public void The_log_level_comes_from_the_environment_before_the_file()
    {
        var config = new ConnectorFlags { ConfigFile = _folder.Write("relay.yaml", "token: x\nlog_level: debug\n") };
        Assert.Equal(LogLevel.Information, ConnectorOptionsReader.ReadLogLevel(new(), name => _environment.GetValueOrDefault(name)));
        Assert.Equal(LogLevel.Debug, ConnectorOptionsReader.ReadLogLevel(config, name => _environment.GetValueOrDefault(name)));
        _environment["RELAY_LOG_LEVEL"] = "warn";
        Assert.Equal(LogLevel.Warning, ConnectorOptionsReader.ReadLogLevel(config, name => _environment.GetValueOrDefault(name)));
        _environment["RELAY_LOG_LEVEL"] = "loud";
        Assert.Equal(ConnectorExitCode.Usage, Assert.Throws<ConnectorConfigurationException>(() => Read(config)).ExitCode);
    }

    [Fact]
    public void Options_do_not_print_their_token()
    {
        _environment["RELAY_TOKEN"] = "secret";
        Assert.DoesNotContain("secret", Read(new()).ToString(), StringComparison.Ordinal);
    }

    private ConnectorOptions Read(ConnectorFlags flags) => ConnectorOptionsReader.Read(flags, name => _environment.GetValueOrDefault(name));
}
