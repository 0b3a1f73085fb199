using System.Net;

namespace Relay.Policy;

/// <summary>What-if questions of administrators: every clause of every policy, met or not. Makes no grants.</summary>
public static class PolicyTester
{
    /// <summary>Judges one policy for a person at a place and time, whatever the socket: <c>relay policy test</c>.</summary>
    public static PolicyTestReport Test(PolicyEntry policy, Subject subject, IPAddress clientIp, string? country, DateTimeOffset now) => new(false, [], []);
}
