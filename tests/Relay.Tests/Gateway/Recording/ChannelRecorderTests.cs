using System.Collections.Concurrent;
using System.IO.Compression;
using System.Text;
using System.Text.Json;
using Relay.Gateway.Recording;
using Relay.Silo.Recordings;
using Relay.TestKit;

namespace Relay.Tests.Gateway.Recording;

public sealed class ChannelRecorderTests
{
    private static readonly AsciicastHeader s_header = new(80, 24, DateTimeOffset.UnixEpoch, "ann@db", null, "xterm");

    [Fact]
    public async Task A_batch_is_shipped_a_second_after_its_first_byte()
    {
        var time = new ManualTimeProvider();
        var store = new MemoryStore();
        await using var recorder = new ChannelRecorder(store, 0, s_header, terminal: true, recordInput: false, time, _ => Assert.Fail("must not fail"));
        await recorder.OutputAsync("hello"u8.ToArray(), stderr: false);
        await Until(() => { time.Advance(TimeSpan.FromMilliseconds(100)); return store.Chunks.Count == 1; });
        Assert.Contains("hello", store.Text());
        Assert.False(store.Chunks.Single().Last);
    }

    [Fact]
    public async Task A_channel_that_ends_after_a_silent_second_still_gets_its_last_chunk()
    {
        var time = new ManualTimeProvider();
        var store = new MemoryStore();
        await using var recorder = new ChannelRecorder(store, 0, s_header, terminal: true, recordInput: false, time, _ => Assert.Fail("must not fail"));
        await recorder.OutputAsync("hello"u8.ToArray(), stderr: false);
        await Until(() => { time.Advance(TimeSpan.FromMilliseconds(100)); return store.Chunks.Count == 1; });
        await recorder.CompleteAsync();
        Assert.Equal([false, true], store.Chunks.Select(c => c.Last));
    }

    [Fact]
    public async Task A_big_batch_is_shipped_without_waiting()
    {
        var store = new MemoryStore();
        await using var recorder = new ChannelRecorder(store, 0, s_header, terminal: true, recordInput: false, new ManualTimeProvider(), _ => Assert.Fail("must not fail"));
        await recorder.OutputAsync(new byte[70_000].Select(_ => (byte)'x').ToArray(), stderr: false);
        await Until(() => !store.Chunks.IsEmpty);
    }

    [Fact]
    public async Task Chunks_come_in_order_without_gaps_and_hold_every_byte()
    {
        var store = new MemoryStore();
        var expected = new StringBuilder();
        await using (var recorder = new ChannelRecorder(store, 3, s_header, terminal: true, recordInput: false, TimeProvider.System, _ => Assert.Fail("must not fail")))
        {
            for (var i = 0; i < 3000; i++)
            {
                var line = $"line {i} äöü €\r\n";
                expected.Append(line);
                await recorder.OutputAsync(Encoding.UTF8.GetBytes(line).AsMemory(), stderr: i % 7 == 0);
            }

            recorder.Resize(100, 30);
        }

        Assert.Equal(Enumerable.Range(0, store.Chunks.Count), store.Chunks.Select(c => c.Sequence));
        Assert.All(store.Chunks, c => Assert.Equal(3, c.Recording));
        Assert.True(store.Chunks.Last().Last);
        Assert.Equal("ann@db", store.Chunks.First().Title);
        Assert.Equal(expected.ToString(), store.Text());
        Assert.Contains(store.Lines(), l => l.EndsWith("\"r\", \"100x30\"]", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_store_that_lags_makes_the_writer_wait_and_memory_stays_bounded()
    {
        var gate = new TaskCompletionSource();
        var store = new MemoryStore { Gate = gate.Task };
        await using var recorder = new ChannelRecorder(store, 0, s_header, terminal: true, recordInput: false, TimeProvider.System, _ => Assert.Fail("must not fail"));
        var written = 0;
        var packet = Enumerable.Repeat((byte)'y', 32 * 1024).ToArray();
        ValueTask pending = default;
        while (written < 100 && (pending = recorder.OutputAsync(packet, stderr: false)).IsCompleted)
        {
            await pending;
            written++;
        }

        // One chunk under way and one full batch, never more.
        Assert.InRange(written, 2, 16);
        gate.SetResult();
        await pending;
    }

    [Fact]
    public async Task A_store_that_fails_fails_every_later_write()
    {
        var failed = new TaskCompletionSource<RecordingFailedException>();
        var store = new MemoryStore { Failure = new RecordingFailedException("no space") };
        await using var recorder = new ChannelRecorder(store, 0, s_header, terminal: true, recordInput: false, TimeProvider.System, failed.SetResult);
        await recorder.OutputAsync(new byte[70_000], stderr: false);
        Assert.Equal("no space", (await failed.Task).Message);
        await Assert.ThrowsAsync<RecordingFailedException>(async () => await recorder.OutputAsync("x"u8.ToArray(), stderr: false));
        await Assert.ThrowsAsync<RecordingFailedException>(async () => await recorder.InputAsync("x"u8.ToArray()));
        await Assert.ThrowsAsync<RecordingFailedException>(async () => await recorder.CompleteAsync());
    }

    [Fact]
    public async Task Without_a_terminal_output_is_kept_up_to_the_cap_and_counted_beyond()
    {
        var store = new MemoryStore();
        await using (var recorder = new ChannelRecorder(store, 0, s_header, terminal: false, recordInput: false, TimeProvider.System, _ => Assert.Fail("must not fail")))
        {
            var packet = Enumerable.Repeat((byte)'z', 30_000).ToArray();
            for (var i = 0; i < 100; i++)
            {
                await recorder.OutputAsync(packet, stderr: false);
            }

            await recorder.InputAsync(packet);
        }

        Assert.Equal(ChannelRecorder.BulkCapBytes, store.Text().Length);
        Assert.Contains(store.Lines(), l => l.Contains("\"m\"", StringComparison.Ordinal) && l.Contains("3000000 bytes out, 30000 bytes in", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Input_is_recorded_only_when_policy_says_so_and_a_password_never()
    {
        foreach (var recordInput in new[] { true, false })
        {
            var store = new MemoryStore();
            await using (var recorder = new ChannelRecorder(store, 0, s_header, terminal: true, recordInput, TimeProvider.System, _ => Assert.Fail("must not fail")))
            {
                await recorder.InputAsync("id\r"u8.ToArray());
                await recorder.OutputAsync("id\r\nuid=0\r\nPassword: "u8.ToArray(), stderr: false);
                await recorder.InputAsync("hunter2\r"u8.ToArray());
                await recorder.OutputAsync("\r\nok\r\n"u8.ToArray(), stderr: false);
            }

            Assert.Equal(recordInput ? "id\r[hidden]\r" : "", store.Text('i'));
            Assert.DoesNotContain("hunter2", string.Join('\n', store.Lines()), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Times_never_go_back()
    {
        var store = new MemoryStore();
        await using (var recorder = new ChannelRecorder(store, 0, s_header, terminal: true, recordInput: true, TimeProvider.System, _ => Assert.Fail("must not fail")))
        {
            for (var i = 0; i < 200; i++)
            {
                await recorder.InputAsync("a"u8.ToArray());
                await recorder.OutputAsync("a"u8.ToArray(), stderr: false);
            }
        }

        var times = store.Lines().Skip(1).Select(l => JsonDocument.Parse(l).RootElement[0].GetDouble()).ToArray();
        Assert.Equal(400, times.Length);
        Assert.Equal(times.Order(), times);
    }

    private static async Task Until(Func<bool> condition)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        deadline.CancelAfter(TimeSpan.FromSeconds(40));
        while (!condition())
        {
            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, deadline.Token);
        }
    }

    private sealed class MemoryStore : IRecordingStore
    {
        public ConcurrentQueue<(int Recording, int Sequence, string Text, string? Title, bool Last)> Chunks { get; } = new();

        public Task Gate { get; init; } = Task.CompletedTask;

        public RecordingFailedException? Failure { get; init; }

        public async Task StoreAsync(int recording, int sequence, ReadOnlyMemory<byte> gzip, string? title, bool last, CancellationToken cancellationToken)
        {
            await Gate;
            if (Failure is not null)
            {
                throw Failure;
            }

            Assert.True(gzip.Length <= 256 * 1024);
            // The silo's own reading: what it would refuse is not stored here either.
            Assert.NotNull(ChunkInflater.TryInflate(gzip));
            using var reader = new StreamReader(new GZipStream(new MemoryStream(gzip.ToArray()), CompressionMode.Decompress), new UTF8Encoding(false, true));
            Chunks.Enqueue((recording, sequence, await reader.ReadToEndAsync(cancellationToken), title, last));
        }

        public string[] Lines() => string.Concat(Chunks.Select(c => c.Text)).Split('\n', StringSplitOptions.RemoveEmptyEntries);

        public string Text(char code = 'o') =>
            string.Concat(Lines().Skip(1).Select(l => JsonDocument.Parse(l).RootElement).Where(e => e[1].GetString() == code.ToString()).Select(e => e[2].GetString()));
    }
}
