using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Relay.Chaos.Grid;
using Relay.Chaos.History;
using Relay.Chaos.Load;

namespace Relay.Chaos.Run;

/// <summary>When everybody has left: what the store says of the sessions, and whether the recordings show what their users saw.</summary>
internal sealed class Aftermath(ChaosGrid grid)
{
    /// <summary>Rows of sessions whose gateway or silo died are ended by a reaper.</summary>
    private static readonly TimeSpan SettleLimit = TimeSpan.FromSeconds(60);

    private const int Replays = 60;
    private readonly RunHistory _history = grid.History;

    public async Task ReadAsync(IReadOnlyCollection<EchoSession> sessions)
    {
        await SettleAsync();
        var unfinished = await ReadRowsAsync();
        await ReplayAsync(sessions, unfinished);
    }

    private async Task SettleAsync()
    {
        var begin = Stopwatch.GetTimestamp();
        await using var store = grid.Store.Open();
        while (Stopwatch.GetElapsedTime(begin) < SettleLimit)
        {
            await using var command = store.CreateCommand("SELECT count(*) FROM session WHERE \"authorization\" = 'allowed' AND (end_time IS NULL OR recording_state = 'recording')");
            if ((long)(await command.ExecuteScalarAsync())! == 0)
                return;
            await Task.Delay(TimeSpan.FromMilliseconds(500), TimeProvider.System);
        }
    }

    /// <returns>Sessions whose recording is not "ready".</returns>
    private async Task<HashSet<Guid>> ReadRowsAsync()
    {
        var unfinished = new HashSet<Guid>();
        await using var store = grid.Store.Open();
        await using (var command = store.CreateCommand("SELECT session_id, gateway, silo, outcome, \"authorization\" = 'allowed', end_time IS NULL, recording_state FROM session"))
        await using (var reader = await command.ExecuteReaderAsync())
        {
            while (await reader.ReadAsync())
            {
                var live = reader.GetBoolean(5);
                _history.Add(new HistoryEvent(_history.Now, Kinds.Row)
                {
                    Session = reader.GetGuid(0), Gateway = reader.GetString(1), Silo = grid.Network.NodeAt(reader.GetString(2)),
                    Reason = live ? null : reader.GetString(3), Good = reader.GetBoolean(4),
                });
                if (reader.GetString(6) != "ready")
                    unfinished.Add(reader.GetGuid(0));
            }
        }

        await using (var command = store.CreateCommand("SELECT session_id, (metadata->>'seq')::int, count(*)::int FROM session_event WHERE metadata ? 'seq' GROUP BY 1, 2"))
        await using (var reader = await command.ExecuteReaderAsync())
        {
            while (await reader.ReadAsync())
                _history.Add(new HistoryEvent(_history.Now, Kinds.EventRow) { Session = reader.GetGuid(0), Id = reader.GetInt32(1), Count = reader.GetInt32(2) });
        }

        await using var chunks = store.CreateCommand("SELECT session_id, recording_no, min(seq), max(seq), count(*)::int FROM recording_chunk GROUP BY 1, 2");
        await using var rows = await chunks.ExecuteReaderAsync();
        while (await rows.ReadAsync())
            _history.Add(new HistoryEvent(_history.Now, Kinds.RecordingRow) { Session = rows.GetGuid(0), Id = rows.GetInt32(1), First = rows.GetInt32(2), Last = rows.GetInt32(3), Count = rows.GetInt32(4) });
        return unfinished;
    }

    private async Task ReplayAsync(IReadOnlyCollection<EchoSession> sessions, HashSet<Guid> unfinished)
    {
        var ids = _history.Snapshot().Where(e => e.Kind == Kinds.SessionOpened && e.Client is not null).DistinctBy(e => e.Client).ToDictionary(e => e.Client!, e => e.Session!.Value);
        // Those first that something has happened to.
        var known = sessions.Where(s => ids.ContainsKey(s.Client) && s.Seen.Count > 0).OrderByDescending(s => unfinished.Contains(ids[s.Client])).ThenBy(s => s.Client, StringComparer.Ordinal);
        foreach (var session in known.Take(Replays))
            _history.Add(await CompareAsync(session, ids[session.Client]));
    }

    private async Task<HistoryEvent> CompareAsync(EchoSession session, Guid id)
    {
        var empty = new HistoryEvent(_history.Now, Kinds.Replay) { Client = session.Client, Session = id, Good = true, First = 0, Last = -1, Count = 0, LastAt = session.Seen[0] };
        string cast;
        try
        {
            cast = await grid.Api.TextAsync(HttpMethod.Get, $"sessions/{id}/recordings/0");
        }
        catch (HttpRequestException e) when (e.StatusCode == System.Net.HttpStatusCode.NotFound)
        {
            return empty;
        }

        var lines = Output(cast).Split('\n')[..^1];
        for (var i = 0; i < lines.Length; i++)
        {
            if (lines[i] != i.ToString(CultureInfo.InvariantCulture))
                return empty with { Good = false, Reason = $"its line {i} is '{lines[i]}'", Last = i - 1, Count = lines.Length, LastAt = null };
        }

        return empty with { Last = lines.Length - 1, Count = lines.Length, LastAt = lines.Length < session.Seen.Count ? session.Seen[lines.Length] : null };
    }

    // asciicast v2: a header, then [time, code, data] per line.
    private static string Output(string cast)
    {
        var output = new StringBuilder();
        foreach (var line in cast.Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(1))
        {
            using var document = JsonDocument.Parse(line);
            if (document.RootElement[1].GetString() == "o")
                output.Append(document.RootElement[2].GetString());
        }

        return output.ToString();
    }
}
