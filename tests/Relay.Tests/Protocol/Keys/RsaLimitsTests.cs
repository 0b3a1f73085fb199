using System.Security.Cryptography;
using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Keys;

public sealed class RsaLimitsTests
{
    [Theory]
    [InlineData(2047, false)]
    [InlineData(2048, true)]
    [InlineData(8192, true)]
    [InlineData(8193, false)]
    [InlineData(16384, false)]
    public void L12_modulus_size_decides(int bits, bool accepted)
    {
        Assert.Equal(accepted, SshPublicKey.TryParse(Blob(Modulus(bits), [1, 0, 1]), out _, out string? error));
        if (!accepted) Assert.Matches("bits|malformed", error);
    }

    // The blob of 8 KiB is over the bound for any key; the magnitude alone is refused by its length too.
    [Fact]
    public void L12_key_of_64_kbit_is_refused_before_any_arithmetic()
    {
        byte[] modulus = Modulus(65536), blob = Blob(modulus, [1, 0, 1]);
        Assert.False(SshPublicKey.TryParse(blob, out _, out _));
        Assert.NotNull(RsaLimits.Refuse(modulus, [1, 0, 1]));

        // Numbers of this size cannot be worked with without memory: where there is none, there was no work.
        long before = GC.GetAllocatedBytesForCurrentThread();
        bool any = false;
        for (int i = 0; i < 1000; i++) any |= SshPublicKey.TryParse(blob, out _, out _);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.False(any);
        Assert.Equal(0, allocated);
    }

    [Theory]
    [InlineData(new byte[] { 1 })]
    [InlineData(new byte[] { 2 })]
    [InlineData(new byte[] { 1, 0, 0 })]
    [InlineData(new byte[] { })]
    [InlineData(new byte[] { 1, 0, 0, 0, 0, 0, 0, 0, 1 })]
    public void L12_odd_exponents_are_refused(byte[] exponent) =>
        Assert.False(SshPublicKey.TryParse(Blob(Modulus(2048), exponent), out _, out _));

    [Fact]
    public void Even_modulus_is_refused()
    {
        byte[] modulus = Modulus(2048);
        modulus[^1] &= 0xfe;
        Assert.False(SshPublicKey.TryParse(Blob(modulus, [1, 0, 1]), out _, out _));
    }

    [Fact]
    public void Verifying_with_a_modulus_that_is_no_product_of_primes_is_false_not_an_error()
    {
        Assert.True(SshPublicKey.TryParse(Blob(Modulus(8192), [3]), out SshPublicKey? key, out _));
        using var signature = new SshWriter();
        signature.WriteString("rsa-sha2-256");
        signature.WriteString(RandomNumberGenerator.GetBytes(1024));
        Assert.False(key.Verify("rsa-sha2-256", "x"u8, signature.WrittenSpan));
    }

    [Fact]
    public void Private_key_of_1024_bits_is_refused_by_its_size()
    {
        using RSA rsa = RSA.Create(1024);
        foreach (string pem in new[] { rsa.ExportRSAPrivateKeyPem(), rsa.ExportPkcs8PrivateKeyPem() })
        {
            Assert.False(SshPrivateKey.TryImport(pem, out _, out string? error));
            Assert.Contains("2048", error, StringComparison.Ordinal);
        }
    }

    private static byte[] Blob(byte[] modulus, byte[] exponent) => RsaSshPublicKey.WriteBlob(modulus, exponent);

    private static byte[] Modulus(int bits)
    {
        byte[] modulus = RandomNumberGenerator.GetBytes((bits + 7) / 8);
        int top = (bits - 1) % 8;
        modulus[0] = (byte)((modulus[0] & ((1 << top) - 1)) | (1 << top));
        modulus[^1] |= 1;
        return modulus;
    }
}
