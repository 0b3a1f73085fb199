using System.Buffers.Binary;
using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.WireGuard;

/// <summary>Handshakes: what is sent, what is received, and what follows for the peer, whitepaper §5.3–5.4 and §6. Safe for concurrent use.</summary>
internal sealed class HandshakeExchange(DeviceContext device, DataSender sender)
{
    /// <summary>Sends an initiation, unless the last one is less than Rekey-Timeout ago or the peer is nowhere.</summary>
    /// <param name="peer">To whom.</param>
    /// <param name="isRetry">True: repeats one that was not answered, so that Rekey-Attempt-Time goes on.</param>
    /// <param name="now">The time.</param>
    /// <param name="sink">Where it goes.</param>
    public void Initiate(WireGuardPeer peer, bool isRetry, TimeSpan now, IWireGuardSink sink)
    {
        Span<byte> message = stackalloc byte[WireGuardWire.InitiationLength];
        WireGuardEndpoint to = peer.Endpoint;
        lock (peer.Gate)
        {
            if (peer.IsRemoved) return;
            if (!isRetry) peer.AttemptsSince = now;
            if (peer.LastInitiationSent is { } last && now - last < WireGuardSpec.RekeyTimeout) return;
            if (to == default || !TryWriteInitiation(peer, now, message)) return;
            peer.LastInitiationSent = now;
        }

        peer.CountSent(message.Length);
        peer.Timers.AnySent(now);
        peer.Timers.InitiationSent(now, device.Entropy.NextJitter());
        sink.Transmit(to, message);
    }

    /// <summary>The initiation was not answered in time: repeats it, or gives up for now after Rekey-Attempt-Time.</summary>
    public void Retry(WireGuardPeer peer, TimeSpan now, IWireGuardSink sink)
    {
        lock (peer.Gate)
        {
            if (now - peer.AttemptsSince >= WireGuardSpec.RekeyAttemptTime)
            {
                peer.DropPending(device);
                peer.Staged?.Clear(device);
                peer.Timers.GivenUp(now);
                return;
            }
        }

        Initiate(peer, isRetry: true, now, sink);
    }

    /// <summary>Takes a handshake message of any kind; whatever is wrong with it is counted.</summary>
    public void Receive(ReadOnlySpan<byte> message, in WireGuardEndpoint source, TimeSpan now, IWireGuardSink sink)
    {
        switch (WireGuardWire.TypeOf(message))
        {
            case WireGuardMessageType.HandshakeInitiation when MayHandle(message, source, now, sink):
                ReceiveInitiation(message, source, now, sink);
                break;
            case WireGuardMessageType.HandshakeResponse when MayHandle(message, source, now, sink):
                ReceiveResponse(message, source, now, sink);
                break;
            case WireGuardMessageType.CookieReply:
                ReceiveCookie(message, now);
                break;
            case WireGuardMessageType.TransportData:
                Invite(message, source, now, sink);
                break;
            case WireGuardMessageType.None:
                device.Drops.Count(WireGuardDrop.Malformed);
                break;
        }
    }

    // A packet of a session that another device with our key made, and may have died with: the peer it is of is asked for a new one, there where it
    // is now. SECURITY: anybody can send such a packet in anybody's name. It moves nobody, ends no session and no handshake, sets no timer of the
    // protocol, and brings about one initiation in Rekey-Timeout for each peer.
    private void Invite(ReadOnlySpan<byte> message, in WireGuardEndpoint source, TimeSpan now, IWireGuardSink sink)
    {
        uint index = BinaryPrimitives.ReadUInt32LittleEndian(message[WireGuardWire.Receiver..]);
        if (device.Invitations.Find(device.Tagged.Open(index)) is not { } peer || device.Indices.Find(index) is not null) return;
        Span<byte> initiation = stackalloc byte[WireGuardWire.InitiationLength];
        lock (peer.Gate)
        {
            // Of a session that was replaced a moment ago some packets are still on their way.
            if (peer.IsRemoved || IsRecent(peer.LastHandshake, now) || IsRecent(peer.LastInitiationSent, now) || IsRecent(peer.LastInvited, now)) return;
            peer.LastInvited = now;
            if (!TryWriteInitiation(peer, now, initiation)) return;
        }

        peer.Timers.Invited(now);
        peer.CountSent(initiation.Length);
        device.Invitations.CountSent();
        sink.Transmit(source, initiation);
    }

    private static bool IsRecent(TimeSpan? then, TimeSpan now) => then is { } at && now - at < WireGuardSpec.RekeyTimeout;

    // §5.3: nothing is computed for who does not know our public key, nor, under load, for who has not proven its address.
    private bool MayHandle(ReadOnlySpan<byte> message, in WireGuardEndpoint source, TimeSpan now, IWireGuardSink sink)
    {
        if (!device.Cookies.HasMac1(message))
        {
            device.Drops.Count(WireGuardDrop.BadMac1);
            return false;
        }

        if (!device.Load.Count(now)) return true;
        if (!device.Cookies.HasMac2(message, source, now))
        {
            Span<byte> reply = stackalloc byte[WireGuardWire.CookieReplyLength];
            device.Cookies.WriteReply(message, source, now, reply);
            device.Drops.Count(WireGuardDrop.NoCookie);
            sink.Transmit(source, reply);
            return false;
        }

        if (device.Sources.TryTake(source, now)) return true;
        device.Drops.Count(WireGuardDrop.RateLimited);
        return false;
    }

    private bool TryWriteInitiation(WireGuardPeer peer, TimeSpan now, Span<byte> message)
    {
        if (!peer.TryGetStaticStatic(device.Static, out ReadOnlySpan<byte> staticStatic)) return false;
        peer.DropPending(device);
        var pending = new PendingInitiation(peer, device.NewEphemeral());
        device.Indices.Add(pending);
        peer.Pending = pending;
        Span<byte> timestamp = stackalloc byte[WireGuardWire.TimestampLength];
        Tai64n.At(device.Epoch + now).Write(timestamp);
        if (!NoiseHandshake.TryWriteInitiation(device.Static, pending.Ephemeral, peer.Key, staticStatic, timestamp, pending.LocalIndex, message, pending.State))
        {
            peer.DropPending(device);
            return false;
        }

        peer.Cookies.WriteMacs(peer.Key, message, now);
        return true;
    }

    private void ReceiveInitiation(ReadOnlySpan<byte> message, in WireGuardEndpoint source, TimeSpan now, IWireGuardSink sink)
    {
        Span<byte> state = stackalloc byte[NoiseState.Length];
        Span<byte> response = stackalloc byte[WireGuardWire.ResponseLength];
        WireGuardDrop? drop = Answer(message, source, now, state, response, out WireGuardPeer? peer);
        CryptographicOperations.ZeroMemory(state);
        if (drop is { } reason)
        {
            device.Drops.Count(reason);
            return;
        }

        peer!.CountReceived(message.Length);
        peer.CountSent(response.Length);
        peer.Timers.AnyReceived(now);
        peer.Timers.KeysDerived(now);
        peer.Timers.AnySent(now);
        sink.Transmit(source, response);
    }

    // Null: there is a response.
    private WireGuardDrop? Answer(ReadOnlySpan<byte> message, in WireGuardEndpoint source, TimeSpan now, Span<byte> state, Span<byte> response, out WireGuardPeer? peer)
    {
        peer = null;
        WireGuardPublicKey initiator = default;
        if (!NoiseHandshake.TryReadInitiator(device.Static, message, state, initiator)) return WireGuardDrop.NotAuthentic;
        if (!device.Peers.TryGetValue(initiator, out peer)) return WireGuardDrop.UnknownPeer;
        lock (peer.Gate)
        {
            if (Accept(peer, message, state, now) is { } drop) return drop;
            if (!TryRespond(peer, message, state, now, response)) return WireGuardDrop.NotAuthentic;
            peer.MoveTo(source);
            return null;
        }
    }

    // Null: the initiation is the peer's own, and no older one.
    private WireGuardDrop? Accept(WireGuardPeer peer, ReadOnlySpan<byte> message, Span<byte> state, TimeSpan now)
    {
        if (peer.IsRemoved) return WireGuardDrop.UnknownPeer;
        Span<byte> bytes = stackalloc byte[WireGuardWire.TimestampLength];
        if (!peer.TryGetStaticStatic(device.Static, out ReadOnlySpan<byte> staticStatic)
            || !NoiseHandshake.TryReadTimestamp(staticStatic, message, state, bytes))
        {
            return WireGuardDrop.NotAuthentic;
        }

        Tai64n timestamp = Tai64n.Read(bytes);
        if (!timestamp.IsAfter(peer.LastTimestamp)) return WireGuardDrop.ReplayedInitiation;
        if (peer.LastInitiationReceived is { } last && now - last < WireGuardLimits.InitiationInterval) return WireGuardDrop.TooSoon;
        peer.LastTimestamp = timestamp;
        peer.LastInitiationReceived = now;
        return null;
    }

    private bool TryRespond(WireGuardPeer peer, ReadOnlySpan<byte> message, Span<byte> state, TimeSpan now, Span<byte> response)
    {
        using X25519PrivateKey ephemeral = device.NewEphemeral();
        byte[] keys = GC.AllocateUninitializedArray<byte>(2 * WireGuardWire.KeyLength, pinned: true);
        var keypair = new Keypair(peer, keys, BinaryPrimitives.ReadUInt32LittleEndian(message[WireGuardWire.Sender..]), isInitiator: false, now);
        device.Indices.Add(keypair);
        if (!NoiseHandshake.TryWriteResponse(ephemeral, message, peer.Key, peer.PresharedKey, keypair.LocalIndex, response, state))
        {
            device.Indices.Remove(keypair);
            return false;
        }

        new NoiseState(state).DeriveKeys(fromInitiator: keys.AsSpan(WireGuardWire.KeyLength), fromResponder: keys.AsSpan(0, WireGuardWire.KeyLength));
        peer.Keypairs.InstallAsResponder(keypair);
        peer.Cookies.WriteMacs(peer.Key, response, now);
        return true;
    }

    private void ReceiveResponse(ReadOnlySpan<byte> message, in WireGuardEndpoint source, TimeSpan now, IWireGuardSink sink)
    {
        uint receiver = BinaryPrimitives.ReadUInt32LittleEndian(message[WireGuardWire.ResponseReceiver..]);
        if (device.Indices.Find(receiver) is not PendingInitiation pending)
        {
            device.Drops.Count(WireGuardDrop.UnknownIndex);
            return;
        }

        WireGuardPeer peer = pending.Peer;
        lock (peer.Gate)
        {
            if (peer.Pending != pending)
            {
                device.Drops.Count(WireGuardDrop.UnknownIndex);
                return;
            }

            if (!TryComplete(peer, pending, message, now))
            {
                device.Drops.Count(WireGuardDrop.NotAuthentic);
                return;
            }

            peer.MoveTo(source);
        }

        peer.CountReceived(message.Length);
        peer.Timers.AnyReceived(now);
        peer.Timers.KeysDerived(now);
        peer.HandshakeEnded(now);
        device.CountHandshake();
        sink.Established(peer);
        // §6.4: the first packet tells the responder that the keys are right; if there is none to send, an empty one does.
        if (!sender.SendStaged(peer, now, sink)) sender.SendKeepalive(peer, now, sink);
    }

    private bool TryComplete(WireGuardPeer peer, PendingInitiation pending, ReadOnlySpan<byte> message, TimeSpan now)
    {
        Span<byte> state = stackalloc byte[NoiseState.Length];
        pending.State.CopyTo(state);
        bool good = NoiseHandshake.TryReadResponse(device.Static, pending.Ephemeral, peer.PresharedKey, message, state);
        if (good)
        {
            byte[] keys = GC.AllocateUninitializedArray<byte>(2 * WireGuardWire.KeyLength, pinned: true);
            new NoiseState(state).DeriveKeys(fromInitiator: keys.AsSpan(0, WireGuardWire.KeyLength), fromResponder: keys.AsSpan(WireGuardWire.KeyLength));
            var keypair = new Keypair(peer, keys, BinaryPrimitives.ReadUInt32LittleEndian(message[WireGuardWire.Sender..]), isInitiator: true, now);
            device.Indices.TryReplace(pending, keypair);
            peer.Keypairs.InstallAsInitiator(keypair);
            pending.Dispose();
            peer.Pending = null;
        }

        CryptographicOperations.ZeroMemory(state);
        return good;
    }

    private void ReceiveCookie(ReadOnlySpan<byte> message, TimeSpan now)
    {
        uint receiver = BinaryPrimitives.ReadUInt32LittleEndian(message[WireGuardWire.Receiver..]);
        if (device.Indices.Find(receiver)?.Peer is not { } peer)
        {
            device.Drops.Count(WireGuardDrop.UnknownIndex);
            return;
        }

        // The initiation goes out again when its timer says so, §6.6.
        lock (peer.Gate)
        {
            if (!peer.Cookies.TryTakeReply(peer.Key, message, now)) device.Drops.Count(WireGuardDrop.UnexpectedCookie);
        }
    }
}
