using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Relay.Silo.Secrets;
using Relay.Silo.Spool;
using Relay.Silo.Storage;
using Relay.TestKit;
using Xunit;
using SpoolQueue = Relay.Silo.Spool.Spool;

namespace Relay.Tests.Silo.Spool;

public sealed class SpoolTests : IDisposable
{
    private readonly TempDir _folder = new("relay-spool-");
    private readonly SecretVault _vault = new(MasterKey.FromBytes(RandomNumberGenerator.GetBytes(32)));

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task What_was_appended_is_read_in_order_also_after_a_restart_and_never_again_once_delivered()
    {
        using (var spool = Open())
        {
            Assert.True(spool.IsEmpty);
            Assert.Null(spool.Read(10, 1000));
            for (var i = 0; i < 100; i++)
                await spool.AppendAsync(Text($"record {i}"), bulk: false);
            Assert.Equal(100, spool.Records);
            var batch = spool.Read(30, int.MaxValue)!;
            Assert.Equal(Enumerable.Range(0, 30).Select(i => $"record {i}"), Texts(batch));
            Assert.Equal(Texts(batch), Texts(spool.Read(30, int.MaxValue)!));
            spool.Delivered(batch);
            Assert.Equal(70, spool.Records);
        }

        // What a delivered record leaves is its file, until all of it is delivered: the store has to know it again by its id.
        using (var spool = Open())
        {
            Assert.Equal(100, spool.Records);
            Assert.NotNull(spool.Oldest);
            Assert.Equal(Enumerable.Range(0, 100).Select(i => $"record {i}"), Drain(spool));
            Assert.True(spool.IsEmpty);
            Assert.Equal((0, 0, null), (spool.Records, spool.Bytes, spool.Oldest));
        }

        using (var spool = Open())
            Assert.True(spool.IsEmpty);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Many_writers_and_a_reader_with_restarts_between_lose_nothing_and_keep_each_writers_order(int seed)
    {
        var random = new Random(seed);
        var delivered = new List<string>();
        var written = new List<string>();
        for (var round = 0; round < 6; round++)
        {
            using var spool = Open(segment: 2000);
            using var stop = new CancellationTokenSource();
            var budget = random.Next(0, 20);
            var reading = Task.Run(async () =>
            {
                while (budget > 0 && (!stop.IsCancellationRequested || !spool.IsEmpty))
                {
                    if (spool.Read(1 + (budget % 7), 1500) is { } batch)
                    {
                        delivered.AddRange(Texts(batch));
                        spool.Delivered(batch);
                        budget--;
                    }
                    else
                    {
                        await spool.WaitAsync(TimeSpan.FromMilliseconds(50), CancellationToken.None);
                    }
                }
            }, TestContext.Current.CancellationToken);
            await Task.WhenAll(Enumerable.Range(0, 8).Select(writer => Task.Run(async () =>
            {
                for (var i = 0; i < 20; i++)
                {
                    var text = $"{round:D2}.{writer}.{i:D2} {new string('x', (writer * 37) + i)}";
                    await spool.AppendAsync(Text(text), bulk: i % 2 == 0);
                    lock (written)
                        written.Add(text);
                }
            })));
            await stop.CancelAsync();
            await reading;
        }

        using (var rest = Open(segment: 2000))
            delivered.AddRange(Drain(rest));
        // A restart gives back the delivered part of a file that is not delivered whole: again, but nothing is missing and nothing unknown.
        Assert.Equal(written.Order(StringComparer.Ordinal), delivered.Distinct().Order(StringComparer.Ordinal));
        foreach (var writer in written.GroupBy(w => w[..4]))
        {
            var last = delivered.Where(d => d[..4] == writer.Key).Reverse().DistinctBy(d => d).Reverse().ToArray();
            Assert.Equal(last.Order(StringComparer.Ordinal), last);
        }
    }

    [Fact]
    public async Task A_file_cut_at_any_length_gives_every_whole_record_and_says_what_was_acknowledged_and_is_missing()
    {
        var (file, ends) = await WriteAsync("one", "second", "the third record", "4");
        for (var length = 0; length <= file.Length; length++)
        {
            var path = _folder.File($"cut-{length}/00000000000000000001.seg");
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllBytes(path, file[..length]);
            if (length < ends[0])
            {
                Assert.Throws<InvalidDataException>(() => SpoolSegment.Open(path, _vault));
                continue;
            }

            using var segment = SpoolSegment.Open(path, _vault);
            Assert.Equal(ends.Count(end => end <= length) - 1, segment.Found);
            Assert.Equal(length < file.Length, segment.IsDamaged);
            Assert.Equal(ends.Last(end => end <= length), segment.End);
        }
    }

    [Fact]
    public async Task A_write_torn_at_any_byte_before_it_was_acknowledged_is_dropped_and_is_no_damage()
    {
        var (file, ends) = await WriteAsync("one", "second", "the third record", "4");
        foreach (var acknowledged in ends)
        {
            BinaryPrimitives.WriteInt64LittleEndian(file.AsSpan(SpoolFormat.MarkOffset), acknowledged);
            for (var length = acknowledged; length <= file.Length; length++)
            {
                var path = _folder.File($"torn-{acknowledged}-{length}/00000000000000000001.seg");
                Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                File.WriteAllBytes(path, file[..length]);
                using var segment = SpoolSegment.Open(path, _vault);
                Assert.False(segment.IsDamaged);
                Assert.Equal(ends.Count(end => end <= length) - 1, segment.Found);
            }
        }
    }

    [Fact]
    public async Task A_changed_byte_anywhere_costs_at_most_its_record_and_is_never_taken_for_one()
    {
        string[] texts = ["one", "second", "the third record", "4"];
        var (file, ends) = await WriteAsync(texts);
        for (var i = 0; i < file.Length; i++)
        {
            // A mark that was changed can only say too much or too little; what is read does not depend on it.
            if (i is >= SpoolFormat.MarkOffset and < SpoolFormat.MarkOffset + 8)
                continue;
            var changed = file.ToArray();
            changed[i] ^= 0x41;
            var folder = _folder.File($"changed-{i}");
            Directory.CreateDirectory(folder);
            File.WriteAllBytes(Path.Combine(folder, "00000000000000000001.seg"), changed);
            using var spool = Open(folder: folder);
            var read = Drain(spool);
            Assert.Equal(read, texts.Where(read.Contains));
            var hit = ends.FindIndex(end => i < end) - 1;
            // A changed length hides what follows; anything else costs its own record only.
            var lengthHit = hit >= 0 && i - ends[hit] < 4;
            Assert.Equal(hit < 0 ? 0 : lengthHit ? read.Count : texts.Length - 1, read.Count);
            if (lengthHit)
                Assert.Equal(texts[..hit], read.Take(hit));
            // The damaged file is kept for whoever wants to look.
            Assert.Single(Directory.GetFiles(folder, "*.damaged"));
        }
    }

    [Fact]
    public async Task A_segment_does_not_open_under_another_name_or_another_master_key()
    {
        var (file, _) = await WriteAsync("one");
        var path = _folder.File("other/00000000000000000002.seg");
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllBytes(path, file);
        Assert.Throws<StorageException>(() => SpoolSegment.Open(path, _vault));
        var own = Path.Combine(Path.GetDirectoryName(path)!, "00000000000000000001.seg");
        File.Move(path, own);
        Assert.Throws<StorageException>(() => SpoolSegment.Open(own, new SecretVault(MasterKey.FromBytes(RandomNumberGenerator.GetBytes(32)))));
        using var segment = SpoolSegment.Open(own, _vault);
        Assert.Equal(1, segment.Found);
        Assert.Equal(-1, file.AsSpan().IndexOf("one"u8));
    }

    [Fact]
    public async Task At_its_limit_recordings_are_refused_first_then_facts_and_what_was_taken_stays()
    {
        using var spool = Open(limit: 64 * 1024);
        var taken = 0;
        Assert.Null(spool.Refusal);
        var refused = await Assert.ThrowsAsync<SpoolFullException>(() => FillAsync(bulk: true));
        Assert.Contains("full", refused.Message, StringComparison.Ordinal);
        Assert.NotEqual(0, taken);
        var bulk = taken;
        await Assert.ThrowsAsync<SpoolFullException>(() => FillAsync(bulk: false));
        Assert.True(taken > bulk);
        Assert.True(spool.Bytes <= 64 * 1024);
        Assert.Equal(taken, Drain(spool).Count);
        await spool.AppendAsync(new byte[1000], bulk: true);
        Assert.Null(spool.Refusal);

        async Task FillAsync(bool bulk)
        {
            while (true)
            {
                await spool.AppendAsync(new byte[1000], bulk);
                taken++;
            }
        }
    }

    [Fact]
    public async Task A_disk_that_takes_nothing_refuses_and_the_next_append_tries_again()
    {
        var folder = _folder.File("gone");
        using var spool = Open(folder: folder);
        var elsewhere = _folder.File("elsewhere");
        Directory.Move(folder, elsewhere);
        await Assert.ThrowsAsync<SpoolFullException>(() => spool.AppendAsync(Text("lost"), bulk: false));
        Assert.True(spool.IsEmpty);
        Directory.Move(elsewhere, folder);
        await spool.AppendAsync(Text("kept"), bulk: false);
        Assert.Equal(["kept"], Drain(spool));
    }

    [Fact]
    public void A_spool_has_one_owner()
    {
        using var spool = Open();
        Assert.Contains("in use", Assert.Throws<StorageException>(() => Open()).Message, StringComparison.Ordinal);
    }

    private static ReadOnlyMemory<byte> Text(string text) => Encoding.UTF8.GetBytes(text);

    private static List<string> Texts(SpoolBatch batch) => [.. batch.Records.Select(r => Encoding.UTF8.GetString(r.Payload.Span))];

    private static List<string> Drain(SpoolQueue spool)
    {
        var all = new List<string>();
        while (spool.Read(7, 10_000) is { } batch)
        {
            all.AddRange(Texts(batch));
            spool.Delivered(batch);
        }

        return all;
    }

    private SpoolQueue Open(long limit = 1 << 20, int segment = 1 << 20, string? folder = null) => SpoolQueue.Open(
        new SpoolOptions { Directory = folder ?? _folder.File("spool"), LimitBytes = limit, SegmentBytes = segment }, _vault, TimeProvider.System, NullLogger.Instance);

    // The bytes of a segment with these records, all acknowledged, and where each record begins or, last, ends.
    private async Task<(byte[] File, List<int> Ends)> WriteAsync(params string[] texts)
    {
        var folder = _folder.File(Guid.NewGuid().ToString("N"));
        var ends = new List<int>();
        using (var spool = Open(folder: folder))
        {
            foreach (var text in texts)
                await spool.AppendAsync(Text(text), bulk: false);
        }

        var file = await File.ReadAllBytesAsync(Directory.GetFiles(folder, "*.seg").Single());
        Assert.True(SpoolFormat.TryReadHeader(file, out _, out var mark, out var first));
        Assert.Equal(file.Length, mark);
        ends.Add(first);
        foreach (var text in texts)
            ends.Add(ends[^1] + SpoolFormat.SizeOf(Encoding.UTF8.GetByteCount(text)));
        Assert.Equal(file.Length, ends[^1]);
        return (file, ends);
    }
}
