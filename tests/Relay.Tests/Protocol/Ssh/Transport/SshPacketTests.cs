using System.Buffers.Binary;
using System.Security.Cryptography;
using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Ssh.Transport;

public sealed class SshPacketTests
{
    public static TheoryData<string> Ciphers => [.. SshAlgorithmNames.Ciphers.Prepend("none")];

    [Theory]
    [MemberData(nameof(Ciphers))]
    public void Packets_of_every_length_come_back_and_stay_aligned(string cipher)
    {
        var (writer, reader) = Make(cipher);
        using var _ = writer;
        using var __ = reader;
        foreach (var length in Enumerable.Range(1, 300).Append(32 * 1024 + 9).Append(60_000))
        {
            var payload = RandomNumberGenerator.GetBytes(length);
            writer.Write(payload);
            var packet = writer.Take().ToArray();
            Assert.True(reader.TryRead(packet, out var consumed, out var start, out var read, out var needed));
            Assert.Equal(packet.Length, consumed);
            Assert.Equal(packet.Length, needed);
            Assert.Equal(payload, packet[start..(start + read)]);
            Assert.InRange(packet.Length, 16, length + 64);
        }

        Assert.Equal(writer.Sequence, reader.Sequence);
    }

    [Theory]
    [MemberData(nameof(Ciphers))]
    public void Every_proper_prefix_asks_for_more_and_consumes_nothing(string cipher)
    {
        var (writer, reader) = Make(cipher);
        using var _ = writer;
        using var __ = reader;
        writer.Write([2, 0, 0, 0, 0]);
        var packet = writer.Take().ToArray();
        for (var length = 0; length < packet.Length; length++)
        {
            var part = packet[..length];
            Assert.False(reader.TryRead(part, out var consumed, out var start, out var read, out var needed));
            Assert.Equal((0, 0, 0), (consumed, start, read));
            Assert.Equal(length < 4 ? 4 : packet.Length, needed);
        }

        Assert.True(reader.TryRead(packet, out var all, out var ____, out var ___, out var _____));
        Assert.Equal(packet.Length, all);
    }

    [Theory]
    [MemberData(nameof(Ciphers))]
    public void Any_flipped_bit_ends_the_connection_with_the_right_code(string cipher)
    {
        if (cipher == "none")
            return;
        for (var position = 0; position < 52; position++)
        {
            var (writer, reader) = Make(cipher);
            using var _ = writer;
            using var __ = reader;
            writer.Write(new byte[20]);
            var packet = writer.Take().ToArray();
            if (position >= packet.Length)
                return;
            packet[position] ^= 0x10;
            try
            {
                // A changed length may ask for more bytes: it gets them, as an attacker would see to it.
                var input = packet.Concat(new byte[SshLimits.MaximumPacketLength]).ToArray();
                reader.TryRead(input, out var ______, out var ____, out var ___, out var _____);
                Assert.Fail($"{cipher}: bit in byte {position} went unnoticed");
            }
            catch (SshException error)
            {
                Assert.True(error.Reason == SshDisconnectReason.MacError || (position < 4 && error.Reason == SshDisconnectReason.ProtocolError), $"{position}: {error.Reason}");
            }
        }
    }

    /// <summary>L14 and L16: lengths 0..40 and up to 2^32-1, every padding, no exception but ours, nothing allocated for it.</summary>
    [Theory]
    [MemberData(nameof(Ciphers))]
    public void Odd_lengths_are_refused_before_anything_is_done_with_them(string cipher)
    {
        var lengths = Enumerable.Range(0, 41).Select(static i => (uint)i)
            .Concat<uint>([SshLimits.MaximumPacketLengthBeforeAuth + 1, 0x7fffffff, 0x80000000, uint.MaxValue - 15, uint.MaxValue]);
        foreach (var length in lengths)
        {
            for (var padding = 0; padding < 256; padding += length < 41 ? 1 : 255)
            {
                var (writer, reader) = Make(cipher);
                using var _ = writer;
                using var __ = reader;
                var input = new byte[512];
                BinaryPrimitives.WriteUInt32BigEndian(input, length);
                input[4] = (byte)padding;
                var before = GC.GetAllocatedBytesForCurrentThread();
                try
                {
                    if (reader.TryRead(input, out var ______, out var ____, out var payload, out var _____))
                    {
                        Assert.Equal("none", cipher);
                        Assert.True(payload >= 1 && padding >= 4 && payload + padding + 1 == length && (length + 4) % 8 == 0);
                    }
                }
                catch (SshException error)
                {
                    Assert.True(error.Reason is SshDisconnectReason.ProtocolError or SshDisconnectReason.MacError);
                }

                Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 16 * 1024);
            }
        }
    }

    [Fact]
    public void Sequence_numbers_wrap_and_counters_do_not()
    {
        // L13: 64-bit counters past 2^32 bytes, without sending them: the arithmetic is what can be wrong.
        var (writer, reader) = Make("none");
        using var _ = writer;
        using var __ = reader;
        var field = typeof(SshPacketReader).GetField("_sequence", System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Instance)!;
        field.SetValue(reader, uint.MaxValue);
        typeof(SshPacketReader).GetProperty(nameof(SshPacketReader.Bytes))!.SetValue(reader, (ulong)uint.MaxValue - 3);
        writer.Write([2, 0, 0, 0, 0]);
        var packet = writer.Take().ToArray();
        Assert.True(reader.TryRead(packet, out var consumed, out var ___, out var ____, out var _____));
        Assert.Equal(0u, reader.Sequence);
        Assert.Equal((ulong)uint.MaxValue - 3 + (ulong)consumed, reader.Bytes);
    }

    private static (SshPacketWriter Writer, SshPacketReader Reader) Make(string cipher)
    {
        var writer = new SshPacketWriter();
        var reader = new SshPacketReader();
        if (cipher == "none")
            return (writer, reader);
        var mac = SshAlgorithmNames.IsAuthenticated(cipher) ? null : SshAlgorithmNames.Macs[0];
        Assert.True(SshPacketCipher.TryGetLengths(cipher, mac, out var lengths));
        var key = RandomNumberGenerator.GetBytes(lengths.KeyBytes);
        var iv = RandomNumberGenerator.GetBytes(lengths.IvBytes);
        var macKey = RandomNumberGenerator.GetBytes(lengths.MacKeyBytes);
        writer.Rekey(SshPacketCipher.Create(cipher, mac, key, iv, macKey, seal: true), true);
        reader.Rekey(SshPacketCipher.Create(cipher, mac, key, iv, macKey, seal: false), true);
        return (writer, reader);
    }
}
