using static Relay.Protocol.Ssh.SshMessageNumber;

namespace Relay.Protocol.Ssh;

/// <summary>What to do with a message that arrived.</summary>
internal enum SshMessageVerdict
{
    /// <summary>Not allowed here: disconnect with SSH_DISCONNECT_PROTOCOL_ERROR. The zero value.</summary>
    Violation,

    /// <summary>Handle it.</summary>
    Accept,

    /// <summary>Drop it silently.</summary>
    Ignore,

    /// <summary>Answer SSH_MSG_UNIMPLEMENTED, RFC 4253 §11.4.</summary>
    Unimplemented,
}

/// <summary>
/// The one table of message × receiving role × state (L1). What it does not name is a violation: a client cannot hand
/// the server a USERAUTH_SUCCESS, and no message from 80 on exists before authentication (L2).
/// </summary>
internal static class SshMessageRules
{
    /// <param name="role">This end's role: the peer has the other one.</param>
    /// <param name="phase">This end's phase.</param>
    /// <param name="step">Step of the key exchange in progress.</param>
    /// <param name="strict">Strict key exchange is in force, see PROTOCOL of OpenSSH §1.10.</param>
    /// <param name="number">First byte of the payload.</param>
    public static SshMessageVerdict Check(SshRole role, SshPhase phase, SshKexStep step, bool strict, byte number)
    {
        if (phase == SshPhase.Identification)
            return SshMessageVerdict.Violation;
        switch (number)
        {
            case Disconnect:
                return SshMessageVerdict.Accept;
            case Ignore or Unimplemented or Debug:
                // SECURITY: Terrapin (L3). Under strict KEX nothing extra is allowed in the first exchange.
                return strict && phase == SshPhase.KeyExchange ? SshMessageVerdict.Violation : SshMessageVerdict.Accept;
            case KexInit:
                return When(step == SshKexStep.Idle);
            case KexEcdhInit:
                return When(step == SshKexStep.Exchange && role == SshRole.Server);
            case KexEcdhReply:
                return When(step == SshKexStep.Exchange && role == SshRole.Client);
            case NewKeys:
                return When(step == SshKexStep.NewKeys);
        }

        // RFC 4253 §7.1: after its KEXINIT a party sends nothing but key exchange and generic transport messages.
        if (step != SshKexStep.Idle)
            return SshMessageVerdict.Violation;
        return phase switch
        {
            SshPhase.Service => Service(role, number),
            SshPhase.Authentication => Authentication(role, number),
            SshPhase.Connected => Connected(role, number),
            _ => SshMessageVerdict.Violation,
        };
    }

    private static SshMessageVerdict Service(SshRole role, byte number) => number switch
    {
        ServiceRequest => When(role == SshRole.Server),
        ServiceAccept => When(role == SshRole.Client),
        ExtInfo => SshMessageVerdict.Accept,
        _ => SshMessageVerdict.Violation,
    };

    private static SshMessageVerdict Authentication(SshRole role, byte number) => number switch
    {
        UserAuthRequest => When(role == SshRole.Server),
        // RFC 8308 §2.4: a server may send EXT_INFO again right before USERAUTH_SUCCESS.
        UserAuthFailure or UserAuthSuccess or UserAuthBanner or UserAuthPkOk or ExtInfo => When(role == SshRole.Client),
        _ => SshMessageVerdict.Violation,
    };

    private static SshMessageVerdict Connected(SshRole role, byte number) => number switch
    {
        // RFC 4252 §5.3: authentication requests after success are silently ignored.
        UserAuthRequest when role == SshRole.Server => SshMessageVerdict.Ignore,
        GlobalRequest or RequestSuccess or RequestFailure => SshMessageVerdict.Accept,
        >= ChannelOpen and <= ChannelFailure => SshMessageVerdict.Accept,
        // RFC 4253 §11.4. Numbers nobody has assigned; the assigned ones that fell through are violations.
        (>= 8 and <= 19) or (>= 83 and <= 89) or >= 101 => SshMessageVerdict.Unimplemented,
        _ => SshMessageVerdict.Violation,
    };

    private static SshMessageVerdict When(bool allowed) => allowed ? SshMessageVerdict.Accept : SshMessageVerdict.Violation;
}
