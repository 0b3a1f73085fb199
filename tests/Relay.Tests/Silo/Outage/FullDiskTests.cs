using System.Net;
using System.Security.Cryptography;
using Relay.TestKit;
using Relay.TestKit.Processes;
using Relay.Tests.Silo.Sessions;

namespace Relay.Tests.Silo.Outage;

/// <summary>The disk that history waits on takes no more, on a file system that is really full.</summary>
public sealed class FullDiskTests : IAsyncLifetime
{
    private readonly TempDir _state = new("relay-full-");

    public async ValueTask InitializeAsync()
    {
        var mounted = await Command.RunAsync("mount", ["-t", "tmpfs", "-o", "size=4m,mode=0711", "relay-test", _state.Path]);
        Assert.True(mounted.ExitCode == 0, $"a small file system is needed: {mounted}");
    }

    public async ValueTask DisposeAsync()
    {
        await Command.RunAsync("umount", ["-l", _state.Path]);
        _state.Dispose();
    }

    [Fact]
    public async Task Nothing_that_was_taken_is_lost_what_is_not_taken_is_refused_with_the_reason_and_it_goes_on_when_there_is_space()
    {
        await using var outage = await OutageScene.StartAsync(state: _state.Path);
        var live = await LiveSessionScene.OpenAsync(outage.Silo, "gw-1");
        var socket = await outage.Silo.QueryAsync<string>("SELECT name FROM socket WHERE socket_id = @Socket", new { live.Socket });
        // What could wait would else be tried just when there is no space, and a draft be left.
        await outage.KeptAsync();
        var ballast = _state.File("ballast");
        await File.WriteAllBytesAsync(ballast, new byte[1024 * 1024], TestContext.Current.CancellationToken);
        await outage.CutAsync(Outage.Refused);
        Assert.Equal("0", await outage.MetricAsync("relay_spool_full"));

        // Recordings until the disk takes no more, then facts until it takes none of these either.
        var sent = 0;
        (HttpStatusCode Status, string? Code) answer;
        while ((answer = await OutageScene.SendChunkAsync(live.Gateway, live.Session, sent, Line(sent))).Status == HttpStatusCode.NoContent)
            sent++;
        Assert.Equal((HttpStatusCode.InsufficientStorage, "spool_full"), answer);
        var events = 0;
        while ((answer = await OutageScene.SendEventAsync(live.Gateway, live.Session, "shell", events)).Status == HttpStatusCode.NoContent)
            events++;
        Assert.Equal((HttpStatusCode.InsufficientStorage, "spool_full"), answer);

        // Said wherever somebody looks, and to the user who comes now; the disk does not fill with attempts.
        var health = await outage.HealthAsync();
        Assert.Contains("history cannot be kept here", health.GetProperty("status").GetString(), StringComparison.Ordinal);
        Assert.Equal("the silo's disk is full", health.GetProperty("spool").GetProperty("problem").GetString());
        Assert.Equal("1", await outage.MetricAsync("relay_spool_full"));
        var files = Directory.GetFiles(_state.Path, "*", SearchOption.AllDirectories).Length;
        for (var i = 0; i < 20; i++)
        {
            // Not a refusal, so that the gateway asks another silo.
            var refused = await OutageScene.TryOpenAsync(live.Gateway, outage.Silo.Certificate(live.User).Blob, socket);
            Assert.Equal(HttpStatusCode.InsufficientStorage, refused.Status);
            Assert.EndsWith("there is no place for this session, which has to be recorded: the silo's disk is full", refused.Message, StringComparison.Ordinal);
            Assert.DoesNotContain(_state.Path, refused.Message, StringComparison.Ordinal);
        }

        Assert.InRange(Directory.GetFiles(_state.Path, "*", SearchOption.AllDirectories).Length, 1, files);

        // An end that finds no place stays in memory.
        Assert.NotEqual(HttpStatusCode.NotFound, (await live.Gateway.EndAsync(live.Session, "recording failed")).StatusCode);

        File.Delete(ballast);
        await Eventually.TrueAsync(async () => (await outage.HealthAsync()).GetProperty("spool").TryGetProperty("problem", out _) == false, "it is written again");
        Assert.Equal("0", await outage.MetricAsync("relay_spool_full"));
        var opened = await live.Gateway.OpenAsync(outage.Silo.Certificate(live.User).Blob, socket);
        Assert.True(opened.Allowed, opened.Message);
        Assert.Equal((HttpStatusCode.NoContent, null), await OutageScene.SendChunkAsync(live.Gateway, opened.SessionId, 0, "again\n", last: true));

        await outage.HealAsync();
        Assert.Equal(string.Concat(Enumerable.Range(0, sent).Select(Line)), await outage.ReadRecordingAsync(live.Session));
        Assert.Equal(events, await outage.CountAsync("session_event WHERE session_id = @session AND type = 'shell'", live.Session));
        await Eventually.TrueAsync(async () => await live.OutcomeAsync() == "recording failed", "its end is there");
        Assert.Equal("again\n", await outage.ReadRecordingAsync(opened.SessionId));
    }

    // Of the same number the same: not to be compressed.
    private static string Line(int number) => string.Concat(Enumerable.Range(0, 600).Select(i => Convert.ToHexString(SHA256.HashData([(byte)number, (byte)(number >> 8), (byte)i, (byte)(i >> 8)])))) + "\n";
}
