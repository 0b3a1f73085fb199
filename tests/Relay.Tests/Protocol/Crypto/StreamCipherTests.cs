using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Json;
using Relay.Protocol.Crypto;

namespace Relay.Tests.Protocol.Crypto;

public sealed class StreamCipherTests
{
    public static TheoryData<string> ChaCha20Sections => VectorFile.Sections("rfc8439-chacha20.json");

    public static TheoryData<string> CtrSections => VectorFile.Sections("sp800-38a.json");

    [Theory, MemberData(nameof(ChaCha20Sections))]
    public void ChaCha20_matches_the_published_vector(string section)
    {
        JsonElement vector = VectorFile.Of("rfc8439-chacha20.json", section);
        var iv = new byte[StreamCipher.IvLength];
        BinaryPrimitives.WriteInt32LittleEndian(iv, vector.GetProperty("counter").GetInt32());
        vector.Hex("nonce").CopyTo(iv, sizeof(int));
        using StreamCipher cipher = StreamCipher.ChaCha20(vector.Hex("key"), iv);
        byte[] text = vector.Hex("plain");
        cipher.Apply(text, text);
        Assert.Equal(vector.Hex("cipher"), text);
    }

    [Theory, MemberData(nameof(CtrSections))]
    public void Aes256_ctr_matches_the_published_vector(string section)
    {
        JsonElement vector = VectorFile.Of("sp800-38a.json", section);
        using StreamCipher cipher = StreamCipher.Aes256Ctr(vector.Hex("key"), vector.Hex("iv"));
        byte[] text = vector.Hex("plain");
        cipher.Apply(text, text);
        Assert.Equal(vector.Hex("cipher"), text);
    }

    [Fact]
    public void Keystream_is_the_same_however_it_is_cut()
    {
        var random = new Random(8439);
        byte[] key = RandomNumberGenerator.GetBytes(32), iv = new byte[16], whole = new byte[5000];
        foreach (Func<StreamCipher> make in new Func<StreamCipher>[] { () => StreamCipher.ChaCha20(key, iv), () => StreamCipher.Aes256Ctr(key, iv) })
        {
            using StreamCipher one = make(), other = make();
            Array.Clear(whole);
            one.Apply(whole, whole);
            var pieces = new byte[whole.Length];
            for (int at = 0; at < pieces.Length;)
            {
                int count = Math.Min(random.Next(0, 200), pieces.Length - at);
                other.Apply(pieces.AsSpan(at, count), pieces.AsSpan(at, count));
                at += count;
            }

            Assert.Equal(whole, pieces);

            // And a seek back to the start begins it anew.
            one.Seek(iv);
            Array.Clear(pieces);
            one.Apply(pieces, pieces);
            Assert.Equal(whole, pieces);
        }
    }

    [Fact]
    public void ChaCha20_counts_on_into_the_upper_half_as_the_original_does()
    {
        // Block 2^32 - 1 and the next: the 64-bit counter of the original carries.
        byte[] key = new byte[32], iv = [0xff, 0xff, 0xff, 0xff, .. new byte[12]], carried = [0, 0, 0, 0, 1, .. new byte[11]];
        byte[] two = new byte[128], second = new byte[64];
        using StreamCipher cipher = StreamCipher.ChaCha20(key, iv);
        cipher.Apply(two, two);
        cipher.Seek(carried);
        cipher.Apply(second, second);
        Assert.Equal(second, two[64..]);
    }
}
