using System.Net;
using Relay.Silo.Snapshots;

namespace Relay.Silo.Sessions;

/// <summary>
/// Names of sockets for devices: "socket", or "socket-organization" for people who are in several. Answered from the snapshot alone, to those who may use the
/// socket; also when their login has ended, so that what they connect to can say so. Safe for concurrent use.
/// </summary>
internal sealed class SocketNames(SnapshotCell snapshots, TimeProvider time)
{
    /// <returns>Empty: there is no such socket, or it is not for the device's user, which is the same.</returns>
    public IReadOnlyList<IPAddress> Resolve(Guid deviceId, string name, IPAddress clientIp)
    {
        if (!snapshots.TryFindDevice(deviceId, out var organization, out _, out var user) || Find(organization, name) is not { Target: not null } socket)
            return [];
        return organization.Policies.MayReach(user.Subject, socket.Facts, clientIp, time.GetUtcNow()) ? socket.Addresses : [];
    }

    // A socket of just that name comes first: the other form is for those that would otherwise be mistaken.
    private static OrgSocket? Find(OrgSnapshot organization, string name)
    {
        if (organization.SocketsByName.TryGetValue(name, out var socket))
            return socket;
        var ending = "-" + Label(organization.Name);
        return ending.Length > 1 && name.Length > ending.Length && name.EndsWith(ending, StringComparison.OrdinalIgnoreCase)
            ? organization.SocketsByName.GetValueOrDefault(name[..^ending.Length])
            : null;
    }

    /// <summary>An organization's name as a part of a DNS name: letters and digits, a hyphen for whatever is between them.</summary>
    private static string Label(string name) =>
        string.Join('-', string.Concat(name.Select(c => char.IsAsciiLetterOrDigit(c) ? c : ' ')).Split(' ', StringSplitOptions.RemoveEmptyEntries));
}
