using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Keys;

/// <summary>One key of each kind for the tests that only need some: making an RSA key takes a second.</summary>
internal static class TestKeys
{
    public static SshPrivateKey Ed25519 { get; } = SshPrivateKey.Generate(SshKeyKind.Ed25519);

    public static SshPrivateKey Ecdsa { get; } = SshPrivateKey.Generate(SshKeyKind.EcdsaP256);

    public static SshPrivateKey Rsa { get; } = SshPrivateKey.Generate(SshKeyKind.Rsa3072);

    public static TheoryData<SshKeyKind> Kinds => [SshKeyKind.Ed25519, SshKeyKind.EcdsaP256, SshKeyKind.Rsa3072];

    public static SshPrivateKey Of(SshKeyKind kind) => kind switch
    {
        SshKeyKind.Ed25519 => Ed25519,
        SshKeyKind.EcdsaP256 => Ecdsa,
        _ => Rsa,
    };

    /// <summary>A blob with the type and these fields, each a string.</summary>
    public static byte[] Blob(string type, params byte[][] fields)
    {
        using var writer = new SshWriter();
        writer.WriteString(type);
        foreach (byte[] field in fields) writer.WriteString(field);
        return writer.ToArray();
    }

    /// <summary>The public half of a FIDO key that is an Ed25519 key of ours, and what it signs.</summary>
    public static byte[] SkBlob(ReadOnlySpan<byte> point) => Blob(SshKeyTypes.SkEd25519, point.ToArray(), "ssh:"u8.ToArray());
}
