using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Relay.Policy;

namespace Relay.Tests.Policy;

/// <summary>
/// The rules of src/Relay.Policy/README.md once more: slow, straight from the JSON text, sharing no code with the evaluator.
/// Documents must be valid.
/// </summary>
internal static class Oracle
{
    public sealed record Policy(string Json, bool OrgWide, Guid[] SocketIds, Dictionary<string, string>[] TagRules);

    public static bool Allows(IEnumerable<Policy> policies, AccessRequest request) => policies.Any(policy => Applies(policy, request.Socket) && Allows(policy.Json, request));

    public static bool Applies(Policy policy, SocketFacts socket) =>
        policy.OrgWide || policy.SocketIds.Contains(socket.Id)
        || policy.TagRules.Any(rule => rule.Count > 0 && rule.All(tag => socket.Tags.Any(has => has.Key == tag.Key && has.Value == tag.Value)));

    public static bool Allows(string json, AccessRequest request)
    {
        var policy = JsonNode.Parse(json)!.AsObject();
        var condition = policy["condition"]!.AsObject();
        var v1 = (string?)policy["version"] == "v1";
        if (v1 && policy["integrations"] is JsonArray { Count: > 0 })
            return false;
        return (v1 ? Acts(policy["action"]!.AsArray(), request) : Permits(policy["permissions"]!.AsObject(), request))
            && Who(condition["who"]!.AsObject(), request.Subject)
            && (condition["where"] is not JsonObject where || Where(where, request))
            && (condition["when"] is not JsonObject when || When(when, request.Now));
    }

    /// <summary>The policy's own duration limit; null: none.</summary>
    public static TimeSpan? Duration(string json, string socketType)
    {
        var permissions = JsonNode.Parse(json)!["permissions"] as JsonObject;
        var key = Key(socketType);
        var seconds = key is "ssh" or "database" or "tls" ? (permissions?[key] as JsonObject)?["max_session_duration_seconds"] : null;
        return seconds is null ? null : TimeSpan.FromSeconds((int)seconds);
    }

    public static bool Glob(string pattern, string line)
    {
        if (pattern.Length == 0)
            return line.Length == 0;
        if (pattern[0] == '*')
            return Glob(pattern[1..], line) || (line.Length > 0 && Ordinary(line[0]) && Glob(pattern, line[1..]));
        if (pattern[0] == '\\')
            pattern = pattern[1..];
        return line.Length > 0 && line[0] == pattern[0] && Glob(pattern[1..], line[1..]);
    }

    private static bool Ordinary(char c) => c >= ' ' && c != '\x7f' && !";&|<>(){}$`\\\"'#^%".Contains(c);

    private static bool Acts(JsonArray actions, AccessRequest request)
    {
        var given = actions.Select(action => (string)action!).ToList();
        bool Has(params string[] names) => given.Intersect(names).Any();
        switch (request.Socket.SocketType)
        {
            case "http":
                return request.Action is AccessAction.Connect && Has("http", "http:*");
            case "tls" or "tcp" or "udp":
                return request.Action is AccessAction.Connect && Has("tls", "tls:*");
            case "database":
                return request.Action is AccessAction.Connect && given.Any(name => name == "database" || name.StartsWith("database:", StringComparison.Ordinal));
            case "ssh" when request.Action is AccessAction.Connect:
                return given.Any(name => name == "ssh" || name.StartsWith("ssh:", StringComparison.Ordinal));
            case "ssh" when request.Action is AccessAction.SshSubsystem:
                return false;
            case "ssh":
                return Has("ssh", "ssh:*", request.Action.Name.Replace('.', ':'));
            default:
                return false;
        }
    }

    private static bool Permits(JsonObject permissions, AccessRequest request)
    {
        var type = request.Socket.SocketType;
        if (type != "ssh")
        {
            var list = type switch { "database" => "allowed_databases", "kubernetes" or "aws_s3" => "rules", _ => "" };
            return request.Action is AccessAction.Connect && permissions[Key(type)] is JsonObject given && (given[list] is not JsonArray entries || entries.Count > 0) && (Key(type) != "tls" || Lasts(given, request));
        }

        if (permissions["ssh"] is not JsonObject ssh)
            return false;
        if (request.Action is AccessAction.SshSubsystem)
            return false;
        if (ssh.Count == 0)
            return true;
        return Channel(ssh, request.Action) && Username(ssh, request) && Lasts(ssh, request);
    }

    private static bool Channel(JsonObject ssh, AccessAction action) => action switch
    {
        AccessAction.SshShell => ssh["shell"] is not null,
        AccessAction.SshSftp => ssh["sftp"] is not null,
        AccessAction.SshAgentForwarding => ssh["agent_forwarding"] is not null,
        AccessAction.SshExec exec => ssh["exec"] is JsonObject given && (given["commands"] is not JsonArray patterns || patterns.Any(pattern => Glob((string)pattern!, exec.Command))),
        AccessAction.SshTcpForwarding to => ssh["tcp_forwarding"] is JsonObject given && (given["allowed_connections"] is not JsonArray rules || rules.Any(rule => Reaches(rule!.AsObject(), to))),
        AccessAction.Connect => ssh["shell"] is not null || ssh["sftp"] is not null || Lists(ssh, "exec", "commands") || Lists(ssh, "tcp_forwarding", "allowed_connections"),
        _ => false,
    };

    private static bool Lists(JsonObject ssh, string key, string list) => ssh[key] is JsonObject given && given[list] is not JsonArray { Count: 0 };

    private static bool Username(JsonObject ssh, AccessRequest request)
    {
        if (ssh["allowed_usernames"] is not JsonArray names || request.Socket.DefinedUsername is not null)
            return true;
        var username = (string?)request.Action.GetType().GetProperty("Username")!.GetValue(request.Action);
        return names.Any(name => (string)name! == username);
    }

    private static string Key(string socketType) => socketType switch { "tcp" or "udp" => "tls", "subnet_router" or "exit_node" => "network", _ => socketType };

    private static bool Lasts(JsonObject permission, AccessRequest request) =>
        permission["max_session_duration_seconds"] is not { } seconds || request.Now < (request.SessionStartedAt ?? request.Now).AddSeconds((int)seconds);

    private static bool Reaches(JsonObject rule, AccessAction.SshTcpForwarding to)
    {
        if (rule["destination_port"] is { } port && port.ToString() is var text && text != "*" && text != to.Port.ToString(CultureInfo.InvariantCulture))
            return false;
        if (rule["destination_address"] is not { } value || (string)value! == "*")
            return true;
        var address = ((string)value!).ToLowerInvariant().TrimEnd('.');
        var isName = !IPAddress.TryParse(to.Address.Trim('[', ']'), out _);
        if (address.Contains('/', StringComparison.Ordinal) || IPAddress.TryParse(address, out _))
            return !isName && InRange(IPAddress.Parse(to.Address.Trim('[', ']')), address);
        var wanted = to.Address.ToLowerInvariant().TrimEnd('.');
        return isName && (address.StartsWith("*.", StringComparison.Ordinal) ? wanted.EndsWith(address[1..], StringComparison.Ordinal) && wanted.Length > address.Length - 1 : wanted == address);
    }

    private static bool Who(JsonObject who, Subject subject)
    {
        bool Names(string list, string? fact) => !string.IsNullOrEmpty(fact) && who[list] is JsonArray names && names.Any(name => string.Equals((string)name!, fact, StringComparison.OrdinalIgnoreCase));
        var at = subject.Email.IndexOf('@', StringComparison.Ordinal);
        return Names("email", subject.Email) || Names("service_account", subject.ServiceAccount) || subject.Groups.Any(group => Names("group", group))
            || (at > 0 && Names("domain", subject.Email[(at + 1)..]));
    }

    private static bool Where(JsonObject where, AccessRequest request)
    {
        static List<string> List(JsonNode? list) => list is JsonArray entries ? entries.Select(entry => ((string)entry!).ToUpperInvariant()).ToList() : [];
        var (ranges, country, countryNot) = (List(where["allowed_ip"]), List(where["country"]), List(where["country_not"]));
        var here = request.Country?.ToUpperInvariant();
        return (ranges.Count == 0 || ranges.Any(range => InRange(request.ClientIp, range)))
            && (country.Count == 0 || (here is not null && country.Contains(here)))
            && (countryNot.Count == 0 || (here is not null && !countryNot.Contains(here)));
    }

    private static bool InRange(IPAddress address, string range)
    {
        static (AddressFamily Family, string Bits) Bits(IPAddress ip)
        {
            ip = ip.IsIPv4MappedToIPv6 ? ip.MapToIPv4() : ip;
            return (ip.AddressFamily, string.Concat(ip.GetAddressBytes().Select(b => Convert.ToString(b, 2).PadLeft(8, '0'))));
        }

        var parts = range.Split('/');
        var (family, network) = Bits(IPAddress.Parse(parts[0]));
        var prefix = parts.Length == 1 ? network.Length : int.Parse(parts[1], CultureInfo.InvariantCulture);
        if (family == AddressFamily.InterNetwork && parts[0].Contains(':', StringComparison.Ordinal) && parts.Length > 1)
            prefix -= 96;
        var (ownFamily, own) = Bits(address);
        return family == ownFamily && own[..prefix] == network[..prefix];
    }

    private static bool When(JsonObject when, DateTimeOffset now)
    {
        DateTimeOffset? Instant(string key) => when[key] is { } text ? DateTimeOffset.Parse((string)text!, CultureInfo.InvariantCulture) : null;
        if (now < Instant("after") || now >= Instant("before"))
            return false;
        var (after, before) = ((string?)when["time_of_day_after"], (string?)when["time_of_day_before"]);
        if (after is null && before is null)
            return true;
        var wall = Wall(now, (after ?? before)![6..]);
        static TimeSpan Clock(string text) => new(int.Parse(text[..2], CultureInfo.InvariantCulture), int.Parse(text[3..5], CultureInfo.InvariantCulture), 0);
        var from = after is null ? TimeSpan.Zero : Clock(after);
        var to = before is null || before.StartsWith("23:59", StringComparison.Ordinal) ? TimeSpan.FromHours(24) : Clock(before);
        var time = wall.TimeOfDay;
        return from < to ? from <= time && time < to : from <= time || time < to;
    }

    /// <summary>Wall clocks from their published rules, not from a zone database.</summary>
    public static DateTime Wall(DateTimeOffset now, string zone)
    {
        var utc = now.UtcDateTime;
        DateTime Sunday(int month, int atLeastDay, int hourUtc)
        {
            var day = new DateTime(utc.Year, month, atLeastDay, hourUtc, 0, 0, DateTimeKind.Utc);
            return day.AddDays((7 - (int)day.DayOfWeek) % 7);
        }

        return zone switch
        {
            "UTC" => utc,
            "Asia/Kolkata" => utc.AddMinutes(330),
            "Europe/Berlin" => utc.AddHours(utc >= Sunday(3, 25, 1) && utc < Sunday(10, 25, 1) ? 2 : 1),
            "America/New_York" => utc.AddHours(utc >= Sunday(3, 8, 7) && utc < Sunday(11, 1, 6) ? -4 : -5),
            _ => throw new ArgumentException(zone),
        };
    }
}
