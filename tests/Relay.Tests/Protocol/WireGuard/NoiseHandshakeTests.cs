using System.Buffers.Binary;
using System.Globalization;
using System.Text.Json;
using Relay.Protocol.Crypto;
using Relay.Protocol.WireGuard;
using Relay.Tests.Protocol.Crypto;

namespace Relay.Tests.Protocol.WireGuard;

// The expected values come from tests/Vectors/wireguard.py, which shares no code with what is tested.
public sealed class NoiseHandshakeTests
{
    private const string File = "wireguard.json";

    public static TheoryData<string> Sections => VectorFile.Sections(File);

    [Theory, MemberData(nameof(Sections))]
    public void Both_sides_arrive_at_the_computed_messages_chaining_keys_and_hashes(string section)
    {
        var vector = VectorFile.Of(File, section);
        using var staticI = X25519PrivateKey.FromScalar(vector.Hex("static_i"));
        using var staticR = X25519PrivateKey.FromScalar(vector.Hex("static_r"));
        using var ephemeralI = X25519PrivateKey.FromScalar(vector.Hex("ephemeral_i"));
        using var ephemeralR = X25519PrivateKey.FromScalar(vector.Hex("ephemeral_r"));
        byte[] stateI = new byte[64], stateR = new byte[64], initiation = new byte[148], response = new byte[92], initiator = new byte[32], timestamp = new byte[12];
        byte[] shared = vector.Hex("static_static");

        new NoiseState(stateI).Start(staticR.PublicKey.Span);
        Assert.Equal(State(vector, "start"), stateI);

        Assert.True(NoiseHandshake.TryWriteInitiation(staticI, ephemeralI, staticR.PublicKey.Span, shared, vector.Hex("timestamp"), Index(vector, "sender_i"), initiation, stateI));
        Assert.Equal(vector.Hex("initiation")[..116], initiation[..116]);
        Assert.Equal(State(vector, "initiation.timestamp"), stateI);

        Assert.True(NoiseHandshake.TryReadInitiator(staticR, vector.Hex("initiation"), stateR, initiator));
        Assert.Equal(State(vector, "initiation.static"), stateR);
        Assert.Equal(vector.Hex("static_i_public"), initiator);
        Assert.True(NoiseHandshake.TryReadTimestamp(shared, vector.Hex("initiation"), stateR, timestamp));
        Assert.Equal(State(vector, "initiation.timestamp"), stateR);
        Assert.Equal(vector.Hex("timestamp"), timestamp);

        Assert.True(NoiseHandshake.TryWriteResponse(ephemeralR, vector.Hex("initiation"), initiator, vector.Hex("psk"), Index(vector, "sender_r"), response, stateR));
        Assert.Equal(vector.Hex("response")[..60], response[..60]);
        Assert.Equal(State(vector, "response.empty"), stateR);

        Assert.True(NoiseHandshake.TryReadResponse(staticI, ephemeralI, vector.Hex("psk"), vector.Hex("response"), stateI));
        Assert.Equal(State(vector, "response.empty"), stateI);

        byte[] fromI = new byte[32], fromR = new byte[32];
        new NoiseState(stateI).DeriveKeys(fromI, fromR);
        Assert.Equal(vector.Hex("key_from_i"), fromI);
        Assert.Equal(vector.Hex("key_from_r"), fromR);
    }

    [Theory, MemberData(nameof(Sections))]
    public void Macs_and_cookies_are_the_computed_ones(string section)
    {
        var vector = VectorFile.Of(File, section);
        var now = TimeSpan.FromSeconds(5);
        var jar = new CookieJar();
        byte[] message = [.. vector.Hex("initiation")[..116], .. new byte[32]];
        jar.WriteMacs(vector.Hex("static_r_public"), message, now);
        Assert.Equal(vector.Hex("initiation"), message);

        // The checker draws its secret first, then the nonce of the reply.
        var draws = new Queue<byte[]>([vector.Hex("secret"), vector.Hex("nonce")]);
        using var checker = new CookieChecker(vector.Hex("static_r_public"), bytes => draws.Dequeue().CopyTo(bytes));
        var source = new WireGuardEndpoint(vector.Hex("address"), (ushort)vector.GetProperty("port").GetInt32());
        Assert.True(checker.HasMac1(message));
        Assert.False(checker.HasMac2(message, source, now));
        var reply = new byte[64];
        checker.WriteReply(message, source, now, reply);
        Assert.Equal(vector.Hex("cookie_reply"), reply);

        Assert.True(jar.TryTakeReply(vector.Hex("static_r_public"), reply, now));
        Assert.False(jar.TryTakeReply(vector.Hex("static_r_public"), reply, now)); // once
        jar.WriteMacs(vector.Hex("static_r_public"), message, now);
        Assert.Equal(vector.Hex("initiation_with_mac2"), message);
        Assert.True(checker.HasMac2(message, source, now));
        Assert.False(checker.HasMac2(message, new WireGuardEndpoint(vector.Hex("address"), 1), now));
    }

    [Theory, MemberData(nameof(Sections))]
    public void Transport_data_is_the_computed_one(string section)
    {
        var vector = VectorFile.Of(File, section);
        using var seal = new ChaCha20Poly1305Context();
        seal.SetKey(vector.Hex("key_from_i"));
        foreach (var data in vector.GetProperty("data").EnumerateArray())
        {
            byte[] expected = data.Hex("datagram"), packet = data.Hex("packet"), datagram = new byte[expected.Length];
            WireGuardWire.WriteType(datagram, WireGuardMessageType.TransportData);
            vector.Hex("sender_r").CopyTo(datagram, WireGuardWire.Receiver);
            var counter = ulong.Parse(data.GetProperty("counter").GetString()!, CultureInfo.InvariantCulture);
            BinaryPrimitives.WriteUInt64LittleEndian(datagram.AsSpan(WireGuardWire.DataCounter), counter);
            packet.CopyTo(datagram, WireGuardWire.DataHeaderLength);
            seal.Encrypt(counter, [], datagram.AsSpan(16, datagram.Length - 32), datagram.AsSpan(datagram.Length - 16));
            Assert.Equal(expected, datagram);
        }
    }

    [Theory, MemberData(nameof(Sections))]
    public void A_response_under_another_preshared_key_or_with_a_bit_changed_is_refused(string section)
    {
        var vector = VectorFile.Of(File, section);
        using var staticI = X25519PrivateKey.FromScalar(vector.Hex("static_i"));
        using var ephemeralI = X25519PrivateKey.FromScalar(vector.Hex("ephemeral_i"));
        var psk = vector.Hex("psk");
        bool Reads(byte[] response) => NoiseHandshake.TryReadResponse(staticI, ephemeralI, psk, response, State(vector, "initiation.timestamp"));
        Assert.True(Reads(vector.Hex("response")));
        for (var at = WireGuardWire.ResponseEphemeral; at < WireGuardWire.ResponseEmpty + 16; at++)
        {
            var response = vector.Hex("response");
            response[at] ^= 4;
            Assert.False(Reads(response));
        }

        psk[31] ^= 1;
        Assert.False(Reads(vector.Hex("response")));
    }

    [Fact]
    public void A_cookie_ends_with_its_secret_after_two_minutes()
    {
        var vector = VectorFile.Read(File)[0];
        using var checker = new CookieChecker(vector.Hex("static_r_public"), System.Security.Cryptography.RandomNumberGenerator.Fill);
        var jar = new CookieJar();
        byte[] message = vector.Hex("initiation"), reply = new byte[64];
        var source = new WireGuardEndpoint([192, 0, 2, 1], 7);
        jar.WriteMacs(vector.Hex("static_r_public"), message, TimeSpan.Zero);
        checker.WriteReply(message, source, TimeSpan.Zero, reply);
        Assert.True(jar.TryTakeReply(vector.Hex("static_r_public"), reply, TimeSpan.FromSeconds(60)));
        jar.WriteMacs(vector.Hex("static_r_public"), message, TimeSpan.FromSeconds(119));
        Assert.True(checker.HasMac2(message, source, TimeSpan.FromSeconds(119)));
        Assert.False(checker.HasMac2(message, source, TimeSpan.FromSeconds(120)));
        // The sender still has it: it will get a new one when it is told to.
        jar.WriteMacs(vector.Hex("static_r_public"), message, TimeSpan.FromSeconds(179));
        Assert.NotEqual(new byte[16], message[^16..]);
        jar.WriteMacs(vector.Hex("static_r_public"), message, TimeSpan.FromSeconds(180));
        Assert.Equal(new byte[16], message[^16..]);
    }

    [Fact]
    public void Points_of_small_order_are_refused_as_static_and_as_ephemeral_key()
    {
        using var own = X25519PrivateKey.Generate();
        byte[] message = new byte[148], state = new byte[64];
        foreach (var small in new[] { new byte[32], [1, .. new byte[31]] })
        {
            Assert.False(NoiseHandshake.TryWriteInitiation(own, own, small, new byte[32], new byte[12], 1, message, state));
            small.CopyTo(message, WireGuardWire.InitiationEphemeral);
            Assert.False(NoiseHandshake.TryReadInitiator(own, message, state, new byte[32]));
            Assert.False(NoiseHandshake.TryWriteResponse(own, message, own.PublicKey.Span, new byte[32], 1, new byte[92], state));
        }
    }

    [Fact]
    public void Timestamps_are_ordered_as_their_bytes_and_coarse()
    {
        var time = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
        var bytes = new byte[12];
        Tai64n.At(DateTimeOffset.UnixEpoch).Write(bytes);
        Assert.Equal("400000000000000A00000000", Convert.ToHexString(bytes));
        var first = Tai64n.At(time.AddMilliseconds(999));
        first.Write(bytes);
        Assert.Equal(first, Tai64n.Read(bytes));
        Assert.Equal(0u, first.Nanoseconds & 0xffffff);
        Assert.False(Tai64n.At(time.AddMilliseconds(999.5)).IsAfter(first));
        Assert.True(Tai64n.At(time.AddSeconds(1)).IsAfter(first));
        Assert.False(first.IsAfter(Tai64n.At(time.AddSeconds(1))));
        Assert.True(first.IsAfter(default));
    }

    private static byte[] State(JsonElement vector, string name)
    {
        var state = vector.GetProperty("states").GetProperty(name);
        return [.. state.Hex("c"), .. state.Hex("h")];
    }

    private static uint Index(JsonElement vector, string name) => BinaryPrimitives.ReadUInt32LittleEndian(vector.Hex(name));
}
