using System.Reflection;
using System.Runtime.InteropServices;
using Relay.Protocol.Tunnel;

namespace Relay.Connector.Tunnel;

/// <summary>What the agent says about itself, for the record. Bounded: a long host name must not break the attach.</summary>
internal static class AgentFacts
{
    private const int MaxText = 255;
    private const int MaxUsers = 64;

    public static string Version { get; } =
        typeof(AgentFacts).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "0";

    public static AttachRequest Request(string token, Guid instance, long highestEpoch, IBuiltInSshService? ssh, BootClock clock, long attempt) => new(
        TunnelWire.ProtocolVersion, token, instance, highestEpoch, Version, Cut(Environment.MachineName), Cut(RuntimeInformation.OSDescription),
        ssh?.HostKeyLine, ssh is null ? null : [.. ssh.Users.Take(MaxUsers).Select(Cut)], (long)clock.Now.TotalMilliseconds, attempt);

    private static string Cut(string text) => text.Length <= MaxText ? text : text[..MaxText];
}
