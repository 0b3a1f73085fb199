using System.Buffers.Binary;
using Relay.Protocol.Tunnel;

namespace Relay.Tests.Protocol.Tunnel;

/// <summary>Framed datagrams: what is written is read under any cut, and whatever a peer sends costs one buffer at most (L16).</summary>
public sealed class DatagramReaderTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void What_is_written_is_read_however_the_stream_cuts_it(int seed)
    {
        var random = new Random(seed);
        var stream = new byte[4 * DatagramFraming.MaxFrameBytes];
        random.NextBytes(stream);
        var end = 0;
        foreach (var length in (int[])[0, 1, DatagramFraming.MaxBytes, 1472, .. Enumerable.Range(0, 60).Select(_ => random.Next(1500)), 40_000])
        {
            Assert.True(DatagramFraming.TryWrite(stream.AsSpan(end + 2, length), stream.AsSpan(end), out var written));
            Assert.Equal(length + 2, written);
            end += written;
        }

        for (var round = 0; round < 20; round++)
            Assert.Equal((65, false), Compare(stream.AsSpan(0, end), random));
    }

    /// <summary>Random bytes, often with lengths at the limit.</summary>
    [Fact]
    public void Garbage_is_read_as_a_naive_reader_reads_it()
    {
        var random = new Random(99);
        var stream = new byte[200_000];
        var broken = 0;
        for (var round = 0; round < 400; round++)
        {
            var length = random.Next(stream.Length);
            if (round % 2 == 0) random.NextBytes(stream.AsSpan(0, length));
            else stream.AsSpan(0, length).Clear();
            for (var i = 0; i < 6 && length > 2; i++)
                BinaryPrimitives.WriteUInt16BigEndian(stream.AsSpan(random.Next(length - 1)), (ushort)random.Next(65_480, 65_536));
            broken += Compare(stream.AsSpan(0, length), random).Broken ? 1 : 0;
        }

        Assert.InRange(broken, 10, 390);
    }

    [Fact]
    public void A_datagram_longer_than_there_are_is_neither_written_nor_read()
    {
        var room = new byte[70_000];
        Assert.False(DatagramFraming.TryWrite(new byte[DatagramFraming.MaxBytes + 1], room, out _));
        Assert.False(DatagramFraming.TryWrite(new byte[100], room.AsSpan(0, 101), out _));
        Assert.True(DatagramFraming.TryWrite(new byte[DatagramFraming.MaxBytes], room.AsSpan(0, DatagramFraming.MaxFrameBytes), out var written));
        Assert.Equal(DatagramFraming.MaxFrameBytes, written);
        using var reader = new DatagramReader();
        room.AsSpan(0, 2).Fill(0xff);
        room.AsSpan(0, 2).CopyTo(reader.Room().Span);
        reader.Advance(2);
        Assert.Equal(DatagramReading.TooLong, reader.TryRead(out _));
        // For good: what follows has no meaning.
        reader.Room().Span[0] = 0;
        reader.Advance(1);
        Assert.Equal(DatagramReading.TooLong, reader.Look());
        Assert.Throws<ArgumentOutOfRangeException>(() => reader.Advance(1 << 20));
    }

    [Fact]
    public void Reading_allocates_nothing_per_datagram()
    {
        using var reader = new DatagramReader();
        var stream = Enumerable.Range(0, 40).SelectMany(_ => Frame(new byte[1400])).ToArray();
        Pass();
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 100; i++)
            Pass();
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, DatagramReader.BufferBytes * 2);

        void Pass()
        {
            stream.CopyTo(reader.Room());
            reader.Advance(stream.Length);
            var count = 0;
            while (reader.TryRead(out _) == DatagramReading.Datagram)
                count++;
            Assert.Equal((40, 0), (count, reader.Pending));
        }
    }

    private static byte[] Frame(byte[] datagram) => [(byte)(datagram.Length >> 8), (byte)datagram.Length, .. datagram];

    /// <summary>Feeds a stream in random pieces; whatever is read is what a reader that has all of it at once finds.</summary>
    private static (int Datagrams, bool Broken) Compare(ReadOnlySpan<byte> stream, Random random)
    {
        using var reader = new DatagramReader();
        var counters = new DatagramCounters();
        var (at, fed, datagrams, passed) = (0, 0, 0, true);
        long payload = 0;
        while (fed < stream.Length)
        {
            var room = reader.Room().Span;
            var piece = stream.Slice(fed, Math.Min(Math.Min(stream.Length - fed, room.Length), random.Next(3) == 0 ? random.Next(1, 5) : random.Next(1, 9000)));
            piece.CopyTo(room);
            reader.Advance(piece.Length);
            fed += piece.Length;
            passed = counters.TryTake(fromFirst: true, piece, out var count);
            counters.Add(fromFirst: true, count);
            payload += count;
            while (fed - at >= 2 && (stream[at] << 8) + stream[at + 1] is var length && (length > 65_507 || fed - at - 2 >= length))
            {
                if (length > 65_507)
                {
                    Assert.Equal(DatagramReading.TooLong, reader.TryRead(out _));
                    Assert.False(passed);
                    return (datagrams, true);
                }

                Assert.Equal(DatagramReading.Datagram, reader.TryRead(out var datagram));
                Assert.True(datagram.SequenceEqual(stream.Slice(at + 2, length)));
                (at, datagrams) = (at + 2 + length, datagrams + 1);
            }

            Assert.NotEqual(DatagramReading.Datagram, reader.TryRead(out _));
            Assert.Equal(fed - at, reader.Pending);
            Assert.True(passed || reader.Look() == DatagramReading.TooLong);
        }

        // All but headers, of those that came whole and of the one that did not.
        Assert.Equal(payload, counters.FirstToSecond);
        Assert.Equal(at - (2 * datagrams) + Math.Max(0, stream.Length - at - 2), payload);
        return (datagrams, false);
    }
}
