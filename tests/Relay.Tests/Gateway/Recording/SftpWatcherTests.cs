using System.Buffers.Binary;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Relay.Gateway.Recording;

namespace Relay.Tests.Gateway.Recording;

public sealed class SftpWatcherTests
{
    [Fact]
    public void Each_operation_is_told_once_however_the_stream_is_split()
    {
        byte[] stream =
        [
            .. Packet(1, Number(3)), // SSH_FXP_INIT has a version where others have an id
            .. Packet(3, Number(1), Text("/etc/shadow"), Number(0x1), Number(0)),
            .. Packet(3, Number(2), Text("/tmp/ü"), Number(0x2 | 0x8 | 0x10), Number(0)),
            .. Packet(6, Number(3), Text("handle"), Number(0), Number(0), Text(new string('x', 30_000))),
            .. Packet(13, Number(4), Text("/tmp/a")),
            .. Packet(18, Number(5), Text("/tmp/a"), Text("/tmp/b")),
            .. Packet(14, Number(6), Text("/tmp/d"), Number(0)),
            .. Packet(15, Number(7), Text("/tmp/d")),
            .. Packet(20, Number(8), Text("/tmp/l"), Text("/etc")),
            .. Packet(200, Number(9), Text("posix-rename@openssh.com"), Text("/a"), Text("/b")),
            .. Packet(200, Number(10), Text("statvfs@openssh.com"), Text("/a")),
            .. Packet(17, Number(11), Text("/stat/is/not/told")),
            .. Packet(11, Number(12), Text("/dir")),
        ];
        SftpOperation[] expected =
        [
            new("open", "/etc/shadow", null, "read"),
            new("open", "/tmp/ü", null, "write,create,truncate"),
            new("remove", "/tmp/a", null, null),
            new("rename", "/tmp/a", "/tmp/b", null),
            new("mkdir", "/tmp/d", null, null),
            new("rmdir", "/tmp/d", null, null),
            new("symlink", "/tmp/l", "/etc", null),
            new("posix-rename@openssh.com", "/a", "/b", null),
            new("opendir", "/dir", null, null),
        ];
        foreach (var step in new[] { 1, 2, 3, 5, 7, 64, 1000, stream.Length })
        {
            var told = new List<SftpOperation>();
            var watcher = new SftpWatcher(told.Add);
            foreach (var piece in stream.Chunk(step))
            {
                Assert.True(watcher.Push(piece));
            }

            Assert.Equal(expected, told);
            Assert.Equal(30_000, watcher.WrittenBytes);
        }
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(256u * 1024 + 1)]
    [InlineData(0xffffffffu)]
    public void A_length_that_is_none_breaks_the_stream(uint length)
    {
        var watcher = new SftpWatcher(_ => Assert.Fail("nothing was asked"));
        Assert.False(watcher.Push([.. Number(length), 3]));
        Assert.True(watcher.Broken);
        Assert.False(watcher.Push([1, 2, 3]));
    }

    [Fact]
    public void Strings_longer_than_their_packet_neither_throw_nor_read_on()
    {
        var told = new List<SftpOperation>();
        var watcher = new SftpWatcher(told.Add);
        Assert.True(watcher.Push([.. Packet(13, Number(1), Number(0xffffffff), Encoding.ASCII.GetBytes("/a")), .. Packet(14, Number(2), Text("/b"), Number(0))]));
        Assert.Equal(["/a", "/b"], told.Select(o => o.Path));
    }

    [Fact]
    public void A_path_beyond_the_limit_is_cut_and_the_next_packet_is_still_read()
    {
        var told = new List<SftpOperation>();
        var watcher = new SftpWatcher(told.Add);
        Assert.True(watcher.Push([.. Packet(13, Number(1), Text(new string('p', 100_000))), .. Packet(13, Number(2), Text("/b"))]));
        Assert.Equal(SftpWatcher.MaxPathBytes, told[0].Path.Length);
        Assert.Equal("/b", told[1].Path);
    }

    // Fuzz: any bytes, split anywhere, give the same operations as in one piece, never throw, and hold a bounded head.
    [Fact]
    public void Any_bytes_split_anywhere_tell_the_same() =>
        Checked.Holds(Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            var random = new Random(seed);
            var stream = new List<byte>();
            for (var i = 0; i < 20; i++)
            {
                var body = new byte[random.Next(1, 60)];
                random.NextBytes(body);
                body[0] = (byte)new[] { 1, 3, 5, 6, 9, 10, 11, 13, 14, 15, 18, 20, 200, random.Next(256) }[random.Next(14)];
                stream.AddRange(Number((uint)(random.Next(10) == 0 ? random.Next() : body.Length)));
                stream.AddRange(body);
            }

            var whole = Tell(stream.ToArray(), [stream.Count]);
            var cuts = Enumerable.Range(0, 500).Select(_ => random.Next(1, 40)).ToArray();
            Assert.Equal(whole, Tell(stream.ToArray(), cuts));
        }));

    private static List<string> Tell(byte[] stream, int[] cuts)
    {
        var told = new List<string>();
        var watcher = new SftpWatcher(o => told.Add(o.ToString()));
        var at = 0;
        for (var i = 0; at < stream.Length; i++)
        {
            var length = Math.Min(cuts[i % cuts.Length], stream.Length - at);
            watcher.Push(stream.AsSpan(at, length));
            at += length;
        }

        told.Add($"{watcher.Broken} {watcher.WrittenBytes}");
        return told;
    }

    private static byte[] Packet(byte type, params byte[][] fields)
    {
        byte[] body = [type, .. fields.SelectMany(f => f)];
        return [.. Number((uint)body.Length), .. body];
    }

    private static byte[] Text(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        return [.. Number((uint)bytes.Length), .. bytes];
    }

    private static byte[] Number(uint value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }
}
