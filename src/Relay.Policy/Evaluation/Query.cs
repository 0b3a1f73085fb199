namespace Relay.Policy;

/// <summary>Which key of <c>permissions</c> a socket is under.</summary>
internal enum PermissionKey
{
    None = 0,
    Ssh,
    Database,
    Http,
    Tls,
    Vnc,
    Rdp,
    Vpn,
    Network,
    Kubernetes,
    AwsS3,
    AwsAccess,
}

/// <summary>A request with its facts normalised once, before it is put to many policies.</summary>
internal readonly struct Query
{
    private const int MaxCommandLength = 256 * 1024;
    private const int MaxUsernameLength = 256;

    private Query(AccessRequest request, ReasonCode verdict, PermissionKey key, Destination destination)
    {
        Request = request;
        Refusal = verdict;
        Key = key;
        Destination = destination;
        Ip = IpValue.From(request.ClientIp);
        Country = request.Country is { Length: 2 } country ? country : null;
        var email = request.Subject.Email;
        var at = email.IndexOf('@', StringComparison.Ordinal);
        // With two @ it is not certain what the domain is, so there is none.
        EmailDomain = at > 0 && at == email.LastIndexOf('@') && at < email.Length - 1 ? email[(at + 1)..] : null;
        StartedAt = request.SessionStartedAt ?? request.Now;
    }

    public AccessRequest Request { get; }

    /// <summary>Why no policy could allow it; <see cref="ReasonCode.Allowed"/> when policies must be asked.</summary>
    public ReasonCode Refusal { get; }

    public PermissionKey Key { get; }

    /// <summary>Only for <see cref="AccessAction.SshTcpForwarding"/>.</summary>
    public Destination Destination { get; }

    public IpValue Ip { get; }

    /// <summary>Null: unknown.</summary>
    public string? Country { get; }

    public string? EmailDomain { get; }

    public DateTimeOffset StartedAt { get; }

    public static Query From(AccessRequest request)
    {
        var key = KeyOf(request.Socket.SocketType);
        var destination = default(Destination);
        var refusal = Refuse(request, key, ref destination);
        return new Query(request, refusal, key, destination);
    }

    public static string? UsernameOf(AccessAction action) => action switch
    {
        AccessAction.Connect connect => connect.Username,
        AccessAction.SshShell shell => shell.Username,
        AccessAction.SshExec exec => exec.Username,
        AccessAction.SshSftp sftp => sftp.Username,
        AccessAction.SshTcpForwarding forwarding => forwarding.Username,
        AccessAction.SshAgentForwarding agent => agent.Username,
        AccessAction.SshSubsystem subsystem => subsystem.Username,
        _ => null,
    };

    private static PermissionKey KeyOf(string socketType) => socketType switch
    {
        "ssh" => PermissionKey.Ssh,
        "database" => PermissionKey.Database,
        "http" => PermissionKey.Http,
        "tls" or "tcp" or "udp" => PermissionKey.Tls,
        "vnc" => PermissionKey.Vnc,
        "rdp" => PermissionKey.Rdp,
        "vpn" => PermissionKey.Vpn,
        "subnet_router" or "exit_node" => PermissionKey.Network,
        "kubernetes" => PermissionKey.Kubernetes,
        "aws_s3" => PermissionKey.AwsS3,
        "aws_access" => PermissionKey.AwsAccess,
        _ => PermissionKey.None,
    };

    private static ReasonCode Refuse(AccessRequest request, PermissionKey key, ref Destination destination)
    {
        if (key == PermissionKey.None)
            return ReasonCode.UnknownSocketType;
        if (request.Action is not AccessAction.Connect && key != PermissionKey.Ssh)
            return ReasonCode.ActionNotApplicable;

        // Far ends of the calendar would overflow the arithmetic of windows and durations.
        if (!IsPlausible(request.Now) || !IsPlausible(request.SessionStartedAt ?? request.Now))
            return ReasonCode.InvalidRequest;
        if (UsernameOf(request.Action) is { } username && (username.Length is 0 or > MaxUsernameLength || username.Any(char.IsControl)))
            return ReasonCode.InvalidRequest;

        switch (request.Action)
        {
            case AccessAction.SshExec { Command: var command }:
                // An empty command is a shell to some servers, and a NUL ends the line for others: neither is what was asked for.
                return command.Length is 0 or > MaxCommandLength || command.Contains('\0', StringComparison.Ordinal) ? ReasonCode.InvalidRequest : ReasonCode.Allowed;
            case AccessAction.SshTcpForwarding forwarding:
                return Destination.TryCreate(forwarding.Address, forwarding.Port, out destination) ? ReasonCode.Allowed : ReasonCode.InvalidRequest;
            default:
                return ReasonCode.Allowed;
        }
    }

    private static bool IsPlausible(DateTimeOffset time) => time.UtcDateTime.Year is >= 1970 and <= 9000;
}
