namespace Relay.Cli;

/// <summary>What the process answers; scripts rely on these numbers. <c>client ssh</c> answers with the remote status instead.</summary>
internal static class ExitCode
{
    public const int Ok = 0;
    public const int Error = 1;
    public const int Usage = 2;
    public const int NotLoggedIn = 3;
    public const int Denied = 4;
    public const int NotFound = 5;
}

/// <summary>Ends the command with one sentence on stderr and an exit code. Expected failures only; anything else is a bug and shows its type.</summary>
internal class CliException(int exitCode, string message) : Exception(message)
{
    public int ExitCode { get; } = exitCode;
}

/// <summary>The API did not answer, or cannot answer anything now: what does not need it may go on without.</summary>
internal sealed class ApiAwayException(string message) : CliException(Relay.Cli.ExitCode.Error, message);
