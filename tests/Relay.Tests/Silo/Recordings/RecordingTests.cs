using System.IO.Compression;
using System.Net;
using System.Text;
using System.Text.Json;
using Relay.Protocol.Grid;
using Relay.Silo.Recordings;
using Relay.Silo.Storage;
using Relay.Tests.Silo.Grid;
using Relay.Tests.Silo.Sessions;

namespace Relay.Tests.Silo.Recordings;

/// <summary>Recordings on their way in, at rest, and on their way out.</summary>
public sealed class RecordingTests(SiloFixture fixture) : IClassFixture<SiloFixture>
{
    private const string Header = """{"version":2,"width":80,"height":24}""";
    private readonly TestSilo _silo = fixture.Silo;

    [Fact]
    public async Task What_was_sent_is_read_back_in_order_and_nothing_of_it_is_readable_at_rest()
    {
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1");
        var lines = Enumerable.Range(0, 40).Select(i => i == 0 ? Header : $"[{i}.0,\"o\",\"planted-output-{i}\"]").ToArray();
        for (var i = 0; i < lines.Length; i++)
            Assert.Equal(HttpStatusCode.NoContent, (await SendAsync(scene, i, lines[i] + "\n", last: i == lines.Length - 1, title: i == 0 ? "ubuntu@db\u0007" : null)).Status);
        Assert.Equal(string.Concat(lines.Select(l => l + "\n")), await ReadAsync(scene.Session));
        Assert.Equal(("ubuntu@db?", true), await _silo.QueryAsync<(string, bool)>("SELECT title, ended_at IS NOT NULL FROM recording WHERE session_id = @Session", new { scene.Session }));

        var dump = await _silo.Database.DumpAsync(TestContext.Current.CancellationToken);
        Assert.DoesNotContain("planted-output", dump, StringComparison.Ordinal);
        Assert.DoesNotContain(Convert.ToHexStringLower(Encoding.ASCII.GetBytes("planted-output")), dump, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_chunk_may_come_twice_but_not_before_its_predecessor_nor_after_the_last()
    {
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1");
        Assert.Equal((HttpStatusCode.Conflict, "gap"), await SendAsync(scene, 1, "x\n"));
        Assert.Equal(HttpStatusCode.NoContent, (await SendAsync(scene, 0, Header + "\n")).Status);
        Assert.Equal(HttpStatusCode.NoContent, (await SendAsync(scene, 0, "another\n")).Status);
        Assert.Equal((HttpStatusCode.Conflict, "gap"), await SendAsync(scene, 2, "x\n"));
        Assert.Equal(HttpStatusCode.NoContent, (await SendAsync(scene, 1, "one\n")).Status);
        Assert.Equal(HttpStatusCode.NoContent, (await SendAsync(scene, 2, "two\n", last: true)).Status);
        Assert.Equal(HttpStatusCode.NoContent, (await SendAsync(scene, 2, "two\n", last: true)).Status);
        Assert.Equal((HttpStatusCode.Conflict, "recording_ended"), await SendAsync(scene, 3, "three\n"));
        Assert.Equal(Header + "\none\ntwo\n", await ReadAsync(scene.Session));
    }

    [Fact]
    public async Task The_same_chunks_sent_by_many_at_once_are_stored_once()
    {
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1");
        for (var i = 0; i < 5; i++)
        {
            var sequence = i;
            var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => SendAsync(scene, sequence, $"line {sequence}\n")));
            Assert.All(answers, a => Assert.Equal(HttpStatusCode.NoContent, a.Status));
        }

        Assert.Equal("line 0\nline 1\nline 2\nline 3\nline 4\n", await ReadAsync(scene.Session));
    }

    [Fact]
    public async Task What_is_no_chunk_is_refused_and_a_bomb_is_not_inflated()
    {
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1");
        var good = Gzip(Encoding.UTF8.GetBytes(Header + "\n"));
        byte[][] bad = [[], [1, 2, 3], Encoding.UTF8.GetBytes("plain text, long enough to be a chunk"), good[..^1], good[..^4], good[..12], [.. good[..^8], 0, 0, 0, 0, .. good[^4..]], Gzip(new byte[5 * 1024 * 1024])];
        foreach (var chunk in bad)
            Assert.Equal((HttpStatusCode.BadRequest, "bad_chunk"), await SendRawAsync(scene, 0, chunk));

        // Claims to be small, and is not.
        var liar = Gzip(new byte[5 * 1024 * 1024]);
        liar.AsSpan(^4).Clear();
        Assert.Equal((HttpStatusCode.BadRequest, "bad_chunk"), await SendRawAsync(scene, 0, liar));
        Assert.Equal((HttpStatusCode.RequestEntityTooLarge, "too_large"), await SendRawAsync(scene, 0, new byte[RecordingLimits.MaxChunkBytes + 1]));
        Assert.Equal(0, await _silo.QueryAsync<int>("SELECT count(*)::int FROM recording_chunk WHERE session_id = @Session", new { scene.Session }));
    }

    [Fact]
    public async Task Another_gateway_a_session_without_recording_and_one_long_over_take_no_chunks()
    {
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1");
        Assert.Equal((HttpStatusCode.NotFound, "no_session"), await SendAsync(scene with { Gateway = _silo.Gateway("gw-2") }, 0, "x\n"));
        await _silo.WriteAsync("UPDATE session SET recording_state = 'disabled' WHERE session_id = @Session", new { scene.Session });
        Assert.Equal((HttpStatusCode.NotFound, "no_session"), await SendAsync(scene, 0, "x\n"));
        await _silo.WriteAsync("UPDATE session SET recording_state = 'recording', end_time = now() - interval '3 minutes' WHERE session_id = @Session", new { scene.Session });
        Assert.Equal((HttpStatusCode.NotFound, "no_session"), await SendAsync(scene, 0, "x\n"));
    }

    [Fact]
    public async Task A_recording_is_ready_when_session_and_recording_have_ended_in_either_order()
    {
        var before = await LiveSessionScene.OpenAsync(_silo, "gw-1");
        await SendAsync(before, 0, Header + "\n", last: true);
        Assert.Equal("recording", await StateAsync(before.Session));
        using (await before.Gateway.EndAsync(before.Session))
            Assert.Equal("ready", await StateAsync(before.Session));

        var after = await LiveSessionScene.OpenAsync(_silo, "gw-1");
        await SendAsync(after, 0, Header + "\n");
        using (await after.Gateway.EndAsync(after.Session))
            Assert.Equal("recording", await StateAsync(after.Session));
        await SendAsync(after, 1, "[1,\"o\",\"late\"]\n", last: true);
        Assert.Equal("ready", await StateAsync(after.Session));
    }

    // The last chunk is looked at while the session lives and written when it is over: neither may leave it to the sweep.
    [Fact]
    public async Task A_last_chunk_that_crosses_the_sessions_end_leaves_the_recording_ready()
    {
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1");
        await SendAsync(scene, 0, Header + "\n");
        await using var other = await _silo.Database.DataSource.OpenConnectionAsync(TestContext.Current.CancellationToken);
        await using var hold = await other.BeginBoundedAsync(BoundedTransaction.LongPatience, TestContext.Current.CancellationToken);
        await Dapper.SqlMapper.ExecuteAsync(other, "SELECT 1 FROM recording WHERE session_id = @Session FOR UPDATE", new { scene.Session }, hold);
        var last = SendAsync(scene, 1, "[1,\"o\",\"late\"]\n", last: true);
        await Eventually.TrueAsync(async () => await _silo.QueryAsync<int>("SELECT count(*)::int FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) OR NOT granted AND locktype = 'transactionid'") > 0, "the chunk waits");
        using (await scene.Gateway.EndAsync(scene.Session))
            Assert.Equal("recording", await StateAsync(scene.Session));
        await hold.RollbackAsync(TestContext.Current.CancellationToken);
        Assert.Equal(HttpStatusCode.NoContent, (await last).Status);
        Assert.Equal("ready", await StateAsync(scene.Session));
    }

    [Fact]
    public async Task A_recording_that_begins_after_its_session_was_killed_is_not_ready_before_its_end()
    {
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1");
        using (await scene.Gateway.EndAsync(scene.Session))
            Assert.Equal("ready", await StateAsync(scene.Session));
        await SendAsync(scene, 0, Header + "\n");
        Assert.Equal("recording", await StateAsync(scene.Session));
        await SendAsync(scene, 1, "[1,\"o\",\"x\"]\n", last: true);
        Assert.Equal("ready", await StateAsync(scene.Session));
    }

    [Fact]
    public async Task A_recording_that_lost_its_tail_has_failed_and_replays_what_is_there()
    {
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1");
        await SendAsync(scene, 0, Header + "\n");
        await SendAsync(scene, 1, "[1,\"o\",\"x\"]\n");
        using (await scene.Gateway.EndAsync(scene.Session))
            await _silo.WriteAsync("UPDATE session SET end_time = now() - interval '31 seconds' WHERE session_id = @Session", new { scene.Session });
        await _silo.Get<RecordingStates>().SweepAsync(TestContext.Current.CancellationToken);
        Assert.Equal("failed", await StateAsync(scene.Session));
        Assert.Equal(Header + "\n[1,\"o\",\"x\"]\n", await ReadAsync(scene.Session));
    }

    public static TheoryData<string, string, int> Damages => new()
    {
        { "a flipped byte", "UPDATE recording_chunk SET data = set_byte(data, 20, get_byte(data, 20) # 1) WHERE session_id = @Session AND seq = 1", 1 },
        { "a flipped nonce", "UPDATE recording_chunk SET data = set_byte(data, 5, get_byte(data, 5) # 1) WHERE session_id = @Session AND seq = 1", 1 },
        { "a cut chunk", "UPDATE recording_chunk SET data = substring(data for 10) WHERE session_id = @Session AND seq = 2", 2 },
        { "two chunks swapped", "UPDATE recording_chunk SET seq = CASE seq WHEN 11 THEN 2 ELSE 1 END WHERE session_id = @Session AND seq > 9", 1 },
        { "the middle missing", "DELETE FROM recording_chunk WHERE session_id = @Session AND seq = 1", 1 },
        { "the first missing", "DELETE FROM recording_chunk WHERE session_id = @Session AND seq = 0", 0 },
        { "the end missing", "DELETE FROM recording_chunk WHERE session_id = @Session AND seq = 3", 2 },
        { "everything missing", "DELETE FROM recording_chunk WHERE session_id = @Session", 0 },
        { "the end taken back", "UPDATE recording SET ended_at = NULL WHERE session_id = @Session", 3 },
        { "another recording's key", "UPDATE recording SET sealed_key = (SELECT sealed_key FROM recording WHERE session_id <> @Session LIMIT 1) WHERE session_id = @Session", 0 },
    };

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task Damage_at_rest_is_seen_at_the_chunk_where_it_is(string damage, string sql, int at)
    {
        var other = await LiveSessionScene.OpenAsync(_silo, "gw-1");
        await SendAsync(other, 0, Header + "\n");
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1");
        for (var i = 0; i < 4; i++)
            await SendAsync(scene, i, $"line {i}\n", last: i == 3);
        if (damage == "two chunks swapped")
            await _silo.WriteAsync("UPDATE recording_chunk SET seq = seq + 10 WHERE session_id = @Session AND seq IN (1, 2)", new { scene.Session });
        await _silo.WriteAsync(sql, new { scene.Session });
        var error = await Assert.ThrowsAsync<RecordingDamagedException>(() => ReadAsync(scene.Session));
        Assert.Equal(at, error.Sequence);
    }

    [Fact]
    public async Task There_is_no_recording_where_none_was_made()
    {
        var scene = await LiveSessionScene.OpenAsync(_silo, "gw-1");
        await Assert.ThrowsAsync<RecordingNotFoundException>(() => ReadAsync(scene.Session));
    }

    [Fact]
    public void No_two_chunks_share_a_nonce_even_when_sent_again_with_other_content()
    {
        var key = new byte[RecordingCipher.KeyBytes];
        using var cipher = new RecordingCipher(key, Guid.NewGuid(), 0);
        var nonces = new HashSet<string>();
        for (var i = 0; i < 1000; i++)
            Assert.True(nonces.Add(Convert.ToHexString(cipher.Seal(i % 10, false, "x"u8).AsSpan(0, 12))));
    }

    private async Task<(HttpStatusCode Status, string? Code)> SendAsync(LiveSessionScene scene, int sequence, string lines, bool last = false, string? title = null) =>
        await SendRawAsync(scene, sequence, Gzip(Encoding.UTF8.GetBytes(lines)), last, title);

    private static async Task<(HttpStatusCode Status, string? Code)> SendRawAsync(LiveSessionScene scene, int sequence, byte[] chunk, bool last = false, string? title = null)
    {
        var path = $"{GridRoutes.RecordingChunk(scene.Session, 0, sequence)}?last={(last ? "true" : "false")}{(title is null ? "" : "&title=" + Uri.EscapeDataString(title))}";
        using var response = await scene.Gateway.PostAsync(path, new ByteArrayContent(chunk));
        if (response.IsSuccessStatusCode)
            return (response.StatusCode, null);
        var body = await response.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken);
        return (response.StatusCode, JsonSerializer.Deserialize(body, GridJson.Default.GridError)!.Code);
    }

    private static byte[] Gzip(byte[] content)
    {
        using var buffer = new MemoryStream();
        using (var gzip = new GZipStream(buffer, CompressionLevel.Fastest))
            gzip.Write(content);
        return buffer.ToArray();
    }

    private async Task<string> ReadAsync(Guid session)
    {
        var text = new StringBuilder();
        await foreach (var piece in _silo.Get<IRecordingReader>().ReadAsync(session, 0, TestContext.Current.CancellationToken))
            text.Append(Encoding.UTF8.GetString(piece.Span));
        return text.ToString();
    }

    private Task<string> StateAsync(Guid session) => _silo.QueryAsync<string>("SELECT recording_state FROM session WHERE session_id = @session", new { session });
}
