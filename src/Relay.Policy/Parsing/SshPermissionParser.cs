using System.Globalization;
using System.Text.Json;

namespace Relay.Policy;

/// <summary>v2 <c>permissions.ssh</c>.</summary>
internal static class SshPermissionParser
{
    private const int MaxUsernameLength = 256;

    public static SshPermission? Parse(PolicyNode node)
    {
        if (node.Object("shell", "exec", "sftp", "tcp_forwarding", "kubectl_exec", "docker_exec", "agent_forwarding", "recording",
                "allowed_usernames", "max_session_duration_seconds") is not { } keys)
            return null;
        if (keys.Count == 0)
            return SshPermission.Everything;
        return new SshPermission
        {
            Shell = keys.Flag("shell"),
            Exec = keys.Read("exec", Exec),
            Sftp = keys.Flag("sftp"),
            TcpForwarding = keys.Read("tcp_forwarding", TcpForwarding),
            KubectlExec = keys.Read("kubectl_exec", KubectlExec),
            DockerExec = keys.Read("docker_exec", DockerExec),
            AgentForwarding = keys.Flag("agent_forwarding"),
            RecordInput = keys.Value("recording", RecordInput) ?? false,
            AllowedUsernames = keys.Read("allowed_usernames", static list => list.List(PolicyLimits.MaxListEntries, Username)),
            MaxSessionDuration = keys.Value("max_session_duration_seconds", static value => value.DurationSeconds()),
        };
    }

    private static ExecPermission? Exec(PolicyNode node) =>
        node.Object("commands") is { } keys
            ? new ExecPermission(keys.Read("commands", static list => list.List(PolicyLimits.MaxCommandPatterns, Command)))
            : null;

    private static CommandPattern? Command(PolicyNode node)
    {
        if (node.Text(PolicyLimits.MaxCommandPatternLength) is not { } text)
            return null;
        if (CommandPattern.TryCreate(text, out var pattern, out var error))
            return pattern;
        node.Error(error);
        return null;
    }

    private static TcpForwardingPermission? TcpForwarding(PolicyNode node) =>
        node.Object("allowed_connections") is { } keys
            ? new TcpForwardingPermission(keys.Read("allowed_connections", static list => list.List(PolicyLimits.MaxListEntries, Connection)))
            : null;

    private static DestinationRule? Connection(PolicyNode node)
    {
        if (node.Object("destination_address", "destination_port") is not { } keys)
            return null;
        var address = keys.Read("destination_address", static value => value.Text());
        var port = keys.Value("destination_port", Port);
        var rule = DestinationRule.TryCreate(address, port == AnyPort ? null : port, out var error);
        if (error is not null)
            keys.Read("destination_address", value =>
            {
                value.Error(error);
                return value.Path;
            });
        return rule;
    }

    private const int AnyPort = 0;

    private static int? Port(PolicyNode node)
    {
        // Written as a number or as a string of it. 0 is refused: to some tools it is "not set", and that must not open every port.
        var value = node.Value;
        if (value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var port) && port is > 0 and <= 65535)
            return port;
        if (value.ValueKind == JsonValueKind.String && node.Text() is { } text)
        {
            if (text == "*")
                return AnyPort;
            if (text.Length <= 5 && int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out port) && port is > 0 and <= 65535)
                return port;
        }

        node.Error("Expected a port from 1 to 65535; leave the key out, or write \"*\", for any port.");
        return null;
    }

    private static KubectlExecPermission? KubectlExec(PolicyNode node) =>
        node.Object("allowed_namespaces") is { } keys
            ? new KubectlExecPermission(keys.Read("allowed_namespaces", static list => list.List(PolicyLimits.MaxListEntries, Namespace)))
            : null;

    private static AllowedNamespace? Namespace(PolicyNode node) =>
        node.Object("namespace", "pod_selector") is { } keys
            ? new AllowedNamespace(keys.Read("namespace", static value => value.Text()), keys.Read("pod_selector", Labels))
            : null;

    private static Dictionary<string, string>? Labels(PolicyNode node)
    {
        if (node.Members() is not { } members)
            return null;
        var labels = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (label, value) in members)
        {
            if (value.Text() is { } text)
                labels[label] = text;
        }

        return labels;
    }

    private static DockerExecPermission? DockerExec(PolicyNode node) =>
        node.Object("allowed_containers") is { } keys
            ? new DockerExecPermission(keys.Read("allowed_containers", static list => list.Texts()))
            : null;

    private static bool? RecordInput(PolicyNode node) =>
        node.Object("input") is { } keys ? keys.Value("input", static value => value.Boolean()) : null;

    private static string? Username(PolicyNode node)
    {
        var name = node.Text(MaxUsernameLength);
        if (name is not null && name.Contains('*', StringComparison.Ordinal))
        {
            node.Error("User names are compared exactly, * is no wildcard; leave allowed_usernames out to allow any.");
            return null;
        }

        return name;
    }
}
