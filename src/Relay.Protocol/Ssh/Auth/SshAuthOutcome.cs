namespace Relay.Protocol.Ssh;

/// <summary>What to do with a proven key. The zero value fails.</summary>
public readonly record struct SshAuthOutcome
{
    private SshAuthOutcome(SshAuthVerdict verdict, string? banner, string? disconnectMessage)
    {
        Verdict = verdict;
        Banner = banner;
        DisconnectMessage = disconnectMessage;
    }

    internal SshAuthVerdict Verdict { get; }

    internal string? Banner { get; }

    internal string? DisconnectMessage { get; }

    /// <summary>The user is authenticated. A banner, if any, is shown first.</summary>
    public static SshAuthOutcome Accept(string? banner = null) => new(SshAuthVerdict.Accept, banner, null);

    /// <summary>This key is not good enough; the client may try another. The banner goes out before the failure.</summary>
    public static SshAuthOutcome Fail(string? banner = null) => new(SshAuthVerdict.Fail, banner, null);

    /// <summary>No further attempt is wanted: banner, then SSH_MSG_DISCONNECT (NO_MORE_AUTH_METHODS_AVAILABLE) with the message.</summary>
    public static SshAuthOutcome Disconnect(string banner, string message) => new(SshAuthVerdict.Disconnect, banner, message);
}

internal enum SshAuthVerdict
{
    Fail,
    Accept,
    Disconnect,
}
