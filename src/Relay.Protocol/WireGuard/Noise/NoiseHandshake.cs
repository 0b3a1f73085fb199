using System.Buffers.Binary;
using System.Security.Cryptography;
using Relay.Protocol.Crypto;

namespace Relay.Protocol.WireGuard;

/// <summary>
/// The two messages of the handshake, written and read, whitepaper §5.4.2 and §5.4.3, but for mac1 and mac2. Names are the
/// whitepaper's: i and r are initiator and responder, S static, E ephemeral, Q the preshared key. The state is 64 bytes of
/// the caller's (<see cref="NoiseState"/>). "False" is always: not authentic, or a key of small order.
/// </summary>
internal static class NoiseHandshake
{
    private const int KeyLength = WireGuardWire.KeyLength;
    private const int TagLength = WireGuardWire.TagLength;

    /// <summary>Writes the first message, §5.4.2.</summary>
    /// <param name="staticI">S of the initiator.</param>
    /// <param name="ephemeralI">E of the initiator, of this handshake only.</param>
    /// <param name="staticR">S of the responder, 32 bytes.</param>
    /// <param name="staticStatic">DH(S_i, S_r), 32 bytes.</param>
    /// <param name="timestamp">TAI64N, 12 bytes.</param>
    /// <param name="sender">The initiator's index.</param>
    /// <param name="message">148 bytes; the last 32 are left as they are.</param>
    /// <param name="state">Becomes what <see cref="TryReadResponse"/> goes on from.</param>
    public static bool TryWriteInitiation(X25519PrivateKey staticI, X25519PrivateKey ephemeralI, ReadOnlySpan<byte> staticR, ReadOnlySpan<byte> staticStatic, ReadOnlySpan<byte> timestamp, uint sender, Span<byte> message, Span<byte> state)
    {
        Span<byte> secrets = stackalloc byte[2 * KeyLength];
        Span<byte> shared = secrets[..KeyLength], key = secrets[KeyLength..];
        var noise = new NoiseState(state);
        noise.Start(staticR);
        WireGuardWire.WriteType(message, WireGuardMessageType.HandshakeInitiation);
        BinaryPrimitives.WriteUInt32LittleEndian(message[WireGuardWire.Sender..], sender);

        // C := KDF1(C, E_pub); msg.ephemeral := E_pub; H := HASH(H ‖ msg.ephemeral)
        Span<byte> ephemeral = message.Slice(WireGuardWire.InitiationEphemeral, KeyLength);
        ephemeralI.PublicKey.Span.CopyTo(ephemeral);
        noise.MixKey(ephemeral);
        noise.MixHash(ephemeral);

        // (C, κ) := KDF2(C, DH(E_i, S_r)); msg.static := AEAD(κ, 0, S_i_pub, H); H := HASH(H ‖ msg.static)
        bool good = ephemeralI.TryDerive(staticR, shared);
        if (good)
        {
            noise.MixKey(shared, key);
            Span<byte> field = message.Slice(WireGuardWire.InitiationStatic, KeyLength + TagLength);
            staticI.PublicKey.Span.CopyTo(field);
            noise.Encrypt(key, field);

            // (C, κ) := KDF2(C, DH(S_i, S_r)); msg.timestamp := AEAD(κ, 0, TIMESTAMP(), H); H := HASH(H ‖ msg.timestamp)
            noise.MixKey(staticStatic, key);
            field = message.Slice(WireGuardWire.InitiationTimestamp, WireGuardWire.TimestampLength + TagLength);
            timestamp.CopyTo(field);
            noise.Encrypt(key, field);
        }

        CryptographicOperations.ZeroMemory(secrets);
        return good;
    }

    /// <summary>Reads the first message as far as it tells who sends it; nobody has proven anything yet but to know the responder's key.</summary>
    public static bool TryReadInitiator(X25519PrivateKey staticR, ReadOnlySpan<byte> message, Span<byte> state, Span<byte> staticI)
    {
        Span<byte> secrets = stackalloc byte[2 * KeyLength];
        Span<byte> shared = secrets[..KeyLength], key = secrets[KeyLength..];
        var noise = new NoiseState(state);
        noise.Start(staticR.PublicKey.Span);
        ReadOnlySpan<byte> ephemeral = message.Slice(WireGuardWire.InitiationEphemeral, KeyLength);
        noise.MixKey(ephemeral);
        noise.MixHash(ephemeral);
        bool good = staticR.TryDerive(ephemeral, shared);
        if (good)
        {
            noise.MixKey(shared, key);
            good = noise.TryDecrypt(key, message.Slice(WireGuardWire.InitiationStatic, KeyLength + TagLength), staticI);
        }

        CryptographicOperations.ZeroMemory(secrets);
        return good;
    }

    /// <summary>Reads the rest of the first message: true proves that the initiator has its static key.</summary>
    public static bool TryReadTimestamp(ReadOnlySpan<byte> staticStatic, ReadOnlySpan<byte> message, Span<byte> state, Span<byte> timestamp)
    {
        Span<byte> key = stackalloc byte[KeyLength];
        var noise = new NoiseState(state);
        noise.MixKey(staticStatic, key);
        bool good = noise.TryDecrypt(key, message.Slice(WireGuardWire.InitiationTimestamp, WireGuardWire.TimestampLength + TagLength), timestamp);
        CryptographicOperations.ZeroMemory(key);
        return good;
    }

    /// <summary>Writes the second message, §5.4.3, after the first has been read into <paramref name="state"/>.</summary>
    /// <param name="ephemeralR">E of the responder, of this handshake only.</param>
    /// <param name="initiation">The first message.</param>
    /// <param name="staticI">S of the initiator, 32 bytes.</param>
    /// <param name="presharedKey">Q, 32 bytes; zeros when there is none.</param>
    /// <param name="sender">The responder's index.</param>
    /// <param name="message">92 bytes; the last 32 are left as they are.</param>
    /// <param name="state">From it the session's keys are derived.</param>
    public static bool TryWriteResponse(X25519PrivateKey ephemeralR, ReadOnlySpan<byte> initiation, ReadOnlySpan<byte> staticI, ReadOnlySpan<byte> presharedKey, uint sender, Span<byte> message, Span<byte> state)
    {
        Span<byte> secrets = stackalloc byte[2 * KeyLength];
        Span<byte> shared = secrets[..KeyLength], key = secrets[KeyLength..];
        var noise = new NoiseState(state);
        WireGuardWire.WriteType(message, WireGuardMessageType.HandshakeResponse);
        BinaryPrimitives.WriteUInt32LittleEndian(message[WireGuardWire.Sender..], sender);
        initiation.Slice(WireGuardWire.Sender, 4).CopyTo(message[WireGuardWire.ResponseReceiver..]);

        // C := KDF1(C, E_pub); msg.ephemeral := E_pub; H := HASH(H ‖ msg.ephemeral)
        Span<byte> ephemeral = message.Slice(WireGuardWire.ResponseEphemeral, KeyLength);
        ephemeralR.PublicKey.Span.CopyTo(ephemeral);
        noise.MixKey(ephemeral);
        noise.MixHash(ephemeral);

        // C := KDF1(C, DH(E_r, E_i)); C := KDF1(C, DH(E_r, S_i))
        bool good = ephemeralR.TryDerive(initiation.Slice(WireGuardWire.InitiationEphemeral, KeyLength), shared);
        noise.MixKey(shared);
        good &= ephemeralR.TryDerive(staticI, shared);
        noise.MixKey(shared);

        // (C, τ, κ) := KDF3(C, Q); H := HASH(H ‖ τ); msg.empty := AEAD(κ, 0, ε, H); H := HASH(H ‖ msg.empty)
        noise.MixPresharedKey(presharedKey, key);
        noise.Encrypt(key, message.Slice(WireGuardWire.ResponseEmpty, TagLength));
        CryptographicOperations.ZeroMemory(secrets);
        return good;
    }

    /// <summary>Reads the second message. The state moves on even when the result is false: give a copy.</summary>
    public static bool TryReadResponse(X25519PrivateKey staticI, X25519PrivateKey ephemeralI, ReadOnlySpan<byte> presharedKey, ReadOnlySpan<byte> message, Span<byte> state)
    {
        Span<byte> secrets = stackalloc byte[2 * KeyLength];
        Span<byte> shared = secrets[..KeyLength], key = secrets[KeyLength..];
        var noise = new NoiseState(state);
        ReadOnlySpan<byte> ephemeral = message.Slice(WireGuardWire.ResponseEphemeral, KeyLength);
        noise.MixKey(ephemeral);
        noise.MixHash(ephemeral);
        bool good = ephemeralI.TryDerive(ephemeral, shared);
        noise.MixKey(shared);
        good &= staticI.TryDerive(ephemeral, shared);
        noise.MixKey(shared);
        noise.MixPresharedKey(presharedKey, key);
        good &= noise.TryDecrypt(key, message.Slice(WireGuardWire.ResponseEmpty, TagLength), []);
        CryptographicOperations.ZeroMemory(secrets);
        return good;
    }
}
