using System.Globalization;

namespace Relay.Policy;

/// <summary>
/// A judged clause in words. SECURITY: <see cref="PolicyReason.Fact"/> and <see cref="PolicyReason.Change"/> are made of the request's own
/// facts and the clause's path only (and the time zone of a daily window, in which the requester's clock is told); what the clause holds
/// goes into <see cref="PolicyReason.Needed"/>.
/// </summary>
internal static class ClauseText
{
    private const int MaxListed = 50;

    public static PolicyReason Describe(CompiledPolicy policy, Clause clause, ReasonCode code, in Query query)
    {
        var request = query.Request;
        var subject = request.Subject;
        var condition = policy.Model.Condition;
        var path = PathOf(policy.Model, clause, query);
        var (fact, needed, change) = clause switch
        {
            Clause.Permission => PermissionText(policy.Model, path, code, query),
            Clause.Usernames => (
                Query.UsernameOf(request.Action) is { } username ? $"the user name on the target is {SafeText.Quote(username)}" : "no user name on the target was given",
                policy.Model.Permissions.Ssh?.AllowedUsernames is { } names ? $"one of {List(names)}" : "any",
                Query.UsernameOf(request.Action) is { } missing ? $"add {SafeText.Quote(missing)} to {path}" : $"name a user that {path} has"),
            Clause.Duration => (
                $"the session has lasted {Seconds(request.Now - query.StartedAt)} s",
                policy.MaxSessionDuration(query) is { } limit ? $"less than {Seconds(limit)} s" : "no limit",
                $"start a new session, or raise {path}"),
            Clause.Who => (
                subject.ServiceAccount is { } account ? $"you are the service account {SafeText.Quote(account)}" : $"you are {SafeText.Quote(subject.Email)}",
                condition.Who.Describe(),
                subject.ServiceAccount is { } name ? $"add {SafeText.Quote(name)} to {path}.service_account" : $"add {SafeText.Quote(subject.Email)} to {path}.email, or put yourself into a group it names"),
            Clause.AllowedIp => (
                $"your address is {query.Ip}",
                condition.AllowedIp.Count == 0 ? "any" : $"in one of {List(condition.AllowedIp.Select(range => range.Text))}",
                $"add {query.Ip}/{query.Ip.Width} to {path}"),
            Clause.Country => (
                CountryFact(query.Country),
                condition.Country.Count == 0 ? "any" : $"one of {List(condition.Country)}",
                query.Country is null ? $"make the country of {query.Ip} known, or remove {path}" : $"add {SafeText.Quote(query.Country)} to {path}"),
            Clause.CountryNot => (
                CountryFact(query.Country),
                condition.CountryNot.Count == 0 ? "any" : $"none of {List(condition.CountryNot)}",
                query.Country is null ? $"make the country of {query.Ip} known, or remove {path}" : $"remove {SafeText.Quote(query.Country)} from {path}"),
            Clause.After => (NowFact(request.Now), condition.After is { } after ? $"{Instant(after)} or later" : "any time", $"wait, or set {path} to {Instant(request.Now)} or earlier"),
            Clause.Before => (NowFact(request.Now), condition.Before is { } before ? $"before {Instant(before)}" : "any time", $"set {path} later than {Instant(request.Now)}"),
            Clause.Expires => (NowFact(request.Now), policy.Entry.Expires is { } expires ? $"before {Instant(expires)}" : "any time", $"let the policy expire later than {Instant(request.Now)}"),
            Clause.TimeOfDay => DailyText(condition.Daily, path, request.Now),
            _ => (
                "nobody can ask the integrations it depends on",
                policy.Model.Integrations.Count == 0 ? "no integration" : List(policy.Model.Integrations),
                $"remove {path}"),
        };
        return new PolicyReason(policy.Entry.Id, policy.Entry.Name, path, code, fact, needed, change);
    }

    public static string PathOf(PolicyModel model, Clause clause, in Query query) => clause switch
    {
        Clause.Permission => PermissionPath(model, query),
        Clause.Usernames => "$.permissions.ssh.allowed_usernames",
        Clause.Duration => $"$.permissions.{(query.Key is PermissionKey.Database or PermissionKey.Tls ? NameOf(query.Key) : "ssh")}.max_session_duration_seconds",
        Clause.Who => "$.condition.who",
        Clause.AllowedIp => "$.condition.where.allowed_ip",
        Clause.Country => "$.condition.where.country",
        Clause.CountryNot => "$.condition.where.country_not",
        Clause.After => "$.condition.when.after",
        Clause.Before => "$.condition.when.before",
        Clause.Expires => "expires",
        Clause.TimeOfDay => model.Condition.Daily is { After: null } ? "$.condition.when.time_of_day_before" : "$.condition.when.time_of_day_after",
        _ => "$.integrations",
    };

    /// <summary>JSON name of a permission key.</summary>
    public static string NameOf(PermissionKey key) => key switch
    {
        PermissionKey.AwsS3 => "aws_s3",
        PermissionKey.AwsAccess => "aws_access",
        _ => key.ToString().ToLowerInvariant(),
    };

    private static string PermissionPath(PolicyModel model, in Query query)
    {
        if (model.Version == PolicySchemaVersion.V1)
            return "$.action";
        if (query.Key != PermissionKey.Ssh)
        {
            var name = NameOf(query.Key);
            var list = query.Key switch
            {
                PermissionKey.Database when model.Permissions.Database is not null => ".allowed_databases",
                PermissionKey.Kubernetes when model.Permissions.Kubernetes is not null => ".rules",
                PermissionKey.AwsS3 when model.Permissions.AwsS3 is not null => ".rules",
                PermissionKey.AwsAccess when model.Permissions.AwsAccess is not null => ".aws_iam_role_arns",
                _ => "",
            };
            return $"$.permissions.{name}{list}";
        }

        return query.Request.Action switch
        {
            AccessAction.SshExec when model.Permissions.Ssh?.Exec is { Commands: not null } => "$.permissions.ssh.exec.commands",
            AccessAction.SshTcpForwarding when model.Permissions.Ssh?.TcpForwarding is { AllowedConnections: not null } => "$.permissions.ssh.tcp_forwarding.allowed_connections",
            AccessAction.Connect or AccessAction.SshSubsystem => "$.permissions.ssh",
            var action => "$.permissions." + action.Name,
        };
    }

    private static (string Fact, string Needed, string Change) PermissionText(PolicyModel model, string path, ReasonCode code, in Query query)
    {
        var action = query.Request.Action;
        var v1 = model.Version == PolicySchemaVersion.V1;
        var ssh = model.Permissions.Ssh;
        var wanted = query.Key != PermissionKey.Ssh ? NameOf(query.Key) : action is AccessAction.Connect ? "any kind of SSH channel" : action.Name;
        return action switch
        {
            AccessAction.SshExec exec when ssh?.Exec?.Commands is { } commands => (
                $"the command is {SafeText.Quote(exec.Command)}",
                commands.Count == 0 ? "no command at all (the list is empty)" : $"one of the patterns {List(commands.Select(pattern => pattern.Text))}",
                $"add the command to {path}"),
            AccessAction.SshTcpForwarding forwarding when ssh?.TcpForwarding?.AllowedConnections is { } rules => (
                string.Create(CultureInfo.InvariantCulture, $"the destination is {SafeText.Quote(forwarding.Address)} port {forwarding.Port}"),
                rules.Count == 0 ? "no destination at all (the list is empty)" : $"one of {List(rules.Select(Connection))}",
                $"add the destination to {path}"),
            AccessAction.SshSubsystem subsystem => (
                $"the subsystem is {SafeText.Quote(subsystem.Subsystem)}", "sftp; policies can permit no other subsystem", "none: use sftp or a command"),
            _ when code == ReasonCode.Allowed => ($"{wanted} is asked for", $"{wanted} is permitted", "none"),
            AccessAction.Connect when query.Key == PermissionKey.Ssh => (
                "it permits no kind of SSH channel", "at least one of shell, exec, sftp, tcp_forwarding, kubectl_exec, docker_exec, not with an empty list",
                v1 ? $"add \"ssh:shell\" to {path}" : $"add the channel you need to {path}, e.g. \"shell\": {{}}"),
            _ when query.Key != PermissionKey.Ssh && !v1 && path.AsSpan(2).Count('.') > 1 => (
                $"it permits {wanted} for nothing", "a list that is not empty", $"add to {path}, or remove it to permit any"),
            _ when v1 => (
                $"it does not permit {wanted}",
                $"the action \"{V1Action(query)}\"",
                IsV1Action(query) ? $"add \"{V1Action(query)}\" to {path}" : "write the policy in v2: v1 cannot say this"),
            _ => ($"it does not permit {wanted}", $"the key {path}", $"add {path}: {{}}"),
        };
    }

    private static string V1Action(in Query query) => query.Key != PermissionKey.Ssh ? NameOf(query.Key) : query.Request.Action is AccessAction.SshAgentForwarding
        ? "ssh" : query.Request.Action.Name.Replace('.', ':');

    private static bool IsV1Action(in Query query) => query.Key is PermissionKey.Ssh or PermissionKey.Database or PermissionKey.Http or PermissionKey.Tls;

    private static (string Fact, string Needed, string Change) DailyText(DailyWindow? window, string path, DateTimeOffset now)
    {
        if (window is null)
            return (NowFact(now), "any time of day", "none");
        var clock = window.WallClock(now).ToString(@"hh\:mm", CultureInfo.InvariantCulture) + " " + window.Zone.Id;
        return (
            $"it is {clock}",
            $"from {window.After?.Text ?? "midnight"} until {window.Before?.Text ?? "midnight"}",
            $"come back later, or widen {path} to include {clock}");
    }

    private static string Connection(DestinationRule rule) =>
        string.Create(CultureInfo.InvariantCulture, $"{rule.AddressText ?? "*"} port {rule.Port?.ToString(CultureInfo.InvariantCulture) ?? "*"}");

    private static string CountryFact(string? country) => country is null ? "your country is unknown" : $"your country is {SafeText.Quote(country)}";

    private static string NowFact(DateTimeOffset now) => $"it is {Instant(now)}";

    private static string Instant(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);

    private static string Seconds(TimeSpan span) => ((long)span.TotalSeconds).ToString(CultureInfo.InvariantCulture);

    private static string List(IEnumerable<string> values)
    {
        var all = values.ToList();
        var listed = string.Join(", ", all.Take(MaxListed).Select(SafeText.Quote));
        return all.Count <= MaxListed ? listed : string.Create(CultureInfo.InvariantCulture, $"{listed} and {all.Count - MaxListed} more");
    }
}
