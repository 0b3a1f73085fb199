using FsCheck;
using FsCheck.Fluent;
using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Ssh.Transport;

/// <summary>Two transport state machines, wired by hand: no I/O, the time is a number.</summary>
public sealed class SshTransportTests
{
    [Fact]
    public void Both_sides_agree_and_reset_their_counters_under_strict_key_exchange()
    {
        using var pair = new TransportPair();
        pair.Shake();
        Assert.Equal(SshPhase.Service, pair.Client.Phase);
        Assert.Equal(SshPhase.Service, pair.Server.Phase);
        Assert.Equal(pair.Client.SessionId, pair.Server.SessionId);
        Assert.Equal(pair.Client.Algorithms, pair.Server.Algorithms);
        Assert.True(pair.Client.Algorithms!.StrictKeyExchange);
        Assert.Equal("curve25519-sha256", pair.Client.Algorithms.KeyExchange);
        Assert.Equal("aes128-gcm@openssh.com", pair.Client.Algorithms.CipherToClient);
        // L3: after the client's NEWKEYS its next packet is number 0; the server has sent EXT_INFO as its number 0.
        Assert.Equal(0u, pair.Client.Writer.Sequence);
        Assert.Equal(1u, pair.Server.Writer.Sequence);
    }

    [Fact]
    public void Without_the_peers_marker_counters_go_on()
    {
        using var pair = new TransportPair(server: static options => options with { OfferStrictKeyExchange = false });
        pair.Shake();
        Assert.False(pair.Client.Algorithms!.StrictKeyExchange);
        Assert.Equal(3u, pair.Client.Writer.Sequence); // KEXINIT, ECDH_INIT, NEWKEYS
    }

    [Fact]
    public void Client_learns_the_servers_signature_algorithms()
    {
        using var pair = new TransportPair();
        pair.Shake();
        Assert.Equal(SshAlgorithmNames.UserKeys, pair.Client.ServerSignatureAlgorithms);
    }

    [Fact]
    public void Offers_name_no_compression_but_none()
    {
        // L17.
        using var pair = new TransportPair();
        pair.Client.Start(default);
        var bytes = pair.Client.Writer.Take().ToArray();
        var kexInit = bytes.AsSpan(pair.Client.LocalVersion.Length + 2);
        Assert.True(SshKexInit.TryParse(kexInit[5..^kexInit[4]], out var message));
        Assert.Equal(["none"], message!.CompressionsToServer);
        Assert.Equal(["none"], message.CompressionsToClient);
    }

    [Fact]
    public void Any_split_of_the_bytes_gives_the_same_handshake()
        => Checked.ForAll(ArbMap.Default.ArbFor<int>(), 60, seed =>
        {
            using var pair = new TransportPair(split: new Random(seed));
            pair.Shake();
            pair.Client.Send([SshMessageNumber.ServiceRequest, 0, 0, 0, 1, (byte)'x']);
            var received = pair.Pump(pair.Client, pair.Server);
            return received.Count == 1 && received[0].Length == 6;
        });

    [Fact]
    public void Keys_are_renewed_by_bytes_and_what_is_sent_meanwhile_follows()
    {
        using var pair = new TransportPair(client: static options => options with { RekeyBytes = 100_000 });
        pair.Connect();
        var sent = 0;
        while (pair.Client.KeyExchanges < 4)
        {
            pair.Client.Send([SshMessageNumber.ChannelData, .. BitConverter.GetBytes(sent++), .. new byte[20_000]]);
            pair.Client.Tick(pair.Now);
            if (pair.Client.IsSendBlocked)
                pair.Client.Send([SshMessageNumber.ChannelData, .. BitConverter.GetBytes(sent++), .. new byte[100]]);
            pair.Run();
        }

        Assert.Equal(pair.Client.KeyExchanges, pair.Server.KeyExchanges);
        Assert.Equal(Enumerable.Range(0, sent), pair.ToServer.Select(static payload => BitConverter.ToInt32(payload, 1)));
    }

    /// <summary>A key exchange is dear to this side: a peer gets some for nothing, more only with time or data.</summary>
    [Theory]
    [InlineData(0, 0, false)]
    [InlineData(3, 0, true)]     // seconds between them
    [InlineData(0, 6_000, true)] // bytes between them
    public void Peer_that_changes_keys_all_the_time_is_cut(int seconds, int bytes, bool served)
    {
        using var pair = new TransportPair();
        pair.Connect();
        void Change()
        {
            if (bytes > 0)
                pair.Client.Send([SshMessageNumber.ChannelData, .. new byte[bytes]]);
            pair.Now += TimeSpan.FromSeconds(seconds);
            pair.Client.Rekey(pair.Now);
            pair.Run();
        }

        for (var i = 0; i < SshLimits.EarlyExchanges; i++)
            Change();
        Assert.Equal(1 + SshLimits.EarlyExchanges, pair.Server.KeyExchanges);
        if (served)
        {
            for (var i = 0; i < 2 * SshLimits.EarlyExchanges; i++)
                Change();
        }
        else
        {
            Assert.Equal(SshDisconnectReason.KeyExchangeFailed, Assert.Throws<SshException>(Change).Reason);
        }
    }

    [Fact]
    public void Keys_are_renewed_by_time()
    {
        using var pair = new TransportPair(server: static options => options with { RekeyInterval = TimeSpan.FromMinutes(5) });
        pair.Connect();
        pair.Now += TimeSpan.FromMinutes(4);
        pair.Server.Tick(pair.Now);
        Assert.False(pair.Server.IsSendBlocked);
        pair.Now += TimeSpan.FromMinutes(1);
        pair.Server.Tick(pair.Now);
        Assert.True(pair.Server.IsSendBlocked);
        pair.Run();
        Assert.Equal(2, pair.Client.KeyExchanges);
        Assert.Equal(2, pair.Server.KeyExchanges);
        Assert.Equal(pair.Client.SessionId, pair.Server.SessionId);
    }

    [Fact]
    public void Both_sides_may_start_a_key_exchange_at_once()
    {
        using var pair = new TransportPair();
        pair.Connect();
        pair.Client.Rekey(pair.Now);
        pair.Server.Rekey(pair.Now);
        pair.Run();
        Assert.Equal(2, pair.Client.KeyExchanges);
        Assert.Equal(2, pair.Server.KeyExchanges);
        pair.Client.Send([SshMessageNumber.ChannelData, 1, 2, 3]);
        pair.Run();
        Assert.Single(pair.ToServer);
    }

    /// <summary>L15: a peer that never finishes a key exchange: memory is bounded, the deadline cuts.</summary>
    [Fact]
    public void Unfinished_key_exchange_is_bounded_in_bytes_and_time()
    {
        using var pair = new TransportPair();
        pair.Connect();
        pair.Server.Rekey(pair.Now);
        var payload = new byte[10_000];
        payload[0] = SshMessageNumber.RequestFailure;
        var error = Assert.Throws<SshException>(() =>
        {
            for (var i = 0; i < 1000; i++)
                pair.Server.Send(payload);
        });
        Assert.Equal(SshDisconnectReason.KeyExchangeFailed, error.Reason);
        pair.Server.Tick(pair.Now + SshLimits.KexDeadline);
        error = Assert.Throws<SshException>(() => pair.Server.Tick(pair.Now + SshLimits.KexDeadline + TimeSpan.FromSeconds(1)));
        Assert.Equal(SshDisconnectReason.KeyExchangeFailed, error.Reason);
    }

    /// <summary>L3: IGNORE inside the first key exchange ends it, under strict key exchange only.</summary>
    [Theory]
    [InlineData(SshMessageNumber.Ignore, true)]
    [InlineData(SshMessageNumber.Debug, true)]
    [InlineData(SshMessageNumber.Unimplemented, true)]
    [InlineData(SshMessageNumber.Ignore, false)]
    public void Extra_message_before_NEWKEYS_disconnects_when_strict(byte number, bool strict)
    {
        using var pair = new TransportPair(client: options => options with { OfferStrictKeyExchange = strict });
        pair.Client.Start(pair.Now);
        pair.Client.Writer.Write([number, 0, 0, 0, 0]);
        if (strict)
            Assert.Equal(SshDisconnectReason.ProtocolError, Assert.Throws<SshException>(pair.Shake).Reason);
        else
            pair.Shake();
    }

    /// <summary>L3: an extra message before KEXINIT, accepted while strictness is not known, is found out by KEXINIT.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Extra_message_before_KEXINIT_disconnects_when_strict(bool strict)
    {
        using var pair = new TransportPair(client: options => options with { OfferStrictKeyExchange = strict });
        pair.Client.Writer.WriteRaw("SSH-2.0-Relay_0.1\r\n"u8);
        pair.Client.Writer.Write([SshMessageNumber.Ignore, 0, 0, 0, 0]);
        pair.SkipIdentification = true;
        if (strict)
            Assert.Equal(SshDisconnectReason.ProtocolError, Assert.Throws<SshException>(pair.Shake).Reason);
        else
            pair.Shake();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_packet_after_a_guess_is_ignored_only_when_the_guess_was_wrong(bool right)
    {
        using var server = new SshTransport(TransportPair.ServerOptions);
        server.Start(default);
        server.Writer.Take();
        var client = new SshPacketWriter();
        client.WriteRaw("SSH-2.0-guess\r\n"u8);
        var init = new SshKexInit(
            right ? ["curve25519-sha256"] : ["sntrup761x25519-sha512@openssh.com", "curve25519-sha256"],
            ["ssh-ed25519"],
            SshAlgorithmNames.Ciphers, SshAlgorithmNames.Ciphers, SshAlgorithmNames.Macs, SshAlgorithmNames.Macs, ["none"], ["none"], FirstPacketFollows: true);
        client.Write(init.ToPayload());
        using var exchange = SshKeyExchange.Create("curve25519-sha256");
        byte[] ecdhInit = [SshMessageNumber.KexEcdhInit, 0, 0, 0, 32, .. exchange.PublicValue.Span];
        client.Write(right ? ecdhInit : [SshMessageNumber.KexEcdhInit, 0, 0, 0, 2, 1, 2]);
        if (!right)
            client.Write(ecdhInit);
        TransportPair.Feed(server, client.Take().ToArray(), default);
        Assert.False(server.IsSendBlocked); // its NEWKEYS is out
    }

    [Theory]
    [InlineData("kex")]
    [InlineData("cipher")]
    [InlineData("hostkey")]
    public void No_common_algorithm_ends_with_KEY_EXCHANGE_FAILED(string list)
    {
        using var pair = new TransportPair(client: options => list switch
        {
            "kex" => options with { KeyExchanges = ["diffie-hellman-group1-sha1"] },
            "cipher" => options with { Ciphers = ["3des-cbc"] },
            _ => options with { HostKeyAlgorithms = ["ssh-dss"] },
        });
        Assert.Equal(SshDisconnectReason.KeyExchangeFailed, Assert.Throws<SshException>(pair.Shake).Reason);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(31)]
    [InlineData(32)]
    [InlineData(33)]
    public void Bad_ephemeral_key_ends_with_KEY_EXCHANGE_FAILED(int length)
    {
        // All zero is a point of small order: the secret would be zero (RFC 8731 §3).
        using var server = new SshTransport(TransportPair.ServerOptions);
        using var client = new SshTransport(TransportPair.ClientOptions);
        server.Start(default);
        client.Start(default);
        client.Writer.Write([SshMessageNumber.KexEcdhInit, 0, 0, 0, (byte)length, .. new byte[length]]);
        var error = Assert.Throws<SshException>(() => TransportPair.Feed(server, client.Writer.Take().ToArray(), default));
        Assert.Equal(SshDisconnectReason.KeyExchangeFailed, error.Reason);
    }

    [Fact]
    public void Wrong_signature_of_the_exchange_is_refused()
    {
        // A man in the middle who changes a byte of the server's KEXINIT changes H.
        using var pair = new TransportPair();
        pair.Client.Start(default);
        pair.Server.Start(default);
        var toClient = pair.Server.Writer.Take().ToArray();
        toClient[pair.Server.LocalVersion.Length + 2 + 8] ^= 1; // in the cookie
        TransportPair.Feed(pair.Client, toClient, default);
        TransportPair.Feed(pair.Server, pair.Client.Writer.Take().ToArray(), default);
        var error = Assert.Throws<SshException>(() => TransportPair.Feed(pair.Client, pair.Server.Writer.Take().ToArray(), default));
        Assert.Equal(SshDisconnectReason.KeyExchangeFailed, error.Reason);
    }

    [Fact]
    public void Unknown_message_after_authentication_is_answered_UNIMPLEMENTED_with_its_number()
    {
        using var pair = new TransportPair();
        pair.Connect();
        pair.Client.Send([SshMessageNumber.Ignore, 0, 0, 0, 0]);
        pair.Client.Send([192, 1, 2, 3]);
        pair.Run();
        // The server's answer names packet 1 of this key epoch: IGNORE was 0.
        Assert.Equal([SshMessageNumber.Unimplemented, 0, 0, 0, 1], pair.LastToClient);
    }

    [Fact]
    public void Packets_and_bytes_before_authentication_are_bounded()
    {
        using var pair = new TransportPair();
        pair.Shake();
        var error = Assert.Throws<SshException>(() =>
        {
            for (var i = 0; i < 5000; i++)
            {
                pair.Client.Writer.Write([SshMessageNumber.Ignore, 0, 0, 0, 0]);
                pair.Run();
            }
        });
        Assert.Equal(SshDisconnectReason.ProtocolError, error.Reason);
        Assert.InRange(pair.Server.PacketsReceived, 1000u, 1025u);
    }
}
