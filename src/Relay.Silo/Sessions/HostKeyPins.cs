using System.Text.Json.Nodes;
using Npgsql;
using Relay.Protocol.Grid;
using Relay.Protocol.Ssh;
using Relay.Silo.Snapshots;
using Relay.Silo.Storage;

namespace Relay.Silo.Sessions;

/// <summary>Pins a target's host key on first use, for administrators only; a pinned key is changed by nothing but the API.</summary>
internal sealed class HostKeyPins(NpgsqlDataSource database, SnapshotCell snapshots)
{
    public async Task<HostKeyResponse> CheckAsync(SessionFacts session, SshPublicKey key, string requestId, CancellationToken cancellationToken)
    {
        var snapshot = snapshots.Find(session.OrganizationId);
        if (snapshot is null || !snapshot.Sockets.TryGetValue(session.SocketId, out var socket) || !snapshot.Users.TryGetValue(session.UserId, out var user))
            return new HostKeyResponse(false, "the socket does not exist any more");
        if (socket.HostKeys.Count > 0)
            return Compare(socket.Name, socket.HostKeys, key);
        if (socket.Target is { IsBuiltIn: true })
            return new HostKeyResponse(false, $"the connector of {socket.Name} has not said which host key its SSH service has: update the connector");
        if (!user.IsAdministrator)
            return new HostKeyResponse(false, $"the host key of {socket.Name} ({key.Fingerprint}) is not known yet: an administrator has to connect first, or set it with the API");

        var actor = new Actor(session.OrganizationId, session.UserId, session.Email, session.ClientIp.ToString(), requestId);
        await using var write = await OrganizationWrite.BeginAsync(database, actor, cancellationToken);
        // Two administrators may be first at once: the condition lets one of them pin, the other is compared with it.
        var pinned = await write.ExecuteAsync(
            "UPDATE socket SET host_keys = ARRAY[@line], version = version + 1 WHERE socket_id = @id AND organization_id = @organization AND host_keys = '{}'",
            new { line = key.ToLine(), id = session.SocketId, organization = session.OrganizationId });
        if (pinned == 1)
        {
            await write.AuditAsync("socket.host_key.pin", "socket", session.SocketId.ToString("D"), new JsonObject
            {
                ["fingerprint"] = key.Fingerprint,
                ["session_id"] = session.Id.ToString("D"),
            });
            await write.CommitAsync();
            return new HostKeyResponse(true, $"host key {key.Fingerprint} of {socket.Name} pinned");
        }

        var lines = await write.QuerySingleAsync<string[]>("SELECT host_keys FROM socket WHERE socket_id = @id", new { id = session.SocketId });
        return Compare(socket.Name, lines ?? [], key);
    }

    private static HostKeyResponse Compare(string socketName, IReadOnlyList<string> lines, SshPublicKey key)
    {
        foreach (var line in lines)
        {
            if (SshPublicKey.TryParseLine(line, out var pinned, out _, out _) && pinned.Blob.Span.SequenceEqual(key.Blob.Span))
                return new HostKeyResponse(true, null);
        }

        return new HostKeyResponse(false, $"the host key {key.Fingerprint} is not one of the keys pinned for {socketName}: if the target was reinstalled, an administrator updates them");
    }
}
