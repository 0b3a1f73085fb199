using System.CommandLine;
using Relay.Cli.Client;
using Relay.Cli.Output;

namespace Relay.Cli;

/// <summary>The options every command has, and what follows from them: where the API is, who we are, how to print.</summary>
internal sealed class CommandContext
{
    public const string DefaultApi = "http://127.0.0.1:8080";

    public const string Description = """
        Relay: identity-aware access to servers, databases and networks.

        Environment (an option wins):
          RELAY_API               address of the API; default: the last login's, then http://127.0.0.1:8080
          RELAY_ADMIN_TOKEN       token to use instead of the saved login
          RELAY_CLIENT_TOKEN      the same; RELAY_ADMIN_TOKEN wins
          RELAY_HOME              where login, keys and certificate are kept; default: ~/.relay
          RELAY_TOKEN             connector: its token; default: RELAY_TOKEN_FILE
          RELAY_TOKEN_FILE        connector: file with its token (0600); default: the configuration file's token
          RELAY_CONFIG_FILE       connector: configuration file; default: ./relay.yaml, /etc/relay/relay.yaml, ~/.relay/config.yaml
          RELAY_CONNECTOR_ID      connector: refuse to run unless the token is this connector's; default: any
          RELAY_CONNECTOR_SERVER  connector: host:port of silos, comma-separated; default: those the token names
          RELAY_LOG_LEVEL         connector: trace, debug, info, warn, error; default: info
        """;

    public static Option<string> OutputOption { get; } = CreateOutputOption();

    public static Option<Uri?> ApiOption { get; } = new("--api")
    {
        Description = "Address of the API (default: RELAY_API, then the last login's, then " + DefaultApi + ")",
        Recursive = true,
        CustomParser = result => Uri.TryCreate(result.Tokens.SingleOrDefault()?.Value, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https"
            ? uri
            : Invalid(result),
    };

    private CommandContext(ParseResult parsed)
    {
        State = UserState.Open();
        Render = new Render(parsed.GetValue(OutputOption) == "json", parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        Settings = State.LoadSettings();
        Api = parsed.GetValue(ApiOption) ?? FromEnvironment("RELAY_API") ?? (Settings.Api is { } saved ? new Uri(saved) : new Uri(DefaultApi));
    }

    public UserState State { get; }

    public Settings Settings { get; }

    public Render Render { get; }

    public Uri Api { get; }

    public static CommandContext From(ParseResult parsed) => new(parsed);

    /// <summary>A client with the caller's token: RELAY_ADMIN_TOKEN, RELAY_CLIENT_TOKEN, or the saved login.</summary>
    /// <exception cref="CliException">There is none (exit code 3).</exception>
    public ApiClient Client()
    {
        var token = Environment.GetEnvironmentVariable("RELAY_ADMIN_TOKEN") is { Length: > 0 } admin ? admin
            : Environment.GetEnvironmentVariable("RELAY_CLIENT_TOKEN") is { Length: > 0 } client ? client
            : State.LoadToken();
        return token is { Length: > 0 }
            ? new ApiClient(Api, token)
            : throw new CliException(ExitCode.NotLoggedIn, $"please login first (no token found in {State.TokenFile}): relay login");
    }

    /// <summary>A client without a token, for the login itself.</summary>
    public ApiClient AnonymousClient() => new(Api, null);

    private static Uri? FromEnvironment(string name)
    {
        if (Environment.GetEnvironmentVariable(name) is not { Length: > 0 } value)
            return null;
        return Uri.TryCreate(value, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https"
            ? uri
            : throw new CliException(ExitCode.Usage, $"{name} is not an http or https address: {value}");
    }

    private static Option<string> CreateOutputOption()
    {
        var option = new Option<string>("--output", "-o")
        {
            Description = "How to print: table or json",
            Recursive = true,
            DefaultValueFactory = _ => "table",
        };
        option.AcceptOnlyFromAmong("table", "json");
        return option;
    }

    private static Uri? Invalid(System.CommandLine.Parsing.ArgumentResult result)
    {
        result.AddError($"--api takes an http or https address, not '{result.Tokens.SingleOrDefault()?.Value}'");
        return null;
    }
}
