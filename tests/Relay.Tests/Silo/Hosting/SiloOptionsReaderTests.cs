using System.Net;
using Relay.Silo.Hosting;

namespace Relay.Tests.Silo.Hosting;

/// <summary>What an operator may write, and what is said about mistakes.</summary>
public sealed class SiloOptionsReaderTests
{
    private readonly Dictionary<string, string> _environment = [];

    [Fact]
    public void Nothing_set_is_a_silo_on_loopback_with_its_own_database()
    {
        var options = Read();
        Assert.Null(options.Database);
        Assert.Equal(Path.GetFullPath(".relay"), options.StateDirectory);
        Assert.Equal(Path.GetFullPath(".relay/master.key"), options.MasterKeyFile);
        Assert.Equal("silo-1", options.Name);
        Assert.Equal(new IPEndPoint(IPAddress.Loopback, 8080), options.ApiListen);
        Assert.Equal(new IPEndPoint(IPAddress.Loopback, 7443), options.GridListen);
        Assert.Equal(new IPEndPoint(IPAddress.Loopback, 7444), options.ConnectorListen);
    }

    [Fact]
    public void An_option_wins_over_its_variable()
    {
        _environment["RELAY_NAME"] = "from-environment";
        _environment["RELAY_REGION"] = "eu";
        var options = Read("--name", "from-option", "--grid-listen=[::1]:0");
        Assert.Equal("from-option", options.Name);
        Assert.Equal("eu", options.Region);
        Assert.Equal(new IPEndPoint(IPAddress.IPv6Loopback, 0), options.GridListen);
    }

    [Fact]
    public void Every_mistake_is_listed_with_the_name_of_its_setting()
    {
        _environment["RELAY_NAME"] = "Silo One";
        _environment["RELAY_API_LISTEN"] = "0.0.0.0:8080";
        _environment["RELAY_GRID_LISTEN"] = "localhost";
        _environment["RELAY_CONNECTOR_LISTEN"] = "0.0.0.0:7444";
        _environment["RELAY_GRID_ADVERTISE"] = "nowhere";
        _environment["RELAY_LOG_LEVEL"] = "loud";
        _environment["RELAY_API_TLS_KEY"] = "/no/such/file";
        Assert.Null(SiloOptionsReader.Read(["--grid-listn", "x", "--region"], _environment.GetValueOrDefault, out var errors));
        Assert.Collection(
            errors.Order(StringComparer.Ordinal),
            e => Assert.StartsWith("--grid-listn is not an option", e, StringComparison.Ordinal),
            e => Assert.StartsWith("--region needs a value", e, StringComparison.Ordinal),
            e => Assert.StartsWith("RELAY_API_TLS_CERT (--api-tls-cert) is missing", e, StringComparison.Ordinal),
            e => Assert.StartsWith("RELAY_API_TLS_KEY (--api-tls-key) names a file that does not exist", e, StringComparison.Ordinal),
            e => Assert.StartsWith("RELAY_CONNECTOR_ADVERTISE (--connector-advertise) is needed", e, StringComparison.Ordinal),
            e => Assert.StartsWith("RELAY_GRID_ADVERTISE (--grid-advertise) must be host:port", e, StringComparison.Ordinal),
            e => Assert.StartsWith("RELAY_GRID_LISTEN (--grid-listen) must be address:port", e, StringComparison.Ordinal),
            e => Assert.StartsWith("RELAY_LOG_LEVEL (--log-level) must be", e, StringComparison.Ordinal),
            e => Assert.StartsWith("RELAY_NAME (--name) must be", e, StringComparison.Ordinal));
    }

    [Fact]
    public void A_clear_text_api_is_for_loopback_only()
    {
        _environment["RELAY_API_LISTEN"] = "0.0.0.0:8080";
        Assert.Null(SiloOptionsReader.Read([], _environment.GetValueOrDefault, out var errors));
        Assert.Contains("not loopback", Assert.Single(errors), StringComparison.Ordinal);
    }

    // L35: every user of the machine can read argv.
    [Fact]
    public void A_connection_string_on_the_command_line_is_refused_and_not_repeated()
    {
        Assert.Null(SiloOptionsReader.Read(["--database", "Host=db;Password=planted", "stray-planted"], _environment.GetValueOrDefault, out var errors));
        Assert.DoesNotContain(errors, e => e.Contains("planted", StringComparison.Ordinal));
        Assert.Equal(2, errors.Count);
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("127.0.0.1:")]
    [InlineData("127.0.0.1:x")]
    [InlineData("127.0.0.1:70000")]
    [InlineData("::1")]
    [InlineData("[::1]")]
    [InlineData("db:7443")]
    public void An_address_without_a_port_is_no_address(string text)
    {
        _environment["RELAY_GRID_LISTEN"] = text;
        Assert.Null(SiloOptionsReader.Read([], _environment.GetValueOrDefault, out var errors));
        Assert.Contains("RELAY_GRID_LISTEN", Assert.Single(errors), StringComparison.Ordinal);
    }

    private SiloOptions Read(params string[] args)
    {
        var options = SiloOptionsReader.Read(args, _environment.GetValueOrDefault, out var errors);
        Assert.Empty(errors);
        return options!;
    }
}
