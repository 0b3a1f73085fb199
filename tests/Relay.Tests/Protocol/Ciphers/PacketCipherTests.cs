using System.Buffers.Binary;
using System.Security.Cryptography;
using Relay.Protocol.Crypto;
using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Ciphers;

public sealed class PacketCipherTests
{
    public static TheoryData<string> Suites => [.. SshPacketCipher.Names];

    [Theory, MemberData(nameof(Suites))]
    public void Sealed_packets_open_in_order_at_every_size(string cipher)
    {
        using CipherPair pair = new(cipher);
        // Sequence numbers cross 2^32: the counter of chacha20-poly1305 is the number itself.
        uint sequence = uint.MaxValue - 5;
        foreach (int blocks in new[] { 1, 2, 3, 7, 64, 100, 2047, 2048, SshPacketCipher.MaximumPacketLength / pair.Seal.BlockSize })
        {
            byte[] packet = pair.Packet(blocks * pair.Seal.BlockSize), plain = [.. packet];
            pair.Seal.Seal(sequence, packet);
            Assert.True(pair.Open.TryReadLength(sequence, packet, out uint length));
            Assert.Equal((uint)(blocks * pair.Seal.BlockSize), length);
            Assert.True(pair.Open.TryReadLength(sequence, packet, out uint again) && again == length);
            Assert.NotEqual(plain[4..^pair.Seal.TagLength], packet[4..^pair.Seal.TagLength]);
            Assert.True(pair.Open.Open(sequence, packet));
            Assert.Equal(plain[4..^pair.Seal.TagLength], packet[4..^pair.Seal.TagLength]);
            sequence = unchecked(sequence + 1);
        }
    }

    [Theory, MemberData(nameof(Suites))]
    public void Every_single_flipped_bit_is_refused(string cipher)
    {
        byte[] packet;
        using (CipherPair first = new(cipher))
        {
            packet = first.Packet(2 * first.Seal.BlockSize);
            first.Seal.Seal(3, packet);
        }

        for (int bit = 0; bit < packet.Length * 8; bit++)
        {
            using CipherPair pair = new(cipher);
            byte[] forged = [.. packet];
            forged[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(pair.Open.Open(3, forged), $"bit {bit}");
        }

        using CipherPair untouched = new(cipher);
        Assert.True(untouched.Open.Open(3, packet));
    }

    [Theory, MemberData(nameof(Suites))]
    public void Replayed_reordered_and_cut_packets_are_refused(string cipher)
    {
        using CipherPair pair = new(cipher);
        byte[] first = pair.Packet(64), second = pair.Packet(64);
        pair.Seal.Seal(0, first);
        pair.Seal.Seal(1, second);
        Assert.True(pair.Open.Open(0, [.. first]));
        Assert.False(pair.Open.Open(1, [.. first]), "replayed");

        for (int cut = 0; cut < second.Length; cut++)
        {
            using CipherPair other = new(cipher);
            byte[] skipped = other.Packet(64);
            other.Seal.Seal(0, skipped);
            Assert.True(other.Open.Open(0, skipped));
            Assert.False(other.Open.Open(1, second.AsSpan(0, cut).ToArray()), $"cut to {cut}");
        }

        using CipherPair fresh = new(cipher);
        Assert.False(fresh.Open.Open(0, [.. second]), "reordered");
    }

    [Theory, MemberData(nameof(Suites))]
    public void L14_lengths_that_no_packet_has_are_refused(string cipher)
    {
        using CipherPair pair = new(cipher);
        uint block = (uint)pair.Open.BlockSize;
        uint[] odd = [SshPacketCipher.MaximumPacketLength + 1, SshPacketCipher.MaximumPacketLength + block, int.MaxValue, 0x80000000, uint.MaxValue - 15, uint.MaxValue];
        foreach (uint length in Enumerable.Range(0, 41).Select(n => (uint)n).Concat(odd))
        {
            byte[] first4 = pair.SealedLength(7, length);
            bool expected = length > 0 && length <= SshPacketCipher.MaximumPacketLength && length % block == 0;
            Assert.Equal(expected, pair.Open.TryReadLength(7, first4, out uint read));
            Assert.Equal(length, read);

            // However much follows: a length that lies never opens, and throws nothing.
            for (int follows = 0; follows <= 80; follows++) Assert.False(pair.Open.Open(7, [.. first4, .. new byte[follows]]));
        }
    }

    [Theory, MemberData(nameof(Suites))]
    public void Nothing_is_allocated_per_packet(string cipher)
    {
        using CipherPair pair = new(cipher);
        byte[] packet = pair.Packet(1024);
        bool opened = true;
        for (uint warm = 0; warm < 3; warm++) opened &= Round(warm);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (uint i = 3; i < 1000; i++) opened &= Round(i);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(opened);
        Assert.Equal(0, allocated);

        bool Round(uint sequence)
        {
            BinaryPrimitives.WriteInt32BigEndian(packet, 1024);
            pair.Seal.Seal(sequence, packet);
            return pair.Open.TryReadLength(sequence, packet, out _) && pair.Open.Open(sequence, packet);
        }
    }

    [Theory, MemberData(nameof(Suites))]
    public void Seal_refuses_a_packet_whose_length_lies(string cipher)
    {
        using CipherPair pair = new(cipher);
        byte[] packet = pair.Packet(32);
        packet[3]++;
        Assert.Throws<ArgumentException>(() => pair.Seal.Seal(0, packet));
        Assert.Throws<ArgumentException>(() => pair.Seal.Seal(0, new byte[3]));
    }

    [Fact]
    public void Suites_take_exactly_their_own_key_material()
    {
        Assert.True(SshPacketCipher.TryGetLengths("aes128-gcm@openssh.com", null, out SshCipherLengths gcm));
        Assert.Equal(new SshCipherLengths(16, 12, 0), gcm);
        Assert.True(SshPacketCipher.TryGetLengths("aes256-gcm@openssh.com", "hmac-sha1", out gcm));
        Assert.Equal(new SshCipherLengths(32, 12, 0), gcm);
        Assert.True(SshPacketCipher.TryGetLengths("chacha20-poly1305@openssh.com", null, out SshCipherLengths chacha));
        Assert.Equal(new SshCipherLengths(64, 0, 0), chacha);
        Assert.True(SshPacketCipher.TryGetLengths("aes256-ctr", "hmac-sha2-256-etm@openssh.com", out SshCipherLengths ctr));
        Assert.Equal(new SshCipherLengths(32, 16, 32), ctr);
        Assert.False(SshPacketCipher.TryGetLengths("aes256-ctr", "hmac-sha2-256", out _));
        Assert.False(SshPacketCipher.TryGetLengths("none", null, out _));
        Assert.Throws<ArgumentException>(() => SshPacketCipher.Create("aes128-gcm@openssh.com", null, new byte[15], new byte[12], [], true));
        Assert.Throws<ArgumentException>(() => SshPacketCipher.Create("3des-cbc", null, new byte[24], new byte[8], [], true));
    }

    // OpenSSH PROTOCOL.chacha20poly1305, step by step, with nothing kept from packet to packet.
    [Fact]
    public void ChaCha20_poly1305_is_the_construction_of_its_specification()
    {
        using CipherPair pair = new("chacha20-poly1305@openssh.com");
        uint sequence = 0x01020304;
        byte[] packet = pair.Packet(40), expected = [.. packet];
        pair.Seal.Seal(sequence, packet);

        byte[] nonce = [0, 0, 0, 0, 1, 2, 3, 4], polyKey = new byte[32];
        using StreamCipher length = StreamCipher.ChaCha20(pair.Key.AsSpan(32), [.. new byte[8], .. nonce]);
        length.Apply(expected.AsSpan(0, 4), expected.AsSpan(0, 4));
        using StreamCipher zero = StreamCipher.ChaCha20(pair.Key.AsSpan(0, 32), [.. new byte[8], .. nonce]);
        zero.Apply(polyKey, polyKey);
        using StreamCipher content = StreamCipher.ChaCha20(pair.Key.AsSpan(0, 32), [1, .. new byte[7], .. nonce]);
        content.Apply(expected.AsSpan(4, 40), expected.AsSpan(4, 40));
        using var poly = new Poly1305();
        poly.Compute(polyKey, expected.AsSpan(0, 44), expected.AsSpan(44));
        Assert.Equal(expected, packet);
    }

    // RFC 5647 §7.1: the invocation counter is the last 8 bytes, big-endian, and wraps without touching the first 4.
    [Fact]
    public void Aes_gcm_counts_its_nonce_up_per_packet()
    {
        byte[] key = RandomNumberGenerator.GetBytes(16), iv = [1, 2, 3, 4, .. Enumerable.Repeat((byte)0xff, 8)], next = [1, 2, 3, 4, .. new byte[8]];
        using SshPacketCipher seal = SshPacketCipher.Create("aes128-gcm@openssh.com", null, key, iv, [], seal: true);
        using var oracle = new AesGcm(key, 16);
        foreach (byte[] nonce in new[] { iv, next })
        {
            byte[] packet = [0, 0, 0, 16, .. RandomNumberGenerator.GetBytes(16), .. new byte[16]], expected = [.. packet];
            oracle.Encrypt(nonce, packet.AsSpan(4, 16), expected.AsSpan(4, 16), expected.AsSpan(20), packet.AsSpan(0, 4));
            seal.Seal(0, packet);
            Assert.Equal(expected, packet);
        }
    }

    // OpenSSH PROTOCOL §1.5: MAC(key, sequence_number || packet_length || encrypted_packet).
    [Fact]
    public void Aes_ctr_authenticates_the_encrypted_packet_with_its_number()
    {
        using CipherPair pair = new("aes256-ctr");
        byte[] packet = pair.Packet(32), expected = [.. packet];
        pair.Seal.Seal(9, packet);
        using StreamCipher cipher = StreamCipher.Aes256Ctr(pair.Key, pair.Iv);
        cipher.Apply(expected.AsSpan(4, 32), expected.AsSpan(4, 32));
        HMACSHA256.HashData(pair.MacKey, (byte[])[0, 0, 0, 9, .. expected[..36]]).CopyTo(expected, 36);
        Assert.Equal(expected, packet);
    }
}
