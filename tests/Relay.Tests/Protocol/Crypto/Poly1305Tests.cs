using System.Text.Json;
using Relay.Protocol.Crypto;

namespace Relay.Tests.Protocol.Crypto;

public sealed class Poly1305Tests
{
    private const string File = "rfc8439-poly1305.json";

    public static TheoryData<string> Sections => VectorFile.Sections(File);

    [Theory, MemberData(nameof(Sections))]
    public void Published_vector_holds(string section)
    {
        JsonElement vector = VectorFile.Of(File, section);
        using var poly = new Poly1305();
        var tag = new byte[Poly1305.TagLength];
        poly.Compute(vector.Hex("key"), vector.Hex("message"), tag);
        Assert.Equal(vector.Hex("tag"), tag);
    }

    [Fact]
    public void One_context_serves_one_key_after_another()
    {
        using var poly = new Poly1305();
        for (int round = 0; round < 3; round++)
        {
            foreach (JsonElement vector in VectorFile.Read(File))
            {
                var tag = new byte[Poly1305.TagLength];
                poly.Compute(vector.Hex("key"), vector.Hex("message"), tag);
                Assert.Equal(vector.Hex("tag"), tag);
            }
        }
    }
}
