using System.Runtime.CompilerServices;

namespace Relay.Protocol.WireGuard;

/// <summary>
/// A static public key: 32 bytes, the Curve25519 u-coordinate, little-endian (RFC 7748 §5). Compared byte by byte; the
/// default value is 32 zeros, which no device has.
/// </summary>
[InlineArray(Length)]
public struct WireGuardPublicKey : IEquatable<WireGuardPublicKey>
{
    /// <summary>Length in bytes.</summary>
    public const int Length = 32;

    private byte _first;

    /// <summary>The key with these 32 bytes.</summary>
    /// <exception cref="ArgumentException">They are not 32.</exception>
    public WireGuardPublicKey(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != Length) throw new ArgumentException("A public key is 32 bytes.", nameof(bytes));
        bytes.CopyTo(this);
    }

    /// <summary>Reads the base64 of <c>wg pubkey</c>: 44 characters. False for anything else.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out WireGuardPublicKey key)
    {
        key = default;
        return WireGuardKeyText.TryParse(text, key);
    }

    /// <summary>Writes the 32 bytes.</summary>
    public readonly void CopyTo(Span<byte> to) => ((ReadOnlySpan<byte>)this).CopyTo(to);

    /// <summary>Base64, 44 characters, as <c>wg</c> shows it.</summary>
    public override readonly string ToString() => Convert.ToBase64String(this);

    /// <inheritdoc/>
    public readonly bool Equals(WireGuardPublicKey other) => ((ReadOnlySpan<byte>)this).SequenceEqual(other);

    /// <inheritdoc/>
    public override readonly bool Equals(object? obj) => obj is WireGuardPublicKey other && Equals(other);

    /// <inheritdoc/>
    public override readonly int GetHashCode()
    {
        // Seeded by the process; the bytes are the peer's to choose.
        var hash = default(HashCode);
        hash.AddBytes(this);
        return hash.ToHashCode();
    }

    /// <summary>The same 32 bytes.</summary>
    public static bool operator ==(WireGuardPublicKey left, WireGuardPublicKey right) => left.Equals(right);

    /// <summary>Not the same 32 bytes.</summary>
    public static bool operator !=(WireGuardPublicKey left, WireGuardPublicKey right) => !left.Equals(right);
}

/// <summary>Keys as text: base64 of 32 bytes, exactly.</summary>
internal static class WireGuardKeyText
{
    /// <summary>Length of the text, the padding included.</summary>
    public const int Length = 44;

    /// <summary>False, with zeros written, unless the text is the one base64 form of 32 bytes.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, Span<byte> key)
    {
        if (text.Length == Length && text.IndexOfAny(" \t\r\n") < 0
            && Convert.TryFromBase64Chars(text, key, out int written) && written == key.Length)
        {
            return true;
        }

        key.Clear();
        return false;
    }
}
