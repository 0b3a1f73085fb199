using Relay.Protocol.Ssh;

namespace Relay.Tests.Protocol.Keys;

/// <summary>
/// L16: random mutations of good inputs. No parser throws, none allocates more than a small multiple of what a good
/// input takes, and what is accepted is exactly what came in.
/// </summary>
public sealed class KeyParserFuzzTests
{
    private const int Cases = 4000;

    // A certificate's strings, its dictionaries and the framework's ECDSA import; a length taken at its word would be megabytes.
    private const long MaximumAllocation = 96 * 1024;

    private static readonly DateTimeOffset Noon = new(2026, 6, 1, 12, 0, 0, TimeSpan.Zero);

    public static TheoryData<int> Seeds => [1, 2, 3];

    [Theory, MemberData(nameof(Seeds))]
    public void L16_public_keys(int seed)
    {
        byte[][] corpus =
        [
            TestKeys.Ed25519.PublicKey.Blob.ToArray(), TestKeys.Ecdsa.PublicKey.Blob.ToArray(), TestKeys.Rsa.PublicKey.Blob.ToArray(),
            TestKeys.SkBlob(TestKeys.Ed25519.PublicKey.Blob.Span[^32..]),
        ];
        Run(seed, corpus, FuzzPublicKey);
    }

    [Theory, MemberData(nameof(Seeds))]
    public void L16_certificates(int seed) =>
        Run(seed, [Certificate(TestKeys.Ed25519.PublicKey).Blob.ToArray(), Certificate(TestKeys.Ecdsa.PublicKey).Blob.ToArray(), Certificate(TestKeys.Rsa.PublicKey).Blob.ToArray()], FuzzCertificate);

    [Theory, MemberData(nameof(Seeds))]
    public void L16_signatures(int seed)
    {
        byte[][] corpus =
        [
            TestKeys.Ed25519.Sign("ssh-ed25519", "x"u8), TestKeys.Ecdsa.Sign("ecdsa-sha2-nistp256", "x"u8), TestKeys.Rsa.Sign("rsa-sha2-256", "x"u8),
        ];
        Run(seed, corpus, data =>
        {
            bool good = corpus.Any(c => data.AsSpan().SequenceEqual(c));
            Assert.Equal(good, TestKeys.Ed25519.PublicKey.Verify("ssh-ed25519", "x"u8, data)
                || TestKeys.Ecdsa.PublicKey.Verify("ecdsa-sha2-nistp256", "x"u8, data) || TestKeys.Rsa.PublicKey.Verify("rsa-sha2-256", "x"u8, data));
        });
    }

    [Fact]
    public void L16_private_keys()
    {
        byte[][] corpus = [SshPrivateKeyTests.Body(TestKeys.Ed25519.ExportOpenSsh("c")), SshPrivateKeyTests.Body(TestKeys.Ecdsa.ExportOpenSsh("c"))];
        Run(4, corpus, data =>
        {
            // Whatever is accepted is a whole key: it signs for the public half that it shows.
            if (!SshPrivateKey.TryImport(SshPrivateKeyTests.Pem(data), out SshPrivateKey? key, out _)) return;
            using (key) Assert.Contains(key.PublicKey, new[] { TestKeys.Ed25519.PublicKey, TestKeys.Ecdsa.PublicKey });
        });
    }

    [Fact]
    public void L16_lines()
    {
        byte[][] corpus = [System.Text.Encoding.ASCII.GetBytes(TestKeys.Ed25519.PublicKey.ToLine("c")), System.Text.Encoding.ASCII.GetBytes(Certificate(TestKeys.Ecdsa.PublicKey).ToLine("c"))];
        Run(5, corpus, data =>
        {
            string line = System.Text.Encoding.Latin1.GetString(data);
            if (SshPublicKey.TryParseLine(line, out SshPublicKey? key, out string comment, out _)) Assert.True(SshPublicKey.TryParseLine(key.ToLine(comment), out _, out _, out _));
            if (SshCertificate.TryParseLine(line, out SshCertificate? certificate, out comment, out _)) Assert.True(SshCertificate.TryParseLine(certificate.ToLine(comment), out _, out _, out _));
        });
    }

    private static void FuzzPublicKey(byte[] data)
    {
        if (!SshPublicKey.TryParse(data, out SshPublicKey? key, out _)) return;
        Assert.Equal(data, key.Blob.ToArray());
        Assert.False(key.Verify(key.SignatureAlgorithms[0], data, data));
    }

    private static void FuzzCertificate(byte[] data)
    {
        if (!SshCertificate.TryParse(data, out SshCertificate? certificate, out _)) return;
        Assert.Equal(data, certificate.Blob.ToArray());
        // The corpus is signed by a key that is thrown away: nothing but the untouched input can be valid.
        SshCertificateCheck check = certificate.Check(SshCertificateKind.User, TestKeys.Ed25519.PublicKey, Noon, null, null);
        if (check == SshCertificateCheck.Valid) Assert.Contains(s_signed, s => s.AsSpan().SequenceEqual(data));
    }

    private static readonly List<byte[]> s_signed = [];

    private static SshCertificate Certificate(SshPublicKey key)
    {
        SshCertificate certificate = new SshCertificateBuilder { Key = key, Kind = SshCertificateKind.User, Principals = { "alice", "bob" }, ValidBefore = Noon.AddHours(1) }
            .AddExtension("permit-pty").SetCriticalOption("force-command", "uptime").Sign(TestKeys.Ed25519);
        lock (s_signed) s_signed.Add(certificate.Blob.ToArray());
        return certificate;
    }

    private static void Run(int seed, byte[][] corpus, Action<byte[]> fuzz)
    {
        foreach (byte[] good in corpus) fuzz(good); // also warms everything up
        var random = new Random(seed);
        for (int i = 0; i < Cases; i++)
        {
            byte[] data = Mutate(random, corpus[random.Next(corpus.Length)]);
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                fuzz(data);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"seed {seed}, case {i}: {Convert.ToHexString(data)}", e);
            }

            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.True(allocated <= MaximumAllocation, $"seed {seed}, case {i}: {allocated} bytes for {Convert.ToHexString(data)}");
        }
    }

    private static byte[] Mutate(Random random, byte[] good)
    {
        List<byte> data = [.. good];
        for (int edits = random.Next(1, 4); edits > 0 && data.Count > 0; edits--)
        {
            int at = random.Next(data.Count);
            switch (random.Next(6))
            {
                case 0:
                    data[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    data[at] = (byte)random.Next(256);
                    break;
                case 2:
                    data.RemoveRange(at, random.Next(1, Math.Min(8, data.Count - at) + 1));
                    break;
                case 3:
                    data.InsertRange(at, Enumerable.Range(0, random.Next(1, 9)).Select(_ => (byte)random.Next(256)));
                    break;
                case 4: // a length, made large
                    for (int k = at; k < Math.Min(at + 4, data.Count); k++) data[k] = (byte)(random.Next(2) * 0xff);
                    break;
                default:
                    data.RemoveRange(at, data.Count - at);
                    break;
            }
        }

        return [.. data];
    }
}
